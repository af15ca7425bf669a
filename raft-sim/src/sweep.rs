//! Sweeps: runs of many seeds, which several machines may share.
//!
//! A sweep is cut into chunks of [`CHUNK`] seeds. The result of a chunk is one line of JSON, a
//! [`ChunkResult`]. A sweep writes these lines, resumes from them, and adds up those of other
//! machines: the order does not matter.

use crate::availability::Condition;
use crate::coverage::CoverageMark;
use crate::report::Report;
use core::fmt;
use core::ops::Range;
use core::str::FromStr;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Seeds in a chunk.
pub const CHUNK: u64 = 256;

/// Reads a seed, in decimal or hexadecimal: `42`, `0x2a`, `1_000_000`.
pub fn parse_seed(text: &str) -> Option<u64> {
    let digits = text.trim().replace('_', "");
    let hexadecimal = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = match hexadecimal {
        Some(digits) => (digits, 16),
        None => (digits.as_str(), 10),
    };
    // The library would also read a sign.
    let is_number = digits.chars().all(|digit| digit.is_digit(radix));
    is_number.then_some(())?;
    u64::from_str_radix(digits, radix).ok()
}

/// Consecutive seeds, `A..B`: from A to just below B.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeds(pub Range<u64>);

/// Why a text is no range of seeds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedsError {
    /// It is not two seeds with two dots between them.
    #[error(
        "{0:?} is no range: write A..B, such as 0..20000 or 0x0..0x100, for the seeds from A to just \
         below B; a seed is a whole number from 0 to 2^64 - 1"
    )]
    NotARange(String),
    /// It ends before it begins.
    #[error("{0}..{1} goes backwards: did you mean {1}..{0}?")]
    Backwards(u64, u64),
    /// It holds no seed.
    #[error("{0}..{0} is empty: B is the first seed that is not run")]
    Empty(u64),
}

impl FromStr for Seeds {
    type Err = SeedsError;

    fn from_str(text: &str) -> Result<Seeds, SeedsError> {
        let ends = text.split_once("..");
        let ends = ends.and_then(|(from, to)| Some((parse_seed(from)?, parse_seed(to)?)));
        match ends {
            None => Err(SeedsError::NotARange(text.into())),
            Some((from, to)) if from > to => Err(SeedsError::Backwards(from, to)),
            Some((from, to)) if from == to => Err(SeedsError::Empty(from)),
            Some((from, to)) => Ok(Seeds(from..to)),
        }
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.0.start, self.0.end)
    }
}

impl Seeds {
    /// How many seeds.
    pub fn count(&self) -> u64 {
        self.0.end - self.0.start
    }

    /// The chunks of the range.
    pub fn chunks(&self) -> impl Iterator<Item = Seeds> + use<> {
        let Range { start, end } = self.0;
        let count = (end - start).div_ceil(CHUNK);
        (0..count).map(move |at| {
            let from = start + at * CHUNK;
            Seeds(from..end.min(from.saturating_add(CHUNK)))
        })
    }
}

/// One part of a sweep that many machines share: part `index` of `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The part, from 0.
    pub index: u64,
    /// How many parts there are.
    pub count: u64,
}

/// The environment variables that tell a task of an array job its index: Slurm's, and that of
/// Kubernetes' indexed jobs.
pub const INDEX_VARIABLES: [&str; 2] = ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"];

impl Shard {
    /// Reads `I/N`. With `array` for I, the index is the value that `variable` gives for one of
    /// [`INDEX_VARIABLES`].
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to write.
    pub fn parse(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Shard, String> {
        const HOW: &str =
            "write I/N, such as 0/100 for the first of a hundred parts, or array/N in an array job";
        let (index, count) = text.split_once('/').ok_or(HOW)?;
        let count: u64 = count.parse().map_err(|_| HOW)?;
        let index = match index {
            "array" => {
                let found = INDEX_VARIABLES.iter().find_map(|name| variable(name));
                let [slurm, kubernetes] = INDEX_VARIABLES;
                found.ok_or_else(|| format!("neither {slurm} nor {kubernetes} is set: {HOW}"))?
            }
            index => index.to_owned(),
        };
        let index: u64 = index.parse().map_err(|_| HOW)?;
        if index >= count {
            return Err(format!(
                "there is no part {index} of {count}: they count from 0"
            ));
        }
        Ok(Shard { index, count })
    }

    /// Whether chunk number `chunk` is in this part.
    pub fn holds(&self, chunk: usize) -> bool {
        chunk as u64 % self.count == self.index
    }
}

/// Sums over some seeds. Tallies can be added up in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many seeds.
    pub seeds: u64,
    /// How many of them failed.
    pub failed: u64,
    /// Inputs that the Raft cores took.
    pub events: u64,
    /// Entries committed.
    pub committed: u64,
    /// Virtual time, in milliseconds.
    pub virtual_millis: u64,
    /// CPU time, in microseconds.
    pub cpu_micros: u64,
    /// The sum of the digests of the seeds: equal runs of the same seeds give an equal sum.
    pub digest: u64,
    /// How many seeds reached each event. Files of sweeps call it `situations`.
    #[serde(rename = "situations")]
    pub coverage: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds a run.
    pub fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.failed += u64::from(!report.passed());
        self.events += report.counts.events;
        self.committed += report.committed;
        self.virtual_millis += (report.virtual_seconds * 1e3) as u64;
        self.cpu_micros += report.elapsed.as_micros() as u64;
        // The first 16 digits of a SHA-256 in hexadecimal.
        let digest = u64::from_str_radix(&report.digest, 16).unwrap_or(0);
        self.digest = self.digest.wrapping_add(digest);
        for (name, count) in reached(report) {
            *self.coverage.entry(name).or_default() += u64::from(count > 0);
        }
    }

    /// Adds other seeds.
    pub fn merge(&mut self, other: &Tally) {
        self.seeds += other.seeds;
        self.failed += other.failed;
        self.events += other.events;
        self.committed += other.committed;
        self.virtual_millis += other.virtual_millis;
        self.cpu_micros += other.cpu_micros;
        self.digest = self.digest.wrapping_add(other.digest);
        for (name, count) in &other.coverage {
            *self.coverage.entry(name.clone()).or_default() += count;
        }
    }
}

/// Every event that a run may reach, and how often this run did.
fn reached(report: &Report) -> impl Iterator<Item = (String, u64)> {
    let marks = CoverageMark::ALL.map(|it| (it.to_string(), report.coverage.count(it)));
    let counts = &report.counts;
    let counts = [
        ("a snapshot made", counts.snapshots),
        ("a snapshot restored", counts.restores),
        ("a command replaced by another leader's", counts.replaced),
        ("a node crashed", counts.crashes),
        (
            "a damaged frame caught by decoding",
            counts.caught_by_decoding,
        ),
        (
            "a damaged frame caught by its checksum",
            counts.caught_by_checksum,
        ),
        ("an operation given up", report.clients.unknown),
        ("a session found closed", report.clients.evicted),
        ("a history too hard to check", report.clients.unchecked_keys),
        ("a write failed", counts.failed_writes),
        ("a link cut", counts.cuts),
        ("a message lost", counts.dropped),
        ("a message repeated", counts.duplicated),
    ];
    let conditions = Condition::ALL.into_iter();
    let conditions = conditions.filter(|condition| *condition != Condition::None);
    let conditions = conditions.map(|condition| {
        let phases = report.availability.phases * u64::from(report.condition == condition);
        (format!("judged under {condition}"), phases)
    });
    let features = report.features.rows();
    let named = counts.into_iter().chain(features);
    let named = named.map(|(name, count)| (name.to_owned(), count));
    marks.into_iter().chain(named).chain(conditions)
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let virtual_seconds = self.virtual_millis as f64 / 1e3;
        let cpu = (self.cpu_micros as f64 / 1e6).max(1e-9);
        writeln!(
            f,
            "{} of {} seeds passed",
            self.seeds - self.failed,
            self.seeds
        )?;
        writeln!(
            f,
            "{} entries committed, {} events",
            self.committed, self.events
        )?;
        writeln!(
            f,
            "{virtual_seconds:.0} s of virtual time in {cpu:.1} s of CPU time: {:.0} times as fast, {:.0} events/s",
            virtual_seconds / cpu,
            self.events as f64 / cpu
        )?;
        writeln!(f, "digest {:016x}", self.digest)?;
        if self.seeds == 0 {
            return writeln!(f, "no seed was run");
        }
        writeln!(f, "how many seeds reached each event:")?;
        for (name, count) in self.coverage.iter().filter(|(_, count)| **count > 0) {
            writeln!(f, "  {name:<42}{count:>12}")?;
        }
        let never: Vec<&str> = (self.coverage.iter())
            .filter_map(|(name, count)| (*count == 0).then_some(name.as_str()))
            .collect();
        if never.is_empty() {
            writeln!(f, "every event was reached")
        } else {
            writeln!(f, "no seed reached: {}", never.join("; "))
        }
    }
}

/// A seed that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedSeed {
    /// The seed.
    pub seed: u64,
    /// What was wrong.
    pub failure: String,
    /// The kind of that failure.
    #[serde(default)]
    pub kind: String,
    /// The command that repeats the run.
    pub repeat: String,
}

/// The result of a chunk: a line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkResult {
    /// The seeds.
    pub seeds: Seeds,
    /// All other options: only results with the same settings can be added up.
    pub settings: String,
    /// The sums over the seeds.
    pub tally: Tally,
    /// The seeds that failed.
    pub failures: Vec<FailedSeed>,
}

/// A line that is no result of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LineError {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads the lines that a sweep wrote. The last line may be torn, if the sweep was killed while it
/// wrote it.
///
/// # Errors
///
/// The first line that is no result.
pub fn read_results(text: &str) -> Result<Vec<ChunkResult>, LineError> {
    let mut lines = Vec::new();
    for (at, line) in text.split_inclusive('\n').enumerate() {
        match serde_json::from_str(line) {
            Ok(line) => lines.push(line),
            Err(_) if !line.ends_with('\n') => break,
            Err(error) => {
                return Err(LineError {
                    line: at + 1,
                    reason: error.to_string(),
                });
            }
        }
    }
    Ok(lines)
}
