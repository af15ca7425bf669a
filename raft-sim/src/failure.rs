//! Why a run failed.

use crate::checker::violation::Violation;
use crate::process::ProcessError;
use crate::service::DamagedSnapshot;
use core::time::Duration;
use raft_proto::wire::ReceiveError;
use raft_proto::{EntryId, Fault, Index, NodeId, Refusal, Rejection, Time};

/// What no correct cluster does, whatever befalls it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A property of Figure 3.
    #[error("{property} is violated: {0}", property = .0.property())]
    Violated(#[from] Violation),
    /// One correct node took another's message for what no correct node sends.
    #[error("{node} rejected a message of {from}: {reason}")]
    Rejected {
        /// The receiver.
        node: NodeId,
        /// The sender.
        from: NodeId,
        /// What it objected to.
        reason: Rejection,
    },
    /// A core refused an input that the contract allows.
    #[error("{node} refused an input: {reason}")]
    Refused {
        /// Which core.
        node: NodeId,
        /// What it objected to.
        reason: Refusal,
    },
    /// A leader believes that a follower's disk shrank, which this simulator's never do.
    #[error("{leader} believes that {peer} lost entries that it had acknowledged")]
    LostState {
        /// The leader.
        leader: NodeId,
        /// The follower.
        peer: NodeId,
    },
    /// A node gave up, though no write failed.
    #[error("{node} faulted: {reason}")]
    Faulted {
        /// Which node.
        node: NodeId,
        /// Why.
        reason: Fault,
    },
    /// A node could not start from a state that its own writes had left, or broke the contract
    /// of its storage.
    #[error("{node}: {reason}")]
    Process {
        /// Which node.
        node: NodeId,
        /// Why.
        reason: ProcessError,
    },
    /// A message did not come out of its frame.
    #[error("{node} could not read a frame: {reason}")]
    Frame {
        /// The receiver.
        node: NodeId,
        /// Why.
        reason: ReceiveError,
    },
    /// A service was given a snapshot that no service wrote.
    #[error("{node} was given {reason}")]
    Snapshot {
        /// The node.
        node: NodeId,
        /// What is wrong with it.
        reason: DamagedSnapshot,
    },
    /// A snapshot to restore, or recovered, is not on the disk.
    #[error("{node} has no bytes for a snapshot that it is to restore")]
    NoSnapshot {
        /// The node.
        node: NodeId,
    },
    /// All faults were gone, and the cluster did not recover.
    #[error("{} of calm were not enough: {missing}", humantime::format_duration(*.within))]
    NotLive {
        /// How long it was given.
        within: Duration,
        /// What was still missing.
        missing: String,
    },
    /// A read was answered with less than was committed when it began.
    #[error("{node} answered a read at {index}, though {committed} was committed before it began")]
    StaleRead {
        /// Who answered.
        node: NodeId,
        /// The answer.
        index: Index,
        /// What was committed when the read began.
        committed: Index,
    },
    /// A core answered what nobody had asked, or twice.
    #[error("{node} answered what nobody had asked, or answered it twice")]
    UnexpectedAnswer {
        /// Which core.
        node: NodeId,
    },
    /// What clients saw cannot have been done one after another.
    #[error("the history is not linearizable: {0}")]
    NotLinearizable(String),
    /// A service forgot an answer that its client still waits for.
    #[error("the service has forgotten the answer to {entry}, for which its client still waits")]
    AnswerForgotten {
        /// The command's entry.
        entry: EntryId,
    },
    /// An entry holds what no client sent.
    #[error("{node} was given a command of {bytes} bytes that no client sent")]
    UnknownCommand {
        /// Which service.
        node: NodeId,
        /// How long it is.
        bytes: usize,
    },
    /// Two services that applied the same entries ended in different states.
    #[error("the services of {first} and {second} differ in the end")]
    StatesDiffer {
        /// One node.
        first: NodeId,
        /// The other.
        second: NodeId,
    },
    /// Things went on happening, and no time passed.
    #[error("at {at} things go on happening, and no time passes")]
    Endless {
        /// When.
        at: Time,
    },
    /// The code panicked.
    #[error("panic: {0}")]
    Panicked(String),
}

impl Failure {
    /// What kind of failure it is: equal for failures that the same mistake causes. Numbers and
    /// names of nodes are left out.
    pub fn kind(&self) -> String {
        let name = match self {
            Failure::Violated(broken) => return broken.property().to_string(),
            Failure::Rejected { .. } => "a message of a correct node is rejected",
            Failure::Refused { .. } => "an input that is allowed is refused",
            Failure::LostState { .. } => "LostState without a lost disk",
            Failure::Faulted { .. } => "a fault without a failed write",
            Failure::Process { .. } => "the contract of storage is broken",
            Failure::Frame { .. } => "a frame cannot be read",
            Failure::Snapshot { .. } => "a snapshot is not what a service wrote",
            Failure::NoSnapshot { .. } => "a snapshot is not there",
            Failure::NotLive { .. } => "liveness",
            Failure::StaleRead { .. } => "a stale read",
            Failure::UnexpectedAnswer { .. } => "an answer without a question",
            Failure::NotLinearizable(_) => "linearizability",
            Failure::AnswerForgotten { .. } => "exactly-once: an answer is forgotten",
            Failure::UnknownCommand { .. } => "a command that no client sent",
            Failure::StatesDiffer { .. } => "states differ in the end",
            Failure::Endless { .. } => "liveness: time stands still",
            Failure::Panicked(_) => "panic",
        };
        name.into()
    }
}
