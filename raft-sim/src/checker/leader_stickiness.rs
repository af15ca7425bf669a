//! Leader stickiness: "if a server receives a RequestVote request within the minimum election
//! timeout of hearing from a current leader, it does not update its term or grant its vote"
//! (thesis 4.2.3), unless that leader asked for the election (3.10).
//!
//! The consequence of a mistake here is rarely seen: a stale read needs an election that is won, a
//! write, and a read at the deposed leader, all before the lease ends. So this checker watches the
//! votes themselves. With [`raft_proto::CheckQuorum::On`] a node is bound whenever it hears the
//! leader of its term. With leases it is also bound when it starts, as it may have heard a leader
//! just before it stopped, and has forgotten.
//!
//! A candidate that the leader told to start an election says so in its request, with the number of
//! the transfer. A node may vote for it although it hears that leader, but not if it has also heard
//! that the leader has given that transfer up, nor if it has just started where leases are used: a
//! lease may rest on that.
//!
//! A node whose transport cannot reach its leader may take the leader for gone. Then it is bound
//! only for as long as it promised for that leader's lease.
//!
//! A node that an operator asks to campaign votes for itself, and is bound as any other voter.
//!
//! Sound: both last for the least election timeout by the node's own clock. Pre-votes bind no
//! voter, so they are ignored.
//!
//! Cost: a few comparisons a step.

use super::leader_contact::{LeaderContact, loses_leader};
use super::observation::vote_of;
use super::violation::Violation;
use super::wait_reason::WaitReason;
use raft_proto::{
    Action, Campaign, CheckQuorum, Event, HardState, Input, Lease, Message, NodeId, Raft,
    RequestVote, Term, Time,
};

/// A node between its steps.
#[derive(Clone, Copy, Debug)]
struct Voter {
    id: NodeId,
    /// Its clock at the last event; none before the first.
    now: Option<Time>,
    /// Why it was last bound not to vote.
    bound: Option<Bound>,
    /// Its term and vote before the present step.
    before: HardState,
    /// The leader's message that the present step takes, if it takes one.
    contact: Option<LeaderContact>,
    /// Until when it has promised to elect nobody else.
    promised_until: Time,
    /// The transfers that the leader of a term has given up, as that leader said.
    revoked: Option<Revoked>,
    /// Why the candidate campaigns whose RequestVote the present step takes, if it takes one.
    vote_requested: Option<RequestVote>,
}

/// A leader of `term` has given up its transfers up to `number`.
#[derive(Clone, Copy, Debug)]
struct Revoked {
    term: Term,
    number: u64,
}

/// A voter must not vote: for the least election timeout, or what it promised.
#[derive(Clone, Copy, Debug)]
struct Bound {
    reason: WaitReason,
    since: Time,
    until: Time,
    term: Term,
}

/// When each node was last bound not to vote.
#[derive(Debug, Default)]
pub struct LeaderStickiness {
    voters: Vec<Voter>,
}

impl LeaderStickiness {
    fn voter(&mut self, id: NodeId) -> &mut Voter {
        let at = self.voters.iter().position(|voter| voter.id == id);
        let at = at.unwrap_or_else(|| {
            self.voters.push(Voter {
                id,
                now: None,
                bound: None,
                before: HardState::default(),
                contact: None,
                promised_until: Time::ZERO,
                revoked: None,
                vote_requested: None,
            });
            self.voters.len() - 1
        });
        &mut self.voters[at] // found or pushed
    }

    /// A node has stopped.
    pub fn stopped(&mut self, node: NodeId) {
        self.voters.retain(|voter| voter.id != node);
    }

    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        let voter = self.voter(raft.id());
        let now = voter.now.map_or(event.at, |now| now.max(event.at));
        let is_first = voter.now.replace(now).is_none();
        if is_first && matches!(raft.config().lease, Lease::On { .. }) {
            voter.bound = Some(Bound {
                reason: WaitReason::Started,
                since: now,
                until: now.after(raft.config().election_timeout_min),
                term: raft.term(),
            });
        }
        if loses_leader(raft, &event.input)
            && let Some(bound) = &mut voter.bound
            && matches!(bound.reason, WaitReason::Heard(_))
        {
            bound.until = voter.promised_until;
        }
        voter.before = vote_of(raft);
        voter.contact = LeaderContact::in_input(&event.input);
        voter.vote_requested = None;
        if let Input::Receive { message, .. } = &event.input
            && let Message::RequestVote(request) = message
        {
            voter.vote_requested = Some(*request);
        }
    }

    /// `raft` has taken the last event and answered with `actions`.
    ///
    /// # Errors
    ///
    /// [`Violation::VoteDespiteLeader`].
    pub fn actions(&mut self, raft: &Raft, actions: &[Action]) -> Result<(), Violation> {
        let voter = self.voter(raft.id());
        let (Some(now), CheckQuorum::On) = (voter.now, raft.config().check_quorum) else {
            return Ok(());
        };
        if let Some(contact) = voter.contact
            && contact.is_accepted(raft, actions)
        {
            voter.promised_until = voter.promised_until.max(now.after(contact.promise));
            let least = now.after(raft.config().election_timeout_min);
            voter.bound = Some(Bound {
                reason: WaitReason::Heard(contact.leader),
                since: now,
                until: least.max(voter.promised_until),
                term: contact.term,
            });
            voter.hear_revoked(contact);
        }
        let campaigns =
            |action: &Action| matches!(action, Action::Campaigning { outcome: Ok(_), .. });
        if actions.iter().any(campaigns) {
            return voter.check_campaign(raft, now);
        }
        let (before, after) = (voter.before, vote_of(raft));
        match after.voted_for {
            Some(candidate) if after != before => match voter.vote_requested {
                Some(request) => voter.check_vote(raft, candidate, request),
                None => Ok(()),
            },
            Some(_) | None => Ok(()),
        }
    }
}

impl Voter {
    /// It has heard which transfers the leader has given up.
    fn hear_revoked(&mut self, contact: LeaderContact) {
        let Some(number) = contact.revoked else {
            return;
        };
        let term = contact.term;
        match &mut self.revoked {
            Some(known) if known.term == term => known.number = known.number.max(number),
            known => *known = Some(Revoked { term, number }),
        }
    }

    /// Whether the leader that it hears asked for this election, as far as it knows.
    fn is_asked_for(&self, request: RequestVote) -> bool {
        let Campaign::Transfer { number } = request.campaign else {
            return false;
        };
        let is_given_up =
            |revoked: Revoked| revoked.term.next() == request.term && number <= revoked.number;
        !self.revoked.is_some_and(is_given_up)
    }

    /// It campaigns because an operator asked for it: it votes for itself, at once or soon.
    fn check_campaign(&self, raft: &Raft, now: Time) -> Result<(), Violation> {
        match self.bound {
            Some(bound) if now < bound.until => Err(self.broken(raft, self.id, bound, now)),
            Some(_) | None => Ok(()),
        }
    }

    /// It has granted its vote to `candidate`.
    fn check_vote(
        &self,
        raft: &Raft,
        candidate: NodeId,
        request: RequestVote,
    ) -> Result<(), Violation> {
        let is_in_force = |bound: &Bound| {
            let is_excused = match bound.reason {
                WaitReason::Heard(_) => self.is_asked_for(request),
                WaitReason::Started | WaitReason::Granted(_) => false,
            };
            let is_over = self.now >= Some(bound.until);
            bound.term < raft.term() && !is_over && !is_excused
        };
        match self.bound.filter(is_in_force) {
            Some(bound) => {
                let now = self.now.unwrap_or(bound.since);
                Err(self.broken(raft, candidate, bound, now))
            }
            None => Ok(()),
        }
    }

    /// It votes although it is bound.
    fn broken(&self, raft: &Raft, candidate: NodeId, bound: Bound, now: Time) -> Violation {
        Violation::VoteDespiteLeader {
            node: self.id,
            candidate,
            term: raft.term(),
            reason: bound.reason,
            waited: now.since(bound.since),
            least: bound.until.since(bound.since),
        }
    }
}
