//! A state with everything in it, on which a path is walked: openings, counterexamples, replays.
//!
//! It takes every step with the core itself and remembers nothing, so that a path which the search
//! found is proved by the core alone.

use super::choice::{Choice, OnItsWay, What, choices, is_outlived};
use super::envelope::Envelope;
use super::history::History;
use super::model::{Budget, Cost, Model};
use super::node::{Facts, Node};
use super::outcome::{Outcome, Violation};
use super::step::ModelEvent;
use raft_proto::{Config, Identity, Membership, MessageKind, NodeId, Recovered, Start, StartError};

/// A state of a model's cluster.
#[derive(Clone, Debug)]
pub struct World<'m> {
    pub(super) model: &'m Model,
    pub(super) nodes: Vec<Node>,
    /// Sorted by fingerprint.
    pub(super) network: Vec<(u64, Envelope)>,
    pub(super) history: History,
    pub(super) budget: Budget,
    /// The trace, if anybody reads it.
    pub(super) lines: Option<Vec<String>>,
    /// What the opening breaks.
    broken: Option<Violation>,
}

/// Why there is no such path.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The model's settings are refused.
    #[error("the model's settings: {0}")]
    Start(#[from] StartError),
    /// A property is violated.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// Something else can happen there.
    #[error("step {step} cannot happen here: {what}")]
    Impossible {
        /// Which step, from 1.
        step: usize,
        /// As it was written down.
        what: String,
    },
}

impl<'m> World<'m> {
    /// The state in which the exploration begins.
    ///
    /// # Errors
    ///
    /// The settings are refused, or the opening breaks a property.
    pub fn new(model: &'m Model) -> Result<World<'m>, WalkError> {
        let mut world = World {
            model,
            nodes: Vec::new(),
            network: Vec::new(),
            history: History::default(),
            budget: Budget::of(model),
            lines: Some(Vec::new()),
            broken: None,
        };
        for config in &model.configs {
            let disk = Recovered {
                identity: Some(identity(config)),
                ..Recovered::default()
            };
            let node = Node::new(config.clone(), disk)?;
            let mut outcome = node.clone().start(model.disks, world.lines.as_mut());
            // It started long ago: it may vote.
            outcome.node = outcome.node.shifted(config.election_timeout_min);
            world.nodes.push(node);
            world.put(world.nodes.len() - 1, outcome)?;
        }
        (model.opening)(&mut world);
        if let Some(violation) = world.broken.take() {
            return Err(violation.into());
        }
        Ok(world)
    }

    /// A state with these nodes, this history, and no messages.
    pub(super) fn of(model: &'m Model, nodes: Vec<Node>, history: History) -> World<'m> {
        World {
            model,
            nodes,
            network: Vec::new(),
            history,
            budget: Budget::of(model),
            lines: None,
            broken: None,
        }
    }

    fn put(&mut self, at: usize, outcome: Outcome) -> Result<(), Violation> {
        if let Some(violation) = outcome.violation {
            return Err(violation);
        }
        if let Some(node) = self.nodes.get_mut(at) {
            *node = outcome.node;
        }
        for envelope in outcome.sent {
            // To nodes that the model does not have, it is lost.
            if self.place(envelope.to).is_some() {
                let print = super::tables::print(&envelope.canonical());
                let at = self.network.partition_point(|it| it.0 < print);
                self.network.insert(at, (print, envelope));
            }
        }
        self.history = self.history.after(&outcome.observed)?;
        Ok(())
    }

    fn place(&self, node: NodeId) -> Option<usize> {
        place(node, self.model.nodes())
    }

    fn facts(&self) -> Vec<Facts> {
        self.nodes.iter().map(Node::facts).collect()
    }

    /// Whether the state as a whole is right.
    ///
    /// # Errors
    ///
    /// The property that it breaks.
    pub fn check(&self) -> Result<(), Violation> {
        let facts = self.facts();
        self.history.check(&facts.iter().collect::<Vec<_>>())
    }

    /// Forgets messages that can never matter again, as the search does.
    fn forget_outlived(&mut self) {
        if !self.model.reductions.outlived {
            return;
        }
        let facts = self.facts();
        let (nodes, disks, model) = (&self.nodes, self.model.disks, self.model);
        self.network.retain(|(_, envelope)| {
            let at = place(envelope.to, nodes.len()).unwrap_or_default();
            let (Some(node), Some(facts)) = (nodes.get(at), facts.get(at)) else {
                return false;
            };
            if !is_outlived(&envelope.message, facts) {
                return true;
            }
            let outcome = node.step(disks, &ModelEvent::Receives(envelope.clone()), None);
            let canonical = |node: &Node| node.canonical(model.times(), model.reads());
            let is_silent = outcome.sent.is_empty() && outcome.observed.is_empty();
            !(is_silent
                && outcome.violation.is_none()
                && canonical(&outcome.node) == canonical(node))
        });
    }

    /// All that can happen next.
    pub(super) fn choices(&mut self) -> Vec<Choice> {
        self.forget_outlived();
        let facts = self.facts();
        let facts: Vec<&Facts> = facts.iter().collect();
        let network = self.network.iter().map(|(print, envelope)| OnItsWay {
            print: *print,
            // All addressees are there: `put` has seen to it.
            to: self.place(envelope.to).unwrap_or_default() as u8,
        });
        let mut all = Vec::new();
        choices(self.model, &facts, network, &self.budget, &mut all);
        all
    }

    /// What happens by a choice, as a line.
    pub(super) fn describe(&self, choice: Choice) -> String {
        let node = NodeId(u64::from(choice.node) + 1);
        let message = |at: u32| {
            let message = self.network.get(at as usize);
            message.map_or_else(String::new, |(_, envelope)| envelope.to_string())
        };
        match choice.what {
            What::Receives(at) if choice.cost == Some(Cost::Repeat) => {
                format!("arrives, and once more later: {}", message(at))
            }
            What::Receives(at) => format!("arrives: {}", message(at)),
            What::Wakes => format!("{node} reaches its deadline"),
            What::TimesOut => format!("{node} times out"),
            What::Waits => format!("{node} hears nothing for an election timeout"),
            What::Persists => format!("{node} has its oldest write on disk"),
            What::Crashes(kept) => format!("{node} crashes and keeps {kept} more writes"),
            What::Proposes(number) => format!("{node} is given command {number}"),
            What::Reads(number) => format!("{node} is asked to read, {number}"),
            What::Compacts => format!("{node} makes a snapshot"),
            What::Operates(which) => match self.model.operations.get(usize::from(which)) {
                Some(operation) => format!("{node} is to {operation:?}"),
                None => String::new(),
            },
        }
    }

    /// Lets a choice happen, and checks everything.
    ///
    /// # Errors
    ///
    /// The property that it breaks.
    pub(super) fn take(&mut self, choice: Choice) -> Result<(), Violation> {
        if self.lines.is_some() {
            let line = self.describe(choice);
            self.lines.get_or_insert_default().push(format!("# {line}"));
        }
        let mut envelope = None;
        if let What::Receives(at) = choice.what {
            envelope = self.network.get(at as usize).cloned();
            if choice.cost.is_none() && envelope.is_some() {
                self.network.remove(at as usize);
            }
        }
        let envelope = envelope.as_ref().map(|(_, envelope)| envelope);
        let model_event = choice.what.model_event(self.model, envelope);
        let at = usize::from(choice.node);
        if let (Some(model_event), Some(node)) = (model_event, self.nodes.get(at)) {
            let outcome = node.step(self.model.disks, &model_event, self.lines.as_mut());
            if let Some(cost) = choice.cost {
                self.budget = self.budget.without(cost);
            }
            self.put(at, outcome)?;
        }
        self.check()
    }

    /// This happens, whatever the bounds are.
    pub(super) fn try_happens(&mut self, node: u64, what: What) -> Result<(), Violation> {
        let (node, cost) = (node as u8 - 1, None);
        self.take(Choice { node, what, cost })
    }

    /// For openings: this happens. An opening breaks no property.
    pub(super) fn happens(&mut self, node: u64, what: What) {
        let happened = self.try_happens(node, what);
        self.broken = self.broken.take().or(happened.err());
    }

    /// Delivers every message between these nodes, and answers to them, and lets their disks come
    /// up, until there is nothing left. All other messages are lost.
    pub(super) fn settle(&mut self, nodes: &[u64]) -> Result<(), Violation> {
        self.settle_by(nodes, |_| true)
    }

    /// As [`World::settle`], for some kinds of messages.
    fn settle_by(
        &mut self,
        nodes: &[u64],
        arrives: fn(MessageKind) -> bool,
    ) -> Result<(), Violation> {
        loop {
            let lags = |it: &&Node| nodes.contains(&it.raft.id().0) && !it.pending.is_empty();
            if let Some(node) = self.nodes.iter().find(lags) {
                self.try_happens(node.raft.id().0, What::Persists)?;
                continue;
            }
            let among = |it: &Envelope| {
                nodes.contains(&it.from.0) && nodes.contains(&it.to.0) && arrives(it.message.kind())
            };
            let Some(at) = self.network.iter().position(|(_, it)| among(it)) else {
                break;
            };
            let to = self.network.get(at).map_or(1, |(_, it)| it.to.0);
            self.try_happens(to, What::Receives(at as u32))?;
        }
        self.lose_all();
        Ok(())
    }

    /// For openings: as [`World::settle`].
    pub(super) fn deliver_among(&mut self, nodes: &[u64]) {
        let settled = self.settle(nodes);
        self.broken = self.broken.take().or(settled.err());
    }

    /// All messages on their way are lost.
    pub(super) fn lose_all(&mut self) {
        self.network.clear();
    }

    /// For openings: `node` is elected by these nodes, and all that it does as a leader is lost. Only
    /// without Pre-Vote.
    pub(super) fn elect_in_vain(&mut self, node: u64, by: &[u64]) {
        self.happens(node, What::TimesOut);
        let is_vote = |kind| {
            matches!(
                kind,
                MessageKind::RequestVote | MessageKind::RequestVoteReply
            )
        };
        let settled = self.settle_by(by, is_vote);
        self.broken = self.broken.take().or(settled.err());
    }

    /// For openings: `node` is elected by these nodes.
    pub(super) fn elect(&mut self, node: u64, by: &[u64]) {
        for other in by.iter().filter(|it| **it != node) {
            self.happens(*other, What::Waits);
        }
        self.happens(node, What::TimesOut);
        self.deliver_among(by);
    }
}

/// What the first write of a node stored, long ago.
fn identity(config: &Config) -> Identity {
    Identity {
        cluster_id: config.cluster_id,
        group_id: config.group_id,
        node_id: config.node_id,
        bootstrap: match &config.start {
            Start::Bootstrap { members } => Membership::of(members.iter().cloned()),
            Start::Join => Membership::default(),
        },
        incarnation: config.incarnation,
    }
}

/// The place of a node in a model with so many.
pub(super) fn place(node: NodeId, nodes: usize) -> Option<usize> {
    let at = usize::try_from(node.0.checked_sub(1)?).ok()?;
    (at < nodes).then_some(at)
}
