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
use crate::message::{Lineage, Message, Vote};
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{NodeId, Time};
use crate::vote_request::Heard;
use alloc::vec::Vec;

/// Whether a message shows that its sender founds the cluster: it asks for votes with an empty log,
/// or it would vote. A server of a cluster that was founded grants no such vote.
fn founds(message: &Message) -> bool {
    let is_founding = |lineage| matches!(lineage, Lineage::Founding { .. });
    match message {
        Message::PreVote(request) => is_founding(request.lineage),
        Message::RequestVote(request) => is_founding(request.lineage),
        Message::PreVoteReply(reply) => reply.vote == Vote::Granted,
        Message::RequestVoteReply(reply) => reply.vote == Vote::Granted,
        Message::AppendEntries(_)
        | Message::AppendEntriesReply(_)
        | Message::InstallSnapshot(_)
        | Message::InstallSnapshotReply(_)
        | Message::TimeoutNow(_)
        | Message::ReadIndex(_)
        | Message::ReadIndexReply(_) => false,
    }
}

impl Raft {
    /// `from` has sent this message about an election, which a correct peer may send.
    pub(crate) fn note_election_message(&mut self, from: NodeId, message: &Message) {
        let term = self.hard_state.term();
        let answers = match (message, &self.role) {
            (Message::PreVoteReply(reply), Role::PreCandidate(_)) => reply.asked == term.next(),
            (Message::RequestVoteReply(reply), Role::Candidate(_)) => reply.term == term,
            (_, _) => false,
        };
        if self.configurations.membership().is_voter(from) {
            let founds = founds(message);
            let heard = Heard { answers, founds };
            self.vote_retry.heard(from, self.now, heard);
        }
    }

    /// When a campaigning node sends its request again.
    pub(crate) fn vote_retry_deadline(&self) -> Time {
        let (own, retry) = (self.config.node_id, &self.vote_retry);
        let answered = |id| id == own || retry.has_answered(id);
        let mut missing = retry.missing(self.config.election_timeout_min);
        if missing.next().is_none() || self.elects(answered) {
            return Time::NEVER;
        }
        retry.due_at()
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
        if let Some(message) = retry.request() {
            let membership = self.configurations.membership();
            for to in retry.missing(self.config.election_timeout_min) {
                if membership.is_voter(to) {
                    let message = message.clone();
                    actions.push(Action::Send { to, message });
                }
            }
        }
        retry.sent_again(self.now);
    }
}
