//! What a node answers when it does not do what it was asked.

use crate::storage::StorageError;
use crate::transport::TransportError;
use raft_proto::EntryId;
use std::io;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The storage could not be recovered.
    #[error("recover the storage: {0}")]
    Storage(#[from] StorageError),
    /// The core refused: settings that make no sense, or a storage that is not this node's.
    #[error("start the core: {0}")]
    Core(#[from] raft_proto::StartError),
    /// The transport could not begin.
    #[error("start the transport: {0}")]
    Transport(#[from] TransportError),
    /// The state machine did not take the recovered snapshot.
    #[error("restore the state machine from the snapshot at {last}: {reason}")]
    Restore {
        /// The snapshot's last entry.
        last: EntryId,
        /// What it said.
        reason: String,
    },
    /// The operating system gave no thread.
    #[error("begin a thread: {0}")]
    Thread(#[source] io::Error),
    /// A recording could not be begun.
    #[error("begin the recording: {0}")]
    Recorder(#[source] io::Error),
}

/// Why a request was not, or may not have been, done. `R` says why the core refused it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError<R: std::error::Error> {
    /// The core refused; nothing was done. The reason says what to do next.
    #[error("refused: {0}")]
    Refused(R),
    /// An entry of another term was applied at the command's index: the command was not applied
    /// and never will be. It can be proposed again.
    #[error("not applied: at {proposed} another term's entry was committed")]
    NotApplied {
        /// Where the command had stood.
        proposed: EntryId,
    },
    /// The command may have been applied, or may yet be. Ask the state machine, or propose it again
    /// if applying it twice does no harm.
    #[error("it is not known whether it was done: {0}")]
    Unknown(Unknown),
    /// Too many requests are outstanding in this process; nothing was done. Wait for some to end.
    #[error("too many requests are outstanding: wait for some to end")]
    Overloaded,
    /// The node has stopped; nothing was done.
    #[error("the node has stopped")]
    Stopped,
}

/// Why an outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unknown {
    /// A leader's snapshot took the place of the entries around it.
    #[error("a snapshot replaced the entries")]
    SnapshotInstalled,
    /// The time limit of the call passed first.
    #[error("the time limit passed")]
    TimedOut,
    /// The node stopped first.
    #[error("the node stopped")]
    Stopped,
}

/// Why a node stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// It was asked to.
    #[error("it was shut down")]
    Shutdown,
    /// The storage failed. What was acknowledged is safe; see to the disk and start the node again.
    #[error("its storage failed: {0}")]
    Storage(String),
    /// The state machine panicked, or broke its contract.
    #[error("its state machine failed: {0}")]
    StateMachine(String),
    /// The core came to the end of what it can do safely.
    #[error("its core stopped: {0}")]
    Faulted(String),
    /// A defect of the driver: one of its threads panicked.
    #[error("a thread of the driver panicked")]
    Defect,
}
