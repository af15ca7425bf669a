//! How long a cluster is without a leader: Figure 16 of the Raft paper (section 9.3), repeated.
//!
//! Five servers have a leader. It broadcasts a heartbeat and crashes at a random time before its
//! next one is due; what counts is the time from the crash until another server is leader. Many
//! such trials for each range of election timeouts make a curve of the figure.
//!
//! Where this is not what the paper did, or the paper does not say:
//!
//! - The core is a real one, time is virtual. See [`timing`] for how long everything takes.
//! - A new leader counts from the moment at which its core becomes leader, not from when others
//!   hear of it.
//! - The leader that crashes is played, see [`trial`]; so its heartbeat interval can be half of the
//!   least election timeout, where a core would ask for a third.
//! - A core asks that the greatest timeout be above the least one. In the range 150-150 it is so
//!   by a nanosecond, and all timeouts drawn are equal.

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

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What everything is drawn from.
    pub seed: u64,
    /// How many trials of each range.
    pub trials: u32,
    /// How long messages, writes and timers take.
    pub timing: Timing,
    /// Whether a candidate's requests wait for its own write.
    pub own_vote: OwnVote,
    /// Whether servers ask before they campaign (thesis 9.6).
    pub pre_vote: PreVoting,
    /// How long a trial waits for a leader, in virtual time.
    pub limit: Duration,
}

impl Request {
    /// The trials of a range whose timeouts are all equal, at most: each takes very long. The
    /// paper made as many.
    pub const MAX_FIXED_TRIALS: u32 = 100;

    /// How many trials are made of `range`.
    pub fn trials_of(&self, range: TimeoutRange) -> u32 {
        match range.is_fixed() {
            true => self.trials.min(Request::MAX_FIXED_TRIALS),
            false => self.trials,
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

/// What the trials of one range came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The range.
    pub range: TimeoutRange,
    /// Of each trial, in the order of their numbers.
    pub outcomes: Vec<Outcome>,
}

impl Sample {
    /// The times without a leader, the shortest first, of the trials that elected one.
    pub fn downtimes(&self) -> Vec<Duration> {
        let outcomes = self.outcomes.iter();
        let mut downtimes: Vec<Duration> = outcomes.filter_map(|one| one.downtime).collect();
        downtimes.sort_unstable();
        downtimes
    }
}

/// A trial that could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("range {range}, trial {number}: {reason}")]
pub struct Failed {
    /// Its range.
    pub range: TimeoutRange,
    /// Its number.
    pub number: u32,
    /// Why.
    pub reason: TrialError,
}

/// Makes the trials of `ranges`, in parallel; the result does not depend on how many threads there
/// are.
///
/// # Errors
///
/// The first trial that could not be made.
pub fn run(request: &Request, ranges: &[TimeoutRange]) -> Result<Vec<Sample>, Failed> {
    let sample = |range: &TimeoutRange| {
        let numbers = (0..request.trials_of(*range)).into_par_iter();
        let outcomes = numbers.map(|number| request.trial(*range, number).run());
        // Collected one by one, since a parallel collection of results gives any of the errors.
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
