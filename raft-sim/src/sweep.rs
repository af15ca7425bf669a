//! Many seeds: which to run, what they come to together, and how parts of a search are joined.
//!
//! A sweep is cut into chunks of [`CHUNK`] seeds. What a chunk came to is one [`Line`] of JSON, which
//! is what a sweep writes, what it resumes from, and what other machines' sweeps are joined by: all
//! in it can be added up, in any order.

use crate::coverage::CoverageMark;
use crate::report::Report;
use core::fmt;
use core::ops::Range;
use core::str::FromStr;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Seeds in a chunk.
pub const CHUNK: u64 = 256;

/// Consecutive seeds, `A..B`: from A to just below B.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeds(pub Range<u64>);

/// Why a text is no range of seeds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedsError {
    /// No two numbers with two dots between them.
    #[error(
        "{0:?} is no range: write A..B, such as 0..20000, for the seeds from A to just below B"
    )]
    NotARange(String),
    /// It ends before it begins.
    #[error("{0}..{1} goes backwards: did you mean {1}..{0}?")]
    Backwards(u64, u64),
    /// Nothing is in it.
    #[error("{0}..{0} is empty: B is the first seed that is not run")]
    Empty(u64),
}

impl FromStr for Seeds {
    type Err = SeedsError;

    fn from_str(text: &str) -> Result<Seeds, SeedsError> {
        let ends = text.split_once("..");
        let number = |text: &str| text.trim().replace('_', "").parse::<u64>().ok();
        let ends = ends.and_then(|(from, to)| Some((number(from)?, number(to)?)));
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
    /// How many they are.
    pub fn count(&self) -> u64 {
        self.0.end - self.0.start
    }

    /// The chunks that they are cut into.
    pub fn chunks(&self) -> impl Iterator<Item = Seeds> + use<> {
        let Range { start, end } = self.0;
        let count = (end - start).div_ceil(CHUNK);
        (0..count).map(move |at| {
            let from = start + at * CHUNK;
            Seeds(from..end.min(from.saturating_add(CHUNK)))
        })
    }
}

/// One part of a sweep that many machines share: part `index` of `count`, from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part.
    pub index: u64,
    /// How many parts there are.
    pub count: u64,
}

/// Where array jobs say which of them one is: Slurm, and Kubernetes' indexed jobs.
pub const INDEX_VARIABLES: [&str; 2] = ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"];

impl Shard {
    /// Reads `I/N`; with `array` for I, the index is what `variable` gives for one of
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

    /// This part's chunks among all.
    pub fn holds(&self, chunk: usize) -> bool {
        chunk as u64 % self.count == self.index
    }
}

/// What some seeds came to. Can be added up in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub seeds: u64,
    /// Those in which something was wrong.
    pub failed: u64,
    /// Inputs that cores took.
    pub events: u64,
    /// Entries committed.
    pub committed: u64,
    /// Virtual time, in milliseconds.
    pub virtual_millis: u64,
    /// Time that it took, in microseconds, of one core.
    pub cpu_micros: u64,
    /// The sum of the seeds' digests: equal exactly for equal runs of the same seeds.
    pub digest: u64,
    /// The seeds in which each situation came up.
    #[serde(alias = "situations")]
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
    pub fn join(&mut self, other: &Tally) {
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

/// Everything that a run may come into, and how often this one did.
fn reached(report: &Report) -> impl Iterator<Item = (String, u64)> {
    let situations = CoverageMark::ALL.map(|it| (it.to_string(), report.coverage.count(it)));
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
    let features = report.features.rows();
    let named = counts.into_iter().chain(features);
    let named = named.map(|(name, count)| (name.to_owned(), count));
    situations.into_iter().chain(named)
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
            "{virtual_seconds:.0} s of virtual time in {cpu:.1} s of a core: {:.0} times as fast, {:.0} events/s",
            virtual_seconds / cpu,
            self.events as f64 / cpu
        )?;
        writeln!(f, "digest {:016x}", self.digest)?;
        writeln!(f, "the seeds that came into each situation:")?;
        for (name, count) in self.coverage.iter().filter(|(_, count)| **count > 0) {
            writeln!(f, "  {name:<42}{count:>12}")?;
        }
        let never: Vec<&str> = (self.coverage.iter())
            .filter_map(|(name, count)| (*count == 0).then_some(name.as_str()))
            .collect();
        match never.is_empty() {
            true => writeln!(f, "none was left out"),
            false => writeln!(f, "no seed came into: {}", never.join("; ")),
        }
    }
}

/// A seed in which something was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedSeed {
    /// Which.
    pub seed: u64,
    /// What was wrong.
    pub failure: String,
    /// What kind of failure that is.
    #[serde(default)]
    pub kind: String,
    /// The command that repeats it.
    pub repeat: String,
}

/// What a chunk came to, as a line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which seeds.
    pub seeds: Seeds,
    /// All else that was asked for: only lines with the same settings can be joined.
    pub settings: String,
    /// What they came to.
    pub tally: Tally,
    /// Those in which something was wrong.
    pub failures: Vec<FailedSeed>,
}

/// Reads lines that a sweep wrote. The last one may be torn: its sweep was killed while it wrote it.
///
/// # Errors
///
/// The number of a line, from 1, that is none, and why.
pub fn read_lines(text: &str) -> Result<Vec<Line>, (usize, String)> {
    let mut lines = Vec::new();
    for (at, line) in text.split_inclusive('\n').enumerate() {
        match serde_json::from_str(line) {
            Ok(line) => lines.push(line),
            Err(_) if !line.ends_with('\n') => break,
            Err(error) => return Err((at + 1, error.to_string())),
        }
    }
    Ok(lines)
}
