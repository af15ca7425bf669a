//! `raft-sim shrink`.

use super::cluster::ClusterArgs;
use super::mutant::{self, MutantArgs};
use super::outcome::{CommandResult, Outcome, usage};
use super::{progress, values};
use clap::Args;
use core::time::Duration;
use indicatif::{ProgressBar, ProgressDrawTarget};
use raft_sim::draw::Draft;
use raft_sim::request::Faults;
use raft_sim::run;
use raft_sim::schedule::Schedule;
use raft_sim::shrink::{Options, Passes, Progress, Shrunk, Size, shrink};
use raft_sim::zoo;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// `raft-sim shrink`.
#[derive(Debug, Args)]
pub(super) struct ShrinkArgs {
    /// The run to shrink: its seed
    #[arg(
        long,
        required_unless_present = "schedule",
        conflicts_with = "schedule",
        value_parser = values::seed
    )]
    seed: Option<u64>,
    /// The run to shrink: its schedule file
    #[arg(long, value_name = "FILE")]
    schedule: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How long the phase with faults is, in virtual time
    #[arg(long, default_value = "60s", value_parser = values::duration)]
    time: Duration,
    /// Where the small run is written; by default the file of --schedule, or MISTAKE-SEED.toml, or
    /// seed-SEED.toml
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How long the search may take; 60 if neither this nor --runs is given
    #[arg(long, value_name = "N", value_parser = values::seconds)]
    seconds: Option<u32>,
    /// How many smaller runs may be tried
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// How many threads; by default one a core
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    jobs: Option<u32>,
    /// Accept any failure of a smaller run, not only one of the same kind
    #[arg(long)]
    any_failure: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    mutant: MutantArgs,
}

/// How long the search takes by default.
const SECONDS: u32 = 60;

/// The run that is shrunk.
struct Task {
    /// What messages call it.
    name: String,
    schedule: Schedule,
    /// Where the small run is written.
    out: PathBuf,
}

pub(super) fn run(args: &ShrinkArgs) -> CommandResult {
    if let Some(outcome) = args.mutant.delegate()? {
        return Ok(outcome);
    }
    let task = match &args.schedule {
        Some(path) => {
            let schedule = Schedule::read(path);
            let schedule =
                schedule.map_err(|error| usage(format!("{}: {error}", path.display())))?;
            if let Some(name) = mutant::mutant_of(&schedule) {
                let arguments = zoo::without_mutant_options(std::env::args_os().skip(1));
                return mutant::delegate(&args.mutant.root, name, &arguments);
            }
            of_file(args, path, schedule)
        }
        None => of_seed(args),
    };
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(jobs) = args.jobs {
        pool = pool.num_threads(jobs as usize);
    }
    let pool = pool.build().map_err(io::Error::other)?;
    let began = Instant::now();
    let bar = progress::runs();
    if args.json {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let watch = |progress: Progress<'_>| tell(&bar, progress);
    let shrunk = pool.install(|| shrink(&task.schedule, options(args), &watch));
    bar.finish_and_clear();
    let mut shrunk =
        shrunk.map_err(|Passes| usage(format!("{} passes: nothing to shrink", task.name)))?;
    shrunk.schedule.mutant = zoo::current_mutant();
    let written = std::fs::write(&task.out, shrunk.schedule.to_text());
    written.map_err(|error| usage(format!("{}: {error}", task.out.display())))?;
    if args.json {
        json(&task, &shrunk, began.elapsed())?;
    } else {
        show(&task, &shrunk, began.elapsed())?;
    }
    Ok(Outcome::Passed)
}

fn options(args: &ShrinkArgs) -> Options {
    let usual = Options::default();
    let seconds = match args.runs {
        Some(_) => args.seconds,
        None => Some(args.seconds.unwrap_or(SECONDS)),
    };
    Options {
        any_failure: args.any_failure,
        runs: args.runs.unwrap_or(usual.runs),
        time: seconds.map(|seconds| Duration::from_secs(seconds.into())),
    }
}

fn of_file(args: &ShrinkArgs, path: &Path, schedule: Schedule) -> Task {
    Task {
        name: path.display().to_string(),
        schedule,
        out: args.out.clone().unwrap_or_else(|| path.to_owned()),
    }
}

fn of_seed(args: &ShrinkArgs) -> Task {
    let seed = args.seed.unwrap_or_default(); // It is required without a file.
    let request = args.cluster.request(seed, args.time, Faults::Mild);
    let from = zoo::current_mutant().unwrap_or_else(|| "seed".into());
    Task {
        name: format!("seed {seed}"),
        schedule: Draft::new(request).schedule(),
        out: match &args.out {
            Some(out) => out.clone(),
            None => PathBuf::from(format!("{from}-{seed}.toml")),
        },
    }
}

fn tell(bar: &ProgressBar, progress: Progress<'_>) {
    bar.set_position(progress.runs);
    let (size, failure) = (Size::of(progress.smallest), progress.failure);
    bar.set_message(format!("{size}: {failure}"));
}

/// Prints one line of JSON.
fn json(task: &Task, shrunk: &Shrunk, elapsed: Duration) -> io::Result<()> {
    let json = serde_json::json!({
        "file": task.out.display().to_string(),
        "failure": shrunk.failure.to_string(),
        "kind": shrunk.failure.kind(),
        "before": shrunk.before,
        "after": shrunk.after,
        "runs": shrunk.runs,
        "is_stopped": shrunk.is_stopped,
        "elapsed_seconds": elapsed.as_secs_f64(),
    });
    writeln!(io::stdout(), "{json}")
}

fn show(task: &Task, shrunk: &Shrunk, elapsed: Duration) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let schedule = &shrunk.schedule;
    let report = run::run_schedule(schedule, None);
    writeln!(out, "{}: {}", task.name, shrunk.before)?;
    writeln!(out, "shrunk to {}", shrunk.after)?;
    let seconds = elapsed.as_secs_f64();
    let why = if shrunk.is_stopped {
        "; with more time it may become smaller"
    } else {
        ""
    };
    writeln!(out, "  {} runs in {seconds:.1} s{why}", shrunk.runs)?;
    writeln!(out)?;
    for line in schedule.lines() {
        writeln!(out, "  {line}")?;
    }
    let at = report.virtual_seconds;
    match &report.failure {
        Some(failure) => writeln!(out, "  {at:.6} FAILS: {failure}")?,
        // It failed a moment ago, so the run depends on more than its schedule.
        None => writeln!(out, "  {at:.6} passes now: the run is not deterministic")?,
    }
    let path = task.out.display();
    writeln!(
        out,
        "\nwritten to {path}; run it with: raft-sim replay {path}"
    )
}
