//! The search: breadth first, level by level, on all cores, always with the same result.
//!
//! A level is expanded in batches. For each batch, all cores make successors; they only read the
//! tables and the fingerprints. A part of the batch that needs a step which was never taken is put
//! off, the steps are taken, in parallel too, and that part is repeated. Then one core alone enters
//! the new states, in the order of the batch. So the order of everything, and with it the number of
//! every state and the counterexample, does not depend on how many cores there are.

use super::expand::{Broken, Expander, Part};
use super::links::{Link, Links};
use super::model::Model;
use super::outcome::{Marks, Violation};
use super::queue::Queue;
use super::row::Row;
use super::saved::{Folder, Group, Opened, Position, SavedError};
use super::seen::Seen;
use super::state::State;
use super::tables::{HistoryKey, StepKey, Tables};
use super::world::{WalkError, World};
use core::ops::ControlFlow;
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::path::Path;
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
    pub left: u64,
    /// What the fingerprints, the links and the states to be expanded take in memory, in bytes.
    pub memory: usize,
    /// How long it has searched, before it was interrupted, too.
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

/// Why a search ends before it has a result.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The model cannot begin.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The search cannot be kept in its folder, or not go on from it.
    #[error(transparent)]
    Saved(#[from] SavedError),
}

/// A search of one model.
pub(super) struct Search<'m> {
    model: &'m Model,
    tables: Tables<'m>,
    seen: Seen,
    links: Links,
    queue: Queue,
    /// Where it is kept, if it is.
    folder: Option<Folder>,
    /// Where it is. Fields that others hold are up to date only in what is saved.
    at: Position,
    began: Instant,
    /// Nodes from which a cluster can go on.
    recovered: FxHashSet<Vec<u32>>,
}

/// How many states one core takes at a time.
const PART: usize = 1 << 7;

impl<'m> Search<'m> {
    /// A search that has seen the first state, in memory.
    pub(super) fn new(model: &'m Model) -> Result<Search<'m>, CheckError> {
        let mut tables = Tables::new(model);
        let first = first_state(model, &mut tables)?;
        let mut search = Search {
            model,
            tables,
            seen: Seen::new(),
            links: Links::Memory(Vec::new()),
            queue: Queue::in_memory(),
            folder: None,
            at: Position::default(),
            began: Instant::now(),
            recovered: FxHashSet::default(),
        };
        search.begin(&first)?;
        Ok(search)
    }

    /// A search that is kept in a folder: it goes on from where an earlier one stopped there.
    pub(super) fn open(
        model: &'m Model,
        limits: Limits,
        path: &Path,
    ) -> Result<Search<'m>, CheckError> {
        let mut tables = Tables::new(model);
        let first = first_state(model, &mut tables)?;
        let Opened {
            mut folder,
            levels,
            mut records,
            at,
        } = Folder::open(path, model, limits.recovery)?;
        let mut seen = Seen::new();
        if let Some(at) = at {
            let mut is_known = true;
            folder.for_each_group(|group| {
                is_known = is_known && tables.have(group);
                if is_known {
                    tables.extend(group);
                }
            })?;
            if !is_known || tables.digest() != at.tables {
                return Err(folder.another_build().into());
            }
            records.for_each(at.states, |print| {
                seen.insert(print);
            })?;
            if seen.len() as u64 != at.states {
                return Err(records.damaged().into());
            }
        }
        let mut search = Search {
            model,
            tables,
            seen,
            links: Links::File(records),
            queue: Queue::Files(levels),
            folder: Some(folder),
            at: at.unwrap_or_default(),
            began: Instant::now(),
            recovered: FxHashSet::default(),
        };
        if at.is_none() {
            search.begin(&first)?;
        }
        Ok(search)
    }

    /// Enters the first state. What the opening reached is not explored.
    fn begin(&mut self, first: &State) -> Result<(), SavedError> {
        let print = first.print(&self.tables);
        self.seen.insert(print);
        self.links.push(print, Link::FIRST)?;
        let mut words = Vec::new();
        first.write(&mut words);
        self.queue.push(&words)?;
        self.queue.next_level()?;
        self.at.in_level = 1;
        self.save()
    }

    /// Searches until the end or a limit.
    pub(super) fn run(
        mut self,
        limits: Limits,
        mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Found, SavedError> {
        let mut is_complete = true;
        let mut counterexample = None;
        while self.at.in_level > 0 {
            let batch = self.batch()?;
            if batch.len() == 0 {
                self.next_level()?;
                continue;
            }
            let mut broken = self.expand(&batch)?;
            if broken.is_none() && limits.recovery {
                broken = self.recover(&batch);
            }
            if let Some(broken) = broken {
                let number = self.at.first + self.at.expanded + broken.state as u64;
                let mut path = self.links.path_to(number)?;
                path.extend(broken.choice);
                counterexample = Some((path, broken.violation));
                is_complete = false;
                break;
            }
            self.at.expanded += batch.len() as u64;
            self.save()?;
            let progress = self.progress();
            let goes_on = on_progress(progress).is_continue();
            let has_time = limits.time.is_none_or(|most| self.began.elapsed() < most);
            let has_room = limits.states.is_none_or(|most| progress.states < most);
            if !(goes_on && has_time && has_room) {
                is_complete = false;
                break;
            }
        }
        Ok(Found {
            progress: self.progress(),
            is_complete,
            marks: self.at.marks,
            counterexample,
            sizes: self.tables.sizes(),
        })
    }

    fn batch(&mut self) -> Result<Row, SavedError> {
        let batch = self.queue.batch()?;
        if let Queue::Files(levels) = &self.queue {
            let mut state = State::default();
            let mut is_known = |at| state.read_known(batch.get(at), &self.tables);
            if !(0..batch.len()).all(&mut is_known) {
                return Err(levels.damaged());
            }
        }
        Ok(batch)
    }

    fn next_level(&mut self) -> Result<(), SavedError> {
        self.at.first += self.at.in_level;
        self.at.in_level = self.seen.len() as u64 - self.at.first;
        self.at.expanded = 0;
        self.at.depth += u32::from(self.at.in_level > 0);
        self.queue.next_level()?;
        self.save()
    }

    /// Writes down where it is, so that another search can go on from here.
    fn save(&mut self) -> Result<(), SavedError> {
        let at = Position {
            states: self.seen.len() as u64,
            tables: self.tables.digest(),
            millis: self.elapsed().as_millis() as u64, // Of less than 584 million years.
            ..self.at
        };
        if let (Some(folder), Queue::Files(levels), Links::File(records)) =
            (&mut self.folder, &mut self.queue, &mut self.links)
        {
            folder.save(at, levels, records)?;
        }
        Ok(())
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.at.millis) + self.began.elapsed()
    }

    fn progress(&self) -> Progress {
        Progress {
            states: self.seen.len() as u64,
            transitions: self.at.transitions,
            depth: self.at.depth,
            left: self.at.in_level - self.at.expanded,
            memory: self.seen.bytes() + self.links.bytes() + self.queue.bytes(),
            elapsed: self.elapsed(),
        }
    }

    /// Tries whether the cluster can go on from each state of a batch. Of states with equal nodes, one
    /// is tried.
    fn recover(&mut self, batch: &Row) -> Option<Broken> {
        let (mut tried, mut state) = (Vec::new(), State::default());
        for at in 0..batch.len() {
            state.read(batch.get(at), self.model.nodes());
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
    fn expand(&mut self, batch: &Row) -> Result<Option<Broken>, SavedError> {
        let starts: Vec<usize> = (0..batch.len()).step_by(PART).collect();
        let mut parts: Vec<Option<Part>> = starts.iter().map(|_| None).collect();
        loop {
            let expander = Expander {
                model: self.model,
                tables: &self.tables,
                seen: &self.seen,
            };
            let expand = |(part, from): (&mut Option<Part>, &usize)| {
                if part.is_none() {
                    *part = Some(expander.part(batch, *from..(*from + PART).min(batch.len())));
                }
            };
            parts.par_iter_mut().zip(&starts).for_each(expand);
            if !self.supply(&mut parts)? {
                break;
            }
        }
        let first = self.at.first + self.at.expanded;
        let mut violation = None;
        for part in parts.into_iter().flatten() {
            self.at.marks.extend(part.marks);
            self.at.transitions += part.transitions;
            for (at, born) in part.born.iter().enumerate() {
                if self.seen.insert(born.print) {
                    self.queue.push(part.new.get(at))?;
                    let link = Link::new(first + born.parent as u64, born.choice);
                    self.links.push(born.print, link)?;
                }
            }
            if violation.is_none() {
                violation = part.violation;
            }
        }
        Ok(violation)
    }

    /// Takes the steps that parts lack, and puts those parts back. Whether there were any.
    fn supply(&mut self, parts: &mut [Option<Part>]) -> Result<bool, SavedError> {
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
        let mut histories: Vec<HistoryKey> = histories.into_iter().collect();
        histories.sort_unstable();
        if steps.is_empty() && histories.is_empty() {
            return Ok(false);
        }
        let group = Group { steps, histories };
        self.tables.extend(&group);
        if let Some(folder) = &mut self.folder {
            folder.note(&group)?;
        }
        Ok(true)
    }
}

/// The state in which a model begins.
fn first_state(model: &Model, tables: &mut Tables<'_>) -> Result<State, WalkError> {
    let world = World::new(model)?;
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
    state.add_messages(&sent, tables);
    Ok(state)
}
