//! Looks at a folder whose node does not run: what is in it, and whether all of it is whole.

use super::files::{self, Mark, SnapshotFiles};
use super::{DiskStorage, Meta, StorageError, open_database, record, translate};
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
    /// The cluster, the group and the node to which it belongs; `None` before the first write.
    pub identity: Option<Identity>,
    /// The term and the vote.
    pub hard_state: HardState,
    /// The snapshot that a start would load, with the members as of its last entry.
    pub snapshot: Option<SnapshotMeta>,
    /// The first and the last entry of the log after the snapshot; `None` if it has none.
    pub log: Option<(EntryId, EntryId)>,
    /// How many entries that is.
    pub entries: u64,
    /// The bytes of their payloads.
    pub payload_bytes: u64,
    /// In how many records they lie.
    pub records: u64,
    /// How many calls of `write` the database holds.
    pub writes: u64,
    /// What is damaged, and where. With anything here a node does not start, or would stop.
    pub problems: Vec<String>,
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "folder      {}", self.folder.display())?;
        match &self.identity {
            Some(it) => {
                // In the base in which it is given and configured.
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

/// Reads everything in the folder of a node that does not run, holds it against its checksums, and
/// goes on after what is damaged. Every record of entries that can be read is given to `each`, in
/// the log's order. The database is opened as a start opens it: the torn end of a journal is cut.
///
/// # Errors
///
/// [`StorageError`] if there is no such folder, a node uses it, its version is not known, or its
/// database cannot be opened at all.
pub fn inspect(
    folder: impl AsRef<Path>,
    mut each: impl FnMut(&Entries),
) -> Result<Inspection, StorageError> {
    let folder = folder.as_ref();
    files::check(folder)?;
    let lock = files::lock(folder)?;
    let (database, keyspace) = open_database(folder).map_err(|(_, error)| error)?;
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

struct Inspector {
    storage: DiskStorage,
    problems: Vec<String>,
}

impl Inspector {
    /// The value, or a problem noted in its place.
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
            let what = "two records name different snapshots";
            self.problems.push(what.into());
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
            self.problems.push(error.to_string());
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
            // Where the database itself cannot read on, there is no telling what would follow.
            let read = |error| translate(&self.storage.folder, "read the database", error);
            let (key, value) = pair.into_inner().map_err(read)?;
            let entries = match record::decode::<Entries>(&key, &value) {
                Ok(entries) => entries,
                Err(what) => {
                    self.problems.push(what);
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

    /// Entries follow one another.
    fn expect(&mut self, next: &mut Index, id: EntryId) {
        if id.index != *next {
            let what = format!("entries {next} to {} are missing", id.index.previous());
            self.problems.push(what);
        }
        *next = id.index.next();
    }
}
