//! A bounded log in memory: the payloads of entries that are durable and applied may be dropped,
//! and are read from the driver's storage when a slow follower needs them. Terms stay, one
//! number a term, so that no rule of Raft needs the disk.

use crate::action::Action;
use crate::entries::Entries;
use crate::error::Refusal;
use crate::progress::{Flow, Peer, Probe};
use crate::raft::Raft;
use crate::replication::Sender;
use crate::types::{EntryId, NodeId};
use alloc::vec::Vec;

impl Raft {
    /// Drops payloads from memory past the configured size. What is applied was handed out, and
    /// so is durable and committed.
    pub(crate) fn drop_payloads(&mut self) {
        if let Some(limit) = self.config.max_resident_bytes {
            self.log.drop_payloads(self.applier.applied, limit);
        }
    }

    /// The driver has read entries for `peer`, or could not.
    pub(crate) fn entries_read(
        &mut self,
        peer: NodeId,
        from: EntryId,
        entries: Option<Entries>,
        actions: &mut Vec<Action>,
    ) {
        let Some((leader, sender)) = self.sender() else {
            return; // It leads no more.
        };
        let Some(peer) = leader.peer_mut(peer) else {
            return;
        };
        let Flow::Replicate(inflight) = &mut peer.flow else {
            return; // It is asked anew what it has.
        };
        if inflight.reading != Some(from) {
            return;
        }
        inflight.reading = None;
        match entries.filter(|entries| !entries.is_empty()) {
            _ if peer.next_index != from.index => sender.replicate(peer, actions),
            None => sender.send_snapshot_instead(peer, actions),
            Some(entries) if !sender.log.holds(from, &entries) => {
                let reason = Refusal::OtherEntries { from };
                actions.push(Action::Refused { reason });
                sender.send_snapshot_instead(peer, actions);
            }
            Some(entries) => {
                let (entries, bytes) = entries.prefix_within(sender.config.max_append_bytes);
                sender.append(peer, entries, bytes, actions);
                sender.replicate(peer, actions);
            }
        }
    }
}

impl Sender<'_> {
    /// Has the driver read the entries from nextIndex on.
    pub(crate) fn read_entries(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        let index = peer.next_index;
        let (Flow::Replicate(inflight), Some(term)) = (&mut peer.flow, self.log.term_at(index))
        else {
            return;
        };
        let from = EntryId { index, term };
        inflight.reading = Some(from);
        actions.push(Action::ReadEntries {
            peer: peer.id,
            from,
            to: self.log.resident_after(),
            max_bytes: self.config.max_append_bytes,
        });
    }

    /// The entries cannot be had: the snapshot stands for them, if there is one that does. If
    /// not, the follower is asked again with the next heartbeat.
    fn send_snapshot_instead(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        let covers = |last: EntryId| last.index >= peer.next_index;
        match self
            .snapshot
            .is_some_and(|snapshot| covers(snapshot.id.last))
        {
            true => self.begin_transfer(peer, actions),
            false => peer.flow = Flow::Probe(Probe::Asked),
        }
    }
}
