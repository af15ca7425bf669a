//! One struct that shows a node's state.

use crate::error::Fault;
use crate::membership::Membership;
use crate::message::{MessageLimits, SnapshotId};
use crate::progress::{Flow, Peer, Probe};
use crate::raft::Raft;
use crate::role::{Handover, Leader, Role, RoleKind};
use crate::types::{EntryId, ForeignIncarnation, Incarnation, Index, NodeId, Seq, Term, Time};
use crate::waiting::Waiting;
use alloc::vec::Vec;
use core::time::Duration;

/// What a node knows of itself and, if it leads, of its followers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
    /// Bytes of the log that are not yet both committed and on its own disk, if it leads; else 0.
    /// [`max_uncommitted_bytes`](crate::Config::max_uncommitted_bytes) limits them.
    pub uncommitted_bytes: u64,
    /// Reads that wait for their index, here or on their way to the leader.
    /// [`max_waiting_reads`](crate::Config::max_waiting_reads) limits them.
    pub waiting_reads: usize,
    /// Until when it serves reads under a lease, or why it does not.
    pub lease: LeaseStatus,
    /// The transfer of its leadership that is under way, if it leads.
    pub handover: Option<HandoverStatus>,
    /// The snapshot that a restart recovers.
    pub snapshot: Option<SnapshotId>,
    /// The last write reported as persisted.
    pub persisted: Seq,
    /// Writes issued and not yet persisted.
    pub writes_under_way: usize,
    /// Messages and hand-overs that wait for those writes.
    pub withheld: usize,
    /// What it waits for from its driver, and since when: [`Raft::waits_for`]. Writes and entries
    /// that are on their way belong here, too; what stays for long was forgotten, or is stuck.
    pub waits_for: Vec<Waiting>,
    /// Messages rejected, because no correct peer sends them.
    pub rejected: u64,
    /// Rejected messages that show a broken safety property. Anything but 0 is an emergency.
    pub safety_violations: u64,
    /// Its storage: [`Raft::incarnation`].
    pub incarnation: Option<Incarnation>,
    /// The storage that has its number, if it is another one: this node does not count then. See
    /// [`Action::Replaced`](crate::Action::Replaced).
    pub replaced_by: Option<Incarnation>,
    /// As of which committed index it is no member, if it knows that: [`Raft::removed_at`].
    pub removed_at: Option<Index>,
    /// The storages that spoke to it under a member's number and do not count:
    /// [`Raft::foreign_incarnations`].
    pub foreign_incarnations: Vec<ForeignIncarnation>,
    /// While the cluster is being founded, the founders that have not taken part in that for two
    /// election timeouts: [`Raft::missing_founders`].
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

/// Whether a node serves reads under a lease (thesis 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseStatus {
    /// Leases are off ([`Lease::Off`](crate::Lease::Off)).
    Off,
    /// It does not lead.
    NotLeader,
    /// It has committed nothing in its term, and does not know what earlier leaders committed.
    NoCommitInTerm,
    /// The target of a transfer was asked to campaign.
    Transferring,
    /// No majority has answered a message that it sent recently enough.
    Unconfirmed,
    /// It serves them, until this time by its own clock unless a majority answers before.
    Until(Time),
}

/// A transfer of leadership that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandoverStatus {
    /// The next leader.
    pub target: NodeId,
    /// When it is given up.
    pub deadline: Time,
    /// When the target was last asked to campaign; `None` while it still lacks entries.
    pub asked_at: Option<Time>,
}

/// What a leader knows of a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// The follower.
    pub id: NodeId,
    /// matchIndex.
    pub match_index: Index,
    /// nextIndex.
    pub next_index: Index,
    /// How entries get to it.
    pub state: PeerState,
    /// Bytes of entries, or of a snapshot, that are on their way to it and not acknowledged.
    /// [`max_inflight_bytes`](crate::Config::max_inflight_bytes) limits them.
    pub inflight_bytes: u64,
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
        let (state, inflight_bytes) = match &self.flow {
            Flow::Probe(Probe::Ready | Probe::Sent(None)) => (PeerState::Probe, 0),
            Flow::Probe(Probe::Sent(Some(append))) => (PeerState::Probe, append.bytes),
            Flow::Replicate(inflight) => {
                let bytes = inflight.bytes();
                let inflight = inflight.len();
                (PeerState::Replicate { inflight }, bytes)
            }
            Flow::Snapshot(transfer) => {
                let (snapshot, offset) = (transfer.snapshot.id, transfer.offset);
                let state = PeerState::Snapshot { snapshot, offset };
                (state, transfer.inflight_bytes())
            }
        };
        PeerStatus {
            id: self.id,
            match_index: self.match_index,
            next_index: self.next_index,
            state,
            inflight_bytes,
            heard_at: self.heard_at,
            is_active: self.heard_within(timeout, now),
            limits: self.limits,
            too_large: self.too_large.map(|entry| entry.index),
        }
    }
}

impl Handover {
    fn status(&self) -> HandoverStatus {
        HandoverStatus {
            target: self.target,
            deadline: self.deadline,
            asked_at: self.timeout_now_at,
        }
    }
}

/// The lists of a status, whose memory is used again.
#[derive(Default)]
struct Lists {
    membership: Membership,
    waits_for: Vec<Waiting>,
    foreign_incarnations: Vec<ForeignIncarnation>,
    missing_founders: Vec<NodeId>,
    peers: Vec<PeerStatus>,
}

/// Copies `items` into `list`.
fn refill<T>(list: &mut Vec<T>, items: impl Iterator<Item = T>) {
    list.clear();
    list.extend(items);
}

impl Raft {
    /// Why this instance has faulted, if so.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// What this node knows of each of its followers, if it leads, in the order of their ids; and of
    /// members that it has removed, until they know that. Allocates nothing.
    pub fn peers(&self) -> impl Iterator<Item = PeerStatus> + '_ {
        let (timeout, now) = (self.config.election_timeout_max, self.now);
        let peers = self.led().map_or(&[][..], |leader| &leader.peers);
        peers.iter().map(move |peer| peer.status(timeout, now))
    }

    /// How many reads wait for their index.
    pub fn waiting_reads(&self) -> usize {
        match &self.role {
            Role::Leader(leader) => leader.reads.len(),
            Role::Follower(follower) => follower.reads.len(),
            Role::PreCandidate(_) | Role::Candidate(_) => 0,
        }
    }

    /// Bytes of the log that are not yet both committed and on this leader's disk; 0 if it does not
    /// lead.
    pub fn uncommitted_bytes(&self) -> u64 {
        self.led().map_or(0, |leader| leader.uncommitted)
    }

    /// The bytes of the log in memory.
    pub fn resident_bytes(&self) -> u64 {
        self.log.resident_bytes()
    }

    /// Until when this node serves reads under a lease, or why it does not.
    pub fn lease(&self) -> LeaseStatus {
        if self.config.lease_length().is_none() {
            return LeaseStatus::Off;
        }
        let Some(leader) = self.led() else {
            return LeaseStatus::NotLeader;
        };
        if !self.has_committed_in_term() {
            return LeaseStatus::NoCommitInTerm;
        }
        if leader.reads.lease_suspended {
            return LeaseStatus::Transferring;
        }
        match leader.reads.lease_until(&self.config) {
            _ if self.is_only_voter() => LeaseStatus::Until(Time::NEVER),
            Some(until) if until > self.now => LeaseStatus::Until(until),
            Some(_) | None => LeaseStatus::Unconfirmed,
        }
    }

    fn led(&self) -> Option<&Leader> {
        match &self.role {
            Role::Leader(leader) => Some(leader),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// The state of this node, at this moment. Allocates its lists: [`Raft::status_into`] uses those
    /// of an earlier status again.
    pub fn status(&self) -> Status {
        self.status_with(Lists::default())
    }

    /// Writes the state of this node, at this moment, over an earlier one. It allocates only if a
    /// list is longer than all before.
    pub fn status_into(&self, status: &mut Status) {
        let lists = Lists {
            membership: core::mem::take(&mut status.membership),
            waits_for: core::mem::take(&mut status.waits_for),
            foreign_incarnations: core::mem::take(&mut status.foreign_incarnations),
            missing_founders: core::mem::take(&mut status.missing_founders),
            peers: core::mem::take(&mut status.peers),
        };
        *status = self.status_with(lists);
    }

    fn status_with(&self, mut lists: Lists) -> Status {
        lists.membership.copy_from(self.membership());
        refill(&mut lists.waits_for, self.waits_for());
        let foreign = self.foreign.iter().copied();
        refill(&mut lists.foreign_incarnations, foreign);
        refill(&mut lists.missing_founders, self.missing_founders());
        refill(&mut lists.peers, self.peers());
        let command_limit = self.led().map(|leader| leader.command_limit);
        let handover = self.led().and_then(|leader| leader.handover.as_ref());
        Status {
            id: self.id(),
            term: self.term(),
            voted_for: self.voted_for(),
            role: self.role(),
            leader: self.leader(),
            membership: lists.membership,
            log_base: self.log.base(),
            last_log: self.log.last(),
            resident_bytes: self.log.resident_bytes(),
            durable_index: self.writes.durable_index(),
            commit_index: self.commit_index(),
            handed_out_index: self.applier.handed_out(),
            applied_index: self.applier.applied(),
            unapplied_bytes: self.unapplied_bytes(),
            uncommitted_bytes: self.uncommitted_bytes(),
            waiting_reads: self.waiting_reads(),
            lease: self.lease(),
            handover: handover.map(Handover::status),
            snapshot: self.snapshot.as_ref().map(|snapshot| snapshot.id),
            persisted: self.writes.persisted(),
            writes_under_way: self.writes.under_way(),
            withheld: self.outbox.len(),
            waits_for: lists.waits_for,
            rejected: self.peer_faults.rejected(),
            safety_violations: self.peer_faults.safety_violations(),
            incarnation: self.incarnation(),
            replaced_by: self.replaced_by,
            removed_at: self.removed_at(),
            foreign_incarnations: lists.foreign_incarnations,
            missing_founders: lists.missing_founders,
            impaired: self.impaired,
            fault: self.fault,
            peers: lists.peers,
            command_limit: command_limit.map(|limit| limit.bytes),
            limited_by: command_limit.and_then(|limit| limit.node),
        }
    }
}
