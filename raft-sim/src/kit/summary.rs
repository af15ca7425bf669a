//! What the runs of a kit have reached.

use super::served::Reach;
use crate::coverage::CoverageMark;
use crate::report::Report;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeMap;

/// A situation that a test of a service should reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A second leader was elected.
    LeaderChanged,
    /// A process ended, and another one started on the same machine.
    Restarted,
    /// A replica made a snapshot.
    SnapshotMade,
    /// A process started with a snapshot of its own.
    SnapshotLoaded,
    /// A replica that had fallen behind took over another one's snapshot.
    SnapshotInstalled,
    /// A command was not committed, and its client sent it again.
    CommandReplaced,
    /// A client got no answer in time: its command may have been applied, or not.
    CommandGivenUp,
    /// One of the situations that the simulator knows.
    Simulator(CoverageMark),
}

impl Mark {
    /// Those that each kind of service should reach within a hundred seeds.
    pub const USUAL: [Mark; 6] = [
        Mark::LeaderChanged,
        Mark::Restarted,
        Mark::SnapshotMade,
        Mark::SnapshotLoaded,
        Mark::SnapshotInstalled,
        Mark::Simulator(CoverageMark::CommandRepeated),
    ];

    fn all() -> impl Iterator<Item = Mark> {
        let own = [
            Mark::LeaderChanged,
            Mark::Restarted,
            Mark::SnapshotMade,
            Mark::SnapshotLoaded,
            Mark::SnapshotInstalled,
            Mark::CommandReplaced,
            Mark::CommandGivenUp,
        ];
        let simulator = CoverageMark::ALL.into_iter().map(Mark::Simulator);
        own.into_iter().chain(simulator)
    }

    /// How often a run reached it.
    fn count(self, report: &Report, reach: &Reach) -> u64 {
        let counts = &report.counts;
        match self {
            Mark::LeaderChanged => counts.leaders.saturating_sub(1),
            Mark::Restarted => counts.crashes,
            Mark::SnapshotMade => counts.snapshots,
            Mark::SnapshotLoaded => read(&reach.restored).saturating_sub(counts.restores),
            Mark::SnapshotInstalled => counts.restores,
            Mark::CommandReplaced => counts.replaced,
            Mark::CommandGivenUp => report.clients.unknown,
            Mark::Simulator(mark) => report.coverage.count(mark),
        }
    }
}

impl From<CoverageMark> for Mark {
    fn from(mark: CoverageMark) -> Mark {
        Mark::Simulator(mark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mark::LeaderChanged => "a second leader elected",
            Mark::Restarted => "a process restarted",
            Mark::SnapshotMade => "a snapshot made",
            Mark::SnapshotLoaded => "a process started with a snapshot",
            Mark::SnapshotInstalled => "another replica's snapshot installed",
            Mark::CommandReplaced => "a command replaced by another leader's",
            Mark::CommandGivenUp => "a command given up by its client",
            Mark::Simulator(mark) => return mark.fmt(f),
        })
    }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// A situation, or a fault, of the user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnCount {
    pub(super) name: String,
    /// How many seeds reached it.
    pub(super) seeds: u64,
}

impl OwnCount {
    pub(super) fn new(name: &str) -> OwnCount {
        OwnCount {
            name: name.into(),
            seeds: 0,
        }
    }
}

/// What the runs of a kit have reached. It is printed as a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many seeds were run.
    pub seeds: u64,
    /// Commands that clients began.
    pub begun: u64,
    /// Commands that were answered.
    pub answered: u64,
    /// Commands that replicas applied, by all of them together.
    pub applied: u64,
    /// Runs in which what clients saw was too hard to check to its end.
    pub unchecked: u64,
    pub(super) marks: BTreeMap<Mark, u64>,
    pub(super) sometimes: Vec<OwnCount>,
    pub(super) faults: Vec<OwnCount>,
}

impl Summary {
    /// How many seeds reached this situation.
    pub fn reached(&self, mark: impl Into<Mark>) -> u64 {
        self.marks.get(&mark.into()).copied().unwrap_or(0)
    }

    /// How many seeds reached this situation of the user's own; `None` if there is none of that
    /// name.
    pub fn reached_own(&self, name: &str) -> Option<u64> {
        let own = self.sometimes.iter().find(|own| own.name == name);
        own.map(|own| own.seeds)
    }

    /// Adds a run.
    pub(super) fn add(&mut self, report: &Report, reach: &Reach) {
        self.seeds += 1;
        self.begun += report.clients.begun;
        self.answered += report.clients.answered;
        self.applied += read(&reach.applied);
        self.unchecked += u64::from(report.clients.unchecked_keys > 0);
        for mark in Mark::all() {
            let is_reached = mark.count(report, reach) > 0;
            *self.marks.entry(mark).or_default() += u64::from(is_reached);
        }
        for (own, count) in self.sometimes.iter_mut().zip(&reach.sometimes) {
            own.seeds += u64::from(read(count) > 0);
        }
        for (own, count) in self.faults.iter_mut().zip(&reach.strikes) {
            own.seeds += u64::from(read(count) > 0);
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} seeds passed: {} commands begun, {} answered, {} applied by all replicas together",
            self.seeds, self.begun, self.answered, self.applied
        )?;
        if self.unchecked > 0 {
            let unchecked = self.unchecked;
            writeln!(
                f,
                "in {unchecked} of them what clients saw was too hard to check to its end"
            )?;
        }
        writeln!(f, "how many seeds reached each situation:")?;
        for own in &self.sometimes {
            writeln!(f, "  {:<44}{:>8}", own.name, own.seeds)?;
        }
        for own in &self.faults {
            writeln!(
                f,
                "  {:<44}{:>8}",
                format!("fault: {}", own.name),
                own.seeds
            )?;
        }
        for (mark, seeds) in self.marks.iter().filter(|(_, seeds)| **seeds > 0) {
            writeln!(f, "  {:<44}{seeds:>8}", mark.to_string())?;
        }
        Ok(())
    }
}
