//! A storage in a folder, on `fjall`, a log-structured store.
//!
//! # The folder
//!
//! | name | holds |
//! |---|---|
//! | `FORMAT` | the version of all that follows |
//! | `LOCK` | nothing; locked by the one who uses the folder |
//! | `log/` | the database: who the node is, its hard state, which snapshot, the entries |
//! | `mark` | how many calls of `write` were acknowledged |
//! | `snapshots/` | the snapshots' bytes, a file each |
//!
//! A call of [`write`](Storage::write) is one batch of the database, which is in its journal whole
//! or not at all, and one `fdatasync`. Entries that were written together are one record.
//!
//! # Damage
//!
//! All that is read is compared with a CRC-32 that was stored with it. A database recovers from a
//! torn write by dropping the end of its journal; it cannot know whether what is torn had been
//! acknowledged. The mark does: it is written (not synced) after each sync, survives the process,
//! and after a power failure is at most too low. A database that has fewer batches than the mark
//! says has lost what was acknowledged, and is refused.
//!
//! A torn write may also be there to its end and lack pages in the middle. It is dropped too, and
//! the journal as it was is kept beside `log/`, as `*.torn`.

mod ahead;
mod files;
mod inspect;
mod journal;
mod record;
mod tidy;

pub use inspect::{Inspection, inspect};

use super::{Snapshots, Storage, StorageError};
use ahead::Ahead;
use files::{Mark, SnapshotFiles};
use fjall::{
    Database, JournalRecoveryError, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode,
};
use journal::Cut;
use raft_proto::{
    ENTRY_OVERHEAD, Entries, EntriesBuilder, EntryId, HardState, Identity, Index, InstalledLog,
    Recovered, SnapshotId, SnapshotMeta, Write,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidy::Tidy;

/// A storage in a folder of its own. See the [module](self).
pub struct DiskStorage {
    database: Database,
    keyspace: Keyspace,
    folder: PathBuf,
    mark: Mark,
    ahead: Ahead,
    files: Arc<SnapshotFiles>,
    tidy: Tidy,
    meta: Meta,
    /// Each record's first and last index.
    records: BTreeMap<Index, Index>,
    /// A write has failed: what the disk holds is not known.
    is_failed: bool,
    /// The last to be dropped.
    _lock: File,
}

impl std::fmt::Debug for DiskStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let folder = &self.folder;
        f.debug_struct("DiskStorage")
            .field("folder", folder)
            .finish_non_exhaustive()
    }
}

/// What every batch writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    /// How many batches there were, this one included.
    writes: u64,
    hard_state: HardState,
    snapshot: Option<SnapshotId>,
    /// Entries up to here are no part of the log, be there a record of them or not.
    floor: Index,
}

/// How much more than its key and its value a record takes in the journal, at most: less than half
/// of it.
const JOURNAL_OVERHEAD: u64 = 64;

/// What one call changes: the newest state of each record, `None` for those that go.
#[derive(Default)]
struct Staged {
    records: BTreeMap<Index, Option<Entries>>,
    identity: Option<Identity>,
    snapshot: Option<SnapshotMeta>,
}

impl DiskStorage {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    ///
    /// [`StorageError::InUse`] if it is open already, [`StorageError::UnknownVersion`],
    /// [`StorageError::Damaged`] if the database cannot be read, [`StorageError::Io`].
    pub fn open(folder: impl Into<PathBuf>) -> Result<DiskStorage, StorageError> {
        let folder = folder.into();
        files::prepare(&folder)?;
        let lock = files::lock(&folder)?;
        journal::put_back(&folder)?;
        let ((database, keyspace), cut) = open_or_mend(&folder)?;
        let mut storage = DiskStorage {
            database,
            keyspace,
            mark: Mark::open(&folder)?,
            ahead: Ahead::new(folder.join("log")),
            files: Arc::new(SnapshotFiles::open(&folder)?),
            tidy: Tidy::new(),
            folder,
            meta: Meta::default(),
            records: BTreeMap::new(),
            is_failed: false,
            _lock: lock,
        };
        let meta = storage.get(record::META);
        let checked = meta.and_then(|meta| {
            storage.meta = meta.unwrap_or_default();
            storage.check_mark()
        });
        match (cut, checked) {
            (Some(cut), Ok(())) => cut.keep()?,
            (None, Ok(())) => {}
            (Some(_), Err(error)) => {
                // What was damaged had been acknowledged, and is left as it was found.
                let DiskStorage {
                    database,
                    keyspace,
                    folder,
                    _lock,
                    ..
                } = storage;
                drop((keyspace, database));
                journal::put_back(&folder)?;
                return Err(error);
            }
            (None, Err(error)) => return Err(error),
        }
        Ok(storage)
    }

    /// Whether all that was acknowledged is there.
    fn check_mark(&mut self) -> Result<(), StorageError> {
        let acknowledged = self.mark.read(self.meta.writes)?;
        let found = self.meta.writes;
        if found < acknowledged {
            let what = format!(
                "{acknowledged} writes were acknowledged, {found} are left: the journal lost its end"
            );
            return Err(self.damaged(what));
        }
        Ok(())
    }

    fn damaged(&self, what: String) -> StorageError {
        StorageError::Damaged {
            path: self.folder.join("log"),
            what,
        }
    }

    fn failed(&self, doing: &str, error: fjall::Error) -> StorageError {
        translate(&self.folder, doing, error)
    }

    fn get<T: for<'a> Deserialize<'a>>(&self, key: &[u8]) -> Result<Option<T>, StorageError> {
        let value = self.keyspace.get(key);
        let value = value.map_err(|error| self.failed("read the database", error))?;
        let Some(value) = value else { return Ok(None) };
        let decoded = record::decode(key, &value).map_err(|what| self.damaged(what))?;
        Ok(Some(decoded))
    }

    fn record(&self, first: Index) -> Result<Entries, StorageError> {
        let entries: Option<Entries> = self.get(&record::key(first))?;
        let entries = entries.filter(|entries| entries.first_index() == Some(first));
        entries.ok_or_else(|| self.damaged(format!("the record of entry {first} is missing")))
    }

    fn recover_log(&mut self) -> Result<Entries, StorageError> {
        self.records.clear();
        let mut log = EntriesBuilder::new();
        for pair in self.keyspace.prefix([record::ENTRIES]) {
            let read = |error| translate(&self.folder, "read the database", error);
            let (key, value) = pair.into_inner().map_err(read)?;
            let decoded = record::decode::<Entries>(&key, &value);
            let entries = decoded.map_err(|what| self.damaged(what))?;
            let (Some(first), Some(last)) = (entries.first_index(), entries.last_id()) else {
                return Err(self.damaged("a record without entries".into()));
            };
            self.records.insert(first, last.index);
            for entry in &entries {
                if entry.index() <= self.meta.floor {
                    continue;
                }
                let pushed = log.push(entry.id(), entry.kind(), entry.share_payload());
                pushed.map_err(|error| self.damaged(error.to_string()))?;
            }
        }
        Ok(log.finish())
    }

    /// Takes a write's effects into `staged`, in the order of its fields.
    fn stage(&mut self, write: &Write, staged: &mut Staged) -> Result<(), StorageError> {
        if let Some(identity) = &write.identity {
            staged.identity = Some((**identity).clone());
        }
        if let Some(hard_state) = write.hard_state {
            self.meta.hard_state = hard_state;
        }
        if let Some(install) = &write.install {
            self.files.install(install.snapshot.id)?;
            match install.log {
                InstalledLog::KeepsTail => {
                    self.drop_through(install.snapshot.id.last.index, staged);
                }
                InstalledLog::IsDropped => self.drop_through(Index(u64::MAX), staged),
            }
            self.meta.floor = install.snapshot.id.last.index;
            self.meta.snapshot = Some(install.snapshot.id);
            staged.snapshot = Some(install.snapshot.clone());
        }
        if let Some(compact) = &write.compact {
            self.drop_through(compact.drop_through, staged);
            self.meta.floor = self.meta.floor.max(compact.drop_through);
            self.meta.snapshot = Some(compact.snapshot.id);
            staged.snapshot = Some(compact.snapshot.clone());
        }
        let (Some(first), Some(last)) = (write.entries.first_index(), write.entries.last_id())
        else {
            return Ok(());
        };
        self.truncate(first, staged)?;
        self.records.insert(first, last.index);
        staged.records.insert(first, Some(write.entries.clone()));
        Ok(())
    }

    /// Deletes the records that end at `index` or before.
    fn drop_through(&mut self, index: Index, staged: &mut Staged) {
        while let Some(record) = self.records.first_entry() {
            if *record.get() > index {
                return;
            }
            staged.records.insert(*record.key(), None);
            record.remove();
        }
    }

    /// Deletes the entries from `from` on.
    fn truncate(&mut self, from: Index, staged: &mut Staged) -> Result<(), StorageError> {
        while let Some(record) = self.records.last_entry() {
            let (first, last) = (*record.key(), *record.get());
            if last < from {
                return Ok(());
            }
            record.remove();
            if first >= from {
                staged.records.insert(first, None);
                continue;
            }
            let whole = match staged.records.get(&first) {
                Some(Some(entries)) => entries.clone(),
                Some(None) | None => self.record(first)?,
            };
            let kept = take_until(&whole, from)?;
            self.records.insert(first, from.previous());
            staged.records.insert(first, Some(kept));
        }
        Ok(())
    }

    fn commit(&mut self, staged: Staged) -> Result<(), StorageError> {
        self.meta.writes += 1;
        let batch = self.database.batch();
        let mut batch = batch.durability(Some(PersistMode::SyncData));
        let mut bytes = 0;
        for (first, entries) in &staged.records {
            match entries {
                Some(entries) => bytes += self.put(&mut batch, &record::key(*first), entries)?,
                None => {
                    batch.remove(&self.keyspace, record::key(*first));
                    bytes += JOURNAL_OVERHEAD;
                }
            }
        }
        if let Some(identity) = &staged.identity {
            bytes += self.put(&mut batch, record::IDENTITY, identity)?;
        }
        if let Some(snapshot) = &staged.snapshot {
            bytes += self.put(&mut batch, record::SNAPSHOT, snapshot)?;
        }
        let meta = self.put(&mut batch, record::META, &self.meta)?;
        self.ahead.prepare(bytes + meta);
        self.tidy.wrote(bytes + meta);
        let committed = batch.commit();
        committed.map_err(|error| self.failed("write to the database", error))?;
        self.mark.write(self.meta.writes)
    }

    /// Says how many bytes of the journal it takes at most.
    fn put(
        &self,
        batch: &mut OwnedWriteBatch,
        key: &[u8],
        value: &impl Serialize,
    ) -> Result<u64, StorageError> {
        let value = record::encode(key, value).map_err(StorageError::Contract)?;
        let bytes = (key.len() + value.len()) as u64 + JOURNAL_OVERHEAD;
        batch.insert(&self.keyspace, key, value);
        Ok(bytes)
    }
}

impl Storage for DiskStorage {
    fn recover(&mut self) -> Result<Recovered, StorageError> {
        let entries = self.recover_log()?;
        let snapshot: Option<SnapshotMeta> = self.get(record::SNAPSHOT)?;
        if snapshot.as_ref().map(|meta| meta.id) != self.meta.snapshot {
            return Err(self.damaged("two records name different snapshots".into()));
        }
        self.files.keep_only(self.meta.snapshot)?;
        // What was found may have lain in the page cache only.
        let synced = self.database.persist(PersistMode::SyncAll);
        synced.map_err(|error| self.failed("sync the database", error))?;
        self.mark.sync()?;
        Ok(Recovered {
            identity: self.get(record::IDENTITY)?,
            hard_state: self.meta.hard_state,
            snapshot,
            entries,
            applied: None,
        })
    }

    fn write(&mut self, writes: &[Write]) -> Result<(), StorageError> {
        if std::mem::replace(&mut self.is_failed, true) {
            let what = "a write after one that failed";
            return Err(StorageError::Contract(what.into()));
        }
        let mut staged = Staged::default();
        for write in writes {
            self.stage(write, &mut staged)?;
        }
        let has_deleted = staged.records.values().any(Option::is_none);
        self.commit(staged)?;
        self.is_failed = false;
        if has_deleted {
            self.tidy.check(&self.database, &self.keyspace);
        }
        Ok(())
    }

    fn read_entries(
        &mut self,
        from: EntryId,
        to: EntryId,
        max_bytes: u64,
    ) -> Result<Option<Entries>, StorageError> {
        let begin = self.records.range(..=from.index).next_back();
        let Some((first, _)) = begin.filter(|_| from.index > self.meta.floor) else {
            return Ok(None);
        };
        let mut read = EntriesBuilder::new();
        let (mut count, mut bytes) = (0_u64, 0);
        'records: for first in self
            .records
            .range(*first..=to.index)
            .map(|(first, _)| *first)
        {
            for entry in &self.record(first)? {
                if entry.index() < from.index {
                    continue;
                }
                if count == 0 && entry.id() != from {
                    return Ok(None);
                }
                bytes += entry.payload().len() as u64 + ENTRY_OVERHEAD;
                if entry.index() > to.index || (count > 0 && bytes > max_bytes) {
                    break 'records;
                }
                let pushed = read.push(entry.id(), entry.kind(), entry.share_payload());
                pushed.map_err(|error| self.damaged(error.to_string()))?;
                count += 1;
            }
        }
        Ok((count > 0).then(|| read.finish()))
    }

    fn snapshots(&self) -> Arc<dyn Snapshots> {
        self.files.clone()
    }
}

/// The entries before `end`.
fn take_until(entries: &Entries, end: Index) -> Result<Entries, StorageError> {
    let mut kept = EntriesBuilder::new();
    for entry in entries.iter().take_while(|entry| entry.index() < end) {
        let pushed = kept.push(entry.id(), entry.kind(), entry.share_payload());
        pushed.map_err(|error| StorageError::Contract(error.to_string()))?;
    }
    Ok(kept.finish())
}

type Opened = (Database, Keyspace);

/// Drops a write that was torn.
fn open_or_mend(folder: &Path) -> Result<(Opened, Option<Cut>), StorageError> {
    let (torn, error) = match open_database(folder) {
        Ok(opened) => return Ok((opened, None)),
        Err((is_torn, error)) => (is_torn, error),
    };
    let cut = if torn { journal::cut(folder)? } else { None };
    let Some(cut) = cut else { return Err(error) };
    match open_database(folder) {
        Ok(opened) => Ok((opened, Some(cut))),
        Err((_, error)) => {
            journal::put_back(folder)?;
            Err(error)
        }
    }
}

/// Opens the database; if that fails, says whether it is that a batch is not what it was.
fn open_database(folder: &Path) -> Result<Opened, (bool, StorageError)> {
    // What is compacted before its memtable is full is never written into a table: see `tidy`. So a
    // memtable has room for what a log grows by from snapshot to snapshot.
    const MEMTABLE_BYTES: u64 = 96 << 20;
    const JOURNAL_BYTES: u64 = 384 << 20;
    let open = || {
        let builder = Database::builder(folder.join("log"));
        let builder = builder
            .max_journaling_size(JOURNAL_BYTES)
            .cache_size(1 << 20);
        let database = builder.manual_journal_persist(true).open()?;
        // Records are read once, in order, and are deleted soon.
        let options = || {
            let options = KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
            options.data_block_compression_policy(fjall::config::CompressionPolicy::disabled())
        };
        let keyspace = database.keyspace("raft", options)?;
        Ok((database, keyspace))
    };
    // Damaged files make the database panic here and there.
    let opened = std::panic::catch_unwind(open);
    let opened = opened.map_err(|_| {
        let place = folder.join("log");
        let what = "the database cannot be opened".into();
        (false, StorageError::Damaged { path: place, what })
    })?;
    opened.map_err(|error: fjall::Error| {
        let mismatch = JournalRecoveryError::ChecksumMismatch;
        let is_torn = matches!(&error, fjall::Error::JournalRecovery(it) if *it == mismatch);
        (is_torn, translate(folder, "open the database", error))
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open")]
fn translate(folder: &Path, doing: &str, error: fjall::Error) -> StorageError {
    let place = folder.join("log");
    match error {
        fjall::Error::Io(source) => {
            StorageError::io(format!("{doing} in {}", place.display()), source)
        }
        fjall::Error::Locked => StorageError::InUse {
            path: folder.to_owned(),
        },
        other => StorageError::Damaged {
            path: place,
            what: format!("{doing}: {other}"),
        },
    }
}
