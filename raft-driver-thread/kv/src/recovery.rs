//! New clusters that begin with the state of a backup, or of a survivor of a lost cluster.
//!
//! No server runs on these directories meanwhile. The new data directory gets its name only when it
//! is complete.

use super::data_dir::{DataDir, DataDirError};
use super::settings::{Founder, Identity};
use super::state::{BackupSummary, Machine, Operation, Payload, StoredKey, read_backup};
use raft_driver_thread::raft_proto::{
    ClusterId, Compaction, Entries, EntryId, EntryKind, GroupId, HardState, HistoryId, Index,
    Member, Membership, NodeId, Seq, SnapshotId, SnapshotMeta, Term, Write,
};
use raft_driver_thread::storage::disk::DiskStorage;
use raft_driver_thread::storage::{Storage, StorageError};
use raft_driver_thread::{StateMachine, fresh_incarnation};
use std::fs::{self, File};
use std::io::{self, BufReader, Seek};
use std::path::{Path, PathBuf};

/// How many bytes of a backup are read and loaded at once.
const BATCH_BYTES: usize = 1 << 20;

/// Why no new cluster was founded. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The old or the new data directory is not as it must be.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The log or the snapshots cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The new data directory exists already.
    #[error("{} exists already: name another directory", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The survivor has never run, or never heard from a leader.
    #[error(
        "{} holds no entry: there is nothing to recover; found a new cluster with `raft-kv init`",
        path.display()
    )]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// A newer release wrote the log.
    #[error("{reason}")]
    Unreadable {
        /// Which entry.
        reason: String,
    },
    /// Neither the caller nor the survivor knows where other servers reach this server.
    #[error("the address where other servers reach node {node} is unknown: give --peers host:port")]
    NoAddress {
        /// The node id.
        node: u64,
    },
    /// A file cannot be read or written, or is not a backup.
    #[error("{doing}: {source}")]
    Io {
        /// The operation that failed, and on which file.
        doing: String,
        /// The error.
        source: io::Error,
    },
}

fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> RecoveryError {
    let doing = format!("{doing} {}", path.display());
    move |source| RecoveryError::Io { doing, source }
}

/// The content of a survivor's data directory.
#[derive(Debug)]
pub struct Survivor {
    /// Its identity in the lost cluster.
    pub identity: Identity,
    /// Where the other servers reached it, if it knew.
    pub peers: Option<String>,
    /// The last entry of its log.
    pub last: EntryId,
    /// The voters of the last configuration in its log.
    pub voters: Vec<u64>,
    machine: Machine,
}

impl Survivor {
    /// Applies the snapshot and the whole log of a stopped server, whether committed or not.
    ///
    /// # Errors
    ///
    /// [`RecoveryError`]; [`DataDirError::Locked`] if the server runs.
    pub fn read(path: &Path) -> Result<Survivor, RecoveryError> {
        let data_dir = DataDir::open(path)?;
        if !data_dir.log_dir().exists() {
            let path = path.to_owned();
            return Err(RecoveryError::Empty { path });
        }
        let mut storage = DiskStorage::open(data_dir.log_dir())?;
        let recovered = storage.recover()?;
        let mut machine = Machine::new();
        let mut last = EntryId::default();
        let mut members = recovered.identity.map(|identity| identity.bootstrap);
        if let Some(meta) = &recovered.snapshot {
            load(&mut machine, &storage, meta.id)?;
            last = meta.id.last;
            members = Some(meta.membership.clone());
        }
        for entry in &entries_after(&recovered.entries, last) {
            match entry.kind() {
                EntryKind::Command => {
                    machine.apply_one(entry.index().0, entry.payload());
                    if let Some(reason) = machine.failure() {
                        return Err(RecoveryError::Unreadable { reason });
                    }
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
        let identity = data_dir.identity().clone();
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

    /// How many keys it holds.
    pub fn key_count(&self) -> u64 {
        self.machine.key_count()
    }

    /// Founds a new cluster of this server alone, in a new data directory with these
    /// [settings](DataDir::save_settings). The old directory stays unchanged.
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
        let nodes = self.machine.addresses().map(|address| address.node);
        let others: Vec<_> = nodes.filter(|node| *node != identity.node).collect();
        for node in others {
            self.last.index = self.last.index.next();
            let operation = Operation::RemoveAddress(node);
            apply(&mut self.machine, self.last.index, 0, operation);
        }
        create_data_dir(path, identity, settings, self.machine, self.last)
    }
}

/// The entries of the recovered log after the snapshot; none if the log conflicts with it.
fn entries_after(
    entries: &Entries,
    snapshot: EntryId,
) -> Vec<raft_driver_thread::raft_proto::Entry<'_>> {
    let mut all = entries.iter();
    match all.find(|entry| entry.index() >= snapshot.index) {
        Some(entry) if entry.index() == snapshot.index && entry.id() != snapshot => Vec::new(),
        Some(_) | None => entries
            .iter()
            .filter(|entry| entry.index() > snapshot.index)
            .collect(),
    }
}

/// Counts the keys in a snapshot of a stopped server.
///
/// # Errors
///
/// [`RecoveryError`].
pub fn count_snapshot_keys(data_dir: &DataDir, snapshot: SnapshotId) -> Result<u64, RecoveryError> {
    let mut machine = Machine::new();
    load(
        &mut machine,
        &DiskStorage::open(data_dir.log_dir())?,
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
    // The reader compares the checksum at the end of the file.
    let restored = restored.and_then(|()| io::copy(&mut reader, &mut io::sink()));
    restored.map(|_| ()).map_err(|source| RecoveryError::Io {
        doing: format!("load the snapshot at {}", snapshot.last),
        source,
    })
}

/// Founds a new cluster of one server with the keys of a backup, in a new data directory with these
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
    // Only at its end is it known whether the backup is complete, so it is read twice.
    let summary = check_backup(&opened).map_err(failed("read", file))?;
    opened.rewind().map_err(failed("read", file))?;
    let mut loader = BackupLoader {
        machine: Machine::new(),
        last: Index(0),
        time: summary.time,
        keys: Vec::new(),
        bytes: 0,
    };
    let mut reader = BufReader::with_capacity(BATCH_BYTES, opened);
    let each = |key| {
        loader.add(key);
        Ok(())
    };
    read_backup(&mut reader, each).map_err(failed("read", file))?;
    loader.flush();
    let last = EntryId {
        index: loader.last,
        term: Term(1),
    };
    create_data_dir(path, identity, settings, loader.machine, last)?;
    Ok(summary)
}

/// Reads a backup to its end.
///
/// # Errors
///
/// Those of reading; [`InvalidData`](io::ErrorKind::InvalidData) if it is not a complete backup.
pub fn check_backup(file: &File) -> io::Result<BackupSummary> {
    let mut reader = BufReader::with_capacity(BATCH_BYTES, file);
    read_backup(&mut reader, |_| Ok(()))
}

/// Applies a backup's keys in batches, as a leader would have proposed them.
struct BackupLoader {
    machine: Machine,
    last: Index,
    time: u64,
    keys: Vec<StoredKey>,
    bytes: usize,
}

impl BackupLoader {
    fn add(&mut self, key: StoredKey) {
        self.bytes += key.name.len() + key.value.len();
        self.keys.push(key);
        if self.bytes >= BATCH_BYTES {
            self.flush();
        }
    }

    /// Applies the batch. Without any keys, it still brings the state to the backup's time.
    fn flush(&mut self) {
        self.last = self.last.next();
        let operation = Operation::Load(std::mem::take(&mut self.keys));
        apply(&mut self.machine, self.last, self.time, operation);
        self.bytes = 0;
    }
}

fn apply(machine: &mut Machine, index: Index, unix_millis: u64, operation: Operation) {
    let payload = Payload::encode_parts(unix_millis, &operation);
    machine.apply_one(index.0, &payload);
}

/// Creates a data directory whose snapshot is this state, up to the entry `last`.
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
    fs::create_dir_all(parent).map_err(failed("create", parent))?;
    let aside = tempfile::Builder::new()
        .prefix(".raft-kv.")
        .tempdir_in(parent);
    let aside = aside.map_err(failed("create a directory in", parent))?;
    let data_dir = DataDir::create(aside.path(), identity)?;
    data_dir.save_settings(settings)?;
    write_state(&data_dir, machine, last)?;
    drop(data_dir);
    fs::rename(aside.path(), path).map_err(failed("create", path))?;
    // The temporary name is gone, so there is nothing to delete.
    let _ = aside.keep();
    let synced = File::open(parent).and_then(|parent| parent.sync_all());
    synced.map_err(failed("sync", parent))
}

fn write_state(
    data_dir: &DataDir,
    mut machine: Machine,
    last: EntryId,
) -> Result<(), RecoveryError> {
    let identity = data_dir.identity();
    let voter =
        |founder: &Founder| Member::voter(NodeId(founder.node)).with_context(founder.peers.clone());
    let membership = Membership::of(identity.founders.iter().map(voter));
    // This storage is the founding of a history of its own, in which its disk is named.
    let incarnation = fresh_incarnation();
    let named = membership.members().iter().cloned();
    let named = named.map(|member| member.with_incarnation(incarnation));
    let named = Membership::of(named).with_history(HistoryId(incarnation.0));
    let mut storage = DiskStorage::open(data_dir.log_dir())?;
    storage.recover()?;
    let mut sink = storage.snapshots().create()?;
    let written = Machine::write_snapshot(machine.snapshot(), &mut sink);
    written.map_err(failed("write a snapshot in", data_dir.path()))?;
    let id = sink.finish(last)?;
    let owner = raft_driver_thread::raft_proto::Identity {
        cluster_id: ClusterId(identity.cluster),
        group_id: GroupId(0),
        node_id: NodeId(identity.node),
        bootstrap: membership,
        incarnation: Some(incarnation),
    };
    let first = Write {
        seq: Seq(1),
        identity: Some(Box::new(owner)),
        hard_state: Some(HardState {
            term: last.term,
            voted_for: None,
        }),
        compact: Some(Box::new(Compaction {
            snapshot: SnapshotMeta {
                id,
                membership: named,
            },
            drop_through: last.index,
        })),
        ..Write::default()
    };
    storage.write(&[first])?;
    Ok(())
}
