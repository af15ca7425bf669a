//! The options that describe a cluster and the faults that it is under.

use clap::Args;
use core::time::Duration;
use raft_sim::availability::Condition;
use raft_sim::features::Features;
use raft_sim::intensity::Override;
use raft_sim::request::{Checks, Faults, Request};

/// A cluster, and the faults that it is under.
#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    /// How many servers
    #[arg(long, default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(Request::MAX_NODES)))]
    pub(super) nodes: u32,
    /// How hostile the environment is; by default mild, for sweep and bench wild
    #[arg(long, value_enum)]
    pub(super) faults: Option<Faults>,
    /// What servers use beyond the paper's Figure 2: Pre-Vote, CheckQuorum, leases, leadership
    /// transfers, membership changes, priorities, a log that is not all in memory; drawn means that
    /// the seed switches each on or off
    #[arg(long, value_enum, default_value_t = Features::Drawn)]
    pub(super) features: Features,
    /// How hard one kind of fault strikes, from 0 to 100, instead of what the seed draws; can be
    /// repeated (raft-sim run --help lists the names)
    #[arg(long = "fault", value_name = "NAME=INTENSITY")]
    overrides: Vec<Override>,
    /// How many operations clients begin in a second of virtual time; by default the seed draws it
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) rate: Option<u32>,
    /// What stays as it is in a phase after the faults, in which the cluster has to serve; by
    /// default the seed draws it, or none
    #[arg(long, value_enum)]
    condition: Option<Condition>,
    /// Have the refinement judge each step, too: the safety argument as an abstract state, with a
    /// guard for each transition
    #[arg(long)]
    refine: bool,
    /// Have only the refinement judge, to measure what it finds
    #[arg(long, hide = true, conflicts_with = "refine")]
    only_refinement: bool,
}

impl ClusterArgs {
    /// The run of a seed. `faults` holds where the option is left out.
    pub(super) fn request(&self, seed: u64, time: Duration, faults: Faults) -> Request {
        Request {
            seed,
            nodes: self.nodes,
            time,
            faults: self.faults.unwrap_or(faults),
            features: self.features,
            rate: self.rate,
            overrides: self.overrides.iter().copied().collect(),
            condition: self.condition,
            checks: match (self.refine, self.only_refinement) {
                (_, true) => Checks::OnlyRefinement,
                (true, false) => Checks::Refine,
                (false, false) => Checks::Usual,
            },
        }
    }
}
