//! `raft-sim shrink`.

use super::{ShrinkArgs, Verdict, mutant};
use core::time::Duration;
use raft_sim::draw::Draft;
use raft_sim::request::Faults;
use raft_sim::run;
use raft_sim::schedule::Schedule;
use raft_sim::shrink::{Options, Passes, Progress, Shrunk, Size, shrink};
use raft_sim::zoo;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How long it takes if nothing is said.
const SECONDS: u32 = 60;

/// What is to be made small.
struct Task {
    /// What it is called.
    name: String,
    schedule: Schedule,
    /// Where it is written to.
    out: PathBuf,
}

pub(crate) fn run(args: &ShrinkArgs) -> io::Result<Verdict> {
    if let Some(verdict) = args.mutant.delegate()? {
        return Ok(verdict);
    }
    let task = match &args.schedule {
        Some(path) => match Schedule::read(path) {
            Ok(schedule) => {
                if let Some(name) = mutant::other(&schedule) {
                    let arguments = zoo::without_mutant(std::env::args_os().skip(1));
                    return mutant::delegate(&args.mutant.root, name, &arguments);
                }
                of_file(args, path, schedule)
            }
            Err(error) => return usage(&format!("{}: {error}", path.display())),
        },
        None => of_seed(args),
    };
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(jobs) = args.jobs {
        pool = pool.num_threads(jobs as usize);
    }
    let pool = pool.build().map_err(io::Error::other)?;
    let began = Instant::now();
    let bar = progress(!args.json);
    let watch = |progress: Progress<'_>| tell(&bar, progress);
    let shrunk = pool.install(|| shrink(&task.schedule, options(args), &watch));
    bar.finish_and_clear();
    let mut shrunk = match shrunk {
        Ok(shrunk) => shrunk,
        Err(Passes) => return usage(&format!("{} passes: nothing to shrink", task.name)),
    };
    shrunk.schedule.mutant = zoo::current_mutant();
    if let Err(error) = std::fs::write(&task.out, shrunk.schedule.to_text()) {
        return usage(&format!("{}: {error}", task.out.display()));
    }
    match args.json {
        true => json(&task, &shrunk, began.elapsed()),
        false => show(&task, &shrunk, began.elapsed()),
    }
}

fn usage(what: &str) -> io::Result<Verdict> {
    writeln!(io::stderr(), "error: {what}")?;
    Ok(Verdict::Usage)
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

/// Turns on stderr; nothing where stderr is not a terminal.
fn progress(is_shown: bool) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new_spinner();
    if !is_shown {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let template = "{spinner} {elapsed} {human_pos} runs, {wide_msg}";
    if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn tell(bar: &indicatif::ProgressBar, progress: Progress<'_>) {
    bar.set_position(progress.runs);
    let (size, failure) = (Size::of(progress.smallest), progress.failure);
    bar.set_message(format!("{size}: {failure}"));
}

/// One line for machines.
fn json(task: &Task, shrunk: &Shrunk, elapsed: Duration) -> io::Result<Verdict> {
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
    writeln!(io::stdout(), "{json}")?;
    Ok(Verdict::Passed)
}

fn show(task: &Task, shrunk: &Shrunk, elapsed: Duration) -> io::Result<Verdict> {
    let mut out = io::stdout().lock();
    let schedule = &shrunk.schedule;
    let report = run::run_schedule(schedule, None);
    writeln!(out, "{}: {}", task.name, shrunk.before)?;
    writeln!(out, "shrunk to {}", shrunk.after)?;
    let seconds = elapsed.as_secs_f64();
    let why = match shrunk.is_stopped {
        true => "; with more time it may become smaller",
        false => "",
    };
    writeln!(out, "  {} runs in {seconds:.1} s{why}", shrunk.runs)?;
    writeln!(out)?;
    for line in schedule.lines() {
        writeln!(out, "  {line}")?;
    }
    let at = report.virtual_seconds;
    match &report.failure {
        Some(failure) => writeln!(out, "  {at:.6} FAILS: {failure}")?,
        // It has just failed: the run depends on something else than its schedule.
        None => writeln!(out, "  {at:.6} passes now: the run is not deterministic")?,
    }
    let path = task.out.display();
    writeln!(
        out,
        "\nwritten to {path}; run it with: raft-sim replay {path}"
    )?;
    Ok(Verdict::Passed)
}
