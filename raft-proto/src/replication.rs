//! What to send to a follower now (section 5.3; thesis 10.2.1): entries, a question, a
//! heartbeat, or a snapshot.
//!
//! Entries are sent once, without waiting for answers, as far as the window allows. What was
//! lost is found by the next heartbeat, which asks whether the follower holds the entry before
//! nextIndex: either it does, and the window reopens as its disk catches up; or it does not,
//! and its hint says where to begin again, with one message until that is accepted. No failure
//! signal is needed, and entries are sent again only where a follower said that it lacks them.

use crate::action::Action;
use crate::config::Config;
use crate::entries::Entries;
use crate::leader::Leader;
use crate::log::Log;
use crate::message::{AppendEntries, Message, SnapshotMeta};
use crate::progress::{Denial, Flow, Peer, Probe, Refused, Stage, Transfer};
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{EntryId, Index, NodeId, Term, Time};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What a leader's messages are made of; none of it changes by sending.
pub(crate) struct Sender<'a> {
    pub(crate) config: &'a Config,
    pub(crate) log: &'a Log,
    pub(crate) snapshot: Option<&'a SnapshotMeta>,
    now: Time,
    term: Term,
    commit_index: Index,
    term_start: Index,
    /// The latest round of questions whether it still leads.
    round: u64,
}

impl Raft {
    /// The leader's peers, and what is needed to send to them; `None` in other roles.
    pub(crate) fn sender(&mut self) -> Option<(&mut Leader, Sender<'_>)> {
        let Role::Leader(leader) = &mut self.role else {
            return None;
        };
        leader.reads.renew_lease(self.now, &self.config);
        let sender = Sender {
            config: &self.config,
            log: &self.log,
            snapshot: self.snapshot.as_ref(),
            now: self.now,
            term: self.hard_state.term,
            commit_index: self.commit_index,
            term_start: leader.term_start,
            round: leader.reads.round,
        };
        Some((leader, sender))
    }

    /// Sends each follower what may be sent to it now.
    pub(crate) fn replicate_to_all(&mut self, actions: &mut Vec<Action>) {
        if let Some((leader, sender)) = self.sender() {
            for peer in &mut leader.peers {
                sender.replicate(peer, actions);
            }
        }
    }

    /// Sends one follower what may be sent to it now.
    pub(crate) fn replicate_to(&mut self, id: NodeId, actions: &mut Vec<Action>) {
        if let Some((leader, sender)) = self.sender()
            && let Some(peer) = leader.peer_mut(id)
        {
            sender.replicate(peer, actions);
        }
    }

    /// Speaks to each follower that has heard nothing for a heartbeat interval ("repeat during
    /// idle periods to prevent election timeouts"), or that is to be told of commitIndex.
    pub(crate) fn leader_tick(&mut self, actions: &mut Vec<Action>) {
        self.favour_priority(actions);
        if let Some((leader, sender)) = self.sender() {
            for peer in &mut leader.peers {
                sender.tick(peer, actions);
            }
        }
    }

    /// Asks the voters for a round. The question is about what they are known to have, so that
    /// none refuses it, whatever is on its way to them.
    pub(crate) fn ask_voters(&mut self, actions: &mut Vec<Action>) {
        let own = self.config.node_id;
        let voters: Vec<NodeId> = self.configurations.membership().voters().collect();
        let Some((leader, sender)) = self.sender() else {
            return;
        };
        for id in voters.into_iter().filter(|id| *id != own) {
            if let Some(peer) = leader.peer_mut(id) {
                match sender.log.term_at(peer.match_index) {
                    Some(_) => sender.send_append(peer, peer.match_index, Entries::EMPTY, actions),
                    None => sender.heartbeat(peer, actions),
                }
            }
        }
    }

    /// A follower does not hold the entry at `prev_log_index` (section 5.3: "the leader
    /// decrements nextIndex and retries", here by whole terms).
    pub(crate) fn back_up(
        &mut self,
        id: NodeId,
        prev_log_index: Index,
        hint: EntryId,
        actions: &mut Vec<Action>,
    ) {
        let Some((leader, sender)) = self.sender() else {
            return;
        };
        let Some(peer) = leader.peer_mut(id) else {
            return;
        };
        let match_index = peer.match_index;
        if prev_log_index == match_index && match_index > Index::ZERO {
            sender.denied(peer, hint, actions);
            return;
        }
        if prev_log_index < match_index {
            return; // An old refusal: it has acknowledged more since.
        }
        let current = prev_log_index == peer.next_index.previous();
        match &mut peer.flow {
            Flow::Probe(_) if current => sender.resume_from(peer, hint, actions),
            Flow::Probe(_) | Flow::Snapshot(_) => {}
            // Asked by a heartbeat after silence: what was on its way is lost.
            Flow::Replicate(_) if current => sender.resume_from(peer, hint, actions),
            Flow::Replicate(inflight) => match inflight.refused(prev_log_index) {
                Refused::Oldest => sender.resume_from(peer, hint, actions),
                Refused::Later => {
                    inflight.cut(prev_log_index);
                    peer.next_index = prev_log_index.next();
                }
                Refused::Unknown => {}
            },
        }
    }
}

impl Sender<'_> {
    pub(crate) fn replicate(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        loop {
            let prev = peer.next_index.previous();
            match &peer.flow {
                Flow::Snapshot(_) | Flow::Probe(Probe::Asked) => return,
                Flow::Probe(Probe::Ready | Probe::Agreed) => match self.log.term_at(prev) {
                    Some(_) => return self.probe(peer, actions),
                    None => return self.begin_transfer(peer, actions),
                },
                Flow::Replicate(inflight) => {
                    if peer.next_index > self.log.last().index {
                        return self.notice_commit(peer, actions);
                    }
                    let (appends, bytes) = (
                        self.config.max_inflight_appends,
                        self.config.max_inflight_bytes,
                    );
                    if !inflight.has_room(appends, bytes) {
                        return;
                    }
                    if prev < self.log.base().index {
                        return self.begin_transfer(peer, actions);
                    }
                    if prev < self.log.resident_after().index {
                        return self.read_entries(peer, actions);
                    }
                    self.append_next(peer, actions);
                }
            }
        }
    }

    /// Sends the entries from nextIndex on, and counts on their arrival.
    fn append_next(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        let last = self.log.last().index;
        let limit = self.config.max_append_bytes;
        let (entries, bytes) = self.log.slice(peer.next_index, last, limit);
        self.append(peer, entries, bytes, actions);
    }

    /// Sends `entries`, which begin at nextIndex.
    pub(crate) fn append(
        &self,
        peer: &mut Peer,
        entries: Entries,
        bytes: u64,
        actions: &mut Vec<Action>,
    ) {
        let prev = peer.next_index.previous();
        let (Flow::Replicate(inflight), Some(sent)) = (&mut peer.flow, entries.last_id()) else {
            return;
        };
        // Only the first append after all were answered puts off the heartbeat: a follower that
        // answers none of many must hear one all the same.
        if inflight.is_empty() {
            peer.heartbeat_at = self.config.next_question(self.now);
        }
        inflight.sent(prev, sent.index, bytes);
        peer.next_index = sent.index.next();
        self.send_append(peer, prev, entries, actions);
    }

    /// Asks whether the logs agree before nextIndex. The question carries entries only if they
    /// are this term's own, which the follower cannot have, or it is known to agree.
    fn probe(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        let prev = peer.next_index.previous();
        let useful = peer.next_index >= self.term_start
            || prev == peer.match_index
            || matches!(peer.flow, Flow::Probe(Probe::Agreed));
        let limit = self.config.max_append_bytes;
        let resident = prev >= self.log.resident_after().index;
        let entries = match useful && resident {
            true => {
                self.log
                    .slice(peer.next_index, self.log.last().index, limit)
                    .0
            }
            false => Entries::EMPTY,
        };
        peer.flow = Flow::Probe(Probe::Asked);
        peer.heartbeat_at = self.config.next_question(self.now);
        self.send_append(peer, prev, entries, actions);
    }

    /// Tells a follower that has everything of a new commitIndex: at once, or when no append
    /// has done so for a while.
    fn notice_commit(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        let Flow::Replicate(inflight) = &peer.flow else {
            return;
        };
        let told = peer.commit_told >= self.commit_index;
        // What is on its way will be acknowledged, and is asked about again then.
        if told || !inflight.is_empty() || peer.commit_notice_at.is_some() {
            return;
        }
        if self.config.commit_notice_delay.is_zero() {
            return self.empty_append(peer, actions);
        }
        peer.commit_notice_at = Some(self.now.after(self.config.commit_notice_delay));
    }

    fn tick(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        let notice = peer.commit_notice_at.take_if(|at| *at <= self.now);
        if peer.heartbeat_at <= self.now {
            self.heartbeat(peer, actions);
        } else if notice.is_some() && peer.commit_told < self.commit_index {
            self.empty_append(peer, actions);
        }
    }

    fn heartbeat(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        let heard_since = |sent: Time| peer.heard_at.is_some_and(|heard| heard > sent);
        let stuck = match &peer.flow {
            Flow::Snapshot(transfer) => match transfer.stage {
                Stage::Unread => true,
                // It has been heard after the chunk was sent, but not of the chunk.
                Stage::Sent { at } => heard_since(at) && self.now >= self.config.next_heartbeat(at),
                Stage::Reading => false,
            },
            Flow::Probe(_) | Flow::Replicate(_) => false,
        };
        let compacted = self.log.term_at(peer.next_index.previous()).is_none();
        match &peer.flow {
            Flow::Snapshot(_) if stuck => self.read_chunk(peer, actions),
            Flow::Probe(_) | Flow::Replicate(_) if compacted => self.begin_transfer(peer, actions),
            // A question that was not answered is asked again, now without entries.
            Flow::Probe(_) => peer.flow = Flow::Probe(Probe::Asked),
            Flow::Replicate(_) | Flow::Snapshot(_) => {}
        }
        // Reading a chunk may take long, or fail: the follower hears its leader all the same.
        self.empty_append(peer, actions);
    }

    /// AppendEntries without entries. To a follower that is being sent a snapshot it asks
    /// whether that has been installed.
    fn empty_append(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        peer.heartbeat_at = self.config.next_heartbeat(self.now);
        let prev = match &peer.flow {
            Flow::Snapshot(transfer) => transfer.snapshot.id.last.index,
            Flow::Probe(_) | Flow::Replicate(_) => peer.next_index.previous(),
        };
        self.send_append(peer, prev, Entries::EMPTY, actions);
    }

    fn send_append(
        &self,
        peer: &mut Peer,
        prev: Index,
        entries: Entries,
        actions: &mut Vec<Action>,
    ) {
        let prev_term = match (&peer.flow, self.log.term_at(prev)) {
            (_, Some(term)) => Some(term),
            (Flow::Snapshot(transfer), None) => Some(transfer.snapshot.id.last.term),
            (Flow::Probe(_) | Flow::Replicate(_), None) => None,
        };
        // Every caller has looked: entries whose predecessor is compacted go by snapshot.
        let Some(prev_term) = prev_term else {
            return;
        };
        peer.sent_at = self.now;
        let last = entries.last_id().map_or(prev, |id| id.index);
        if !matches!(peer.flow, Flow::Snapshot(_)) {
            peer.commit_told = peer.commit_told.max(self.commit_index.min(last));
            peer.commit_notice_at = None;
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
        });
        actions.push(Action::Send {
            to: peer.id,
            message,
        });
    }

    /// Continues after a refusal with what the follower's hint says. If our log holds the very
    /// entry of the hint, the logs agree up to it for certain, by Log Matching; otherwise the
    /// greatest place where they may agree is asked next. Each answer skips a whole term of one
    /// log or the other.
    fn resume_from(&self, peer: &mut Peer, hint: EntryId, actions: &mut Vec<Action>) {
        let base = self.log.base();
        if hint.index < base.index && peer.match_index < base.index {
            return self.begin_transfer(peer, actions);
        }
        let common = self.log.last_not_above(hint);
        if common == hint || common.index <= peer.match_index {
            peer.retry_after(common.index);
        } else if common.index == base.index && common.term > hint.term {
            return self.begin_transfer(peer, actions);
        } else {
            peer.probe_at(common);
        }
        peer.commit_told = Index::ZERO;
        self.replicate(peer, actions);
    }

    /// A follower denies to hold what it acknowledged. Refusals that were overtaken by the
    /// acknowledgement can say so for as long as a network holds them back; a follower that
    /// still says nothing else after ten election timeouts has lost its disk. It is reported, and
    /// matchIndex stays: what was committed by counting it cannot be taken back.
    fn denied(&self, peer: &mut Peer, hint: EntryId, actions: &mut Vec<Action>) {
        if hint.index >= peer.match_index {
            return;
        }
        let patience = self.config.election_timeout_max;
        let (first, latest) = (self.now, self.now);
        let fresh = Denial::Since { first, latest };
        match peer.denial {
            // Copies of one refusal can come far apart; who has lost its disk denies each time.
            Denial::Since { latest, .. } if self.now.since(latest) >= patience => {
                peer.denial = fresh;
            }
            Denial::None => peer.denial = fresh,
            Denial::Since { first, .. } if self.now.since(first) < 10 * patience => {
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

    /// The entries that a follower needs next are compacted: it gets the snapshot instead
    /// (section 7).
    pub(crate) fn begin_transfer(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        // A log whose beginning was dropped has a snapshot that stands for it.
        let Some(snapshot) = self.snapshot else {
            return;
        };
        peer.flow = Flow::Snapshot(Box::new(Transfer {
            snapshot: snapshot.clone(),
            offset: 0,
            stage: Stage::Unread,
        }));
        self.read_chunk(peer, actions);
    }

    /// Has the driver read the chunk at the transfer's offset.
    fn read_chunk(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        peer.heartbeat_at = self.config.next_heartbeat(self.now);
        if let Flow::Snapshot(transfer) = &mut peer.flow {
            transfer.stage = Stage::Reading;
            actions.push(transfer.read(peer.id, self.config.snapshot_chunk_bytes));
        }
    }
}

impl Transfer {
    /// Asks the driver for the chunk at `offset`.
    pub(crate) fn read(&self, peer: NodeId, chunk_bytes: u64) -> Action {
        let id = self.snapshot.id;
        Action::ReadSnapshot {
            peer,
            snapshot: id,
            offset: self.offset,
            length: chunk_bytes.min(id.size.saturating_sub(self.offset)),
        }
    }
}
