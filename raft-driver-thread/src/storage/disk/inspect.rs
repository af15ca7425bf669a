//! Inspects the folder of a node that does not run: what it holds, and whether any of it is
//! damaged.

use super::damage::Damage;
use super::files::{Files, Purpose, System};
use super::folder::{self, FORMAT, failed};
use super::mark::Acknowledged;
use super::pieces::Pieces;
use super::scan::understand;
use super::snapshots::SnapshotFiles;
use crate::storage::StorageError;
use raft_proto::{Entries, EntryId, HardState, Identity, Index, SnapshotMeta};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a folder of a [`DiskStorage`](super::DiskStorage) holds.
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
    /// Drawn when the folder was made.
    pub incarnation: u128,
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
    /// How many records hold the entries.
    pub records: u64,
    /// The number of the last record.
    pub writes: u64,
    /// What the node may have acknowledged: with damage it may be more than what is left.
    pub acknowledged: Acknowledged,
    /// At the log's end lies a part of a write that was never acknowledged. A start drops it.
    pub is_torn: bool,
    /// What is damaged. A node starts only if this is empty.
    pub problems: Vec<Damage>,
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
                // As the members name it, in their logs and their configurations.
                if let Some(disk) = it.incarnation {
                    writeln!(f, "disk        {disk}")?;
                }
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
        writeln!(f, "folder id   {:032x}", self.incarnation)?;
        if self.is_torn {
            writeln!(
                f,
                "torn        a write at the end that was never acknowledged; a start drops it"
            )?;
        }
        for problem in &self.problems {
            writeln!(f, "DAMAGED     {problem}")?;
        }
        if !self.problems.is_empty() {
            let Acknowledged { last, hard_state } = self.acknowledged;
            let term = hard_state.term;
            writeln!(f, "promised    entry {last} and term {term} at most")?;
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
/// continues after what is damaged. The entries of every record that can be read are given to
/// `each`, in the log's order. Changes nothing. [`DiskStorage::open`](super::DiskStorage::open)
/// and loading the snapshot succeed if there is no problem, and only then.
///
/// # Errors
///
/// [`StorageError::InUse`] if a node uses the folder, [`StorageError::UnknownVersion`] if another
/// version wrote it, [`StorageError::Damaged`] if its file `FORMAT` is damaged, and those of the
/// operating system.
pub fn inspect(
    folder: impl AsRef<Path>,
    each: impl FnMut(&Entries),
) -> Result<Inspection, StorageError> {
    inspect_with(Arc::new(System), folder, each, |_, _| ())
}

/// As [`inspect`], in this file system. `progress` is told now and then how many bytes of how many
/// are read.
///
/// # Errors
///
/// As [`inspect`].
pub fn inspect_with(
    files: Arc<dyn Files>,
    folder: impl AsRef<Path>,
    mut each: impl FnMut(&Entries),
    mut progress: impl FnMut(u64, u64),
) -> Result<Inspection, StorageError> {
    let folder = folder.as_ref();
    let format = folder.join(FORMAT);
    let missing = || failed("read", &format)(io::ErrorKind::NotFound.into());
    folder::read_format(&*files, folder)?.ok_or_else(missing)?;
    let _lock = folder::lock(&*files, folder, Purpose::Read)?;
    let incarnation = folder::read_format(&*files, folder)?.ok_or_else(missing)?;
    let found = understand(&*files, folder, incarnation, Purpose::Read, &mut progress)?;
    let snapshots = SnapshotFiles::new(files, folder);
    let mut inspection = Inspection {
        folder: folder.to_owned(),
        incarnation,
        identity: found.state.identity.clone(),
        hard_state: found.state.hard_state,
        snapshot: found.state.snapshot.clone(),
        log: None,
        entries: 0,
        payload_bytes: 0,
        records: 0,
        writes: found.tail.seq.saturating_sub(1),
        acknowledged: found.acknowledged,
        is_torn: found.tail.is_torn,
        problems: found.damages.clone(),
    };
    inspection.count(&found.pieces, found.state.floor, &mut each);
    if let Some(id) = found.state.snapshot_id() {
        let damage = snapshots.verify(id)?;
        inspection.problems.extend(damage);
    }
    Ok(inspection)
}

impl Inspection {
    fn count(&mut self, pieces: &Pieces, floor: Index, each: &mut dyn FnMut(&Entries)) {
        for entries in pieces.by_record(floor) {
            let entries = match entries {
                Ok(entries) => entries,
                Err(error) => {
                    let log = folder::log_folder(&self.folder);
                    self.problems.push(Damage::of(&log, error.to_string()));
                    continue;
                }
            };
            each(&entries);
            let (Some(first), Some(last)) = (entries.iter().next(), entries.last_id()) else {
                continue;
            };
            let first = self.log.map_or(first.id(), |(first, _)| first);
            self.log = Some((first, last));
            self.records += 1;
            self.entries += entries.len() as u64;
            let payloads = entries.iter().map(|entry| entry.payload().len() as u64);
            self.payload_bytes += payloads.sum::<u64>();
        }
    }
}
