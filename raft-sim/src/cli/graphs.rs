//! `raft-sim graphs`.

use super::outcome::{CommandResult, Outcome};
use super::{progress, values};
use clap::Args;
use raft_proto::{CheckQuorum, PreVoting};
use raft_sim::graphs::graph::{Graph, MAX_NODES};
use raft_sim::graphs::summary::Report;
use raft_sim::graphs::{self, Request};
use std::io::{self, Write};

/// `raft-sim graphs`.
#[derive(Debug, Args)]
pub(super) struct GraphsArgs {
    /// How many servers: of 3 there are 16 graphs, of 4 218, of 5 9,608
    #[arg(long, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = clap::value_parser!(u8).range(3..=i64::from(MAX_NODES)))]
    nodes: u8,
    /// The seed that everything is drawn from
    #[arg(long, default_value_t = 1, value_parser = values::seed)]
    seed: u64,
    /// Switch Pre-Vote off (thesis 9.6)
    #[arg(long)]
    no_pre_vote: bool,
    /// Switch CheckQuorum off (thesis 6.2)
    #[arg(long)]
    no_check_quorum: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &GraphsArgs) -> CommandResult {
    let request = Request {
        seed: args.seed,
        nodes: args.nodes,
        pre_vote: if args.no_pre_vote {
            PreVoting::Off
        } else {
            PreVoting::On
        },
        check_quorum: if args.no_check_quorum {
            CheckQuorum::Off
        } else {
            CheckQuorum::On
        },
    };
    let bar = progress::graphs(Graph::classes(args.nodes).len() as u64);
    let samples = graphs::survey(&request, || bar.inc(1));
    bar.finish_and_clear();
    let samples = match samples {
        Ok(samples) => samples,
        Err(failed) => {
            writeln!(io::stderr(), "error: seed {}, {failed}", args.seed)?;
            return Ok(Outcome::Failed);
        }
    };
    let report = Report::new(request, &samples);
    if args.json {
        writeln!(io::stdout(), "{:#}", report.json())?;
    } else {
        write!(io::stdout(), "{report}")?;
    }
    let promises = !args.no_pre_vote && !args.no_check_quorum;
    if promises && !report.is_as_promised() {
        let what = "a graph with a whole majority does not keep a quiet leader that commits";
        writeln!(io::stderr(), "error: {what}")?;
        return Ok(Outcome::Failed);
    }
    Ok(Outcome::Passed)
}
