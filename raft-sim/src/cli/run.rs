//! `raft-sim run`.

use super::cluster::ClusterArgs;
use super::mutant::MutantArgs;
use super::outcome::{CommandResult, Outcome, usage};
use super::{progress, values};
use clap::Args;
use core::time::Duration;
use raft_sim::report::Report;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use rayon::prelude::*;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// `raft-sim run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The seed that everything is drawn from
    #[arg(long, default_value_t = 1, value_parser = values::seed)]
    seed: u64,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How long the phase with faults is, in virtual time: 60s, 10m, 1h
    #[arg(long, default_value = "60s", value_parser = values::duration)]
    time: Duration,
    /// Write the trace to this file, or to stdout for `-`
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// How many consecutive seeds to run, beginning with --seed
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "trace")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat: u32,
    /// Print JSON instead of text: one object, or one a line and seed with --repeat
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    mutant: MutantArgs,
}

/// Where the trace goes.
enum TraceTo {
    Nowhere,
    Stdout,
    File(File),
}

pub(super) fn run(args: &RunArgs) -> CommandResult {
    if let Some(outcome) = args.mutant.delegate()? {
        return Ok(outcome);
    }
    if args.repeat > 1 {
        return run_seeds(args);
    }
    let trace_to = match args.trace.as_deref() {
        None => TraceTo::Nowhere,
        Some(path) if path == Path::new("-") => TraceTo::Stdout,
        Some(path) => {
            let file = File::create(path);
            let file = file.map_err(|error| usage(format!("--trace {}: {error}", path.display())));
            TraceTo::File(file?)
        }
    };
    let is_on_stdout = matches!(trace_to, TraceTo::Stdout);
    let writer: Option<Box<dyn Write + Send>> = match trace_to {
        TraceTo::Nowhere => None,
        TraceTo::Stdout => Some(Box::new(io::stdout())),
        TraceTo::File(file) => Some(Box::new(file)),
    };
    let bar = progress::VirtualTime::new(args.time);
    if is_on_stdout {
        bar.hide(); // The lines of the trace show how far the run is.
    }
    let mut report = run::run_watched(request(args, 0), writer, &|now| bar.set(now.as_secs()));
    bar.finish();
    let text = if args.json {
        format!("{:#}\n", report.json())
    } else {
        report.to_string()
    };
    if is_on_stdout {
        io::stderr().write_all(text.as_bytes())?;
    } else {
        io::stdout().write_all(text.as_bytes())?;
    }
    match core::mem::replace(&mut report.trace_written, Ok(())) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Err(_) | Ok(()) => Ok(Outcome::of(report.passed())),
    }
}

fn request(args: &RunArgs, offset: u64) -> Request {
    let seed = args.seed.wrapping_add(offset);
    args.cluster.request(seed, args.time, Faults::Mild)
}

/// The sums over all runs of `--repeat`.
#[derive(Default)]
struct Totals {
    failed: u64,
    events: u64,
    committed: u64,
    virtual_seconds: f64,
    restores: u64,
    crashes: u64,
}

/// Runs consecutive seeds.
fn run_seeds(args: &RunArgs) -> CommandResult {
    /// Seeds that run before their results are shown: enough to keep all cores busy.
    const CHUNK: u64 = 64;
    let began = std::time::Instant::now();
    let seeds = u64::from(args.repeat);
    let bar = progress::seeds(seeds);
    let mut totals = Totals::default();
    let mut first = 0;
    while first < seeds {
        let end = seeds.min(first + CHUNK);
        let one = |offset: u64| {
            let report = run::run(request(args, offset), None);
            bar.inc(1);
            report
        };
        let reports: Vec<Report> = (first..end).into_par_iter().map(one).collect();
        for report in &reports {
            totals.add(report);
            show(args, report, &bar)?;
        }
        first = end;
    }
    bar.finish_and_clear();
    if !args.json {
        totals.write(seeds, began.elapsed().as_secs_f64())?;
    }
    Ok(Outcome::of(totals.failed == 0))
}

/// Shows a run: as JSON every run, as text only one that failed.
fn show(args: &RunArgs, report: &Report, bar: &indicatif::ProgressBar) -> io::Result<()> {
    let mut stdout = io::stdout();
    if args.json {
        return writeln!(stdout, "{}", report.json());
    }
    match &report.failure {
        None => Ok(()),
        Some(failure) => bar.suspend(|| {
            writeln!(stdout, "seed {}: {failure}", report.origin.seed())?;
            let command = report.origin.command().unwrap_or_default();
            writeln!(stdout, "  repeat with: {command}")
        }),
    }
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.failed += u64::from(!report.passed());
        self.events += report.counts.events;
        self.committed += report.committed;
        self.virtual_seconds += report.virtual_seconds;
        self.restores += report.counts.restores;
        self.crashes += report.counts.crashes;
    }

    fn write(&self, seeds: u64, seconds: f64) -> io::Result<()> {
        let mut stdout = io::stdout();
        writeln!(stdout, "{} of {seeds} seeds passed", seeds - self.failed)?;
        writeln!(
            stdout,
            "{} entries committed, {} crashes, {} snapshots restored, {} events",
            self.committed, self.crashes, self.restores, self.events
        )?;
        writeln!(
            stdout,
            "{:.0} s of virtual time in {seconds:.1} s",
            self.virtual_seconds
        )
    }
}
