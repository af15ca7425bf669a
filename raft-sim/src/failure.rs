//! Why a run failed.

use crate::availability::{Condition, Unavailable};
use crate::checker::replicas::ReplicasDiffer;
use crate::checker::storm::Storm;
use crate::checker::violation::Violation;
use crate::process::ProcessError;
use crate::refinement::Broken;
use crate::service::{DamagedSnapshot, ServiceDefect};
use core::time::Duration;
use raft_proto::wire::ReceiveError;
use raft_proto::{EntryId, Fault, Index, NodeId, Refusal, Rejection, Time};

/// What no correct cluster does, under any faults.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A checker has found a violation of its property.
    #[error("{property} is violated: {0}", property = .0.property())]
    Violated(#[from] Violation),
    /// A step is no step of the abstract state.
    #[error("the refinement does not hold: {0}")]
    NotRefined(#[from] Broken),
    /// A node rejected the message of another correct node.
    #[error("{node} rejected a message of {from}: {reason}")]
    Rejected {
        /// The receiver.
        node: NodeId,
        /// The sender.
        from: NodeId,
        /// Why.
        reason: Rejection,
    },
    /// A core refused an input that the contract allows.
    #[error("{node} refused an input: {reason}")]
    Refused {
        /// Which core.
        node: NodeId,
        /// Why.
        reason: Refusal,
    },
    /// A leader believes that a follower's disk lost entries, which this simulator's disks never
    /// do.
    #[error("{leader} believes that {peer} lost entries that it had acknowledged")]
    LostState {
        /// The leader.
        leader: NodeId,
        /// The follower.
        peer: NodeId,
    },
    /// A node faulted, though no write had failed.
    #[error("{node} faulted: {reason}")]
    Faulted {
        /// Which node.
        node: NodeId,
        /// Why.
        reason: Fault,
    },
    /// A node could not start from the state that its own writes had left, or broke the contract of
    /// its storage.
    #[error("{node}: {reason}")]
    Process {
        /// Which node.
        node: NodeId,
        /// Why.
        reason: ProcessError,
    },
    /// A frame that arrived undamaged could not be decoded.
    #[error("{node} could not read a frame: {reason}")]
    Frame {
        /// The receiver.
        node: NodeId,
        /// Why.
        reason: ReceiveError,
    },
    /// A frame of a newer release was read with other bytes left unread than that added.
    #[error("{node} left {unknown} bytes of a frame of {from} unread")]
    Unread {
        /// The receiver.
        node: NodeId,
        /// The sender.
        from: NodeId,
        /// How many bytes.
        unknown: u64,
    },
    /// A service got a snapshot that no service wrote.
    #[error("{node} got {reason}")]
    Snapshot {
        /// The node.
        node: NodeId,
        /// What is wrong with it.
        reason: DamagedSnapshot,
    },
    /// The bytes of a snapshot to be restored, or recovered, are not on the disk.
    #[error("{node} is to restore a snapshot whose bytes are not on its disk")]
    NoSnapshot {
        /// The node.
        node: NodeId,
    },
    /// All faults were over, and the cluster did not recover.
    #[error(
        "the cluster did not recover within {} without faults; still missing: {missing}",
        humantime::format_duration(*.within)
    )]
    NotLive {
        /// How long it was given.
        within: Duration,
        /// What was still missing.
        missing: String,
    },
    /// A cluster that could have served under a condition that stays did not.
    #[error("under {condition}: {reason}")]
    Unavailable {
        /// What stayed.
        condition: Condition,
        /// What the cluster did not do.
        reason: Unavailable,
    },
    /// A read was answered from a state older than what was committed when it began.
    #[error("{node} answered a read at {index}, though {committed} was committed before it began")]
    StaleRead {
        /// The node that answered.
        node: NodeId,
        /// The index of the state from which it answered.
        index: Index,
        /// The commitIndex of the cluster when the read began.
        committed: Index,
    },
    /// A core answered a request that was never sent, or answered one twice.
    #[error("{node} answered a request that was never sent, or answered one twice")]
    UnexpectedAnswer {
        /// Which core.
        node: NodeId,
    },
    /// The results that clients saw cannot be those of operations run one after another.
    #[error("the history is not linearizable: {0}")]
    NotLinearizable(String),
    /// A service forgot an answer for which its client still waits.
    #[error("the service has forgotten the answer to {entry}, for which its client still waits")]
    AnswerForgotten {
        /// The command's entry.
        entry: EntryId,
    },
    /// An entry holds bytes that no client sent.
    #[error("{node} got a command of {bytes} bytes that no client sent")]
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
    /// A service of the user's own did what none may do.
    #[error("the service of {node}, after {entry}: {defect}")]
    Service {
        /// The node.
        node: NodeId,
        /// The last entry that it has applied.
        entry: EntryId,
        /// What it did.
        defect: ServiceDefect,
    },
    /// A command of the user's own cannot be sent.
    #[error("a client has no command: {0}")]
    Command(ServiceDefect),
    /// Two services of the user's own applied the same entries, and their states differ.
    #[error(transparent)]
    ReplicasDiffer(#[from] ReplicasDiffer),
    /// The schedule has commands, or faults, of a service of the user's own, which is not here.
    #[error(
        "the schedule is one of a service of the user's own: run it by the test that wrote it, with \
         the environment variable RAFT_SIM_SCHEDULE"
    )]
    NoService,
    /// A majority of the disks is lost, and a node does not say so.
    #[error("{node} does not say that more disks are lost than the cluster can do without")]
    LossUnsaid {
        /// The node.
        node: NodeId,
    },
    /// Event followed event, and no time passed.
    #[error("at {at} event follows event, and no time passes")]
    Endless {
        /// When.
        at: Time,
    },
    /// Messages beget messages.
    #[error("a storm: {0}")]
    Storm(#[from] Storm),
    /// The code panicked.
    #[error("panic: {0}")]
    Panicked(String),
}

impl Failure {
    /// The kind of the failure: equal for failures that the same mistake causes. Numbers and names
    /// of nodes are left out.
    pub fn kind(&self) -> String {
        let name = match self {
            Failure::Violated(violation) => return violation.property().to_string(),
            Failure::NotRefined(broken) => return format!("refinement: {}", broken.rule),
            Failure::Unavailable { condition, reason } => return reason.kind(*condition),
            Failure::Rejected { .. } => "a message of a correct node is rejected",
            Failure::Refused { .. } => "an input that is allowed is refused",
            Failure::LostState { .. } => "LostState without a lost disk",
            Failure::Faulted { .. } => "a fault without a failed write",
            Failure::Process { .. } => "the contract of storage is broken",
            Failure::Frame { .. } => "a frame cannot be read",
            Failure::Unread { .. } => "a frame is not read to its end",
            Failure::Snapshot { .. } => "a snapshot is not what a service wrote",
            Failure::NoSnapshot { .. } => "a snapshot is not there",
            Failure::NotLive { .. } => "liveness",
            Failure::StaleRead { .. } => "a stale read",
            Failure::UnexpectedAnswer { .. } => "an answer without a question",
            Failure::NotLinearizable(_) => "linearizability",
            Failure::AnswerForgotten { .. } => "exactly-once: an answer is forgotten",
            Failure::UnknownCommand { .. } => "a command that no client sent",
            Failure::StatesDiffer { .. } => "states differ in the end",
            Failure::Service { defect, .. } | Failure::Command(defect) => return defect.kind(),
            Failure::ReplicasDiffer(_) => "states differ",
            Failure::NoService => "a service that is not here",
            Failure::LossUnsaid { .. } => "a lost majority is not reported",
            Failure::Endless { .. } => "liveness: time stands still",
            Failure::Storm(_) => "a storm",
            Failure::Panicked(_) => "panic",
        };
        name.into()
    }
}
