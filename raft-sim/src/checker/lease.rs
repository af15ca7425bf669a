//! Leases: a leader serves reads without asking only while its voters are sure not to elect
//! another (thesis 6.4.1), whatever their clocks do within the bound.
//!
//! That a lease was too long shows as a stale read only if an election and a write fall between
//! its end and where it should have ended, a few milliseconds. So it is foreseen: whenever a
//! lease read is served, each voter that heard the leader counts as bound for the least election
//! timeout from when the leader began to ask what the voter heard, were the leader's clock as
//! slow and the voter's as fast as [`Lease::On`] allows. The others must not be a majority, of
//! each half if the leader's configuration is joint.
//!
//! And as few reads come in just those milliseconds, now and then a copy of a leader's core is
//! asked for one at the very moment from which too few voters are bound, as if nothing more had
//! arrived until then.
//!
//! Sound: that a voter heard a round is known here before its answer can reach the leader, and a
//! lease rests on answers; `e (1 - 2 d)`, what a core allows itself, is less than
//! `e (1 - d) / (1 + d)`, what is asked here. All times are by the leader's own clock, so that
//! clocks that jump, or drift by more than the bound, do not matter: what they break is no
//! mistake of the core.
//!
//! Cost: a note for each message of a leader, a pass over the voters for each lease read, and a
//! copy of a core for one in [`ASK_EVERY`] steps of leaders; more often at a run's beginning, so that
//! short runs are not let off.

use super::leader_contact::LeaderContact;
use super::quorum::has_quorum;
use super::violation::{Nodes, Violation};
use raft_proto::{
    Action, Config, Event, Input, Lease, Message, NodeId, Raft, ReadMode, RequestId, RoleKind,
    Term, Time,
};
use std::collections::VecDeque;
use std::time::Duration;

/// How many steps leaders take at most between two copies that are asked.
pub const ASK_EVERY: u32 = 256;

/// A node, as a leader that asks and as a voter that hears.
#[derive(Clone, Debug)]
struct Node {
    id: NodeId,
    now: Time,
    /// The rounds that it began in a term as its leader, and when, by its own clock.
    led: Term,
    begun: VecDeque<(u64, Time)>,
    /// Who heard it in that term, and when it began to ask what they heard last. They may have
    /// heard others since: where clocks are at fault that is no mistake of the core.
    heard_by: Vec<(NodeId, Time)>,
    claim: Option<LeaderContact>,
    is_lease_read: bool,
}

impl Node {
    /// It asks, perhaps once more, in `round`.
    fn asks(&mut self, term: Term, round: u64, keep: Duration) {
        if self.led != term {
            self.led = term;
            self.begun.clear();
            self.heard_by.clear();
        }
        // What waited for a write may leave after what did not.
        let at = self.begun.partition_point(|(begun, _)| *begun < round);
        if self.begun.get(at).is_none_or(|(begun, _)| *begun != round) {
            self.begun.insert(at, (round, self.now));
        }
        let now = self.now;
        while self.begun.len() > 1
            && self
                .begun
                .front()
                .is_some_and(|(_, at)| at.after(keep) <= now)
        {
            self.begun.pop_front();
        }
    }
}

/// What leases rest on.
#[derive(Debug, Default)]
pub struct Leases {
    nodes: Vec<Node>,
    /// Steps that leaders took, and at which a copy is asked next.
    steps: u32,
    asked_next: u32,
}

impl Leases {
    fn node(&mut self, id: NodeId) -> &mut Node {
        let at = self.nodes.iter().position(|node| node.id == id);
        let at = at.unwrap_or_else(|| {
            self.nodes.push(Node {
                id,
                now: Time::ZERO,
                led: Term(0),
                begun: VecDeque::new(),
                heard_by: Vec::new(),
                claim: None,
                is_lease_read: false,
            });
            self.nodes.len() - 1
        });
        &mut self.nodes[at] // found or pushed
    }

    /// A node stopped. Who heard a leader before is still bound: it promises the same when it starts.
    pub fn stopped(&mut self, node: NodeId) {
        let node = self.node(node);
        (node.now, node.led) = (Time::ZERO, Term(0));
        node.begun.clear();
        node.heard_by.clear();
    }

    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        if raft.config().lease == Lease::Off {
            return;
        }
        let node = self.node(raft.id());
        node.now = node.now.max(event.at);
        node.claim = LeaderContact::in_input(&event.input);
        node.is_lease_read = matches!(
            event.input,
            Input::Read {
                mode: ReadMode::Lease,
                ..
            }
        );
    }

    /// `raft` has taken the last event and answered with `actions`.
    ///
    /// # Errors
    ///
    /// [`Violation::LeaseTooLong`].
    pub fn actions(&mut self, raft: &Raft, actions: &[Action]) -> Result<(), Violation> {
        let Some(bound) = promised(raft.config()) else {
            return Ok(());
        };
        let node = self.node(raft.id());
        let serves = node.is_lease_read && is_served(actions);
        for action in actions {
            if let Action::Send { message, .. } = action
                && let Message::AppendEntries(request) = message
            {
                node.asks(request.term, request.round, bound);
            }
        }
        if let Some(claim) = node.claim.take()
            && claim.is_taken(raft, actions)
        {
            self.hears(raft.id(), claim);
        }
        if raft.role() != RoleKind::Leader {
            return Ok(());
        }
        self.steps = self.steps.saturating_add(1);
        if self.steps >= self.asked_next {
            let pause = (self.steps / 8).clamp(1, ASK_EVERY);
            self.asked_next = self.steps.saturating_add(pause);
            self.foresee(raft, bound)?;
        }
        let now = self.node(raft.id()).now;
        match serves && self.can_elect_another(raft, bound, now) {
            true => Err(self.too_long(raft, bound, now)),
            false => Ok(()),
        }
    }

    /// A voter takes a leader's message for what it is.
    fn hears(&mut self, voter: NodeId, claim: LeaderContact) {
        let leader = self.node(claim.leader);
        let Some(round) = claim.round.filter(|_| leader.led == claim.term) else {
            return;
        };
        let begun = leader.begun.iter().find(|(begun, _)| *begun == round);
        let Some((_, at)) = begun.copied() else {
            return; // long ago
        };
        match leader.heard_by.iter_mut().find(|(id, _)| *id == voter) {
            Some((_, latest)) => *latest = at.max(*latest),
            None => leader.heard_by.push((voter, at)),
        }
    }

    /// Until when a voter of `raft` is bound to it, by its clock.
    fn bound_until(&self, raft: &Raft, bound: Duration, voter: NodeId) -> Time {
        if voter == raft.id() {
            return Time::NEVER;
        }
        let leads = |node: &&Node| node.id == raft.id() && node.led == raft.term();
        let heard_by = self.nodes.iter().find(leads).map(|node| &node.heard_by);
        let heard = heard_by.and_then(|all| all.iter().find(|(id, _)| *id == voter));
        heard.map_or(Time::ZERO, |(_, at)| at.after(bound))
    }

    /// Whether the voters that are not bound when the clock of `raft` shows `at` are enough.
    fn can_elect_another(&self, raft: &Raft, bound: Duration, at: Time) -> bool {
        let is_free = |voter| self.bound_until(raft, bound, voter) <= at;
        has_quorum(raft.membership(), is_free)
    }

    /// Whether a leader would still serve a read when too few are bound, did it hear nothing more.
    fn foresee(&mut self, raft: &Raft, bound: Duration) -> Result<(), Violation> {
        let now = self.node(raft.id()).now;
        let voters = raft.membership().voters();
        let ends = voters.map(|voter| self.bound_until(raft, bound, voter).max(now));
        let Some(at) = ends
            .filter(|at| *at < Time::NEVER && self.can_elect_another(raft, bound, *at))
            .min()
        else {
            return Ok(());
        };
        let input = Input::Read {
            id: RequestId(u64::MAX),
            mode: ReadMode::Lease,
        };
        match is_served(&raft.clone().step(Event { at, input })) {
            true => Err(self.too_long(raft, bound, at)),
            false => Ok(()),
        }
    }

    fn too_long(&self, raft: &Raft, bound: Duration, at: Time) -> Violation {
        let is_bound = |voter: &NodeId| self.bound_until(raft, bound, *voter) > at;
        Violation::LeaseTooLong {
            leader: raft.id(),
            term: raft.term(),
            bound: Nodes(raft.membership().voters().filter(is_bound).collect()),
        }
    }
}

fn is_served(actions: &[Action]) -> bool {
    let is_served = |action: &Action| matches!(action, Action::Read { outcome: Ok(_), .. });
    actions.iter().any(is_served)
}

/// How long a voter is sure to keep its promise by the leader's clock: `e (1 - d) / (1 + d)`.
fn promised(config: &Config) -> Option<Duration> {
    let Lease::On { max_drift_ppm } = config.lease else {
        return None;
    };
    let drift = u64::from(max_drift_ppm).min(1_000_000);
    let least = u64::try_from(config.election_timeout_min.as_nanos()).unwrap_or(u64::MAX);
    let parts = u128::from(least) * u128::from(1_000_000 - drift) / u128::from(1_000_000 + drift);
    Some(Duration::from_nanos(
        u64::try_from(parts).unwrap_or(u64::MAX),
    ))
}
