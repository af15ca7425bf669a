//! Replays the recordings of one node, and notes what its instances did.

use super::instance::{
    Answer, Begin, Commit, Completed, HandedOut, Instance, Proposed, SeenMessage, Trigger, Turn,
    Written,
};
use super::spans::{Span, Spans};
use super::{ExplainError, Question, RecordedFile, digest};
use raft_proto::recording::{Recording, RecordingError, Step, outcome};
use raft_proto::{
    Action, AppendOutcome, Campaign, Event, Index, Input, Message, NodeId, Raft, RoleKind,
    SnapshotOutcome, Term, Time,
};
use std::collections::BTreeMap;

/// Replays the files of one node, in their order.
pub(super) struct Tape<'a> {
    question: &'a Question,
    raft: Option<Raft>,
    instances: Vec<Instance>,
    /// When each peer was last heard.
    heard: BTreeMap<NodeId, Time>,
    heard_leader: Option<(NodeId, Time)>,
    unreachable: Option<(NodeId, Time)>,
}

/// What a step changes is compared with this.
struct Before {
    role: RoleKind,
    term: Term,
    commit: Index,
    applied: Index,
}

impl Before {
    fn of(raft: &Raft) -> Before {
        Before {
            role: raft.role(),
            term: raft.term(),
            commit: raft.commit_index(),
            applied: raft.applied_index(),
        }
    }
}

impl<'a> Tape<'a> {
    pub(super) fn new(question: &'a Question) -> Tape<'a> {
        Tape {
            question,
            raft: None,
            instances: Vec::new(),
            heard: BTreeMap::new(),
            heard_leader: None,
            unreachable: None,
        }
    }

    pub(super) fn finish(self) -> Vec<Instance> {
        self.instances
    }

    /// Replays the next file.
    pub(super) fn play(&mut self, file: &RecordedFile<'_>) -> Result<(), ExplainError> {
        let named = |reason| ExplainError::File {
            file: file.name.to_owned(),
            reason,
        };
        let recording = Recording::open(file.bytes).map_err(|error| named(error.into()))?;
        let checkpoint = &recording.header().checkpoint;
        let raft = Raft::from_checkpoint(checkpoint).map_err(|error| named(error.into()))?;
        let mut recording = recording;
        let mut next = recording.step();
        if self.raft.as_ref() != Some(&raft) {
            let begins_at = next.as_ref().ok().and_then(Option::as_ref);
            self.begin(&raft, begins_at.map(|step| step.event.at));
        }
        if let Some(instance) = self.instances.last_mut() {
            instance.files.push(file.name.to_owned());
            if let Some(notes) = file.times {
                instance.notes.read(notes);
            }
        }
        let mut raft = raft;
        loop {
            match next {
                Ok(Some(step)) => self.step(&mut raft, step, file.name)?,
                Ok(None) => break,
                Err(RecordingError::Torn { .. }) => {
                    if let Some(instance) = self.instances.last_mut() {
                        instance.is_torn = true;
                    }
                    break;
                }
                Err(error) => return Err(named(error.into())),
            }
            next = recording.step();
        }
        self.raft = Some(raft);
        Ok(())
    }

    /// An instance begins: the process has started, or a file before this one is missing.
    fn begin(&mut self, raft: &Raft, at: Option<Time>) {
        // A node that has just started follows, has heard nobody and has handed out nothing beyond
        // its snapshot.
        let base = raft
            .snapshot()
            .map_or(Index::ZERO, |meta| meta.id.last.index);
        let is_new = raft.role() == RoleKind::Follower
            && raft.leader().is_none()
            && raft.handed_out_index() <= base.max(raft.applied_index())
            && raft.commit_index() <= base.max(raft.applied_index());
        let begin = if is_new {
            Begin::Started
        } else {
            Begin::InTheMiddle {
                role: raft.role(),
                term: raft.term(),
            }
        };
        let number = self.instances.len() + 1;
        let mut instance = Instance::new(raft.id(), number, begin);
        (instance.first, instance.last) = (at.unwrap_or(Time::ZERO), at.unwrap_or(Time::ZERO));
        instance.election_timeout_min = raft.config().election_timeout_min;
        instance.voters = raft.membership().voters().collect();
        let at = instance.first;
        if let Some(meta) = raft.snapshot() {
            instance.restored.push((meta.id.last, at));
        }
        self.instances.push(instance);
        self.heard.clear();
        self.heard_leader = None;
        self.unreachable = None;
    }

    fn step(&mut self, raft: &mut Raft, step: Step, file: &str) -> Result<(), ExplainError> {
        let (before, event) = (Before::of(raft), step.event.clone());
        let actions = raft.step(step.event);
        if step.outcome.is_some_and(|it| it != outcome(&actions)) {
            return Err(ExplainError::Differs {
                file: file.to_owned(),
                offset: step.offset,
            });
        }
        let Some(instance) = self.instances.last_mut() else {
            return Ok(());
        };
        instance.steps += 1;
        instance.last = instance.last.max(event.at);
        let at = instance.last;
        let received = note_input(instance, at, &event);
        if let Some((from, _)) = received {
            self.heard.insert(from, at);
            self.unreachable.take_if(|(peer, _)| *peer == from);
            if is_from_leader(&event.input) && raft.leader() == Some(from) {
                self.heard_leader = Some((from, at));
            }
        }
        if let Input::Unreachable { peer } = event.input {
            self.unreachable = Some((peer, at));
        }
        let cause = Cause {
            at,
            received,
            is_persisted: matches!(event.input, Input::Persisted { .. }),
        };
        for action in &actions {
            note_action(instance, action, &cause);
            note_proposal(instance, at, &event.input, action, self.question);
        }
        note_progress(instance, raft, &before, &event.input, &cause);
        if (before.role, before.term) != (raft.role(), raft.term()) {
            instance.turns.push(Turn {
                at,
                from: before.role,
                to: raft.role(),
                before: before.term,
                term: raft.term(),
                trigger: trigger(&event.input),
                heard: self.heard.clone(),
                heard_leader: self.heard_leader,
                unreachable: self.unreachable,
            });
        }
        Ok(())
    }
}

fn is_from_leader(input: &Input) -> bool {
    let Input::Receive { message, .. } = input else {
        return false;
    };
    matches!(
        message,
        Message::AppendEntries(_) | Message::InstallSnapshot(_)
    )
}

/// Returns the sender and the digest of a message that was received.
fn note_input(instance: &mut Instance, at: Time, event: &Event) -> Option<(NodeId, u64)> {
    if let Input::Receive { from, message, .. } = &event.input {
        let digest = digest(message);
        instance.received.push(SeenMessage {
            at,
            peer: *from,
            kind: message.kind(),
            digest,
        });
        note_answer(instance, at, *from, message);
        return Some((*from, digest));
    }
    if let Input::Persisted { seq } = &event.input {
        instance.persisted.push((*seq, at));
    } else if let Input::TransferLeadership { .. } = &event.input {
        instance.transfers_asked.push(at);
    }
    None
}

/// A peer acknowledges entries.
fn note_answer(instance: &mut Instance, at: Time, from: NodeId, message: &Message) {
    let (term, match_index) = match message {
        Message::AppendEntriesReply(reply) => {
            let AppendOutcome::Accepted { match_index, .. } = reply.outcome else {
                return;
            };
            (reply.term, match_index)
        }
        Message::InstallSnapshotReply(reply) if reply.outcome == SnapshotOutcome::Installed => {
            (reply.term, reply.last.index)
        }
        Message::InstallSnapshotReply(_)
        | Message::RequestVote(_)
        | Message::RequestVoteReply(_)
        | Message::AppendEntries(_)
        | Message::InstallSnapshot(_)
        | Message::PreVote(_)
        | Message::PreVoteReply(_)
        | Message::TimeoutNow(_)
        | Message::ReadIndex(_)
        | Message::ReadIndexReply(_) => return,
    };
    let answers = instance.answers.entry(from).or_default();
    let is_more = answers
        .last()
        .is_none_or(|last| (last.term, last.match_index) < (term, match_index));
    if is_more {
        answers.push(Answer {
            term,
            match_index,
            at,
        });
    }
}

/// The step that is looked at.
struct Cause {
    at: Time,
    /// The sender and the digest of the message that it received.
    received: Option<(NodeId, u64)>,
    /// A write became durable.
    is_persisted: bool,
}

fn note_action(instance: &mut Instance, action: &Action, cause: &Cause) {
    let at = cause.at;
    if let Action::Send { to, message } = action {
        note_sent(instance, at, *to, message);
    } else if let Action::Persist(write) = action {
        let position = instance.writes.len();
        instance.writes.push(Written {
            at,
            seq: write.seq,
            from: cause.received,
        });
        for span in Span::of(&write.entries) {
            instance.stored.insert(span, position);
        }
    } else if let Action::Apply { entries } = action {
        for span in Span::of(entries) {
            let handed_out = HandedOut {
                at,
                after_own_disk: cause.is_persisted,
            };
            instance.handed_out.insert(span, handed_out);
            instance.committed.insert(span, ());
        }
    } else if let Action::Restore { snapshot } = action {
        instance.restored.push((snapshot.id.last, at));
    } else if let Action::MembershipChanged { membership, .. } = action {
        instance.voters = membership.voters().collect();
    } else if let Action::Faulted { reason } = action {
        instance.fault = Some((at, format!("{reason}")));
    } else if let Action::Campaigning {
        outcome: Ok(term), ..
    } = action
    {
        instance.manual_terms.insert(*term);
    }
}

fn note_sent(instance: &mut Instance, at: Time, to: NodeId, message: &Message) {
    let digest = digest(message);
    let position = instance.sent.len();
    instance
        .sent_as
        .entry((to, digest))
        .or_default()
        .push(position);
    instance.sent.push(SeenMessage {
        at,
        peer: to,
        kind: message.kind(),
        digest,
    });
    let (term, campaign) = match message {
        Message::RequestVote(it) => (it.term, it.campaign),
        Message::PreVote(it) => (it.term, it.campaign),
        Message::RequestVoteReply(_)
        | Message::AppendEntries(_)
        | Message::AppendEntriesReply(_)
        | Message::InstallSnapshot(_)
        | Message::InstallSnapshotReply(_)
        | Message::PreVoteReply(_)
        | Message::TimeoutNow(_)
        | Message::ReadIndex(_)
        | Message::ReadIndexReply(_) => return,
    };
    if campaign != Campaign::Election {
        instance.transfer_terms.insert(term);
    }
}

/// The outcome of a proposal.
fn note_proposal(
    instance: &mut Instance,
    at: Time,
    input: &Input,
    action: &Action,
    question: &Question,
) {
    let (Input::Propose { id, commands }, Action::Proposed { outcome, .. }) = (input, action)
    else {
        return;
    };
    let proposal = match outcome {
        Ok(proposal) => proposal,
        Err(error) => {
            let count = instance.refused.entry(error.to_string()).or_default();
            *count += commands.len() as u64;
            return;
        }
    };
    let (first, last) = (proposal.first.index, proposal.last_index());
    let range = instance.proposed_range.get_or_insert((first, last));
    *range = (range.0.min(first), range.1.max(last));
    let wanted = question.wanted(first, commands);
    if wanted.as_ref().is_some_and(Vec::is_empty) {
        return;
    }
    instance.proposals.push(Proposed {
        at,
        id: *id,
        first: proposal.first,
        count: proposal.count,
        wanted,
    });
}

/// What the step has moved forward.
fn note_progress(
    instance: &mut Instance,
    raft: &Raft,
    before: &Before,
    input: &Input,
    cause: &Cause,
) {
    let at = cause.at;
    if raft.commit_index() > before.commit {
        let is_reply = matches!(
            input,
            Input::Receive {
                message: Message::AppendEntriesReply(_) | Message::InstallSnapshotReply(_),
                ..
            }
        );
        let by = match cause.received {
            Some((node, digest)) if is_reply => Completed::Peer { node, digest },
            None if cause.is_persisted => Completed::OwnDisk,
            Some(_) | None => Completed::Other,
        };
        let index = raft.commit_index();
        instance.commits.push(Commit { at, index, by });
        let mut spans = Spans::default();
        let mut next = before.commit.next();
        while next <= index {
            if let Some(term) = raft.term_at(next) {
                spans.grow(raft_proto::EntryId { index: next, term });
            }
            next = next.next();
        }
        for span in spans.finish() {
            instance.committed.insert(span, ());
        }
    }
    if raft.applied_index() > before.applied {
        instance.applied.push((raft.applied_index(), at));
    }
}

fn trigger(input: &Input) -> Trigger {
    match input {
        Input::Tick => Trigger::Tick,
        Input::Receive { from, message, .. } => Trigger::Message {
            from: *from,
            kind: message.kind(),
            term: message.term(),
        },
        Input::Unreachable { peer } => Trigger::Unreachable { peer: *peer },
        Input::Persisted { .. } => Trigger::Persisted,
        Input::PersistFailed { .. } => Trigger::PersistFailed,
        Input::Campaign { .. } => Trigger::ByHand("to campaign"),
        Input::StepDown { .. } => Trigger::ByHand("to step down"),
        Input::TransferLeadership { .. } => Trigger::ByHand("to hand over leadership"),
        Input::ChangeMembership { .. } => Trigger::ByHand("to change the members"),
        Input::Reconfigure { .. } => Trigger::ByHand("to change its settings"),
        Input::Propose { .. } => Trigger::Other("a proposal"),
        Input::Applied { .. } => Trigger::Other("a report that entries are applied"),
        Input::Compact { .. } => Trigger::Other("a new snapshot"),
        Input::SnapshotRead { .. } | Input::SnapshotWritten { .. } => {
            Trigger::Other("a chunk of a snapshot")
        }
        Input::Read { .. } => Trigger::Other("a read"),
        Input::EntriesRead { .. } => Trigger::Other("entries read from disk"),
    }
}
