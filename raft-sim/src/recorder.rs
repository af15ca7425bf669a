//! Observes every core: writes the trace, counts, and notes which coverage marks are hit.

use crate::availability::Availability;
use crate::coverage::{Coverage, CoverageMark};
use crate::process::Observer;
use crate::trace::Trace;
use crate::view::{MessageFate, NONE, Timeline};
use core::fmt::Display;
use raft_proto::{
    Action, Event, Fault, Index, Input, Message, MessageKind, NodeId, Raft, RoleKind,
    SnapshotReadFailed, Time, trace,
};
use trace::NodeAtTerm;

/// The traffic of one kind of message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages given to the network.
    pub messages: u64,
    /// Their encoded bytes.
    pub bytes: u64,
}

/// How often things happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Inputs that the cores took.
    pub events: u64,
    /// Times that a node became a candidate.
    pub elections: u64,
    /// Times that a node became the leader.
    pub leaders: u64,
    /// One for each kind of message, in the order of [`MessageKind::ALL`].
    pub traffic: [Traffic; MessageKind::ALL.len()],
    /// Messages that never arrived.
    pub dropped: u64,
    /// Messages that arrived twice.
    pub duplicated: u64,
    /// Messages that arrived with other bytes.
    pub corrupted: u64,
    /// Corrupted messages that could not be decoded.
    pub caught_by_decoding: u64,
    /// Corrupted messages that could be decoded, but whose checksum was wrong.
    pub caught_by_checksum: u64,
    /// Snapshots that services made.
    pub snapshots: u64,
    /// Snapshots that replaced the state of a node that was behind.
    pub restores: u64,
    /// Reads of entries that were no longer in memory.
    pub entries_read: u64,
    /// Crashes.
    pub crashes: u64,
    /// Network cuts, each of one or more links.
    pub cuts: u64,
    /// Syncs of disks that ended.
    pub syncs: u64,
    /// Writes that failed.
    pub failed_writes: u64,
    /// Commands that a leader accepted.
    pub accepted: u64,
    /// Proposals that were refused, nearly always because the node did not lead.
    pub refused: u64,
    /// Commands whose client was told that they are committed.
    pub acknowledged: u64,
    /// Commands whose client was told that another leader replaced them.
    pub replaced: u64,
}

impl Counts {
    /// Counts a message of `kind`.
    pub fn sent(&mut self, kind: MessageKind, bytes: usize) {
        let at = MessageKind::ALL.iter().position(|other| *other == kind);
        if let Some(traffic) = at.and_then(|at| self.traffic.get_mut(at)) {
            traffic.messages += 1;
            traffic.bytes += bytes as u64;
        }
    }
}

/// The trace, the counts and the coverage of a run.
#[derive(Debug)]
pub struct Recorder {
    /// The trace.
    pub trace: Trace,
    /// The counts.
    pub counts: Counts,
    /// The coverage marks that the run hit.
    pub coverage: Coverage,
    /// What the run costs, and for how long it is not available.
    pub availability: Availability,
    /// The run in tables, if somebody wants to look at it.
    pub timeline: Option<Box<Timeline>>,
    /// When the last event happened: by the world's clock if [`Recorder::set_time`] is called, else
    /// by the clock of the node.
    now: Time,
    has_world_time: bool,
}

impl Recorder {
    /// A recorder of a run that has not begun.
    pub fn new(trace: Trace) -> Recorder {
        Recorder {
            trace,
            counts: Counts::default(),
            coverage: Coverage::default(),
            availability: Availability::default(),
            timeline: None,
            now: Time::ZERO,
            has_world_time: false,
        }
    }

    /// Sets the world's time. The clocks of nodes may differ from it.
    pub fn set_time(&mut self, now: Time) {
        self.now = now;
        self.has_world_time = true;
    }

    /// A node has started. Its service holds all entries up to `applied`.
    pub fn started(&mut self, at: Time, raft: &Raft, applied: Index) {
        if let Some(timeline) = &mut self.timeline {
            timeline.started(at, raft, self.trace.text_len());
        }
        let (node_at_term, last) = (node_at_term(raft), raft.last_log());
        self.trace.line(
            at,
            format_args!("{node_at_term} starts, applied {applied}, last {last}"),
        );
        self.coverage.started(raft);
    }

    /// A process has ended. `line` says how.
    pub fn stopped(&mut self, at: Time, node: NodeId, line: impl Display) {
        if let Some(timeline) = &mut self.timeline {
            timeline.stopped(at, node, self.trace.text_len());
        }
        self.trace.line(at, line);
        self.coverage.stopped(node);
    }

    /// Something happens in the world around the nodes.
    pub fn fact(&mut self, at: Time, line: impl Display) {
        if let Some(timeline) = &mut self.timeline {
            timeline.fact(at, self.trace.text_len());
        }
        self.trace.line(at, line);
    }

    /// A message is sent from one place to another, of which so many copies arrive at these times.
    /// Returns the number by which the timeline knows the first copy.
    pub fn sent(
        &mut self,
        at: Time,
        link: (usize, usize),
        message: &Message,
        line: impl Display,
        copies: &[(MessageFate, Time)],
    ) -> u32 {
        let text = self.trace.text_len();
        self.trace.line(at, line);
        let timeline = self.timeline.as_mut();
        timeline.map_or(NONE, |timeline| {
            timeline.sent(at, link, message, text, copies)
        })
    }

    fn count(&mut self, role: RoleKind) {
        match role {
            RoleKind::Follower | RoleKind::PreCandidate => {}
            RoleKind::Candidate => self.counts.elections += 1,
            RoleKind::Leader => self.counts.leaders += 1,
        }
    }
}

fn node_at_term(raft: &Raft) -> NodeAtTerm {
    NodeAtTerm {
        node: raft.id(),
        term: raft.term(),
    }
}

/// Whether the input is the disk's answer to a request other than a write.
fn is_disk_answer(input: &Input) -> bool {
    matches!(
        input,
        Input::EntriesRead { .. } | Input::SnapshotRead { .. } | Input::SnapshotWritten { .. }
    )
}

/// Whether the input reports a read from disk that failed.
fn has_failed(input: &Input) -> bool {
    match input {
        Input::EntriesRead { entries, .. } => entries.is_none(),
        Input::SnapshotRead { result, .. } => *result == Err(SnapshotReadFailed::Failed),
        Input::Tick
        | Input::Applied { .. }
        | Input::Receive { .. }
        | Input::Propose { .. }
        | Input::Persisted { .. }
        | Input::PersistFailed { .. }
        | Input::Compact { .. }
        | Input::SnapshotWritten { .. }
        | Input::Read { .. }
        | Input::TransferLeadership { .. }
        | Input::ChangeMembership { .. }
        | Input::Unreachable { .. }
        | Input::Campaign { .. }
        | Input::StepDown { .. }
        | Input::Reconfigure { .. } => false,
    }
}

impl Observer for Recorder {
    fn event(&mut self, raft: &Raft, event: &Event) {
        self.counts.events += 1;
        if !self.has_world_time {
            self.now = event.at;
        }
        if let Input::Persisted { seq } = event.input {
            self.coverage.persisted(raft.id(), seq);
        }
        if has_failed(&event.input) {
            self.coverage.hit(CoverageMark::ReadError);
        }
        if let Some(timeline) = &mut self.timeline {
            timeline.input(self.now, raft, &event.input, self.trace.text_len());
        }
        if is_disk_answer(&event.input) {
            self.coverage.input(self.now, raft, &event.input);
        }
        match &event.input {
            // What they cause is told by the actions.
            Input::Tick | Input::Applied { .. } => {}
            input @ (Input::Receive { .. }
            | Input::Propose { .. }
            | Input::Persisted { .. }
            | Input::PersistFailed { .. }
            | Input::Compact { .. }
            | Input::SnapshotRead { .. }
            | Input::SnapshotWritten { .. }
            | Input::Read { .. }
            | Input::TransferLeadership { .. }
            | Input::ChangeMembership { .. }
            | Input::EntriesRead { .. }
            | Input::Unreachable { .. }
            | Input::Campaign { .. }
            | Input::StepDown { .. }
            | Input::Reconfigure { .. }) => {
                self.trace
                    .line(self.now, trace::input(node_at_term(raft), input));
            }
        }
    }

    fn actions(&mut self, raft: &Raft, actions: &[Action]) {
        for action in actions {
            match action {
                // The network writes what becomes of a message; timers explain nothing.
                Action::Send { to, message } => {
                    self.availability.sent(raft.id(), *to, message);
                    continue;
                }
                Action::WakeAt(_) => continue,
                Action::RoleChanged { role, .. } => self.count(*role),
                Action::Restore { .. } => self.counts.restores += 1,
                Action::ReadEntries { .. } => self.counts.entries_read += 1,
                // The world let the write fail.
                Action::Faulted {
                    reason: Fault::WriteFailed { .. },
                } => self.counts.failed_writes += 1,
                Action::Faulted {
                    reason: Fault::LevelTooLow { .. },
                }
                | Action::Persist(_)
                | Action::Apply { .. }
                | Action::ReadSnapshot { .. }
                | Action::WriteSnapshot { .. }
                | Action::ReleaseSnapshot { .. }
                | Action::SnapshotDamaged { .. }
                | Action::Proposed { .. }
                | Action::Read { .. }
                | Action::Transferred { .. }
                | Action::ChangeProposed { .. }
                | Action::Campaigning { .. }
                | Action::SteppedDown { .. }
                | Action::Reconfigured { .. }
                | Action::Overdue(_)
                | Action::MembershipChanged { .. }
                | Action::LeaderChanged { .. }
                | Action::Rejected { .. }
                | Action::Refused { .. }
                | Action::LostState { .. }
                | Action::EntryRefused { .. }
                | Action::Removed { .. }
                | Action::ForeignIncarnation(_)
                | Action::Replaced { .. } => {}
            }
            self.availability.observe(action);
            if let Some(timeline) = &mut self.timeline {
                timeline.action(self.now, raft, action, self.trace.text_len());
            }
            self.trace
                .line(self.now, trace::action(node_at_term(raft), action));
        }
        if let Some(timeline) = &mut self.timeline {
            timeline.stepped(self.now, raft);
        }
        self.coverage.observe(self.now, raft, actions);
    }
}
