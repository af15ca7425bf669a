//! The command line: what can be asked, and how a command ends.

mod bench;
mod cluster;
mod elections;
mod help;
mod lab;
mod mutant;
mod replay;
mod replay_schedule;
mod run;
mod shrink;
mod sweep;
mod zoo;

use clap::{Args, Parser, Subcommand};
use cluster::ClusterArgs;
use core::time::Duration;
use mutant::MutantArgs;
use raft_sim::elections::timing::{OwnVote, Timing};
use raft_sim::features::Features;
use raft_sim::request::Request;
use raft_sim::sweep::Seeds;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// What can be asked.
#[derive(Debug, Parser)]
#[command(name = "raft-sim", version, about = help::ABOUT, long_about = help::LONG_ABOUT)]
#[command(after_help = help::EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the 28 scenarios of MIT 6.5840 Lab 3, or some of them
    #[command(after_help = help::LAB_HELP)]
    Lab(LabArgs),
    /// Run a cluster under faults, with clients, and check it after every step
    #[command(after_help = help::RUN_HELP)]
    #[command(mut_arg("root", |root| root.requires("mutant")))]
    Run(RunArgs),
    /// Run many seeds on all cores, and say what they came into
    #[command(after_help = help::SWEEP_HELP)]
    Sweep(SweepArgs),
    /// Measure how fast the simulator is on this machine
    Bench(BenchArgs),
    /// Build known mistakes into the core, and measure how soon each is caught
    #[command(after_help = help::ZOO_HELP)]
    Zoo(ZooArgs),
    /// Join what the parts of a sweep wrote (--resume, or --json)
    Merge(MergeArgs),
    /// Run recordings of real nodes again, and find the first step that this build does otherwise;
    /// or run a schedule
    #[command(after_help = help::REPLAY_HELP)]
    Replay(ReplayArgs),
    /// Make a run that fails small, and write it down as a schedule
    #[command(after_help = help::SHRINK_HELP)]
    Shrink(ShrinkArgs),
    /// Measure how long clusters are without a leader: Figure 16 of the Raft paper
    #[command(after_help = help::ELECTIONS_HELP)]
    Elections(ElectionsArgs),
}

/// `raft-sim lab`.
#[derive(Debug, Args)]
pub(crate) struct LabArgs {
    /// Which scenarios: a part (3A, 3B, 3C, 3D), a number (1 to 28), or a part of a name; all
    /// of them if left out
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// What everything is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many consecutive seeds to run, beginning with --seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat: u32,
    /// What the servers use beyond Figure 2: Pre-Vote, CheckQuorum, leases, a log that is not all
    /// in memory; drawn means that the seed switches each on or off
    #[arg(long, value_enum, default_value_t = Features::None)]
    features: Features,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Print everything that happens, one fact a line
    #[arg(long, conflicts_with_all = ["repeat", "json"])]
    trace: bool,
}

/// `raft-sim run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// What everything is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How long the phase with faults is, in virtual time: 60s, 10m, 1h
    #[arg(long, default_value = "60s", value_parser = duration)]
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

/// `raft-sim sweep`.
#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    /// Which seeds: A..B, from A to just below B
    #[arg(long, value_name = "A..B")]
    seeds: Seeds,
    /// How many threads; by default one a core
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    jobs: Option<u32>,
    /// Run only part I of N, counted from 0; `array` for I takes it from SLURM_ARRAY_TASK_ID or
    /// JOB_COMPLETION_INDEX
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// Keep what was done in this file, a line of JSON a chunk, and leave out what it holds already
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How long the phase with faults is, in virtual time
    #[arg(long, default_value = "20s", value_parser = duration)]
    time: Duration,
    /// Run one seed after another, and end with the first that fails
    #[arg(long, conflicts_with = "resume")]
    until_failure: bool,
    /// Print the lines of JSON instead of text
    #[arg(long)]
    json: bool,
}

/// `raft-sim bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// How long each row is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u32,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How long the phase with faults is, in virtual time
    #[arg(long, default_value = "60s", value_parser = duration)]
    time: Duration,
}

/// `raft-sim zoo`.
#[derive(Debug, Args)]
pub(crate) struct ZooArgs {
    /// Which mistakes; all of them if left out
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// How long each is searched for, in seconds of one core
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    cpu_seconds: u32,
    /// How many parts of a search run at the same time; by default one a core. The seeds that
    /// are reported do not depend on it
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    jobs: Option<u32>,
    /// Put the table into raft-sim/zoo/README.md
    #[arg(long, conflicts_with = "names")]
    write: bool,
    /// Make what each is caught by small, for a minute, and write it to target/zoo/schedules
    #[arg(long)]
    shrink: bool,
    /// Where the project is
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    root: PathBuf,
}

/// `raft-sim merge`.
#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// What the parts wrote
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// `60s`, `10m`, `1h 30m`.
fn duration(text: &str) -> Result<Duration, String> {
    const HOW: &str = "give a number and a unit, such as 60s, 10m or 1h";
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}; {HOW}"))?;
    if time.is_zero() {
        return Err(format!("a run of no time shows nothing; {HOW}"));
    }
    if time > Request::MAX_TIME {
        return Err(String::from(
            "at most 7 days: virtual time takes real time too",
        ));
    }
    Ok(time)
}

/// `raft-sim replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Recordings, or folders of them, or schedules
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print everything that happens, one fact a line
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    mutant: MutantArgs,
}

/// `raft-sim shrink`.
#[derive(Debug, Args)]
pub(crate) struct ShrinkArgs {
    /// The run: what everything is drawn from
    #[arg(
        long,
        required_unless_present = "schedule",
        conflicts_with = "schedule"
    )]
    seed: Option<u64>,
    /// The run: a schedule file
    #[arg(long, value_name = "FILE")]
    schedule: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How long the phase with faults is, in virtual time
    #[arg(long, default_value = "60s", value_parser = duration)]
    time: Duration,
    /// Where the small run is written; MISTAKE-SEED.toml or seed-SEED.toml if left out, or the
    /// file of --schedule
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How long it may take; 60 if neither this nor --runs is given
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    seconds: Option<u32>,
    /// How many smaller runs may be tried
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// How many threads; by default one a core
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    jobs: Option<u32>,
    /// Whatever goes wrong will do, not only the same kind of failure
    #[arg(long)]
    any_failure: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    mutant: MutantArgs,
}

/// `raft-sim elections`.
#[derive(Debug, Args)]
pub(crate) struct ElectionsArgs {
    /// What everything is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many trials of each range; of 150-150 at most 100
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    trials: u32,
    /// How long a trial waits for a leader, in virtual time: 100s, 10m
    #[arg(long, value_name = "TIME", default_value = "100s", value_parser = duration)]
    limit: Duration,
    /// How long it takes in the mean to ask for a vote and to be given it: 15ms, 500us
    #[arg(long, value_name = "TIME", value_parser = broadcast_time)]
    #[arg(default_value_t = humantime::Duration::from(Timing::PAPER))]
    broadcast_time: humantime::Duration,
    /// Whether a candidate's requests wait until its own vote is on its disk
    #[arg(long, value_enum, default_value_t = OwnVote::Awaited)]
    own_vote: OwnVote,
    /// Servers ask whether they would be elected before they campaign
    #[arg(long)]
    pre_vote: bool,
    /// Draw the figure's two graphs, as SVG files in this folder
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// `15ms`, `500us`.
fn broadcast_time(text: &str) -> Result<humantime::Duration, String> {
    const HOW: &str = "give a number and a unit, such as 15ms or 500us";
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}; {HOW}"))?;
    if time < Duration::from_micros(10) || time > Duration::from_secs(60) {
        return Err(format!("it is from 10us to 60s; {HOW}"));
    }
    Ok(time.into())
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// The command line made no sense, which has been explained.
    Usage,
    /// It did not come to its end.
    Interrupted,
}

/// Does what was asked.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let verdict = match cli.command {
        Command::Lab(args) => lab::run(&args),
        Command::Run(args) => run::run(args),
        Command::Replay(args) => replay::run(&args),
        Command::Shrink(args) => shrink::run(&args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Zoo(args) => zoo::run(&args),
        Command::Merge(args) => sweep::merge(&args),
        Command::Elections(args) => elections::run(&args),
    };
    match verdict {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::from(1),
        Ok(Verdict::Usage) => ExitCode::from(2),
        Ok(Verdict::Interrupted) => ExitCode::from(3),
        // Whoever listened has heard enough (`| head`): no reason to complain.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            report_error(&error);
            ExitCode::from(1)
        }
    }
}

/// To stderr, without the panic of `eprintln!` when nobody listens there.
fn report_error(error: &io::Error) {
    use io::Write;
    let _ = writeln!(io::stderr(), "error: {error}");
}

/// A bar on stderr for many seeds; nothing where stderr is not a terminal.
fn progress(seeds: u64) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new(if seeds > 1 { seeds } else { 0 });
    if seeds <= 1 {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let template = "{bar:40} {human_pos}/{human_len} seeds, {per_sec}, {eta} left";
    if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
