//! `raft-sim replay`.

use super::{ReplayArgs, Verdict};
use raft_sim::replay::{Replayed, replay};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &ReplayArgs) -> io::Result<Verdict> {
    if let Some(verdict) = args.mutant.delegate()? {
        return Ok(verdict);
    }
    let mut files = Vec::new();
    for path in &args.paths {
        match files_of(path) {
            Ok(found) => files.extend(found),
            Err(error) => {
                writeln!(io::stderr(), "error: {}: {error}", path.display())?;
                return Ok(Verdict::Usage);
            }
        }
    }
    let mut verdict = Verdict::Passed;
    for path in files {
        let bytes = fs::read(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        let mut stdout = io::stdout().lock();
        let output: Option<&mut dyn Write> = match args.print {
            true => Some(&mut stdout),
            false => None,
        };
        match replay(&bytes, output) {
            Ok(replayed) => {
                report(&path, &replayed)?;
                if replayed.divergence.is_some() {
                    verdict = Verdict::Failed;
                }
            }
            Err(error) => {
                writeln!(io::stderr(), "error: {}: {error}", path.display())?;
                verdict = Verdict::Failed;
            }
        }
    }
    Ok(verdict)
}

/// A folder stands for the recordings in it, the oldest first.
fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        fs::metadata(path)?;
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

fn report(path: &Path, replayed: &Replayed) -> io::Result<()> {
    let mut out = io::stdout();
    let raft = &replayed.raft;
    let state = format!(
        "{} in term {}, a {:?}, commit {}",
        raft.id(),
        raft.term(),
        raft.role(),
        raft.commit_index()
    );
    let torn = match replayed.is_torn {
        true => "; it ends in the middle of a frame, as when a process is killed",
        false => "",
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
