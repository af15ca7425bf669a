//! Tries many smaller runs at once, and accepts the first one that fails.

use super::{Options, Progress};
use crate::failure::Failure;
use crate::report::Report;
use crate::schedule::Schedule;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A smaller run that fails.
struct Found {
    /// The number of the try.
    at: usize,
    schedule: Schedule,
    failure: Failure,
}

/// The smallest run so far, and what may still be tried.
pub(super) struct Search<'a> {
    pub(super) best: Schedule,
    pub(super) failure: Failure,
    pub(super) runs: u64,
    options: Options,
    kind: String,
    began: Instant,
    /// No seed from this one on was tried.
    fresh: u64,
    is_late: bool,
    /// The per cent of all runs and of the time that may be used now.
    share: u32,
    try_run: &'a (dyn Fn(&Schedule) -> Report + Sync),
    watch: &'a (dyn Fn(Progress<'_>) + Sync),
}

impl<'a> Search<'a> {
    /// Begins with a run that fails; `None` if it does not.
    pub(super) fn begin(
        try_run: &'a (dyn Fn(&Schedule) -> Report + Sync),
        schedule: &Schedule,
        options: Options,
        began: Instant,
        watch: &'a (dyn Fn(Progress<'_>) + Sync),
    ) -> Option<Search<'a>> {
        let report = try_run(schedule);
        let failure = report.failure?;
        let mut best = schedule.clone();
        cut(&mut best, report.virtual_seconds);
        let search = Search {
            best,
            kind: failure.kind(),
            failure,
            runs: 1,
            options,
            began,
            fresh: 1,
            is_late: false,
            share: 100,
            try_run,
            watch,
        };
        search.tell();
        Some(search)
    }

    /// How many faults and operations are left.
    pub(super) fn len(&self) -> usize {
        self.best.len()
    }

    /// From now on `share` per cent of all runs and of the time may be used.
    pub(super) fn allow(&mut self, share: u32) {
        self.share = share;
        self.is_late = false;
    }

    /// Whether nothing more may be tried.
    pub(super) fn is_over(&self) -> bool {
        self.is_late || self.runs_left() == 0
    }

    fn runs_left(&self) -> u64 {
        let may = self.options.runs.saturating_mul(self.share.into()) / 100;
        may.saturating_sub(self.runs)
    }

    fn deadline(&self) -> Option<Duration> {
        let time = self.options.time?;
        Some(time.saturating_mul(self.share) / 100)
    }

    fn tell(&self) {
        (self.watch)(Progress {
            runs: self.runs,
            smallest: &self.best,
            failure: &self.failure,
        });
    }

    /// Tries `count` smaller runs with `seeds` seeds: first all of them with the seed of the best
    /// run, then all with one fresh seed after another. The first that fails becomes the best run.
    /// Returns its number.
    pub(super) fn first(
        &mut self,
        count: usize,
        seeds: usize,
        make: impl Fn(&Schedule, usize) -> Option<Schedule> + Sync,
    ) -> Option<usize> {
        let left = usize::try_from(self.runs_left()).unwrap_or(usize::MAX);
        let tries = count.saturating_mul(seeds).min(left);
        if tries == 0 || self.is_over() {
            return None;
        }
        let (best, fresh) = (&self.best, self.fresh);
        let candidate = |at: usize| {
            let mut schedule = make(best, at % count)?;
            let round = (at / count) as u64;
            if round > 0 {
                schedule.seed = fresh + round - 1;
            }
            Some(schedule)
        };
        let found = self.race(tries, &candidate);
        self.fresh += seeds as u64;
        self.runs += found.as_ref().map_or(tries, |found| found.at + 1) as u64;
        let found = found.map(|found| {
            self.best = found.schedule;
            self.failure = found.failure;
            found.at % count
        });
        if let Some(time) = self.deadline() {
            self.is_late |= self.began.elapsed() >= time;
        }
        self.tell();
        found
    }

    /// The first of `tries` runs that fails in the right way. All runs before it were tried. Which
    /// runs after it were tried depends on the threads.
    fn race(
        &self,
        tries: usize,
        candidate: &(impl Fn(usize) -> Option<Schedule> + Sync),
    ) -> Option<Found> {
        let (next, first) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let is_late = AtomicBool::new(false);
        let found: Mutex<Option<Found>> = Mutex::new(None);
        let deadline = self.deadline();
        rayon::broadcast(|_| {
            while !is_late.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= tries || at > first.load(Ordering::Relaxed) {
                    break;
                }
                if deadline.is_some_and(|time| self.began.elapsed() >= time) {
                    is_late.store(true, Ordering::Relaxed);
                }
                let Some(mut schedule) = candidate(at) else {
                    continue;
                };
                let Some(failure) = self.fails(&mut schedule) else {
                    continue;
                };
                first.fetch_min(at, Ordering::Relaxed);
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                if found.as_ref().is_none_or(|other| at < other.at) {
                    *found = Some(Found {
                        at,
                        schedule,
                        failure,
                    });
                }
            }
        });
        found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The failure of a run, if it is of the right kind. What comes after it is cut off.
    fn fails(&self, schedule: &mut Schedule) -> Option<Failure> {
        let report = (self.try_run)(schedule);
        let failure = report.failure?;
        if !self.options.any_failure && failure.kind() != self.kind {
            return None;
        }
        cut(schedule, report.virtual_seconds);
        Some(failure)
    }
}

/// Cuts off what comes after the failure. All before it stays unchanged.
fn cut(schedule: &mut Schedule, seconds: f64) {
    let end = Duration::from_secs_f64(seconds.max(0.0));
    if end >= schedule.time {
        return;
    }
    let millis = end.as_micros().div_ceil(1_000).max(1);
    let time = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
    schedule.time = schedule.time.min(time);
    let last = end.as_nanos() + 1_000; // The conversion to a float may have rounded down.
    schedule.nemesis.retain(|(at, _)| u128::from(at.0) <= last);
    schedule
        .operations
        .retain(|(at, _)| u128::from(at.0) <= last);
}
