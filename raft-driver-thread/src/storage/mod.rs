//! Stable storage: the log, the hard state, and the snapshots' bytes.
//!
//! Two traits, because two kinds of work meet here. [`Storage`] belongs to the disk thread alone,
//! which hands it every write in order and waits for it: one call is one sync (group commit).
//! [`Snapshots`] is shared by the threads that make, send and receive snapshots, none of
//! which may hold up the log.
//!
//! Another store is as good if it keeps to what the traits say, which [`conformance`] checks.

mod conformance;
#[cfg(feature = "disk")]
pub mod disk;
mod memory;

pub use conformance::{ConformanceError, conformance};
pub use memory::MemoryStorage;

use bytes::Bytes;
use raft_proto::{
    Entries, EntryId, Recovered, SnapshotId, SnapshotReadFailed, SnapshotWriteFailed, Write,
};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The log and the hard state of one node, on stable storage.
///
/// The driver calls [`recover`](Storage::recover) once, first, and the rest from one thread. After
/// an error of [`write`](Storage::write) it calls nothing more: the storage is dropped, and
/// what it holds is found out when it is opened anew.
pub trait Storage: Send + 'static {
    /// What the writes of former instances left: the effects of writes `1..=k`, where `k` is at
    /// least the last one for which [`write`](Storage::write) returned `Ok`. All of it is durable
    /// when this returns (an implementation syncs what it found), and snapshots other than the
    /// recovered one are deleted, partial files too.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`] if bytes are not what was written and what was
    /// acknowledged cannot be recovered for certain; nothing is ever guessed.
    fn recover(&mut self) -> Result<Recovered, StorageError>;

    /// Makes these writes durable: in order, each one whole or not at all, its parts taking
    /// effect in the order of [`Write`]'s fields. When this returns `Ok` they survive a power
    /// failure. They are all that was waiting: one sync for all of them is best.
    ///
    /// # Errors
    ///
    /// Any error is final: the writes may or may not have happened, the node stops, and the
    /// storage is not called again. A failed sync must never be retried.
    fn write(&mut self, writes: &[Write]) -> Result<(), StorageError>;

    /// The entries from `from` to `to` that a former write stored, as many as `max_bytes` hold
    /// (payloads and [`ENTRY_OVERHEAD`](raft_proto::ENTRY_OVERHEAD) each) but at least one; or
    /// `None` if the entry `from` (by index and term) is not there any more. Asked only where
    /// [`max_resident_bytes`](raft_proto::Config::max_resident_bytes) is set.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if it cannot be read. The node stops: a log that cannot be read
    /// cannot be trusted.
    fn read_entries(
        &mut self,
        from: EntryId,
        to: EntryId,
        max_bytes: u64,
    ) -> Result<Option<Entries>, StorageError>;

    /// The snapshots' bytes, for other threads.
    fn snapshots(&self) -> Arc<dyn Snapshots>;
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
}

/// The bytes of snapshots: those that this node made, and the one that it is receiving.
///
/// Which snapshot a restart recovers is decided by [`Storage::write`] alone (a
/// [`Compaction`](raft_proto::Compaction) or an [`Install`](raft_proto::Install)); until then a
/// file is only a file.
pub trait Snapshots: Send + Sync + 'static {
    /// Begins a snapshot of this node's own state, in a file aside.
    ///
    /// # Errors
    ///
    /// If there is no room; the node goes on without a snapshot and tries again later.
    fn create(&self) -> Result<Box<dyn SnapshotSink>, StorageError>;

    /// The whole of a stored snapshot, to load it into the state machine. Its size and checksum are
    /// verified before the reader comes to its end: a reader that has seen the end without an error
    /// has read what was written.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if there is none, or it cannot be opened.
    fn open(&self, snapshot: SnapshotId) -> Result<Box<dyn io::Read + Send>, StorageError>;

    /// `length` bytes of a stored snapshot from `offset` on, to be sent to a peer.
    ///
    /// # Errors
    ///
    /// [`SnapshotReadFailed::Gone`] if there is no such snapshot.
    fn read(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, SnapshotReadFailed>;

    /// Stores a chunk of a snapshot that is being received, in a file aside. Offset 0 begins a new
    /// file and discards another partial one; other offsets continue where the last chunk ended.
    /// Needs no sync: the write with the [`Install`](raft_proto::Install) does that.
    ///
    /// # Errors
    ///
    /// [`SnapshotWriteFailed`]; the transfer begins anew.
    fn write(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        data: &[u8],
    ) -> Result<(), SnapshotWriteFailed>;

    /// Nothing needs this snapshot any more: deletes it, if it is there.
    fn release(&self, snapshot: SnapshotId);
}

/// Takes the bytes of a snapshot that is being made. Dropped unfinished, it leaves nothing behind.
pub trait SnapshotSink: io::Write + Send {
    /// All bytes are written: makes them durable under the id that consists of `last`, their number
    /// and their [`Checksum`](raft_proto::Checksum).
    ///
    /// # Errors
    ///
    /// [`StorageError`] if they cannot be made durable; nothing is left behind.
    fn finish(self: Box<Self>, last: EntryId) -> Result<SnapshotId, StorageError>;
}

/// What a storage could not do.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused. The node steps down and stops; make room, replace the
    /// disk, or mend the permissions, and start it again.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, and where.
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Bytes are not what was written. The node does not start with them; give it a new id and an
    /// empty folder, and let it join anew.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong in it, and where.
        what: String,
    },
    /// Another process, or another node of this one, uses the folder.
    #[error("{} is in use: stop the process that uses it", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder was written by a version that this one does not know.
    #[error("{} has format version {found}, this release reads {known}", path.display())]
    UnknownVersion {
        /// The folder.
        path: PathBuf,
        /// What it says.
        found: u64,
        /// What is known.
        known: u64,
    },
    /// A write, or a question, that the contract does not allow: a defect of the caller.
    #[error("the storage was asked for what its contract excludes: {0}")]
    Contract(String),
    /// An error of a store that is none of the above.
    #[error("{0}")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StorageError {
    /// The operating system's refusal, with what was being done.
    pub fn io(what: impl Into<String>, source: io::Error) -> StorageError {
        StorageError::Io {
            what: what.into(),
            source,
        }
    }
}
