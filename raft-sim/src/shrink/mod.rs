//! Makes a run that fails as small as possible: fewer faults and operations, fewer servers, less
//! time, simpler settings. The method is delta debugging (Zeller and Hildebrandt, 2002).
//!
//! A smaller run is accepted if it fails in the same way. Any change of a run shifts all later
//! random draws, and many failures need luck, so each smaller run is tried with several seeds.
//! Early rounds try few seeds, later rounds many. In each round big parts are left out before small
//! ones.
//!
//! The result depends on the schedule and on the number of runs that may be tried, not on the
//! number of threads: of all smaller runs that fail, the first one in the order of trial is
//! accepted. A limit of real time ends the search at any point, so it may give another result on
//! another machine.

pub mod ddmin;
mod nemesis;
mod operations;
mod places;
mod rounds;
mod search;
mod settings;
mod windows;

#[cfg(feature = "kit")]
pub(crate) use settings::default_limits;

use crate::failure::Failure;
use crate::report::Report;
use crate::run::try_schedule;
use crate::schedule::Schedule;
use core::fmt;
use core::time::Duration;
use std::time::Instant;

/// What to search for, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Accept any failure, not only one of the same kind.
    pub any_failure: bool,
    /// How many runs may be tried.
    pub runs: u64,
    /// The limit of real time, if there is one.
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
    /// Faults, and other nemesis operations.
    pub faults: usize,
    /// Operations of clients.
    pub operations: usize,
    /// Servers, with the spare ones.
    pub nodes: u32,
    /// Virtual seconds with faults.
    pub seconds: f64,
}

impl Size {
    /// The size of this schedule.
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

/// How far the search is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Runs that were tried.
    pub runs: u64,
    /// The smallest run that fails.
    pub smallest: &'a Schedule,
    /// What goes wrong in it.
    pub failure: &'a Failure,
}

/// A run that was shrunk.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The small run, with its failure noted.
    pub schedule: Schedule,
    /// What goes wrong in it.
    pub failure: Failure,
    /// The size before.
    pub before: Size,
    /// The size now.
    pub after: Size,
    /// Runs that were tried.
    pub runs: u64,
    /// Whether a limit of time or of runs ended the search.
    pub is_stopped: bool,
}

/// The run does not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it passes: nothing to shrink")]
pub struct Passes;

/// Shrinks `schedule`. `watch` is called at each step forward, and from time to time between.
///
/// # Errors
///
/// [`Passes`] if it does not fail.
pub fn shrink(
    schedule: &Schedule,
    options: Options,
    watch: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Shrunk, Passes> {
    shrink_by(&try_schedule, schedule, options, watch)
}

/// The same for runs that `try_run` makes.
///
/// # Errors
///
/// [`Passes`] if it does not fail.
pub(crate) fn shrink_by(
    try_run: &(dyn Fn(&Schedule) -> Report + Sync),
    schedule: &Schedule,
    options: Options,
    watch: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Shrunk, Passes> {
    let before = Size::of(schedule);
    let began = Instant::now();
    let mut search =
        search::Search::begin(try_run, schedule, options, began, watch).ok_or(Passes)?;
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
