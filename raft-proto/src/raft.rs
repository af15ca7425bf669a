//! `struct Raft` and `step`: Rules for All Servers (Figure 2).

use crate::action::{Action, HardState};
use crate::applier::Applier;
use crate::config::Config;
use crate::configurations::Configurations;
use crate::entries::Entries;
use crate::error::{
    ChangeError, Fault, ProposeError, ReadError, Refusal, StartError, TransferError,
};
use crate::event::{Event, Input};
use crate::follower::Follower;
use crate::leader::Leader;
use crate::log::Log;
use crate::membership::Membership;
use crate::message::{SnapshotId, SnapshotMeta};
use crate::outbox::{Outbox, Withheld};
use crate::progress::{Flow, Probe, Stage};
use crate::recovered::Recovered;
use crate::role::{Role, RoleKind};
use crate::timeouts::Timeouts;
use crate::transfer::Handover;
use crate::types::{EntryId, Index, NodeId, Seq, Term, Time};
use crate::writes::Writes;
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
    started: bool,
    /// currentTerm and votedFor.
    pub(crate) hard_state: HardState,
    pub(crate) log: Log,
    pub(crate) commit_index: Index,
    pub(crate) configurations: Configurations,
    /// When a leader was last heard, of whatever term.
    pub(crate) heard_leader_at: Option<Time>,
    /// Until then it votes for nobody: before it started, it may have answered a leader that
    /// counts on it.
    pub(crate) no_votes_before: Time,
    /// Whom it asked for votes when it campaigned last.
    pub(crate) asked: Vec<NodeId>,
    /// A lead that this node has handed over, until it is seen who took it.
    pub(crate) handed_over: Option<Handover>,
    /// The last question that it asked a leader for its readers.
    pub(crate) read_number: u64,
    /// The snapshot that a restart recovers.
    pub(crate) snapshot: Option<SnapshotMeta>,
    /// Earlier snapshots that transfers still read.
    pub(crate) retired: Vec<SnapshotId>,
    /// The chunk that the driver was asked to write and has not answered for, be its transfer
    /// still wanted or not.
    pub(crate) chunk_under_way: Option<(SnapshotId, u64)>,
    pub(crate) role: Role,
    pub(crate) timeouts: Timeouts,
    pub(crate) writes: Writes,
    pub(crate) outbox: Outbox,
    pub(crate) applier: Applier,
    pub(crate) alarms: Alarms,
    pub(crate) fault: Option<Fault>,
    /// The last deadline told to the driver; `NEVER` if it has passed.
    pub(crate) wake_at: Time,
}

/// An instance that has faulted does nothing any more, but nobody waits in vain.
fn refuse_faulted(fault: Fault, input: &Input, actions: &mut Vec<Action>) {
    actions.push(match *input {
        Input::Propose { id, .. } => Action::Proposed {
            id,
            outcome: Err(ProposeError::Faulted(fault)),
        },
        Input::Read { id, .. } => Action::Read {
            id,
            outcome: Err(ReadError::Faulted(fault)),
        },
        Input::TransferLeadership { id, .. } => Action::Transferred {
            id,
            outcome: Err(TransferError::Faulted(fault)),
        },
        Input::ChangeMembership { id, .. } => Action::ChangeProposed {
            id,
            outcome: Err(ChangeError::Faulted(fault)),
        },
        Input::Tick
        | Input::Receive { .. }
        | Input::Persisted { .. }
        | Input::PersistFailed { .. }
        | Input::Applied { .. }
        | Input::Compact { .. }
        | Input::SnapshotRead { .. }
        | Input::SnapshotWritten { .. }
        | Input::EntriesRead { .. }
        | Input::Unreachable { .. } => return,
    });
}

/// What peers did that no correct peer does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Alarms {
    /// Messages rejected.
    pub(crate) rejected: u64,
    /// Those among them that show a broken safety property.
    pub(crate) safety_violations: u64,
    /// Who contradicted what is committed, and is not followed in that term.
    pub(crate) distrusted: Option<(NodeId, Term)>,
}

impl Raft {
    /// A node with these settings and what its storage held: [`Recovered::default`] for a new
    /// one. Emits nothing; give it a [`Tick`](Input::Tick) as its first event.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the config is not valid, or if no run of this node can have left what
    /// was recovered.
    pub fn new(config: Config, recovered: Recovered) -> Result<Raft, StartError> {
        config.validate()?;
        let foundation = recovered.found(&config)?;
        let last = foundation.log.last().index;
        let mut timeouts = Timeouts::new();
        let read_number = timeouts.draw_number(&config);
        let mut raft = Raft {
            config,
            now: Time::ZERO,
            started: false,
            hard_state: recovered.hard_state,
            log: foundation.log,
            commit_index: foundation.applied,
            configurations: foundation.configurations,
            heard_leader_at: None,
            no_votes_before: Time::ZERO,
            asked: Vec::new(),
            handed_over: None,
            read_number,
            snapshot: recovered.snapshot,
            retired: Vec::new(),
            chunk_under_way: None,
            role: Role::Follower(Follower::new(None, Time::NEVER, Duration::ZERO)),
            timeouts,
            writes: Writes::new(last, foundation.identity),
            outbox: Outbox::default(),
            applier: Applier::new(foundation.applied),
            alarms: Alarms::default(),
            fault: None,
            wake_at: Time::NEVER,
        };
        let timeout = raft.draw_timeout();
        raft.role = Role::Follower(Follower::new(None, Time::NEVER, timeout));
        Ok(raft)
    }

    /// Takes an event and returns what is to be done.
    pub fn step(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.step_into(event, &mut actions);
        actions
    }

    /// Like [`Raft::step`], but appends to the caller's buffer.
    pub fn step_into(&mut self, event: Event, actions: &mut Vec<Action>) {
        self.now = self.now.max(event.at);
        if !self.started {
            self.start();
        }
        if let Some(fault) = self.fault {
            return refuse_faulted(fault, &event.input, actions);
        }
        match event.input {
            Input::Tick => self.tick(actions),
            Input::Receive { from, message } => self.receive(from, message, actions),
            Input::Propose { id, commands } => self.propose(id, commands, actions),
            Input::Persisted { seq } => self.persisted(seq, actions),
            Input::PersistFailed { seq } => return self.persist_failed(seq, actions),
            // Makes room to hand out more, and changes nothing else.
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
        }
        self.finish(actions);
    }

    /// "When servers start up, they begin as followers" (section 5.2), with a full timeout.
    fn start(&mut self) {
        self.started = true;
        self.keep_earlier_lease();
        if let Role::Follower(follower) = &mut self.role {
            follower.put_off_election(self.now);
        }
    }

    /// What every step ends with: the write for what it changed, whatever may leave, the
    /// entries to apply, the next deadline.
    fn finish(&mut self, actions: &mut Vec<Action>) {
        self.writes
            .flush(self.now, self.hard_state, &self.log, actions);
        self.release(actions);
        self.hand_out(actions);
        let deadline = self.deadline();
        if deadline < self.wake_at {
            self.wake_at = deadline;
            actions.push(Action::WakeAt(deadline));
        }
    }

    /// Time has passed. Timers are lazy: hearing a leader moves a deadline that nobody outside
    /// is told of, and a tick that comes too early finds out here.
    fn tick(&mut self, actions: &mut Vec<Action>) {
        // Whatever woke the driver, it may have no timer set now: it is told the deadline again.
        self.wake_at = Time::NEVER;
        if self.waiting_deadline() <= self.now {
            self.expire_handover(actions);
            self.expire_reads(actions);
        }
        self.check_quorum(actions);
        let deadline = self.deadline();
        if deadline == Time::NEVER || deadline > self.now {
            return;
        }
        if self.role_deadline() > self.now {
            return;
        }
        match &self.role {
            Role::Candidate(_) if self.outbox.has_own_vote() => self.wait_for_own_vote(),
            // There is no term left to campaign in.
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_)
                if self.hard_state.term >= Term::MAX =>
            {
                self.become_follower(None, actions);
                if let Role::Follower(follower) = &mut self.role {
                    follower.put_off_election(self.now);
                }
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                self.stand_for_election(actions);
            }
            Role::Leader(_) => self.leader_tick(actions),
        }
    }

    fn persisted(&mut self, seq: Seq, actions: &mut Vec<Action>) {
        if let Err(reason) = self.check_issued(seq) {
            return actions.push(Action::Refused { reason });
        }
        self.writes.complete(self.now, seq);
        self.release(actions);
        self.advance_commit(actions);
    }

    fn check_issued(&self, seq: Seq) -> Result<(), Refusal> {
        let last = self.writes.issued;
        match seq == Seq(0) || seq > last {
            true => Err(Refusal::UnknownWrite { seq, last }),
            false => Ok(()),
        }
    }

    /// Lets out what rests on writes that are durable by now.
    fn release(&mut self, actions: &mut Vec<Action>) {
        // Most steps let nothing out.
        if self.outbox.has_news(self.writes.persisted) {
            self.release_all(actions);
        }
    }

    fn release_all(&mut self, actions: &mut Vec<Action>) {
        while let Some(what) = self.outbox.release(self.writes.persisted) {
            match what {
                Withheld::Send { to, message } => actions.push(Action::Send { to, message }),
                Withheld::OwnVote { term } => {
                    assert_eq!(term, self.hard_state.term, "a new term forgets old votes");
                    let own = self.config.node_id;
                    self.count_vote(own, crate::Vote::Granted, actions);
                }
                Withheld::Restore { snapshot } => self.restore(snapshot, actions),
                Withheld::Release { snapshot } => {
                    actions.push(Action::ReleaseSnapshot { snapshot })
                }
            }
        }
    }

    fn restore(&mut self, snapshot: SnapshotMeta, actions: &mut Vec<Action>) {
        let last = snapshot.id.last.index;
        // A newer one that is being installed stands for this one too.
        if self.applier.restoring == Some(last) {
            self.applier.restoring = None;
            self.applier.restore(last);
            actions.push(Action::Restore { snapshot });
        }
    }

    /// A write failed. What it was to make durable, and all later writes, must be taken as
    /// lost; so this instance ends here, in every role, and a new one finds out what is there.
    fn persist_failed(&mut self, seq: Seq, actions: &mut Vec<Action>) {
        if let Err(reason) = self.check_issued(seq) {
            return actions.push(Action::Refused { reason });
        }
        let reason = Fault::WriteFailed { seq };
        self.end_reads(ReadError::Faulted(reason), actions);
        self.become_follower(None, actions);
        self.fail_handover(TransferError::Faulted(reason), actions);
        self.fault = Some(reason);
        self.wake_at = Time::NEVER;
        actions.push(Action::Faulted { reason });
    }

    fn applied(&mut self, index: Index, actions: &mut Vec<Action>) {
        let last = self.applier.handed_out;
        if index > last {
            let reason = Refusal::NotHandedOut { index, last };
            return actions.push(Action::Refused { reason });
        }
        self.applier.apply(index);
        self.drop_payloads();
    }

    /// "If commitIndex > lastApplied: increment lastApplied, apply log\[lastApplied\] to state
    /// machine" (Figure 2, All Servers): what is committed and on this node's disk, as much as
    /// may be outstanding.
    fn hand_out(&mut self, actions: &mut Vec<Action>) {
        let to = self.commit_index.min(self.writes.durable_index);
        let from = self.applier.handed_out.next();
        // What this term's leader says is committed is told to nobody before the term is durable:
        // after a crash, an earlier term's leader may honestly contradict it.
        if from > to || self.applier.restoring.is_some() || !self.writes.term_is_durable() {
            return;
        }
        let room = self.applier.room(self.config.max_unapplied_bytes);
        let (entries, bytes) = self.log.slice(from, to, room);
        // At least one entry is returned, whether it fits or not.
        if bytes > room && !self.applier.is_idle() {
            return;
        }
        if let Some(last) = entries.last_id() {
            self.applier.hand_out(last.index, bytes);
            actions.push(Action::Apply { entries });
        }
    }

    /// What was on its way to `peer` is lost: ask again where it stands, with the next
    /// heartbeat.
    fn unreachable(&mut self, peer: NodeId) {
        let Some(peer) = self.leader_mut().and_then(|leader| leader.peer_mut(peer)) else {
            return;
        };
        match &mut peer.flow {
            Flow::Probe(_) => {}
            Flow::Replicate(_) => {
                peer.next_index = peer.match_index.next();
                peer.flow = Flow::Probe(Probe::Asked);
            }
            Flow::Snapshot(transfer) => match transfer.stage {
                Stage::Sent { .. } => transfer.stage = Stage::Unread,
                Stage::Reading | Stage::Unread => {}
            },
        }
    }

    pub(crate) fn leader_mut(&mut self) -> Option<&mut Leader> {
        match &mut self.role {
            Role::Leader(leader) => Some(leader),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// The settings it was started with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// This node.
    pub fn id(&self) -> NodeId {
        self.config.node_id
    }

    /// currentTerm.
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// votedFor in the current term. May not be durable yet.
    pub fn voted_for(&self) -> Option<NodeId> {
        self.hard_state.voted_for
    }

    /// What this node is in the current term.
    pub fn role(&self) -> RoleKind {
        self.role.kind()
    }

    /// Who leads in the current term, as far as this node knows; itself included.
    pub fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower(follower) => follower.leader(),
            Role::PreCandidate(_) | Role::Candidate(_) => None,
            Role::Leader(_) => Some(self.config.node_id),
        }
    }

    /// commitIndex: the last entry known to be committed.
    pub fn commit_index(&self) -> Index {
        self.commit_index
    }

    /// The last index handed out, by `Apply` or `Restore`.
    pub fn handed_out_index(&self) -> Index {
        self.applier.handed_out
    }

    /// lastApplied, as the driver reported it.
    pub fn applied_index(&self) -> Index {
        self.applier.applied
    }

    /// Up to here the log is on this node's disk.
    pub fn durable_index(&self) -> Index {
        self.writes.durable_index
    }

    /// The last entry of the log, or what stands before it if the log is empty.
    pub fn last_log(&self) -> EntryId {
        self.log.last()
    }

    /// The last entry dropped from the log's beginning.
    pub fn log_base(&self) -> EntryId {
        self.log.base()
    }

    /// The term of the entry at `index`; `None` if it is compacted or beyond the end. That of
    /// [`Raft::log_base`] is known.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.log.term_at(index)
    }

    /// The entries `from ..= to` that the log holds in memory: without
    /// [`max_resident_bytes`](Config::max_resident_bytes), all that are not compacted.
    pub fn entries(&self, from: Index, to: Index) -> Entries {
        self.log.slice(from, to, u64::MAX).0
    }

    /// The snapshot that a restart recovers.
    pub fn snapshot(&self) -> Option<&SnapshotMeta> {
        self.snapshot.as_ref()
    }

    /// The configuration in force.
    pub fn membership(&self) -> &Membership {
        self.configurations.membership()
    }

    /// Why this instance does nothing any more, if so.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }
}
