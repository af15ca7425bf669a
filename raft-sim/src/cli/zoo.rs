//! `raft-sim zoo`.

use super::{Verdict, ZooArgs};
use raft_sim::sweep::{Line, read_lines};
use raft_sim::zoo::{self, Mutant, Scratch, ZooError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is searched by turns, as no one setting shows every mistake.
const SETTINGS: [&[&str]; 4] = [
    &["--nodes", "5"],
    &["--nodes", "3"],
    &["--nodes", "4", "--features", "all"],
    &["--nodes", "5", "--features", "all"],
];

/// Seeds that one turn runs at most.
const TURN: u64 = 64;

/// What the search for one mistake came to.
struct Hunt {
    seeds: u64,
    cpu_seconds: f64,
    /// What failed, and the command that repeats it.
    caught: Option<(String, String)>,
}

pub(crate) fn run(args: &ZooArgs) -> io::Result<Verdict> {
    let mutants = zoo::read(&args.root, &args.names);
    let begun = mutants.and_then(|mutants| Ok((mutants, Scratch::make(&args.root)?)));
    let (mutants, scratch) = match begun {
        Ok(begun) => begun,
        Err(error) => return usage(&error),
    };
    let mut stdout = io::stdout();
    writeln!(
        stdout,
        "| mistake | wrong rule | source | caught by | seeds | CPU s | repeat with |"
    )?;
    writeln!(stdout, "|---|---|---|---|---|---|---|")?;
    let mut times = Vec::new();
    let mut escaped = Vec::new();
    let bar = super::progress(mutants.len() as u64);
    for mutant in &mutants {
        bar.set_message(mutant.name.clone());
        let hunt = match hunt(&scratch, mutant, args.cpu_seconds) {
            Ok(hunt) => hunt,
            Err(HuntError::Zoo(error)) => return usage(&error),
            Err(HuntError::Failed(what)) => {
                writeln!(io::stderr(), "error: {}: {what}", mutant.name)?;
                return Ok(Verdict::Failed);
            }
        };
        bar.inc(1);
        bar.suspend(|| writeln!(stdout, "{}", row(mutant, &hunt)))?;
        match hunt.caught {
            Some(_) => times.push(hunt.cpu_seconds),
            None => escaped.push(mutant.name.as_str()),
        }
    }
    bar.finish_and_clear();
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
    let (caught, all) = (times.len(), mutants.len());
    writeln!(
        stdout,
        "\n{caught} of {all} were caught, in {median:.1} CPU seconds in the median."
    )?;
    match escaped.is_empty() {
        true => Ok(Verdict::Passed),
        false => {
            writeln!(stdout, "Not caught: {}.", escaped.join(", "))?;
            Ok(Verdict::Failed)
        }
    }
}

fn usage(error: &ZooError) -> io::Result<Verdict> {
    writeln!(io::stderr(), "error: {error}")?;
    Ok(Verdict::Usage)
}

fn row(mutant: &Mutant, hunt: &Hunt) -> String {
    let (caught, repeat) = match &hunt.caught {
        Some((failure, repeat)) => (kind(failure), format!("`{repeat}`")),
        None => ("NOT CAUGHT", String::new()),
    };
    let Mutant {
        name, rule, source, ..
    } = mutant;
    let (seeds, time) = (hunt.seeds, hunt.cpu_seconds);
    format!("| {name} | {rule} | {source} | {caught} | {seeds} | {time:.1} | {repeat} |")
}

/// What a failure is called: its text up to the details.
fn kind(failure: &str) -> &str {
    failure.split(':').next().unwrap_or(failure)
}

enum HuntError {
    Zoo(ZooError),
    Failed(String),
}

impl From<ZooError> for HuntError {
    fn from(error: ZooError) -> HuntError {
        HuntError::Zoo(error)
    }
}

/// Builds the mistake in and searches for it, as long as it may take.
fn hunt(scratch: &Scratch, mutant: &Mutant, cpu_seconds: u32) -> Result<Hunt, HuntError> {
    let mutated = scratch.mutate(mutant)?;
    let program = build(scratch.folder()).map_err(HuntError::Failed)?;
    let mut hunt = Hunt {
        seeds: 0,
        cpu_seconds: 0.0,
        caught: None,
    };
    for turn in 0.. {
        let settings = SETTINGS[turn as usize % SETTINGS.len()]; // Below its length.
        let from = turn / SETTINGS.len() as u64 * TURN;
        let line = search(&program, from, settings).map_err(HuntError::Failed)?;
        hunt.seeds += line.tally.seeds;
        hunt.cpu_seconds += line.tally.cpu_micros as f64 / 1e6;
        if let Some(found) = line.failures.into_iter().next() {
            hunt.caught = Some((found.failure, found.repeat));
            break;
        }
        if hunt.cpu_seconds > f64::from(cpu_seconds) {
            break;
        }
    }
    drop(mutated);
    Ok(hunt)
}

fn build(folder: &Path) -> Result<PathBuf, String> {
    // The copy's own, so that nothing is shared with builds without the mistake.
    let target = folder.with_file_name("build");
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--quiet", "--package", "raft-sim"]);
    command.args(["--config", "profile.release.incremental=true"]);
    command.args(["--config", "profile.release.debug=false"]);
    command.args(["--config", "profile.release.lto=false"]);
    command.args(["--config", "profile.release.codegen-units=16"]);
    command.arg("--target-dir").arg(&target).current_dir(folder);
    command.env("RUSTFLAGS", "--cap-lints=allow");
    let output = command
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    match output.status.success() {
        true => Ok(target.join("release/raft-sim")),
        false => Err(format!(
            "does not build:\n{}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

fn search(program: &Path, from: u64, settings: &[&str]) -> Result<Line, String> {
    let seeds = format!("{from}..{}", from + TURN);
    let mut command = Command::new(program);
    command.args([
        "sweep",
        "--until-failure",
        "--json",
        "--jobs",
        "1",
        "--seeds",
        &seeds,
    ]);
    let output = command.args(settings).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = read_lines(&text).map_err(|(_, error)| error)?;
    let said = String::from_utf8_lossy(&output.stderr);
    lines
        .into_iter()
        .next()
        .ok_or(format!("it said nothing; {said}"))
}
