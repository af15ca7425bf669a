//! `raft-sim zoo`.

mod shrunk;

use super::mutant::waits;
use super::{Verdict, ZooArgs};
use raft_sim::sweep::{Line, read_lines};
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

/// What is searched by turns, as no one setting shows every mistake.
const SETTINGS: [&[&str]; 4] = [
    &["--nodes", "5"],
    &["--nodes", "3"],
    &["--nodes", "4", "--features", "all"],
    &["--nodes", "5", "--features", "all"],
];

/// Seeds that one turn runs at most.
const TURN: u64 = 64;

const HEAD: &str = "\
| mistake | wrong rule | source | caught by | seeds | CPU s | repeat with |
|---|---|---|---|---|---|---|";

/// With --shrink.
const LONG_HEAD: &str = "\
| mistake | wrong rule | source | caught by | seeds | CPU s | repeat with | shrunk to |
|---|---|---|---|---|---|---|---|";

/// What the search for one mistake came to.
struct Hunt {
    seeds: u64,
    cpu_seconds: f64,
    /// What failed, and the command that repeats it.
    caught: Option<(String, String)>,
    /// What it was made, if it was to be.
    shrunk: Option<Shrunk>,
}

/// What the searches for all came to.
#[derive(Default)]
struct Outcome {
    table: String,
    /// How long it took to catch each, and its name.
    caught: Vec<(f64, String)>,
    escaped: Vec<String>,
    /// Faults and operations that are left of each that was made small.
    shrunk: Vec<u64>,
}

/// A mistake, and the simulator with it.
type Built = Result<PathBuf, ZooError>;

pub(crate) fn run(args: &ZooArgs) -> io::Result<Verdict> {
    let jobs = match args.jobs {
        Some(jobs) => jobs as usize,
        None => thread::available_parallelism().map_or(1, NonZero::get),
    };
    let mutants = zoo::read(&args.root, &args.names);
    let begun = mutants.and_then(|it| Ok((it, Builder::new(&args.root, Some(jobs), waits)?)));
    let (mutants, mut builder) = match begun {
        Ok(begun) => begun,
        Err(error) => return usage(&error),
    };
    let head = match args.shrink {
        true => LONG_HEAD,
        false => HEAD,
    };
    writeln!(io::stdout(), "{head}")?;
    // Holds nothing: one is built while the one before is searched for.
    let (sender, receiver) = mpsc::sync_channel(0);
    let all = &mutants;
    let outcome = thread::scope(|scope| {
        scope.spawn(move || build(&mut builder, all, &sender));
        hunt_all(args, all, receiver, jobs)
    })?;
    let Some(mut outcome) = outcome else {
        return Ok(Verdict::Usage); // It has been explained.
    };
    let summary = outcome.summary();
    writeln!(io::stdout(), "\n{summary}")?;
    if args.write {
        let table = format!("{head}\n{}\n{summary}", outcome.table);
        write_table(&args.root, &table)?;
    }
    match outcome.escaped.is_empty() {
        true => Ok(Verdict::Passed),
        false => Ok(Verdict::Failed),
    }
}

fn usage(error: &ZooError) -> io::Result<Verdict> {
    writeln!(io::stderr(), "error: {error}")?;
    Ok(Verdict::Usage)
}

/// Builds one mutant after the other, until one fails or nobody wants the next.
fn build(builder: &mut Builder, mutants: &[Mutant], sender: &SyncSender<Built>) {
    for mutant in mutants {
        let built = builder.program(mutant);
        let failed = built.is_err();
        if sender.send(built).is_err() || failed {
            break;
        }
    }
}

/// Searches for one mistake after the other; `None` if one could not be built.
fn hunt_all(
    args: &ZooArgs,
    mutants: &[Mutant],
    programs: Receiver<Built>,
    jobs: usize,
) -> io::Result<Option<Outcome>> {
    let bar = super::progress(mutants.len() as u64);
    let mut outcome = Outcome::default();
    for (mutant, program) in mutants.iter().zip(programs) {
        bar.set_message(mutant.name.clone());
        let program = match program {
            Ok(program) => program,
            Err(error) => {
                bar.finish_and_clear();
                usage(&error)?;
                return Ok(None);
            }
        };
        let mut hunt = hunt(&program, mutant, args.cpu_seconds, jobs)?;
        if let (true, Some((_, command))) = (args.shrink, &hunt.caught) {
            hunt.shrunk = Some(shrunk::shrink(&args.root, &program, mutant, command)?);
        }
        let row = row(mutant, &hunt, args.shrink);
        bar.inc(1);
        bar.suspend(|| writeln!(io::stdout(), "{row}"))?;
        outcome.add(mutant, &hunt, &row);
    }
    bar.finish_and_clear();
    Ok(Some(outcome))
}

impl Outcome {
    fn add(&mut self, mutant: &Mutant, hunt: &Hunt, row: &str) {
        self.table.push_str(row);
        self.table.push('\n');
        self.shrunk.extend(hunt.shrunk.as_ref().map(|it| it.len));
        match hunt.caught {
            Some(_) => self.caught.push((hunt.cpu_seconds, mutant.name.clone())),
            None => self.escaped.push(mutant.name.clone()),
        }
    }

    /// The lines below the table.
    fn summary(&mut self) -> String {
        self.caught.sort_by(|one, other| one.0.total_cmp(&other.0));
        let caught = self.caught.len();
        let all = caught + self.escaped.len();
        let mut text = format!("{caught} of {all} were caught");
        let median = self.caught.get(caught / 2);
        // Writing to a text cannot fail.
        if let (Some((median, _)), Some((worst, name))) = (median, self.caught.last()) {
            let _ = write!(
                text,
                ", in {median:.1} CPU seconds in the median; it took most for {name}, {worst:.1}"
            );
        }
        text.push('.');
        if !self.escaped.is_empty() {
            let _ = write!(text, "\nNot caught: {}.", self.escaped.join(", "));
        }
        if !self.shrunk.is_empty() {
            let small = self.shrunk.iter().filter(|len| **len <= SMALL).count();
            let all = self.shrunk.len();
            let what = "faults and operations";
            let _ = write!(text, "\n{small} of {all} shrunk to at most {SMALL} {what}.");
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

fn row(mutant: &Mutant, hunt: &Hunt, is_long: bool) -> String {
    let (caught, repeat) = match &hunt.caught {
        Some((kind, repeat)) => (kind.as_str(), repeating(&mutant.name, repeat)),
        None => ("NOT CAUGHT", String::new()),
    };
    let Mutant {
        name, rule, source, ..
    } = mutant;
    let (seeds, time) = (hunt.seeds, hunt.cpu_seconds);
    let row = format!("| {name} | {rule} | {source} | {caught} | {seeds} | {time:.1} | {repeat} |");
    match (&hunt.shrunk, is_long) {
        (Some(shrunk), _) => format!("{row} {} |", shrunk.text),
        (None, true) => format!("{row}  |"),
        (None, false) => row,
    }
}

/// The command that repeats what the mutant found, by a simulator without the mistake.
fn repeating(name: &str, command: &str) -> String {
    match command.contains("--mutant") {
        true => format!("`{command}`"),
        false => {
            let with = format!("raft-sim run --mutant {name} ");
            format!("`{}`", command.replacen("raft-sim run ", &with, 1))
        }
    }
}

/// Searches for a mistake, as long as it may take: several turns at a time, but what they come to
/// is looked at in their order, so that the seeds are the same whatever the number of jobs.
fn hunt(program: &Path, mutant: &Mutant, cpu_seconds: u32, jobs: usize) -> io::Result<Hunt> {
    let mut hunt = Hunt {
        seeds: 0,
        cpu_seconds: 0.0,
        caught: None,
        shrunk: None,
    };
    let mut next = 0;
    loop {
        let lines: Vec<io::Result<Line>> = thread::scope(|scope| {
            let turns = next..next + jobs as u64;
            let turns = turns.map(|turn| scope.spawn(move || search(program, mutant, turn)));
            let turns: Vec<_> = turns.collect();
            let ended = turns.into_iter().map(|turn| turn.join());
            let panicked = |_| Err(io::Error::other("the search panicked"));
            ended.map(|line| line.unwrap_or_else(panicked)).collect()
        });
        next += jobs as u64;
        for line in lines {
            let line = line?;
            hunt.seeds += line.tally.seeds;
            hunt.cpu_seconds += line.tally.cpu_micros as f64 / 1e6;
            if let Some(found) = line.failures.into_iter().next() {
                hunt.caught = Some((found.kind, found.repeat));
                return Ok(hunt);
            }
            if hunt.cpu_seconds > f64::from(cpu_seconds) {
                return Ok(hunt);
            }
        }
    }
}

/// Runs the seeds of one turn, until one fails.
fn search(program: &Path, mutant: &Mutant, turn: u64) -> io::Result<Line> {
    let settings = SETTINGS[turn as usize % SETTINGS.len()]; // Below its length.
    let from = turn / SETTINGS.len() as u64 * TURN;
    let seeds = format!("{from}..{}", from + TURN);
    let mut command = Command::new(program);
    command.args(["sweep", "--until-failure", "--json", "--jobs", "1"]);
    command.arg("--seeds").arg(&seeds).args(settings);
    command.env(zoo::VARIABLE, &mutant.name);
    let wrong = |what: String| io::Error::other(format!("{}: {what}", mutant.name));
    let output = command.output();
    let output = output.map_err(|error| wrong(format!("{}: {error}", program.display())))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = read_lines(&text).map_err(|(_, error)| wrong(error))?;
    let silent = || {
        let said = String::from_utf8_lossy(&output.stderr);
        wrong(format!("it ended with {}; {said}", output.status))
    };
    lines.into_iter().next().ok_or_else(silent)
}
