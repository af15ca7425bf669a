//! What happens in a run, in tables: recorded while the run goes on.
//!
//! It rests on three rules. Events stand in the order in which they happen. A row of another table
//! that names an event holds from that event on, so that the state at any event is the last row
//! before or at it. And nothing here changes the run: the trace has the same digest with it.

use super::kinds::{EventKind, MessageFate, role_number};
use super::tables::{
    CutRow, Cuts, EntryRow, EventRow, Events, FaultRow, Faults, LogEntries, MessageRow, Messages,
    NONE, NOWHERE, StateRow, States,
};
use crate::duration::HumanDuration;
use crate::settings::place_of;
use core::time::Duration;
use raft_proto::{
    Action, AppendOutcome, EntryKind, Index, Input, InstalledLog, Message, MessageKind, NodeId,
    Raft, Seq, Time, Write,
};
use std::collections::VecDeque;

/// What is known of one machine.
#[derive(Clone, Debug, Default)]
struct Lane {
    /// The event that the node takes at the moment, or took last.
    input: Option<u32>,
    /// A timer, or the service's word that it has applied something: an event only if it leads to
    /// anything.
    waiting: Option<(EventKind, Option<u32>)>,
    /// The node takes a heartbeat.
    is_quiet: bool,
    /// Writes that are issued and not yet durable, with their events.
    writes: VecDeque<(Seq, u32)>,
    /// What the service was given and has not yet applied: up to which index, and by which event.
    applies: VecDeque<(Index, u32)>,
    /// The last event that ended the process.
    stop: Option<u32>,
    /// The terms of the log's entries, from index 1 on; 0 for one that was never seen.
    log: Vec<u32>,
    state: Option<StateRow>,
}

/// A run in tables.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// What happens.
    pub events: Events,
    /// What nodes say to each other.
    pub messages: Messages,
    /// What nodes know.
    pub states: States,
    /// What their logs hold.
    pub entries: LogEntries,
    /// Which links are cut.
    pub cuts: Cuts,
    /// What the nemesis does.
    pub faults: Faults,
    /// Each fault as a schedule writes it.
    pub fault_texts: Vec<String>,
    lanes: Vec<Lane>,
    /// The message that is being received.
    arriving: Option<u32>,
    nemesis: Option<u32>,
}

/// A time as a column holds it.
fn nanos(time: Time) -> f64 {
    time.0 as f64
}

/// A number as a column holds it. What does not fit is shown as the greatest that does.
fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(NONE - 1)
}

/// How long an operation of the nemesis lasts, by its words: they end with `for 250ms`.
fn lasts(what: &str) -> Duration {
    let words = what.rsplit_once(" for ");
    let time = words.and_then(|(_, time)| time.parse::<HumanDuration>().ok());
    time.unwrap_or_default().0
}

fn small_place(place: usize) -> u8 {
    u8::try_from(place).unwrap_or(NOWHERE)
}

impl Timeline {
    /// The timeline of a run with so many machines, before it begins.
    pub fn new(machines: usize) -> Timeline {
        Timeline {
            lanes: vec![Lane::default(); machines],
            ..Timeline::default()
        }
    }

    fn place(&self, node: NodeId) -> usize {
        place_of(node, self.lanes.len())
    }

    /// Adds an event, whose line begins at `text`.
    fn push(&mut self, at: Time, kind: EventKind, place: u8, text: u32, cause: Option<u32>) -> u32 {
        // Where a phase ends, the world's time is ahead of the recorder's until the next event.
        let before = self.events.at.last().copied().unwrap_or_default();
        self.events.push(EventRow {
            at: nanos(at).max(before),
            kind: kind as u8,
            place,
            text,
            cause: cause.unwrap_or(NONE),
            message: NONE,
        })
    }

    /// Adds the event that a machine waits to tell, now that it leads to something.
    fn flush(&mut self, at: Time, place: usize) {
        if let Some((kind, cause)) = self.lanes[place].waiting.take() {
            let event = self.push(at, kind, small_place(place), NONE, cause);
            self.lanes[place].input = Some(event);
        }
    }

    /// What the nemesis does at this very time: what happens in the world then is its doing.
    fn nemesis_at(&self, at: Time) -> Option<u32> {
        let is_now = |event: &u32| self.events.at.get(*event as usize) == Some(&nanos(at));
        self.nemesis.filter(is_now)
    }

    /// Something happens in the world, whose line begins at `text`.
    pub fn fact(&mut self, at: Time, text: u64) {
        let cause = self.nemesis_at(at);
        self.push(at, EventKind::World, NOWHERE, small(text), cause);
    }

    /// The nemesis does something, which a schedule writes as `what`: at the machines in these places,
    /// and at the leader's if it says so; at all, if it names none.
    pub fn nemesis(
        &mut self,
        at: Time,
        text: u64,
        what: String,
        mut places: Vec<usize>,
        leader: Option<usize>,
    ) {
        let event = self.push(at, EventKind::Nemesis, NOWHERE, small(text), None);
        self.nemesis = Some(event);
        if what.split(' ').any(|word| word == "leader") {
            places.extend(leader);
        }
        let bit = |place: &usize| 1_u32.checked_shl(*place as u32).unwrap_or(0);
        self.faults.push(FaultRow {
            event,
            places: places.iter().map(bit).fold(0, |all, bit| all | bit),
            at: nanos(at),
            until: nanos(at.after(lasts(&what))),
        });
        self.fault_texts.push(what);
    }

    /// A link carries nothing until then.
    pub fn cut(&mut self, at: Time, from: usize, to: usize, until: Time) {
        self.cuts.push(CutRow {
            at: nanos(at),
            until: nanos(until),
            from: small_place(from),
            to: small_place(to),
        });
    }

    /// All faults end.
    pub fn healed(&mut self, at: Time) {
        let now = nanos(at);
        let untils = self.faults.until.iter_mut();
        for until in untils.chain(&mut self.cuts.until) {
            *until = until.min(now);
        }
    }

    /// A process starts.
    pub fn started(&mut self, at: Time, raft: &Raft, text: u64) {
        let place = self.place(raft.id());
        let cause = self.lanes[place].stop;
        let event = self.push(at, EventKind::Start, small_place(place), small(text), cause);
        let lane = &mut self.lanes[place];
        (lane.input, lane.waiting) = (Some(event), None);
        lane.writes.clear();
        lane.applies.clear();
        self.recovered(raft, place);
        self.note_state(raft, place);
    }

    /// A process ends.
    pub fn stopped(&mut self, at: Time, node: NodeId, text: u64) {
        let place = self.place(node);
        let cause = self.nemesis_at(at);
        let event = self.push(at, EventKind::Stop, small_place(place), small(text), cause);
        let lane = &mut self.lanes[place];
        (lane.stop, lane.waiting) = (Some(event), None);
        if let Some(state) = lane.state.take() {
            self.states.push(StateRow {
                event,
                role: 0,
                leader: NOWHERE,
                ..state
            });
        }
    }

    /// This message is about to be given to its addressee.
    pub fn arrives(&mut self, message: u32) {
        self.arriving = (message != NONE).then_some(message);
    }

    /// A node is about to take an input, whose line begins at `text`.
    pub fn input(&mut self, at: Time, raft: &Raft, input: &Input, text: u64) {
        let place = self.place(raft.id());
        let kind = EventKind::of_input(input);
        self.lanes[place].is_quiet = false;
        self.lanes[place].waiting = None;
        let cause = match input {
            Input::Tick => return self.lanes[place].waiting = Some((kind, None)),
            Input::Applied { index } => {
                let cause = take_up_to(&mut self.lanes[place].applies, *index);
                return self.lanes[place].waiting = Some((kind, cause));
            }
            Input::Receive { .. } => return self.received(at, place, small(text)),
            Input::Persisted { seq } | Input::PersistFailed { seq, .. } => {
                take_up_to(&mut self.lanes[place].writes, *seq)
            }
            // Which request of which step they answer, nobody says.
            Input::EntriesRead { .. }
            | Input::SnapshotRead { .. }
            | Input::SnapshotWritten { .. }
            | Input::Compact { .. }
            | Input::TransferLeadership { .. }
            | Input::ChangeMembership { .. }
            | Input::Campaign { .. }
            | Input::StepDown { .. }
            | Input::Reconfigure { .. }
            | Input::Propose { .. }
            | Input::Read { .. }
            | Input::Unreachable { .. } => None,
        };
        let event = self.push(at, kind, small_place(place), small(text), cause);
        self.lanes[place].input = Some(event);
    }

    /// A node takes the message that arrives.
    fn received(&mut self, at: Time, place: usize, text: u32) {
        let message = self.arriving.take();
        let column = |column: &[u32]| message.and_then(|at| column.get(at as usize).copied());
        let cause = column(&self.messages.sent);
        let event = self.push(at, EventKind::Receive, small_place(place), text, cause);
        self.lanes[place].input = Some(event);
        let Some(at) = message.map(|at| at as usize) else {
            return;
        };
        self.events.message[event as usize] = at as u32;
        if let Some(received) = self.messages.received.get_mut(at) {
            *received = event;
        }
        let is_quiet = self.messages.quiet.get(at) == Some(&1);
        self.lanes[place].is_quiet = is_quiet;
    }

    /// A node asks for something, or says something. Its line begins at `text`.
    pub fn action(&mut self, at: Time, raft: &Raft, action: &Action, text: u64) {
        let place = self.place(raft.id());
        self.flush(at, place);
        let (kind, cause) = (EventKind::of_action(action), self.lanes[place].input);
        let event = self.push(at, kind, small_place(place), small(text), cause);
        if let Action::Persist(write) = action {
            self.lanes[place].writes.push_back((write.seq, event));
            self.written(place, event, write);
        }
        if let Action::Apply { entries } = action
            && let Some(last) = entries.last_id()
        {
            self.lanes[place].applies.push_back((last.index, event));
        }
        if let Action::Restore { snapshot } = action {
            let last = snapshot.id.last.index;
            self.lanes[place].applies.push_back((last, event));
        }
    }

    /// A node has taken a step.
    pub fn stepped(&mut self, at: Time, raft: &Raft) {
        let place = self.place(raft.id());
        let before = self.lanes[place].state;
        if before.is_some_and(|before| {
            StateRow {
                event: before.event,
                ..self.state(raft)
            } == before
        }) {
            return;
        }
        self.flush(at, place);
        self.note_state(raft, place);
    }

    /// A message is sent, of which so many copies arrive at these times. Returns the number of the
    /// first copy; the others follow.
    pub fn sent(
        &mut self,
        at: Time,
        (from, to): (usize, usize),
        message: &Message,
        text: u64,
        copies: &[(MessageFate, Time)],
    ) -> u32 {
        self.flush(at, from);
        let cause = self.lanes[from].input;
        let event = self.push(at, EventKind::Send, small_place(from), small(text), cause);
        let kind = MessageKind::ALL.iter();
        let kind = kind.take_while(|kind| **kind != message.kind()).count();
        let is_quiet = is_quiet(message, self.lanes[from].is_quiet);
        let first = self.messages.len();
        for (fate, due) in copies {
            self.messages.push(MessageRow {
                from: small_place(from),
                to: small_place(to),
                kind: kind as u8, // There are a few.
                fate: *fate as u8,
                quiet: u8::from(is_quiet),
                term: small(message.term().0),
                sent: event,
                received: NONE,
                due: nanos(*due),
            });
        }
        self.events.message[event as usize] = first;
        first
    }

    fn state(&self, raft: &Raft) -> StateRow {
        let place =
            |node: Option<NodeId>| node.map_or(NOWHERE, |node| small_place(self.place(node)));
        let snapshot = raft.snapshot().map(|meta| meta.id.last.index);
        StateRow {
            event: self.events.len().saturating_sub(1),
            place: place(Some(raft.id())),
            role: role_number(raft.role()),
            leader: place(raft.leader()),
            vote: place(raft.voted_for()),
            node: small(raft.id().0),
            term: small(raft.term().0),
            commit: small(raft.commit_index().0),
            applied: small(raft.applied_index().0),
            durable: small(raft.durable_index().0),
            last: small(raft.last_log().index.0),
            snapshot: small(snapshot.unwrap_or(Index::ZERO).0),
            base: small(raft.log_base().index.0),
        }
    }

    fn note_state(&mut self, raft: &Raft, place: usize) {
        let state = self.state(raft);
        self.states.push(state);
        self.lanes[place].state = Some(state);
    }

    /// A write changes the log of a node.
    fn written(&mut self, place: usize, event: u32, write: &Write) {
        if let Some(install) = &write.install
            && install.log == InstalledLog::IsDropped
        {
            let kept = install.snapshot.id.last.index;
            self.cut_log(place, event, 1);
            self.lanes[place].log.resize(kept.0 as usize, 0);
        }
        let (Some(first), Some(_)) = (write.entries.first_index(), write.entries.last_id()) else {
            return;
        };
        let past = first.0 + write.entries.len() as u64;
        for entry in write.entries.iter() {
            let kind = kind_number(entry.kind());
            self.put_entry(place, event, entry.index(), (entry.term().0, kind));
        }
        self.cut_log(place, event, past);
    }

    /// A process has started with what its disk holds.
    fn recovered(&mut self, raft: &Raft, place: usize) {
        let event = self.events.len().saturating_sub(1);
        let (base, last) = (raft.log_base().index, raft.last_log().index);
        let mut index = base.next();
        while index <= last {
            let term = raft.term_at(index).map_or(0, |term| small(term.0));
            if self.lanes[place].log.get(index.0 as usize - 1) != Some(&term) {
                let entries = raft.entries(index, index);
                let kind = entries.iter().next().map_or(0, |it| kind_number(it.kind()));
                self.put_entry(place, event, index, (term.into(), kind));
            }
            index = index.next();
        }
        self.cut_log(place, event, last.0 + 1);
    }

    fn put_entry(&mut self, place: usize, event: u32, index: Index, (term, kind): (u64, u8)) {
        let term = small(term);
        let log = &mut self.lanes[place].log;
        let at = (index.0 as usize).saturating_sub(1);
        if log.len() <= at {
            log.resize(at + 1, 0);
        }
        log[at] = term;
        self.entries.push(EntryRow {
            event,
            place: small_place(place),
            kind,
            index: small(index.0),
            term,
        });
    }

    /// The log ends before this index.
    fn cut_log(&mut self, place: usize, event: u32, past: u64) {
        let kept = (past as usize).saturating_sub(1);
        let lane = &mut self.lanes[place];
        for (at, term) in lane.log.iter().enumerate().skip(kept) {
            if *term != 0 {
                self.entries.push(EntryRow {
                    event,
                    place: small_place(place),
                    kind: 0,
                    index: small(at as u64 + 1),
                    term: 0,
                });
            }
        }
        lane.log.truncate(kept);
    }
}

/// Takes out what waits up to this number. Returns the event of the last of these.
fn take_up_to<Number: Copy + PartialOrd>(
    waiting: &mut VecDeque<(Number, u32)>,
    number: Number,
) -> Option<u32> {
    let mut event = None;
    while let Some((of, at)) = waiting.front().copied()
        && of <= number
    {
        event = Some(at);
        waiting.pop_front();
    }
    event
}

fn kind_number(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::Command => 0,
        EntryKind::Noop => 1,
        EntryKind::Membership => 2,
    }
}

/// Whether a message is a heartbeat, or says no more than that one came.
fn is_quiet(message: &Message, answers_heartbeat: bool) -> bool {
    match message {
        Message::AppendEntries(append) => append.entries.is_empty(),
        Message::AppendEntriesReply(reply) => {
            answers_heartbeat && matches!(reply.outcome, AppendOutcome::Accepted { .. })
        }
        Message::RequestVote(_)
        | Message::RequestVoteReply(_)
        | Message::InstallSnapshot(_)
        | Message::InstallSnapshotReply(_)
        | Message::PreVote(_)
        | Message::PreVoteReply(_)
        | Message::TimeoutNow(_)
        | Message::ReadIndex(_)
        | Message::ReadIndexReply(_) => false,
    }
}
