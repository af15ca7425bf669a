//! What a driver does with the actions of a step, and what they say about the properties.

use super::envelope::Envelope;
use super::node::{Disks, Service};
use super::outcome::{Mark, Observed};
use super::step::{Step, chain};
use crate::checker::Fingerprint;
use bytes::Bytes;
use raft_proto::{
    Action, AppendOutcome, Entries, Index, Input, Message, MessageKind, NodeId, RoleKind,
    SnapshotId, SnapshotReadFailed, Term, Vote, Write,
};

const SAID_IS_ON_DISK: &str = "what is said is on disk (Figure 2)";

impl Step<'_> {
    /// Does what the core asks for.
    #[allow(clippy::wildcard_enum_match_arm)] // `take_note` has an arm for each.
    pub(super) fn perform(&mut self, action: Action) {
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
            action => self.take_note(action),
        }
    }

    /// What counts for the properties, and what must not come out at all.
    fn take_note(&mut self, action: Action) {
        let node = self.node.raft.id();
        match action {
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
            // What was performed, and what nobody waits for in a model.
            Action::WakeAt(_)
            | Action::Send { .. }
            | Action::Persist(_)
            | Action::Apply { .. }
            | Action::Restore { .. }
            | Action::ReadSnapshot { .. }
            | Action::WriteSnapshot { .. }
            | Action::ReleaseSnapshot { .. }
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
        let is_request = message.kind() == MessageKind::RequestVote;
        let is_of_the_past = is_request && message.term() < raft.term();
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
        match message {
            Message::RequestVote(request) => self.check_vote(request.term, self.node.raft.id()),
            Message::RequestVoteReply(reply) if reply.vote == Vote::Granted => {
                self.check_vote(reply.term, to);
            }
            Message::RequestVoteReply(_) => self.marks.add(Mark::VoteRefused),
            Message::PreVoteReply(reply) => {
                let is_refused = reply.vote == Vote::Refused;
                self.marks.add_if(is_refused, Mark::PreVoteRefused);
            }
            Message::AppendEntriesReply(reply) => {
                if let AppendOutcome::Accepted { match_index, .. } = reply.outcome {
                    self.check_acknowledgement(match_index);
                }
            }
            Message::AppendEntries(_)
            | Message::InstallSnapshot(_)
            | Message::InstallSnapshotReply(_)
            | Message::PreVote(_)
            | Message::TimeoutNow(_)
            | Message::ReadIndex(_)
            | Message::ReadIndexReply(_) => {}
        }
    }

    fn check_vote(&mut self, term: Term, candidate: NodeId) {
        let disk = self.node.disk.hard_state;
        let is_later = disk.term > term;
        if !is_later && (disk.term != term || disk.voted_for != Some(candidate)) {
            let what = format!("votes for {candidate} in term {term} before that is on its disk");
            self.violate(SAID_IS_ON_DISK, what);
        }
    }

    fn check_acknowledgement(&mut self, match_index: Index) {
        let last = self.node.disk_last();
        if match_index > last {
            let what = format!("acknowledges {match_index}, but its disk ends at {last}");
            self.violate(SAID_IS_ON_DISK, what);
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

    pub(super) fn persist_oldest(&mut self) {
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

    pub(super) fn observe_commit(&mut self, first: Index, entries: &Entries) {
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
}
