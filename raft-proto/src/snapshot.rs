//! Log compaction and snapshot transfer (section 7; thesis chapter 5).
//!
//! The core never holds a snapshot, only one chunk of it at a time on its way between the
//! driver's storage and a message. A transfer is known by its sender, its term and the
//! snapshot's id; another identity starts from the beginning.

use crate::action::{Action, Compaction, Install, InstalledLog};
use crate::checksum::Checksum;
use crate::error::Refusal;
use crate::event::{SnapshotReadFailed, SnapshotWriteFailed};
use crate::log::Log;
use crate::message::{
    InstallSnapshot, InstallSnapshotReply, Message, SnapshotId, SnapshotMeta, SnapshotOutcome,
};
use crate::outbox::Withheld;
use crate::progress::{Flow, Stage};
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{EntryId, Index, NodeId};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A snapshot that is being received.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Incoming {
    pub(crate) snapshot: SnapshotMeta,
    /// How much of it is in the partial file.
    pub(crate) received: u64,
    /// The length of the chunk that the driver is writing behind that.
    pub(crate) writing: Option<u64>,
    /// Over all chunks, the one being written included.
    pub(crate) checksum: Checksum,
}

impl Raft {
    /// The service has a durable snapshot: the log's beginning can go.
    pub(crate) fn compact(&mut self, id: SnapshotId, actions: &mut Vec<Action>) {
        let handed_out = self.applier.handed_out;
        if id.last.index > handed_out {
            let (index, last) = (id.last.index, handed_out);
            let reason = Refusal::NotHandedOut { index, last };
            return actions.push(Action::Refused { reason });
        }
        let current = self.snapshot.as_ref().map(|snapshot| snapshot.id);
        if current.is_some_and(|current| id.last.index <= current.last.index)
            || id.last.index == Index::ZERO
        {
            // Not newer than the one in use, or empty.
            if current != Some(id) {
                actions.push(Action::ReleaseSnapshot { snapshot: id });
            }
            return;
        }
        let index = id.last.index;
        if let Some(term) = self.log.term_at(index)
            && term != id.last.term
        {
            let found = EntryId { index, term };
            let claimed = id.last;
            let reason = Refusal::OtherEntry { claimed, found };
            return actions.push(Action::Refused { reason });
        }
        let membership = self.configurations.as_of(index).clone();
        if membership.is_empty() {
            let reason = Refusal::NoConfiguration;
            return actions.push(Action::Refused { reason });
        }
        self.configurations.drop_through(index);
        let snapshot = SnapshotMeta { id, membership };
        let tail = Index(index.0.saturating_sub(self.config.trailing_entries));
        let drop_through = tail.max(self.log.base().index);
        self.log.drop_through(drop_through);
        self.writes.stage_compact(Compaction {
            snapshot: snapshot.clone(),
            drop_through,
        });
        self.replace_snapshot(snapshot);
    }

    /// `snapshot` is from now on the one that a restart recovers; the one before is released
    /// when that is durable and no transfer reads it any more.
    fn replace_snapshot(&mut self, snapshot: SnapshotMeta) {
        let id = snapshot.id;
        if let Some(old) = self.snapshot.replace(snapshot)
            && old.id != id
        {
            self.retired.push(old.id);
        }
        self.release_unused();
    }

    pub(crate) fn release_unused(&mut self) {
        let transfers = match &self.role {
            Role::Leader(leader) => leader.peers.as_slice(),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => &[],
        };
        let outbox = &mut self.outbox;
        let seq = self.writes.latest();
        self.retired.retain(|id| {
            let mut sending = transfers.iter().filter_map(|peer| peer.transfer());
            let in_use = sending.any(|transfer| transfer.snapshot.id == *id);
            if !in_use {
                outbox.withhold(seq, Withheld::Release { snapshot: *id });
            }
            in_use
        });
    }

    /// The leader gives up its role, and its transfers with it.
    pub(crate) fn end_transfers(&mut self) {
        if let Role::Leader(leader) = &mut self.role {
            leader.peers.clear();
        }
        self.release_unused();
    }

    /// A chunk for `peer` has been read, or not.
    pub(crate) fn snapshot_read(
        &mut self,
        peer: NodeId,
        id: SnapshotId,
        offset: u64,
        result: Result<Bytes, SnapshotReadFailed>,
        actions: &mut Vec<Action>,
    ) {
        let (term, now, chunk) = (
            self.hard_state.term,
            self.now,
            self.config.snapshot_chunk_bytes,
        );
        let heartbeat_at = self.config.next_heartbeat(now);
        let Some(peer) = self.leader_mut().and_then(|leader| leader.peer_mut(peer)) else {
            return; // It leads no more.
        };
        let Flow::Snapshot(transfer) = &mut peer.flow else {
            return; // The transfer ended meanwhile.
        };
        let asked = transfer.stage == Stage::Reading && transfer.offset == offset;
        if !asked || transfer.snapshot.id != id {
            return;
        }
        let data = match result {
            Ok(data) => data,
            Err(SnapshotReadFailed::Failed) => {
                transfer.stage = Stage::Unread;
                return;
            }
            Err(SnapshotReadFailed::Gone) => {
                // Ask for agreement again: that leads to the newest snapshot, at the pace of
                // heartbeats.
                peer.flow = Flow::Probe(crate::progress::Probe::Asked);
                self.release_unused();
                return;
            }
        };
        let (wanted, found) = (chunk.min(id.size - offset), data.len() as u64);
        if wanted != found {
            transfer.stage = Stage::Unread;
            let reason = Refusal::WrongLength { wanted, found };
            return actions.push(Action::Refused { reason });
        }
        transfer.stage = Stage::Sent { at: now };
        peer.heartbeat_at = heartbeat_at;
        peer.sent_at = now;
        let message = Message::InstallSnapshot(Box::new(InstallSnapshot {
            term,
            snapshot: transfer.snapshot.clone(),
            offset,
            data,
        }));
        let to = peer.id;
        actions.push(Action::Send { to, message });
    }

    /// The follower wants the chunk at `wanted` of the snapshot that ends with `last`.
    pub(crate) fn chunk_wanted(
        &mut self,
        from: NodeId,
        last: EntryId,
        wanted: u64,
        actions: &mut Vec<Action>,
    ) {
        let chunk = self.config.snapshot_chunk_bytes;
        let Some(peer) = self.leader_mut().and_then(|leader| leader.peer_mut(from)) else {
            return;
        };
        let Flow::Snapshot(transfer) = &mut peer.flow else {
            return; // A late answer.
        };
        match transfer.stage {
            Stage::Sent { .. } => {}
            // It is read again because its answer took long, and here that is: go on.
            Stage::Reading if wanted > transfer.offset => {}
            Stage::Reading | Stage::Unread => return,
        }
        // At `offset` it has what came before the chunk on its way: an answer to the one before.
        // Any other offset is followed, also far ahead: an answer that came late has set the
        // transfer back, and only the follower knows how much it has.
        let id = transfer.snapshot.id;
        if id.last != last || wanted == transfer.offset || wanted >= id.size {
            return;
        }
        transfer.offset = wanted;
        transfer.stage = Stage::Reading;
        actions.push(transfer.read(from, chunk));
    }

    /// The follower holds all up to the snapshot's last entry: back to replication (section 7:
    /// "the leader continues with the entries that follow").
    pub(crate) fn transfer_done(
        &mut self,
        from: NodeId,
        match_index: Index,
        received: Index,
        actions: &mut Vec<Action>,
    ) {
        let Some(peer) = self.leader_mut().and_then(|leader| leader.peer_mut(from)) else {
            return;
        };
        peer.acknowledged(match_index);
        if matches!(peer.flow, Flow::Snapshot(_)) {
            peer.replicate_after(received);
            self.release_unused();
        }
        self.advance_commit(actions);
        self.replicate_to(from, actions);
    }

    /// A chunk has been written to the partial file, or not.
    pub(crate) fn snapshot_written(
        &mut self,
        id: SnapshotId,
        offset: u64,
        result: Result<(), SnapshotWriteFailed>,
        actions: &mut Vec<Action>,
    ) {
        let term = self.hard_state.term;
        if self.chunk_under_way != Some((id, offset)) {
            return; // Nobody asked for it.
        }
        self.chunk_under_way = None;
        let Role::Follower(follower) = &mut self.role else {
            return;
        };
        let (leader, incoming) = (follower.leader(), &mut follower.incoming);
        let (Some(from), Some(file)) = (leader, incoming.as_mut()) else {
            return;
        };
        let Some(length) = file.writing.filter(|_| file.received == offset) else {
            return;
        };
        if file.snapshot.id != id {
            return;
        }
        if let Err(SnapshotWriteFailed) = result {
            *incoming = None;
            return;
        }
        file.received += length;
        file.writing = None;
        if file.received < id.size {
            let message = Message::InstallSnapshotReply(InstallSnapshotReply {
                term,
                last: id.last,
                outcome: SnapshotOutcome::Wants {
                    offset: file.received,
                },
            });
            return actions.push(Action::Send { to: from, message });
        }
        // Complete. The checksum was compared when the last chunk came.
        if let Some(file) = incoming.take() {
            self.install(from, file.snapshot, actions);
        }
    }

    /// "If existing log entry has same index and term as snapshot's last included entry, retain
    /// log entries following it and reply. Discard the entire log. Reset state machine using
    /// snapshot contents" (Figure 13, steps 6 to 8). Restore and reply wait for the write.
    fn install(&mut self, from: NodeId, snapshot: SnapshotMeta, actions: &mut Vec<Action>) {
        let last = snapshot.id.last;
        // Meanwhile appends may have brought as much or more: never go back.
        if last.index > self.commit_index {
            let log = if self.log.contains(last) {
                self.log.drop_through(last.index);
                InstalledLog::KeepsTail
            } else {
                // What earlier writes put behind commitIndex is not the leader's log.
                self.writes.overwritten_after(self.commit_index);
                self.log = Log::new(last);
                InstalledLog::IsDropped
            };
            self.commit_index = last.index;
            let before = self.configurations.latest().clone();
            self.configurations
                .install(last.index, &snapshot.membership, log);
            if before.1 != *self.configurations.membership() {
                self.membership_changed(actions);
            }
            self.applier.restoring = Some(last.index);
            self.writes.stage_install(Install {
                snapshot: snapshot.clone(),
                log,
            });
            let seq = self.writes.latest();
            self.replace_snapshot(snapshot.clone());
            self.outbox.withhold(seq, Withheld::Restore { snapshot });
        }
        self.reply_installed(from, last);
    }

    /// All up to `last` is in this node's log, snapshot or state: say so once it is on disk.
    pub(crate) fn reply_installed(&mut self, to: NodeId, last: EntryId) {
        let message = Message::InstallSnapshotReply(InstallSnapshotReply {
            term: self.hard_state.term,
            last,
            outcome: SnapshotOutcome::Installed,
        });
        let seq = self.writes.latest();
        self.outbox.withhold(seq, Withheld::Send { to, message });
    }
}
