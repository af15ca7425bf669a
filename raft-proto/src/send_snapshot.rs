//! How a leader sends its snapshot to a follower that needs compacted entries (section 7), a chunk
//! at a time.
//!
//! The core holds one chunk, on its way from the driver's storage to a message. The follower's
//! answer to one chunk names the next one. A chunk that stays unanswered for a heartbeat interval
//! while the follower answers otherwise was lost, and is read and sent again.

use crate::action::Action;
use crate::error::Refusal;
use crate::event::SnapshotReadFailed;
use crate::message::{InstallSnapshot, Message, SnapshotId};
use crate::progress::{Flow, Peer, Probe, SnapshotTransfer, Stage};
use crate::raft::Raft;
use crate::replication::Replicator;
use crate::role::Role;
use crate::types::{EntryId, Index, NodeId};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;

impl Replicator<'_> {
    /// The entries that a follower needs next are compacted: it gets the snapshot instead.
    pub(crate) fn begin_transfer(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        // A log whose beginning was dropped has a snapshot that stands for it.
        let Some(snapshot) = self.snapshot else {
            return;
        };
        peer.flow = Flow::Snapshot(Box::new(SnapshotTransfer {
            snapshot: snapshot.clone(),
            offset: 0,
            chunk_bytes: peer.payload_limit(self.config.snapshot_chunk_bytes),
            stage: Stage::Unread,
        }));
        self.read_chunk(peer, actions);
    }

    /// Has the driver read the chunk at the transfer's offset.
    pub(crate) fn read_chunk(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        peer.timer.restart_heartbeat(self.now, self.config);
        if let Flow::Snapshot(transfer) = &mut peer.flow {
            actions.push(transfer.read(peer.id));
        }
    }
}

impl SnapshotTransfer {
    /// Asks the driver for the chunk at `offset`.
    fn read(&mut self, peer: NodeId) -> Action {
        self.stage = Stage::Reading;
        let id = self.snapshot.id;
        Action::ReadSnapshot {
            peer,
            snapshot: id,
            offset: self.offset,
            length: self.chunk_bytes.min(id.size.saturating_sub(self.offset)),
        }
    }
}

impl Raft {
    /// A chunk for `peer` has been read, or could not be.
    pub(crate) fn snapshot_read(
        &mut self,
        peer: NodeId,
        id: SnapshotId,
        offset: u64,
        result: Result<Bytes, SnapshotReadFailed>,
        actions: &mut Vec<Action>,
    ) {
        let (term, now) = (self.hard_state.term(), self.now);
        let Role::Leader(leader) = &mut self.role else {
            return; // It no longer leads.
        };
        let Some(peer) = leader.peer_mut(peer) else {
            return;
        };
        let Flow::Snapshot(transfer) = &mut peer.flow else {
            return; // The transfer ended meanwhile.
        };
        let wanted = transfer.stage == Stage::Reading && transfer.offset == offset;
        if !wanted || transfer.snapshot.id != id {
            return;
        }
        let data = match result {
            Ok(data) => data,
            Err(SnapshotReadFailed::Failed) => {
                transfer.stage = Stage::Unread;
                return;
            }
            Err(SnapshotReadFailed::Gone) => {
                // Probe again: that leads to the newest snapshot, at the pace of heartbeats.
                peer.flow = Flow::Probe(Probe::Sent);
                self.release_unused_snapshots();
                return;
            }
        };
        let (wanted, found) = (
            transfer.chunk_bytes.min(id.size - offset),
            data.len() as u64,
        );
        if wanted != found {
            transfer.stage = Stage::Unread;
            let reason = Refusal::WrongLength { wanted, found };
            return actions.push(Action::Refused { reason });
        }
        transfer.stage = Stage::Sent { at: now };
        let message = Message::InstallSnapshot(Box::new(InstallSnapshot {
            term,
            snapshot: transfer.snapshot.clone(),
            offset,
            data,
        }));
        peer.timer.restart_heartbeat(now, &self.config);
        peer.timer.sent(now);
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
        let Some(peer) = self.peer_mut(from) else {
            return;
        };
        let Flow::Snapshot(transfer) = &mut peer.flow else {
            return; // A late answer.
        };
        match transfer.stage {
            Stage::Sent { .. } => {}
            // It is read again because its answer was late, and this is that answer: go on.
            Stage::Reading if wanted > transfer.offset => {}
            Stage::Reading | Stage::Unread => return,
        }
        // If it wants `offset`, it wants the chunk that is on its way: this answers an earlier
        // chunk. Any other offset is followed, also one far ahead: a late answer has set the
        // transfer back, and only the follower knows how much it has.
        let id = transfer.snapshot.id;
        if id.last != last || wanted == transfer.offset || wanted >= id.size {
            return;
        }
        transfer.offset = wanted;
        actions.push(transfer.read(from));
    }

    /// The peer answers, but its chunk is overdue: it was lost, and is sent again.
    pub(crate) fn resend_overdue_chunk(&mut self, from: NodeId, actions: &mut Vec<Action>) {
        let now = self.now;
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        if let Some(peer) = leader.peer_mut(from)
            && let Flow::Snapshot(transfer) = &mut peer.flow
            && transfer.is_overdue(now, &self.config)
        {
            actions.push(transfer.read(from));
        }
    }

    /// The follower holds everything up to the snapshot's last entry: back to replication (section
    /// 7: "the leader continues with the entries that follow").
    pub(crate) fn transfer_done(
        &mut self,
        from: NodeId,
        match_index: Index,
        received: Index,
        actions: &mut Vec<Action>,
    ) {
        let Some(peer) = self.peer_mut(from) else {
            return;
        };
        peer.raise_match_index(match_index);
        if matches!(peer.flow, Flow::Snapshot(_)) {
            peer.replicate_after(received);
            self.release_unused_snapshots();
        }
        self.advance_commit(actions);
        self.replicate_to(from, actions);
    }

    /// A late answer about a snapshot older than the one that is being sent: matchIndex may rise,
    /// the flow stays.
    pub(crate) fn older_snapshot_installed(
        &mut self,
        from: NodeId,
        last: Index,
        actions: &mut Vec<Action>,
    ) {
        if let Some(peer) = self.peer_mut(from) {
            peer.raise_match_index(last);
        }
        self.advance_commit(actions);
        self.replicate_to(from, actions);
    }

    /// The leader gives up its role, and its transfers with it.
    pub(crate) fn end_snapshot_transfers(&mut self) {
        if let Some(leader) = self.leader_mut() {
            leader.peers.clear();
        }
        self.release_unused_snapshots();
    }
}
