//! `raft-sim lab`.

use super::{LabArgs, Verdict, progress};
use core::time::Duration;
use raft_proto::Time;

use raft_sim::lab::{self, Comparison, Failure, Figures, Report, Scenario, TraceLevel};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// How many lines of the trace a failure shows.
const LAST_LINES: usize = 40;

pub(crate) fn run(args: &LabArgs) -> io::Result<Verdict> {
    let words = args.filter.join(" ");
    let filter = (!words.is_empty()).then_some(words.as_str());
    let scenarios = match lab::select(filter) {
        Ok(scenarios) => scenarios,
        Err(error) => {
            unknown(&error)?;
            return Ok(Verdict::Usage);
        }
    };
    let with = |scenario: &Scenario| scenario.with_features(args.features);
    let scenarios: Vec<Scenario> = scenarios.into_iter().map(with).collect();
    if args.repeat > 1 {
        return many(args, &scenarios);
    }
    once(args, &scenarios)
}

/// Says what there is, to somebody who asked for something else.
fn unknown(error: &lab::UnknownScenario) -> io::Result<()> {
    let mut stderr = io::stderr();
    writeln!(stderr, "error: {error}\n\nThe scenarios:")?;
    for scenario in lab::scenarios() {
        let (number, part, name) = (scenario.number, scenario.part, scenario.name);
        writeln!(stderr, "  {number:>2}  {part}  {name}")?;
    }
    Ok(())
}

/// Runs a scenario; a panic is a failure like others, and needs its seed like others.
fn attempt(scenario: &Scenario, seed: u64, trace: TraceLevel) -> Report {
    let result = catch_unwind(AssertUnwindSafe(|| scenario.run(seed, trace)));
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()));
        Report {
            scenario: *scenario,
            seed,
            figures: Figures {
                time: Duration::ZERO,
                peers: scenario.peers,
                rpcs: 0,
                bytes: 0,
                commits: 0,
            },
            warnings: Vec::new(),
            outcome: Err(Failure {
                at: Time::ZERO,
                expected: "no panic".into(),
                found: format!("panic: {}", text.unwrap_or_default()),
            }),
            trace: Vec::new(),
        }
    })
}

/// What all scenarios took together.
#[derive(Default)]
struct Totals {
    scenarios: usize,
    failed: usize,
    time: Duration,
    rpcs: u64,
    bytes: u64,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.scenarios += 1;
        self.failed += usize::from(report.outcome.is_err());
        self.time += report.figures.time;
        self.rpcs += report.figures.rpcs;
        self.bytes += report.figures.bytes;
    }

    fn verdict(&self) -> Verdict {
        match self.failed {
            0 => Verdict::Passed,
            _ => Verdict::Failed,
        }
    }

    fn write(&self, what: &str, real: Duration) -> io::Result<()> {
        writeln!(
            io::stdout(),
            "{} of {what} passed: {:.1} s of virtual time, {} RPCs, {} bytes, in {:.3} s",
            self.scenarios - self.failed,
            self.time.as_secs_f64(),
            self.rpcs,
            self.bytes,
            real.as_secs_f64()
        )
    }
}

fn once(args: &LabArgs, scenarios: &[Scenario]) -> io::Result<Verdict> {
    let began = Instant::now();
    let mut stdout = io::stdout();
    let (mut totals, mut reports) = (Totals::default(), Vec::new());
    let level = if args.trace {
        TraceLevel::All
    } else {
        TraceLevel::Off
    };
    for scenario in scenarios {
        if !args.json {
            writeln!(stdout, "{}", scenario.title())?;
        }
        let mut report = attempt(scenario, args.seed, level);
        totals.add(&report);
        if args.json {
            reports.push(report);
            continue;
        }
        if args.trace {
            let mut buffered = io::BufWriter::new(&stdout);
            for line in report.trace.drain(..) {
                writeln!(buffered, "{line}")?;
            }
            buffered.flush()?;
        } else if report.outcome.is_err() {
            // The same again, this time with its last lines.
            report = attempt(scenario, args.seed, TraceLevel::Last(LAST_LINES));
        }
        for warning in &report.warnings {
            writeln!(stdout, "warning: {warning}")?;
        }
        writeln!(stdout, "{}", report.result())?;
        write!(stdout, "{}", report.failure())?;
    }
    let real = began.elapsed();
    if args.json {
        let all: Vec<Value> = reports.iter().map(report_json).collect();
        let object = json!({
            "seed": args.seed,
            "passed": totals.failed == 0,
            "scenarios": all,
            "virtual_seconds": totals.time.as_secs_f64(),
            "rpcs": totals.rpcs,
            "bytes": totals.bytes,
            "real_seconds": real.as_secs_f64(),
        });
        writeln!(stdout, "{object:#}")?;
    } else {
        totals.write(&count(scenarios.len(), "scenario"), real)?;
    }
    Ok(totals.verdict())
}

fn count(number: usize, of: &str) -> String {
    match number {
        1 => format!("1 {of}"),
        many => format!("{many} {of}s"),
    }
}

/// Consecutive seeds, all scenarios of each, and the medians beside the lab's page.
fn many(args: &LabArgs, scenarios: &[Scenario]) -> io::Result<Verdict> {
    /// Seeds between two looks at the results: enough to keep all cores busy.
    const CHUNK: u64 = 64;
    let began = Instant::now();
    let mut stdout = io::stdout();
    let seeds = u64::from(args.repeat);
    let bar = progress(seeds);
    let (mut totals, mut comparison) = (Totals::default(), Comparison::new());
    let mut failures = Vec::new();
    let mut first = 0;
    while first < seeds {
        let end = seeds.min(first + CHUNK);
        let all_of = |offset: u64| -> Vec<Report> {
            let seed = args.seed.wrapping_add(offset);
            let reports = scenarios.iter();
            let reports = reports.map(|scenario| attempt(scenario, seed, TraceLevel::Off));
            let reports = reports.collect();
            bar.inc(1);
            reports
        };
        let reports: Vec<Vec<Report>> = (first..end).into_par_iter().map(all_of).collect();
        for report in reports.into_iter().flatten() {
            totals.add(&report);
            comparison.add(&report);
            if report.outcome.is_err() {
                if !args.json {
                    bar.suspend(|| list_failure(&report))?;
                }
                failures.push(report);
            }
        }
        first = end;
    }
    bar.finish_and_clear();
    let real = began.elapsed();
    if args.json {
        let failures: Vec<Value> = failures.iter().map(report_json).collect();
        let object = json!({
            "seed": args.seed,
            "repeat": args.repeat,
            "passed": totals.failed == 0,
            "medians": medians_json(&comparison, scenarios),
            "failures": failures,
            "virtual_seconds": totals.time.as_secs_f64(),
            "real_seconds": real.as_secs_f64(),
        });
        writeln!(stdout, "{object:#}")?;
    } else {
        write!(stdout, "{comparison}")?;
        let what = format!(
            "{} ({} of {})",
            count(totals.scenarios, "run"),
            count(scenarios.len(), "scenario"),
            count(args.repeat as usize, "seed")
        );
        totals.write(&what, real)?;
    }
    Ok(totals.verdict())
}

fn list_failure(report: &Report) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{} seed {}", report.title(), report.seed)?;
    write!(stdout, "{}", report.failure())
}

fn figures_json(figures: &Figures) -> Value {
    json!({
        "seconds": figures.time.as_secs_f64(),
        "peers": figures.peers,
        "rpcs": figures.rpcs,
        "bytes": figures.bytes,
        "commits": figures.commits,
    })
}

fn report_json(report: &Report) -> Value {
    let failure = report.outcome.as_ref().err();
    json!({
        "number": report.scenario.number,
        "part": report.scenario.part.to_string(),
        "name": report.scenario.name,
        "seed": report.seed,
        "passed": failure.is_none(),
        "failure": failure.map(Failure::to_string),
        "repeat": report.repeating_command(),
        "figures": figures_json(&report.figures),
        "page": report.scenario.page.as_ref().map(figures_json),
        "warnings": report.warnings,
    })
}

fn medians_json(comparison: &Comparison, scenarios: &[Scenario]) -> Vec<Value> {
    let row = |scenario: &Scenario| {
        json!({
            "number": scenario.number,
            "part": scenario.part.to_string(),
            "name": scenario.name,
            "median": comparison.median(scenario.number).as_ref().map(figures_json),
            "page": scenario.page.as_ref().map(figures_json),
        })
    };
    scenarios.iter().map(row).collect()
}
