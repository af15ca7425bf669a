//! Linearizable reads (thesis 6.4). A read is served from a state machine that has applied
//! everything that was committed when the read began. The leader knows that index, if it has
//! committed an entry of its own term and still leads. That it still leads is confirmed by a round
//! of messages to a majority, or known under a lease.
//!
//! *Rounds.* Each AppendEntries carries the number of the latest round, and its reply gives it
//! back: the sender of a reply took this node for the leader after that round began. One round
//! serves all reads that came before it. Reads that come while it is under way are served by the
//! next. Numbers are never reused in a term, and replies of other terms do not count.
//!
//! *Leases* (6.4.1). A majority that has answered a round had contact with this leader after the
//! round began, and ignores candidates from then on for as long as the leader asked it to promise
//! (`lease.rs`). Until that has passed on the fastest clock allowed, no other node is elected.
//! While a successor has been asked to campaign, there is no lease, since voters answer that
//! candidate.
//!
//! A transfer that fails does not end leases for the rest of the term, although TimeoutNow may come
//! later still, or again. Each transfer has a number. A leader that gives up transfer `n` forgets
//! all rounds so far, and says "revoked = n" in every AppendEntries from then on. Suppose it then
//! serves a read under a lease in term T, on a round that began after it had given up all transfers
//! whose TimeoutNow it has sent, and another node is elected first, in the lowest such term U > T.
//!
//! * Some voter both answered that round and voted in U. It answered in term T, so it answered
//!   first, and voted before its promise to the leader had ended. So it voted in an election for
//!   which a leader of term U - 1 had asked.
//! * No term between T and U has a leader, so that was this leader, U is T + 1, and the transfer is
//!   one that this leader had given up before the round began.
//! * The voter had heard so, because the round's message carries `revoked`. It keeps that when it
//!   learns a later term; only a leader of a later term replaces it, and none was elected before.
//!   So it did not answer that candidate; and if it was itself the target, it did not campaign.
//! * If it restarted in between, it has forgotten that. But a node that starts neither votes nor
//!   campaigns for the least election timeout, whichever node asks. No promise is longer.
//!
//! Messages that are lost, late or repeated change none of this: `revoked` only rises in a term.
//!
//! *Followers* forward: they ask the leader for the index and serve the read themselves. An answer
//! may arrive at any time, even after the follower has restarted, and an old one must not be taken
//! for a new one: its index is stale. So no two ReadIndexes of one node in one term may be equal,
//! whatever its seed. Within one run of the node a counter tells them apart. Between disks of the
//! node, the first number does, which each incarnation moves far away from that of any other.
//! Between runs on one disk, that disk does, by the field `stored`:
//!
//! * In a term that this run has entered, `stored` is 0, and nothing is asked before the term is on
//!   disk. So a later run recovers at least that term: at most one run enters it and asks in it.
//! * In the term that this run has recovered, `stored` is an index up to which the log is on disk,
//!   and which is above the whole log that the run recovered, and above all that its storage says
//!   it has lost. The leader of this term sent the
//!   entry there, so nobody overwrites it in this term (Leader Append-Only, Log Matching). A later
//!   run that recovers this term recovers that entry too, and its own `stored` is greater.
//!
//! A follower that has restarted in its term and stored nothing since cannot ask. It has the leader
//! append an empty entry, if `leader_noop` is on.

use crate::action::Action;
use crate::config::LeaderNoop;
use crate::error::{ReadError, Rejection};
use crate::event::ReadMode;
use crate::message::{Message, ReadIndex, ReadIndexReply, ReadOutcome};
use crate::raft::Raft;
use crate::reads::{ClientRead, FollowerRead, ForwardedBatch, PendingReads, ReadNumber, ReadRound};
use crate::role::Role;
use crate::run::Payloads;
use crate::types::{EntryKind, Index, NodeId, RequestId, Time};
use alloc::vec::Vec;
use bytes::Bytes;

/// Whether a follower may ask for a read index now.
enum Numbering {
    /// It may, with these numbers.
    Unique(ReadNumber),
    /// Its term is not on disk yet.
    TermNotDurable,
    /// It has restarted in this term, and stored no entry since.
    NothingStored,
}

fn answer(id: RequestId, outcome: Result<Index, ReadError>) -> Action {
    Action::Read { id, outcome }
}

impl Raft {
    /// A client wants to read.
    pub(crate) fn read(&mut self, id: RequestId, mode: ReadMode, actions: &mut Vec<Action>) {
        let limit = self.config.max_waiting_reads;
        let since = self.now;
        let error = match (&mut self.role, mode) {
            (Role::Leader(_), ReadMode::Lease) => {
                let outcome = self.read_under_lease();
                return actions.push(answer(id, outcome));
            }
            (Role::Leader(leader), ReadMode::Quorum) => {
                if leader.reads.len() < limit as usize {
                    leader.reads.waiting.push_client(ClientRead { id, since });
                    return self.serve_reads(actions);
                }
                ReadError::TooManyReads { limit }
            }
            (Role::Follower(follower), ReadMode::Quorum) if follower.leader().is_some() => {
                if follower.reads.len() < limit as usize {
                    follower.reads.waiting.push_back(ClientRead { id, since });
                    return self.forward_reads(actions);
                }
                ReadError::TooManyReads { limit }
            }
            (_, ReadMode::Quorum) => ReadError::NoLeader,
            (_, ReadMode::Lease) => ReadError::NotLeader {
                leader: self.leader(),
            },
        };
        actions.push(answer(id, Err(error)));
    }

    fn read_under_lease(&self) -> Result<Index, ReadError> {
        if self.config.lease_length().is_none() {
            return Err(ReadError::LeaseOff);
        }
        let Role::Leader(leader) = &self.role else {
            let leader = self.leader();
            return Err(ReadError::NotLeader { leader });
        };
        if !self.has_committed_in_term() {
            return Err(ReadError::NoCommitInTerm);
        }
        let proven = self.is_only_voter() || leader.reads.has_lease(self.now, &self.config);
        if !proven || leader.reads.lease_suspended {
            return Err(ReadError::NoLease);
        }
        Ok(self.commit_index())
    }

    /// "If the leader has not yet marked an entry from its current term committed, it waits
    /// until it has done so" (thesis 6.4): by Leader Completeness it holds what is committed, but
    /// does not know which entries those are.
    pub(crate) fn has_committed_in_term(&self) -> bool {
        match &self.role {
            Role::Leader(leader) => self.commit_index() >= leader.term_start,
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => false,
        }
    }

    /// Begins the round that the waiting reads need, and ends one that a majority has answered.
    pub(crate) fn serve_reads(&mut self, actions: &mut Vec<Action>) {
        loop {
            let committed_in_term = self.has_committed_in_term();
            let membership = self.configurations.membership();
            let (now, own) = (self.now, self.config.node_id);
            let Role::Leader(leader) = &mut self.role else {
                return;
            };
            let own = (own, leader.reads.round);
            let round = leader.reached(membership, own, |peer| peer.round);
            let round = round.unwrap_or(0);
            leader.reads.confirm(round);
            if let Some(ended) = leader.reads.under_way.take_if(|it| it.round <= round) {
                self.reads_ready(ended, actions);
                continue;
            }
            let idle = leader.reads.under_way.is_none();
            if !idle || leader.reads.waiting.is_empty() || !committed_in_term {
                return;
            }
            leader.reads.begin_round(now, &self.config);
            leader.reads.under_way = Some(ReadRound {
                round: leader.reads.round,
                index: self.commit_index.get(),
                reads: core::mem::take(&mut leader.reads.waiting),
            });
            self.send_round(actions);
        }
    }

    fn reads_ready(&self, round: ReadRound, actions: &mut Vec<Action>) {
        let index = round.index;
        let (clients, followers) = round.reads.into_parts();
        actions.extend(clients.into_iter().map(|read| answer(read.id, Ok(index))));
        for read in followers {
            let outcome = ReadOutcome::Ready { index };
            self.reply_to_read(read.from, read.number, outcome, actions);
        }
    }

    /// When a read has waited for too long, or is to be forwarded again.
    #[inline]
    pub(crate) fn reads_deadline(&self) -> Time {
        let timeout = self.config.election_timeout_max;
        match &self.role {
            Role::Leader(leader) => {
                let oldest = leader.reads.oldest();
                oldest.map_or(Time::NEVER, |since| since.after(timeout))
            }
            Role::Follower(follower) => follower.reads.deadline(timeout),
            Role::PreCandidate(_) | Role::Candidate(_) => Time::NEVER,
        }
    }

    /// Refuses the reads that have waited for an election timeout: no read waits for ever.
    pub(crate) fn expire_reads(&mut self, actions: &mut Vec<Action>) {
        if self.reads_deadline() > self.now {
            return;
        }
        // Reads that were already waiting at that time; none, in the first moments.
        let Some(before) = self.now.before(self.config.election_timeout_max) else {
            return self.resend_read_index(actions);
        };
        let committed_in_term = self.has_committed_in_term();
        match &mut self.role {
            Role::Leader(leader) => {
                let expired = leader.reads.take_older(before);
                let error = if committed_in_term {
                    ReadError::TimedOut
                } else {
                    ReadError::NoCommitInTerm
                };
                self.refuse_reads(expired, error, actions);
            }
            Role::Follower(follower) => {
                let expired = follower.reads.take_older(before);
                let error = ReadError::TimedOut;
                actions.extend(expired.iter().map(|read| answer(read.id, Err(error))));
            }
            Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
        self.resend_read_index(actions);
    }

    fn refuse_reads(&self, reads: PendingReads, error: ReadError, actions: &mut Vec<Action>) {
        let (clients, followers) = reads.into_parts();
        actions.extend(clients.into_iter().map(|read| answer(read.id, Err(error))));
        for read in followers {
            self.reply_to_read(read.from, read.number, ReadOutcome::Refused, actions);
        }
    }

    /// This node no longer leads, or follows another leader: all reads are refused.
    pub(crate) fn end_reads(&mut self, error: ReadError, actions: &mut Vec<Action>) {
        match &mut self.role {
            Role::Leader(leader) => {
                let all = leader.reads.take_older(Time::NEVER);
                leader.reads.under_way = None;
                self.refuse_reads(all, error, actions);
            }
            Role::Follower(follower) => {
                let reads = core::mem::take(&mut follower.reads);
                actions.extend(reads.all().map(|read| answer(read.id, Err(error))));
            }
            Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
    }

    /// Asks the leader on behalf of all reads that wait, with one ReadIndex at a time. Runs also
    /// when a write is durable, which may be what the ReadIndex waited for.
    pub(crate) fn forward_reads(&mut self, actions: &mut Vec<Action>) {
        let now = self.now;
        let Role::Follower(follower) = &mut self.role else {
            return;
        };
        let reads = &mut follower.reads;
        let Some(batch) = &reads.under_way else {
            if reads.waiting.is_empty() {
                return;
            }
            reads.under_way = Some(ForwardedBatch {
                number: None,
                reads: core::mem::take(&mut reads.waiting),
                resend_at: now,
            });
            return self.send_read_index(actions);
        };
        // It waits for what makes its number unique.
        if batch.number.is_none() && matches!(self.numbering(), Numbering::Unique(_)) {
            self.send_read_index(actions);
        }
    }

    /// Sends the ReadIndex under way, if that is due.
    fn resend_read_index(&mut self, actions: &mut Vec<Action>) {
        if let Role::Follower(follower) = &self.role
            && let Some(batch) = &follower.reads.under_way
            && batch.resend_at <= self.now
        {
            self.send_read_index(actions);
        }
    }

    fn send_read_index(&mut self, actions: &mut Vec<Action>) {
        let (now, term) = (self.now, self.hard_state.term());
        let numbering = self.numbering();
        let Role::Follower(follower) = &mut self.role else {
            return;
        };
        let (Some(to), Some(batch)) = (follower.leader(), &mut follower.reads.under_way) else {
            return;
        };
        batch.resend_at = now.after(self.config.heartbeat_interval);
        let (number, stored) = match (batch.number, numbering) {
            (Some(asked), _) => (asked.number, asked.stored),
            (None, Numbering::Unique(asked)) => {
                self.read_number = asked.number;
                batch.number = Some(asked);
                (asked.number, asked.stored)
            }
            (None, Numbering::TermNotDurable) => return,
            (None, Numbering::NothingStored) if self.config.leader_noop == LeaderNoop::Off => {
                let error = ReadError::NothingStored { leader: to };
                return self.end_reads(error, actions);
            }
            (None, Numbering::NothingStored) => (ReadIndex::ASKS_FOR_AN_ENTRY, Index::ZERO),
        };
        let message = Message::ReadIndex(ReadIndex {
            term,
            number,
            stored,
        });
        actions.push(Action::Send { to, message });
    }

    /// Numbers for the next ReadIndex that no other one of this node in this term has: see the head
    /// of this file.
    fn numbering(&self) -> Numbering {
        let number = match self.read_number.wrapping_add(1) {
            ReadIndex::ASKS_FOR_AN_ENTRY => 1,
            number => number,
        };
        let stored = if self.hard_state.term() != self.recovered_term {
            if !self.writes.term_is_durable() {
                return Numbering::TermNotDurable;
            }
            Index::ZERO
        } else {
            let durable = self.writes.durable_index();
            if durable <= self.recovered_last {
                return Numbering::NothingStored;
            }
            durable
        };
        Numbering::Unique(ReadNumber { number, stored })
    }

    fn reply_to_read(
        &self,
        to: NodeId,
        number: ReadNumber,
        outcome: ReadOutcome,
        actions: &mut Vec<Action>,
    ) {
        let ReadNumber { number, stored } = number;
        let message = Message::ReadIndexReply(ReadIndexReply {
            term: self.hard_state.term(),
            number,
            outcome,
            stored,
        });
        actions.push(Action::Send { to, message });
    }

    /// A follower asks for its clients.
    pub(crate) fn read_index(
        &mut self,
        from: NodeId,
        request: ReadIndex,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let (term, ours) = (request.term, self.hard_state.term());
        if term > ours {
            // The follower takes this node for the leader of a term that it has not reached.
            return Err(Rejection::UnsolicitedReply { term });
        }
        let since = self.now;
        let is_member = self.configurations.membership().get(from).is_some();
        let number = ReadNumber {
            number: request.number,
            stored: request.stored,
        };
        let asks_for_entry = request.number == ReadIndex::ASKS_FOR_AN_ENTRY;
        let leader = match &mut self.role {
            Role::Leader(leader) if term == ours && is_member => leader,
            Role::Leader(_) | Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                self.reply_to_read(from, number, ReadOutcome::Refused, actions);
                return Ok(());
            }
        };
        if asks_for_entry {
            self.append_for_reader(from, number, actions);
            return Ok(());
        }
        if leader.reads.holds(from, number) {
            return Ok(()); // The follower sent it again because the answer takes long.
        }
        let read = FollowerRead {
            from,
            number,
            since,
        };
        leader.reads.waiting.set_follower(read);
        self.serve_reads(actions);
        Ok(())
    }

    /// A follower that has restarted in this term needs an entry to tell answers apart. If it lacks
    /// one, that reaches it anyhow; otherwise it gets an empty one.
    fn append_for_reader(&mut self, to: NodeId, number: ReadNumber, actions: &mut Vec<Action>) {
        if self.config.leader_noop == LeaderNoop::Off {
            return self.reply_to_read(to, number, ReadOutcome::Refused, actions);
        }
        let last = self.log.last().index;
        let Role::Leader(leader) = &self.role else {
            return;
        };
        let has_all = leader.peer(to).is_some_and(|it| it.match_index == last);
        if has_all && leader.handover.is_none() && last < Index::MAX {
            self.append(EntryKind::Noop, Payloads::One(Bytes::new()));
            self.replicate_to_all(actions);
        }
    }

    /// The leader has answered.
    pub(crate) fn read_index_reply(
        &mut self,
        from: NodeId,
        reply: ReadIndexReply,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        // A leader that was deposed answers with a later term. Only a member's term counts.
        if self.may_teach_term(from) {
            self.adopt_term(reply.term, actions);
        }
        let Role::Follower(follower) = &mut self.role else {
            return Ok(());
        };
        let from_leader = follower.leader() == Some(from);
        let (number, stored) = (reply.number, reply.stored);
        let answered = |batch: &mut ForwardedBatch| match batch.number {
            Some(asked) => from_leader && asked == ReadNumber { number, stored },
            None => from_leader && number == ReadIndex::ASKS_FOR_AN_ENTRY,
        };
        let Some(batch) = follower.reads.under_way.take_if(answered) else {
            return Ok(()); // Late.
        };
        let outcome = match (batch.number, reply.outcome) {
            // The leader's term is this node's own, or it would not lead.
            (Some(_), ReadOutcome::Ready { index }) if reply.term == self.hard_state.term() => {
                Ok(index)
            }
            (Some(_), ReadOutcome::Ready { .. } | ReadOutcome::Refused) => {
                Err(ReadError::LeaderChanged)
            }
            (None, ReadOutcome::Ready { .. } | ReadOutcome::Refused) => {
                Err(ReadError::NothingStored { leader: from })
            }
        };
        actions.extend(batch.reads.iter().map(|read| answer(read.id, outcome)));
        self.forward_reads(actions);
        Ok(())
    }
}
