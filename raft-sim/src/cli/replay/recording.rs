//! `raft-sim replay` of a recording.

use crate::cli::outcome::{CommandResult, Outcome};
use raft_sim::replay::{self, ReplayError, Replayed};
use std::io::{self, Write};
use std::path::Path;

/// Runs the recording again, and says whether this build answers as was recorded.
pub(super) fn replay(path: &Path, bytes: &[u8], print: bool) -> CommandResult {
    let mut stdout = io::stdout().lock();
    let output: Option<&mut dyn Write> = if print { Some(&mut stdout) } else { None };
    match replay::replay(bytes, output) {
        Ok(replayed) => {
            report(&mut stdout, path, &replayed)?;
            Ok(Outcome::of(replayed.divergence.is_none()))
        }
        // As of every command: whoever reads the output has seen enough.
        Err(ReplayError::Trace(error)) => Err(error.into()),
        Err(error @ (ReplayError::Recording(_) | ReplayError::Checkpoint(_))) => {
            writeln!(io::stderr(), "error: {}: {error}", path.display())?;
            Ok(Outcome::Failed)
        }
    }
}

fn report(out: &mut impl Write, path: &Path, replayed: &Replayed) -> io::Result<()> {
    let raft = &replayed.raft;
    let state = format!(
        "{} in term {}, a {}, commit {}",
        raft.id(),
        raft.term(),
        raft.role(),
        raft.commit_index()
    );
    let torn = if replayed.is_torn {
        "; the file ends in the middle of a frame, as when a process is killed"
    } else {
        ""
    };
    let (path, steps) = (path.display(), replayed.steps);
    writeln!(out, "{path}: {steps} steps agree; {state}{torn}")?;
    if let Some(version) = &replayed.other_version {
        writeln!(
            out,
            "  recorded by release {version}: this one may answer otherwise"
        )?;
    }
    let Some(divergence) = &replayed.divergence else {
        return Ok(());
    };
    let recorded = divergence.step.outcome.map_or(0, |outcome| outcome.actions);
    writeln!(
        out,
        "  step {} (at byte {}) differs: {recorded} actions were recorded, this build answers {}:",
        divergence.number, divergence.step.offset, divergence.found.actions
    )?;
    for line in &divergence.lines {
        writeln!(out, "    {line}")?;
    }
    Ok(())
}
