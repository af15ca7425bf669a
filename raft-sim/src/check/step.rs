//! One step of one node: an event, and all that its driver does at once.

use super::envelope::Envelope;
use super::node::{Disks, Logged, Node, Service};
use super::outcome::{Mark, Marks, Observed, Outcome, Violation};
use crate::checker::Fingerprint;
use bytes::Bytes;
use raft_proto::{
    Action, Commands, Config, EntryKind, Event, Incarnation, Index, Input, MembershipChange,
    NodeId, Raft, ReadMode, Recovered, RequestId, RoleKind, SnapshotId, Start, Term, Write, trace,
};
use std::collections::VecDeque;

/// Something that happens to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelEvent {
    /// A message arrives.
    Receives(Envelope),
    /// A heartbeat interval passes, and a tick tells it so.
    Wakes,
    /// A whole election timeout passes, and a tick tells it so.
    TimesOut,
    /// A whole election timeout passes, and nothing tells it so before its next event.
    Waits,
    /// Its oldest write is durable, and reported.
    Persists,
    /// The power fails, and the node starts again. Of the writes that were not reported, the disk
    /// keeps this many.
    Crashes {
        /// How many.
        kept: usize,
    },
    /// A client proposes a command.
    Proposes {
        /// Which: no two are equal.
        number: u8,
    },
    /// A client reads.
    Reads {
        /// Which: no two are equal.
        number: u8,
        /// How.
        mode: ReadMode,
    },
    /// Its service makes a snapshot of all that it has applied.
    Compacts,
    /// An operator asks it to hand over leadership.
    Transfers(Option<NodeId>),
    /// An operator asks it to change the members.
    Changes(MembershipChange),
    /// The power fails, and the disk has lost the log after this index.
    Damaged(Index),
    /// The disk is lost. The node joins anew under its number, with an empty disk of another
    /// incarnation.
    Replaced,
}

/// A step under way.
pub(super) struct Step<'a> {
    pub(super) node: Node,
    pub(super) disks: Disks,
    /// What the driver gives next.
    pub(super) inputs: VecDeque<Input>,
    pub(super) sent: Vec<Envelope>,
    pub(super) observed: Vec<Observed>,
    pub(super) marks: Marks,
    pub(super) violation: Option<Violation>,
    /// What arrives comes from a disk, or comes to one, that is not the member's.
    pub(super) is_between_disks: bool,
    lines: Option<&'a mut Vec<String>>,
}

impl Node {
    /// The node's first event.
    pub fn start(self, disks: Disks, lines: Option<&mut Vec<String>>) -> Outcome {
        let mut step = Step::new(self, disks, lines);
        step.run(Node::FIRST);
        step.finish()
    }

    /// What comes of it when this happens to the node. `lines` takes the trace.
    pub fn step(
        &self,
        disks: Disks,
        model_event: &ModelEvent,
        lines: Option<&mut Vec<String>>,
    ) -> Outcome {
        let mut step = Step::new(self.clone(), disks, lines);
        let timeout = step.node.raft.config().election_timeout_max;
        match model_event {
            ModelEvent::Receives(envelope) => {
                step.is_between_disks = step.node.is_between_disks(envelope);
                step.run(Input::Receive {
                    from: envelope.from,
                    incarnation: envelope.incarnation,
                    message: envelope.message.clone(),
                });
            }
            ModelEvent::Wakes => {
                let interval = step.node.raft.config().heartbeat_interval;
                step.node.clock = step.node.clock.after(interval);
                step.run(Input::Tick);
            }
            ModelEvent::TimesOut => {
                step.node.clock = step.node.clock.after(timeout);
                step.run(Input::Tick);
            }
            ModelEvent::Waits => step.node.clock = step.node.clock.after(timeout),
            ModelEvent::Persists => step.persist_oldest(),
            ModelEvent::Crashes { kept } => step.crash(*kept, None),
            ModelEvent::Damaged(after) => step.crash(step.node.pending.len(), Some(*after)),
            ModelEvent::Replaced => step.replace_disk(),
            ModelEvent::Proposes { number } => step.run(Input::Propose {
                id: RequestId(u64::from(*number)),
                commands: Commands::from(Bytes::copy_from_slice(&[*number])),
            }),
            ModelEvent::Reads { number, mode } => {
                let (id, mode) = (RequestId(u64::from(*number)), *mode);
                step.observed.push(Observed::ReadBegins(id));
                step.run(Input::Read { id, mode });
            }
            ModelEvent::Compacts => {
                let service = step.node.service;
                let snapshot = SnapshotId::of(service.applied, &service.snapshot());
                (step.node.snapshots).insert(snapshot, service.snapshot());
                step.run(Input::Compact { snapshot });
            }
            ModelEvent::Transfers(target) => step.run(Input::TransferLeadership {
                id: RequestId(0),
                target: *target,
            }),
            ModelEvent::Changes(change) => step.run(Input::ChangeMembership {
                id: RequestId(0),
                change: change.clone(),
            }),
        }
        step.finish()
    }
}

impl<'a> Step<'a> {
    fn new(node: Node, disks: Disks, lines: Option<&'a mut Vec<String>>) -> Step<'a> {
        Step {
            node,
            disks,
            inputs: VecDeque::new(),
            sent: Vec::new(),
            observed: Vec::new(),
            marks: Marks::NONE,
            violation: None,
            is_between_disks: false,
            lines,
        }
    }

    fn finish(self) -> Outcome {
        Outcome {
            node: self.node,
            sent: self.sent,
            observed: self.observed,
            marks: self.marks,
            violation: self.violation,
        }
    }

    pub(super) fn violate(&mut self, property: &'static str, what: impl std::fmt::Display) {
        let what = format!("{} {what}", self.node.raft.id());
        self.violation.get_or_insert(Violation::new(property, what));
    }

    /// Gives the core an input, and all that its driver answers at once.
    pub(super) fn run(&mut self, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            let before = Before::of(&self.node.raft);
            self.trace(|node| trace::input(node, &input).to_string());
            let at = self.node.clock;
            let actions = self.node.raft.step(Event { at, input });
            for action in actions {
                if !matches!(action, Action::WakeAt(_)) {
                    self.trace(|node| trace::action(node, &action).to_string());
                }
                self.perform(action);
            }
            self.compare(&before);
        }
    }

    fn trace(&mut self, line: impl FnOnce(trace::NodeAtTerm) -> String) {
        let (node, term) = (self.node.raft.id(), self.node.raft.term());
        if let Some(lines) = &mut self.lines {
            lines.push(line(trace::NodeAtTerm { node, term }));
        }
    }

    fn note(&mut self, what: impl std::fmt::Display) {
        self.trace(|node| format!("{node} ({what})"));
    }

    /// The power fails, and comes back. To be down for a while is to be down for no time: nothing
    /// happens to a node that is down, and messages that it misses are never delivered.
    fn crash(&mut self, kept: usize, lost_after: Option<Index>) {
        self.note(format_args!(
            "crashes, and starts again with {kept} writes that were not reported"
        ));
        let lost = self.node.pending.len().saturating_sub(kept);
        self.marks.add_if(lost > 0, Mark::LostWrites);
        let mut disk = self.node.disk.clone();
        for write in self.node.pending.iter().take(kept) {
            disk.apply(write);
        }
        if let Some(after) = lost_after {
            disk.lose_after(after);
            self.note(format_args!("its disk has lost the log after {after}"));
        }
        let config = self.node.raft.config().clone();
        self.start_again(config, disk);
    }

    fn replace_disk(&mut self) {
        self.note("loses its disk, and joins anew with an empty one");
        let mut config = self.node.raft.config().clone();
        config.start = Start::Join;
        let next = |it: Incarnation| Incarnation(it.0 + 100);
        config.incarnation = config.incarnation.map(next);
        self.start_again(config, Recovered::default());
    }

    fn start_again(&mut self, config: Config, disk: Recovered) {
        let started = match Node::new(config, disk) {
            Ok(started) => started,
            Err(error) => return self.violate("a node starts from what it wrote", error),
        };
        let before = std::mem::replace(&mut self.node, started);
        self.node.clock = before.clock;
        self.node.snapshots = before.snapshots;
        if let Some(snapshot) = &self.node.disk.snapshot {
            let id = snapshot.id;
            match self.node.snapshots.get(&id) {
                Some(bytes) => self.node.service = Service::restored(id.last, bytes),
                None => return self.violate("a snapshot in use is kept", "released it"),
            }
            self.node.snapshots.retain(|kept, _| *kept == id);
        } else {
            self.node.snapshots.clear();
        }
        self.run(Node::FIRST);
    }

    /// Compares the core after an input with what it was before.
    fn compare(&mut self, before: &Before) {
        let raft = &self.node.raft;
        let (term, commit_index) = (raft.term(), raft.commit_index());
        if term < before.term || commit_index < before.commit_index {
            self.violate("currentTerm and commitIndex never fall", "forgets one");
        }
        let raft = &self.node.raft;
        let first = before.commit_index.max(raft.log_base().index).next();
        let committed = raft.entries(first, commit_index);
        self.marks.add_if(
            committed.iter().any(|it| !it.payload().is_empty()),
            Mark::Committed,
        );
        let is_earlier =
            raft.role() == RoleKind::Leader && committed.iter().any(|it| it.term() < term);
        self.marks.add_if(is_earlier, Mark::EarlierCommitted);
        let is_change = committed
            .iter()
            .any(|it| it.kind() == EntryKind::Membership);
        self.marks
            .add_if(is_change && !raft.membership().is_joint(), Mark::Changed);
        self.marks.add_if(
            before.role == RoleKind::Leader
                && raft.role() != RoleKind::Leader
                && term == before.term,
            Mark::StepsDown,
        );
        let is_impaired = raft.status().impaired.is_some();
        self.marks.add_if(is_impaired, Mark::Impaired);
        self.marks
            .add_if(before.is_impaired && !is_impaired, Mark::Mended);
        self.observe_commit(first, &committed);
        self.compare_log(before);
    }

    fn compare_log(&mut self, before: &Before) {
        let raft = &self.node.raft;
        let log = Logged::of_raft(raft);
        let last = before.log.last_index();
        let is_kept = (before.log.entries.iter().zip(before.log.base.index.0 + 1..))
            .all(|(entry, index)| log.holds(Index(index), *entry));
        self.marks.add_if(
            !is_kept
                && log.last_index() >= log.base.index
                && raft.snapshot().is_none_or(|it| it.id.last.index < last),
            Mark::Truncated,
        );
        let led = before.role == RoleKind::Leader && raft.role() == RoleKind::Leader;
        if led && raft.term() == before.term && !is_kept {
            self.violate(
                "Leader Append-Only (Figure 3)",
                "removes entries from its log",
            );
        }
        // What the core takes for durable is what the promises rest on.
        let durable = self.node.raft.durable_index();
        let disk = self.node.facts().disk;
        let differs = |index: &Index| log.get(*index).is_some_and(|it| !disk.holds(*index, it));
        let mut indexes = (log.base.index.0 + 1..=durable.0).map(Index);
        if let Some(index) = indexes.find(differs) {
            self.violate(
                "what is taken for durable is on disk",
                format!("has another entry {index} on its disk"),
            );
        }
    }
}

impl Node {
    /// Whether the message comes from a disk, or comes to one, that is not the member's.
    fn is_between_disks(&self, envelope: &Envelope) -> bool {
        let Some(own) = self.raft.incarnation() else {
            return false;
        };
        let members = self.raft.membership();
        let named = |id| members.get(id).and_then(|member| member.incarnation);
        named(envelope.from) != envelope.incarnation || named(self.raft.id()) != Some(own)
    }

    /// The disk takes a write. "Each server will vote for at most one candidate in a given term"
    /// (section 5.2): a vote leaves when it is on the disk, and no write replaces it in its term.
    pub(super) fn take_write(&mut self, write: &Write) -> Result<(), Violation> {
        let before = self.disk.hard_state;
        self.disk.apply(write);
        let now = self.disk.hard_state;
        let is_kept = before.voted_for.is_none() || now.voted_for == before.voted_for;
        if now.term > before.term || now.term == before.term && is_kept {
            return Ok(());
        }
        let what = format!("{} writes {now:?} over {before:?}", self.raft.id());
        Err(Violation::new("one vote a term (section 5.2)", what))
    }

    pub(super) fn disk_last(&self) -> Index {
        let snapshot = self.disk.snapshot.as_ref().map(|it| it.id.last.index);
        let last = self.disk.entries.last_id().map(|last| last.index);
        last.max(snapshot).unwrap_or(Index::ZERO)
    }
}

/// The core before an input.
struct Before {
    term: Term,
    role: RoleKind,
    commit_index: Index,
    log: Logged,
    is_impaired: bool,
}

impl Before {
    fn of(raft: &Raft) -> Before {
        Before {
            term: raft.term(),
            role: raft.role(),
            commit_index: raft.commit_index(),
            log: Logged::of_raft(raft),
            is_impaired: raft.status().impaired.is_some(),
        }
    }
}

/// The digest of a sequence of entries, from that of all but the last.
pub(super) fn chain(digest: u64, entry: Fingerprint) -> u64 {
    let mut hasher = super::canonical::Hasher::NEW;
    hasher.add(digest);
    hasher.add(entry.term.0);
    hasher.add(entry.content);
    hasher.finish()
}
