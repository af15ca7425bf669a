//! When a node that campaigns sends its requests for votes, or pre-votes, again.
//!
//! "Servers retry RPCs if they do not receive a response in a timely manner" (section 5.1). Where
//! every third message is lost or late, hardly an election gets all its answers the first time, and
//! each try costs an election timeout: two of them with a pre-vote.
//!
//! What is sent again is a copy of the first request, as a network may make one too. So it changes
//! nothing about safety: a voter answers a copy as it answered the first, and a copy of a
//! RequestVote leaves only after the first, for which it waited until term and vote were on disk.
//!
//! Only a voter gets a copy that has not answered but was heard not long ago: its answer may be
//! lost. Voters that are down, or cut off, cost nothing. Once a majority has answered and this node
//! has not won, the network is not what it lacks.

use crate::action::Action;
use crate::config::Config;
use crate::message::Message;
use crate::quorum;
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{NodeId, Time};
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The request of the latest candidacy or pre-vote, and what was heard from voters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct VoteRetry {
    request: Option<Message>,
    /// When it was sent last; `NEVER` while it waits for the disk.
    sent_at: Time,
    /// How long after `sent_at` it is sent again. Doubles each time.
    pause: Duration,
    voters: Vec<Contact>,
}

/// A voter that was heard, by a message about an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Contact {
    voter: NodeId,
    at: Time,
    /// Whether it has answered the request.
    has_answered: bool,
}

impl Default for VoteRetry {
    fn default() -> VoteRetry {
        VoteRetry {
            request: None,
            sent_at: Time::NEVER,
            pause: Duration::ZERO,
            voters: Vec::new(),
        }
    }
}

impl VoteRetry {
    /// `request` is to be sent to the voters.
    pub(crate) fn prepare(&mut self, request: Message) {
        self.request = Some(request);
        self.sent_at = Time::NEVER;
        for contact in &mut self.voters {
            contact.has_answered = false;
        }
    }

    /// The request is sent to the voters for the first time.
    pub(crate) fn begin(&mut self, now: Time, config: &Config) {
        self.sent_at = now;
        self.pause = config.append_timeout.min(config.heartbeat_interval);
    }

    fn heard(&mut self, voter: NodeId, at: Time, has_answered: bool) {
        match self.voters.iter_mut().find(|it| it.voter == voter) {
            Some(contact) => {
                contact.at = at;
                contact.has_answered |= has_answered;
            }
            None => self.voters.push(Contact {
                voter,
                at,
                has_answered,
            }),
        }
    }

    fn has_answered(&self, voter: NodeId) -> bool {
        let mut voters = self.voters.iter();
        voters.any(|it| it.voter == voter && it.has_answered)
    }

    /// The voters that get a copy: heard within `period` before the request was sent last, or
    /// since.
    fn missing(&self, period: Duration) -> impl Iterator<Item = NodeId> + '_ {
        let missing = move |it: &&Contact| !it.has_answered && it.at.after(period) > self.sent_at;
        self.voters.iter().filter(missing).map(|it| it.voter)
    }
}

impl Raft {
    /// `from` has sent `message`, which a correct peer may send.
    pub(crate) fn note_election_message(&mut self, from: NodeId, message: &Message) {
        let term = self.hard_state.term();
        let has_answered = match (message, &self.role) {
            (Message::PreVoteReply(reply), Role::PreCandidate(_)) => reply.asked == term.next(),
            (Message::RequestVoteReply(reply), Role::Candidate(_)) => reply.term == term,
            (
                Message::PreVote(_)
                | Message::PreVoteReply(_)
                | Message::RequestVote(_)
                | Message::RequestVoteReply(_),
                _,
            ) => false,
            (
                Message::AppendEntries(_)
                | Message::AppendEntriesReply(_)
                | Message::InstallSnapshot(_)
                | Message::InstallSnapshotReply(_)
                | Message::TimeoutNow(_)
                | Message::ReadIndex(_)
                | Message::ReadIndexReply(_),
                _,
            ) => return,
        };
        if self.configurations.membership().is_voter(from) {
            self.vote_retry.heard(from, self.now, has_answered);
        }
    }

    /// When a campaigning node sends its request again.
    pub(crate) fn vote_retry_deadline(&self) -> Time {
        let (own, retry) = (self.config.node_id, &self.vote_retry);
        let answered = |id| id == own || retry.has_answered(id);
        let membership = self.configurations.membership();
        let mut missing = retry.missing(self.config.election_timeout_min);
        if missing.next().is_none() || quorum::reached(membership, answered) == Some(true) {
            return Time::NEVER;
        }
        retry.sent_at.after(retry.pause)
    }

    /// Sends the request of a campaigning node again, if that is due.
    pub(crate) fn retry_vote_request(&mut self, actions: &mut Vec<Action>) {
        let election_at = match &self.role {
            Role::PreCandidate(pre_candidate) => pre_candidate.election_at,
            Role::Candidate(candidate) => candidate.election_at,
            Role::Follower(_) | Role::Leader(_) => return,
        };
        if election_at <= self.now || self.vote_retry_deadline() > self.now {
            return;
        }
        let retry = &mut self.vote_retry;
        if let Some(message) = &retry.request {
            let membership = self.configurations.membership();
            for to in retry.missing(self.config.election_timeout_min) {
                if membership.is_voter(to) {
                    let message = message.clone();
                    actions.push(Action::Send { to, message });
                }
            }
        }
        retry.sent_at = self.now;
        retry.pause *= 2;
    }
}
