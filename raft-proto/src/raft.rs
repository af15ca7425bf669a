//! `struct Raft` and `step`: Rules for All Servers (Figure 2).
//!
//! This file knows the data of a node, and none of the files with the rules: those add methods to
//! [`Raft`].

use crate::action::Action;
use crate::applier::Applier;
use crate::commit_index::CommitIndex;
use crate::commit_wait::CommitWait;
use crate::config::Config;
use crate::configurations::Configurations;
use crate::entries::Entries;
use crate::error::{Fault, Refusal, StartError};
use crate::event::{Event, Input};
use crate::handover::{HandoverAttempts, RevokedTransfers};
use crate::leader_contact::LeaderContact;
use crate::log::Log;
use crate::membership::Membership;
use crate::message::{SnapshotId, SnapshotMeta};
use crate::outbox::{Outbox, Withheld};
use crate::peer_faults::PeerFaults;
use crate::progress::Peer;
use crate::recovered::Recovered;
use crate::role::{Follower, Handover, Leader, Role, RoleKind};
use crate::term_and_vote::TermAndVote;
use crate::timeouts::Timeouts;
use crate::types::{EntryId, ForeignIncarnation, Incarnation, Index, NodeId, Seq, Term, Time};
use crate::vote_request::VoteRetry;
use crate::waiting::Overdue;
use crate::writes::Writes;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// One server of a Raft cluster, as a state machine without a clock, a thread or a disk.
///
/// [`Raft::step`] is the whole interface that changes it: an [`Event`] goes in, [`Action`]s come
/// out, and the driver performs them. Equal events make equal actions, everywhere and always.
/// All other methods only look.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Raft {
    pub(crate) config: Config,
    /// The time of the latest event.
    pub(crate) now: Time,
    /// Whether there was an event: the first one starts the election timer.
    pub(crate) started: bool,
    /// currentTerm and votedFor.
    pub(crate) hard_state: TermAndVote,
    pub(crate) log: Log,
    pub(crate) commit_index: CommitIndex,
    pub(crate) configurations: Configurations,
    pub(crate) leader_contact: LeaderContact,
    pub(crate) commit_wait: CommitWait,
    /// Until then it votes for nobody: before it started, it may have answered a leader that
    /// relies on it for its lease.
    pub(crate) no_votes_before: Time,
    /// Up to here a voter has committed, and this node is no member there; 0 if no voter said so.
    pub(crate) removed_at: Index,
    /// The checksum of the list of founders, if this node is one of them.
    pub(crate) founders: Option<u32>,
    /// Other storages that spoke under a member's number.
    pub(crate) foreign: Vec<ForeignIncarnation>,
    /// The storage that the configuration in force, or a voter's, names for this node's number, if
    /// it is another one.
    pub(crate) replaced_by: Option<Incarnation>,
    /// The voters that it asked for votes when it campaigned last.
    pub(crate) votes_requested: Vec<NodeId>,
    pub(crate) vote_retry: VoteRetry,
    /// A handover that this node began as a leader, until it learns which node took over.
    pub(crate) handed_over: Option<Handover>,
    /// The handovers that it began, so that one which fails is not repeated at once.
    pub(crate) handover_attempts: HandoverAttempts,
    /// The transfers that the latest leader has given up.
    pub(crate) revoked: RevokedTransfers,
    /// The number of the latest ReadIndex that it sent to a leader. The first is drawn, as a second
    /// guard: safety rests on `stored` (`read_index.rs`).
    pub(crate) read_number: u64,
    pub(crate) recovered_term: Term,
    /// The last entry recovered, or lost, that was not overwritten since.
    pub(crate) recovered_last: Index,
    /// What its storage has lost (`impairment.rs`).
    pub(crate) impaired: Option<EntryId>,
    /// The snapshot that a restart recovers.
    pub(crate) snapshot: Option<SnapshotMeta>,
    /// Earlier snapshots that transfers still read.
    pub(crate) retired_snapshots: Vec<SnapshotId>,
    /// The chunks that the driver was asked to write and has not answered for, oldest first, even
    /// if their transfer has ended.
    pub(crate) chunk_writes: VecDeque<ChunkWrite>,
    pub(crate) role: Role,
    pub(crate) timeouts: Timeouts,
    pub(crate) writes: Writes,
    pub(crate) outbox: Outbox,
    pub(crate) applier: Applier,
    pub(crate) peer_faults: PeerFaults,
    pub(crate) fault: Option<Fault>,
    /// The last deadline told to the driver; `NEVER` if it has passed.
    pub(crate) wake_at: Time,
    pub(crate) overdue: Overdue,
}

/// A chunk that the driver writes to a partial file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ChunkWrite {
    pub(crate) snapshot: SnapshotId,
    pub(crate) offset: u64,
}

impl Raft {
    /// A node with these settings and the contents of its storage: [`Recovered::default`] for a new
    /// node. Emits nothing; give it a [`Tick`](Input::Tick) as its first event.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the config is not valid, or if no run of this node can have left the
    /// recovered state.
    pub fn new(mut config: Config, recovered: Recovered) -> Result<Raft, StartError> {
        config.validate()?;
        let initial = recovered.initial_state(&config)?;
        let (needed, own) = (initial.configurations.membership().level(), config.level);
        if !own.reads(needed) {
            return Err(StartError::LevelTooLow { needed, own });
        }
        // The storage says which one it is.
        if config.incarnation.is_some() && initial.incarnation.is_none() {
            return Err(StartError::StorageWithoutIncarnation);
        }
        config.incarnation = initial.incarnation;
        let last = initial.log.last().index;
        let mut timeouts = Timeouts::new();
        // Another disk of this node may have asked in the same term, with the same seed. It counts
        // up from its first number: incarnations next to each other must begin far apart, so they
        // are spread over all bits (Fibonacci hashing, one to one).
        let disk = config.incarnation.map_or(0, |incarnation| incarnation.0);
        let spread = disk.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let read_number = timeouts.draw_number(&config).wrapping_add(spread);
        let mut raft = Raft {
            config,
            now: Time::ZERO,
            started: false,
            hard_state: TermAndVote::recovered(recovered.hard_state),
            log: initial.log,
            commit_index: CommitIndex::recovered(initial.applied),
            configurations: initial.configurations,
            leader_contact: LeaderContact::NONE,
            commit_wait: CommitWait::default(),
            no_votes_before: Time::ZERO,
            removed_at: Index::ZERO,
            founders: initial.founders,
            foreign: Vec::new(),
            replaced_by: None,
            votes_requested: Vec::new(),
            vote_retry: VoteRetry::default(),
            handed_over: None,
            handover_attempts: HandoverAttempts::default(),
            revoked: RevokedTransfers::default(),
            read_number,
            recovered_term: recovered.hard_state.term,
            recovered_last: initial.acknowledged,
            impaired: recovered.impaired,
            snapshot: recovered.snapshot,
            retired_snapshots: Vec::new(),
            chunk_writes: VecDeque::new(),
            role: Role::Follower(Follower::new(None, Time::NEVER, Duration::ZERO)),
            timeouts,
            writes: Writes::new(last, initial.identity),
            outbox: Outbox::default(),
            applier: Applier::new(initial.applied),
            peer_faults: PeerFaults::default(),
            fault: None,
            wake_at: Time::NEVER,
            overdue: Overdue::default(),
        };
        let timeout = raft.draw_timeout();
        raft.role = Role::Follower(Follower::new(None, Time::NEVER, timeout));
        Ok(raft)
    }

    /// Takes an event, and returns the actions that it calls for.
    pub fn step(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.step_into(event, &mut actions);
        actions
    }

    /// Like [`Raft::step`], but appends to the caller's buffer.
    pub fn step_into(&mut self, mut event: Event, actions: &mut Vec<Action>) {
        self.now = self.now.max(event.at);
        let begun = actions.len();
        if !self.started {
            self.start(actions);
        }
        if let Some(fault) = self.fault {
            return Raft::refuse_faulted(fault, &event.input, actions);
        }
        match event.input {
            Input::Tick => self.tick(actions),
            // Read where it is: messages are long.
            Input::Receive {
                from,
                incarnation,
                ref mut message,
            } => {
                self.receive(from, incarnation, message, actions);
                // Of all inputs, only this one still holds something: no other is searched for it.
                if let Input::Receive { message, .. } = event.input {
                    drop(message);
                }
                if self.fault.is_some() {
                    return;
                }
            }
            Input::Propose { id, commands } => self.propose(id, commands, actions),
            Input::Persisted { seq } => self.persisted(seq, actions),
            Input::PersistFailed { seq } => return self.persist_failed(seq, actions),
            // It makes room to hand out more, and changes nothing else.
            Input::Applied { index } if self.wake_at != Time::NEVER => {
                self.applied(index, actions);
                return self.hand_out(actions);
            }
            Input::Applied { index } => self.applied(index, actions),
            Input::Compact { snapshot } => self.compact(snapshot, actions),
            Input::SnapshotRead {
                peer,
                snapshot,
                offset,
                result,
            } => self.snapshot_read(peer, snapshot, offset, result, actions),
            Input::SnapshotWritten {
                snapshot,
                offset,
                result,
            } => self.snapshot_written(snapshot, offset, result, actions),
            Input::Read { id, mode } => self.read(id, mode, actions),
            Input::TransferLeadership { id, target } => {
                self.transfer_leadership(id, target, actions);
            }
            Input::ChangeMembership { id, change } => self.change_membership(id, change, actions),
            Input::EntriesRead {
                peer,
                from,
                entries,
            } => self.entries_read(peer, from, entries, actions),
            Input::Unreachable { peer } => self.unreachable(peer),
            Input::Campaign { id } => self.campaign_by_hand(id, actions),
            Input::StepDown { id } => self.step_down(id, actions),
            Input::Reconfigure { id, config } => self.reconfigure_node(id, *config, actions),
        }
        self.finish(actions);
        self.say_nothing_unnamed(begun, actions);
    }

    /// "When servers start up, they begin as followers" (section 5.2), with a full timeout.
    #[cold]
    fn start(&mut self, actions: &mut Vec<Action>) {
        self.started = true;
        self.compare_incarnations(actions);
        self.block_votes_after_start();
        if self.config.incarnation.is_some() {
            self.writes.stage_identity();
        }
        if let Role::Follower(follower) = &mut self.role {
            follower.reset_election_timer(self.now);
        }
    }

    /// Every step ends with the write for what it changed, everything that need not be withheld any
    /// longer, the entries to apply, and the next deadline.
    fn finish(&mut self, actions: &mut Vec<Action>) {
        self.writes
            .flush(self.now, self.hard_state.get(), &self.log, actions);
        self.flush_outbox(actions);
        self.hand_out(actions);
        let deadline = self.deadline();
        if deadline < self.wake_at {
            self.wake_at = deadline;
            actions.push(Action::WakeAt(deadline));
        }
        self.say_overdue(actions);
    }

    fn persisted(&mut self, seq: Seq, actions: &mut Vec<Action>) {
        if let Err(reason) = self.check_issued(seq) {
            return actions.push(Action::Refused { reason });
        }
        self.writes.complete(self.now, seq);
        self.flush_outbox(actions);
        self.advance_commit(actions);
        self.forward_reads(actions);
    }

    pub(crate) fn check_issued(&self, seq: Seq) -> Result<(), Refusal> {
        let last = self.writes.issued();
        if seq == Seq(0) || seq > last {
            return Err(Refusal::UnknownWrite { seq, last });
        }
        Ok(())
    }

    /// Performs everything that was withheld for writes which are durable by now.
    #[inline]
    fn flush_outbox(&mut self, actions: &mut Vec<Action>) {
        // In most steps there is nothing.
        if self.outbox.has_ready(self.writes.persisted()) {
            self.flush_ready(actions);
        }
    }

    #[inline(never)]
    fn flush_ready(&mut self, actions: &mut Vec<Action>) {
        while let Some(ready) = self.outbox.pop_ready(self.writes.persisted()) {
            match ready {
                Withheld::Send { to, message } => actions.push(Action::Send { to, message }),
                Withheld::OwnVote { term } => {
                    assert_eq!(term, self.term(), "a new term forgets old votes");
                    // Its requests leave in this same step.
                    self.vote_retry.begin(self.now, &self.config);
                    self.own_vote_persisted(actions);
                }
                Withheld::Restore { snapshot } => {
                    if self
                        .applier
                        .finish_install(self.now, snapshot.id.last.index)
                    {
                        actions.push(Action::Restore { snapshot });
                    }
                }
                Withheld::ReleaseSnapshot { snapshot } => {
                    actions.push(Action::ReleaseSnapshot { snapshot });
                }
            }
        }
    }

    fn applied(&mut self, index: Index, actions: &mut Vec<Action>) {
        let last = self.applier.handed_out();
        if index > last {
            let reason = Refusal::NotHandedOut { index, last };
            return actions.push(Action::Refused { reason });
        }
        let was_restoring = self.applier.is_restoring();
        let bytes = self.applier.apply(self.now, index);
        if let Role::Leader(leader) = &mut self.role {
            leader.unapplied = leader.unapplied.saturating_sub(bytes);
        }
        self.drop_payloads();
        if was_restoring && !self.applier.is_restoring() {
            // A newer snapshot may have replaced the one that the service was reading.
            self.release_unused_snapshots();
            self.flush_outbox(actions);
        }
    }

    /// "If commitIndex > lastApplied: increment lastApplied, apply log\[lastApplied\] to state
    /// machine" (Figure 2, All Servers). Hands out what is committed and on this node's disk, up
    /// to `max_unapplied_bytes`.
    #[inline]
    fn hand_out(&mut self, actions: &mut Vec<Action>) {
        let to = self.commit_index().min(self.writes.durable_index());
        // In most steps there is nothing.
        if self.applier.handed_out() < to {
            self.hand_out_to(to, actions);
        }
    }

    #[inline(never)]
    fn hand_out_to(&mut self, to: Index, actions: &mut Vec<Action>) {
        let from = self.applier.handed_out().next();
        // What this term's leader calls committed is not handed out before the term is durable:
        // after a crash, the leader of an earlier term may honestly contradict it.
        if self.applier.is_installing() || !self.writes.term_is_durable() {
            return;
        }
        let room = self.applier.room(self.config.max_unapplied_bytes);
        let (entries, bytes) = self.log.slice(from, to, room);
        // At least one entry is returned, whether it fits or not.
        if bytes > room && !self.applier.is_idle() {
            return;
        }
        if let Some(last) = entries.last_id() {
            self.applier.hand_out(self.now, last.index, bytes);
            actions.push(Action::Apply { entries });
        }
    }

    pub(crate) fn leader_mut(&mut self) -> Option<&mut Leader> {
        match &mut self.role {
            Role::Leader(leader) => Some(leader),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    pub(crate) fn peer_mut(&mut self, id: NodeId) -> Option<&mut Peer> {
        self.leader_mut().and_then(|leader| leader.peer_mut(id))
    }

    /// The settings it was started with; [`incarnation`](Config::incarnation) is that of its storage.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// This node.
    pub fn id(&self) -> NodeId {
        self.config.node_id
    }

    /// currentTerm.
    pub fn term(&self) -> Term {
        self.hard_state.term()
    }

    /// votedFor in the current term. May not be durable yet.
    pub fn voted_for(&self) -> Option<NodeId> {
        self.hard_state.voted_for()
    }

    /// This node's role in the current term.
    pub fn role(&self) -> RoleKind {
        self.role.kind()
    }

    /// The leader of the current term, if this node knows it; it may be this node itself.
    pub fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower(follower) => follower.leader(),
            Role::PreCandidate(_) | Role::Candidate(_) => None,
            Role::Leader(_) => Some(self.config.node_id),
        }
    }

    /// commitIndex: the last entry known to be committed.
    pub fn commit_index(&self) -> Index {
        self.commit_index.get()
    }

    /// The last index handed out, by `Apply` or `Restore`.
    pub fn handed_out_index(&self) -> Index {
        self.applier.handed_out()
    }

    /// lastApplied, as the driver reported it.
    pub fn applied_index(&self) -> Index {
        self.applier.applied()
    }

    /// Up to here the log is on this node's disk.
    pub fn durable_index(&self) -> Index {
        self.writes.durable_index()
    }

    /// The last entry of the log; [`Raft::log_base`] if the log is empty.
    pub fn last_log(&self) -> EntryId {
        self.log.last()
    }

    /// The last entry that compaction dropped from the log.
    pub fn log_base(&self) -> EntryId {
        self.log.base()
    }

    /// The term of the entry at `index`; `None` if it is compacted or beyond the end. That of
    /// [`Raft::log_base`] is known.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.log.term_at(index)
    }

    /// The entries `from ..= to` that the log holds in memory: without
    /// [`max_resident_bytes`](Config::max_resident_bytes), those are all that are not compacted.
    pub fn entries(&self, from: Index, to: Index) -> Entries {
        self.log.entries(from, to)
    }

    /// The snapshot that a restart recovers.
    pub fn snapshot(&self) -> Option<&SnapshotMeta> {
        self.snapshot.as_ref()
    }

    /// The configuration in force.
    pub fn membership(&self) -> &Membership {
        self.configurations.membership()
    }
}
