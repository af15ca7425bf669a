//! The search: breadth first, level by level, on all cores, always with the same result.
//!
//! A level is expanded in batches. For each batch, all cores make successors; they only read the
//! tables and the fingerprints. A part of the batch that needs a step which was never taken is put
//! off, the steps are taken, in parallel too, and that part is repeated. Then one core alone enters
//! the new states, in the order of the batch. So the order of everything, and with it the number of
//! every state and the counterexample, does not depend on how many cores there are.

use super::choice::{Choice, OnItsWay, What, choices, is_outlived};
use super::model::Model;
use super::node::Facts;
use super::outcome::{Mark, Marks, Violation};
use super::row::{Link, Row};
use super::seen::Seen;
use super::state::State;
use super::tables::{HistoryKey, StepKey, Tables};
use super::world::{WalkError, World, place};
use core::ops::ControlFlow;
use raft_proto::RoleKind;
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::time::{Duration, Instant};

/// When a search ends early, and what else it looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Whether a cluster has to be able to go on from every state (`recovery.rs`).
    pub recovery: bool,
    /// After so many states.
    pub states: Option<u64>,
    /// After this time.
    pub time: Option<Duration>,
}

/// How far a search has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Different states.
    pub states: u64,
    /// Successors that were made, whether they were new or not.
    pub transitions: u64,
    /// How many steps the latest states are away from the first.
    pub depth: u32,
    /// States of the present level that are still to be expanded.
    pub left: usize,
    /// What the tables, the fingerprints, the links and the states to be expanded take, in bytes.
    pub memory: usize,
    /// Since the search began.
    pub elapsed: Duration,
}

/// How a search ended.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The numbers at the end.
    pub progress: Progress,
    /// Whether every state was reached.
    pub is_complete: bool,
    /// Situations that were reached.
    pub marks: Marks,
    /// The shortest path to a violation: which choice was taken in each state.
    pub counterexample: Option<(Vec<u16>, Violation)>,
    /// Different states of one node, messages, histories, and steps that the core took.
    pub sizes: [usize; 4],
}

/// What comes of a part of a batch.
#[derive(Default)]
struct Part {
    new: Row,
    /// Of each new state.
    born: Vec<Born>,
    missing_steps: Vec<StepKey>,
    missing_histories: Vec<HistoryKey>,
    violation: Option<Broken>,
    marks: Marks,
    transitions: u64,
}

impl Part {
    /// The choice of this number breaks a property.
    fn breaks(&mut self, state: usize, choice: u16, violation: Violation) {
        let choice = Some(choice);
        self.violation.get_or_insert(Broken {
            state,
            choice,
            violation,
        });
    }
}

#[derive(Clone, Copy)]
struct Born {
    print: u64,
    /// The place of the state that it comes from, in the level.
    parent: usize,
    choice: u16,
}

/// A violation: in a state of the level, by its place there, or by a choice in it.
struct Broken {
    state: usize,
    choice: Option<u16>,
    violation: Violation,
}

/// A search of one model.
pub(super) struct Search<'m> {
    model: &'m Model,
    tables: Tables<'m>,
    seen: Seen,
    links: Vec<Link>,
    /// The states of the present level, whose numbers begin here.
    level: Row,
    first: u64,
    next: Row,
    marks: Marks,
    transitions: u64,
    depth: u32,
    began: Instant,
    /// Nodes from which a cluster can go on.
    recovered: FxHashSet<Vec<u32>>,
}

/// How many states are expanded before new ones are entered.
const BATCH: usize = 1 << 14;
/// How many one core takes at a time.
const PART: usize = 1 << 7;

impl<'m> Search<'m> {
    /// A search that has seen the first state.
    pub(super) fn new(model: &'m Model) -> Result<Search<'m>, WalkError> {
        let world = World::new(model)?;
        let mut tables = Tables::new(model);
        let mut state = State {
            budget: world.budget.words(),
            ..State::default()
        };
        state.nodes = (world.nodes.into_iter())
            .map(|node| tables.keep_node(node))
            .collect();
        state.history = tables.keep_history(world.history);
        let sent: Vec<u32> = (world.network.into_iter())
            .map(|(_, envelope)| tables.keep_envelope(envelope))
            .collect();
        state.add_messages(&sent, &tables);
        let mut seen = Seen::new();
        seen.insert(state.print(&tables));
        let mut level = Row::default();
        level.push(&state);
        Ok(Search {
            model,
            tables,
            seen,
            links: vec![Link::new(0, 0)],
            level,
            first: 0,
            next: Row::default(),
            // What the opening reached is not explored.
            marks: Marks::NONE,
            transitions: 0,
            depth: 0,
            began: Instant::now(),
            recovered: FxHashSet::default(),
        })
    }

    /// Searches until the end or a limit.
    pub(super) fn run(
        mut self,
        limits: Limits,
        mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Found {
        let mut is_complete = true;
        let mut counterexample = None;
        'levels: while self.level.len() > 0 {
            for start in (0..self.level.len()).step_by(BATCH) {
                let end = (start + BATCH).min(self.level.len());
                let mut broken = self.expand(start, end);
                if broken.is_none() && limits.recovery {
                    broken = self.recover(start, end);
                }
                if let Some(broken) = broken {
                    let mut path = self.path_to(self.first + broken.state as u64);
                    path.extend(broken.choice);
                    counterexample = Some((path, broken.violation));
                    is_complete = false;
                    break 'levels;
                }
                let progress = self.progress(self.level.len() - end);
                let goes_on = on_progress(progress).is_continue();
                let has_time = limits.time.is_none_or(|most| progress.elapsed < most);
                if !goes_on
                    || !has_time
                    || limits.states.is_some_and(|most| progress.states >= most)
                {
                    is_complete = false;
                    break 'levels;
                }
            }
            self.first += self.level.len() as u64;
            self.level = std::mem::take(&mut self.next);
            self.depth += u32::from(self.level.len() > 0);
        }
        Found {
            progress: self.progress(0),
            is_complete,
            marks: self.marks,
            counterexample,
            sizes: self.tables.sizes(),
        }
    }

    fn progress(&self, left: usize) -> Progress {
        let rows = self.level.bytes() + self.next.bytes();
        Progress {
            states: self.seen.len() as u64,
            transitions: self.transitions,
            depth: self.depth,
            left,
            memory: self.seen.bytes() + self.links.capacity() * 8 + rows,
            elapsed: self.began.elapsed(),
        }
    }

    fn path_to(&self, number: u64) -> Vec<u16> {
        let mut path = Vec::new();
        let mut at = number;
        while at != 0
            && let Some(link) = self.links.get(at as usize)
        {
            path.push(link.choice());
            at = link.parent();
        }
        path.reverse();
        path
    }

    /// Tries whether the cluster can go on from each state of a batch. Of states with equal nodes, one
    /// is tried.
    fn recover(&mut self, start: usize, end: usize) -> Option<Broken> {
        let (mut tried, mut state) = (Vec::new(), State::default());
        for at in start..end {
            state.read(self.level.get(at), self.model.nodes());
            if self.recovered.insert(state.nodes.clone()) {
                tried.push((at, state.clone()));
            }
        }
        let broken = tried.par_iter().filter_map(|(at, state)| {
            let nodes = state.nodes.iter().map(|it| self.tables.node(*it).clone());
            let history = self.tables.history(state.history).clone();
            let world = World::of(self.model, nodes.collect(), history);
            let violation = world.recovers().err()?;
            Some(Broken {
                state: *at,
                choice: None,
                violation,
            })
        });
        broken.min_by_key(|it| it.state)
    }

    /// Expands a batch. Returns the first violation.
    fn expand(&mut self, start: usize, end: usize) -> Option<Broken> {
        let starts: Vec<usize> = (start..end).step_by(PART).collect();
        let mut parts: Vec<Option<Part>> = starts.iter().map(|_| None).collect();
        loop {
            let expand = |(part, from): (&mut Option<Part>, &usize)| {
                if part.is_none() {
                    *part = Some(self.part(*from, (*from + PART).min(end)));
                }
            };
            parts.par_iter_mut().zip(&starts).for_each(expand);
            if !self.supply(&mut parts) {
                break;
            }
        }
        let mut violation = None;
        for part in parts.into_iter().flatten() {
            self.marks.extend(part.marks);
            self.transitions += part.transitions;
            for (at, born) in part.born.iter().enumerate() {
                if self.seen.insert(born.print) {
                    self.next.push_words(part.new.get(at));
                    let parent = self.first + born.parent as u64;
                    self.links.push(Link::new(parent, born.choice));
                }
            }
            if violation.is_none() {
                violation = part.violation;
            }
        }
        violation
    }

    /// Takes the steps that parts lack, and puts those parts back. Whether there were any.
    fn supply(&mut self, parts: &mut [Option<Part>]) -> bool {
        let (mut steps, mut histories) = (FxHashSet::default(), FxHashSet::default());
        for slot in parts.iter_mut() {
            if let Some(part) = slot
                && !(part.missing_steps.is_empty() && part.missing_histories.is_empty())
            {
                steps.extend(part.missing_steps.drain(..));
                histories.extend(part.missing_histories.drain(..));
                *slot = None;
            }
        }
        // Sorted, so that numbers are given in the same order everywhere.
        let mut steps: Vec<StepKey> = steps.into_iter().collect();
        steps.sort_unstable();
        let tables = &self.tables;
        let taken: Vec<_> = steps.par_iter().map(|key| tables.take(*key)).collect();
        for taken in taken.into_iter().flatten() {
            self.tables.keep(taken);
        }
        let mut histories: Vec<HistoryKey> = histories.into_iter().collect();
        histories.sort_unstable();
        for key in &histories {
            self.tables.record(*key);
        }
        !steps.is_empty() || !histories.is_empty()
    }

    /// Makes the successors of some states of the level.
    fn part(&self, start: usize, end: usize) -> Part {
        let mut part = Part::default();
        let (mut state, mut next, mut all) = (State::default(), State::default(), Vec::new());
        for at in start..end {
            state.read(self.level.get(at), self.model.nodes());
            if self.model.reductions.outlived {
                self.forget_outlived(&mut state, &mut part);
            }
            self.choices(&state, &mut all);
            for (choice, number) in all.iter().zip(0..) {
                match self.follow(&state, *choice, &mut next, &mut part) {
                    Step::Leads => {}
                    Step::LeadsNowhere => continue,
                    Step::Breaks(violation) => {
                        part.breaks(at, number, violation);
                        continue;
                    }
                }
                part.transitions += 1;
                let print = next.print(&self.tables);
                if self.seen.contains(print) {
                    continue;
                }
                match self.check(&next) {
                    Ok(marks) => part.marks.extend(marks),
                    Err(violation) => part.breaks(at, number, violation),
                }
                part.new.push(&next);
                let (parent, choice) = (at, number);
                part.born.push(Born {
                    print,
                    parent,
                    choice,
                });
            }
        }
        part
    }

    /// Forgets messages that can never matter again: see [`is_outlived`].
    fn forget_outlived(&self, state: &mut State, part: &mut Part) {
        let nodes = &state.nodes;
        state.network.retain(|message| {
            let envelope = self.tables.envelope(*message);
            let node = place(envelope.to, nodes.len()).and_then(|at| nodes.get(at));
            let Some(node) = node.copied() else {
                return false; // Only messages to nodes of the model are kept.
            };
            if !is_outlived(&envelope.message, self.tables.facts(node)) {
                return true;
            }
            let key = (node, What::Receives(*message));
            match self.tables.effect(key) {
                Some((_, effect)) => !effect.is_nothing_to(node),
                None => {
                    part.missing_steps.push(key);
                    true
                }
            }
        });
    }

    fn choices(&self, state: &State, all: &mut Vec<Choice>) {
        let tables = &self.tables;
        let nodes: Vec<&Facts> = state.nodes.iter().map(|it| tables.facts(*it)).collect();
        let network = state.network.iter().map(|it| OnItsWay {
            print: tables.envelope_print(*it),
            // Only messages to nodes of the model are kept.
            to: place(tables.envelope(*it).to, nodes.len()).unwrap_or_default() as u8,
        });
        choices(self.model, &nodes, network, &state.budget(), all);
    }

    /// The state after a choice, in `next`.
    fn follow(&self, state: &State, choice: Choice, next: &mut State, part: &mut Part) -> Step {
        let at = usize::from(choice.node);
        let Some(node) = state.nodes.get(at).copied() else {
            return Step::LeadsNowhere;
        };
        let (mut delivered, mut what) = (None, choice.what);
        if let What::Receives(place) = what {
            delivered = Some(place as usize).filter(|_| choice.cost.is_none());
            match state.network.get(place as usize) {
                Some(message) => what = What::Receives(*message),
                None => return Step::LeadsNowhere,
            }
        }
        let key = (node, what);
        let Some((number, effect)) = self.tables.effect(key) else {
            part.missing_steps.push(key);
            return Step::LeadsNowhere;
        };
        part.marks.extend(effect.marks);
        if let Some(violation) = &effect.violation {
            return Step::Breaks(violation.clone());
        }
        if self.model.reductions.idle && effect.is_nothing_to(node) {
            return Step::LeadsNowhere;
        }
        next.history = state.history;
        if !effect.observed.is_empty() {
            let key = (state.history, number);
            match self.tables.history_after(key) {
                None => {
                    part.missing_histories.push(key);
                    return Step::LeadsNowhere;
                }
                Some(Err(violation)) => return Step::Breaks(violation.clone()),
                Some(Ok(history)) => next.history = *history,
            }
        }
        next.nodes.clone_from(&state.nodes);
        if let Some(slot) = next.nodes.get_mut(at) {
            *slot = effect.node;
        }
        next.budget = match choice.cost {
            Some(cost) => state.budget().without(cost).words(),
            None => state.budget,
        };
        next.network.clone_from(&state.network);
        if let Some(delivered) = delivered {
            next.network.remove(delivered);
        }
        next.add_messages(&effect.sent, &self.tables);
        Step::Leads
    }

    /// Checks a state, and says what is rare in it.
    fn check(&self, state: &State) -> Result<Marks, Violation> {
        let nodes: Vec<&Facts> = (state.nodes.iter())
            .map(|it| self.tables.facts(*it))
            .collect();
        self.tables.history(state.history).check(&nodes)?;
        let mut marks = Marks::NONE;
        let leads = |it: &&&Facts| it.role == RoleKind::Leader;
        marks.add_if(nodes.iter().filter(leads).count() > 1, Mark::TwoLeaders);
        Ok(marks)
    }
}

/// What a choice comes to.
enum Step {
    Leads,
    LeadsNowhere,
    Breaks(Violation),
}
