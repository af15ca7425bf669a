//! The command line: what can be asked, and how a command ends.

mod bench;
mod cluster;
mod elections;
mod lab;
mod mutant;
mod replay;
mod run;
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

const ABOUT: &str = "Simulates Raft clusters on a virtual clock, everything drawn from one seed";

const LONG_ABOUT: &str = "\
Simulates Raft clusters on a virtual clock, everything drawn from one seed.

The Raft core under test is the real one, unchanged. Time, network, disks, crashes and clients \
are simulated, so a minute takes milliseconds, and a seed makes the same run on every machine: \
whatever fails can be repeated, and looked at with --trace.";

const EXIT_CODES: &str = "\
Exit codes:
  0  everything passed
  1  a scenario failed, or a run violated a property or did not recover
  2  the command line made no sense
  3  a sweep was interrupted; nothing was wrong until then";

const LAB_HELP: &str = "\
Each scenario prints the lab's own line:

  Test (3A): initial election ...
    ... Passed -- 3.5 3 58 16840 0
                  |   | |  |     commits: how far the highest applied index rose
                  |   | |  bytes sent, requests and delivered replies
                  |   | RPCs: requests given to the network, replies not counted
                  |   servers
                  virtual seconds

Examples:
  raft-sim lab                    all 28 scenarios
  raft-sim lab 3C                 one part
  raft-sim lab figure 8           those whose name contains this
  raft-sim lab 17 --trace         one scenario, by its number, with everything that happened
  raft-sim lab --repeat 1000      1000 consecutive seeds, and a table of medians beside the
                                  figures on the lab's page
  raft-sim lab 3B --seed 7 --json for machines

Exit code 1 if a scenario failed, 2 if the command line made no sense.";

const RUN_HELP: &str = "\
A run has two phases. In the first, clients propose while servers crash (and lose what was not \
synced), disks stall and fail, clocks drift, links are cut, messages are lost, late, repeated and \
overtaken; the five properties of the Raft paper's Figure 3 are checked after every step of every \
node. Then all faults end, and the cluster must recover: one leader, and all nodes apply everything.

The summary at the end:
  elections           candidacies, and how many of them were won
  commands            acknowledged: the client learned that it is committed; the others were
                      replaced by another leader's, or their node crashed first
  snapshots           made by services; restored by nodes that were too far behind for entries
  trace               the digest (SHA-256, first 16 digits) is equal exactly for equal runs
  events              inputs that the cores took

Examples:
  raft-sim run --seed 42                     a minute of a cluster of five
  raft-sim run --seed 42 --trace -           ... with every fact as a line; the summary then
                                             goes to stderr
  raft-sim run --faults wild --repeat 1000   a thousand seeds of the worst there is
  raft-sim run --time 1h --nodes 3           an hour of virtual time
  raft-sim run --time 10m --features all     readers, handovers and changes of the members
  raft-sim run --mutant figure-8 --seed 227  with a known mistake in the core: see raft-sim zoo

Exit code 1 if a property was violated or the cluster did not recover, 2 if the command line \
made no sense.";

const REPLAY_HELP: &str = "\
A recording holds every event that a node's core was given, and a digest of what it answered; \
drivers write them (see raft_proto::recording). Each file begins with a checkpoint and is replayed \
by itself. The core depends on nothing but its events, so the same release gives the same \
answers; where it does not, the first such step is shown with its actions.

Examples:
  raft-sim replay node-1/recordings              all files of a folder, the oldest first
  raft-sim replay --print 000000000003.raftrec   one file, with everything that happened

Exit code 1 if a step differs or a file is damaged, 2 if there is nothing to replay.";

const SWEEP_HELP: &str = "\
Each seed is a run of its own (see raft-sim run), with faults that the seed switches on or off. \
The summary says which rare situations the seeds came into, and which none did. Its digest is \
the sum of the seeds' digests, each of the times of everything that happened: equal for equal \
seeds and settings, whatever the number of jobs or the machine. What raft-sim run prints is \
another digest, of the whole trace as text.

Examples:
  raft-sim sweep --seeds 0..20000                        all cores
  raft-sim sweep --seeds 0..1000000 --resume sweep.jsonl go on where a former one stopped
  raft-sim sweep --seeds 0..1000000 --shard 3/100        the fourth of a hundred parts
  raft-sim sweep --seeds 0..1000000000 --shard array/1000 --resume /results/$NAME.jsonl
                                                         in a Slurm array or a Kubernetes
                                                         indexed Job of a thousand tasks
  raft-sim merge /results/*.jsonl                        what they all came to

Exit code 1 if a seed failed, 2 if the command line made no sense, 3 if it was interrupted.";

const ZOO_HELP: &str = "\
Each mistake is a patch in raft-sim/zoo. For each the command applies the patch to a copy of the \
project in target/zoo, builds the simulator with it and runs seeds until one fails. It needs cargo \
and the project's sources; what was built is kept in target/zoo/bin. A patch that does not apply \
any more, or does not build, is an error.

Examples:
  raft-sim zoo                   all of them, as a table in Markdown
  raft-sim zoo figure-8          one
  raft-sim zoo --write           all, and the table goes into raft-sim/zoo/README.md

Exit code 1 if one was not caught, 2 if the command line made no sense or a patch does not apply \
or build.";

const ELECTIONS_HELP: &str = "\
Five servers have a leader; it broadcasts a heartbeat and crashes at any time before the next one. \
A row tells how long it took until another server was leader, for one range of election timeouts. \
The four others have logs of different lengths, so that two of them can win and two cannot.

The columns:
  timeouts            the range of election timeouts, in ms; the leader's heartbeat interval is half
                      of the least one
  elected             trials that had a leader before --limit ended
  min ... max         ms without a leader; a trial without one counts as the longest
  elections, most     terms that were begun until one had a leader, in the mean and at most

A vote takes a message, a synchronous write and a message back: 15 ms in the mean, as roughly in \
the paper's cluster. The core sends no request for a vote before its own vote is on its disk, which \
takes another write; --own-vote overlapped shows what it would be if the two overlapped.

Examples:
  raft-sim elections                          all ranges, 1000 trials each, 100 for 150-150
  raft-sim elections --svg figures            also figures/figure-16-top.svg and -bottom.svg
  raft-sim elections --own-vote overlapped    requests leave while the own vote is written
  raft-sim elections --broadcast-time 1ms     faster disks and a faster network
  raft-sim elections --trials 100 --json      for machines

Exit code 2 if the command line made no sense, 1 if a file could not be written.";

/// What can be asked.
#[derive(Debug, Parser)]
#[command(name = "raft-sim", version, about = ABOUT, long_about = LONG_ABOUT)]
#[command(after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the 28 scenarios of MIT 6.5840 Lab 3, or some of them
    #[command(after_help = LAB_HELP)]
    Lab(LabArgs),
    /// Run a cluster under faults, with clients, and check it after every step
    #[command(after_help = RUN_HELP)]
    Run(RunArgs),
    /// Run many seeds on all cores, and say what they came into
    #[command(after_help = SWEEP_HELP)]
    Sweep(SweepArgs),
    /// Measure how fast the simulator is on this machine
    Bench(BenchArgs),
    /// Build known mistakes into the core, and measure how soon each is caught
    #[command(after_help = ZOO_HELP)]
    Zoo(ZooArgs),
    /// Join what the parts of a sweep wrote (--resume, or --json)
    Merge(MergeArgs),
    /// Run recordings of real nodes again, and find the first step that this build does otherwise
    #[command(after_help = REPLAY_HELP)]
    Replay(ReplayArgs),
    /// Measure how long clusters are without a leader: Figure 16 of the Raft paper
    #[command(after_help = ELECTIONS_HELP)]
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
    /// Recordings, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print every event and action, one a line
    #[arg(long)]
    print: bool,
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
