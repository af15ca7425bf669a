//! `raft-sim replay`.

mod cluster;
mod recording;
mod schedule;

use super::mutant::MutantArgs;
use super::outcome::{CliError, CommandResult, Outcome, usage};
use clap::Args;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How the texts end in which a driver notes what it has measured besides.
pub(super) const TIMES: &str = "rafttimes";

/// `raft-sim replay`.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Recordings, folders of recordings, or schedules
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print everything that happens, one fact a line
    #[arg(long)]
    print: bool,
    /// The recordings are those of one cluster: merge them into one run, and have the refinement
    /// judge each step
    #[arg(long, conflicts_with = "print")]
    cluster: bool,
    #[command(flatten)]
    mutant: MutantArgs,
}

pub(super) fn run(args: &ReplayArgs) -> CommandResult {
    if let Some(outcome) = args.mutant.delegate()? {
        return Ok(outcome);
    }
    let named = |path: &Path, error: io::Error| usage(format!("{}: {error}", path.display()));
    let mut files = Vec::new();
    for path in &args.paths {
        files.extend(recordings_of(path).map_err(|error| named(path, error))?);
    }
    if files.is_empty() {
        return Err(usage("none of these files is a recording or a schedule"));
    }
    if args.cluster {
        return cluster::replay(&files);
    }
    let mut outcome = Outcome::Passed;
    for path in files {
        let bytes = fs::read(&path).map_err(|error| named(&path, error))?;
        let replayed = match schedule_text(&path, &bytes) {
            Some(text) => schedule::replay(&path, text, args.print, &args.mutant.root),
            None => recording::replay(&path, &bytes, args.print),
        };
        let replayed = match replayed {
            Err(CliError::Usage(error)) => {
                // The files after it are replayed all the same.
                writeln!(io::stderr(), "error: {error}")?;
                Outcome::Usage
            }
            ended => ended?,
        };
        // A schedule that makes no sense is worse than a failure.
        outcome = match (outcome, replayed) {
            (Outcome::Passed, replayed) | (_, replayed @ Outcome::Usage) => replayed,
            (before, _) => before,
        };
    }
    Ok(outcome)
}

/// The text of a schedule. A recording is no text, but a damaged one may be: name and first bytes
/// decide.
fn schedule_text<'a>(path: &Path, bytes: &'a [u8]) -> Option<&'a str> {
    let has_name = path.extension().is_some_and(|it| it == "raftrec");
    let text = str::from_utf8(bytes).ok()?;
    (!has_name && !text.starts_with("RAFTREC")).then_some(text)
}

/// A folder stands for the recordings in it, the oldest first. What a driver has measured besides
/// belongs to the recording beside it, and is none.
pub(super) fn recordings_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        fs::metadata(path)?;
        if path.extension().is_some_and(|it| it == TIMES) {
            return Ok(Vec::new());
        }
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for file in fs::read_dir(path)? {
        let file = file?.path();
        if file
            .extension()
            .is_some_and(|extension| extension == "raftrec")
        {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(io::Error::other(
            "the folder holds no recordings (*.raftrec)",
        ));
    }
    files.sort();
    Ok(files)
}
