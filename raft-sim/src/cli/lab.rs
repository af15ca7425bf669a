//! `raft-sim lab`.

use super::outcome::{CliError, CommandResult, Outcome};
use super::{progress, values};
use clap::Args;
use core::time::Duration;
use raft_proto::Time;
use raft_sim::features::Features;
use raft_sim::lab::{self, Comparison, Failure, Figures, Report, Scenario, TraceLevel};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// `raft-sim lab`.
#[derive(Debug, Args)]
pub(super) struct LabArgs {
    /// Which scenarios: a part (3A, 3B, 3C, 3D), a number (1 to 28), or some words of a name; by
    /// default all of them
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// The seed that everything is drawn from
    #[arg(long, default_value_t = 1, value_parser = values::seed)]
    seed: u64,
    /// How many consecutive seeds to run, beginning with --seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat: u32,
    /// What servers use beyond the paper's Figure 2: Pre-Vote, CheckQuorum, leases, a log that is
    /// not all in memory; drawn means that the seed switches each on or off
    #[arg(long, value_enum, default_value_t = Features::None)]
    features: Features,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Print everything that happens, one fact a line
    #[arg(long, conflicts_with_all = ["repeat", "json"])]
    trace: bool,
}

/// How many lines of the trace a failure shows.
const LAST_LINES: usize = 40;

pub(super) fn run(args: &LabArgs) -> CommandResult {
    let words = args.filter.join(" ");
    let filter = (!words.is_empty()).then_some(words.as_str());
    let scenarios = lab::select(filter).map_err(|error| unknown(&error))?;
    let with = |scenario: &Scenario| scenario.with_features(args.features);
    let scenarios: Vec<Scenario> = scenarios.into_iter().map(with).collect();
    let totals = if args.repeat > 1 {
        run_seeds(args, &scenarios)?
    } else {
        run_once(args, &scenarios)?
    };
    Ok(Outcome::of(totals.failed == 0))
}

/// Lists the scenarios for a user whose filter names none.
fn unknown(error: &lab::UnknownScenario) -> CliError {
    let mut text = format!("{error}\n\nThe scenarios:");
    for scenario in lab::scenarios() {
        let (number, part, name) = (scenario.number, scenario.part, scenario.name);
        text += &format!("\n  {number:>2}  {part}  {name}");
    }
    CliError::Usage(text)
}

/// Runs a scenario. A panic is reported as other failures are: with its seed.
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

/// The sums over all scenarios.
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

/// Runs each scenario once.
fn run_once(args: &LabArgs, scenarios: &[Scenario]) -> io::Result<Totals> {
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
            // Once more, to keep the last lines of the trace.
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
    Ok(totals)
}

fn count(number: usize, of: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {of}{plural}")
}

/// Runs all scenarios at consecutive seeds, and compares the medians with the lab's page.
fn run_seeds(args: &LabArgs, scenarios: &[Scenario]) -> io::Result<Totals> {
    /// Seeds that run before their results are shown: enough to keep all cores busy.
    const CHUNK: u64 = 64;
    let began = Instant::now();
    let mut stdout = io::stdout();
    let seeds = u64::from(args.repeat);
    let bar = progress::seeds(seeds);
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
    Ok(totals)
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
