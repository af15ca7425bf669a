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
//! round began, and ignores candidates for the least election timeout from then on
//! (`check_quorum.rs`). Until that has passed on the fastest clock allowed, no other node is
//! elected. While a successor has been asked to campaign, there is no lease, since voters answer
//! that candidate.
//!
//! A transfer that fails does not end leases for the rest of the term, although TimeoutNow may come
//! later still, or again. Each transfer has a number. A leader that gives up transfer `n` forgets
//! all rounds so far, and says "revoked = n" in every AppendEntries from then on. Suppose it then
//! serves a read under a lease in term T, on a round that began after it had given up all transfers
//! whose TimeoutNow it has sent, and another node is elected first, in the lowest such term U > T.
//!
//! * Some voter both answered that round and voted in U. It answered in term T, so it answered
//!   first, and voted within the least election timeout after contact with the leader. So it voted
//!   in an election for which a leader of term U - 1 had asked.
//! * No term between T and U has a leader, so that was this leader, U is T + 1, and the transfer is
//!   one that this leader had given up before the round began.
//! * The voter had heard so, because the round's message carries `revoked`. It keeps that when it
//!   learns a later term; only a leader of a later term replaces it, and none was elected before.
//!   So it did not answer that candidate; and if it was itself the target, it did not campaign.
//! * If it restarted in between, it has forgotten that. But a node that starts neither votes nor
//!   campaigns for the least election timeout, whoever asks.
//!
//! Messages that are lost, late or repeated change none of this: `revoked` only rises in a term.
//!
//! *Followers* forward: they ask the leader for the index and serve the read themselves.

use crate::action::Action;
use crate::error::{ReadError, Rejection};
use crate::event::ReadMode;
use crate::message::{Message, ReadIndex, ReadIndexReply, ReadOutcome};
use crate::raft::Raft;
use crate::reads::{ClientRead, ForwardedBatch, PendingRead, ReadRound, Reader};
use crate::role::Role;
use crate::types::{Index, NodeId, RequestId, Time};
use alloc::vec::Vec;

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
                    let reader = Reader::Client(id);
                    leader.reads.waiting.push(PendingRead { reader, since });
                    return self.serve_reads(actions);
                }
                ReadError::TooManyReads { limit }
            }
            (Role::Follower(follower), ReadMode::Quorum) if follower.leader().is_some() => {
                if follower.reads.len() < limit as usize {
                    follower.reads.waiting.push(ClientRead { id, since });
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
        for read in round.reads {
            match read.reader {
                Reader::Client(id) => actions.push(answer(id, Ok(index))),
                Reader::Peer { id, number } => {
                    self.reply_to_read(id, number, ReadOutcome::Ready { index }, actions);
                }
            }
        }
    }

    /// A follower has answered `round`.
    pub(crate) fn round_answered(&mut self, from: NodeId, round: u64, actions: &mut Vec<Action>) {
        let Some(leader) = self.leader_mut() else {
            return;
        };
        let needed = leader.reads.need_answers();
        if let Some(peer) = leader.peer_mut(from)
            && round > peer.round
        {
            peer.round = round;
            if needed {
                self.serve_reads(actions);
            }
        }
    }

    /// When a read has waited for too long, or is to be forwarded again.
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

    fn refuse_reads(&self, reads: Vec<PendingRead>, error: ReadError, actions: &mut Vec<Action>) {
        for read in reads {
            match read.reader {
                Reader::Client(id) => actions.push(answer(id, Err(error))),
                Reader::Peer { id, number } => {
                    self.reply_to_read(id, number, ReadOutcome::Refused, actions);
                }
            }
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

    /// Asks the leader on behalf of all reads that wait, with one ReadIndex at a time.
    fn forward_reads(&mut self, actions: &mut Vec<Action>) {
        let Role::Follower(follower) = &mut self.role else {
            return;
        };
        let reads = &mut follower.reads;
        if reads.under_way.is_none() && !reads.waiting.is_empty() {
            self.read_number = self.read_number.wrapping_add(1);
            reads.under_way = Some(ForwardedBatch {
                number: self.read_number,
                reads: core::mem::take(&mut reads.waiting),
                resend_at: self.now,
            });
            self.resend_read_index(actions);
        }
    }

    /// Sends the ReadIndex under way, if that is due.
    fn resend_read_index(&mut self, actions: &mut Vec<Action>) {
        let (now, term) = (self.now, self.hard_state.term());
        let Role::Follower(follower) = &mut self.role else {
            return;
        };
        let leader = follower.leader();
        if let Some(batch) = &mut follower.reads.under_way
            && let Some(to) = leader
            && batch.resend_at <= now
        {
            batch.resend_at = now.after(self.config.heartbeat_interval);
            let number = batch.number;
            let message = Message::ReadIndex(ReadIndex { term, number });
            actions.push(Action::Send { to, message });
        }
    }

    fn reply_to_read(
        &self,
        to: NodeId,
        number: u64,
        outcome: ReadOutcome,
        actions: &mut Vec<Action>,
    ) {
        let message = Message::ReadIndexReply(ReadIndexReply {
            term: self.hard_state.term(),
            number,
            outcome,
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
        let ReadIndex { term, number } = request;
        let ours = self.hard_state.term();
        if term > ours {
            // The follower takes this node for the leader of a term that it has not reached.
            return Err(Rejection::UnsolicitedReply { term });
        }
        let since = self.now;
        let is_member = self.configurations.membership().get(from).is_some();
        let leader = match &mut self.role {
            Role::Leader(leader) if term == ours && is_member => leader,
            Role::Leader(_) | Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                self.reply_to_read(from, number, ReadOutcome::Refused, actions);
                return Ok(());
            }
        };
        let reader = Reader::Peer { id: from, number };
        if leader.reads.all().any(|read| read.reader == reader) {
            return Ok(()); // The follower sent it again because the answer takes long.
        }
        // A follower asks one ReadIndex at a time: it has given up any earlier one.
        let same =
            |read: &PendingRead| matches!(read.reader, Reader::Peer { id, .. } if id == from);
        leader.reads.waiting.retain(|read| !same(read));
        leader.reads.waiting.push(PendingRead { reader, since });
        self.serve_reads(actions);
        Ok(())
    }

    /// The leader has answered.
    pub(crate) fn read_index_reply(
        &mut self,
        from: NodeId,
        reply: ReadIndexReply,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        // The request may have left before its term was on this node's disk, and a crash may have
        // taken that term back. The reads are gone then, but the term counts.
        self.adopt_term(reply.term, actions);
        let Role::Follower(follower) = &mut self.role else {
            return Ok(());
        };
        let from_leader = follower.leader() == Some(from);
        let answered = |batch: &mut ForwardedBatch| from_leader && batch.number == reply.number;
        let Some(batch) = follower.reads.under_way.take_if(answered) else {
            return Ok(()); // Late.
        };
        let outcome = match reply.outcome {
            // The leader's term is this node's own, or it would not lead.
            ReadOutcome::Ready { index } if reply.term == self.hard_state.term() => Ok(index),
            ReadOutcome::Ready { .. } | ReadOutcome::Refused => Err(ReadError::LeaderChanged),
        };
        actions.extend(batch.reads.iter().map(|read| answer(read.id, outcome)));
        self.forward_reads(actions);
        Ok(())
    }
}
