//! The receivers of the RPCs, one file each, their steps in the paper's order.

mod append_entries;
mod install_snapshot;
mod request_vote;

use crate::action::Action;
use crate::error::Rejection;
use crate::incarnation::Audience;
use crate::membership::Membership;
use crate::message::Message;
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{Incarnation, NodeId, Term};
use alloc::vec::Vec;

impl Raft {
    /// A message came. If no correct peer sends it, nothing changes.
    pub(crate) fn receive(
        &mut self,
        from: NodeId,
        incarnation: Option<Incarnation>,
        message: &mut Message,
        actions: &mut Vec<Action>,
    ) {
        let received = match self.admit(from, message) {
            Ok(()) => match self.admit_incarnation(from, incarnation, message, actions) {
                Audience::Granted => self.dispatch(from, incarnation, message, actions),
                Audience::Denied => self.learn_from_another_disk(from, message, actions),
            },
            Err(Rejection::OtherHistory { .. }) if self.founded_in_vain(message) => Ok(()),
            Err(reason) => {
                if reason == Rejection::OtherFounders {
                    self.answer_dismissed(from, incarnation, message, actions);
                } else if matches!(reason, Rejection::OtherHistory { .. }) {
                    self.name_history(from, message, actions);
                }
                Err(reason)
            }
        };
        if let Err(reason) = received {
            self.reject(from, reason, actions);
        }
    }

    /// Gives an admitted message to its receiver, which may take out what it holds.
    fn dispatch(
        &mut self,
        from: NodeId,
        incarnation: Option<Incarnation>,
        message: &mut Message,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        match *message {
            Message::RequestVote(request) => {
                self.note_election_message(from, message);
                // Also one that this node ignores for its leader's sake: without Pre-Vote nothing
                // else tells a removed node, and it would raise its term for ever.
                self.answer_dismissed(from, incarnation, message, actions);
                self.request_vote(from, request, actions);
                Ok(())
            }
            Message::RequestVoteReply(reply) => {
                self.note_election_message(from, message);
                self.request_vote_reply(from, incarnation, reply, actions)
            }
            Message::AppendEntries(ref mut request) => self.append_entries(from, request, actions),
            Message::AppendEntriesReply(ref reply) => {
                self.append_entries_reply(from, reply, actions)
            }
            Message::InstallSnapshot(ref mut request) => {
                self.install_snapshot(from, request, actions)
            }
            Message::InstallSnapshotReply(reply) => {
                self.install_snapshot_reply(from, reply, actions)
            }
            Message::PreVote(request) => {
                self.note_election_message(from, message);
                self.pre_vote(from, incarnation, request, actions);
                self.follow_pre_vote(from, request, actions);
                Ok(())
            }
            Message::PreVoteReply(reply) => {
                self.note_election_message(from, message);
                self.pre_vote_reply(from, incarnation, reply, actions)
            }
            Message::TimeoutNow(request) => self.timeout_now(from, request, actions),
            Message::ReadIndex(request) => self.read_index(from, request, actions),
            Message::ReadIndexReply(reply) => self.read_index_reply(from, reply, actions),
        }
    }

    /// Whether a leader of a term that is past may have sent this as the founder of a history of its
    /// own. It sends its founding entry before any disk has it. If none ever has, the founders elect
    /// another one, with another history. So the message is late, and not wrong. It is not answered:
    /// a leader of a cluster of another history would take the term from the answer.
    fn founded_in_vain(&self, message: &Message) -> bool {
        matches!(message, Message::AppendEntries(_)) && message.term() < self.hard_state.term()
    }

    #[cold]
    fn reject(&mut self, from: NodeId, reason: Rejection, actions: &mut Vec<Action>) {
        self.peer_faults.count(&reason);
        actions.push(Action::Rejected { from, reason });
    }

    /// Whether `from` may lead in `term`, which is not below currentTerm. There cannot be two
    /// leaders in one term (Election Safety, section 5.2). A leader whose log contradicts what is
    /// committed is not followed.
    pub(crate) fn admit_leader(&self, from: NodeId, term: Term) -> Result<(), Rejection> {
        if self.peer_faults.is_violator(from, term) {
            return Err(Rejection::NotFollowed { term });
        }
        match self.leader() {
            Some(leader) if term == self.hard_state.term() && leader != from => {
                Err(Rejection::SecondLeader { term, leader })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// `from` leads in `term`: "if AppendEntries RPC received from new leader: convert to
    /// follower". This is contact with the leader, and resets the election timer (section 5.2). It
    /// need not be a member in this node's configurations, which may be behind (thesis 4.2.2).
    pub(crate) fn follow(&mut self, from: NodeId, term: Term, actions: &mut Vec<Action>) {
        self.adopt_term(term, actions);
        if self.leader() != Some(from) {
            self.become_follower(Some(from), actions);
            self.follow_priorities();
        }
        self.leader_contact.heard(self.now);
        self.reset_election_timer();
    }

    /// Whether `from` may depose this node, or end a term here, by the higher term in a *reply*: if
    /// it is a member in a configuration that may be in force, or if this node knows no members
    /// yet. A node that was removed, or never was a member, may answer late, and in any term. It is
    /// no part of "all servers" (Figure 2), and no majority needs its term.
    ///
    /// The terms of *requests* are adopted from any node: a receiver may not know yet the
    /// configuration by which a candidate or a leader was added (thesis 4.2.2). Candidates that
    /// disturb a leader are ignored by another rule (`check_quorum.rs`).
    pub(crate) fn may_teach_term(&self, from: NodeId) -> bool {
        let membership = self.configurations.membership();
        let is_member = |membership: &Membership| membership.get(from).is_some();
        let mut since = self.configurations.since(self.commit_index.get());
        membership.is_empty() || is_member(membership) || since.any(is_member)
    }

    /// A reply to this node as a leader. It is in time if this node leads in the reply's term and
    /// the sender is its follower.
    fn admit_reply(
        &mut self,
        from: NodeId,
        term: Term,
        answer: Answer,
        actions: &mut Vec<Action>,
    ) -> Result<Replied, Rejection> {
        if term > self.hard_state.term() {
            return match answer {
                Answer::StaleTerm => {
                    if self.may_teach_term(from) {
                        self.adopt_term(term, actions);
                    }
                    Ok(Replied::Late)
                }
                // Only this node could have sent the request, in a term that it has not reached.
                Answer::ToRequest => Err(Rejection::UnsolicitedReply { term }),
            };
        }
        match &self.role {
            Role::Leader(leader) if term == self.hard_state.term() => match leader.peer(from) {
                Some(_) => Ok(Replied::InTime),
                // A node that has been removed may still answer.
                None => Ok(Replied::Late),
            },
            Role::Leader(_) | Role::PreCandidate(_) | Role::Candidate(_) | Role::Follower(_) => {
                Ok(Replied::Late)
            }
        }
    }
}

/// What a reply says of the term.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// The request was of an earlier term; the reply carries the newer one.
    StaleTerm,
    /// The request was answered, in its own term.
    ToRequest,
}

/// When a reply arrives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replied {
    /// In the term in which this node leads.
    InTime,
    /// In any other: it is of no use.
    Late,
}
