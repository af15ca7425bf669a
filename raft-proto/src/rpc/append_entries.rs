//! AppendEntries RPC (Figure 2; section 5.3).

use super::{Answer, Replied};
use crate::action::Action;
use crate::entries::Entries;
use crate::error::Rejection;
use crate::message::{AppendEntries, AppendEntriesReply, AppendOutcome, Message};
use crate::outbox::Withheld;
use crate::progress::{Denial, Flow, Stage};
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{EntryId, Index, NodeId};
use alloc::vec::Vec;

/// How a request compares with the log.
enum Comparison {
    /// The log does not contain prevLog.
    Missing,
    /// It does; and from this index on the entries are new or conflict.
    Contained { news_from: Option<Index> },
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It carries no entries: it only asks, or says that the leader is there.
    Heartbeat,
    /// It carries entries.
    Append,
}

impl Raft {
    /// Receiver implementation.
    pub(super) fn append_entries(
        &mut self,
        from: NodeId,
        request: AppendEntries,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let round = request.round;
        // 1. "Reply false if term < currentTerm."
        if request.term < self.hard_state.term {
            self.reply_to_append(from, AppendOutcome::Stale, 0, actions);
            return Ok(());
        }
        self.admit_leader(from, request.term)?;
        let comparison = self.compare(&request).inspect_err(|_| {
            self.alarms.distrusted = Some((from, request.term));
        })?;
        self.follow(from, request.term, actions);
        // 2. "Reply false if log doesn't contain an entry at prevLogIndex whose term matches
        //    prevLogTerm."
        let Comparison::Contained { news_from } = comparison else {
            let outcome = AppendOutcome::Rejected {
                prev_log_index: request.prev_log.index,
                hint: self.log.last_not_above(request.prev_log),
            };
            self.reply_to_append(from, outcome, round, actions);
            return Ok(());
        };
        // 3. "If an existing entry conflicts with a new one (same index but different terms),
        //    delete the existing entry and all that follow it."
        // 4. "Append any new entries not already in the log."
        let last_new = request.entries.last_id().unwrap_or(request.prev_log).index;
        let kind = match request.entries.is_empty() {
            true => Kind::Heartbeat,
            false => Kind::Append,
        };
        if let Some(first) = news_from {
            self.replace_from(first, request.entries, actions);
        }
        // 5. "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last
        //    new entry)": only up to there is this log known to equal the leader's.
        self.commit_index = self.commit_index.max(request.leader_commit.min(last_new));
        self.acknowledge(from, (last_new, round), kind, actions);
        Ok(())
    }

    /// Compares a request with the log, and with what is known to be committed: a leader holds
    /// all committed entries (Leader Completeness, section 5.4.3).
    fn compare(&self, request: &AppendEntries) -> Result<Comparison, Rejection> {
        let (prev, commit_index) = (request.prev_log, self.commit_index);
        let conflict = |entry| Rejection::ConflictBelowCommit {
            entry,
            commit_index,
        };
        // What lies before the base is committed, and its term is forgotten: it agrees.
        if prev.index >= self.log.base().index && !self.log.contains(prev) {
            return match prev.index <= commit_index {
                true => Err(conflict(prev)),
                false => Ok(Comparison::Missing),
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
        let news_from = self.log.first_missing(&request.entries);
        match news_from {
            Some(index) if index <= commit_index => {
                let mut entries = request.entries.iter();
                let found = entries.find(|entry| entry.index() == index);
                Err(conflict(found.map_or(prev, |entry| entry.id())))
            }
            Some(_) | None => Ok(Comparison::Contained { news_from }),
        }
    }

    fn replace_from(&mut self, first: Index, entries: Entries, actions: &mut Vec<Action>) {
        assert!(first > self.commit_index, "a committed entry never changes");
        if first <= self.log.last().index {
            self.log.truncate(first);
            self.writes.overwritten_after(first.previous());
        }
        self.replace_configurations(first, &entries, actions);
        self.log.append_from(first, entries);
        self.writes.stage_entries(first);
    }

    /// Success. A heartbeat is answered at once, with what is on disk by now; entries are
    /// acknowledged when they are on disk.
    fn acknowledge(
        &mut self,
        to: NodeId,
        (last_new, round): (Index, u64),
        kind: Kind,
        actions: &mut Vec<Action>,
    ) {
        // All before the base is committed, so the leader holds it too.
        let received = last_new.max(self.log.base().index);
        let durable = match self.writes.term_is_durable() {
            true => self.writes.durable_index,
            false => Index::ZERO,
        };
        if kind == Kind::Heartbeat || received <= durable {
            let outcome = AppendOutcome::Accepted {
                match_index: received.min(durable),
                received,
            };
            return self.reply_to_append(to, outcome, round, actions);
        }
        let message = Message::AppendEntriesReply(AppendEntriesReply {
            term: self.hard_state.term,
            outcome: AppendOutcome::Accepted {
                match_index: received,
                received,
            },
            round,
        });
        let seq = self.writes.latest();
        self.outbox.withhold(seq, Withheld::Send { to, message });
    }

    fn reply_to_append(
        &self,
        to: NodeId,
        outcome: AppendOutcome,
        round: u64,
        actions: &mut Vec<Action>,
    ) {
        let message = Message::AppendEntriesReply(AppendEntriesReply {
            term: self.hard_state.term,
            outcome,
            round,
        });
        actions.push(Action::Send { to, message });
    }

    /// A follower answered this leader: "if successful: update nextIndex and matchIndex for
    /// follower; if AppendEntries fails because of log inconsistency: decrement nextIndex and
    /// retry".
    pub(super) fn append_entries_reply(
        &mut self,
        from: NodeId,
        reply: AppendEntriesReply,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let answer = match reply.outcome {
            AppendOutcome::Stale => Answer::StaleTerm,
            AppendOutcome::Accepted { .. } | AppendOutcome::Rejected { .. } => Answer::ToRequest,
        };
        if self.admit_reply(from, reply.term, answer, actions)? == Replied::Late {
            return Ok(());
        }
        let last = self.log.last().index;
        let claimed = match reply.outcome {
            AppendOutcome::Accepted { received, .. } => received,
            AppendOutcome::Rejected { prev_log_index, .. } => prev_log_index,
            AppendOutcome::Stale => Index::ZERO,
        };
        if claimed > last {
            let acknowledged = claimed;
            return Err(Rejection::MatchBeyondLog { acknowledged, last });
        }
        // A stale answer is to an earlier term's request: it tells nothing of this term's rounds.
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
        self.heard_from(from);
        self.round_answered(from, round, actions);
        match reply.outcome {
            AppendOutcome::Accepted {
                match_index,
                received,
            } => self.accepted(from, match_index, received, actions),
            AppendOutcome::Rejected {
                prev_log_index,
                hint,
            } => self.refused(from, prev_log_index, hint, actions),
            AppendOutcome::Stale => {}
        }
        Ok(())
    }

    fn accepted(
        &mut self,
        from: NodeId,
        match_index: Index,
        received: Index,
        actions: &mut Vec<Action>,
    ) {
        let (interval, base) = (self.config.heartbeat_interval, self.log.base().index);
        let Some(peer) = self.leader_mut().and_then(|leader| leader.peer_mut(from)) else {
            return;
        };
        peer.denial = Denial::None;
        let news = match_index > peer.match_index;
        peer.acknowledged(match_index);
        let settled = matches!(peer.flow, Flow::Probe(_)) && received.next() >= peer.next_index;
        if news || settled {
            // Answered: the next heartbeat is due an interval after what was sent last.
            peer.heartbeat_at = peer.heartbeat_at.max(peer.sent_at.after(interval));
        }
        match &peer.flow {
            Flow::Probe(_) if received.next() >= peer.next_index => peer.replicate_after(received),
            Flow::Replicate(_) => peer.next_index = peer.next_index.max(received.next()),
            // It has what the snapshot stands for, or all that the log does not hold any more.
            Flow::Snapshot(_) if received >= base => {
                return self.transfer_done(from, match_index, received, actions);
            }
            Flow::Snapshot(_) => self.nudge_transfer(from, actions),
            Flow::Probe(_) => {}
        }
        let commit_index = self.commit_index;
        if news && match_index > commit_index {
            self.advance_commit(actions);
        }
        self.press_handover(actions);
        // A new commitIndex has gone to everybody, and what else there is to send with it.
        if self.commit_index == commit_index {
            self.replicate_to(from, actions);
        }
    }

    fn refused(
        &mut self,
        from: NodeId,
        prev_log_index: Index,
        hint: EntryId,
        actions: &mut Vec<Action>,
    ) {
        self.back_up(from, prev_log_index, hint, actions);
        self.nudge_transfer(from, actions);
    }

    /// The peer answers, but a chunk sent a heartbeat interval ago is still unanswered: it was
    /// lost, and is sent again.
    fn nudge_transfer(&mut self, from: NodeId, actions: &mut Vec<Action>) {
        let (now, interval) = (self.now, self.config.heartbeat_interval);
        let chunk = self.config.snapshot_chunk_bytes;
        let Some(peer) = self.leader_mut().and_then(|leader| leader.peer_mut(from)) else {
            return;
        };
        if let Flow::Snapshot(transfer) = &mut peer.flow {
            match transfer.stage {
                Stage::Sent { at } if at.after(interval) <= now => {
                    transfer.stage = Stage::Reading;
                    actions.push(transfer.read(from, chunk));
                }
                Stage::Sent { .. } | Stage::Reading | Stage::Unread => {}
            }
        }
    }

    /// A peer has answered.
    pub(super) fn heard_from(&mut self, from: NodeId) {
        let now = self.now;
        if let Some(peer) = self.leader_mut().and_then(|leader| leader.peer_mut(from)) {
            peer.heard_at = Some(now);
        }
    }
}
