//! InstallSnapshot RPC (Figure 13; section 7).

use super::{Answer, Replied};
use crate::action::Action;
use crate::checksum::Checksum;
use crate::error::Rejection;
use crate::message::{InstallSnapshot, InstallSnapshotReply, Message, SnapshotOutcome};
use crate::progress::Flow;
use crate::raft::Raft;
use crate::role::Role;
use crate::snapshot::Incoming;
use crate::types::{EntryId, NodeId};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What is to become of a chunk.
enum Chunk {
    /// It cannot be taken now.
    Untimely,
    /// It is not the one that the file lacks next.
    OutOfPlace { wanted: u64 },
    /// It is; and this is the checksum of all up to its end.
    Next { checksum: Checksum },
}

impl Raft {
    /// Receiver implementation. Steps 6 to 8 follow when the last chunk has been written.
    pub(super) fn install_snapshot(
        &mut self,
        from: NodeId,
        request: InstallSnapshot,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let last = request.snapshot.id.last;
        // 1. "Reply immediately if term < currentTerm."
        if request.term < self.hard_state.term {
            self.reply_to_snapshot(from, last, SnapshotOutcome::Stale, actions);
            return Ok(());
        }
        self.admit_leader(from, request.term)?;
        let known = self.log.term_at(last.index);
        if last.index <= self.commit_index && known.is_some_and(|term| term != last.term) {
            self.alarms.distrusted = Some((from, request.term));
            return Err(Rejection::ConflictBelowCommit {
                entry: last,
                commit_index: self.commit_index,
            });
        }
        if last.index <= self.commit_index {
            self.follow(from, request.term, actions);
            // All of it is here. Installing it would go back.
            if let Role::Follower(follower) = &mut self.role {
                follower.incoming = None;
            }
            self.reply_installed(from, last);
            return Ok(());
        }
        let chunk = self.examine_chunk(from, &request).inspect_err(|_| {
            // Begin anew, if it was the leader's.
            let term = self.hard_state.term;
            if let Role::Follower(follower) = &mut self.role
                && follower.leader() == Some(from)
                && request.term == term
            {
                follower.incoming = None;
            }
        })?;
        self.follow(from, request.term, actions);
        self.receive_chunk(from, request, chunk, actions);
        Ok(())
    }

    /// Where a chunk stands in the file that it belongs to; and, if it completes the file,
    /// whether the bytes are those that the sender described.
    fn examine_chunk(&self, from: NodeId, request: &InstallSnapshot) -> Result<Chunk, Rejection> {
        // The file of the last one is still to be made the snapshot, or the driver has yet to
        // answer for a chunk: what comes meanwhile is sent again.
        if self.applier.restoring.is_some() || self.chunk_under_way.is_some() {
            return Ok(Chunk::Untimely);
        }
        let (id, offset) = (request.snapshot.id, request.offset);
        let file = match &self.role {
            Role::Follower(follower)
                if request.term == self.hard_state.term && follower.leader() == Some(from) =>
            {
                let incoming = follower.incoming.as_deref();
                incoming.filter(|file| file.snapshot == request.snapshot)
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => {
                None
            }
        };
        let (wanted, mut checksum) = match file {
            Some(file) => (file.received, file.checksum),
            None => (0, Checksum::new()),
        };
        if offset != wanted {
            return Ok(Chunk::OutOfPlace { wanted });
        }
        checksum.update(&request.data);
        if offset + request.data.len() as u64 == id.size && checksum.value() != id.checksum {
            return Err(Rejection::WrongChecksum {
                expected: id.checksum,
                found: checksum.value(),
            });
        }
        Ok(Chunk::Next { checksum })
    }

    /// Figure 13, steps 2 to 4: "create new snapshot file if first chunk, write data into
    /// snapshot file at given offset, reply and wait for more data chunks".
    fn receive_chunk(
        &mut self,
        from: NodeId,
        request: InstallSnapshot,
        chunk: Chunk,
        actions: &mut Vec<Action>,
    ) {
        let (id, offset, data) = (request.snapshot.id, request.offset, request.data);
        let checksum = match chunk {
            Chunk::Untimely => return,
            Chunk::OutOfPlace { wanted } => {
                let outcome = SnapshotOutcome::Wants { offset: wanted };
                return self.reply_to_snapshot(from, id.last, outcome, actions);
            }
            Chunk::Next { checksum } => checksum,
        };
        if let Role::Follower(follower) = &mut self.role {
            follower.incoming = Some(Box::new(Incoming {
                snapshot: request.snapshot,
                received: offset,
                writing: Some(data.len() as u64),
                checksum,
            }));
            self.chunk_under_way = Some((id, offset));
            actions.push(Action::WriteSnapshot {
                snapshot: id,
                offset,
                data,
            });
        }
    }

    fn reply_to_snapshot(
        &self,
        to: NodeId,
        last: EntryId,
        outcome: SnapshotOutcome,
        actions: &mut Vec<Action>,
    ) {
        let message = Message::InstallSnapshotReply(InstallSnapshotReply {
            term: self.hard_state.term,
            last,
            outcome,
        });
        actions.push(Action::Send { to, message });
    }

    /// A follower answered this leader.
    pub(super) fn install_snapshot_reply(
        &mut self,
        from: NodeId,
        reply: InstallSnapshotReply,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let answer = match reply.outcome {
            SnapshotOutcome::Stale => Answer::StaleTerm,
            SnapshotOutcome::Wants { .. } | SnapshotOutcome::Installed => Answer::ToRequest,
        };
        if self.admit_reply(from, reply.term, answer, actions)? == Replied::Late {
            return Ok(());
        }
        // Whatever this leader sent as a snapshot in this term was committed. A stale answer is to
        // a request of an earlier term, perhaps from before a restart that forgot commitIndex.
        if answer == Answer::ToRequest && reply.last.index > self.commit_index {
            return Err(Rejection::MatchBeyondLog {
                acknowledged: reply.last.index,
                last: self.commit_index,
            });
        }
        self.heard_from(from);
        match reply.outcome {
            SnapshotOutcome::Wants { offset } => {
                self.chunk_wanted(from, reply.last, offset, actions);
            }
            SnapshotOutcome::Installed => {
                let last = reply.last.index;
                let current = self.leader_mut().and_then(|leader| leader.peer_mut(from));
                let newer = current.is_some_and(|peer| match &peer.flow {
                    Flow::Snapshot(transfer) => transfer.snapshot.id.last.index > last,
                    Flow::Probe(_) | Flow::Replicate(_) => true,
                });
                if newer {
                    self.acknowledged(from, last, actions);
                } else {
                    self.transfer_done(from, last, last, actions);
                }
            }
            SnapshotOutcome::Stale => {}
        }
        Ok(())
    }

    /// A late word of an older snapshot: matchIndex may rise, the flow stays.
    fn acknowledged(&mut self, from: NodeId, last: crate::Index, actions: &mut Vec<Action>) {
        if let Some(peer) = self.leader_mut().and_then(|leader| leader.peer_mut(from)) {
            peer.acknowledged(last);
        }
        self.advance_commit(actions);
        self.replicate_to(from, actions);
    }
}
