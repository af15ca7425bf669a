//! Inspects the folder of a node that does not run: what it holds, and whether any of it is
//! damaged.

use super::files::{self, Mark, SnapshotFiles};
use super::{DiskStorage, Meta, StorageError, journal, open_database, record, translate};
use crate::storage::Snapshots;
use raft_proto::{Entries, EntryId, HardState, Identity, Index, SnapshotId, SnapshotMeta};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a folder of a [`DiskStorage`] holds.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use raft_driver_thread::storage::{Storage, disk};
/// let folder = tempfile::tempdir()?;
/// disk::DiskStorage::open(folder.path())?.recover()?;
/// let found = disk::inspect(folder.path(), |_| ())?;
/// assert!(found.problems.is_empty());
/// println!("{found}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The folder.
    pub folder: PathBuf,
    /// The cluster, the group and the node that it belongs to; `None` before the first write.
    pub identity: Option<Identity>,
    /// The term and the vote.
    pub hard_state: HardState,
    /// The snapshot that a start would load, with the members as of its last entry.
    pub snapshot: Option<SnapshotMeta>,
    /// The first and the last entry of the log after the snapshot; `None` if it has none.
    pub log: Option<(EntryId, EntryId)>,
    /// How many entries the log has.
    pub entries: u64,
    /// The bytes of their payloads.
    pub payload_bytes: u64,
    /// The number of records that hold the entries.
    pub records: u64,
    /// How many calls of [`write`](crate::storage::Storage::write) the database holds.
    pub writes: u64,
    /// What is damaged, and in which file or folder. Unless this is empty, a node does not start,
    /// or stops later.
    pub problems: Vec<String>,
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "folder      {}", self.folder.display())?;
        match &self.identity {
            Some(it) => {
                // In decimal, as in the node's settings.
                let (cluster, group) = (it.cluster_id.0, it.group_id);
                writeln!(
                    f,
                    "node        {} of cluster {cluster}, group {group}",
                    it.node_id
                )?;
                writeln!(f, "bootstrap   {}", it.bootstrap)?;
            }
            None => writeln!(f, "node        none yet: nothing was written")?,
        }
        let HardState { term, voted_for } = self.hard_state;
        match voted_for {
            Some(vote) => writeln!(f, "term        {term}, voted for {vote}")?,
            None => writeln!(f, "term        {term}, no vote")?,
        }
        match &self.snapshot {
            Some(SnapshotMeta { id, membership }) => {
                let (last, size, sum) = (id.last, id.size, id.checksum);
                writeln!(f, "snapshot    {last}, {size} bytes, checksum {sum:08x}")?;
                writeln!(f, "members     {membership}")?;
            }
            None => writeln!(f, "snapshot    none")?,
        }
        match self.log {
            Some((first, last)) => {
                let (count, bytes, records) = (self.entries, self.payload_bytes, self.records);
                writeln!(
                    f,
                    "log         {first} to {last}: {count} entries, {bytes} bytes, {records} records"
                )?;
            }
            None => writeln!(f, "log         empty")?,
        }
        writeln!(f, "writes      {}", self.writes)?;
        for problem in &self.problems {
            writeln!(f, "DAMAGED     {problem}")?;
        }
        match self.problems.len() {
            0 => write!(
                f,
                "whole: every record and the snapshot fit their checksums"
            ),
            count => write!(f, "{count} found damaged"),
        }
    }
}

/// Reads everything in the folder of a node that does not run, compares it with its checksums, and
/// continues after what is damaged. Every record of entries that can be read is given to `each`,
/// in the log's order. Opening the database drops a write at the journal's end that is incomplete,
/// as a start of the node does.
///
/// # Errors
///
/// [`StorageError::Damaged`] if the damage prevents the database from being opened.
/// [`StorageError::InUse`] if a node uses the folder, [`StorageError::UnknownVersion`] if another
/// version wrote it, [`StorageError::Io`] if it is missing or cannot be read.
pub fn inspect(
    folder: impl AsRef<Path>,
    mut each: impl FnMut(&Entries),
) -> Result<Inspection, StorageError> {
    let folder = folder.as_ref();
    files::check(folder)?;
    let lock = files::lock(folder)?;
    let (database, keyspace) =
        open_database(folder).map_err(|(is_torn, error)| explain(is_torn, error))?;
    let storage = DiskStorage {
        database,
        keyspace,
        mark: Mark::open(folder)?,
        ahead: super::ahead::Ahead::new(folder.join("log")),
        files: Arc::new(SnapshotFiles::open(folder)?),
        folder: folder.to_owned(),
        tidy: super::tidy::Tidy::new(),
        meta: Meta::default(),
        records: BTreeMap::new(),
        is_failed: true, // Never to be written.
        _lock: lock,
    };
    let inspector = Inspector {
        problems: Vec::new(),
        storage,
    };
    inspector.run(&mut each)
}

/// The error of a database that does not open, in this crate's words and with a file where one is
/// known.
fn explain(is_torn: bool, error: StorageError) -> StorageError {
    let StorageError::Damaged { path: log, .. } = error else {
        return error;
    };
    if is_torn {
        let newest = journal::newest(&log).ok().flatten();
        StorageError::Damaged {
            path: newest.map_or(log.clone(), |number| log.join(format!("{number}.jnl"))),
            what: "a write in this journal does not match its checksum; a start drops it if it \
                   is the last write and was never acknowledged, and refuses the folder otherwise"
                .into(),
        }
    } else {
        StorageError::Damaged {
            path: log,
            what: "one of the database's files is missing, or does not match its checksum, so \
                   the log cannot be read"
                .into(),
        }
    }
}

struct Inspector {
    storage: DiskStorage,
    problems: Vec<String>,
}

impl Inspector {
    /// Notes a problem in the database.
    fn log_problem(&mut self, what: &str) {
        let log = self.storage.folder.join("log");
        self.problems.push(format!("{}: {what}", log.display()));
    }

    /// The value; `None` if there is a problem instead, which is noted.
    fn take<T>(&mut self, read: Result<T, StorageError>) -> Option<T> {
        read.map_err(|error| self.problems.push(error.to_string()))
            .ok()
    }

    fn run(mut self, each: &mut dyn FnMut(&Entries)) -> Result<Inspection, StorageError> {
        let meta = self.storage.get(record::META);
        self.storage.meta = self.take(meta).flatten().unwrap_or_default();
        let checked = self.storage.check_mark();
        self.take(checked);
        let identity = self.storage.get(record::IDENTITY);
        let identity = self.take(identity).flatten();
        let snapshot: Result<Option<SnapshotMeta>, _> = self.storage.get(record::SNAPSHOT);
        let snapshot = self.take(snapshot).flatten();
        let named = snapshot.as_ref().map(|meta| meta.id);
        if named != self.storage.meta.snapshot {
            self.log_problem("two records name different snapshots");
        }
        if let Some(id) = named {
            self.verify(id);
        }
        let mut found = Inspection {
            folder: self.storage.folder.clone(),
            identity,
            hard_state: self.storage.meta.hard_state,
            snapshot,
            log: None,
            entries: 0,
            payload_bytes: 0,
            records: 0,
            writes: self.storage.meta.writes,
            problems: Vec::new(),
        };
        self.entries(&mut found, each)?;
        found.problems = self.problems;
        Ok(found)
    }

    /// Reads a snapshot to its end, where its checksum is compared.
    fn verify(&mut self, id: SnapshotId) {
        let opened = self.storage.files.open(id);
        let Some(mut reader) = self.take(opened) else {
            return;
        };
        if let Err(error) = io::copy(&mut reader, &mut io::sink()) {
            let path = self.storage.files.path(id);
            self.problems.push(format!("{}: {error}", path.display()));
        }
    }

    fn entries(
        &mut self,
        found: &mut Inspection,
        each: &mut dyn FnMut(&Entries),
    ) -> Result<(), StorageError> {
        let floor = self.storage.meta.floor;
        let mut next = floor.next();
        let keyspace = self.storage.keyspace.clone();
        for pair in keyspace.prefix([record::ENTRIES]) {
            let read = |error| translate(&self.storage.folder, "read the database", error);
            let (key, value) = match pair.into_inner().map_err(read) {
                Ok(pair) => pair,
                Err(StorageError::Damaged { .. }) => {
                    // Nobody can tell what would follow.
                    self.log_problem(&format!("nothing can be read from entry {next} on"));
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let entries = match record::decode::<Entries>(&key, &value) {
                Ok(entries) => entries,
                Err(what) => {
                    self.log_problem(&what);
                    continue;
                }
            };
            found.records += 1;
            each(&entries);
            for entry in entries.iter().filter(|entry| entry.index() > floor) {
                self.expect(&mut next, entry.id());
                let (first, _) = found.log.unwrap_or((entry.id(), entry.id()));
                found.log = Some((first, entry.id()));
                found.entries += 1;
                found.payload_bytes += entry.payload().len() as u64;
            }
        }
        Ok(())
    }

    /// Notes a gap between entries.
    fn expect(&mut self, next: &mut Index, id: EntryId) {
        if id.index != *next {
            let what = format!("entries {next} to {} are missing", id.index.previous());
            self.log_problem(&what);
        }
        *next = id.index.next();
    }
}
