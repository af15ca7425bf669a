//! The promise of voters: "if a server receives a RequestVote request within the minimum election
//! timeout of hearing from a current leader, it does not update its term or grant its vote"
//! (thesis 4.2.3), unless that leader asked for the election (3.10).
//!
//! What a broken promise leads to is rarely seen: a stale read needs an election that is won, a
//! write, and a read of the deposed leader, all before the lease ends. So the promise itself is
//! watched. With [`raft_proto::CheckQuorum::On`] a node gives it whenever it hears the leader of
//! its term. With leases it also gives it when it starts, as it may have heard a leader just
//! before it stopped, and has forgotten.
//!
//! Sound: both last for the least election timeout by the node's own clock, and only whom the
//! leader told to campaign says so in its request. Pre-votes promise nothing, so that they are
//! not looked at.
//!
//! Cost: a few comparisons a step.

use super::leader_contact::LeaderContact;
use super::violation::{Violation, WaitReason};
use raft_proto::{
    Action, Campaign, CheckQuorum, Event, Input, Lease, Message, NodeId, Raft, Term, Time,
};

/// A node between its steps.
#[derive(Clone, Copy, Debug)]
struct Voter {
    id: NodeId,
    /// Its clock at the last event; none before the first.
    now: Option<Time>,
    /// What it promised last, when, and in which term.
    promised: Option<(WaitReason, Time, Term)>,
    /// Its term and vote before the step that is under way.
    vote: (Term, Option<NodeId>),
    /// What the step that is under way takes.
    claim: Option<LeaderContact>,
    is_asked: bool,
}

/// When each node last promised to vote for nobody.
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
                promised: None,
                vote: (Term(0), None),
                claim: None,
                is_asked: false,
            });
            self.voters.len() - 1
        });
        &mut self.voters[at] // found or pushed
    }

    /// A node stopped.
    pub fn stopped(&mut self, node: NodeId) {
        self.voters.retain(|voter| voter.id != node);
    }

    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        let voter = self.voter(raft.id());
        let now = voter.now.map_or(event.at, |now| now.max(event.at));
        let is_first = voter.now.replace(now).is_none();
        if is_first && matches!(raft.config().lease, Lease::On { .. }) {
            voter.promised = Some((WaitReason::Started, now, raft.term()));
        }
        voter.vote = (raft.term(), raft.voted_for());
        voter.claim = LeaderContact::in_input(&event.input);
        voter.is_asked = matches!(
            &event.input,
            Input::Receive { message: Message::RequestVote(request), .. }
                if request.campaign == Campaign::Election
        );
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
        if let Some(claim) = voter.claim
            && claim.is_taken(raft, actions)
        {
            voter.promised = Some((WaitReason::Heard(claim.leader), now, claim.term));
        }
        let (before, after) = (voter.vote, (raft.term(), raft.voted_for()));
        match after.1 {
            Some(candidate) if voter.is_asked && after != before => voter.votes(raft, candidate),
            Some(_) | None => Ok(()),
        }
    }
}

impl Voter {
    fn votes(&self, raft: &Raft, candidate: NodeId) -> Result<(), Violation> {
        let least = raft.config().election_timeout_min;
        let holds = |(_, since, term): &(WaitReason, Time, Term)| {
            *term < raft.term() && self.now < Some(since.after(least))
        };
        let Some((reason, since, _)) = self.promised.filter(holds) else {
            return Ok(());
        };
        Err(Violation::VoteDespiteLeader {
            node: self.id,
            candidate,
            term: raft.term(),
            reason,
            waited: self.now.unwrap_or(since).since(since),
            least,
        })
    }
}
