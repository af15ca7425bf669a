//! Makes a run that fails small: fewer faults and operations, fewer servers, less time, simpler
//! settings, by delta debugging (Zeller and Hildebrandt, 2002).
//!
//! A smaller run counts if it fails in the same way. Any change of a run shifts what is drawn for
//! all that follows, and many failures need luck: so each smaller run is tried with several seeds.
//! Rounds go from few seeds for each to many; big cuts come before small ones in each.
//!
//! The result depends on the schedule and the number of runs that may be tried, and not on how many
//! threads try them: of all that fail the first one in the order of trial counts. A limit of real
//! time ends the search wherever it is then; with it another machine may come to another result.

pub mod ddmin;
mod deeds;
mod operations;
mod places;
mod rounds;
mod search;
mod simpler;
mod windows;

use crate::failure::Failure;
use crate::schedule::Schedule;
use core::fmt;
use core::time::Duration;
use std::time::Instant;

/// How long, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Any failure will do, not only one of the same kind.
    pub any_failure: bool,
    /// How many runs may be tried.
    pub runs: u64,
    /// How much real time it may take; none: as long as it takes.
    pub time: Option<Duration>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            any_failure: false,
            runs: 1_000_000,
            time: None,
        }
    }
}

/// How large a run is.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Size {
    /// Things that befall the cluster.
    pub faults: usize,
    /// What clients ask.
    pub operations: usize,
    /// Servers, spares included.
    pub nodes: u32,
    /// Virtual seconds with faults.
    pub seconds: f64,
}

impl Size {
    /// Of this schedule.
    pub fn of(schedule: &Schedule) -> Size {
        Size {
            faults: schedule.nemesis.len(),
            operations: schedule.operations.len(),
            nodes: schedule.settings.servers(),
            seconds: schedule.time.as_secs_f64(),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |count: usize| if count == 1 { "" } else { "s" };
        write!(
            f,
            "{} fault{}, {} operation{}, {} node{}, {:.3} s",
            self.faults,
            many(self.faults),
            self.operations,
            many(self.operations),
            self.nodes,
            many(self.nodes as usize),
            self.seconds
        )
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Runs that were tried.
    pub runs: u64,
    /// The smallest one that fails.
    pub smallest: &'a Schedule,
    /// What goes wrong in it.
    pub failure: &'a Failure,
}

/// A run that was made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// It, with its failure noted.
    pub schedule: Schedule,
    /// What goes wrong in it.
    pub failure: Failure,
    /// How large it was.
    pub before: Size,
    /// How large it is.
    pub after: Size,
    /// Runs that were tried.
    pub runs: u64,
    /// The limit of time, or of runs, ended the search.
    pub is_stopped: bool,
}

/// Nothing is wrong with the run that was to be made small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it passes: nothing to shrink")]
pub struct Passes;

/// Makes `schedule` small. `watch` is told of every step forward, and now and then between.
///
/// # Errors
///
/// [`Passes`] if it does not fail.
pub fn shrink(
    schedule: &Schedule,
    options: Options,
    watch: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Shrunk, Passes> {
    let before = Size::of(schedule);
    let began = Instant::now();
    let mut search = search::Search::begin(schedule, options, began, watch).ok_or(Passes)?;
    rounds::run(&mut search);
    let is_stopped = search.is_over();
    let search::Search {
        mut best,
        failure,
        runs,
        ..
    } = search;
    best.failure = Some(failure.to_string());
    Ok(Shrunk {
        before,
        after: Size::of(&best),
        schedule: best,
        failure,
        runs,
        is_stopped,
    })
}
