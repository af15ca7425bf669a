//! The judge of a run: it owns every checker, and keeps the first failure that any of them finds.
//!
//! The world tells the judge what happens, in `world/observe.rs`:
//!
//! | what happens | checkers |
//! |---|---|
//! | a core takes a step | [`Figure3Checker`], and those of single nodes (below) |
//! | an entry is committed | [`durability`], [`electable`] |
//! | a node is elected | [`election_quorum`] |
//! | roles, members or disks change | [`membership_safety`] |
//! | a command runs | [`exactly_once`] |
//! | a command is answered | [`exactly_once`], [`Durability`] |
//! | a read is allowed | [`Judge::read_allowed`]: it must not be stale |
//! | a client begins an operation, or learns its result | [`ClientHistory`] |
//!
//! The checkers of single nodes are [`ElectionTimeouts`], [`QuorumContact`], [`LeaderStickiness`],
//! [`Leases`] and [`SnapshotMembers`].
//!
//! A core also fails if it rejects a correct node's message, refuses an input that the contract
//! allows, or says of a peer that it lost entries. Once all faults are over,
//! [`liveness`](crate::liveness) asks whether the cluster recovers.
//!
//! [`durability`]: crate::checker::durability
//! [`electable`]: crate::checker::electable
//! [`election_quorum`]: crate::checker::election_quorum
//! [`exactly_once`]: crate::checker::exactly_once
//! [`membership_safety`]: crate::checker::membership_safety

mod client_history;
mod cluster;

pub use client_history::ClientHistory;

use crate::checker::{
    Durability, ElectionTimeouts, ExactlyOnce, Figure3Checker, LeaderStickiness, Leases,
    Observation, QuorumContact, SnapshotMembers, Started, Violation,
};
use crate::failure::Failure;
use crate::process::Observer;
use crate::service::SessionId;
use raft_proto::{Action, EntryId, Event, Fault, Index, NodeId, Raft, Refusal, Term};

/// All checkers of a run.
#[derive(Debug, Default)]
pub struct Judge {
    figure3: Figure3Checker,
    election_timeouts: ElectionTimeouts,
    quorum_contact: QuorumContact,
    leader_stickiness: LeaderStickiness,
    leases: Leases,
    snapshot_members: SnapshotMembers,
    durability: Durability,
    exactly_once: ExactlyOnce,
    client_history: ClientHistory,
    /// Up to here, committed entries have been looked for on the voters' disks.
    checked_commit: Index,
    /// Roles, members or disks have changed: quorums have to be compared.
    has_cluster_changed: bool,
    failure: Option<Failure>,
}

impl Judge {
    /// Notes a failure; only the first one counts.
    pub fn fail(&mut self, failure: impl Into<Failure>) {
        if self.failure.is_none() {
            self.failure = Some(failure.into());
        }
    }

    /// The first failure.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    #[inline]
    fn require(&mut self, result: Result<(), Violation>) {
        if let Err(violation) = result {
            self.fail(violation);
        }
    }

    /// How many entries are committed.
    pub fn commit_index(&self) -> Index {
        self.figure3.commit_index()
    }

    /// What all clients saw, for the clients to note their operations in.
    pub fn client_history(&mut self) -> &mut ClientHistory {
        &mut self.client_history
    }

    /// A node starts; its service holds all up to `applied`.
    pub fn started(&mut self, raft: &Raft, applied: Index) {
        self.election_timeouts.started(raft.id());
        let result = self.figure3.started(&Started::of(raft, applied));
        self.require(result);
    }

    /// A node's process has ended.
    pub fn stopped(&mut self, node: NodeId) {
        self.election_timeouts.stopped(node);
        self.quorum_contact.stopped(node);
        self.leader_stickiness.stopped(node);
        self.leases.stopped(node);
        self.snapshot_members.stopped(node);
        self.figure3.stopped(node);
    }

    /// A node that has stopped never comes back.
    pub fn gone(&mut self, node: NodeId) {
        self.figure3.gone(node);
    }

    /// The service of `node` has run a command, as this entry.
    pub fn command_ran(&mut self, node: NodeId, session: SessionId, sequence: u64, entry: EntryId) {
        let result = self.exactly_once.ran(node, session.0, sequence, entry);
        self.require(result);
    }

    /// `node` has told a client that its command is committed as this entry, and its result.
    pub fn command_answered(
        &mut self,
        node: NodeId,
        session: SessionId,
        sequence: u64,
        entry: EntryId,
    ) {
        self.durability.acknowledged(entry, node);
        let result = self.exactly_once.answered(session.0, sequence);
        self.require(result);
    }

    /// `node` allows a read of its state at `index`. `committed` is the commitIndex of the cluster
    /// when the read began: linearizable reads see at least that (thesis 6.4). Returns whether it
    /// does.
    pub fn read_allowed(&mut self, node: NodeId, index: Index, committed: Index) -> bool {
        let is_stale = index < committed;
        if is_stale {
            self.fail(Failure::StaleRead {
                node,
                index,
                committed,
            });
        }
        !is_stale
    }

    /// The run is over, and `leader` has caught up: it must have all that clients were told is
    /// committed.
    ///
    /// # Errors
    ///
    /// [`Failure::Violated`].
    pub fn check_acknowledged(&self, leader: &Raft) -> Result<(), Failure> {
        let snapshot = leader.log_base().index;
        let term_at = |index: Index| -> Option<Term> { leader.term_at(index) };
        Ok(self
            .durability
            .check_present(leader.id(), snapshot, term_at)?)
    }

    /// The run is over: what all clients saw must be linearizable. Returns how many keys' histories
    /// were too hard to check to their end.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`].
    pub fn finish_client_history(&mut self) -> Result<u64, Failure> {
        core::mem::take(&mut self.client_history).finish()
    }

    /// What an action says against the core that took the step, or against its peer.
    fn check_complaint(&mut self, raft: &Raft, action: &Action) {
        match action {
            Action::Rejected { from, reason } => self.fail(Failure::Rejected {
                node: raft.id(),
                from: *from,
                reason: reason.clone(),
            }),
            // A spare has heard of no members yet. A write that fails is the nemesis' doing.
            Action::Refused {
                reason: Refusal::NoConfiguration,
            }
            | Action::Faulted {
                reason: Fault::WriteFailed { .. },
            } => {}
            Action::Refused { reason } => self.fail(Failure::Refused {
                node: raft.id(),
                reason: *reason,
            }),
            Action::LostState { peer, .. } => self.fail(Failure::LostState {
                leader: raft.id(),
                peer: *peer,
            }),
            Action::Send { .. }
            | Action::Persist(_)
            | Action::Apply { .. }
            | Action::Restore { .. }
            | Action::ReadSnapshot { .. }
            | Action::WriteSnapshot { .. }
            | Action::ReleaseSnapshot { .. }
            | Action::ReadEntries { .. }
            | Action::WakeAt(_)
            | Action::Proposed { .. }
            | Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::MembershipChanged { .. }
            | Action::RoleChanged { .. }
            | Action::LeaderChanged { .. }
            | Action::EntryRefused { .. }
            | Action::Removed { .. } => {}
        }
    }
}

impl Observer for Judge {
    fn event(&mut self, raft: &Raft, event: &Event) {
        self.election_timeouts.event(raft, event);
        self.quorum_contact.event(raft, event);
        self.leader_stickiness.event(raft, event);
        self.leases.event(raft, event);
    }

    fn actions(&mut self, raft: &Raft, actions: &[Action]) {
        for action in actions {
            self.check_complaint(raft, action);
        }
        let result = self.figure3.observe(&Observation::of(raft, actions));
        self.require(result);
        let result = self.snapshot_members.actions(raft, actions);
        self.require(result);
        let result = self.quorum_contact.actions(raft, actions);
        self.require(result);
        let result = self.election_timeouts.actions(raft, actions);
        self.require(result);
        let result = self.leader_stickiness.actions(raft, actions);
        self.require(result);
        let result = self.leases.actions(raft, actions);
        self.require(result);
    }
}
