//! Clusters that begin with a state that there is already: that of a backup, or of a survivor.
//!
//! No server runs meanwhile. The new folder has its name only when all of it is there.

use super::data_dir::{DataDir, DataDirError};
use super::settings::{Founder, Identity};
use super::state::{BackupSummary, Machine, Operation, Payload, read_backup};
use bytes::Bytes;
use raft_driver_thread::StateMachine;
use raft_driver_thread::raft_proto::{
    ClusterId, Compaction, Entries, EntryId, EntryKind, GroupId, HardState, Index, Member,
    Membership, NodeId, Seq, SnapshotId, SnapshotMeta, Term, Write,
};
use raft_driver_thread::storage::disk::DiskStorage;
use raft_driver_thread::storage::{Storage, StorageError};
use std::fs::{self, File};
use std::io::{self, BufReader, Seek};
use std::path::{Path, PathBuf};

/// How many bytes of a backup are loaded at once.
const PIECE: usize = 1 << 20;

/// Why no cluster was founded. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Of the old or the new folder.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The log or the snapshots.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The new folder is there already.
    #[error("{} is there already: name another directory", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The survivor has never run, or never heard from a leader.
    #[error(
        "{} holds no entry: there is nothing to recover; found a new cluster with `raft-kv init`",
        path.display()
    )]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// It is not said where the others reach the server, and the survivor does not know it either.
    #[error("it is not known where other servers reach node {node}: give --peers host:port")]
    NoAddress {
        /// The node.
        node: u64,
    },
    /// A file cannot be read or written, or is no backup.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, to which file.
        doing: String,
        /// What was wrong.
        source: io::Error,
    },
}

fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> RecoveryError {
    let doing = format!("{doing} {}", path.display());
    move |source| RecoveryError::Io { doing, source }
}

/// What stands in a survivor's folder.
#[derive(Debug)]
pub struct Survivor {
    /// Whose it was.
    pub identity: Identity,
    /// Where the others reached it, if it knew.
    pub peers: Option<String>,
    /// The last entry of its log.
    pub last: EntryId,
    /// Those that voted with it, as of its last configuration.
    pub voters: Vec<u64>,
    machine: Machine,
}

impl Survivor {
    /// Applies all that a stopped server's folder holds: its snapshot, and all of its log, be it
    /// committed or not.
    ///
    /// # Errors
    ///
    /// [`RecoveryError`]; [`DataDirError::Locked`] if the server runs.
    pub fn read(path: &Path) -> Result<Survivor, RecoveryError> {
        let folder = DataDir::open(path)?;
        if !folder.log_dir().exists() {
            let path = path.to_owned();
            return Err(RecoveryError::Empty { path });
        }
        let mut storage = DiskStorage::open(folder.log_dir())?;
        let recovered = storage.recover()?;
        let mut machine = Machine::new();
        let mut last = EntryId::default();
        let mut members = recovered.identity.map(|identity| identity.bootstrap);
        if let Some(meta) = &recovered.snapshot {
            load(&mut machine, &storage, meta.id)?;
            last = meta.id.last;
            members = Some(meta.membership.clone());
        }
        for entry in &log(&recovered.entries, last) {
            match entry.kind() {
                EntryKind::Command => {
                    machine.apply_one(entry.index().0, entry.payload());
                }
                EntryKind::Membership => members = Membership::decode(entry.payload()).or(members),
                EntryKind::Noop => {}
            }
            last = entry.id();
        }
        if last == EntryId::default() {
            let path = path.to_owned();
            return Err(RecoveryError::Empty { path });
        }
        let identity = folder.identity().clone();
        let members = members.unwrap_or_default();
        let me = members.get(NodeId(identity.node));
        let peers = me.and_then(|me| String::from_utf8(me.context.to_vec()).ok());
        Ok(Survivor {
            peers: peers.filter(|peers| !peers.is_empty()),
            voters: members.voters().map(|node| node.0).collect(),
            identity,
            last,
            machine,
        })
    }

    /// How many keys it has.
    pub fn key_count(&self) -> u64 {
        self.machine.key_count()
    }

    /// Founds a new cluster of this server alone, in a new folder with these
    /// [settings](DataDir::save_settings). The old one stays as it is.
    ///
    /// # Errors
    ///
    /// [`RecoveryError`].
    pub fn found_cluster(
        mut self,
        path: &Path,
        identity: &Identity,
        settings: &str,
    ) -> Result<(), RecoveryError> {
        let servers = self.machine.addresses().map(|server| server.node);
        let gone: Vec<_> = servers.filter(|node| *node != identity.node).collect();
        for node in gone {
            self.last.index = self.last.index.next();
            let operation = Operation::RemoveAddress(node);
            apply(&mut self.machine, self.last.index, 0, operation);
        }
        create_data_dir(path, identity, settings, self.machine, self.last)
    }
}

/// The part of the recovered log that follows the snapshot; nothing of one that contradicts it.
fn log(entries: &Entries, snapshot: EntryId) -> Vec<raft_driver_thread::raft_proto::Entry<'_>> {
    let mut all = entries.iter();
    let at = all.find(|entry| entry.index() >= snapshot.index);
    match at {
        Some(entry) if entry.index() == snapshot.index && entry.id() != snapshot => Vec::new(),
        Some(_) | None => entries
            .iter()
            .filter(|entry| entry.index() > snapshot.index)
            .collect(),
    }
}

/// How many keys the snapshot of a stopped server holds.
///
/// # Errors
///
/// [`RecoveryError`].
pub fn count_snapshot_keys(folder: &DataDir, snapshot: SnapshotId) -> Result<u64, RecoveryError> {
    let mut machine = Machine::new();
    load(
        &mut machine,
        &DiskStorage::open(folder.log_dir())?,
        snapshot,
    )?;
    Ok(machine.key_count())
}

fn load(
    machine: &mut Machine,
    storage: &DiskStorage,
    snapshot: SnapshotId,
) -> Result<(), RecoveryError> {
    let mut reader = BufReader::new(storage.snapshots().open(snapshot)?);
    let restored = machine.restore(&mut reader);
    // To the end, where the reader compares the checksum.
    let restored = restored.and_then(|()| io::copy(&mut reader, &mut io::sink()));
    restored.map(|_| ()).map_err(|source| RecoveryError::Io {
        doing: format!("load the snapshot at {}", snapshot.last),
        source,
    })
}

/// Founds a new cluster of one server with the keys of a backup, in a new folder with these
/// [settings](DataDir::save_settings).
///
/// # Errors
///
/// [`RecoveryError`].
pub fn restore(
    file: &Path,
    path: &Path,
    identity: &Identity,
    settings: &str,
) -> Result<BackupSummary, RecoveryError> {
    let mut opened = File::open(file).map_err(failed("read", file))?;
    // Whether all of it is whole is known only at its end.
    let backed_up = check_backup(&opened).map_err(failed("read", file))?;
    opened.rewind().map_err(failed("read", file))?;
    let mut loader = Loader {
        machine: Machine::new(),
        last: Index(0),
        time: backed_up.time,
        keys: Vec::new(),
        bytes: 0,
    };
    let mut reader = BufReader::with_capacity(PIECE, opened);
    let each = |key, value, expiry| {
        loader.add(key, value, expiry);
        Ok(())
    };
    read_backup(&mut reader, each).map_err(failed("read", file))?;
    loader.flush();
    let last = EntryId {
        index: loader.last,
        term: Term(1),
    };
    create_data_dir(path, identity, settings, loader.machine, last)?;
    Ok(backed_up)
}

/// Reads a backup to its end: of which moment it is, and how many keys it holds.
///
/// # Errors
///
/// Those of reading; [`InvalidData`](io::ErrorKind::InvalidData) if it is no whole backup.
pub fn check_backup(file: &File) -> io::Result<BackupSummary> {
    let mut reader = BufReader::with_capacity(PIECE, file);
    read_backup(&mut reader, |_, _, _| Ok(()))
}

/// Applies a backup's keys as a leader would have proposed them.
struct Loader {
    machine: Machine,
    last: Index,
    time: u64,
    keys: Vec<(Bytes, Bytes, Option<u64>)>,
    bytes: usize,
}

impl Loader {
    fn add(&mut self, key: Bytes, value: Bytes, expiry: Option<u64>) {
        self.bytes += key.len() + value.len();
        self.keys.push((key, value, expiry));
        if self.bytes >= PIECE {
            self.flush();
        }
    }

    /// Also without any keys: then the state begins at the backup's time.
    fn flush(&mut self) {
        self.last = self.last.next();
        let operation = Operation::Load(std::mem::take(&mut self.keys));
        apply(&mut self.machine, self.last, self.time, operation);
        self.bytes = 0;
    }
}

fn apply(machine: &mut Machine, index: Index, unix_millis: u64, operation: Operation) {
    machine.apply_one(
        index.0,
        &Payload {
            unix_millis,
            operation,
        }
        .encode(),
    );
}

/// Writes a folder whose snapshot is this state, after the entry `last`.
fn create_data_dir(
    path: &Path,
    identity: &Identity,
    settings: &str,
    machine: Machine,
    last: EntryId,
) -> Result<(), RecoveryError> {
    let exists = || RecoveryError::Exists {
        path: path.to_owned(),
    };
    if path.exists() {
        return Err(exists());
    }
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(failed("make", parent))?;
    let aside = tempfile::Builder::new()
        .prefix(".raft-kv.")
        .tempdir_in(parent);
    let aside = aside.map_err(failed("make a folder in", parent))?;
    let folder = DataDir::create(aside.path(), identity)?;
    folder.save_settings(settings)?;
    write(&folder, machine, last)?;
    drop(folder);
    fs::rename(aside.path(), path).map_err(failed("make", path))?;
    // Nothing is there any more under the name that would be deleted.
    let _ = aside.keep();
    let synced = File::open(parent).and_then(|parent| parent.sync_all());
    synced.map_err(failed("sync", parent))
}

fn write(folder: &DataDir, mut machine: Machine, last: EntryId) -> Result<(), RecoveryError> {
    let identity = folder.identity();
    let voter =
        |founder: &Founder| Member::voter(NodeId(founder.node)).with_context(founder.peers.clone());
    let membership = Membership::of(identity.founders.iter().map(voter));
    let mut storage = DiskStorage::open(folder.log_dir())?;
    storage.recover()?;
    let mut sink = storage.snapshots().create()?;
    let written = Machine::write_snapshot(machine.snapshot(), &mut sink);
    written.map_err(failed("write a snapshot in", folder.path()))?;
    let id = sink.finish(last)?;
    let owner = raft_driver_thread::raft_proto::Identity {
        cluster_id: ClusterId(identity.cluster),
        group_id: GroupId(0),
        node_id: NodeId(identity.node),
        bootstrap: membership.clone(),
    };
    let first = Write {
        seq: Seq(1),
        identity: Some(Box::new(owner)),
        hard_state: Some(HardState {
            term: last.term,
            voted_for: None,
        }),
        compact: Some(Box::new(Compaction {
            snapshot: SnapshotMeta { id, membership },
            drop_through: last.index,
        })),
        ..Write::default()
    };
    storage.write(&[first])?;
    Ok(())
}
