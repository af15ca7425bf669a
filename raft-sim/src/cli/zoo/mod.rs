//! `raft-sim zoo`.

mod shrunk;

use super::mutant::say_that_it_waits;
use super::outcome::{CliError, CommandResult, Outcome, usage};
use super::{progress, values};
use clap::Args;
use raft_sim::sweep::{ChunkResult, read_results};
use raft_sim::zoo::{self, Builder, Mutant, ZooError};
use shrunk::{SMALL, Shrunk};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

/// `raft-sim zoo`.
#[derive(Debug, Args)]
pub(super) struct ZooArgs {
    /// Which mistakes; by default all of them
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// How long to search for each mistake, in CPU seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = values::seconds)]
    cpu_seconds: u32,
    /// How many threads search; by default one a core. The seeds that are reported do not depend
    /// on it
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    jobs: Option<u32>,
    /// Write the table to raft-sim/zoo/README.md
    #[arg(long, conflicts_with = "names")]
    write: bool,
    /// Shrink the run that caught each mistake, for at most a minute, and write it to
    /// target/zoo/schedules
    #[arg(long)]
    shrink: bool,
    /// Count only what the refinement finds
    #[arg(long, conflicts_with = "write")]
    only_refinement: bool,
    /// The project's root
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    root: PathBuf,
}

/// The clusters that the batches of a search take turns with: no one of them shows every mistake.
const SETTINGS: [&[&str]; 4] = [
    &["--nodes", "5"],
    &["--nodes", "3"],
    &["--nodes", "4", "--features", "all"],
    &["--nodes", "5", "--features", "all"],
];

/// The seeds of one batch.
const BATCH: u64 = 64;

const HEAD: &str = "\
| name | mistake | source | caught by | seeds | CPU s | repeat with |
|---|---|---|---|---|---|---|";

/// The head with --shrink.
const LONG_HEAD: &str = "\
| name | mistake | source | caught by | seeds | CPU s | repeat with | shrunk to |
|---|---|---|---|---|---|---|---|";

/// The result of the search for one mistake.
#[derive(Default)]
struct Found {
    /// How many seeds were run.
    seeds: u64,
    cpu_seconds: f64,
    failure: Option<Caught>,
    /// The small run, with --shrink.
    shrunk: Option<Shrunk>,
}

/// The run that failed.
struct Caught {
    /// The kind of failure.
    kind: String,
    /// The command that repeats the run.
    repeat: String,
}

/// The results of all searches.
#[derive(Default)]
struct Totals {
    table: String,
    /// The mistakes that were caught.
    caught: Vec<SearchTime>,
    /// The names of those that were not.
    not_caught: Vec<String>,
    /// The faults and operations that are left of each run that was shrunk.
    shrunk: Vec<u64>,
}

/// How long it took to catch a mistake.
struct SearchTime {
    cpu_seconds: f64,
    name: String,
}

/// The simulator with a mistake.
type Built = Result<PathBuf, ZooError>;

pub(super) fn run(args: &ZooArgs) -> CommandResult {
    let jobs = match args.jobs {
        Some(jobs) => jobs as usize,
        None => thread::available_parallelism().map_or(1, NonZero::get),
    };
    let mutants = zoo::read(&args.root, &args.names).map_err(usage)?;
    let mut builder = Builder::new(&args.root, Some(jobs), say_that_it_waits).map_err(usage)?;
    let head = if args.shrink { LONG_HEAD } else { HEAD };
    writeln!(io::stdout(), "{head}")?;
    // Without a buffer: the next mutant is built while the one before is searched for.
    let (sender, receiver) = mpsc::sync_channel(0);
    let all = &mutants;
    let mut totals = thread::scope(|scope| {
        scope.spawn(move || build(&mut builder, all, &sender));
        search_all(args, all, receiver, jobs)
    })?;
    let summary = totals.summary();
    writeln!(io::stdout(), "\n{summary}")?;
    if args.write {
        let table = format!("{head}\n{}\n{summary}", totals.table);
        write_table(&args.root, &table)?;
    }
    Ok(Outcome::of(totals.not_caught.is_empty()))
}

/// Builds one mutant after the other, until one fails or the receiver is gone.
fn build(builder: &mut Builder, mutants: &[Mutant], sender: &SyncSender<Built>) {
    for mutant in mutants {
        let built = builder.build(mutant);
        let failed = built.is_err();
        if sender.send(built).is_err() || failed {
            break;
        }
    }
}

/// Searches for one mistake after the other.
fn search_all(
    args: &ZooArgs,
    mutants: &[Mutant],
    programs: Receiver<Built>,
    jobs: usize,
) -> Result<Totals, CliError> {
    let bar = progress::mistakes(mutants.len() as u64);
    let mut totals = Totals::default();
    for (mutant, program) in mutants.iter().zip(programs) {
        bar.set_message(mutant.name.clone());
        let program = program.map_err(|error| {
            bar.finish_and_clear();
            usage(error)
        })?;
        let mut found = search(&program, mutant, args, jobs)?;
        if let (true, Some(caught)) = (args.shrink, &found.failure) {
            let shrunk = shrunk::shrink(&args.root, &program, mutant, &caught.repeat);
            found.shrunk = Some(shrunk?);
        }
        let row = row(mutant, &found, args.shrink);
        bar.inc(1);
        bar.suspend(|| writeln!(io::stdout(), "{row}"))?;
        totals.add(mutant, &found, &row);
    }
    bar.finish_and_clear();
    Ok(totals)
}

impl Totals {
    fn add(&mut self, mutant: &Mutant, found: &Found, row: &str) {
        self.table.push_str(row);
        self.table.push('\n');
        self.shrunk.extend(found.shrunk.as_ref().map(|it| it.len));
        let name = mutant.name.clone();
        match found.failure {
            Some(_) => self.caught.push(SearchTime {
                cpu_seconds: found.cpu_seconds,
                name,
            }),
            None => self.not_caught.push(name),
        }
    }

    /// The lines below the table.
    fn summary(&mut self) -> String {
        let seconds = |it: &SearchTime| it.cpu_seconds;
        self.caught
            .sort_by(|one, other| seconds(one).total_cmp(&seconds(other)));
        let caught = self.caught.len();
        let all = caught + self.not_caught.len();
        let mut text = format!("{caught} of {all} were caught");
        let median = self.caught.get(caught / 2);
        // Writing to a text cannot fail.
        if let (Some(median), Some(worst)) = (median, self.caught.last()) {
            let _ = write!(
                text,
                ", in {:.1} CPU seconds in the median; {} took longest, {:.1}",
                median.cpu_seconds, worst.name, worst.cpu_seconds
            );
        }
        text.push('.');
        if !self.not_caught.is_empty() {
            let _ = write!(text, "\nNot caught: {}.", self.not_caught.join(", "));
        }
        if !self.shrunk.is_empty() {
            let small = self.shrunk.iter().filter(|len| **len <= SMALL).count();
            let all = self.shrunk.len();
            let what = "faults and operations";
            let _ = write!(
                text,
                "\n{small} of {all} were shrunk to at most {SMALL} {what}."
            );
        }
        text
    }
}

/// Puts the table into the zoo's README.
fn write_table(root: &Path, table: &str) -> io::Result<()> {
    let path = root.join("raft-sim/zoo/README.md");
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let text = fs::read_to_string(&path).map_err(named)?;
    let Some(text) = zoo::replace_table(&text, table) else {
        return Err(io::Error::other(format!(
            "{}: it has no place for the table: two lines {} and {}",
            path.display(),
            zoo::BEGIN,
            zoo::END
        )));
    };
    fs::write(&path, text).map_err(named)
}

fn row(mutant: &Mutant, found: &Found, is_long: bool) -> String {
    let (caught, repeat) = match &found.failure {
        Some(caught) => (
            caught.kind.as_str(),
            with_mutant(&mutant.name, &caught.repeat),
        ),
        None => ("NOT CAUGHT", String::new()),
    };
    let Mutant {
        name, rule, source, ..
    } = mutant;
    let (seeds, time) = (found.seeds, found.cpu_seconds);
    let row = format!("| {name} | {rule} | {source} | {caught} | {seeds} | {time:.1} | {repeat} |");
    match &found.shrunk {
        Some(shrunk) => format!("{row} {} |", shrunk.text),
        None if is_long => format!("{row}  |"),
        None => row,
    }
}

/// The command that repeats the run with a simulator that has no mistake built in.
fn with_mutant(name: &str, command: &str) -> String {
    if command.contains("--mutant") {
        return format!("`{command}`");
    }
    let with = format!("raft-sim run --mutant {name} ");
    format!("`{}`", command.replacen("raft-sim run ", &with, 1))
}

/// Searches for a mistake until a seed fails or the time is over. Several batches run at a time,
/// but their results are looked at in order, so that the number of jobs does not change the seeds.
fn search(program: &Path, mutant: &Mutant, args: &ZooArgs, jobs: usize) -> io::Result<Found> {
    let mut found = Found::default();
    let mut next = 0;
    loop {
        let results: Vec<io::Result<ChunkResult>> = thread::scope(|scope| {
            let batches = next..next + jobs as u64;
            let batches =
                batches.map(|number| scope.spawn(move || batch(program, mutant, args, number)));
            let batches: Vec<_> = batches.collect();
            let ended = batches.into_iter().map(|batch| batch.join());
            let panicked = |_| Err(io::Error::other("the search panicked"));
            let ended = ended.map(|result| result.unwrap_or_else(panicked));
            ended.collect()
        });
        next += jobs as u64;
        for result in results {
            let result = result?;
            found.seeds += result.tally.seeds;
            found.cpu_seconds += result.tally.cpu_micros as f64 / 1e6;
            if let Some(failed) = result.failures.into_iter().next() {
                found.failure = Some(Caught {
                    kind: failed.kind,
                    repeat: failed.repeat,
                });
                return Ok(found);
            }
            if found.cpu_seconds > f64::from(args.cpu_seconds) {
                return Ok(found);
            }
        }
    }
}

/// Runs the seeds of one batch until one fails.
fn batch(program: &Path, mutant: &Mutant, args: &ZooArgs, number: u64) -> io::Result<ChunkResult> {
    let settings = SETTINGS[number as usize % SETTINGS.len()]; // Below its length.
    let from = number / SETTINGS.len() as u64 * BATCH;
    let seeds = format!("{from}..{}", from + BATCH);
    let mut command = Command::new(program);
    command.args(["sweep", "--until-failure", "--json", "--jobs", "1"]);
    command.arg("--seeds").arg(&seeds).args(settings);
    command.args(args.only_refinement.then_some("--only-refinement"));
    command.env(zoo::VARIABLE, &mutant.name);
    let wrong = |what: String| io::Error::other(format!("{}: {what}", mutant.name));
    let output = command.output();
    let output = output.map_err(|error| wrong(format!("{}: {error}", program.display())))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let results = read_results(&text).map_err(|error| wrong(error.to_string()))?;
    let silent = || {
        let said = String::from_utf8_lossy(&output.stderr);
        wrong(format!("it ended with {}; {said}", output.status))
    };
    results.into_iter().next().ok_or_else(silent)
}
