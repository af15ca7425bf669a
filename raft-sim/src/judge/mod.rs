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
//! | a core starts, takes a step, or its writes are durable | [`Refinement`], if it is asked for |
//! | a command runs | [`exactly_once`] |
//! | a command is answered | [`exactly_once`], [`Durability`] |
//! | a service of the user's own applies or restores | [`Replicas`] |
//! | entries become durable, or are handed out | [`OwnDisk`] |
//! | a read is allowed | [`Judge::read_allowed`]: it must not be stale |
//! | a message leaves or arrives, a client asks, time passes | [`StormGuard`] |
//! | a client begins an operation, or learns its result | [`ClientHistory`] |
//!
//! The checkers of single nodes are [`ElectionTimeouts`], [`QuorumContact`], [`LeaderStickiness`],
//! [`LeaderFollowed`], [`Leases`], [`HandoverLeases`], [`SnapshotMembers`],
//! [`ConfigurationsInForce`], [`MembershipChanges`], [`DiskIdentity`], [`Levels`], [`Strangers`],
//! [`Removed`], [`OneVote`], [`Bounds`], [`SentAgain`] and [`Pacing`].
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
mod journal;

pub use client_history::ClientHistory;
pub use journal::Journal;

use crate::checker::{
    Bounds, ConfigurationsInForce, DiskIdentity, Durability, ElectionTimeouts, ExactlyOnce,
    Figure3Checker, HandoverLeases, LeaderFollowed, LeaderStickiness, Leases, Levels,
    MembershipChanges, Observation, OneVote, OwnDisk, Pacing, QuorumContact, Removed, ReplicaEvent,
    Replicas, SentAgain, SettingsInForce, SnapshotMembers, Started, StoredConfigurations, Storm,
    StormGuard, StormLimits, Strangers, Violation,
};
use crate::failure::Failure;
use crate::process::Observer;
use crate::refinement::{Broken, DiskId, Refinement, StartFacts, StepFacts};
use crate::request::Checks;
use crate::service::{After, ObservedState, SessionId};
use raft_proto::{
    Action, EntryId, Event, Fault, Index, Input, NodeId, Raft, Refusal, Rejection, Term, Time,
};
use std::collections::BTreeSet;

/// All checkers of a run.
#[derive(Debug)]
pub struct Judge {
    figure3: Figure3Checker,
    election_timeouts: ElectionTimeouts,
    quorum_contact: QuorumContact,
    leader_stickiness: LeaderStickiness,
    leader_followed: LeaderFollowed,
    leases: Leases,
    handover_leases: HandoverLeases,
    snapshot_members: SnapshotMembers,
    configurations: ConfigurationsInForce,
    strangers: Strangers,
    removed: Removed,
    membership_changes: MembershipChanges,
    settings: SettingsInForce,
    one_vote: OneVote,
    disk_identity: DiskIdentity,
    levels: Levels,
    bounds: Bounds,
    sent_again: SentAgain,
    pacing: Pacing,
    own_disk: OwnDisk,
    storm_guard: StormGuard,
    durability: Durability,
    exactly_once: ExactlyOnce,
    /// The states of services of the user's own.
    replicas: Replicas,
    client_history: ClientHistory,
    /// Up to here, committed entries have been looked for on the voters' disks.
    checked_commit: Index,
    /// Nodes whose snapshots have decayed: their receivers' checksums must say so.
    decayed: BTreeSet<NodeId>,
    /// Nodes that came back under their own numbers without what their disks held.
    returned: BTreeSet<NodeId>,
    /// Founders without a log that were told why they found no cluster.
    refused_founders: BTreeSet<NodeId>,
    /// Roles, members or disks have changed: quorums have to be compared.
    has_cluster_changed: bool,
    /// The second opinion, if it is asked for.
    refinement: Option<Box<Refinement>>,
    checks: Checks,
    failure: Option<Failure>,
}

impl Judge {
    /// A judge of a run that has not begun, in which no more may happen than `limits` say.
    pub fn new(limits: StormLimits, checks: Checks) -> Judge {
        Judge {
            refinement: checks.refine().then(Box::default),
            checks,
            figure3: Figure3Checker::default(),
            election_timeouts: ElectionTimeouts::default(),
            quorum_contact: QuorumContact::default(),
            leader_stickiness: LeaderStickiness::default(),
            leader_followed: LeaderFollowed::default(),
            leases: Leases::default(),
            handover_leases: HandoverLeases::default(),
            snapshot_members: SnapshotMembers::default(),
            configurations: ConfigurationsInForce::default(),
            strangers: Strangers::default(),
            removed: Removed::default(),
            membership_changes: MembershipChanges::default(),
            settings: SettingsInForce::default(),
            one_vote: OneVote::default(),
            disk_identity: DiskIdentity::default(),
            levels: Levels::default(),
            bounds: Bounds::default(),
            sent_again: SentAgain::default(),
            pacing: Pacing::default(),
            own_disk: OwnDisk::default(),
            storm_guard: StormGuard::new(limits),
            durability: Durability::default(),
            exactly_once: ExactlyOnce::default(),
            replicas: Replicas::default(),
            client_history: ClientHistory::default(),
            checked_commit: Index::ZERO,
            decayed: BTreeSet::new(),
            returned: BTreeSet::new(),
            refused_founders: BTreeSet::new(),
            has_cluster_changed: false,
            failure: None,
        }
    }

    /// Notes a failure; only the first one counts.
    pub fn fail(&mut self, failure: impl Into<Failure>) {
        let failure = failure.into();
        if self.failure.is_none() && self.checks.count(&failure) {
            self.failure = Some(failure);
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

    /// The index of the last configuration of a node that runs.
    pub fn latest_configuration(&self, node: NodeId) -> Option<Index> {
        self.configurations.latest_index(node)
    }

    /// How many entries are committed.
    pub fn commit_index(&self) -> Index {
        self.figure3.commit_index()
    }

    /// The last entry that is committed, whether any node knows it still.
    pub fn last_committed(&self) -> Option<EntryId> {
        self.figure3.last_committed()
    }

    /// What all clients saw, for the clients to note their operations in.
    pub fn client_history(&mut self) -> &mut ClientHistory {
        &mut self.client_history
    }

    /// A node starts; its service holds all up to `applied`, and its disk `stored`, or nothing.
    pub fn started(&mut self, raft: &Raft, applied: Index, stored: Option<&StoredConfigurations>) {
        self.election_timeouts.started(raft.id());
        self.disk_identity.started(raft);
        self.levels.started(raft);
        let result = self.figure3.started(&Started::of(raft, applied));
        self.require(result);
        let result = self.configurations.started(raft, stored);
        self.require(result);
        if let Some(refinement) = &mut self.refinement {
            let bootstrap = stored.map(|stored| &stored.bootstrap);
            let result = refinement.started(&StartFacts::of(raft, bootstrap));
            self.require_refined(result);
        }
    }

    fn require_refined(&mut self, result: Result<(), Broken>) {
        if let Err(broken) = result {
            self.fail(broken);
        }
    }

    /// A node's process has ended.
    pub fn stopped(&mut self, node: NodeId) {
        self.election_timeouts.stopped(node);
        self.quorum_contact.stopped(node);
        self.leader_stickiness.stopped(node);
        self.leases.stopped(node);
        self.handover_leases.stopped(node);
        self.snapshot_members.stopped(node);
        self.configurations.stopped(node);
        self.disk_identity.stopped(node);
        self.removed.stopped(node);
        self.bounds.stopped(node);
        self.sent_again.stopped(node);
        self.pacing.stopped(node);
        self.own_disk.stopped(node);
        self.figure3.stopped(node);
    }

    /// A node that has stopped never comes back.
    pub fn gone(&mut self, node: NodeId) {
        self.figure3.gone(node);
        self.one_vote.gone(node);
    }

    #[inline]
    fn require_no_storm(&mut self, result: Result<(), Storm>) {
        if let Err(storm) = result {
            self.fail(storm);
        }
    }

    /// Something happens at `now`, by the world's clock.
    #[inline]
    pub fn event_happens(&mut self, now: Time) {
        let result = self.storm_guard.event(now);
        self.require_no_storm(result);
    }

    /// A client asks a node for something.
    pub fn requested(&mut self) {
        self.storm_guard.requested();
    }

    /// A message is sent, of which so many copies will arrive.
    pub fn message_sent(&mut self, copies: u64) {
        let result = self.storm_guard.sent(copies);
        self.require_no_storm(result);
    }

    /// A copy of a message has arrived.
    pub fn message_arrived(&mut self) {
        self.storm_guard.arrived();
    }

    /// `node` comes back under its own number, and has forgotten what it asked others.
    pub fn returned(&mut self, node: NodeId) {
        self.returned.insert(node);
        if let Some(refinement) = &mut self.refinement {
            refinement.forgotten(node);
        }
    }

    /// Whether `node` was told that it founds no cluster again.
    pub fn is_refused_founder(&self, node: NodeId) -> bool {
        self.refused_founders.contains(&node)
    }

    /// Reads of a snapshot of `node` return other bytes than were written.
    pub fn snapshot_decays(&mut self, node: NodeId) {
        self.decayed.insert(node);
    }

    /// The service of `node` has run a command, as this entry.
    pub fn command_ran(&mut self, node: NodeId, session: SessionId, sequence: u64, entry: EntryId) {
        let result = self.exactly_once.ran(node, session.0, sequence, entry);
        self.require(result);
    }

    /// The service of `node` is one of the user's own, and was in this state.
    pub(crate) fn service_state(&mut self, node: NodeId, state: ObservedState) {
        let result = match state.after {
            After::Command => self.replicas.applied(node, state.last, state.digest),
            After::Restore => {
                (self.replicas).holds(node, state.last, state.digest, ReplicaEvent::Restore)
            }
            After::Strike => {
                (self.replicas).holds(node, state.last, state.digest, ReplicaEvent::Strike)
            }
        };
        if let Err(differ) = result {
            self.fail(differ);
        }
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
        let mut history = core::mem::take(&mut self.client_history);
        history.hand_journal_to(&mut self.client_history);
        history.finish()
    }

    /// What an action says against the core that took the step, or against its peer.
    fn check_complaint(&mut self, raft: &Raft, action: &Action) {
        match action {
            Action::Rejected {
                from,
                reason: Rejection::WrongChecksum { .. },
            } if self.decayed.contains(from) => {}
            Action::Rejected {
                reason: Rejection::UnsolicitedReply { .. } | Rejection::UnsolicitedVote { .. },
                ..
            } if self.returned.contains(&raft.id()) => {}
            // A founder without a log asks a disk that was made anew, and joins.
            Action::Rejected {
                from,
                reason: Rejection::OtherFounders,
            } if self.returned.contains(from) => {
                self.refused_founders.insert(raft.id());
            }
            Action::Rejected { from, reason } => self.fail(Failure::Rejected {
                node: raft.id(),
                from: *from,
                reason: reason.clone(),
            }),
            // A spare has heard of no members yet. A write that fails is the nemesis' doing. Whether
            // a level is too low is checked by `Levels`.
            Action::Refused {
                reason: Refusal::NoConfiguration,
            }
            | Action::Faulted {
                reason: Fault::WriteFailed { .. } | Fault::LevelTooLow { .. },
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
            | Action::SnapshotDamaged { .. }
            | Action::ReadEntries { .. }
            | Action::WakeAt(_)
            | Action::Proposed { .. }
            | Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::Campaigning { .. }
            | Action::SteppedDown { .. }
            | Action::Reconfigured { .. }
            | Action::Overdue(_)
            | Action::MembershipChanged { .. }
            | Action::RoleChanged { .. }
            | Action::LeaderChanged { .. }
            | Action::EntryRefused { .. }
            | Action::Removed { .. }
            | Action::ForeignIncarnation(_)
            | Action::Replaced { .. } => {}
        }
    }
}

impl Observer for Judge {
    fn event(&mut self, raft: &Raft, event: &Event) {
        if let Some(refinement) = &mut self.refinement
            && let Input::Persisted { seq } = event.input
        {
            refinement.persisted(DiskId::of(raft), seq);
        }
        self.election_timeouts.event(raft, event);
        self.quorum_contact.event(raft, event);
        self.leader_stickiness.event(raft, event);
        self.leader_followed.event(raft, event);
        self.leases.event(raft, event);
        self.handover_leases.event(event);
        self.strangers.event(raft, event, &self.configurations);
        self.removed.event(raft, event);
        (self.membership_changes).event(raft, event, &self.configurations);
        self.configurations.event(event);
        self.disk_identity.event(raft, event);
        self.settings.event(raft, event);
        self.bounds.event(raft, event);
        self.sent_again.event(raft, event);
        self.pacing.event(raft, event);
    }

    fn actions(&mut self, raft: &Raft, actions: &[Action]) {
        if let Some(refinement) = &mut self.refinement {
            let result = refinement.stepped(&StepFacts::of(raft, actions));
            self.require_refined(result);
        }
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
        let result = self.leader_followed.actions(raft, actions);
        self.require(result);
        let result = self.leases.actions(raft, actions);
        self.require(result);
        let result = self.handover_leases.actions(raft, actions);
        self.require(result);
        let result = self.configurations.actions(raft, actions);
        self.require(result);
        let configurations = &self.configurations;
        let result = self.disk_identity.actions(raft, actions, configurations);
        self.require(result);
        let result = self.levels.actions(raft, actions);
        self.require(result);
        let result = self.strangers.actions(raft);
        self.require(result);
        let result = (self.membership_changes).actions(raft, actions, &self.configurations);
        self.require(result);
        let result = self.settings.actions(raft, actions);
        self.require(result);
        let result = self.removed.actions(raft, actions, &self.configurations);
        self.require(result);
        let result = self.one_vote.actions(raft.id(), actions);
        self.require(result);
        let result = self.bounds.actions(raft, actions);
        self.require(result.map_err(Violation::from));
        let window = self.bounds.window(raft);
        let result = self.sent_again.actions(raft.id(), window, actions);
        self.require(result.map_err(Violation::from));
        let result = self.pacing.actions(raft);
        self.require(result.map_err(Violation::from));
    }
}
