//! Why a proposal, a read, a leadership transfer or a membership change was refused, and what to do
//! next.

use super::fault::Fault;
use crate::level::Level;
use crate::types::{Incarnation, Index, NodeId};
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// Why commands were not accepted; nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// Only the leader can append.
    #[error("not the leader{}", redirect(*leader))]
    NotLeader {
        /// The leader, if it is known: propose there. If not, wait for
        /// [`LeaderChanged`](crate::Action::LeaderChanged) and try again.
        leader: Option<NodeId>,
    },
    /// No commands were given.
    #[error("no commands were given")]
    Empty,
    /// One command is over [`max_entry_bytes`](crate::Config::max_entry_bytes).
    #[error("a command of {size} bytes is over the limit of {limit}; split it")]
    TooLarge {
        /// Its length.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// One command is longer than a voter takes, whose
    /// [`max_entry_bytes`](crate::Config::max_entry_bytes) is lower than this leader's.
    #[error(
        "a command of {size} bytes is over the limit of {limit} of {node}; split it, or raise that \
         node's max_entry_bytes"
    )]
    TooLargeFor {
        /// The voter.
        node: NodeId,
        /// The command's length.
        size: u64,
        /// The voter's limit.
        limit: u64,
    },
    /// The commands together are over
    /// [`max_uncommitted_bytes`](crate::Config::max_uncommitted_bytes).
    #[error("commands of {wanted} bytes together are over the limit of {limit}; propose fewer")]
    BatchTooLarge {
        /// Their bytes with overhead.
        wanted: u64,
        /// The limit.
        limit: u64,
    },
    /// Too much is waiting to be committed. Wait until some of it is applied, then try again.
    #[error(
        "{waiting} bytes wait to be committed; {wanted} more would exceed the limit of {limit}: \
         wait for commits and try again"
    )]
    TooManyUncommitted {
        /// Bytes in the log that are not yet both committed and on this leader's disk.
        waiting: u64,
        /// Bytes that were to be added.
        wanted: u64,
        /// [`max_uncommitted_bytes`](crate::Config::max_uncommitted_bytes).
        limit: u64,
    },
    /// Too much is waiting for this leader's own service to apply it. Wait until some of it is
    /// applied, then try again; if nothing ever is, the service is stuck.
    #[error(
        "{waiting} bytes wait for this node's service to apply them; {wanted} more would exceed \
         the limit of {limit}: wait and try again"
    )]
    TooManyUnapplied {
        /// Bytes in the log that this node's service has not applied yet.
        waiting: u64,
        /// Bytes that were to be added.
        wanted: u64,
        /// [`max_backlog_bytes`](crate::Config::max_backlog_bytes), or
        /// [`max_uncommitted_bytes`](crate::Config::max_uncommitted_bytes) if that is greater.
        limit: u64,
    },
    /// Leadership is being transferred (thesis 3.10). Propose at the target soon, or here again if
    /// it does not take over in time.
    #[error("leadership is being handed over to {target}; propose there soon")]
    Transferring {
        /// The next leader.
        target: NodeId,
    },
    /// The log has reached [`Index::MAX`].
    #[error("the log is full: it has reached the greatest index")]
    LogFull,
    /// This instance has [`Faulted`](crate::Action::Faulted).
    #[error("this instance has faulted: {0}")]
    Faulted(Fault),
}

/// Why a read cannot be served. Do not answer the client from this node's state: the read would not
/// be linearizable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No leader is known, so no node can say what is committed. Try again when
    /// [`LeaderChanged`](crate::Action::LeaderChanged) names one.
    #[error("no leader is known; try again when there is one")]
    NoLeader,
    /// Only the leader serves reads under a lease.
    #[error("not the leader{}", redirect(*leader))]
    NotLeader {
        /// The leader, if it is known: read there, or by quorum here.
        leader: Option<NodeId>,
    },
    /// The leader changed before the read was ready. Try again.
    #[error("the leader changed before the read was ready; try again")]
    LeaderChanged,
    /// The leader refused, or did not answer, or could not reach a majority, within an election
    /// timeout. Try again.
    #[error("no majority confirmed the leader in time; try again")]
    TimedOut,
    /// Nothing of the leader's own term is committed, so it does not know what earlier leaders
    /// committed (thesis 6.4, step 1). Propose a command, or switch `leader_noop` on.
    #[error("the leader has committed nothing in its term; propose a command, then read")]
    NoCommitInTerm,
    /// This node has restarted in its leader's term and stored no entry since, so it could not tell
    /// the leader's answer from an old one. Read at the leader, propose a command, or switch
    /// `leader_noop` on: then the leader appends an entry for it.
    #[error("nothing stored since the restart in this term; read at {leader}, which leads")]
    NothingStored {
        /// The leader.
        leader: NodeId,
    },
    /// [`Lease::Off`](crate::Lease::Off).
    #[error("leases are switched off; read by quorum")]
    LeaseOff,
    /// A majority has not confirmed this leader recently enough: the lease comes back when a majority
    /// has answered a heartbeat. Or the leader is transferring leadership: if that fails
    /// ([`TransferError::TimedOut`]), the lease comes back when a majority has answered a heartbeat
    /// that was sent after it.
    #[error("the lease cannot be proven now; read by quorum, or again after the next heartbeats")]
    NoLease,
    /// [`max_waiting_reads`](crate::Config::max_waiting_reads) reads wait already.
    #[error("{limit} reads wait already; wait for some of them")]
    TooManyReads {
        /// The limit.
        limit: u32,
    },
    /// This instance has [`Faulted`](crate::Action::Faulted).
    #[error("this instance has faulted: {0}")]
    Faulted(Fault),
}

/// Why leadership was not transferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// Only the leader can transfer leadership.
    #[error("not the leader{}", redirect(*leader))]
    NotLeader {
        /// The leader, if it is known: ask there.
        leader: Option<NodeId>,
    },
    /// The target leads already: it is this node.
    #[error("this node leads already; name another target")]
    IsLeader,
    /// A transfer is under way. Wait for its end.
    #[error("leadership is being handed over to {target}; wait for the end of that")]
    InProgress {
        /// The next leader.
        target: NodeId,
    },
    /// The target is not a member.
    #[error("{0} is not a member; name a voter")]
    UnknownNode(NodeId),
    /// The target has no vote, or is about to lose it.
    #[error("{0} is not a voter of the configuration in force; name a voter")]
    NotVoter(NodeId),
    /// No voter has been heard recently with a disk that makes progress.
    #[error("no other voter is known to be able to take over now; wait, or name one")]
    NoTarget,
    /// The target did not take over within `election_timeout_max`. It may be unreachable, or slow, or
    /// no majority would vote for it. If this node still leads, it
    /// accepts commands again. Another node may lead by now: see
    /// [`LeaderChanged`](crate::Action::LeaderChanged).
    #[error("{target} did not take over in time; commands are taken in again")]
    TimedOut {
        /// The node that was to take over.
        target: NodeId,
    },
    /// Another node was elected, or this one stepped down before it could ask the target.
    #[error("leadership was lost to another node than the target")]
    LeadershipLost,
    /// This instance has [`Faulted`](crate::Action::Faulted).
    #[error("this instance has faulted: {0}")]
    Faulted(Fault),
}

/// Why a membership change was not begun; nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Only the leader can append.
    #[error("not the leader{}", redirect(*leader))]
    NotLeader {
        /// The leader, if it is known: propose there.
        leader: Option<NodeId>,
    },
    /// One change at a time (thesis 4.1). Wait until the entry at `index` is applied and its
    /// configuration is not joint.
    #[error("another change is under way at index {index}; wait until it is complete")]
    InProgress {
        /// The entry of the change under way.
        index: Index,
    },
    /// Another configuration is in force than the one that the change was made for. Look at it, and
    /// decide anew.
    #[error("the members have changed: the configuration of index {index} is in force now")]
    Changed {
        /// The entry of the configuration in force.
        index: Index,
    },
    /// Nothing of the leader's own term is committed. Until then, this change and one of an earlier
    /// leader might share no majority. Wait for the first commit, or propose a command.
    #[error("nothing of this leader's term is committed yet; wait, or propose a command")]
    NoCommitInTerm,
    /// The change would leave the cluster without voters.
    #[error("the change would leave no voter")]
    NoVoters,
    /// The change names a node twice.
    #[error("{0} is named twice; say once what it is to be")]
    NamedTwice(NodeId),
    /// The node to be removed, promoted or demoted is not a member.
    #[error("{0} is not a member")]
    UnknownNode(NodeId),
    /// The role is one that only a joint configuration has.
    #[error("{0} can be made a voter or a learner, nothing else")]
    InvalidRole(NodeId),
    /// The member votes under another incarnation. To replace its disk, make it a learner with the
    /// new incarnation first, and a voter once it has caught up.
    #[error(
        "{node} is a member with the storage {named}; make it a learner with the new one first"
    )]
    OtherIncarnation {
        /// The member.
        node: NodeId,
        /// The incarnation that the configuration names.
        named: Incarnation,
    },
    /// The node is to become a voter and has not been heard, so its incarnation is not known.
    #[error("{0} has not been heard yet; wait until it has, or name its incarnation")]
    UnknownIncarnation(NodeId),
    /// A voter is to become a staging member, by a change that goes through a joint configuration:
    /// such a change makes it a plain learner at its end. Make that change by itself.
    #[error("{0} is a voter; make it a staging member by a change of its own")]
    StagingVoter(NodeId),
    /// The node is to become a voter and does not read the level in force (`upgrade.rs`). Start it with
    /// a release that does.
    #[error("{node} reads level {own}, and the cluster writes at {needed}: upgrade it first")]
    LevelTooLow {
        /// The node.
        node: NodeId,
        /// What it reads.
        own: Level,
        /// The level in force.
        needed: Level,
    },
    /// The configuration is as wanted already.
    #[error("nothing changes: the configuration is so already")]
    NothingChanges,
    /// The node is to become a voter and lacks entries, so commits might wait for it for long
    /// (thesis 4.2.1). Add it as a learner and wait until it has caught up, or force the change.
    #[error(
        "{node} has entries up to {match_index} of {last}: let it catch up as a learner, or \
         force the change"
    )]
    NotCaughtUp {
        /// The node.
        node: NodeId,
        /// Its matchIndex.
        match_index: Index,
        /// The leader's last index.
        last: Index,
    },
    /// The configuration would be over [`Membership::MAX_BYTES`](crate::Membership::MAX_BYTES), or
    /// over this leader's or a voter's [`max_entry_bytes`](crate::Config::max_entry_bytes).
    #[error("a configuration of {size} bytes is over the limit of {limit}; shorten the contexts")]
    TooLarge {
        /// Its length.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Leadership is being transferred. Ask the next leader.
    #[error("leadership is being handed over to {target}; ask it soon")]
    Transferring {
        /// The next leader.
        target: NodeId,
    },
    /// The log has reached [`Index::MAX`].
    #[error("the log is full: it has reached the greatest index")]
    LogFull,
    /// This instance has [`Faulted`](crate::Action::Faulted).
    #[error("this instance has faulted: {0}")]
    Faulted(Fault),
}

/// `; n3 leads` or `; no leader is known`.
pub(super) fn redirect(leader: Option<NodeId>) -> String {
    match leader {
        Some(leader) => alloc::format!("; {leader} leads"),
        None => String::from("; no leader is known"),
    }
}
