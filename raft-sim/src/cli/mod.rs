//! The command line: the commands, and the exit code of each outcome.

mod bench;
mod check;
mod cluster;
mod completions;
mod elections;
mod explain;
mod graphs;
mod help;
mod lab;
mod merge;
mod mutant;
mod outcome;
mod progress;
mod replay;
mod results;
mod run;
mod shrink;
mod signals;
mod sweep;
mod values;
mod view;
mod zoo;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use outcome::{CliError, Outcome};
use std::io::{self, Write};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "raft-sim", version, about = help::ABOUT, long_about = help::LONG_ABOUT)]
#[command(after_help = help::EXIT_CODES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the 28 scenarios of MIT 6.5840 Lab 3, or some of them
    #[command(after_help = help::LAB)]
    Lab(lab::LabArgs),
    /// Run a cluster under faults, with clients, and check it after every step
    #[command(after_help = help::RUN)]
    #[command(mut_arg("root", |root| root.requires("mutant")))]
    Run(run::RunArgs),
    /// Check every run of a small cluster, within bounds: explicit-state model checking of the core
    #[command(after_help = help::CHECK)]
    #[command(mut_arg("root", |root| root.requires("mutant")))]
    Check(check::CheckArgs),
    /// Run many seeds on all cores, and count which rare events they reached
    #[command(after_help = help::SWEEP)]
    Sweep(sweep::SweepArgs),
    /// Add up the results of the parts of a sweep (files of --resume, or outputs of --json)
    #[command(after_help = help::MERGE)]
    Merge(merge::MergeArgs),
    /// Measure how fast the simulator is on this machine
    #[command(after_help = help::BENCH)]
    #[command(mut_arg("features", |features| features.hide(true)))]
    #[command(mut_arg("rate", |rate| rate.help(help::BENCH_RATE)))]
    Bench(bench::BenchArgs),
    /// Build known mistakes into the core, and measure how soon each is caught
    #[command(after_help = help::ZOO)]
    Zoo(zoo::ZooArgs),
    /// Repeat recordings of real nodes, and show the first step that this build answers otherwise;
    /// or run a schedule
    #[command(after_help = help::REPLAY)]
    Replay(replay::ReplayArgs),
    /// Say of recordings of a cluster why entries were slow, leaders changed and proposals were lost
    #[command(after_help = help::EXPLAIN)]
    Explain(explain::ExplainArgs),
    /// Make a run that fails as small as possible, and write it to a schedule file
    #[command(after_help = help::SHRINK)]
    Shrink(shrink::ShrinkArgs),
    /// Write a page on which people look at a run, and change it: one file, without a network
    #[command(after_help = help::VIEW)]
    View(view::ViewArgs),
    /// Measure how long clusters are without a leader: Figure 16 of the Raft paper
    #[command(after_help = help::ELECTIONS)]
    Elections(elections::ElectionsArgs),
    /// Try every network of a few servers: is there a leader that commits, do terms stay quiet
    #[command(after_help = help::GRAPHS)]
    Graphs(graphs::GraphsArgs),
    /// Print a script that completes commands and options in a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions(completions::CompletionsArgs),
}

/// The command line, where a negative number is a value that is refused with its reason, and not an
/// unknown option.
fn command() -> clap::Command {
    Cli::command().mut_subcommands(|command| {
        command.mut_args(|arg| {
            let takes_values = arg.get_action().takes_values();
            arg.allow_negative_numbers(takes_values)
        })
    })
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::from_arg_matches(&command().get_matches());
    let result = match cli.unwrap_or_else(|error| error.exit()).command {
        Command::Lab(args) => lab::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Zoo(args) => zoo::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Shrink(args) => shrink::run(&args),
        Command::View(args) => view::run(&args),
        Command::Elections(args) => elections::run(&args),
        Command::Graphs(args) => graphs::run(&args),
        Command::Completions(args) => completions::run(&args, command()),
    };
    match result {
        Ok(Outcome::Passed) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Ok(Outcome::Usage) => ExitCode::from(2),
        Ok(Outcome::Interrupted) => ExitCode::from(3),
        // The reader has seen enough (`| head`): that is no error.
        Err(CliError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // `eprintln!` would panic where stderr is closed.
            let _ = writeln!(io::stderr(), "error: {error}");
            match error {
                CliError::Usage(_) => ExitCode::from(2),
                CliError::Io(_) => ExitCode::from(1),
            }
        }
    }
}
