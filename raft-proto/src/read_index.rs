//! Linearizable reads (thesis 6.4). A read is served from a state machine that has applied all
//! that was committed when the read began. The leader knows that index, if it has committed an
//! entry of its own term and still leads; that it still leads is confirmed by a round of
//! messages to a majority, or known under a lease.
//!
//! *Rounds.* Each AppendEntries carries the number of the latest round, and its reply gives it
//! back: the sender of a reply took us for the leader after that round began. One round serves
//! all reads that came before it, and the reads that come while it is under way are served by
//! the next. Numbers are never reused in a term, and replies of other terms do not count.
//!
//! *Leases* (6.4.1). A majority that has answered a round has heard this leader after the round
//! began, and ignores candidates for the least election timeout from then on (`check_quorum.rs`):
//! nobody else is elected before that has passed on the fastest clock allowed. A leader that has
//! asked a successor to campaign has none, since voters answer that one.
//!
//! *Followers* forward: they ask the leader for the index and serve the read themselves.

use crate::action::Action;
use crate::error::{ReadError, Rejection};
use crate::event::ReadMode;
use crate::message::{Message, ReadIndex, ReadIndexReply, ReadOutcome};
use crate::quorum;
use crate::raft::Raft;
use crate::reads::{Asked, Forwarded, Reader, Waiting};
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
        let refused = match (&mut self.role, mode) {
            (Role::Leader(_), ReadMode::Lease) => {
                let outcome = self.read_under_lease();
                return actions.push(answer(id, outcome));
            }
            (Role::Leader(leader), ReadMode::Quorum) => {
                if leader.reads.len() < limit as usize {
                    let reader = Reader::Client(id);
                    leader.reads.waiting.push(Waiting { reader, since });
                    return self.serve_reads(actions);
                }
                ReadError::TooManyReads { limit }
            }
            (Role::Follower(follower), ReadMode::Quorum) if follower.leader().is_some() => {
                if follower.reads.len() < limit as usize {
                    follower.reads.waiting.push((id, since));
                    return self.forward_reads(actions);
                }
                ReadError::TooManyReads { limit }
            }
            (_, ReadMode::Quorum) => ReadError::NoLeader,
            (_, ReadMode::Lease) => ReadError::NotLeader {
                leader: self.leader(),
            },
        };
        actions.push(answer(id, Err(refused)));
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
        match proven && !leader.reads.lease_ended {
            true => Ok(self.commit_index),
            false => Err(ReadError::NoLease),
        }
    }

    /// "If the leader has not yet marked an entry from its current term committed, it waits
    /// until it has done so" (thesis 6.4): by Leader Completeness it holds what is committed, but
    /// does not know which entries those are.
    pub(crate) fn has_committed_in_term(&self) -> bool {
        match &self.role {
            Role::Leader(leader) => self.commit_index >= leader.term_start,
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => false,
        }
    }

    /// Begins the round that the waiting reads need, and ends one that a majority has answered.
    pub(crate) fn serve_reads(&mut self, actions: &mut Vec<Action>) {
        loop {
            let known = self.has_committed_in_term();
            let (now, own) = (self.now, self.config.node_id);
            let Role::Leader(leader) = &mut self.role else {
                return;
            };
            let peers = &leader.peers;
            let answered = |id| match peers.iter().find(|peer| peer.id == id) {
                Some(peer) => peer.round,
                None if id == own => leader.reads.round,
                None => 0,
            };
            let round = quorum::reached(self.configurations.membership(), answered);
            let round = round.unwrap_or(0);
            leader.reads.confirm(round);
            if let Some(asked) = leader.reads.asked.take_if(|asked| asked.round <= round) {
                self.reads_ready(asked, actions);
                continue;
            }
            let idle = leader.reads.asked.is_none();
            if !idle || leader.reads.waiting.is_empty() || !known {
                return;
            }
            leader.reads.begin_round(now, &self.config);
            leader.reads.asked = Some(Asked {
                round: leader.reads.round,
                index: self.commit_index,
                readers: core::mem::take(&mut leader.reads.waiting),
            });
            self.ask_voters(actions);
        }
    }

    fn reads_ready(&self, asked: Asked, actions: &mut Vec<Action>) {
        let index = asked.index;
        for read in asked.readers {
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
        let curious = leader.reads.is_curious();
        if let Some(peer) = leader.peer_mut(from)
            && round > peer.round
        {
            peer.round = round;
            if curious {
                self.serve_reads(actions);
            }
        }
    }

    /// When a read has waited for too long, or is to be forwarded again.
    pub(crate) fn reads_deadline(&self) -> Time {
        let patience = self.config.election_timeout_max;
        match &self.role {
            Role::Leader(leader) => {
                let oldest = leader.reads.oldest();
                oldest.map_or(Time::NEVER, |since| since.after(patience))
            }
            Role::Follower(follower) => follower.reads.deadline(patience),
            Role::PreCandidate(_) | Role::Candidate(_) => Time::NEVER,
        }
    }

    /// Refuses the reads that have waited for an election timeout: no read waits for ever.
    pub(crate) fn expire_reads(&mut self, actions: &mut Vec<Action>) {
        if self.reads_deadline() > self.now {
            return;
        }
        let patience = self.config.election_timeout_max;
        // Those that were already waiting at that time; none, in the first moments.
        let Some(before) = self.now.before(patience) else {
            return self.forward_again(actions);
        };
        let error = match self.has_committed_in_term() {
            false if matches!(self.role, Role::Leader(_)) => ReadError::NoCommitInTerm,
            true | false => ReadError::TimedOut,
        };
        match &mut self.role {
            Role::Leader(leader) => {
                let expired = leader.reads.take_older(before);
                self.refuse_reads(expired, error, actions);
            }
            Role::Follower(follower) => {
                let expired = follower.reads.take_older(before);
                actions.extend(expired.into_iter().map(|id| answer(id, Err(error))));
            }
            Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
        self.forward_again(actions);
    }

    fn refuse_reads(&self, reads: Vec<Waiting>, error: ReadError, actions: &mut Vec<Action>) {
        for read in reads {
            match read.reader {
                Reader::Client(id) => actions.push(answer(id, Err(error))),
                Reader::Peer { id, number } => {
                    self.reply_to_read(id, number, ReadOutcome::Refused, actions);
                }
            }
        }
    }

    /// This node leads no more, or follows another leader: whoever waits may ask again.
    pub(crate) fn end_reads(&mut self, error: ReadError, actions: &mut Vec<Action>) {
        match &mut self.role {
            Role::Leader(leader) => {
                let all = leader.reads.take_older(Time::NEVER);
                leader.reads.asked = None;
                self.refuse_reads(all, error, actions);
            }
            Role::Follower(follower) => {
                let all = core::mem::take(&mut follower.reads);
                actions.extend(all.all().map(|(id, _)| answer(id, Err(error))));
            }
            Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
    }

    /// Asks the leader on behalf of all reads that wait, one question at a time.
    fn forward_reads(&mut self, actions: &mut Vec<Action>) {
        let Role::Follower(follower) = &mut self.role else {
            return;
        };
        let reads = &mut follower.reads;
        if reads.asked.is_none() && !reads.waiting.is_empty() {
            self.read_number = self.read_number.wrapping_add(1);
            reads.asked = Some(Forwarded {
                number: self.read_number,
                readers: core::mem::take(&mut reads.waiting),
                again_at: self.now,
            });
            self.forward_again(actions);
        }
    }

    fn forward_again(&mut self, actions: &mut Vec<Action>) {
        let (now, term) = (self.now, self.hard_state.term);
        let Role::Follower(follower) = &mut self.role else {
            return;
        };
        let leader = follower.leader();
        if let Some(asked) = &mut follower.reads.asked
            && let Some(to) = leader
            && asked.again_at <= now
        {
            asked.again_at = self.config.next_heartbeat(now);
            let number = asked.number;
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
            term: self.hard_state.term,
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
        if term > self.hard_state.term {
            // It takes us for the leader of a term that we have not reached.
            return Err(Rejection::UnsolicitedReply { term });
        }
        let since = self.now;
        let is_member = self.configurations.membership().get(from).is_some();
        let current = term == self.hard_state.term && is_member;
        let Role::Leader(leader) = &mut self.role else {
            self.reply_to_read(from, number, ReadOutcome::Refused, actions);
            return Ok(());
        };
        if !current {
            self.reply_to_read(from, number, ReadOutcome::Refused, actions);
            return Ok(());
        }
        let reader = Reader::Peer { id: from, number };
        let asked = leader.reads.asked.iter().flat_map(|asked| &asked.readers);
        if asked
            .chain(&leader.reads.waiting)
            .any(|read| read.reader == reader)
        {
            return Ok(()); // It is asked again because the answer takes long.
        }
        // A follower asks one question at a time: it has given up any earlier one.
        let same = |read: &Waiting| matches!(read.reader, Reader::Peer { id, .. } if id == from);
        leader.reads.waiting.retain(|read| !same(read));
        leader.reads.waiting.push(Waiting { reader, since });
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
        // A question leaves before the term that it was asked in is on this node's disk: a crash may
        // have taken the term back, and who asked is gone. The term counts all the same.
        self.adopt_term(reply.term, actions);
        let Role::Follower(follower) = &mut self.role else {
            return Ok(());
        };
        let ours = follower.leader() == Some(from);
        let answered = |asked: &mut Forwarded| ours && asked.number == reply.number;
        let Some(asked) = follower.reads.asked.take_if(answered) else {
            return Ok(()); // Late.
        };
        let outcome = match reply.outcome {
            // The leader's term is ours, or it would not lead: a later one speaks for itself.
            ReadOutcome::Ready { index } if reply.term == self.hard_state.term => Ok(index),
            ReadOutcome::Ready { .. } | ReadOutcome::Refused => Err(ReadError::LeaderChanged),
        };
        actions.extend(asked.readers.into_iter().map(|(id, _)| answer(id, outcome)));
        self.forward_reads(actions);
        Ok(())
    }
}
