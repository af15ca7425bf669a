//! `raft-sim replay --cluster`.

use crate::cli::outcome::{CommandResult, Outcome, usage};
use raft_sim::replay::{MergeError, NamedFile, replay_cluster};
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

/// Merges the recordings, and says whether the refinement holds.
pub(super) fn replay(paths: &[PathBuf]) -> CommandResult {
    let mut files = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let bytes = fs::read(path).map_err(|error| usage(format!("{name}: {error}")))?;
        files.push((name, bytes));
    }
    let named = files.iter().map(|(name, bytes)| NamedFile { name, bytes });
    let merged = match replay_cluster(&named.collect::<Vec<_>>()) {
        Ok(merged) => merged,
        Err(error @ MergeError::BeginsLate { .. }) => return Err(usage(error)),
        Err(error) => {
            writeln!(io::stderr(), "error: {error}")?;
            return Ok(Outcome::Failed);
        }
    };
    let mut stdout = io::stdout();
    let (nodes, steps) = (merged.nodes, merged.steps);
    match &merged.broken {
        None => writeln!(
            stdout,
            "{steps} steps of {nodes} nodes are steps of the refinement"
        )?,
        Some(broken) => writeln!(stdout, "step {steps} of {nodes} nodes: {broken}")?,
    }
    if merged.unsent > 0 {
        let unsent = merged.unsent;
        writeln!(
            stdout,
            "  {unsent} messages came whose sending is in no recording"
        )?;
    }
    Ok(Outcome::of(merged.broken.is_none()))
}
