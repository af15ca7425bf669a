//! `raft-sim replay`.

use super::{ReplayArgs, Verdict, replay_schedule};
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
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                writeln!(io::stderr(), "error: {}: {error}", path.display())?;
                return Ok(Verdict::Usage);
            }
        };
        let ended = match text(&path, &bytes) {
            Some(text) => replay_schedule::run(args, &path, text)?,
            None => recording(args, &path, &bytes)?,
        };
        // No sense at all is worse than a failure, which is worse than none.
        verdict = match (verdict, ended) {
            (Verdict::Passed, ended) | (_, ended @ Verdict::Usage) => ended,
            (before, _) => before,
        };
    }
    Ok(verdict)
}

/// A schedule's text: recordings are no text, but a damaged one may be.
fn text<'a>(path: &Path, bytes: &'a [u8]) -> Option<&'a str> {
    let is_named = path.extension().is_some_and(|it| it == "raftrec");
    let text = str::from_utf8(bytes).ok()?;
    (!is_named && !text.starts_with("RAFTREC")).then_some(text)
}

fn recording(args: &ReplayArgs, path: &Path, bytes: &[u8]) -> io::Result<Verdict> {
    let mut stdout = io::stdout().lock();
    let output: Option<&mut dyn Write> = match args.print {
        true => Some(&mut stdout),
        false => None,
    };
    match replay(bytes, output) {
        Ok(replayed) => {
            report(path, &replayed)?;
            match replayed.divergence {
                Some(_) => Ok(Verdict::Failed),
                None => Ok(Verdict::Passed),
            }
        }
        Err(error) => {
            writeln!(io::stderr(), "error: {}: {error}", path.display())?;
            Ok(Verdict::Failed)
        }
    }
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
