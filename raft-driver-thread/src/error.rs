//! Why a node does not start, does not do what a request asks, or stops.

use crate::storage::StorageError;
use crate::transport::TransportError;
use raft_proto::{EntryId, NodeId};
use std::io;
use std::path::PathBuf;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The storage could not be recovered.
    #[error("recover the storage: {0}")]
    Storage(#[from] StorageError),
    /// The core refused: the settings contradict each other, or the storage is another node's.
    #[error("start the core: {0}")]
    Core(#[from] raft_proto::StartError),
    /// The transport could not start.
    #[error("start the transport: {0}")]
    Transport(#[from] TransportError),
    /// The state machine could not be restored from the recovered snapshot.
    #[error("restore the state machine from the snapshot at {last}: {reason}")]
    Restore {
        /// The snapshot's last entry.
        last: EntryId,
        /// The state machine's error.
        reason: String,
    },
    /// The operating system refused to start a thread.
    #[error("start a thread: {0}")]
    Thread(#[source] io::Error),
    /// The recorder could not start.
    #[error("start the recorder: {0}")]
    Recorder(#[source] io::Error),
    /// Another node with the same number, as that of another group, records in the folder.
    #[error(
        "start the recorder: another node {node} records in {}: give each group of a node a folder \
         of its own",
        folder.display()
    )]
    RecordingsInUse {
        /// The folder.
        folder: PathBuf,
        /// The number of both nodes.
        node: NodeId,
    },
}

/// Why a request was not done, or may not have been done. `R` is the core's reason to refuse it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError<R: std::error::Error> {
    /// The core refused. Nothing was done, and the reason says what to do next.
    #[error("refused: {0}")]
    Refused(R),
    /// Another term's entry was applied at the command's index: the command was not applied and
    /// never will be. It can be proposed again.
    #[error("not applied: at {proposed} another term's entry was committed")]
    NotApplied {
        /// The index and term at which the command had been proposed.
        proposed: EntryId,
    },
    /// The command may have been applied, or may be applied later. Propose it again only if the
    /// state machine recognizes a command that it has applied already (a session with a serial
    /// number, thesis 6.3), or if applying it twice does no harm.
    #[error("it is not known whether this was done: {0}")]
    Unknown(Unknown),
    /// [`max_outstanding`](crate::Options::max_outstanding) requests of this node are outstanding;
    /// nothing was done. Wait for some to end.
    #[error("too many requests are outstanding: wait for some to end")]
    Overloaded,
    /// The node has stopped; nothing was done.
    #[error("the node has stopped")]
    Stopped,
}

/// Why an outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unknown {
    /// A leader's snapshot replaced the entries around the command.
    #[error("a snapshot replaced the entries")]
    SnapshotInstalled,
    /// The caller's time limit passed first.
    #[error("the time limit passed")]
    TimedOut,
    /// The node stopped first.
    #[error("the node stopped")]
    Stopped,
}

/// Why a node stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// It was shut down, killed, or dropped.
    #[error("it was shut down")]
    Shutdown,
    /// The storage failed. What was acknowledged is safe. Repair the disk, and start the node
    /// again.
    #[error("its storage failed: {0}")]
    Storage(String),
    /// The state machine panicked, or broke its contract.
    #[error("its state machine failed: {0}")]
    StateMachine(String),
    /// The core found evidence that it cannot go on safely.
    #[error("its core stopped: {0}")]
    Faulted(String),
    /// A defect of the driver: one of its threads panicked.
    #[error("a thread of the driver panicked")]
    Defect,
}
