//! Stable storage: the log, the hard state, and the snapshots' bytes.
//!
//! There are two traits, because there are two kinds of work. [`Storage`] belongs to the disk
//! thread alone, which gives it every write in order and waits for it: one call is one sync (group
//! commit). [`Snapshots`] is shared by the threads that make, send and receive snapshots. None of
//! them may delay the log.
//!
//! Any implementation will do that keeps the contract of the traits. [`conformance`] checks that.

mod conformance;
mod damage;
#[cfg(feature = "disk")]
pub mod disk;
mod memory;
mod scrub;

pub use conformance::{ConformanceError, conformance};
pub use damage::Damage;
pub use memory::MemoryStorage;
pub use scrub::{Decay, Pace, Rate, Scrub};

use bytes::Bytes;
use raft_proto::mending::Missing;
use raft_proto::{
    Entries, EntryId, EntryKind, Identity, Index, Membership, NodeId, Recovered, SnapshotId,
    SnapshotMeta, SnapshotReadFailed, SnapshotWriteFailed, Write,
};
#[cfg(doc)]
use raft_proto::{comparison, mending};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The log and the hard state of one node, on stable storage.
///
/// The driver calls [`recover`](Storage::recover) once and before the other methods, and the others
/// from one thread. After an error of [`write`](Storage::write) it calls nothing more and drops the
/// storage. What the storage holds then is known when it is opened anew.
pub trait Storage: Send + 'static {
    /// Returns the state that earlier instances wrote: the effects of writes `1..=k`, where `k` is
    /// at least the last one for which [`write`](Storage::write) returned `Ok`. All of it is
    /// durable when this returns: an implementation syncs what it found. Snapshots other than the
    /// recovered one are deleted, with what was noted of them, and partial files too.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`] if bytes are not what was written, so that it is not certain that
    /// everything acknowledged can be recovered. An implementation never guesses.
    fn recover(&mut self) -> Result<Recovered, StorageError>;

    /// Makes these writes durable, in order, and each one atomically. The parts of a write take
    /// effect in the order of [`Write`]'s fields. When this returns `Ok`, the writes survive a
    /// power failure. These are all writes that waited: an implementation should sync once for all
    /// of them.
    ///
    /// # Errors
    ///
    /// Any error is final. The writes may have happened or not, the node stops, and the storage is
    /// not called again. An implementation must never retry a failed sync.
    fn write(&mut self, writes: &[Write]) -> Result<(), StorageError>;

    /// Returns the entries from `from` to `to`, both included, that earlier writes stored: as many
    /// as fit into `max_bytes`, but at least one. Each counts its payload and
    /// [`ENTRY_OVERHEAD`](raft_proto::ENTRY_OVERHEAD). Returns `None` if there is no entry with the
    /// index and the term of `from` (any more). Called only if
    /// [`max_resident_bytes`](raft_proto::Config::max_resident_bytes) is set.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the log cannot be read. The node stops.
    fn read_entries(
        &mut self,
        from: EntryId,
        to: EntryId,
        max_bytes: u64,
    ) -> Result<Option<Entries>, StorageError>;

    /// The snapshots of this storage, for other threads.
    fn snapshots(&self) -> Arc<dyn Snapshots>;

    /// What reads this storage beside its use, to find what has decayed. `None`, the default, for a
    /// storage that cannot. It may be used once the storage is recovered.
    fn scrub(&self) -> Option<Arc<dyn Scrub>> {
        None
    }

    /// Before it is recovered: what the log lacks in its midst, and may be given again by
    /// [`supply`](Storage::supply). The driver asks the peers for it ([`mending`]). If it is not
    /// supplied, [`recover`](Storage::recover) returns what is whole, as it does without. `None`,
    /// the default, if the log lacks nothing, or nobody can tell what it was.
    fn incomplete(&self) -> Option<Incomplete> {
        None
    }

    /// Takes the entries of all parts of one of [`missing`](Incomplete::missing), by its number, if
    /// they are exactly those that were there. Returns whether they are.
    fn supply(&mut self, missing: usize, parts: &[Entries]) -> bool {
        let _ = (missing, parts);
        false
    }

    /// Before it is recovered: takes a peer's snapshot in place of what is lost, and of the log up
    /// to its end. [`snapshots`](Storage::snapshots) has stored it. Returns whether it can:
    /// everything that was acknowledged is then in it, in the log behind it, or was never
    /// committed. By default it cannot.
    fn adopt(&mut self, snapshot: &SnapshotMeta) -> bool {
        let _ = snapshot;
        false
    }

    /// After it is recovered: the entries from `first` to `last`, for a peer that has lost them. As
    /// many as fit into `max_bytes`, but at least one; `None`, the default, if the first one is not
    /// there.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the log cannot be read. The node runs on.
    fn fetch(
        &mut self,
        first: Index,
        last: Index,
        max_bytes: u64,
    ) -> Result<Option<Entries>, StorageError> {
        let _ = (first, last, max_bytes);
        Ok(None)
    }
}

impl<S: Storage + ?Sized> Storage for Box<S> {
    fn recover(&mut self) -> Result<Recovered, StorageError> {
        (**self).recover()
    }

    fn write(&mut self, writes: &[Write]) -> Result<(), StorageError> {
        (**self).write(writes)
    }

    fn read_entries(
        &mut self,
        from: EntryId,
        to: EntryId,
        max_bytes: u64,
    ) -> Result<Option<Entries>, StorageError> {
        (**self).read_entries(from, to, max_bytes)
    }

    fn snapshots(&self) -> Arc<dyn Snapshots> {
        (**self).snapshots()
    }

    fn scrub(&self) -> Option<Arc<dyn Scrub>> {
        (**self).scrub()
    }

    fn incomplete(&self) -> Option<Incomplete> {
        (**self).incomplete()
    }

    fn supply(&mut self, missing: usize, parts: &[Entries]) -> bool {
        (**self).supply(missing, parts)
    }

    fn adopt(&mut self, snapshot: &SnapshotMeta) -> bool {
        (**self).adopt(snapshot)
    }

    fn fetch(
        &mut self,
        first: Index,
        last: Index,
        max_bytes: u64,
    ) -> Result<Option<Entries>, StorageError> {
        (**self).fetch(first, last, max_bytes)
    }
}

/// A log that lacks something that was acknowledged.
#[derive(Clone, Debug)]
pub struct Incomplete {
    /// Of the node.
    pub identity: Identity,
    /// The snapshot that the log goes on from.
    pub snapshot: Option<SnapshotMeta>,
    /// The entries that are there, in order and with gaps.
    pub whole: Vec<Entries>,
    /// Those that are not, as far as it is known what they were.
    pub missing: Vec<Missing>,
    /// Where a peer's snapshot has to end, or later, to stand for all that is lost
    /// ([`adopt`](Storage::adopt)). `None` if none can.
    pub snapshot_at_least: Option<Index>,
}

impl Incomplete {
    /// The last configuration of the cluster, as far as it is known.
    pub fn membership(&self) -> Membership {
        last_membership(&self.whole, self.snapshot.as_ref(), Some(&self.identity))
    }
}

/// The last configuration of all that is known.
fn last_membership(
    whole: &[Entries],
    snapshot: Option<&SnapshotMeta>,
    identity: Option<&Identity>,
) -> Membership {
    let entries = whole.iter().rev().map(Entries::iter);
    let mut found = entries.filter_map(|entries| {
        let memberships = entries.filter(|it| it.kind() == EntryKind::Membership);
        memberships
            .filter_map(|it| Membership::decode(it.payload()))
            .last()
    });
    let snapshot = snapshot.map(|meta| meta.membership.clone());
    let bootstrap = || identity.map(|it| it.bootstrap.clone());
    let known = found.next().or(snapshot).or_else(bootstrap);
    known.unwrap_or_default()
}

/// The bytes of snapshots: of those that this node made, and of the one that it is receiving.
///
/// Only [`Storage::write`] decides which snapshot a restart recovers, with a
/// [`Compaction`](raft_proto::Compaction) or an [`Install`](raft_proto::Install). A snapshot that
/// no write has named is deleted by [`Storage::recover`].
pub trait Snapshots: Send + Sync + 'static {
    /// Begins a snapshot of this node's own state, in a temporary file.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the file cannot be made. The node runs on, and tries again later.
    fn create(&self) -> Result<Box<dyn SnapshotSink>, StorageError>;

    /// Opens a stored snapshot, to load it into the state machine. The reader verifies its size and
    /// checksum before it comes to its end: if it ends without an error, its bytes are those that
    /// were written.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if there is no such snapshot, or if it cannot be opened.
    fn open(&self, snapshot: SnapshotId) -> Result<Box<dyn io::Read + Send>, StorageError>;

    /// Reads `length` bytes of a stored snapshot from `offset` on, to send them to a peer.
    ///
    /// # Errors
    ///
    /// [`SnapshotReadFailed::Gone`] if there is no such snapshot, else
    /// [`SnapshotReadFailed::Failed`].
    fn read(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, SnapshotReadFailed>;

    /// Stores a chunk of a snapshot that is being received, in a temporary file. Offset 0 begins a
    /// new file, and discards another partial one. Other offsets have to be where the last chunk
    /// ended. No sync is needed: the write with the [`Install`](raft_proto::Install) does that.
    ///
    /// # Errors
    ///
    /// [`SnapshotWriteFailed`]: the transfer begins anew.
    fn write(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        data: &[u8],
    ) -> Result<(), SnapshotWriteFailed>;

    /// Deletes this snapshot, if it is there, and what was noted of it: nothing needs it any more.
    fn release(&self, snapshot: SnapshotId);

    /// Notes beside a stored snapshot whose work its state is ([`comparison`]). When this returns
    /// `Ok`, the note survives a power failure, as long as the snapshot does. By default nothing is
    /// noted: then this node, when it is started from the snapshot, is no witness of its own before
    /// it was compared.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if it cannot be noted. The node runs on.
    fn set_origin(&self, snapshot: SnapshotId, origin: NodeId) -> Result<(), StorageError> {
        let _ = (snapshot, origin);
        Ok(())
    }

    /// What was noted beside this snapshot; `None`, the default, if nothing was, or if the note is
    /// damaged.
    fn origin(&self, snapshot: SnapshotId) -> Option<NodeId> {
        let _ = snapshot;
        None
    }
}

/// Takes the bytes of a snapshot that is being made. If it is dropped unfinished, it deletes them.
pub trait SnapshotSink: io::Write + Send {
    /// All bytes are written: makes them durable. The snapshot's id consists of `last` (the last
    /// entry that it covers), the number of bytes, and their [`Checksum`](raft_proto::Checksum).
    ///
    /// # Errors
    ///
    /// [`StorageError`] if they cannot be made durable. They are deleted then.
    fn finish(self: Box<Self>, last: EntryId) -> Result<SnapshotId, StorageError>;
}

/// Why a storage could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused, for another reason than those below. The node steps down and
    /// stops. Look at the disk, and start the node again.
    #[error("{what}: {source}")]
    Io {
        /// What the storage was doing, and with which file.
        what: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The disk, or the node's share of it, is full. The node stops, and has lost nothing.
    #[error("{what}: {source}. Make room on that disk, and start the node again")]
    NoSpace {
        /// What the storage was doing, and with which file.
        what: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file system may only be read, as some become when their disk fails.
    #[error("{what}: {source}. Check the disk, mount it for writing, and start the node again")]
    ReadOnly {
        /// What the storage was doing, and with which file.
        what: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The process' user may not do that with the file.
    #[error(
        "{what}: {source}. Give the node's user the right to read and write there, and start it \
         again"
    )]
    PermissionDenied {
        /// What the storage was doing, and with which file.
        what: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The process, or the system, has as many open files as it may.
    #[error(
        "{what}: {source}. The log is whole. Raise the limit of open files (`ulimit -n`, or \
         LimitNOFILE of the service), and start the node again"
    )]
    TooManyOpenFiles {
        /// What the storage was doing, and with which file.
        what: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// Bytes are not what was written, and may have been acknowledged. The node does not start with
    /// them. Give it a new id and an empty folder, and let it join the cluster anew.
    #[error(
        "{} is damaged: {what}. Let this node join the cluster anew, under a new id and with an \
         empty folder",
        path.display()
    )]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and where.
        what: String,
    },
    /// Another process, or another node of this process, uses the folder.
    #[error("{} is in use: stop the process that uses it", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Another release wrote the folder, in a format that this one cannot read.
    #[error(
        "{} has format version {found}, this release reads {known}: {}",
        path.display(), other_version(*found, *known)
    )]
    UnknownVersion {
        /// The folder.
        path: PathBuf,
        /// The format's version in the folder.
        found: u64,
        /// The version that this release reads.
        known: u64,
    },
    /// The caller broke the contract of the storage: a defect of the caller.
    #[error("the storage was used against its contract: {0}")]
    Contract(String),
    /// Any other error.
    #[error("{0}")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What to do with a folder of another version.
fn other_version(found: u64, known: u64) -> &'static str {
    if found < known {
        "start the release that wrote it, or give the node a new id and an empty folder, and let it \
         join the cluster anew"
    } else {
        "start the release that wrote it, or a later one"
    }
}

impl StorageError {
    /// An error of the operating system, by its kind. `what` says what the storage was doing, and
    /// with which file.
    pub fn io(what: impl Into<String>, source: io::Error) -> StorageError {
        /// `EMFILE` and `ENFILE`, which have no kind: the same numbers on all Unix systems.
        const TOO_MANY: [Option<i32>; 2] = [Some(24), Some(23)];
        let what = what.into();
        if cfg!(unix) && TOO_MANY.contains(&source.raw_os_error()) {
            return StorageError::TooManyOpenFiles { what, source };
        }
        #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open")]
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StorageError::NoSpace { what, source }
            }
            io::ErrorKind::ReadOnlyFilesystem => StorageError::ReadOnly { what, source },
            io::ErrorKind::PermissionDenied => StorageError::PermissionDenied { what, source },
            _ => StorageError::Io { what, source },
        }
    }
}
