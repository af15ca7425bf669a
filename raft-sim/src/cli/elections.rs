//! `raft-sim elections`.

use super::outcome::{CliError, CommandResult, Outcome, usage};
use super::values;
use clap::Args;
use core::time::Duration;
use raft_proto::PreVoting;
use raft_sim::elections::chart::Graph;
use raft_sim::elections::range::TimeoutRange;
use raft_sim::elections::summary::Report;
use raft_sim::elections::timing::{OwnVote, Timing};
use raft_sim::elections::{self, Request, Sample};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// `raft-sim elections`.
#[derive(Debug, Args)]
pub(super) struct ElectionsArgs {
    /// The seed that everything is drawn from
    #[arg(long, default_value_t = 1, value_parser = values::seed)]
    seed: u64,
    /// How many trials of each range of timeouts; of 150-150 at most 100
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    trials: u32,
    /// How long a trial waits for a leader, in virtual time: 100s, 10m
    #[arg(long, value_name = "TIME", default_value = "100s", value_parser = values::duration)]
    limit: Duration,
    /// The mean time from a request for a vote to the vote: 15ms, 500us
    #[arg(long, value_name = "TIME", value_parser = values::broadcast_time)]
    #[arg(default_value_t = humantime::Duration::from(Timing::PAPER))]
    broadcast_time: humantime::Duration,
    /// Whether the requests of a candidate wait until its own vote is on its disk
    #[arg(long, value_enum, default_value_t = OwnVote::Awaited)]
    own_vote: OwnVote,
    /// Switch Pre-Vote on: servers ask whether they would be elected before they campaign
    #[arg(long)]
    pre_vote: bool,
    /// Draw the two graphs of the figure as SVG files in this folder
    #[arg(long, value_name = "FOLDER")]
    svg: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// A file for one of the graphs.
struct Target {
    graph: Graph,
    path: PathBuf,
    file: File,
}

pub(super) fn run(args: &ElectionsArgs) -> CommandResult {
    // Before the work: a file that cannot be written is better known at once.
    let targets = match args.svg.as_deref() {
        Some(folder) => create(folder)?,
        None => Vec::new(),
    };
    let request = Request {
        seed: args.seed,
        trials: args.trials,
        timing: Timing::new(args.broadcast_time.into()),
        own_vote: args.own_vote,
        pre_vote: if args.pre_vote {
            PreVoting::On
        } else {
            PreVoting::Off
        },
        limit: args.limit,
    };
    let samples = match elections::run(&request, &TimeoutRange::all()) {
        Ok(samples) => samples,
        Err(failed) => {
            writeln!(io::stderr(), "error: seed {}, {failed}", args.seed)?;
            return Ok(Outcome::Failed);
        }
    };
    for target in targets {
        target.draw(&request, &samples)?;
    }
    let report = Report::new(request, &samples);
    if args.json {
        writeln!(io::stdout(), "{:#}", report.json())?;
    } else {
        write!(io::stdout(), "{report}")?;
    }
    Ok(Outcome::Passed)
}

/// Creates the files, and the folder if it is not there.
fn create(folder: &Path) -> Result<Vec<Target>, CliError> {
    let named = |path: &Path, error: io::Error| {
        usage(format!("--svg: cannot write {}: {error}", path.display()))
    };
    fs::create_dir_all(folder).map_err(|error| named(folder, error))?;
    let targets = Graph::ALL.into_iter().map(|graph| {
        let path = folder.join(graph.file);
        match File::create(&path) {
            Ok(file) => Ok(Target { graph, path, file }),
            Err(error) => Err(named(&path, error)),
        }
    });
    targets.collect()
}

impl Target {
    fn draw(mut self, request: &Request, samples: &[Sample]) -> io::Result<()> {
        let text = self.graph.draw(request, samples);
        let text = text.map_err(io::Error::other)?;
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| {
            let text = format!("--svg: write {}: {error}", self.path.display());
            io::Error::new(error.kind(), text)
        })
    }
}
