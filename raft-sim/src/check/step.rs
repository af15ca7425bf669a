//! One step of one node: an event, and all that its driver does at once.

use super::envelope::Envelope;
use super::node::{Disks, Logged, Node, Service};
use super::outcome::{Mark, Marks, Observed, Outcome, Violation};
use crate::checker::Fingerprint;
use bytes::Bytes;
use raft_proto::{
    Action, AppendOutcome, Commands, Config, Entries, Event, Incarnation, Index, Input,
    MembershipChange, Message, NodeId, Raft, ReadMode, Recovered, RequestId, RoleKind, SnapshotId,
    SnapshotReadFailed, Start, Vote, Write, trace,
};
use std::collections::VecDeque;

/// Something that happens to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
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
struct Step<'a> {
    node: Node,
    disks: Disks,
    inputs: VecDeque<Input>,
    sent: Vec<Envelope>,
    observed: Vec<Observed>,
    marks: Marks,
    violation: Option<Violation>,
    /// What arrives comes from a disk, or comes to one, that is not the member's.
    is_between_disks: bool,
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
        happening: &Happening,
        lines: Option<&mut Vec<String>>,
    ) -> Outcome {
        let mut step = Step::new(self.clone(), disks, lines);
        let timeout = step.node.raft.config().election_timeout_max;
        match happening {
            Happening::Receives(envelope) => {
                step.is_between_disks = step.node.is_between_disks(envelope);
                step.run(Input::Receive {
                    from: envelope.from,
                    incarnation: envelope.incarnation,
                    message: envelope.message.clone(),
                });
            }
            Happening::Wakes => {
                let interval = step.node.raft.config().heartbeat_interval;
                step.node.clock = step.node.clock.after(interval);
                step.run(Input::Tick);
            }
            Happening::TimesOut => {
                step.node.clock = step.node.clock.after(timeout);
                step.run(Input::Tick);
            }
            Happening::Waits => step.node.clock = step.node.clock.after(timeout),
            Happening::Persists => step.persist_oldest(),
            Happening::Crashes { kept } => step.crash(*kept, None),
            Happening::Damaged(after) => step.crash(step.node.pending.len(), Some(*after)),
            Happening::Replaced => step.replace_disk(),
            Happening::Proposes { number } => step.run(Input::Propose {
                id: RequestId(u64::from(*number)),
                commands: Commands::from(Bytes::copy_from_slice(&[*number])),
            }),
            Happening::Reads { number, mode } => {
                let (id, mode) = (RequestId(u64::from(*number)), *mode);
                step.observed.push(Observed::ReadBegins(id));
                step.run(Input::Read { id, mode });
            }
            Happening::Compacts => {
                let service = step.node.service;
                let snapshot = SnapshotId::of(service.applied, &service.snapshot());
                (step.node.snapshots).insert(snapshot, service.snapshot());
                step.run(Input::Compact { snapshot });
            }
            Happening::Transfers(target) => step.run(Input::TransferLeadership {
                id: RequestId(0),
                target: *target,
            }),
            Happening::Changes(change) => step.run(Input::ChangeMembership {
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

    fn violate(&mut self, property: &'static str, what: impl std::fmt::Display) {
        let what = format!("{} {what}", self.node.raft.id());
        self.violation.get_or_insert(Violation::new(property, what));
    }

    /// Gives the core an input, and all that its driver answers at once.
    fn run(&mut self, input: Input) {
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

    fn perform(&mut self, action: Action) {
        let node = self.node.raft.id();
        match action {
            Action::Send { to, message } => self.send(to, message),
            Action::Persist(write) => {
                self.node.pending.push(write);
                if self.disks == Disks::Immediate {
                    self.persist();
                }
            }
            Action::Apply { entries } => self.apply(&entries),
            Action::Restore { snapshot } => self.restore(snapshot.id),
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => {
                let bytes = self.node.snapshots.get(&snapshot);
                let part = offset as usize..(offset + length) as usize; // A few bytes.
                let result = match bytes {
                    Some(bytes) if part.end <= bytes.len() => Ok(bytes.slice(part)),
                    Some(_) | None => Err(SnapshotReadFailed::Gone),
                };
                self.inputs.push_back(Input::SnapshotRead {
                    peer,
                    snapshot,
                    offset,
                    result,
                });
            }
            Action::WriteSnapshot {
                snapshot,
                offset,
                data,
            } => self.write_snapshot(snapshot, offset, &data),
            Action::ReleaseSnapshot { snapshot } => {
                self.node.snapshots.remove(&snapshot);
            }
            Action::Read { id, outcome } => {
                let mark = if outcome.is_ok() {
                    Mark::ReadServed
                } else {
                    Mark::ReadRefused
                };
                self.marks.add(mark);
                let index = outcome.ok();
                self.observed.push(Observed::ReadEnds { id, index });
            }
            Action::Transferred { outcome: Ok(_), .. } => self.marks.add(Mark::Transferred),
            Action::RoleChanged { role, term } => {
                if role == RoleKind::Leader {
                    self.marks.add(Mark::Elected);
                    self.observed.push(Observed::Leads { node, term });
                }
            }
            Action::MembershipChanged { membership, .. } => {
                self.marks.add_if(membership.is_joint(), Mark::Joint);
            }
            Action::ForeignIncarnation(_) | Action::Replaced { .. } => {
                self.marks.add(Mark::Foreign);
            }
            // An empty disk under an old number has forgotten what it asked for.
            Action::Rejected { .. } if self.is_between_disks => {}
            Action::Rejected { from, reason } => {
                let what = format!("rejects a message of {from}, which is correct: {reason}");
                self.violate("no correct node's message is rejected", what);
            }
            Action::Refused { reason } => {
                self.violate("no input of a correct driver is refused", reason);
            }
            Action::Faulted { reason } => self.violate("no node faults", reason),
            Action::LostState { peer, .. } => {
                self.violate(
                    "no disk loses what it acknowledged",
                    format!("misses it at {peer}"),
                );
            }
            Action::SnapshotDamaged { .. } => self.violate("no snapshot is damaged", "finds one"),
            // Nobody waits for these in a model.
            Action::WakeAt(_)
            | Action::Proposed { .. }
            | Action::Transferred {
                outcome: Err(_), ..
            }
            | Action::ChangeProposed { .. }
            | Action::ReadEntries { .. }
            | Action::LeaderChanged { .. }
            | Action::EntryRefused { .. }
            | Action::Removed { .. }
            | Action::Campaigning { .. }
            | Action::SteppedDown { .. }
            | Action::Reconfigured { .. }
            | Action::Overdue(_) => {}
        }
    }

    /// A message that one step sends twice, and a candidate's request of a term that it leaves in this
    /// step, is a copy of what was sent before. It is lost: models have bounds of their own for
    /// messages that come twice.
    fn send(&mut self, to: NodeId, message: Message) {
        let raft = &self.node.raft;
        let (from, incarnation) = (raft.id(), raft.incarnation());
        let is_of_the_past = match message {
            Message::RequestVote(request) => request.term < raft.term(),
            _ => false,
        };
        self.check_promise(to, &message);
        let is_copy = |it: &Envelope| it.to == to && it.message == message;
        if is_of_the_past || self.sent.iter().any(is_copy) {
            return;
        }
        self.sent.push(Envelope {
            from,
            incarnation,
            to,
            message,
        });
    }

    /// "Results in persistent state must be updated on stable storage before responding to RPCs"
    /// (Figure 2).
    fn check_promise(&mut self, to: NodeId, message: &Message) {
        const PROPERTY: &str = "what is said is on disk (Figure 2)";
        let disk = self.node.disk.hard_state;
        let node = self.node.raft.id();
        let vote = match message {
            Message::RequestVote(request) => Some((request.term, node)),
            Message::RequestVoteReply(reply) if reply.vote == Vote::Granted => {
                Some((reply.term, to))
            }
            _ => None,
        };
        if let Some((term, candidate)) = vote {
            let is_durable =
                disk.term > term || disk.term == term && disk.voted_for == Some(candidate);
            if !is_durable {
                self.violate(
                    PROPERTY,
                    format!("votes for {candidate} in term {term} before that is on its disk"),
                );
            }
        }
        match message {
            Message::RequestVoteReply(reply) => {
                self.marks
                    .add_if(reply.vote == Vote::Refused, Mark::VoteRefused);
            }
            Message::PreVoteReply(reply) => {
                self.marks
                    .add_if(reply.vote == Vote::Refused, Mark::PreVoteRefused);
            }
            Message::AppendEntriesReply(reply) => {
                let AppendOutcome::Accepted { match_index, .. } = reply.outcome else {
                    return;
                };
                let last = self.node.disk_last();
                if match_index > last {
                    self.violate(
                        PROPERTY,
                        format!("acknowledges {match_index}, but its disk ends at {last}"),
                    );
                }
            }
            _ => {}
        }
    }

    /// All writes that were asked for are durable, and the core hears of it next.
    fn persist(&mut self) {
        let writes = std::mem::take(&mut self.node.pending);
        for write in writes {
            self.take_write(&write);
            self.inputs.push_back(Input::Persisted { seq: write.seq });
        }
    }

    fn take_write(&mut self, write: &Write) {
        if let Err(violation) = self.node.take_write(write) {
            self.violation.get_or_insert(violation);
        }
    }

    fn persist_oldest(&mut self) {
        if self.node.pending.is_empty() {
            return;
        }
        let write = self.node.pending.remove(0);
        let last = self.node.raft.last_log();
        let is_late = write.entries.iter().any(|entry| {
            entry.index() > last.index
                || self.node.raft.term_at(entry.index()) != Some(entry.term())
        });
        self.marks
            .add_if(is_late && !write.entries.is_empty(), Mark::LateWrite);
        self.take_write(&write);
        self.run(Input::Persisted { seq: write.seq });
    }

    fn apply(&mut self, entries: &Entries) {
        let next = self.node.service.applied.index.next();
        if entries.first_index() != Some(next) {
            self.violate(
                "entries are applied without a gap",
                format!("applied less than {next}"),
            );
        }
        for entry in entries {
            self.node.service.applied = entry.id();
            self.node.service.digest = chain(self.node.service.digest, Fingerprint::of(&entry));
            self.inputs.push_back(Input::Applied {
                index: entry.index(),
            });
        }
        self.observe_commit(next, entries);
    }

    fn observe_commit(&mut self, first: Index, entries: &Entries) {
        let term = self.node.raft.term();
        let entries: Vec<Fingerprint> = entries.iter().map(|it| Fingerprint::of(&it)).collect();
        if !entries.is_empty() {
            self.observed.push(Observed::Commits {
                first,
                entries,
                term,
            });
        }
    }

    fn restore(&mut self, snapshot: SnapshotId) {
        let bytes = self.node.snapshots.get(&snapshot).cloned();
        let bytes = bytes.unwrap_or_default();
        self.node.service = Service::restored(snapshot.last, &bytes);
        self.marks.add(Mark::Installed);
        let (last, digest) = (snapshot.last, self.node.service.digest);
        self.observed.push(Observed::Restores { last, digest });
        self.inputs.push_back(Input::Applied { index: last.index });
    }

    fn write_snapshot(&mut self, snapshot: SnapshotId, offset: u64, data: &[u8]) {
        let partial = &mut self.node.partial;
        partial.truncate(offset as usize); // A few bytes.
        partial.extend_from_slice(data);
        if partial.len() as u64 >= snapshot.size {
            let bytes = Bytes::from(std::mem::take(partial));
            self.node.snapshots.insert(snapshot, bytes);
        }
        self.inputs.push_back(Input::SnapshotWritten {
            snapshot,
            offset,
            result: Ok(()),
        });
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
            .any(|it| it.kind() == raft_proto::EntryKind::Membership);
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
    fn take_write(&mut self, write: &Write) -> Result<(), Violation> {
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

    fn disk_last(&self) -> Index {
        let snapshot = self.disk.snapshot.as_ref().map(|it| it.id.last.index);
        let last = self.disk.entries.last_id().map(|last| last.index);
        last.max(snapshot).unwrap_or(Index::ZERO)
    }
}

/// The core before an input.
struct Before {
    term: raft_proto::Term,
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
