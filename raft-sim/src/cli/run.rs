//! `raft-sim run`.

use super::{RunArgs, Verdict, progress};
use raft_sim::report::Report;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use rayon::prelude::*;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Where the trace goes.
enum Output {
    Nowhere,
    Stdout,
    To(File),
}

pub(crate) fn run(args: RunArgs) -> io::Result<Verdict> {
    if let Some(verdict) = args.mutant.delegate()? {
        return Ok(verdict);
    }
    if args.repeat > 1 {
        return many(&args);
    }
    let output = match args.trace.as_deref() {
        None => Output::Nowhere,
        Some(path) if path == Path::new("-") => Output::Stdout,
        Some(path) => match File::create(path) {
            Ok(file) => Output::To(file),
            Err(error) => {
                writeln!(io::stderr(), "error: --trace {}: {error}", path.display())?;
                return Ok(Verdict::Usage);
            }
        },
    };
    let to_stderr = matches!(output, Output::Stdout);
    let writer: Option<Box<dyn Write + Send>> = match output {
        Output::Nowhere => None,
        Output::Stdout => Some(Box::new(io::stdout())),
        Output::To(file) => Some(Box::new(file)),
    };
    let mut report = run::run(request(&args, 0), writer);
    let text = if args.json {
        format!("{:#}\n", report.json())
    } else {
        report.to_string()
    };
    if to_stderr {
        io::stderr().write_all(text.as_bytes())?;
    } else {
        io::stdout().write_all(text.as_bytes())?;
    }
    match core::mem::replace(&mut report.trace_written, Ok(())) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Err(_) | Ok(()) => Ok(verdict(report.passed())),
    }
}

fn verdict(passed: bool) -> Verdict {
    if passed {
        Verdict::Passed
    } else {
        Verdict::Failed
    }
}

fn request(args: &RunArgs, offset: u64) -> Request {
    let seed = args.seed.wrapping_add(offset);
    args.cluster.request(seed, args.time, Faults::Mild)
}

/// What all runs of `--repeat` come to.
#[derive(Default)]
struct Totals {
    failed: u64,
    events: u64,
    committed: u64,
    virtual_seconds: f64,
    restores: u64,
    crashes: u64,
}

fn many(args: &RunArgs) -> io::Result<Verdict> {
    /// Seeds between two looks at the results: enough to keep all cores busy.
    const CHUNK: u64 = 64;
    let began = std::time::Instant::now();
    let seeds = u64::from(args.repeat);
    let bar = progress(seeds);
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
    Ok(verdict(totals.failed == 0))
}

/// One object a line for machines; for people only what failed.
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
