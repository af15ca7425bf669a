//! Lease bound: a leader serves reads under its lease only while its voters cannot elect another
//! leader (thesis 6.4.1), whatever their clocks do within the configured bound.
//!
//! A lease that was too long shows as a stale read only if an election and a write fall between
//! its end and the time when it should have ended, a few milliseconds. So the checker predicts:
//! whenever a leader serves a lease read, each voter that heard it counts as bound for as long as
//! it promised ([`raft_proto::Config::lease_promise`]). That time begins when the leader began the
//! round that the voter heard, and is measured as if the leader's clock were as slow and the
//! voter's as fast as [`Lease::On`] allows. The voters that are not bound must not be a majority,
//! of each half if the leader's configuration is joint.
//!
//! As few reads come in just those milliseconds, the checker now and then asks a copy of a leader's
//! core for a read, at the very moment from which too few voters are bound, as if no message had
//! arrived until then.
//!
//! Sound: the checker knows that a voter heard a round before the voter's answer can reach the
//! leader, and a lease depends on answers. `p (1 - 2 d)`, the lease that a core allows itself, is
//! less than `p (1 - d) / (1 + d)`, the bound that is required here. All times are by the leader's
//! own clock, so clocks that jump, or drift by more than the bound, do not matter: the reads that
//! they make stale are no defect of the core.
//!
//! Cost: a note for each message of a leader, a pass over the voters for each lease read, and a
//! copy of a core for one in [`PREDICT_EVERY`] steps of leaders. Copies are more frequent at the
//! beginning of a run, so that short runs are checked, too.

use super::leader_contact::LeaderContact;
use super::quorum::has_quorum;
use super::violation::{Nodes, Violation};
use raft_proto::{
    Action, Config, Event, Input, Lease, Message, NodeId, Raft, ReadMode, RequestId, RoleKind,
    Term, Time,
};
use std::collections::VecDeque;
use std::time::Duration;

/// How many steps leaders take at most between two predictions.
pub const PREDICT_EVERY: u32 = 256;

/// A round of heartbeats.
#[derive(Clone, Copy, Debug)]
struct Round {
    number: u64,
    /// When it began, by the leader's clock.
    began: Time,
}

/// A node, as a leader that begins rounds and as a voter that hears them.
#[derive(Clone, Debug)]
struct Node {
    id: NodeId,
    now: Time,
    /// The last term that it led in.
    led: Term,
    /// The rounds that it began in that term, by their numbers.
    rounds: VecDeque<Round>,
    /// The voters that heard it in that term, and when the last round that each heard began. A
    /// voter may have heard another leader since: where clocks are at fault, that is no defect of
    /// the core.
    heard_by: Vec<(NodeId, Time)>,
    contact: Option<LeaderContact>,
    is_lease_read: bool,
}

impl Node {
    /// It sends a message of a round, which may be new.
    fn begin_round(&mut self, term: Term, round: u64, keep: Duration) {
        if self.led != term {
            self.led = term;
            self.rounds.clear();
            self.heard_by.clear();
        }
        // A message that waited for a write may leave after a message of a later round.
        let at = (self.rounds).partition_point(|known| known.number < round);
        let known = self.rounds.get(at);
        if known.is_none_or(|known| known.number != round) {
            let (number, began) = (round, self.now);
            self.rounds.insert(at, Round { number, began });
        }
        let now = self.now;
        let is_over = |round: &Round| round.began.after(keep) <= now;
        while self.rounds.len() > 1 && self.rounds.front().is_some_and(is_over) {
            self.rounds.pop_front();
        }
    }
}

/// What leases depend on: which voters heard which rounds.
#[derive(Debug, Default)]
pub struct Leases {
    nodes: Vec<Node>,
    /// How many steps leaders have taken, and at which one the next prediction is made.
    steps: u32,
    next_prediction: u32,
}

impl Leases {
    fn node(&mut self, id: NodeId) -> &mut Node {
        let at = self.nodes.iter().position(|node| node.id == id);
        let at = at.unwrap_or_else(|| {
            self.nodes.push(Node {
                id,
                now: Time::ZERO,
                led: Term(0),
                rounds: VecDeque::new(),
                heard_by: Vec::new(),
                contact: None,
                is_lease_read: false,
            });
            self.nodes.len() - 1
        });
        &mut self.nodes[at] // found or pushed
    }

    /// A node has stopped. If it heard a leader before, it is still bound: a node that starts waits
    /// as if it had just heard one.
    pub fn stopped(&mut self, node: NodeId) {
        let node = self.node(node);
        (node.now, node.led) = (Time::ZERO, Term(0));
        node.rounds.clear();
        node.heard_by.clear();
    }

    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        if raft.config().lease == Lease::Off {
            return;
        }
        let node = self.node(raft.id());
        node.now = node.now.max(event.at);
        node.contact = LeaderContact::in_input(&event.input);
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
        let Some(bound) = binding_time(raft.config()) else {
            return Ok(());
        };
        let node = self.node(raft.id());
        let serves = node.is_lease_read && is_served(actions);
        for action in actions {
            if let Action::Send { message, .. } = action
                && let Message::AppendEntries(request) = message
            {
                node.begin_round(request.term, request.round, bound);
            }
        }
        if let Some(contact) = node.contact.take()
            && contact.is_accepted(raft, actions)
        {
            self.hears(raft.id(), contact);
        }
        if raft.role() != RoleKind::Leader {
            return Ok(());
        }
        self.steps = self.steps.saturating_add(1);
        if self.steps >= self.next_prediction {
            let pause = (self.steps / 8).clamp(1, PREDICT_EVERY);
            self.next_prediction = self.steps.saturating_add(pause);
            self.predict(raft, bound)?;
        }
        let now = self.node(raft.id()).now;
        if serves && self.can_elect_another(raft, bound, now) {
            return Err(self.too_long(raft, bound, now));
        }
        Ok(())
    }

    /// A voter accepts a leader's message.
    fn hears(&mut self, voter: NodeId, contact: LeaderContact) {
        let leader = self.node(contact.leader);
        let Some(round) = contact.round.filter(|_| leader.led == contact.term) else {
            return;
        };
        let known = leader.rounds.iter().find(|known| known.number == round);
        let Some(Round { began: at, .. }) = known.copied() else {
            return; // It began long ago.
        };
        match leader.heard_by.iter_mut().find(|(id, _)| *id == voter) {
            Some((_, latest)) => *latest = at.max(*latest),
            None => leader.heard_by.push((voter, at)),
        }
    }

    /// Until when a voter is bound to the leader `raft`, by the leader's clock.
    fn bound_until(&self, raft: &Raft, bound: Duration, voter: NodeId) -> Time {
        if voter == raft.id() {
            return Time::NEVER;
        }
        let leads = |node: &&Node| node.id == raft.id() && node.led == raft.term();
        let heard_by = self.nodes.iter().find(leads).map(|node| &node.heard_by);
        let heard = heard_by.and_then(|all| all.iter().find(|(id, _)| *id == voter));
        heard.map_or(Time::ZERO, |(_, at)| at.after(bound))
    }

    /// Whether the voters that are not bound when the clock of `raft` shows `at` are a quorum.
    fn can_elect_another(&self, raft: &Raft, bound: Duration, at: Time) -> bool {
        let is_free = |voter| self.bound_until(raft, bound, voter) <= at;
        has_quorum(raft.membership(), is_free)
    }

    /// Predicts whether a leader that hears nothing more would still serve a read when too few
    /// voters are bound.
    fn predict(&mut self, raft: &Raft, bound: Duration) -> Result<(), Violation> {
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
        if is_served(&raft.clone().step(Event { at, input })) {
            return Err(self.too_long(raft, bound, at));
        }
        Ok(())
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

/// How long a voter is sure to be bound, by the leader's clock: `p (1 - d) / (1 + d)`.
fn binding_time(config: &Config) -> Option<Duration> {
    let Lease::On { max_drift_ppm } = config.lease else {
        return None;
    };
    let drift = u64::from(max_drift_ppm).min(1_000_000);
    let promise = config.promise_asked()?;
    let promise = u64::try_from(promise.as_nanos()).unwrap_or(u64::MAX);
    let parts = u128::from(promise) * u128::from(1_000_000 - drift) / u128::from(1_000_000 + drift);
    Some(Duration::from_nanos(
        u64::try_from(parts).unwrap_or(u64::MAX),
    ))
}
