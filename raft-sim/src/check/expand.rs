//! The successors of states.

use super::choice::{Choice, OnItsWay, What, choices, is_outlived};
use super::model::Model;
use super::node::Facts;
use super::outcome::{Mark, Marks, Violation};
use super::row::Row;
use super::seen::Seen;
use super::state::State;
use super::tables::{HistoryKey, StepKey, Tables};
use super::world::place;
use core::ops::Range;
use raft_proto::RoleKind;

/// What comes of a part of a batch.
#[derive(Default)]
pub(super) struct Part {
    pub(super) new: Row,
    /// Of each new state.
    pub(super) born: Vec<Born>,
    pub(super) missing_steps: Vec<StepKey>,
    pub(super) missing_histories: Vec<HistoryKey>,
    pub(super) violation: Option<Broken>,
    pub(super) marks: Marks,
    pub(super) transitions: u64,
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
pub(super) struct Born {
    pub(super) print: u64,
    /// The place of the state that it comes from, in the batch.
    pub(super) parent: usize,
    pub(super) choice: u16,
}

/// A violation: in a state of the batch, by its place there, or by a choice in it.
pub(super) struct Broken {
    pub(super) state: usize,
    pub(super) choice: Option<u16>,
    pub(super) violation: Violation,
}

/// What successors are made of. It only reads, so that all cores may use it at once.
pub(super) struct Expander<'s, 'm> {
    pub(super) model: &'m Model,
    pub(super) tables: &'s Tables<'m>,
    pub(super) seen: &'s Seen,
}

impl Expander<'_, '_> {
    /// Makes the successors of some states of a batch.
    pub(super) fn part(&self, batch: &Row, range: Range<usize>) -> Part {
        let mut part = Part::default();
        let (mut state, mut next, mut all) = (State::default(), State::default(), Vec::new());
        for at in range {
            state.read(batch.get(at), self.model.nodes());
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
                let print = next.print(self.tables);
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
        let tables = self.tables;
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
        next.add_messages(&effect.sent, self.tables);
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
