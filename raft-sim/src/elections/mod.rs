//! How long a cluster is without a leader: Figure 16 of the Raft paper (section 9.3), repeated.
//!
//! Five servers have a leader. It broadcasts a heartbeat and crashes at a random time before its
//! next heartbeat. A trial measures the time from the crash until another server is leader. Many
//! trials for each range of election timeouts make a curve of the figure.
//!
//! Here this differs from the paper, or the paper does not say:
//!
//! - The core is a real one, and time is virtual. See [`timing`] for how long everything takes.
//! - The downtime ends when the core of the new leader becomes leader, not when others hear of it.
//! - The leader that crashes is only simulated, see [`trial`]. So its heartbeat interval can be
//!   half of the shortest election timeout; a core accepts at most a third.
//! - A core requires that the longest timeout is above the shortest one. In the range 150-150 it is
//!   longer by a nanosecond, and all timeouts that are drawn are equal.

pub mod chart;
pub mod range;
pub mod summary;
pub mod timing;
pub mod trial;

use core::time::Duration;
use raft_proto::PreVoting;
use range::TimeoutRange;
use rayon::prelude::*;
use timing::{OwnVote, Timing};
use trial::{Outcome, Trial, TrialError};

/// The settings of all trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The seed that everything is drawn from.
    pub seed: u64,
    /// How many trials of each range.
    pub trials: u32,
    /// How long messages, writes and timers take.
    pub timing: Timing,
    /// Whether the requests of a candidate wait for its own write.
    pub own_vote: OwnVote,
    /// Whether servers use Pre-Vote (thesis 9.6).
    pub pre_vote: PreVoting,
    /// How long a trial waits for a leader, in virtual time.
    pub limit: Duration,
}

impl Request {
    /// The most trials of a range whose timeouts are all equal: each takes very long. The paper
    /// made as many.
    pub const MAX_FIXED_TRIALS: u32 = 100;

    /// How many trials are made of `range`.
    pub fn trials_of(&self, range: TimeoutRange) -> u32 {
        if range.is_fixed() {
            self.trials.min(Request::MAX_FIXED_TRIALS)
        } else {
            self.trials
        }
    }

    fn trial(&self, range: TimeoutRange, number: u32) -> Trial {
        Trial {
            seed: self.seed,
            number,
            range,
            timing: self.timing,
            own_vote: self.own_vote,
            pre_vote: self.pre_vote,
            limit: self.limit,
        }
    }
}

/// The outcomes of the trials of one range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The range.
    pub range: TimeoutRange,
    /// One for each trial, in the order of their numbers.
    pub outcomes: Vec<Outcome>,
}

impl Sample {
    /// The downtimes of the trials that elected a leader, the shortest first.
    pub fn downtimes(&self) -> Vec<Duration> {
        let outcomes = self.outcomes.iter();
        let mut downtimes: Vec<Duration> = outcomes.filter_map(|one| one.downtime).collect();
        downtimes.sort_unstable();
        downtimes
    }
}

/// A trial that could not be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("range {range}, trial {number}: {reason}")]
pub struct Failed {
    /// The range.
    pub range: TimeoutRange,
    /// The number of the trial.
    pub number: u32,
    /// The reason.
    pub reason: TrialError,
}

/// Runs the trials of `ranges` in parallel. The result does not depend on the number of threads.
///
/// # Errors
///
/// The first trial that could not be run.
pub fn run(request: &Request, ranges: &[TimeoutRange]) -> Result<Vec<Sample>, Failed> {
    let sample = |range: &TimeoutRange| {
        let numbers = (0..request.trials_of(*range)).into_par_iter();
        let outcomes = numbers.map(|number| request.trial(*range, number).run());
        // Not collected in parallel as a result: that would return any of the errors.
        let outcomes: Vec<_> = outcomes.collect();
        let outcomes = (0..).zip(outcomes).map(|(number, outcome)| {
            outcome.map_err(|reason| Failed {
                range: *range,
                number,
                reason,
            })
        });
        Ok(Sample {
            range: *range,
            outcomes: outcomes.collect::<Result<_, _>>()?,
        })
    };
    ranges.iter().map(sample).collect()
}
