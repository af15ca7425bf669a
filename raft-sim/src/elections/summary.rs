//! The results of the trials, as a table and as JSON.

use super::range::TimeoutRange;
use super::{Request, Sample};
use core::fmt;
use core::time::Duration;
use raft_proto::PreVoting;
use serde_json::{Value, json};

/// The results of the trials of one range, summed up.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The range.
    pub range: TimeoutRange,
    /// How many trials there were.
    pub trials: usize,
    /// How many of them elected a leader within the limit.
    pub elected: usize,
    /// The shortest time without a leader. Here and below, a trial that elected none counts as
    /// longer than all others, and `None` stands for its time.
    pub min: Option<Duration>,
    /// The time that half of the trials do not exceed.
    pub median: Option<Duration>,
    /// The mean; `None` if any trial elected no leader.
    pub mean: Option<Duration>,
    /// The time that 90 of 100 trials do not exceed.
    pub p90: Option<Duration>,
    /// The time that 99 of 100 trials do not exceed.
    pub p99: Option<Duration>,
    /// The longest.
    pub max: Option<Duration>,
    /// How many terms began in a trial, in the mean. Each is an election; the last was won.
    pub mean_elections: f64,
    /// How many terms began in a trial at most.
    pub max_elections: u64,
}

impl Summary {
    /// Sums a sample up.
    pub fn new(sample: &Sample) -> Summary {
        let downtimes = sample.downtimes();
        let (trials, elected) = (sample.outcomes.len(), downtimes.len());
        // The nearest rank: the least time that so many of a hundred trials do not exceed.
        let percentile = |percent: usize| {
            let rank = (trials * percent).div_ceil(100).max(1);
            downtimes.get(rank - 1).copied()
        };
        let total: Duration = downtimes.iter().sum();
        let seconds = total.as_secs_f64() / elected.max(1) as f64;
        let is_complete = elected == trials && elected > 0;
        let elections = sample.outcomes.iter().map(|one| one.elections);
        Summary {
            range: sample.range,
            trials,
            elected,
            min: downtimes.first().copied(),
            median: percentile(50),
            mean: is_complete.then(|| Duration::from_secs_f64(seconds)),
            p90: percentile(90),
            p99: percentile(99),
            max: percentile(100),
            mean_elections: elections.clone().sum::<u64>() as f64 / trials.max(1) as f64,
            max_elections: elections.max().unwrap_or(0),
        }
    }

    fn times(&self) -> [(&'static str, Option<Duration>); 6] {
        [
            ("min", self.min),
            ("median", self.median),
            ("mean", self.mean),
            ("p90", self.p90),
            ("p99", self.p99),
            ("max", self.max),
        ]
    }

    fn json(&self) -> Value {
        let times = self.times().into_iter();
        let times = times.map(|(name, time)| (name.to_owned(), json!(time.map(milliseconds))));
        json!({
            "range": self.range.to_string(),
            "trials": self.trials,
            "elected": self.elected,
            "without_leader_ms": times.collect::<serde_json::Map<String, Value>>(),
            "elections": {"mean": self.mean_elections, "max": self.max_elections},
        })
    }
}

/// To the microsecond, which is more than a simulated disk is good for.
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

/// A request and its results.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The request.
    pub request: Request,
    /// One summary for each range.
    pub summaries: Vec<Summary>,
}

impl Report {
    /// Sums all samples up.
    pub fn new(request: Request, samples: &[Sample]) -> Report {
        Report {
            request,
            summaries: samples.iter().map(Summary::new).collect(),
        }
    }

    /// The report as JSON. Times beyond the limit are null.
    pub fn json(&self) -> Value {
        let request = &self.request;
        let timing = request.timing;
        let span =
            |span: crate::duration::DurationRange| [milliseconds(span.min), milliseconds(span.max)];
        let ranges: Vec<Value> = self.summaries.iter().map(Summary::json).collect();
        json!({
            "seed": request.seed,
            "trials": request.trials,
            "own_vote": request.own_vote,
            "pre_vote": request.pre_vote == PreVoting::On,
            "limit_ms": milliseconds(request.limit),
            "broadcast_time_ms": milliseconds(timing.broadcast_time),
            "message_ms": span(timing.delay),
            "write_ms": span(timing.write),
            "timer_lateness_ms": span(timing.lateness),
            "ranges": ranges,
        })
    }
}

impl fmt::Display for Report {
    /// The table, and the settings behind it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let never = self.summaries.iter().any(|one| one.elected < one.trials);
        write!(f, "{:<9}{:>7}{:>8}", "timeouts", "trials", "elected")?;
        for name in ["min", "median", "mean", "p90", "p99", "max"] {
            write!(f, "{name:>9}")?;
        }
        writeln!(f, "{:>11}{:>7}", "elections", "most")?;
        for one in &self.summaries {
            write!(f, "{:<9}{:>7}{:>8}", one.range, one.trials, one.elected)?;
            for (_, time) in one.times() {
                match time {
                    Some(time) => write!(f, "{:>9.1}", milliseconds(time))?,
                    None => write!(f, "{:>9}", "-")?,
                }
            }
            writeln!(f, "{:>11.2}{:>7}", one.mean_elections, one.max_elections)?;
        }
        writeln!(
            f,
            "\nMilliseconds from the crash of a leader until the next one leads."
        )?;
        if never {
            let limit = humantime::format_duration(self.request.limit);
            writeln!(
                f,
                "-: not within {limit}; no mean where some trials ended so."
            )?;
        }
        let timing = self.request.timing;
        let span = |span: crate::duration::DurationRange| {
            let (min, max) = (milliseconds(span.min), milliseconds(span.max));
            format!("{min} to {max} ms")
        };
        let (delay, write) = (span(timing.delay), span(timing.write));
        writeln!(f, "A message takes {delay} one way, a write {write}.")?;
        let pre_vote = match self.request.pre_vote {
            PreVoting::On => "with Pre-Vote",
            PreVoting::Off => "without Pre-Vote",
        };
        let (own_vote, seed) = (self.request.own_vote, self.request.seed);
        writeln!(f, "Own vote {own_vote}, {pre_vote}, seed {seed}.")
    }
}
