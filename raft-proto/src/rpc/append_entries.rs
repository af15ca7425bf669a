//! AppendEntries RPC (Figure 2; section 5.3).

use super::{Answer, Replied};
use crate::action::Action;
use crate::entries::Entries;
use crate::error::Rejection;
use crate::message::{AppendEntries, AppendEntriesReply, AppendOutcome, Message};
use crate::progress::{Denial, Flow};
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{EntryId, Index, NodeId};
use alloc::vec::Vec;

/// How a request compares with the log.
enum Comparison {
    /// The log does not contain prevLog.
    Missing,
    /// It does. From `new_from` on, the entries are new or conflict.
    Contained { new_from: Option<Index> },
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It carries no entries: it asks where the logs agree, or shows that the leader is there.
    Heartbeat,
    /// It carries entries.
    Append,
}

impl Raft {
    /// Receiver implementation.
    pub(super) fn append_entries(
        &mut self,
        from: NodeId,
        request: &mut AppendEntries,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let round = request.round;
        // 1. "Reply false if term < currentTerm."
        if request.term < self.hard_state.term() {
            self.reply_to_append(from, AppendOutcome::Stale, 0, actions);
            return Ok(());
        }
        self.admit_leader(from, request.term)?;
        let comparison = self.compare(request).inspect_err(|_| {
            self.peer_faults.stop_following(from, request.term);
        })?;
        if let Comparison::Contained { new_from: Some(_) } = comparison
            && let Err(fault) = self.check_levels_in(&request.entries)
        {
            self.end_in_fault(fault, actions);
            return Ok(());
        }
        self.follow(from, request.term, actions);
        self.hear_revoked(request.term, request.revoked);
        self.leader_contact
            .promise(self.now, request.promise_millis);
        if let Role::Follower(follower) = &mut self.role {
            follower.hear_leader_commit(request.leader_commit);
        }
        // 2. "Reply false if log doesn't contain an entry at prevLogIndex whose term matches
        //    prevLogTerm."
        let Comparison::Contained { new_from } = comparison else {
            self.note_entries_of_others(request.prev_log.index);
            let outcome = self.rejection_of(request.prev_log);
            self.reply_to_append(from, outcome, round, actions);
            return Ok(());
        };
        // 3. "If an existing entry conflicts with a new one (same index but different terms),
        //    delete the existing entry and all that follow it."
        // 4. "Append any new entries not already in the log."
        let last_new = request.entries.last_id().unwrap_or(request.prev_log).index;
        let kind = if request.entries.is_empty() {
            Kind::Heartbeat
        } else {
            Kind::Append
        };
        if let Some(first) = new_from {
            self.replace_from(first, core::mem::take(&mut request.entries), actions);
        }
        // 5. "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last
        //    new entry)": only up to there is this log known to equal the leader's.
        self.commit_index
            .raise_to(request.leader_commit.min(last_new));
        self.acknowledge(from, last_new, round, kind, actions);
        Ok(())
    }

    /// Compares a request with the log, and with commitIndex: a leader holds all committed entries
    /// (Leader Completeness, section 5.4.3).
    fn compare(&self, request: &AppendEntries) -> Result<Comparison, Rejection> {
        let (prev, commit_index) = (request.prev_log, self.commit_index());
        // Nearly always, the entries follow the last one of the log: all of them are new, and none
        // is committed.
        if prev == self.log.last() {
            let new_from = request.entries.first_index();
            return Ok(Comparison::Contained { new_from });
        }
        let conflict = |entry| Rejection::ConflictBelowCommit {
            entry,
            commit_index,
        };
        // An entry before the base is committed, and its term is forgotten: it agrees.
        if prev.index >= self.log.base().index && !self.log.contains(prev) {
            return if prev.index <= commit_index {
                Err(conflict(prev))
            } else {
                Ok(Comparison::Missing)
            };
        }
        // The base is committed, and its term is known.
        let base = self.log.base();
        let mut runs = request.entries.segments().iter();
        if let Some(run) = runs.find(|run| run.first() <= base.index && base.index <= run.last())
            && run.term() != base.term
        {
            return Err(conflict(EntryId {
                index: base.index,
                term: run.term(),
            }));
        }
        let new_from = self.log.first_missing(&request.entries);
        match new_from {
            Some(index) if index <= commit_index => {
                let mut entries = request.entries.iter();
                let found = entries.find(|entry| entry.index() == index);
                Err(conflict(found.map_or(prev, |entry| entry.id())))
            }
            Some(_) | None => Ok(Comparison::Contained { new_from }),
        }
    }

    fn replace_from(&mut self, first: Index, entries: Entries, actions: &mut Vec<Action>) {
        assert!(
            first > self.commit_index(),
            "a committed entry never changes"
        );
        if first <= self.log.last().index {
            self.log.truncate(first);
            self.writes.overwritten_after(first.previous());
            self.recovered_last = self.recovered_last.min(first.previous());
        }
        self.replace_configurations(first, &entries, actions);
        self.log.append_from(first, entries);
        self.writes.stage_entries(first);
        self.end_impairment();
    }

    /// Replies success. A heartbeat is answered at once, with the index that is on disk by now.
    /// Entries are acknowledged when they are on disk.
    fn acknowledge(
        &mut self,
        to: NodeId,
        last_new: Index,
        round: u64,
        kind: Kind,
        actions: &mut Vec<Action>,
    ) {
        // Everything before the base is committed, so the leader holds it too.
        let received = last_new.max(self.log.base().index);
        let durable = if self.writes.term_is_durable() {
            self.writes.durable_index()
        } else {
            Index::ZERO
        };
        if kind == Kind::Heartbeat || received <= durable {
            let outcome = AppendOutcome::Accepted {
                match_index: received.min(durable),
                received,
            };
            return self.reply_to_append(to, outcome, round, actions);
        }
        let outcome = AppendOutcome::Accepted {
            match_index: received,
            received,
        };
        let reply = self.reply_of(outcome, round);
        self.outbox.withhold_reply(self.writes.latest(), to, reply);
    }

    fn reply_to_append(
        &self,
        to: NodeId,
        outcome: AppendOutcome,
        round: u64,
        actions: &mut Vec<Action>,
    ) {
        let message = Message::AppendEntriesReply(self.reply_of(outcome, round));
        actions.push(Action::Send { to, message });
    }

    fn reply_of(&self, outcome: AppendOutcome, round: u64) -> AppendEntriesReply {
        AppendEntriesReply {
            term: self.hard_state.term(),
            outcome,
            round,
            limits: Some(self.config.message_limits()),
        }
    }

    /// A follower answered this leader: "if successful: update nextIndex and matchIndex for
    /// follower; if AppendEntries fails because of log inconsistency: decrement nextIndex and
    /// retry".
    pub(super) fn append_entries_reply(
        &mut self,
        from: NodeId,
        reply: &AppendEntriesReply,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let answer = match reply.outcome {
            AppendOutcome::Stale => Answer::StaleTerm,
            AppendOutcome::Accepted { .. }
            | AppendOutcome::Rejected { .. }
            | AppendOutcome::Lost { .. } => Answer::ToRequest,
        };
        if self.admit_reply(from, reply.term, answer, actions)? == Replied::Late {
            return Ok(());
        }
        let last = self.log.last().index;
        let acknowledged = match reply.outcome {
            AppendOutcome::Accepted { received, .. } => received,
            AppendOutcome::Rejected { prev_log_index, .. }
            | AppendOutcome::Lost { prev_log_index, .. } => prev_log_index,
            AppendOutcome::Stale => Index::ZERO,
        };
        if acknowledged > last {
            return Err(Rejection::MatchBeyondLog { acknowledged, last });
        }
        // A stale answer is to a request of an earlier term, and tells nothing of this term's
        // rounds.
        let round = match answer {
            Answer::ToRequest => reply.round,
            Answer::StaleTerm => 0,
        };
        if let Role::Leader(leader) = &self.role
            && round > leader.reads.round
        {
            let last = leader.reads.round;
            return Err(Rejection::RoundNeverBegun { round, last });
        }
        let peer = self.peer_mut(from);
        if answer == Answer::ToRequest && peer.is_some_and(|peer| peer.precedes_peer(round)) {
            self.heard_from(from); // It tells that somebody is there, and nothing of the log.
            return Ok(());
        }
        self.note_append_reply(from, round, reply, actions);
        match reply.outcome {
            AppendOutcome::Accepted {
                match_index,
                received,
            } => self.append_accepted(from, match_index, received, actions),
            AppendOutcome::Rejected {
                prev_log_index,
                hint,
            } => {
                self.back_up(from, prev_log_index, hint, actions);
                self.resend_overdue_chunk(from, actions);
            }
            AppendOutcome::Lost {
                prev_log_index,
                hint,
            } => {
                if !self.forget_match(from, hint, actions) {
                    self.back_up(from, prev_log_index, hint, actions);
                }
                self.resend_overdue_chunk(from, actions);
            }
            AppendOutcome::Stale => {}
        }
        Ok(())
    }

    /// Notes what every reply tells, whatever its outcome: that the peer was heard, what it takes,
    /// and which round it answers.
    fn note_append_reply(
        &mut self,
        from: NodeId,
        round: u64,
        reply: &AppendEntriesReply,
        actions: &mut Vec<Action>,
    ) {
        let now = self.now;
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let rounds_count = leader.reads.need_answers();
        let Some(peer) = leader.peer_mut(from) else {
            return;
        };
        peer.heard_at = Some(now);
        let limits_changed = peer.learn_limits(reply.limits);
        let is_later_round = peer.answer_round(round);
        let departs = peer.departure.is_some();
        if limits_changed {
            self.limit_commands();
        }
        if is_later_round && rounds_count {
            self.serve_reads(actions);
        }
        if departs {
            self.end_departure(from, round, &reply.outcome);
        }
    }

    fn append_accepted(
        &mut self,
        from: NodeId,
        match_index: Index,
        received: Index,
        actions: &mut Vec<Action>,
    ) {
        let (base, last, now) = (self.log.base().index, self.log.last().index, self.now);
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let Some(peer) = leader.peer_mut(from) else {
            return;
        };
        peer.denial = Denial::None;
        let rises = match_index > peer.match_index;
        if rises || match_index == last {
            peer.disk_progress_at = Some(now);
        }
        peer.raise_match_index(match_index, now, &self.config);
        peer.end_hold_if_caught_up(last);
        let agrees = matches!(peer.flow, Flow::Probe(_)) && received.next() >= peer.next_index;
        if rises || agrees {
            peer.timer.answered(&self.config);
        }
        match &mut peer.flow {
            Flow::Probe(_) if agrees => peer.replicate_after(received, now, &self.config),
            Flow::Replicate(inflight) => {
                peer.next_index = peer.next_index.max(received.next());
                if let Some(sent_at) = inflight.arrived(received) {
                    peer.window.arrived(sent_at, now);
                }
            }
            // It has the snapshot's entries, or everything that the log no longer holds.
            Flow::Snapshot(_) if received >= base => {
                return self.transfer_done(from, match_index, received, actions);
            }
            Flow::Snapshot(_) => self.resend_overdue_chunk(from, actions),
            Flow::Probe(_) => {}
        }
        let commit_index = self.commit_index();
        if rises && match_index > commit_index {
            self.advance_commit(actions);
        }
        if self.is_handing_over() {
            self.continue_handover(actions);
        }
        // If commitIndex rose, every follower was sent it, and everything else there is to send.
        if self.commit_index() == commit_index {
            self.replicate_to(from, actions);
        }
    }

    /// A peer has answered.
    pub(super) fn heard_from(&mut self, from: NodeId) {
        let now = self.now;
        if let Some(peer) = self.peer_mut(from) {
            peer.heard_at = Some(now);
        }
    }
}
