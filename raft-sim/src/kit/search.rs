//! Runs the seeds of a kit, and makes the first run small that fails.

use super::draw::{self, Fixed};
use super::environment::Wanted;
use super::error::{Found, KitError};
use super::quiet::quietly;
use super::served::{Parts, Reach, Served};
use super::state_machine::StateMachine;
use super::summary::{Mark, OwnCount, Summary};
use crate::failure::Failure;
use crate::report::Report;
use crate::request::Request;
use crate::run;
use crate::schedule::{MachineOperation, NemesisOperation, Schedule};
use crate::shrink::{self, Options, Size};
use core::ops::Range;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many seeds run at once. After them the search looks whether one has failed.
const AT_ONCE: u64 = 16;

/// All that a test of a service fixes.
pub(super) struct Search<S: StateMachine> {
    pub(super) parts: Arc<Parts<S>>,
    pub(super) fixed: Fixed,
    pub(super) seeds: Range<u64>,
    pub(super) required: Vec<Mark>,
    pub(super) shrinking: Options,
}

/// A run, and what it reached.
struct Ran {
    seed: u64,
    report: Report,
    reach: Arc<Reach>,
}

impl<S: StateMachine> Search<S> {
    /// Runs what is wanted.
    pub(super) fn run(&self, wanted: Wanted) -> Result<Summary, KitError> {
        let nodes = 1..=Request::MAX_NODES;
        if self
            .fixed
            .nodes
            .is_some_and(|count| !nodes.contains(&count))
        {
            let most = Request::MAX_NODES;
            let range = format!("it has from 1 to {most} servers");
            return Err(KitError::Impossible(range));
        }
        match wanted {
            Wanted::All => {
                let summary = self.run_seeds(self.seeds.clone())?;
                self.require(&summary)?;
                Ok(summary)
            }
            Wanted::Seeds(seeds) => self.run_seeds(seeds),
            Wanted::Schedule(path) => self.run_schedule(path),
        }
    }

    fn summary(&self) -> Summary {
        let parts = &self.parts;
        let sometimes = parts.sometimes.iter().map(|it| OwnCount::new(&it.name));
        let faults = parts.faults.iter().map(|it| OwnCount::new(&it.name));
        Summary {
            sometimes: sometimes.collect(),
            faults: faults.collect(),
            ..Summary::default()
        }
    }

    fn schedule(&self, seed: u64) -> Schedule {
        draw::schedule(&self.fixed, self.parts.faults.len(), seed)
    }

    fn try_run(&self, schedule: &Schedule) -> Report {
        quietly(|| run::try_with(schedule, Arc::new(Served::new(&self.parts))))
    }

    fn run_seeds(&self, seeds: Range<u64>) -> Result<Summary, KitError> {
        if seeds.is_empty() {
            return Err(KitError::NoSeeds);
        }
        let mut summary = self.summary();
        let mut from = seeds.start;
        while from < seeds.end {
            let to = from.saturating_add(AT_ONCE).min(seeds.end);
            let seeds: Vec<u64> = (from..to).collect();
            let ran: Vec<Ran> = seeds
                .into_par_iter()
                .map(|seed| self.run_seed(seed))
                .collect();
            for run in ran {
                if let Some(failure) = run.report.failure.clone() {
                    return Err(self.found(run.seed, failure, &run.report.digest));
                }
                summary.add(&run.report, &run.reach);
            }
            from = to;
        }
        Ok(summary)
    }

    fn run_seed(&self, seed: u64) -> Ran {
        let served = Served::new(&self.parts);
        let reach = Arc::clone(&served.reach);
        let schedule = self.schedule(seed);
        let report = quietly(|| run::try_with(&schedule, Arc::new(served)));
        Ran {
            seed,
            report,
            reach,
        }
    }

    /// What the test requires of its runs.
    fn require(&self, summary: &Summary) -> Result<(), KitError> {
        let seeds = summary.seeds;
        if summary.unchecked * 2 > seeds {
            let unchecked = summary.unchecked;
            return Err(KitError::TooHard { unchecked, seeds });
        }
        let required = self.required.iter();
        let marks = required.filter(|mark| summary.reached(**mark) == 0);
        let marks = marks.map(Mark::to_string);
        let sometimes = summary.sometimes.iter().filter(|own| own.seeds == 0);
        let sometimes = sometimes.map(|own| own.name.clone());
        let none = (summary.answered == 0).then(|| "an answer to a command".to_owned());
        let marks: Vec<String> = none.into_iter().chain(marks).chain(sometimes).collect();
        if marks.is_empty() {
            Ok(())
        } else {
            Err(KitError::NotReached { marks, seeds })
        }
    }

    /// A run that is written down.
    fn run_schedule(&self, path: PathBuf) -> Result<Summary, KitError> {
        let schedule = Schedule::read(&path);
        let schedule = schedule.map_err(|reason| KitError::Schedule {
            path: path.clone(),
            reason,
        })?;
        if !draw::is_of_kit(&schedule) {
            return Err(KitError::Impossible(format!(
                "{} is not a schedule of this kit: its clients use the built-in service",
                path.display()
            )));
        }
        let served = Served::new(&self.parts);
        let reach = Arc::clone(&served.reach);
        let report = run::try_with(&schedule, Arc::new(served));
        let Some(failure) = report.failure.clone() else {
            let mut summary = self.summary();
            summary.add(&report, &reach);
            return Ok(summary);
        };
        let size = Size::of(&schedule);
        let found = Found {
            seed: None,
            first_failure: failure.clone(),
            failure,
            events: Vec::new(),
            last_lines: Vec::new(),
            before: size,
            after: size,
            tried: 0,
            file: Some(path),
            test: test_name(),
            schedule,
        };
        Err(KitError::Found(Box::new(self.told(found))))
    }

    /// The run of `seed` fails. It is repeated and made small.
    fn found(&self, seed: u64, failure: Failure, digest: &str) -> KitError {
        let schedule = self.schedule(seed);
        let again = self.try_run(&schedule);
        if again.digest != digest || again.failure.as_ref() != Some(&failure) {
            return KitError::NotRepeatable {
                seed,
                first: failure.to_string(),
                then: match again.failure {
                    Some(failure) => failure.to_string(),
                    None => "it passes".into(),
                },
            };
        }
        let harder = self.harder(&schedule, &failure);
        let try_run = |schedule: &Schedule| self.try_run(schedule);
        let before = Size::of(&schedule);
        let mut found = Found {
            seed: Some(seed),
            first_failure: failure.clone(),
            failure,
            events: Vec::new(),
            last_lines: Vec::new(),
            before,
            after: before,
            tried: 0,
            file: None,
            test: test_name(),
            schedule,
        };
        if let Ok(shrunk) = shrink::shrink_by(&try_run, &harder, self.shrinking, &|_| {}) {
            found.failure = shrunk.failure;
            found.after = shrunk.after;
            found.tried = shrunk.runs;
            found.schedule = shrunk.schedule;
        }
        let mut found = self.told(found);
        found.file = written(&found.schedule, seed, found.test.as_deref());
        KitError::Found(Box::new(found))
    }

    /// The same run with more snapshots, if it fails in the same way.
    fn harder(&self, schedule: &Schedule, failure: &Failure) -> Schedule {
        let mut harder = draw::with_more_snapshots(schedule);
        let fails = |schedule: &Schedule| {
            let failed = self.try_run(schedule).failure;
            failed.is_some_and(|failed| failed.kind() == failure.kind())
        };
        harder.find(fails).unwrap_or_else(|| schedule.clone())
    }

    /// The run with its events in words.
    fn told(&self, mut found: Found) -> Found {
        let filmed = run::film_with(&found.schedule, Arc::new(Served::new(&self.parts)));
        found.last_lines = filmed.report.last_lines;
        let (operations, texts) = filmed.journal.into_table();
        let nemesis = found.schedule.nemesis.iter();
        let nemesis = nemesis.map(|(at, operation)| (at.0, self.in_words(operation)));
        let calls = operations.at.iter().zip(&operations.client).zip(&texts);
        let calls = calls.map(|((at, client), text)| (*at as u64, format!("c{client} {text}")));
        let mut events: Vec<(u64, String)> = nemesis.chain(calls).collect();
        events.sort_by_key(|(at, _)| *at);
        let line = |(at, text): (u64, String)| {
            let (seconds, micros) = (at / 1_000_000_000, at / 1_000 % 1_000_000);
            format!("{seconds}.{micros:06} {text}")
        };
        found.events = events.into_iter().map(line).collect();
        found
    }

    fn in_words(&self, operation: &NemesisOperation) -> String {
        if let NemesisOperation::AtMachine { of, operation } = operation
            && let MachineOperation::Strike { fault } = operation
            && let Some(named) = self.parts.faults.get(*fault as usize)
        {
            return format!("strike {of}: {}", named.name);
        }
        operation.to_string()
    }
}

/// The name of the test that runs in this thread, by which `cargo test` finds it.
fn test_name() -> Option<String> {
    let name = std::thread::current().name()?.to_owned();
    (name != "main").then_some(name)
}

/// Writes a schedule to the folder for temporary files. Returns its path.
fn written(schedule: &Schedule, seed: u64, test: Option<&str>) -> Option<PathBuf> {
    let test = test
        .unwrap_or("kit")
        .replace(|it: char| !it.is_ascii_alphanumeric(), "-");
    let folder = std::env::temp_dir().join("raft-sim-kit");
    std::fs::create_dir_all(&folder).ok()?;
    let path: PathBuf = Path::new(&folder).join(format!("{test}-seed-{seed}.toml"));
    std::fs::write(&path, schedule.to_text()).ok()?;
    Some(path)
}
