//! The results of a sweep, added up and shown.

use raft_sim::sweep::{ChunkResult, FailedSeed, Tally};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// How many failures a summary lists. It counts all of them.
pub(super) const LISTED: usize = 20;

/// The results of chunks, by their first seed.
pub(super) type Results = BTreeMap<u64, ChunkResult>;

/// Results of chunks, added up.
#[derive(Default)]
pub(super) struct Summary {
    pub(super) tally: Tally,
    pub(super) failures: Vec<FailedSeed>,
}

impl Summary {
    /// Adds up `results`.
    pub(super) fn of<'a>(results: impl IntoIterator<Item = &'a ChunkResult>) -> Summary {
        let mut summary = Summary::default();
        for result in results {
            summary.tally.merge(&result.tally);
            summary.failures.extend(result.failures.iter().cloned());
        }
        summary
    }

    /// Prints it for people.
    pub(super) fn print(&self) -> io::Result<()> {
        let mut stdout = io::stdout();
        write!(stdout, "{}", self.tally)?;
        if !self.failures.is_empty() {
            writeln!(stdout, "FAILED: {} seeds", self.failures.len())?;
            list(self.failures.get(..LISTED).unwrap_or(&self.failures))?;
        }
        Ok(())
    }
}

/// Prints failures, each with the command that repeats it.
pub(super) fn list(failures: &[FailedSeed]) -> io::Result<()> {
    let mut stdout = io::stdout();
    for failed in failures {
        writeln!(stdout, "seed {}: {}", failed.seed, failed.failure)?;
        writeln!(stdout, "  repeat with: {}", failed.repeat)?;
    }
    Ok(())
}
