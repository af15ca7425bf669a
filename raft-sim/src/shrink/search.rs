//! Tries many runs at once, and takes the first one that fails.

use super::{Options, Progress};
use crate::failure::Failure;
use crate::run::try_schedule;
use crate::schedule::Schedule;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Which try it was, the run, and how it fails.
type Found = (usize, Schedule, Failure);

/// The smallest run so far, and what may still be tried.
pub(super) struct Search<'a> {
    pub(super) best: Schedule,
    pub(super) failure: Failure,
    pub(super) runs: u64,
    options: Options,
    kind: String,
    began: Instant,
    /// No seed from here on was tried.
    fresh: u64,
    is_late: bool,
    /// Hundredths of the runs and of the time that may be used: something is left for what comes
    /// later.
    share: u32,
    watch: &'a (dyn Fn(Progress<'_>) + Sync),
}

impl<'a> Search<'a> {
    /// Of a run that fails; none if it does not.
    pub(super) fn begin(
        schedule: &Schedule,
        options: Options,
        began: Instant,
        watch: &'a (dyn Fn(Progress<'_>) + Sync),
    ) -> Option<Search<'a>> {
        let report = try_schedule(schedule);
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
            watch,
        };
        search.tell();
        Some(search)
    }

    /// How many faults and operations are left.
    pub(super) fn len(&self) -> usize {
        self.best.len()
    }

    /// From now on so many hundredths of all runs and of all time may be used.
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

    /// Tries `count` smaller runs, each with the seed as it is and then with as many fresh ones as
    /// make `seeds` together: first all with one seed, then all with the next one. The first that
    /// fails is the smallest from now on; returns which it was.
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
        self.runs += found.as_ref().map_or(tries, |(at, ..)| at + 1) as u64;
        let found = found.map(|(at, schedule, failure)| {
            self.best = schedule;
            self.failure = failure;
            at % count
        });
        if let Some(time) = self.deadline() {
            self.is_late |= self.began.elapsed() >= time;
        }
        self.tell();
        found
    }

    /// The first of `tries` runs that fails as it should. All before it were tried; which ones
    /// after it, depends on the threads.
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
                if found.as_ref().is_none_or(|(other, ..)| at < *other) {
                    *found = Some((at, schedule, failure));
                }
            }
        });
        found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it fails, if as it should; what comes after that is cut off.
    fn fails(&self, schedule: &mut Schedule) -> Option<Failure> {
        let report = try_schedule(schedule);
        let failure = report.failure?;
        if !self.options.any_failure && failure.kind() != self.kind {
            return None;
        }
        cut(schedule, report.virtual_seconds);
        Some(failure)
    }
}

/// Cuts off what comes after the failure: all before it stays as it is.
fn cut(schedule: &mut Schedule, seconds: f64) {
    let end = Duration::from_secs_f64(seconds.max(0.0));
    if end >= schedule.time {
        return;
    }
    let millis = end.as_micros().div_ceil(1_000).max(1);
    let time = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
    schedule.time = schedule.time.min(time);
    let last = end.as_nanos() + 1_000; // A float may be a little less.
    schedule.nemesis.retain(|(at, _)| u128::from(at.0) <= last);
    schedule
        .operations
        .retain(|(at, _)| u128::from(at.0) <= last);
}
