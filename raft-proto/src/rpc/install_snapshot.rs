//! InstallSnapshot RPC (Figure 13; section 7).
//!
//! A transfer is known by its sender, its term and the snapshot's id; another identity starts from
//! the beginning. The driver writes each chunk before this node answers it, so the receiver's eight
//! steps come in two inputs: steps 1 to 3 when a chunk arrives, steps 4 to 8 when it is written.
//! Chunks are taken in order, and the next one may come before the one before it is written.

use super::{Answer, Replied};
use crate::action::{Action, Install, InstalledLog};
use crate::checksum::Checksum;
use crate::error::Rejection;
use crate::event::SnapshotWriteFailed;
use crate::log::Log;
use crate::message::{
    InstallSnapshot, InstallSnapshotReply, Message, SnapshotId, SnapshotMeta, SnapshotOutcome,
};
use crate::outbox::Withheld;
use crate::progress::Flow;
use crate::raft::{ChunkWrite, Raft};
use crate::role::{IncomingSnapshot, Role};
use crate::types::{EntryId, NodeId};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What is to become of a chunk.
enum Chunk {
    /// It cannot be taken now.
    Untimely,
    /// It is not the one that the file lacks next.
    OutOfPlace { wanted: u64 },
    /// It is the next one; with it, the file has this checksum.
    Next { checksum: Checksum },
}

impl Raft {
    /// Receiver implementation, steps 1 to 3.
    pub(super) fn install_snapshot(
        &mut self,
        from: NodeId,
        request: &mut InstallSnapshot,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let (last, term) = (request.snapshot.id.last, request.term);
        // 1. "Reply immediately if term < currentTerm."
        if term < self.hard_state.term() {
            self.reply_to_snapshot(from, last, SnapshotOutcome::Stale, actions);
            return Ok(());
        }
        self.admit_leader(from, term)?;
        let commit_index = self.commit_index();
        if last.index <= commit_index {
            let known = self.log.term_at(last.index);
            if known.is_some_and(|term| term != last.term) {
                self.peer_faults.stop_following(from, term);
                return Err(Rejection::ConflictBelowCommit {
                    entry: last,
                    commit_index,
                });
            }
            // Everything in it is here. To install it would go back.
            self.follow(from, term, actions);
            self.discard_incoming();
            self.reply_installed(from, last);
            return Ok(());
        }
        let chunk = match self.examine_chunk(from, request) {
            Ok(chunk) => chunk,
            Err(rejection) => {
                // A transfer of the leader's begins anew. The leader learns why.
                if self.leader() == Some(from) && term == self.hard_state.term() {
                    self.discard_incoming();
                    self.reply_to_snapshot(from, last, SnapshotOutcome::Damaged, actions);
                }
                return Err(rejection);
            }
        };
        if let Err(fault) = self.check_level_of(&request.snapshot.membership) {
            self.end_in_fault(fault, actions);
            return Ok(());
        }
        self.follow(from, term, actions);
        self.receive_chunk(from, request, chunk, actions);
        Ok(())
    }

    fn discard_incoming(&mut self) {
        if let Role::Follower(follower) = &mut self.role {
            follower.incoming = None;
        }
    }

    /// Compares a chunk with the file that it belongs to. If it completes the file, compares the
    /// bytes with the sender's checksum.
    fn examine_chunk(&self, from: NodeId, request: &InstallSnapshot) -> Result<Chunk, Rejection> {
        // An earlier snapshot is not installed yet, or the service still restores it: to install
        // another one would replace its stored bytes. The leader sends chunks that come meanwhile
        // again, and stays in contact by them.
        if self.applier.is_restoring() {
            return Ok(Chunk::Untimely);
        }
        let (id, offset) = (request.snapshot.id, request.offset);
        let file = match &self.role {
            Role::Follower(follower)
                if request.term == self.hard_state.term() && follower.leader() == Some(from) =>
            {
                let incoming = follower.incoming.as_deref();
                incoming.filter(|file| file.snapshot == request.snapshot)
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => {
                None
            }
        };
        let (wanted, written, mut checksum) = match file {
            Some(file) => (file.accepted, file.received, file.checksum),
            None => (0, 0, Checksum::new()),
        };
        // The driver has yet to answer for chunks of another file, for the last one of this file,
        // or for as much as may wait.
        let waiting = !self.chunk_writes.is_empty();
        let full = wanted == id.size || wanted - written >= self.config.max_inflight_bytes;
        if waiting && (file.is_none() || full) {
            return Ok(Chunk::Untimely);
        }
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

    fn receive_chunk(
        &mut self,
        from: NodeId,
        request: &mut InstallSnapshot,
        chunk: Chunk,
        actions: &mut Vec<Action>,
    ) {
        let (id, offset) = (request.snapshot.id, request.offset);
        let checksum = match chunk {
            Chunk::Untimely => return,
            Chunk::OutOfPlace { wanted } => {
                let outcome = SnapshotOutcome::Wants { offset: wanted };
                return self.reply_to_snapshot(from, id.last, outcome, actions);
            }
            Chunk::Next { checksum } => checksum,
        };
        if let Role::Follower(follower) = &mut self.role {
            // 2. "Create new snapshot file if first chunk (offset is 0)."
            let received = match follower.incoming.as_deref() {
                Some(file) if offset > 0 => file.received,
                Some(_) | None => 0,
            };
            let data = core::mem::take(&mut request.data);
            follower.incoming = Some(Box::new(IncomingSnapshot {
                snapshot: request.snapshot.clone(),
                received,
                accepted: offset + data.len() as u64,
                checksum,
            }));
            self.chunk_writes.push_back(ChunkWrite {
                snapshot: id,
                offset,
            });
            // 3. "Write data into snapshot file at given offset."
            actions.push(Action::WriteSnapshot {
                snapshot: id,
                offset,
                data,
            });
        }
    }

    /// A chunk has been written to the partial file, or could not be: steps 4 to 8.
    #[cold]
    pub(crate) fn snapshot_written(
        &mut self,
        id: SnapshotId,
        offset: u64,
        result: Result<(), SnapshotWriteFailed>,
        actions: &mut Vec<Action>,
    ) {
        let write = ChunkWrite {
            snapshot: id,
            offset,
        };
        let Some(at) = self.chunk_writes.iter().position(|it| *it == write) else {
            return; // It was not asked for.
        };
        self.chunk_writes.remove(at);
        let oldest = self.chunk_writes.front().map(|oldest| oldest.offset);
        let Role::Follower(follower) = &mut self.role else {
            return;
        };
        let (leader, incoming) = (follower.leader(), &mut follower.incoming);
        let (Some(from), Some(file)) = (leader, incoming.as_mut()) else {
            return;
        };
        if file.snapshot.id != id || offset < file.received {
            return;
        }
        if let Err(SnapshotWriteFailed) = result {
            *incoming = None;
            return;
        }
        // All chunks before the oldest that is still being written are in the file.
        let written = oldest.unwrap_or(file.accepted);
        if written == file.received && id.size > 0 {
            return; // An earlier one is not.
        }
        file.received = written;
        // 4. "Reply and wait for more data chunks if done is false."
        if file.received < id.size {
            let outcome = SnapshotOutcome::Wants {
                offset: file.received,
            };
            return self.reply_to_snapshot(from, id.last, outcome, actions);
        }
        // The checksum was compared when the last chunk came.
        if let Some(file) = incoming.take() {
            self.install(from, file.snapshot, actions);
        }
    }

    /// The file is complete: steps 5 to 8. Step 8 and the reply wait for the write.
    fn install(&mut self, from: NodeId, snapshot: SnapshotMeta, actions: &mut Vec<Action>) {
        let last = snapshot.id.last;
        // Meanwhile appends may have brought as much or more: never go back.
        if last.index > self.commit_index() {
            let log = if self.log.contains(last) {
                InstalledLog::KeepsTail
            } else {
                InstalledLog::IsDropped
            };
            // 5. "Save snapshot file, discard any existing or partial snapshot with a smaller
            //    index." This step's write does both.
            self.writes.stage_install(Install {
                snapshot: snapshot.clone(),
                log,
            });
            let seq = self.writes.latest();
            self.replace_snapshot(snapshot.clone());
            match log {
                // 6. "If existing log entry has same index and term as snapshot's last included
                //    entry, retain log entries following it and reply."
                InstalledLog::KeepsTail => self.log.drop_through(last.index),
                // 7. "Discard the entire log." What earlier writes hold above commitIndex is not
                //    the leader's log, and proves nothing any more.
                InstalledLog::IsDropped => {
                    self.writes.overwritten_after(self.commit_index());
                    self.log = Log::new(last);
                }
            }
            self.end_impairment();
            self.commit_index.raise_to(last.index);
            let before = self.configurations.membership().clone();
            self.configurations
                .install(last.index, &snapshot.membership, log);
            if before != *self.configurations.membership() {
                self.membership_changed(actions);
            }
            // 8. "Reset state machine using snapshot contents (and load snapshot's cluster
            //    configuration)."
            self.applier.begin_restore(last.index);
            self.outbox.withhold(seq, Withheld::Restore { snapshot });
        }
        self.reply_installed(from, last);
    }

    /// Everything up to `last` is in this node's log, snapshot or state: says so once it is on
    /// disk.
    fn reply_installed(&mut self, to: NodeId, last: EntryId) {
        let message = self.snapshot_reply(last, SnapshotOutcome::Installed);
        let seq = self.writes.latest();
        self.outbox.withhold(seq, Withheld::Send { to, message });
    }

    fn reply_to_snapshot(
        &self,
        to: NodeId,
        last: EntryId,
        outcome: SnapshotOutcome,
        actions: &mut Vec<Action>,
    ) {
        let message = self.snapshot_reply(last, outcome);
        actions.push(Action::Send { to, message });
    }

    fn snapshot_reply(&self, last: EntryId, outcome: SnapshotOutcome) -> Message {
        Message::InstallSnapshotReply(InstallSnapshotReply {
            term: self.hard_state.term(),
            last,
            outcome,
        })
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
            SnapshotOutcome::Wants { .. }
            | SnapshotOutcome::Installed
            | SnapshotOutcome::Damaged => Answer::ToRequest,
        };
        if self.admit_reply(from, reply.term, answer, actions)? == Replied::Late {
            return Ok(());
        }
        let last = reply.last.index;
        // Every snapshot that this leader sent in this term was committed. A stale answer is to a
        // request of an earlier term, perhaps from before a restart that forgot commitIndex.
        if answer == Answer::ToRequest && last > self.commit_index() {
            return Err(Rejection::MatchBeyondLog {
                acknowledged: last,
                last: self.commit_index(),
            });
        }
        self.heard_from(from);
        match reply.outcome {
            SnapshotOutcome::Wants { offset } => {
                self.chunk_wanted(from, reply.last, offset, actions);
            }
            SnapshotOutcome::Installed => {
                let newer = self.peer_mut(from).is_some_and(|peer| match &peer.flow {
                    Flow::Snapshot(transfer) => transfer.snapshot.id.last.index > last,
                    Flow::Probe(_) | Flow::Replicate(_) => true,
                });
                let was_added = self.peer_mut(from).is_some_and(|peer| peer.was_added());
                if newer {
                    self.older_snapshot_installed(from, last, actions);
                } else if was_added {
                    self.added_peer_installed(from, reply.last, actions);
                } else {
                    self.transfer_done(from, last, last, actions);
                }
            }
            SnapshotOutcome::Damaged => {
                self.snapshot_arrived_damaged(from, reply.last, actions);
            }
            SnapshotOutcome::Stale => {}
        }
        Ok(())
    }
}
