//! The input of the core.

use crate::config::Config;
use crate::entries::{Commands, Entries};
use crate::membership::Member;
use crate::message::{Message, SnapshotId};
use crate::types::{EntryId, Incarnation, Index, NodeId, RequestId, Seq, Time};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Something that happened, and when.
///
/// The core knows nothing but its events: the same events make the same actions on every machine,
/// and a recording of a node's events is a replay of the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Event {
    /// When it happened, on the driver's monotonic clock, read after the input was received.
    /// An event older than the one before is treated as happening at that one's time. A new
    /// instance may have a new epoch: no time is stored.
    pub at: Time,
    /// What happened.
    pub input: Input,
}

/// Something that can happen to a node. Each variant says when the driver gives it.
///
/// Exhaustive: drivers make these, and only recorders and checkers take them apart, which should
/// look at a new kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Input {
    /// Time has passed. The driver gives one as its first event, and one at or after each
    /// deadline that [`Action::WakeAt`](crate::Action::WakeAt) named; more do no harm. A node
    /// that gets none neither campaigns nor sends heartbeats, and is safe.
    Tick,

    /// A message arrived. The driver vouches that `from` sent it and that its bytes are as they
    /// were sent; it may lose, delay, repeat and reorder as it likes.
    Receive {
        /// The sender.
        from: NodeId,
        /// The sender's [`Raft::incarnation`](crate::Raft::incarnation) when it sent the message.
        /// Each message carries it ([`wire::Envelope`](crate::wire::Envelope)).
        incarnation: Option<Incarnation>,
        /// The message.
        message: Message,
    },

    /// A client's commands are to be replicated: all of them are appended, in order and next to
    /// each other, or none. Answered in the same step by
    /// [`Action::Proposed`](crate::Action::Proposed).
    Propose {
        /// Comes back in the outcome.
        id: RequestId,
        /// At least one.
        commands: Commands,
    },

    /// All writes up to and including `seq` are on stable storage: they survive a power
    /// failure. **The one statement that safety rests on; never say it early.** Cumulative:
    /// reporting only the last of several is enough. A driver that completes writes out of
    /// order reports the greatest seq below which nothing is missing.
    Persisted {
        /// At most the last seq that the core issued; refused otherwise.
        seq: Seq,
    },

    /// The write `seq` failed, or may have failed. Final for this instance: it is
    /// [`Faulted`](crate::Action::Faulted) from now on. Reopen the storage, find out what it
    /// holds, and start a new instance from that. Never retry a failed sync: the operating
    /// system may have dropped the bytes, and the next sync may succeed without them.
    PersistFailed {
        /// The write that failed.
        seq: Seq,
    },

    /// The state machine has applied all entries up to `index` (lastApplied), no-ops included.
    /// Lets the core hand out more: [`max_unapplied_bytes`](crate::Config::max_unapplied_bytes)
    /// limits what is handed out and not yet applied.
    Applied {
        /// At most the last index handed out; refused otherwise.
        index: Index,
    },

    /// The service has made a snapshot of its state after applying `snapshot.last`, and the
    /// snapshot's bytes are on stable storage (section 7; the lab's `Snapshot`). The core drops
    /// the entries that it replaces. Valid for any index already handed out by
    /// [`Action::Apply`](crate::Action::Apply), also before `Applied` was reported. A snapshot that
    /// is not newer than the one in use is released at once, unless the one in use was found
    /// [damaged](crate::Action::SnapshotDamaged): a stale one does no harm. The file of one that is
    /// [`Refused`](crate::Action::Refused) is the driver's to delete.
    Compact {
        /// The new snapshot. `last` is the id of the last entry that it covers.
        snapshot: SnapshotId,
    },

    /// The answer to [`Action::ReadSnapshot`](crate::Action::ReadSnapshot).
    SnapshotRead {
        /// As in the action.
        peer: NodeId,
        /// As in the action.
        snapshot: SnapshotId,
        /// As in the action.
        offset: u64,
        /// Exactly as many bytes as were asked for, or why not.
        result: Result<Bytes, SnapshotReadFailed>,
    },

    /// The answer to [`Action::WriteSnapshot`](crate::Action::WriteSnapshot).
    SnapshotWritten {
        /// As in the action.
        snapshot: SnapshotId,
        /// As in the action.
        offset: u64,
        /// Whether the chunk is in the partial file. It need not be synced: the write that
        /// installs the snapshot does that.
        result: Result<(), SnapshotWriteFailed>,
    },

    /// A client wants to read (thesis 6.4). Answered by [`Action::Read`](crate::Action::Read), in
    /// this step or a later one, within an election timeout at most. Any member takes reads: a
    /// follower asks the leader.
    Read {
        /// Comes back in the outcome.
        id: RequestId,
        /// How the leader makes sure that it still leads.
        mode: ReadMode,
    },

    /// This leader is to transfer leadership (thesis 3.10): before it is stopped, or to a node that
    /// is nearer to the clients. Answered by [`Action::Transferred`](crate::Action::Transferred).
    /// Until then, commands are refused.
    TransferLeadership {
        /// Comes back in the outcome.
        id: RequestId,
        /// The next leader; `None` lets this node choose the voter that is best prepared.
        target: Option<NodeId>,
    },

    /// The membership is to change (section 6; thesis chapter 4). Answered in the same step by
    /// [`Action::ChangeProposed`](crate::Action::ChangeProposed).
    ChangeMembership {
        /// Comes back in the outcome.
        id: RequestId,
        /// What is to change.
        change: MembershipChange,
    },

    /// The answer to [`Action::ReadEntries`](crate::Action::ReadEntries).
    EntriesRead {
        /// As in the action.
        peer: NodeId,
        /// As in the action.
        from: EntryId,
        /// The entries from `from` on, at least one, in order and without a gap. `None` if they
        /// could not be read: the follower is sent a snapshot instead.
        entries: Option<Entries>,
    },

    /// The transport cannot reach `peer`: a connection with it was refused or broke, in either
    /// direction. A hint that saves waiting; never needed. No message leaves in its step, so that a
    /// driver may give it for each message that it could not send.
    ///
    /// A leader takes its latest messages for that follower for lost, and the next heartbeat asks
    /// which entries it has. A follower of `peer` takes it
    /// for stopped, as a process that ends closes its connections: with
    /// [`PreVoting::On`](crate::PreVoting::On) and
    /// [`CheckQuorum::On`](crate::CheckQuorum::On) it asks for pre-votes: the followers take
    /// turns, half a heartbeat interval apart. It ignores candidates only for as long as it promised
    /// ([`Config::lease_promise`](crate::Config::lease_promise)). If the leader is well, the next
    /// heartbeat ends that.
    Unreachable {
        /// The peer.
        peer: NodeId,
    },

    /// This node is to begin an election now, as if its election timeout had elapsed (section 5.2;
    /// etcd/raft's `MsgHup`): by way of Pre-Vote, if that is on. Answered in the same step by
    /// [`Action::Campaigning`](crate::Action::Campaigning). It is refused to a node that hears a
    /// leader, where leases may rest on that: ask the leader for
    /// [`TransferLeadership`](Input::TransferLeadership) then. With
    /// [`CheckQuorum::On`](crate::CheckQuorum::On) the other voters ignore the candidate for as long
    /// as they hear a leader themselves.
    Campaign {
        /// Comes back in the outcome.
        id: RequestId,
    },

    /// This leader is to give up its leadership at once: it becomes a follower in its term.
    /// Answered in the same step by [`Action::SteppedDown`](crate::Action::SteppedDown). Reads that
    /// wait are refused, a transfer under way has failed, and nobody leads before the next election,
    /// which takes an election timeout and may elect this node again.
    /// [`TransferLeadership`](Input::TransferLeadership) needs no such pause. What becomes of
    /// commands that are not committed yet, [`Proposal`](crate::Proposal) says.
    StepDown {
        /// Comes back in the outcome.
        id: RequestId,
    },

    /// This node's settings are to change while it runs. Answered in the same step by
    /// [`Action::Reconfigured`](crate::Action::Reconfigured). All limits, and all times but
    /// `election_timeout_min`, may change; [`FixedSetting`](crate::FixedSetting) lists what may not.
    Reconfigure {
        /// Comes back in the outcome.
        id: RequestId,
        /// All settings: those of [`Raft::config`](crate::Raft::config), and what is to change.
        config: Box<Config>,
    },
}

/// How a leader makes sure that it still leads when it serves a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReadMode {
    /// A majority confirms it first (thesis 6.4): one round of messages for all reads that wait.
    Quorum,
    /// It relies on its lease (thesis 6.4.1), without messages. A leader that cannot prove its
    /// lease refuses, and so do other nodes.
    Lease,
}

/// A change of the membership: of any number of members, in one step.
///
/// ```
/// use raft_proto::{Member, MembershipChange, NodeChange, NodeId, Readiness};
///
/// let added = Member::learner(NodeId(4)).with_context("10.0.0.4:7000");
/// let change = MembershipChange::from(NodeChange::Set(added));
/// assert_eq!(change.readiness, Readiness::Checked);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MembershipChange {
    /// What each of these nodes is to be; nodes not named stay as they are.
    pub nodes: Vec<NodeChange>,
    /// Whether nodes that are to become voters have to be caught up.
    pub readiness: Readiness,
    /// The entry of the configuration that the change was made for
    /// ([`MembershipChanged`](crate::Action::MembershipChanged) named it): the change is refused if
    /// another one is in force, as somebody else has changed the members since. `None` takes
    /// whichever is in force.
    pub expected: Option<Index>,
}

impl From<NodeChange> for MembershipChange {
    fn from(change: NodeChange) -> MembershipChange {
        MembershipChange {
            nodes: Vec::from([change]),
            readiness: Readiness::Checked,
            expected: None,
        }
    }
}

/// What a node is to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NodeChange {
    /// A member with this role (voter, learner or staging), priority and context, whether it is one
    /// already or not. To change one of these alone, [`Update`](NodeChange::Update) is safer: it
    /// does not undo what somebody else has changed meanwhile.
    Set(Member),
    /// A voter, with the priority and the context that it has.
    Promote(NodeId),
    /// A learner, with the priority and the context that it has.
    Demote(NodeId),
    /// No member any more.
    Remove(NodeId),
    /// A member whose priority or context, its address for example, changes; `None` keeps what it
    /// has. It stays what it is, needs not be caught up, and keeps its vote all the time.
    Update {
        /// The member.
        node: NodeId,
        /// Its new priority.
        priority: Option<u8>,
        /// Its new context.
        context: Option<Bytes>,
    },
}

impl NodeChange {
    /// The node that changes.
    pub fn node(&self) -> NodeId {
        match self {
            NodeChange::Set(member) => member.id,
            NodeChange::Promote(id)
            | NodeChange::Demote(id)
            | NodeChange::Remove(id)
            | NodeChange::Update { node: id, .. } => *id,
        }
    }
}

/// Whether a node that is to become a voter has to be caught up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Readiness {
    /// It has to be a member that lacks at most
    /// [`max_promotion_lag`](crate::Config::max_promotion_lag) entries and was heard recently.
    Checked,
    /// It need not be: commits may wait until it has caught up.
    Forced,
}

/// Why a chunk of a snapshot could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum SnapshotReadFailed {
    /// The storage failed. The core tries again later.
    #[error("the snapshot could not be read now")]
    Failed,
    /// There is no such snapshot. The core asks again with later heartbeats, for the newest one
    /// that it has been told of by then.
    #[error("there is no such snapshot any more")]
    Gone,
}

/// The chunk could not be written. The core forgets the transfer, which begins again with the
/// leader's next chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[error("the snapshot's chunk could not be written")]
pub struct SnapshotWriteFailed;
