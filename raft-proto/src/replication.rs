//! What a leader sends to a follower (section 5.3; thesis 10.2.1): entries, a probe, a heartbeat,
//! or a snapshot.
//!
//! Entries are sent once, without waiting for answers, as far as the window allows. The next
//! heartbeat finds what was lost: it asks whether the follower holds the entry before nextIndex. If
//! the follower does, the window reopens as its disk catches up. If it does not, its hint says
//! where to begin again, with one message until that is accepted (`window.rs`). No failure signal
//! is needed, and entries are sent again only where a follower said that it lacks them.
//!
//! Networks reorder. That a follower lacked an entry when a message reached it says nothing of the
//! appends that the message overtook. So an append is taken as lost only if it is also older than
//! `append_timeout`, or a heartbeat interval. While appends are sent again and again without
//! progress, that time doubles: then the network is slower than the leader expects.

use crate::action::Action;
use crate::command_limit::TooLarge;
use crate::config::Config;
use crate::entries::Entries;
use crate::log::Log;
use crate::message::{AppendEntries, Lineage, Message, SnapshotMeta};
use crate::peer_timer::Due;
use crate::progress::{Append, Denial, Flow, Peer, Probe};
use crate::raft::Raft;
use crate::role::{Leader, Role};
use crate::types::{EntryId, Index, NodeId, Term, Time};
use alloc::vec::Vec;

/// The state from which a leader makes its messages. Sending changes only the peer.
pub(crate) struct Replicator<'a> {
    pub(crate) config: &'a Config,
    pub(crate) log: &'a Log,
    pub(crate) snapshot: Option<&'a SnapshotMeta>,
    pub(crate) now: Time,
    term: Term,
    commit_index: Index,
    term_start: Index,
    /// How many bytes this leader has appended to its log.
    pub(crate) appended_bytes: u64,
    /// The latest round (`read_index.rs`).
    round: u64,
    /// The latest transfer that was given up (`transfer.rs`).
    revoked: u64,
    /// What it asks voters to promise (`lease.rs`).
    promise_millis: u32,
    /// Where this leader's log comes from.
    lineage: Lineage,
}

impl Raft {
    /// The leader, and the state from which it makes messages; `None` in other roles. Begins a
    /// round if the lease needs one, which the messages then carry.
    pub(crate) fn prepare_to_send(&mut self) -> Option<(&mut Leader, Replicator<'_>)> {
        let Role::Leader(leader) = &mut self.role else {
            return None;
        };
        leader.reads.renew_lease(self.now, &self.config);
        let replicator = Replicator {
            config: &self.config,
            log: &self.log,
            snapshot: leader.sound_snapshot(self.snapshot.as_ref()),
            now: self.now,
            term: self.hard_state.term(),
            commit_index: self.commit_index.get(),
            term_start: leader.term_start,
            appended_bytes: leader.appended_bytes,
            round: leader.reads.round,
            revoked: leader.transfers_revoked,
            promise_millis: self.config.promise_millis(),
            lineage: self.configurations.membership().lineage(),
        };
        Some((leader, replicator))
    }

    /// Sends each follower what may be sent to it now.
    pub(crate) fn replicate_to_all(&mut self, actions: &mut Vec<Action>) {
        if let Some((leader, replicator)) = self.prepare_to_send() {
            for peer in &mut leader.peers {
                replicator.replicate(peer, actions);
            }
        }
    }

    /// Sends one follower what may be sent to it now.
    pub(crate) fn replicate_to(&mut self, id: NodeId, actions: &mut Vec<Action>) {
        if let Some((leader, replicator)) = self.prepare_to_send()
            && let Some(peer) = leader.peer_mut(id)
        {
            replicator.replicate(peer, actions);
        }
    }

    /// Sends each follower what is due by now (`peer_timer.rs`).
    pub(crate) fn send_due(&mut self, actions: &mut Vec<Action>) {
        if let Some((leader, replicator)) = self.prepare_to_send() {
            for peer in &mut leader.peers {
                replicator.tick(peer, actions);
            }
        }
    }

    /// Sends a round (`read_index.rs`) to the voters. It asks about an entry that they are known to
    /// have, so that none rejects it, whatever is on its way to them.
    pub(crate) fn send_round(&mut self, actions: &mut Vec<Action>) {
        let own = self.config.node_id;
        let voters: Vec<NodeId> = self.configurations.membership().voters().collect();
        let Some((leader, replicator)) = self.prepare_to_send() else {
            return;
        };
        for id in voters.into_iter().filter(|id| *id != own) {
            if let Some(peer) = leader.peer_mut(id) {
                match replicator.log.term_at(peer.match_index) {
                    Some(_) => {
                        replicator.send_append(peer, peer.match_index, Entries::EMPTY, actions)
                    }
                    None => replicator.heartbeat(peer, actions),
                }
            }
        }
    }

    /// A follower does not hold the entry at `prev_log_index`: "the leader decrements nextIndex and
    /// retries", here by whole terms (end of section 5.3).
    pub(crate) fn back_up(
        &mut self,
        id: NodeId,
        prev_log_index: Index,
        hint: EntryId,
        actions: &mut Vec<Action>,
    ) {
        let is_member = self.configurations.membership().get(id).is_some();
        let Some((leader, replicator)) = self.prepare_to_send() else {
            return;
        };
        let Some(peer) = leader.peer_mut(id) else {
            return;
        };
        let match_index = peer.match_index;
        if prev_log_index == match_index && match_index > Index::ZERO {
            // A server that a change removes may be given another disk: nothing relies on it.
            if is_member {
                replicator.denied(peer, hint, actions);
            }
            return;
        }
        if prev_log_index < match_index {
            return; // An old rejection: the follower has acknowledged more since.
        }
        // It answers the probe, or a heartbeat that asked for the probe's entries.
        let current = [peer.next_index.previous(), peer.last_sent()].contains(&prev_log_index);
        match &peer.flow {
            Flow::Probe(_) if current => replicator.resume_from(peer, hint, actions),
            Flow::Probe(_) | Flow::Snapshot(_) => {}
            Flow::Replicate(_) => replicator.find_lost(peer, prev_log_index, hint, actions),
        }
    }

    /// The driver knows that the messages on their way to `peer` are lost: the next heartbeat asks
    /// again which entries it has.
    #[cold]
    pub(crate) fn unreachable(&mut self, peer: NodeId) {
        self.leader_unreachable(peer);
        let now = self.now;
        let Some(peer) = self.peer_mut(peer) else {
            return;
        };
        match &mut peer.flow {
            Flow::Probe(probe) => {
                if let Probe::Sent(entries) = probe {
                    *entries = None;
                }
                peer.window.unreachable(now);
            }
            Flow::Replicate(inflight) => {
                // Before the first append that is lost, the logs were found to agree: there the
                // follower is asked. It may have more than matchIndex says, which counts its disk.
                if let Some(prev) = inflight.first_prev() {
                    peer.next_index = prev.max(peer.match_index).next();
                }
                peer.flow = Flow::Probe(Probe::Sent(None));
                peer.window.unreachable(now);
            }
            Flow::Snapshot(transfer) => transfer.forget_sent(now),
        }
    }
}

impl Replicator<'_> {
    pub(crate) fn replicate(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        loop {
            match &peer.flow {
                Flow::Snapshot(_) | Flow::Probe(Probe::Sent(_)) => return,
                Flow::Probe(Probe::Ready) => {
                    return match self.log.term_at(peer.next_index.previous()) {
                        Some(_) => self.probe(peer, actions),
                        None => self.begin_transfer(peer, actions),
                    };
                }
                Flow::Replicate(inflight) => {
                    if peer.next_index > peer.last_to_send(self.log.last().index)
                        && peer.next_index.previous() >= self.log.base().index
                    {
                        // The answers to appends on their way lead back here.
                        if inflight.is_empty() {
                            self.notice_commit(peer, actions);
                        }
                        return;
                    }
                    if !inflight.has_room(&peer.window, self.config) {
                        return;
                    }
                    self.append_next(peer, actions);
                }
            }
        }
    }

    /// Sends the entries from nextIndex on, without waiting for an answer; or has them read, or
    /// sends a snapshot that stands for them.
    fn append_next(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        let prev = peer.next_index.previous();
        if prev < self.log.base().index {
            return self.begin_transfer(peer, actions);
        }
        if prev < self.log.resident_after().index {
            return self.read_entries(peer, actions);
        }
        let last = peer.last_to_send(self.log.last().index);
        let limit = self.append_bytes(peer);
        let (entries, bytes) = self.log.slice(peer.next_index, last, limit);
        self.append(peer, entries, bytes, actions);
    }

    /// The most bytes of one append. An entry that is longer is sent alone.
    pub(crate) fn append_bytes(&self, peer: &Peer) -> u64 {
        let taken = peer.payload_limit(self.config.max_append_bytes);
        taken.min(peer.window.message_bytes())
    }

    /// A follower to which entries are sent lacked the entry at `prev` when a request came. What
    /// was sent before the request is lost, or on a network that reorders, overtaken.
    fn find_lost(&self, peer: &mut Peer, prev: Index, hint: EntryId, actions: &mut Vec<Action>) {
        let Flow::Replicate(inflight) = &peer.flow else {
            return;
        };
        let Some(append) = inflight.first_beyond(hint.index) else {
            // No append is on its way that could bring the entry. If nothing was sent since, the
            // follower has lost what it had received.
            if prev == peer.next_index.previous() {
                self.resume_from(peer, hint, actions);
            }
            return;
        };
        let lost_at = peer.lost_at(append.sent_at, self.config);
        if lost_at > self.now {
            // Overtaken, or lost: a heartbeat asks again as soon as that can be told.
            peer.timer.heartbeat_by(lost_at);
            // The append behind it was rejected, and will be sent again after it.
            if append.prev < prev && inflight.has_append_after(prev) {
                peer.wait_for_earlier(prev);
            }
            return;
        }
        // Log Matching: if this log holds the entry of the hint, the logs agree up to it.
        if append.prev > hint.index || !self.log.contains(hint) {
            return self.resume_from(peer, hint, actions);
        }
        // Appends before this one have arrived, and wait for the follower's disk.
        peer.forget_lost(append.prev, hint.index, self.now);
        self.append_next(peer, actions);
    }

    /// Sends `entries`, which begin at nextIndex.
    #[inline]
    pub(crate) fn append(
        &self,
        peer: &mut Peer,
        entries: Entries,
        bytes: u64,
        actions: &mut Vec<Action>,
    ) {
        let prev = peer.next_index.previous();
        let limit = peer.payload_limit(u64::MAX);
        if bytes > limit && entries.len() == 1 {
            // The transport of the peer would drop the message in silence. The entry goes once the
            // peer says that it takes messages of that length.
            let entry = TooLarge {
                index: peer.next_index,
                size: bytes,
            };
            return self.hold_back(peer, entry, limit, actions);
        }
        let (Flow::Replicate(inflight), Some(sent)) = (&mut peer.flow, entries.last_id()) else {
            return;
        };
        if inflight.is_empty() {
            peer.timer.await_reply(self.now, self.config);
        }
        inflight.push(Append {
            prev,
            last: sent.index,
            bytes,
            sent_at: self.now,
        });
        peer.next_index = sent.index.next();
        self.send_append(peer, prev, entries, actions);
    }

    /// Asks whether the logs agree before nextIndex. The probe carries entries only if they are of
    /// this term, so that the follower cannot have them, or if the follower is known to agree.
    fn probe(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        let prev = peer.next_index.previous();
        let useful = peer.next_index >= self.term_start || prev == peer.match_index;
        let resident = prev >= self.log.resident_after().index;
        let (entries, bytes) = if useful && resident {
            let last = peer.last_to_send(self.log.last().index);
            let limit = self.append_bytes(peer);
            let (entries, bytes) = self.log.slice(peer.next_index, last, limit);
            // One entry alone may be longer than the peer takes, as far as it has said. One that is
            // longer than the window is sent when the peer has answered.
            let most = peer.payload_limit(peer.window.message_bytes());
            if bytes <= most {
                (entries, bytes)
            } else {
                (Entries::EMPTY, 0)
            }
        } else {
            (Entries::EMPTY, 0)
        };
        peer.flow = Flow::Probe(Probe::Sent(entries.last_id().map(|sent| Append {
            prev,
            last: sent.index,
            bytes,
            sent_at: self.now,
        })));
        peer.timer.await_reply(self.now, self.config);
        self.send_append(peer, prev, entries, actions);
    }

    /// Sends a new commitIndex to a follower that has answered everything: at once, or after
    /// `commit_notice_delay` if no append carries it before.
    fn notice_commit(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        // A peer that is held back (`limits.rs`) hears of no more than it has.
        let known = self.commit_index.min(peer.next_index.previous());
        if peer.commit_sent >= known || peer.timer.has_commit_notice() {
            return;
        }
        let delay = self.config.commit_notice_delay;
        if delay.is_zero() {
            return self.empty_append(peer, actions);
        }
        peer.timer.start_commit_notice(self.now, delay);
    }

    fn tick(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        match peer.timer.take_due(self.now) {
            Due::Heartbeat => self.heartbeat(peer, actions),
            Due::CommitNotice if peer.commit_sent < self.commit_index => {
                self.empty_append(peer, actions);
            }
            Due::CommitNotice | Due::Nothing => {}
        }
    }

    fn heartbeat(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        self.sign_of_life(peer, actions);
        let compacted = self.log.term_at(peer.next_index.previous()).is_none();
        match &peer.flow {
            Flow::Snapshot(_) => self.continue_transfer(peer, actions),
            Flow::Probe(_) | Flow::Replicate(_) if compacted => self.begin_transfer(peer, actions),
            // A probe that was not answered is sent again, now without entries.
            Flow::Probe(Probe::Ready) => peer.flow = Flow::Probe(Probe::Sent(None)),
            Flow::Probe(Probe::Sent(_)) | Flow::Replicate(_) => {}
        }
        // Reading a chunk may take long, or fail: the follower hears its leader all the same.
        self.empty_append(peer, actions);
    }

    /// Sends AppendEntries without entries: it asks whether everything that was sent has arrived.
    /// During a snapshot transfer it asks whether the snapshot has been installed.
    fn empty_append(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        peer.timer.restart_heartbeat(self.now, self.config);
        let prev = match &peer.flow {
            Flow::Snapshot(transfer) => transfer.snapshot.id.last.index,
            // Without a sound snapshot, a follower that needs one still hears its leader.
            Flow::Probe(_) | Flow::Replicate(_) => peer.last_sent().max(self.log.base().index),
        };
        self.send_append(peer, prev, Entries::EMPTY, actions);
    }

    /// The term of the entry at `index`. Those from `term_start` on are this leader's own, and need
    /// no search.
    fn term_at(&self, index: Index) -> Option<Term> {
        let held = self.log.base().index < index && index <= self.log.last().index;
        if held && index >= self.term_start {
            return Some(self.term);
        }
        self.log.term_at(index)
    }

    #[inline]
    pub(crate) fn send_append(
        &self,
        peer: &mut Peer,
        prev: Index,
        entries: Entries,
        actions: &mut Vec<Action>,
    ) {
        let prev_term = match (&peer.flow, self.term_at(prev)) {
            (_, Some(term)) => Some(term),
            (Flow::Snapshot(transfer), None) => Some(transfer.snapshot.id.last.term),
            (Flow::Probe(_) | Flow::Replicate(_), None) => None,
        };
        // Every caller has checked it: a follower that needs compacted entries gets the snapshot.
        let Some(prev_term) = prev_term else {
            return;
        };
        peer.timer.sent(self.now);
        let last = entries.last_id().map_or(prev, |id| id.index);
        if !matches!(peer.flow, Flow::Snapshot(_)) {
            peer.commit_sent = peer.commit_sent.max(self.commit_index.min(last));
            peer.timer.commit_index_sent();
        }
        let message = Message::AppendEntries(AppendEntries {
            term: self.term,
            prev_log: EntryId {
                index: prev,
                term: prev_term,
            },
            leader_commit: self.commit_index,
            entries,
            round: self.round,
            revoked: self.revoked,
            promise_millis: self.promise_millis,
            lineage: self.lineage,
        });
        actions.push(Action::Send {
            to: peer.id,
            message,
        });
    }

    /// Continues after a rejection with the follower's hint. If this log holds the very entry of
    /// the hint, the logs agree up to it, by Log Matching. Otherwise the greatest place where they
    /// may agree is probed next. Each answer skips a whole term of one log or the other.
    fn resume_from(&self, peer: &mut Peer, hint: EntryId, actions: &mut Vec<Action>) {
        let base = self.log.base();
        if hint.index < base.index && peer.match_index < base.index {
            return self.begin_transfer(peer, actions);
        }
        let common = self.log.last_not_above(hint);
        if common == hint || common.index <= peer.match_index {
            match peer.flow {
                Flow::Probe(_) => peer.replicate_after(common.index, self.now, self.config),
                Flow::Replicate(_) | Flow::Snapshot(_) => peer.resume_after(common.index, self.now),
            }
        } else if common.index == base.index && common.term > hint.term {
            return self.begin_transfer(peer, actions);
        } else {
            peer.probe_at(common);
        }
        peer.commit_sent = Index::ZERO;
        self.replicate(peer, actions);
    }

    /// A follower denies that it holds an entry that it acknowledged. Rejections that the
    /// acknowledgement overtook can say so for as long as a network holds them back. A follower
    /// that says nothing else for ten election timeouts has lost its disk. It is reported, and
    /// matchIndex stays: entries that were committed by counting it cannot be taken back.
    fn denied(&self, peer: &mut Peer, hint: EntryId, actions: &mut Vec<Action>) {
        if hint.index >= peer.match_index {
            return;
        }
        let timeout = self.config.election_timeout_max;
        let (first, latest) = (self.now, self.now);
        let fresh = Denial::Since { first, latest };
        match peer.denial {
            // Copies of one rejection can come far apart; a follower without its disk denies it
            // each time.
            Denial::Since { latest, .. } if self.now.since(latest) >= timeout => {
                peer.denial = fresh;
            }
            Denial::None => peer.denial = fresh,
            Denial::Since { first, .. } if self.now.since(first) < 10 * timeout => {
                let latest = self.now;
                peer.denial = Denial::Since { first, latest };
            }
            Denial::Since { .. } => {
                peer.denial = Denial::Reported;
                actions.push(Action::LostState {
                    peer: peer.id,
                    match_index: peer.match_index,
                    last: hint,
                });
            }
            Denial::Reported => {}
        }
    }
}
