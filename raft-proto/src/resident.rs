//! A bounded log in memory: the payloads of entries that are durable and applied may be dropped.
//! The driver reads them from its storage when a slow follower needs them. The last index of each
//! term stays in memory, so that no rule of Raft needs the disk.

use crate::action::Action;
use crate::entries::Entries;
use crate::error::Refusal;
use crate::progress::{Flow, Peer, Probe};
use crate::raft::Raft;
use crate::replication::Replicator;
use crate::types::{EntryId, Index, NodeId};
use alloc::vec::Vec;

impl Raft {
    /// Drops payloads from memory past the configured size. Applied entries were handed out, and so
    /// are durable and committed.
    pub(crate) fn drop_payloads(&mut self) {
        if let Some(limit) = self.config.max_resident_bytes {
            self.log.drop_payloads(self.applier.applied(), limit);
        }
    }

    /// The driver has read entries for `peer`, or could not.
    #[cold]
    pub(crate) fn entries_read(
        &mut self,
        peer: NodeId,
        from: EntryId,
        entries: Option<Entries>,
        actions: &mut Vec<Action>,
    ) {
        let Some((leader, replicator)) = self.prepare_to_send() else {
            return; // It no longer leads.
        };
        let Some(peer) = leader.peer_mut(peer) else {
            return;
        };
        let Flow::Replicate(inflight) = &mut peer.flow else {
            return; // The leader asks it anew what it has.
        };
        if inflight.reading != Some(from) {
            return;
        }
        inflight.reading = None;
        match entries.filter(|entries| !entries.is_empty()) {
            _ if peer.next_index != from.index => replicator.replicate(peer, actions),
            None => replicator.send_snapshot_instead(peer, actions),
            Some(entries) if !replicator.log.matches(from, &entries) => {
                let reason = Refusal::OtherEntries { from };
                actions.push(Action::Refused { reason });
                replicator.send_snapshot_instead(peer, actions);
            }
            Some(entries) => {
                let (entries, bytes) = entries.prefix_within(replicator.append_bytes(peer));
                replicator.append(peer, entries, bytes, actions);
                replicator.replicate(peer, actions);
            }
        }
    }
}

impl Replicator<'_> {
    /// Has the driver read the entries from nextIndex on.
    pub(crate) fn read_entries(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        let (index, max_bytes) = (peer.next_index, self.append_bytes(peer));
        let last = peer.last_to_send(self.log.resident_after().index);
        let (Flow::Replicate(inflight), Some(term)) = (&mut peer.flow, self.log.term_at(index))
        else {
            return;
        };
        if inflight.reading.is_some() {
            return; // The driver answers one read after the other.
        }
        let from = EntryId { index, term };
        inflight.reading = Some(from);
        let mut to = self.log.resident_after();
        if last < to.index {
            let term = self.log.term_at(last).unwrap_or(term);
            to = EntryId { index: last, term };
        }
        actions.push(Action::ReadEntries {
            peer: peer.id,
            from,
            to,
            max_bytes,
        });
    }

    /// The entries cannot be read. The snapshot stands for them, if it covers them. If not, the
    /// next heartbeat asks the follower again.
    fn send_snapshot_instead(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        let covered = self.snapshot.map_or(Index::ZERO, |it| it.id.last.index);
        if covered >= peer.next_index {
            self.begin_transfer(peer, actions);
        } else {
            peer.flow = Flow::Probe(Probe::Sent(None));
        }
    }
}
