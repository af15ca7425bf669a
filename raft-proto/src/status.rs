//! One struct that shows a node's state.

use crate::error::Fault;
use crate::incarnation::ForeignIncarnation;
use crate::membership::Membership;
use crate::message::{MessageLimits, SnapshotId};
use crate::progress::{Flow, Peer, Probe};
use crate::raft::Raft;
use crate::role::{Role, RoleKind};
use crate::types::{EntryId, Incarnation, Index, NodeId, Seq, Term, Time};
use alloc::vec::Vec;
use core::time::Duration;

/// What a node knows of itself and, if it leads, of its followers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The node.
    pub id: NodeId,
    /// currentTerm.
    pub term: Term,
    /// votedFor.
    pub voted_for: Option<NodeId>,
    /// Its role.
    pub role: RoleKind,
    /// The leader of its term, if it knows it.
    pub leader: Option<NodeId>,
    /// The configuration in force.
    pub membership: Membership,
    /// The last entry that compaction dropped from the log.
    pub log_base: EntryId,
    /// The last entry of the log.
    pub last_log: EntryId,
    /// Bytes of the log in memory, with [`ENTRY_OVERHEAD`](crate::ENTRY_OVERHEAD) for each entry.
    pub resident_bytes: u64,
    /// The log is on its disk up to here.
    pub durable_index: Index,
    /// commitIndex.
    pub commit_index: Index,
    /// The last index handed out to the state machine.
    pub handed_out_index: Index,
    /// lastApplied, as reported.
    pub applied_index: Index,
    /// Bytes of the log above what the service has applied, with
    /// [`ENTRY_OVERHEAD`](crate::ENTRY_OVERHEAD) for each entry. If it only grows, the service is
    /// stuck: see [`max_backlog_bytes`](crate::Config::max_backlog_bytes).
    pub unapplied_bytes: u64,
    /// The snapshot that a restart recovers.
    pub snapshot: Option<SnapshotId>,
    /// The last write reported as persisted.
    pub persisted: Seq,
    /// Writes issued and not yet persisted.
    pub writes_under_way: usize,
    /// Messages and hand-overs that wait for those writes.
    pub withheld: usize,
    /// Messages rejected, because no correct peer sends them.
    pub rejected: u64,
    /// Rejected messages that show a broken safety property. Anything but 0 is an emergency.
    pub safety_violations: u64,
    /// Its storage: [`Raft::incarnation`].
    pub incarnation: Option<Incarnation>,
    /// The storage that has its number, if it is another one: this node does not count then. See
    /// [`Action::Replaced`](crate::Action::Replaced).
    pub replaced_by: Option<Incarnation>,
    /// The storages that spoke to it under a member's number and do not count:
    /// [`Raft::foreign_incarnations`].
    pub foreign_incarnations: Vec<ForeignIncarnation>,
    /// While the cluster is being founded, the founders that it has not heard for two election
    /// timeouts: [`Raft::missing_founders`].
    pub missing_founders: Vec<NodeId>,
    /// The last entry that its storage has acknowledged, if it has lost entries up to there and the
    /// leader has not sent them yet: until then it neither votes nor campaigns. See
    /// [`Recovered::impaired`](crate::Recovered::impaired).
    pub impaired: Option<EntryId>,
    /// Why this instance has faulted, if so.
    pub fault: Option<Fault>,
    /// Its followers, if it leads; and members that it has removed, until they know that.
    pub peers: Vec<PeerStatus>,
    /// The longest command that it takes, if it leads: the least `max_entry_bytes` of all voters
    /// that it has heard in its term.
    pub command_limit: Option<u64>,
    /// The voter to which that limit belongs; `None` if it is this node's own.
    pub limited_by: Option<NodeId>,
}

/// What a leader knows of a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The follower.
    pub id: NodeId,
    /// matchIndex.
    pub match_index: Index,
    /// nextIndex.
    pub next_index: Index,
    /// How entries get to it.
    pub state: PeerState,
    /// When it was last heard in this term.
    pub heard_at: Option<Time>,
    /// Whether that is less than an election timeout ago.
    pub is_active: bool,
    /// What it takes in one message, if it was heard in this term.
    pub limits: Option<MessageLimits>,
    /// The first entry that it lacks and that fits no message that it takes.
    pub too_large: Option<Index>,
}

/// How entries get to a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// The leader asks where the logs agree.
    Probe,
    /// Entries are sent as they come.
    Replicate {
        /// Appends on their way.
        inflight: usize,
    },
    /// The leader sends it a snapshot.
    Snapshot {
        /// Its id.
        snapshot: SnapshotId,
        /// Where the current chunk begins, in bytes.
        offset: u64,
    },
}

impl Peer {
    fn status(&self, timeout: Duration, now: Time) -> PeerStatus {
        PeerStatus {
            id: self.id,
            match_index: self.match_index,
            next_index: self.next_index,
            state: match &self.flow {
                Flow::Probe(Probe::Ready | Probe::Sent(_)) => PeerState::Probe,
                Flow::Replicate(inflight) => PeerState::Replicate {
                    inflight: inflight.len(),
                },
                Flow::Snapshot(transfer) => PeerState::Snapshot {
                    snapshot: transfer.snapshot.id,
                    offset: transfer.offset,
                },
            },
            heard_at: self.heard_at,
            is_active: self.heard_within(timeout, now),
            limits: self.limits,
            too_large: self.too_large.map(|entry| entry.index),
        }
    }
}

impl Raft {
    /// Why this instance has faulted, if so.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// The state of this node, at this moment.
    pub fn status(&self) -> Status {
        let (peers, command_limit) = match &self.role {
            Role::Leader(leader) => {
                let (timeout, now) = (self.config.election_timeout_max, self.now);
                let peers = leader.peers.iter();
                let peers = peers.map(|peer| peer.status(timeout, now)).collect();
                (peers, Some(leader.command_limit))
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => (Vec::new(), None),
        };
        Status {
            id: self.id(),
            term: self.term(),
            voted_for: self.voted_for(),
            role: self.role(),
            leader: self.leader(),
            membership: self.membership().clone(),
            log_base: self.log.base(),
            last_log: self.log.last(),
            resident_bytes: self.log.resident_bytes(),
            durable_index: self.writes.durable_index(),
            commit_index: self.commit_index(),
            handed_out_index: self.applier.handed_out(),
            applied_index: self.applier.applied(),
            unapplied_bytes: self.unapplied_bytes(),
            snapshot: self.snapshot.as_ref().map(|snapshot| snapshot.id),
            persisted: self.writes.persisted(),
            writes_under_way: self.writes.under_way(),
            withheld: self.outbox.len(),
            rejected: self.peer_faults.rejected(),
            safety_violations: self.peer_faults.safety_violations(),
            incarnation: self.incarnation(),
            replaced_by: self.replaced_by,
            foreign_incarnations: self.foreign.clone(),
            missing_founders: self.missing_founders().collect(),
            impaired: self.impaired,
            fault: self.fault,
            peers,
            command_limit: command_limit.map(|limit| limit.bytes),
            limited_by: command_limit.and_then(|limit| limit.node),
        }
    }
}
