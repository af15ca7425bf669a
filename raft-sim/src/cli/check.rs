//! `raft-sim check`.

use super::mutant::MutantArgs;
use super::outcome::{CliError, CommandResult, Outcome, usage};
use super::progress;
use super::signals::interrupted_by_signals;
use super::values;
use clap::Args;
use core::ops::ControlFlow;
use core::time::Duration;
use raft_sim::check::models::{self, Entry};
use raft_sim::check::{
    CheckError, Counterexample, Form, Limits, Model, Progress, Report, SavedError, check, check_in,
};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// `raft-sim check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The models; all if none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Show the models, and search none
    #[arg(long, exclusive = true)]
    list: bool,
    /// The short form of each model
    #[arg(long)]
    short: bool,
    /// Also check that a leader can be elected from every state, and commit
    #[arg(long)]
    recovery: bool,
    /// How many cores search; all if this is not given. The result is the same with any number
    #[arg(long, value_name = "COUNT")]
    jobs: Option<NonZeroUsize>,
    /// End a search after so many states
    #[arg(long, value_name = "COUNT")]
    max_states: Option<u64>,
    /// End a search after this time, such as 60s or 10m
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    time: Option<Duration>,
    /// Keep the search in this folder, and go on from where an earlier one stopped there, with the same
    /// build. The states that wait are then on disk, not in memory
    #[arg(long, value_name = "FOLDER", conflicts_with = "replay")]
    resume: Option<PathBuf>,
    /// Walk the counterexample in this file again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "short"])]
    replay: Option<PathBuf>,
    /// The folder to which counterexamples are written
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    output: PathBuf,
    #[command(flatten)]
    mutant: MutantArgs,
}

/// A counterexample as it is written down.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    model: String,
    short: bool,
    /// The mistake that was built into the core.
    mutant: Option<String>,
    violation: String,
    steps: Vec<Step>,
}

/// One step of it.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    /// Which of all that could happen.
    choice: u16,
    /// What happens.
    what: String,
}

pub(super) fn run(args: &CheckArgs) -> CommandResult {
    if let Some(outcome) = args.mutant.delegate()? {
        return Ok(outcome);
    }
    if args.list {
        return list();
    }
    if let Some(path) = &args.replay {
        return replay(path);
    }
    let mut models: Vec<Entry> = Vec::new();
    for name in &args.names {
        models.push(models::find(name).ok_or_else(|| unknown(name))?);
    }
    if models.is_empty() {
        models.extend(models::ALL);
    }
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(jobs) = args.jobs {
        pool = pool.num_threads(jobs.get());
    }
    let pool = pool.build().map_err(io::Error::other)?;
    let form = if args.short { Form::Short } else { Form::Full };
    let interrupted = interrupted_by_signals();
    let mut worst = Outcome::Passed;
    for entry in models {
        let outcome = pool.install(|| search(&(entry.make)(form), args, &interrupted))?;
        match outcome {
            Outcome::Passed => {}
            Outcome::Interrupted if worst != Outcome::Passed => {}
            Outcome::Interrupted | Outcome::Failed | Outcome::Usage => worst = outcome,
        }
        if interrupted.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(worst)
}

fn unknown(name: &str) -> CliError {
    let known: Vec<&str> = models::ALL.iter().map(|entry| entry.name).collect();
    usage(format!(
        "there is no model {name}; there are: {}",
        known.join(", ")
    ))
}

fn search(model: &Model, args: &CheckArgs, interrupted: &AtomicBool) -> CommandResult {
    let limits = Limits {
        recovery: args.recovery,
        states: args.max_states,
        time: args.time,
    };
    let bar = progress::states();
    let on_progress = |now: Progress| {
        bar.set_position(now.states);
        bar.set_message(progress_line(&now));
        if interrupted.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let report = match &args.resume {
        Some(folder) => check_in(&folder.join(model.name), model, limits, on_progress),
        None => check(model, limits, on_progress),
    };
    bar.finish_and_clear();
    let report = report.map_err(|error| match error {
        CheckError::Saved(error @ SavedError::Io { .. }) => io::Error::other(error).into(),
        CheckError::Saved(error) => usage(format!("--resume: {error}")),
        CheckError::Walk(error) => io::Error::other(error).into(),
    })?;
    let mut out = io::stdout().lock();
    print(model, &report, &mut out)?;
    if let Some(found) = &report.counterexample {
        let path = args.output.join(format!("{}.check", model.name));
        write_file(model, args.short, found, &path)?;
        let with = raft_sim::zoo::current_mutant().map(|mutant| format!(" --mutant {mutant}"));
        writeln!(
            out,
            "written to {0}; walk it again with --replay {0}{1}",
            path.display(),
            with.unwrap_or_default()
        )?;
    }
    if report.passed() && !report.is_complete {
        if args.resume.is_none() {
            writeln!(
                out,
                "  a search with --resume FOLDER goes on where it stopped when it is repeated"
            )?;
        }
        return Ok(Outcome::Interrupted);
    }
    Ok(Outcome::of(report.passed()))
}

fn rate(now: &Progress) -> u64 {
    (now.states as f64 / now.elapsed.as_secs_f64().max(1e-3)) as u64
}

fn progress_line(now: &Progress) -> String {
    let (rate, depth, left) = (rate(now), now.depth, now.left);
    let mib = now.memory >> 20;
    format!("{rate}/s, depth {depth}, {left} left in it, {mib} MiB")
}

fn print(model: &Model, report: &Report, out: &mut impl Write) -> io::Result<()> {
    let now = &report.progress;
    let how = if report.is_complete {
        "all states"
    } else {
        "not all states"
    };
    writeln!(out, "{}: {how}", model.name)?;
    writeln!(
        out,
        "  {} states, {} transitions, depth {}; {:.1} s, {} states/s, {} bytes a state",
        now.states,
        now.transitions,
        now.depth,
        now.elapsed.as_secs_f64(),
        rate(now),
        now.memory as u64 / now.states.max(1),
    )?;
    let [nodes, messages, histories, steps] = report.sizes;
    writeln!(
        out,
        "  {nodes} states of one node, {messages} messages, {histories} histories, {steps} steps of the core",
    )?;
    for mark in &report.reached {
        writeln!(out, "  reached: {}", mark.text())?;
    }
    for mark in &report.missed {
        writeln!(out, "  NOT reached: {}", mark.text())?;
    }
    if let Some(found) = &report.counterexample {
        print_counterexample(found, out)?;
    }
    Ok(())
}

fn print_counterexample(found: &Counterexample, out: &mut impl Write) -> io::Result<()> {
    for line in &found.trace {
        let indent = if line.starts_with('#') {
            "  "
        } else {
            "      "
        };
        writeln!(out, "{indent}{}", line.trim_start_matches("# "))?;
    }
    writeln!(
        out,
        "  FAILS after {} steps: {}",
        found.steps.len(),
        found.violation
    )
}

fn write_file(model: &Model, short: bool, found: &Counterexample, path: &Path) -> io::Result<()> {
    let step = |(choice, what): &(u16, String)| Step {
        choice: *choice,
        what: what.clone(),
    };
    let file = File {
        model: model.name.into(),
        short,
        mutant: raft_sim::zoo::current_mutant(),
        violation: found.violation.to_string(),
        steps: found.steps.iter().map(step).collect(),
    };
    fs::write(path, toml::to_string(&file).map_err(io::Error::other)?)
}

fn replay(path: &Path) -> CommandResult {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| usage(format!("{shown}: {error}")))?;
    let file: File = toml::from_str(&text).map_err(|error| usage(format!("{shown}: {error}")))?;
    let entry = models::find(&file.model).ok_or_else(|| unknown(&file.model))?;
    let model = (entry.make)(if file.short { Form::Short } else { Form::Full });
    let steps: Vec<(u16, String)> = (file.steps.into_iter())
        .map(|step| (step.choice, step.what))
        .collect();
    if let Some(mutant) = &file.mutant
        && raft_sim::zoo::current_mutant().as_ref() != Some(mutant)
    {
        let note = format_args!("{shown} was found with a mistake: give --mutant {mutant}, too");
        writeln!(io::stderr(), "note: {note}")?;
    }
    let mut out = io::stdout().lock();
    match Counterexample::replay(&model, &steps) {
        Ok(found) => {
            print_counterexample(&found, &mut out)?;
            Ok(Outcome::Failed)
        }
        Err(error) => {
            writeln!(out, "{}: no longer: {error}", model.name)?;
            Ok(Outcome::Passed)
        }
    }
}

fn list() -> CommandResult {
    let mut out = io::stdout().lock();
    for entry in models::ALL {
        for form in [Form::Short, Form::Full] {
            let model = (entry.make)(form);
            if form == Form::Short {
                writeln!(out, "{}: {}", model.name, model.about)?;
            }
            list_form(&model, form, &mut out)?;
        }
    }
    Ok(Outcome::Passed)
}

fn list_form(model: &Model, form: Form, out: &mut impl Write) -> io::Result<()> {
    let bounds = &model.bounds;
    let all = [
        ("timeouts", bounds.timeouts),
        ("waits", bounds.waits),
        ("heartbeats", bounds.wakes),
        ("crashes", bounds.crashes),
        ("repeated messages", bounds.repeats),
        ("commands", bounds.proposals),
        ("reads", bounds.reads),
        ("snapshots", bounds.snapshots),
        ("operations", model.operations.len() as u8), // A few.
    ];
    let some = all.iter().filter(|(_, most)| *most > 0);
    let some: Vec<String> = some.map(|(what, most)| format!("{what} {most}")).collect();
    let name = match form {
        Form::Short => "short",
        Form::Full => "full",
    };
    let (nodes, term) = (model.nodes(), bounds.max_term);
    write!(out, "  {name}: {nodes} nodes, terms to {term}")?;
    for one in some {
        write!(out, ", {one}")?;
    }
    match model.states {
        Some(states) => writeln!(out, "; {states} states")?,
        None => writeln!(out, "; its states were never counted to the end")?,
    }
    let reaches: Vec<&str> = model.reaches.iter().map(|mark| mark.text()).collect();
    writeln!(out, "    reaches: {}", reaches.join("; "))
}
