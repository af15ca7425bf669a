//! Pre-Vote (thesis 9.6): a node asks whether it would win before it begins a term, so that one
//! that was cut off disturbs nobody when it returns.
//!
//! A follower that its leader asks to take over (thesis 3.10) also asks first, and goes on
//! following meanwhile. It campaigns only if a majority would vote for it. Otherwise a target that
//! cannot reach a majority would depose a leader that can.
//!
//! A pre-vote changes nothing at the voter, not even its term, and promises nothing. It is a
//! message of its own, so that no late grant can be taken for a vote. The node that asks learns
//! the voter's term from any answer. Otherwise a node with the better log and the lower term, and
//! one with the worse log and the higher term, would refuse each other for ever.
//!
//! A node that was removed while it could not hear of it would ask for ever. So a voter tells a
//! node that is no member (`dismissal.rs`).

use crate::action::Action;
use crate::config::PreVoting;
use crate::error::Rejection;
use crate::message::{Campaign, Message, PreVote, PreVoteReply, Vote};
use crate::raft::Raft;
use crate::role::{Role, TransferPreVotes};
use crate::types::{Incarnation, NodeId};
use alloc::vec::Vec;

impl Raft {
    /// Asks every voter whether it would vote for this node in the next term.
    pub(crate) fn request_pre_votes(&mut self, actions: &mut Vec<Action>) {
        self.become_pre_candidate(actions);
        self.send_pre_votes(Campaign::Election, actions);
        self.count_pre_vote(self.config.node_id, actions);
    }

    /// The leader asks this node to take over, by its transfer `number`, and perhaps repeats that:
    /// pre-votes may be lost.
    pub(crate) fn request_transfer_pre_votes(&mut self, number: u64, actions: &mut Vec<Action>) {
        let Role::Follower(follower) = &mut self.role else {
            return;
        };
        if (follower.transfer.as_ref()).is_none_or(|transfer| transfer.number < number) {
            let granted = Vec::new();
            follower.transfer = Some(TransferPreVotes { number, granted });
        }
        self.send_pre_votes(Campaign::Transfer { number }, actions);
        self.count_pre_vote(self.config.node_id, actions);
    }

    pub(crate) fn send_pre_votes(&mut self, campaign: Campaign, actions: &mut Vec<Action>) {
        let request = PreVote {
            term: self.hard_state.term().next(),
            last_log: self.log.last(),
            campaign,
            lineage: self.lineage(),
        };
        self.vote_retry.prepare(Message::PreVote(request));
        self.vote_retry.begin(self.now, &self.config);
        let own = self.config.node_id;
        for to in self.configurations.membership().voters() {
            if to != own {
                let message = Message::PreVote(request);
                actions.push(Action::Send { to, message });
            }
        }
    }

    fn count_pre_vote(&mut self, voter: NodeId, actions: &mut Vec<Action>) {
        let (votes, campaign) = match &mut self.role {
            Role::PreCandidate(pre_candidate) => (&mut pre_candidate.granted, Campaign::Election),
            Role::Follower(follower) => {
                // Those are counted later.
                if let Some(doubt) = &mut follower.doubt {
                    doubt.granted_by(voter);
                }
                match &mut follower.transfer {
                    Some(TransferPreVotes { number, granted }) => {
                        (granted, Campaign::Transfer { number: *number })
                    }
                    None => return,
                }
            }
            Role::Candidate(_) | Role::Leader(_) => return,
        };
        if !votes.contains(&voter) {
            votes.push(voter);
        }
        let votes = votes.clone();
        // A follower may have lost its own vote since it asked.
        if self.elects(|id| votes.contains(&id)) && self.may_campaign() {
            self.campaign(campaign, actions);
        }
    }

    /// Receiver implementation: the receiver would vote for the sender if the sender's term is not
    /// behind, its log is at least as up to date (section 5.4.1), and the receiver would not ignore
    /// it because of a leader. Without CheckQuorum it would not: a leader that is heard but hears
    /// nobody never steps down then, and must not keep its followers from electing another. A
    /// receiver whose present term or vote is not on disk yet would not vote soon.
    pub(crate) fn pre_vote(
        &self,
        from: NodeId,
        incarnation: Option<Incarnation>,
        request: PreVote,
        actions: &mut Vec<Action>,
    ) {
        let ours = self.hard_state.term();
        let would_vote = request.term > ours
            && self.may_elect(request.lineage)
            && !self.is_impaired()
            && request
                .last_log
                .is_at_least_as_up_to_date_as(self.log.last())
            && !self.election_is_under_way()
            && !self.sticks_to_leader(request.term, request.campaign);
        let message = Message::PreVoteReply(PreVoteReply {
            term: ours,
            asked: request.term,
            vote: if would_vote {
                Vote::Granted
            } else {
                Vote::Refused
            },
            dismissal: self.dismissal_of(from, incarnation, request.lineage),
            lineage: self.lineage(),
        });
        actions.push(Action::Send { to: from, message });
    }

    /// A node has lost its leader, and its log is behind this one's: it needs the votes of others,
    /// and this node is the better candidate. If this node has had no contact with a leader for the
    /// least election timeout either, it need not wait for the rest of its own: it asks for pre-votes
    /// within a heartbeat interval, drawn, so that one of several such nodes is first. A node that
    /// has voted in a term without a leader still gives that candidate its time (section 5.2). A
    /// node that has just started may have had contact and forgotten it: a lease may rest on that
    /// (`check_quorum.rs`), so it does not vote for itself either.
    ///
    /// Contact with a leader that commits nothing is another matter (`deaf_leader.rs`).
    pub(crate) fn follow_pre_vote(
        &mut self,
        from: NodeId,
        request: PreVote,
        actions: &mut Vec<Action>,
    ) {
        let is_behind = !request
            .last_log
            .is_at_least_as_up_to_date_as(self.log.last());
        // What the log of an earlier term has more will never be committed.
        if !is_behind {
            self.note_entries_of_others(request.last_log.index);
        }
        if self.config.pre_vote == PreVoting::Off || !is_behind {
            return;
        }
        let has_voted = self.voted_for().is_some() && self.leader().is_none();
        if has_voted || self.may_not_vote_yet() {
            return;
        }
        if self.has_leader_contact() {
            return self.give_up_leader(from, actions);
        }
        let (now, span) = (self.now, self.config.heartbeat_interval);
        let least = self.config.election_timeout_min;
        if let Role::Follower(follower) = &self.role
            && follower.election_at() > now.after(span)
            && !follower.voted_within(least, now)
        {
            let delay = self.timeouts.draw_below(span, &self.config);
            self.hasten_election(delay);
        }
    }

    /// A voter answered.
    pub(crate) fn pre_vote_reply(
        &mut self,
        from: NodeId,
        incarnation: Option<Incarnation>,
        reply: PreVoteReply,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let ours = self.hard_state.term();
        let is_voter = self.configurations.membership().is_voter(from);
        if is_voter && let Some(dismissal) = reply.dismissal {
            self.learn_dismissal(dismissal, actions)?;
        }
        if reply.term > ours {
            if self.may_teach_term(from) {
                self.adopt_term(reply.term, actions);
            }
        } else if reply.asked == ours.next() {
            self.trust_leader(from, incarnation);
            if is_voter && reply.vote == Vote::Granted && self.counts_votes_of(incarnation) {
                self.count_pre_vote(from, actions);
            }
        }
        Ok(())
    }
}
