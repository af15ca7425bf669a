//! Everything that states are made of, each once, and every step of a node that was ever taken.
//!
//! The core is a pure function: equal nodes that take equal events do the same. There are far fewer
//! states of one node than of a cluster. So each node's state, each message and each history is
//! kept once and named by a number; a state of the cluster is a handful of numbers; and the core
//! takes a step only for a pair of node and event that was not seen before. All else is looking up.
//!
//! "Equal" means equal canonical forms. A collision of fingerprints of two of these (64 bits each)
//! would hide states; with a million of them its probability is below one in ten million.

use super::canonical::{Canonical, Renaming, scatter};
use super::choice::What;
use super::envelope::Envelope;
use super::history::History;
use super::model::Model;
use super::node::{Facts, Node};
use super::outcome::{Marks, Observed, Outcome, Violation};
use super::saved::Group;
use super::state::State;
use super::world::place;
use core::hash::{Hash, Hasher};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHasher};

/// Something that is kept once, and its fingerprint under each renaming of the nodes.
#[derive(Debug)]
struct Kept<T> {
    what: T,
    prints: Box<[u64]>,
}

/// Values that are kept once.
#[derive(Debug)]
struct Once<T> {
    all: Vec<Kept<T>>,
    by_print: FxHashMap<u64, u32>,
    /// Of all fingerprints, in order.
    digest: u64,
}

impl<T> Once<T> {
    fn new() -> Once<T> {
        Once {
            all: Vec::new(),
            by_print: FxHashMap::default(),
            digest: 0,
        }
    }

    fn keep(&mut self, prints: Box<[u64]>, what: T) -> u32 {
        let next = self.all.len() as u32; // Memory holds far fewer than 2^32.
        let print = prints.first().copied().unwrap_or_default();
        *self.by_print.entry(print).or_insert_with(|| {
            self.all.push(Kept { what, prints });
            self.digest = scatter(self.digest ^ print);
            next
        })
    }

    fn has(&self, number: u32) -> bool {
        (number as usize) < self.all.len()
    }

    #[allow(clippy::indexing_slicing)] // Numbers come from `keep`, or `has` knows them.
    fn get(&self, number: u32) -> &Kept<T> {
        &self.all[number as usize]
    }
}

/// A node and what happens to it; the message of [`What::Receives`] by its number.
pub(super) type StepKey = (u32, What);

/// A history and a step whose facts it takes in.
pub(super) type HistoryKey = (u32, u32);

/// What a step comes to, in numbers.
#[derive(Debug, Hash)]
pub(super) struct Effect {
    pub(super) node: u32,
    /// Sorted by fingerprint.
    pub(super) sent: Box<[u32]>,
    pub(super) observed: Vec<Observed>,
    pub(super) marks: Marks,
    pub(super) violation: Option<Violation>,
}

impl Effect {
    /// Whether the step changes nothing about this node, and nobody hears of it.
    pub(super) fn is_nothing_to(&self, node: u32) -> bool {
        let is_silent = self.sent.is_empty() && self.observed.is_empty();
        self.node == node && is_silent && self.violation.is_none()
    }
}

/// A step that was taken and not kept yet.
struct Taken {
    key: StepKey,
    outcome: Outcome,
    facts: Facts,
    print: Box<[u64]>,
    sent: Vec<(Box<[u64]>, Envelope)>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Tables<'m> {
    pub(super) model: &'m Model,
    /// The renamings under which states are the same.
    renamings: Vec<Renaming>,
    nodes: Once<(Node, Facts)>,
    envelopes: Once<Envelope>,
    histories: Once<History>,
    effects: Vec<Effect>,
    /// Of all steps and what they came to, and of what histories made of it, in order.
    effects_digest: u64,
    steps: FxHashMap<StepKey, u32>,
    next: FxHashMap<HistoryKey, Result<u32, Violation>>,
}

/// The fingerprint of a canonical form.
pub(super) fn print(canonical: &Canonical) -> u64 {
    canonical.fingerprint(&Renaming::identity())
}

impl<'m> Tables<'m> {
    pub(super) fn new(model: &'m Model) -> Tables<'m> {
        let renamings = if model.reductions.names {
            Renaming::all(model.nodes())
        } else {
            vec![Renaming::identity()]
        };
        Tables {
            model,
            renamings,
            nodes: Once::new(),
            envelopes: Once::new(),
            histories: Once::new(),
            effects: Vec::new(),
            effects_digest: 0,
            steps: FxHashMap::default(),
            next: FxHashMap::default(),
        }
    }

    /// How many renamings there are.
    pub(super) fn renamings(&self) -> usize {
        self.renamings.len()
    }

    fn prints(&self, canonical: &Canonical) -> Box<[u64]> {
        let print = |renaming| canonical.fingerprint(renaming);
        self.renamings.iter().map(print).collect()
    }

    fn prints_of(&self, node: &Node) -> Box<[u64]> {
        self.prints(&node.canonical(self.model.times(), self.model.reads()))
    }

    pub(super) fn keep_node(&mut self, node: Node) -> u32 {
        let facts = node.facts();
        let prints = self.prints_of(&node);
        self.nodes.keep(prints, (node, facts))
    }

    pub(super) fn keep_envelope(&mut self, envelope: Envelope) -> u32 {
        let prints = self.prints(&envelope.canonical());
        self.envelopes.keep(prints, envelope)
    }

    pub(super) fn keep_history(&mut self, history: History) -> u32 {
        let prints = self.prints(&history.canonical());
        self.histories.keep(prints, history)
    }

    pub(super) fn facts(&self, node: u32) -> &Facts {
        &self.nodes.get(node).what.1
    }

    pub(super) fn node(&self, node: u32) -> &Node {
        &self.nodes.get(node).what.0
    }

    pub(super) fn node_prints(&self, node: u32) -> &[u64] {
        &self.nodes.get(node).prints
    }

    pub(super) fn envelope(&self, envelope: u32) -> &Envelope {
        &self.envelopes.get(envelope).what
    }

    pub(super) fn envelope_prints(&self, envelope: u32) -> &[u64] {
        &self.envelopes.get(envelope).prints
    }

    /// The fingerprint by which networks are sorted.
    #[allow(clippy::indexing_slicing)] // There is always the identity.
    pub(super) fn envelope_print(&self, envelope: u32) -> u64 {
        self.envelopes.get(envelope).prints[0]
    }

    pub(super) fn history(&self, history: u32) -> &History {
        &self.histories.get(history).what
    }

    pub(super) fn history_prints(&self, history: u32) -> &[u64] {
        &self.histories.get(history).prints
    }

    /// The step's effect and its number, if it was ever taken.
    #[allow(clippy::indexing_slicing)] // Numbers of effects come from `keep` alone.
    pub(super) fn effect(&self, key: StepKey) -> Option<(u32, &Effect)> {
        let number = *self.steps.get(&key)?;
        Some((number, &self.effects[number as usize]))
    }

    /// The history after an effect with facts, if it was ever asked for.
    pub(super) fn history_after(&self, key: HistoryKey) -> Option<&Result<u32, Violation>> {
        self.next.get(&key)
    }

    /// Takes a step. Needs no change of the tables, so that many can be taken at once.
    fn take(&self, key: StepKey) -> Option<Taken> {
        let (node, what) = key;
        let mut envelope = None;
        if let What::Receives(number) = what {
            envelope = Some(self.envelope(number));
        }
        let model_event = what.model_event(self.model, envelope)?;
        let mut outcome = self.node(node).step(self.model.disks, &model_event, None);
        let facts = outcome.node.facts();
        let print = self.prints_of(&outcome.node);
        // To nodes that the model does not have, a message is lost.
        let there = |it: &Envelope| place(it.to, self.model.nodes()).is_some();
        let sent = std::mem::take(&mut outcome.sent).into_iter().filter(there);
        let sent = sent.map(|it| (self.prints(&it.canonical()), it)).collect();
        Some(Taken {
            key,
            outcome,
            facts,
            print,
            sent,
        })
    }

    /// Keeps a step.
    fn keep(&mut self, taken: Taken) {
        let outcome = taken.outcome;
        let node = (self.nodes).keep(taken.print, (outcome.node, taken.facts));
        let envelopes = &mut self.envelopes;
        let kept = (taken.sent.into_iter()).map(|(prints, it)| envelopes.keep(prints, it));
        let mut sent: Vec<u32> = kept.collect();
        sent.sort_unstable_by_key(|it| self.envelope_print(*it));
        let number = self.effects.len() as u32;
        let effect = Effect {
            node,
            sent: sent.into(),
            observed: outcome.observed,
            marks: outcome.marks,
            violation: outcome.violation,
        };
        self.digest_effect((taken.key, &effect));
        self.effects.push(effect);
        self.steps.insert(taken.key, number);
    }

    fn digest_effect(&mut self, effect: impl Hash) {
        let mut hasher = FxHasher::default();
        effect.hash(&mut hasher);
        self.effects_digest = scatter(self.effects_digest ^ hasher.finish());
    }

    /// Whether steps from a file name only what is there. Those of another build may not.
    pub(super) fn have(&self, group: &Group) -> bool {
        let has_step = |(node, what): &StepKey| {
            let is_of_unknown =
                matches!(what, What::Receives(message) if !self.envelopes.has(*message));
            self.nodes.has(*node) && !is_of_unknown
        };
        let has_effect = |effect: u32| (effect as usize) < self.effects.len();
        let has_history = |key: &HistoryKey| self.histories.has(key.0) && has_effect(key.1);
        group.steps.iter().all(has_step) && group.histories.iter().all(has_history)
    }

    /// Whether a state from a file names only what is there.
    pub(super) fn have_state(&self, state: &State) -> bool {
        state.nodes.iter().all(|it| self.nodes.has(*it))
            && self.histories.has(state.history)
            && state.network.iter().all(|it| self.envelopes.has(*it))
    }

    /// Takes steps, all at once, and makes histories take in their facts.
    pub(super) fn extend(&mut self, group: &Group) {
        let tables = &*self;
        let take = |key: &StepKey| tables.take(*key);
        let taken: Vec<Option<Taken>> = group.steps.par_iter().map(take).collect();
        for taken in taken.into_iter().flatten() {
            self.keep(taken);
        }
        for key in &group.histories {
            self.record(*key);
        }
    }

    /// Makes a history take in an effect's facts.
    fn record(&mut self, key: HistoryKey) {
        let (history, effect) = key;
        let Some(effect) = self.effects.get(effect as usize) else {
            return;
        };
        let next = self.history(history).after(&effect.observed);
        let next = next.map(|next| self.keep_history(next));
        self.digest_effect((key, &next));
        self.next.insert(key, next);
    }

    /// A fingerprint of everything in them.
    pub(super) fn digest(&self) -> u64 {
        let digests = [
            self.nodes.digest,
            self.envelopes.digest,
            self.histories.digest,
            self.effects_digest,
        ];
        digests.into_iter().fold(0, |all, it| scatter(all ^ it))
    }

    /// How many different nodes, messages, histories and steps there were.
    pub(super) fn sizes(&self) -> [usize; 4] {
        [
            self.nodes.all.len(),
            self.envelopes.all.len(),
            self.histories.all.len(),
            self.effects.len(),
        ]
    }
}
