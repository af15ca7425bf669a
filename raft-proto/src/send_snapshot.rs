//! How a leader sends its snapshot to a follower that needs compacted entries (section 7), chunk
//! by chunk.
//!
//! The core holds one chunk, on its way from the driver's storage to a message. The follower's
//! answers name the next one that it wants (`snapshot_transfer.rs`).
//!
//! Storage decays. The leader computes the checksum of what it reads, and never sends the last
//! chunk of a snapshot that is not what its id says. All transfers of that snapshot end, the driver
//! is told ([`Action::SnapshotDamaged`]), and followers that need a snapshot wait for the next one.
//! A follower may also find damage that the leader did not: on the way, or at its own end. Its word
//! alone condemns no snapshot. Its transfer begins anew, later each time.

use crate::action::Action;
use crate::config::Config;
use crate::error::Refusal;
use crate::event::SnapshotReadFailed;
use crate::message::{InstallSnapshot, Message, SnapshotId, SnapshotMeta};
use crate::progress::{Flow, Hold, Peer, Probe};
use crate::raft::Raft;
use crate::replication::Replicator;
use crate::role::{Leader, Role};
use crate::snapshot_transfer::{OwnCopy, SnapshotTransfer};
use crate::types::{EntryId, Index, NodeId, Time};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;

impl Leader {
    /// The snapshot that may be sent: not one that was found damaged.
    pub(crate) fn sound_snapshot<'a>(
        &self,
        newest: Option<&'a SnapshotMeta>,
    ) -> Option<&'a SnapshotMeta> {
        newest.filter(|snapshot| self.damaged_snapshot.as_deref() != Some(&snapshot.id))
    }
}

impl Replicator<'_> {
    /// The entries that a follower needs next are compacted: it gets the snapshot instead.
    pub(crate) fn begin_transfer(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        self.begin_transfer_at(peer, self.now, actions);
    }

    /// The same, not before `not_before`.
    fn begin_transfer_at(&self, peer: &mut Peer, not_before: Time, actions: &mut Vec<Action>) {
        // A log whose beginning was dropped has a snapshot that stands for it, but it may be
        // damaged. Then heartbeats go on, and lead here again.
        let Some(snapshot) = self.snapshot else {
            peer.flow = Flow::Probe(Probe::Sent(None));
            return;
        };
        let chunk_bytes = peer.payload_limit(self.config.snapshot_chunk_bytes);
        let mut transfer = SnapshotTransfer::new(snapshot.clone(), chunk_bytes, self.now);
        transfer.not_before = not_before;
        let (after, until) = (snapshot.id.last.index, self.log.last().index);
        let behind = self.log.bytes_between(after, until);
        peer.hold = Some(Hold {
            after,
            until,
            appended_at: self.appended_bytes.saturating_sub(behind),
        });
        peer.flow = Flow::Snapshot(Box::new(transfer));
        self.read_chunk(peer, actions);
    }

    /// Has the driver read the next chunk, if one may be sent.
    fn read_chunk(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        if let Flow::Snapshot(transfer) = &mut peer.flow
            && let Some(read) = read_next(transfer, peer.id, self.now, self.config)
        {
            peer.timer.restart_heartbeat(self.now, self.config);
            actions.push(read);
        }
    }

    /// A heartbeat is due during a transfer: a chunk that could not be read is read again, and so
    /// is one that was lost, if the follower has answered since.
    pub(crate) fn continue_transfer(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        let Flow::Snapshot(transfer) = &mut peer.flow else {
            return;
        };
        let heard_since = match (peer.heard_at, transfer.sent_at()) {
            (Some(heard), Some(sent)) => heard > sent,
            (None, _) | (_, None) => false,
        };
        if heard_since && transfer.is_overdue(self.now, self.config) {
            transfer.go_back(self.now);
        }
        self.read_chunk(peer, actions);
    }
}

/// Asks the driver for the next chunk for `peer`, if one may be sent.
fn read_next(
    transfer: &mut SnapshotTransfer,
    peer: NodeId,
    now: Time,
    config: &Config,
) -> Option<Action> {
    let read = transfer.read_next(now, config)?;
    Some(Action::ReadSnapshot {
        peer,
        snapshot: transfer.snapshot.id,
        offset: read.offset,
        length: read.length,
    })
}

impl Raft {
    /// A chunk for `peer` has been read, or could not be.
    #[cold]
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
        if transfer.snapshot.id != id || !transfer.awaits(offset) {
            return;
        }
        let mut data = match result {
            Ok(data) => data,
            Err(SnapshotReadFailed::Failed) => return transfer.read_failed(),
            Err(SnapshotReadFailed::Gone) => {
                // Probe again: that leads to the newest snapshot, at the pace of heartbeats.
                peer.flow = Flow::Probe(Probe::Sent(None));
                return self.release_unused_snapshots();
            }
        };
        let rest = id.size - offset;
        let (wanted, found) = (transfer.chunk_bytes.min(rest), data.len() as u64);
        if found > rest || found == 0 && wanted > 0 {
            transfer.read_failed();
            let reason = Refusal::WrongLength { wanted, found };
            return actions.push(Action::Refused { reason });
        }
        // It may answer a read of an earlier transfer, whose chunks had another length. The bytes
        // are the same, and the peer takes no more of them than `wanted`.
        data.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
        if transfer.chunk_read(&data, now) == OwnCopy::Damaged {
            return self.snapshot_is_damaged(id, actions);
        }
        let message = Message::InstallSnapshot(Box::new(InstallSnapshot {
            term,
            snapshot: transfer.snapshot.clone(),
            offset,
            data,
        }));
        actions.push(Action::Send {
            to: peer.id,
            message,
        });
        let next = read_next(transfer, peer.id, now, &self.config);
        peer.timer.restart_heartbeat(now, &self.config);
        peer.timer.sent(now);
        actions.extend(next);
    }

    /// What this leader read of its snapshot is not what its id says: no transfer of it can end
    /// well. The next ones are of the newest snapshot, or of one that is yet to be made.
    fn snapshot_is_damaged(&mut self, id: SnapshotId, actions: &mut Vec<Action>) {
        let is_newest = self.snapshot.as_ref().is_some_and(|it| it.id == id);
        if let Role::Leader(leader) = &mut self.role {
            for peer in &mut leader.peers {
                if peer.transfer().is_some_and(|it| it.snapshot.id == id) {
                    peer.flow = Flow::Probe(Probe::Sent(None));
                }
            }
            if is_newest {
                leader.damaged_snapshot = Some(Box::new(id));
                actions.push(Action::SnapshotDamaged { snapshot: id });
            }
        }
        self.release_unused_snapshots();
    }

    /// The follower has received the whole snapshot that ends with `last`, and its checksum is
    /// wrong. This leader's own copy was found sound, or was not read as a whole. The transfer
    /// begins anew after a pause, with the newest snapshot, and reads all of it.
    pub(crate) fn snapshot_arrived_damaged(
        &mut self,
        from: NodeId,
        last: EntryId,
        actions: &mut Vec<Action>,
    ) {
        let Some((leader, replicator)) = self.prepare_to_send() else {
            return;
        };
        let Some(peer) = leader.peer_mut(from) else {
            return;
        };
        let sent =
            |transfer: &SnapshotTransfer| transfer.snapshot.id.last == last && transfer.is_sent();
        if !peer.transfer().is_some_and(sent) {
            return; // A late answer, or no answer to what was sent.
        }
        let doubled = 1 << peer.damaged_arrivals.min(6);
        let pause = replicator.config.election_timeout_max * doubled;
        peer.damaged_arrivals = peer.damaged_arrivals.saturating_add(1);
        replicator.begin_transfer_at(peer, replicator.now.after(pause), actions);
        self.release_unused_snapshots();
    }

    /// The follower wants the chunk at `wanted` of the snapshot that ends with `last`.
    pub(crate) fn chunk_wanted(
        &mut self,
        from: NodeId,
        last: EntryId,
        wanted: u64,
        actions: &mut Vec<Action>,
    ) {
        let now = self.now;
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let Some(peer) = leader.peer_mut(from) else {
            return;
        };
        let Flow::Snapshot(transfer) = &mut peer.flow else {
            return; // A late answer.
        };
        let id = transfer.snapshot.id;
        if id.last != last || wanted >= id.size {
            return;
        }
        let is_news = transfer.wanted(wanted, now, &self.config);
        let is_overtaken = transfer.is_overtaken();
        if is_overtaken {
            transfer.put_in_order(now);
        }
        if is_news || is_overtaken {
            actions.extend(read_next(transfer, from, now, &self.config));
        } else {
            self.resend_overdue_chunk(from, actions);
        }
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
            transfer.go_back(now);
            actions.extend(read_next(transfer, from, now, &self.config));
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
        let now = self.now;
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let Some(peer) = leader.peer_mut(from) else {
            return;
        };
        peer.raise_match_index(match_index, now, &self.config);
        if matches!(peer.flow, Flow::Snapshot(_)) {
            peer.damaged_arrivals = 0;
            peer.replicate_after(received, now, &self.config);
            self.release_unused_snapshots();
        }
        self.advance_commit(actions);
        self.replicate_to(from, actions);
    }

    /// A server that was added in this term says that it installed the snapshot that ends with
    /// `last`. The reply names no round: it may be of the server that had this number before
    /// (`Peer::precedes_peer`). So it proves nothing, and the leader asks.
    pub(crate) fn added_peer_installed(
        &mut self,
        from: NodeId,
        last: EntryId,
        actions: &mut Vec<Action>,
    ) {
        if let Some(peer) = self.peer_mut(from)
            && matches!(peer.flow, Flow::Snapshot(_))
        {
            peer.damaged_arrivals = 0;
            peer.probe_at(last);
            self.release_unused_snapshots();
        }
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
        let now = self.now;
        if let Role::Leader(leader) = &mut self.role
            && let Some(peer) = leader.peer_mut(from)
            && !peer.was_added()
        {
            peer.raise_match_index(last, now, &self.config);
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
