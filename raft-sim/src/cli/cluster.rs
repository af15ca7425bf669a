//! The options that say which cluster is run, and what befalls it.

use clap::Args;
use core::time::Duration;
use raft_sim::features::Features;
use raft_sim::intensity::Override;
use raft_sim::request::{Faults, Request};

/// Which cluster, and what befalls it.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// How many servers
    #[arg(long, default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(Request::MAX_NODES)))]
    pub(crate) nodes: u32,
    /// How hostile the environment is; mild if left out, and wild for sweep and bench
    #[arg(long, value_enum)]
    pub(crate) faults: Option<Faults>,
    /// What is used beyond Figure 2: Pre-Vote, CheckQuorum, leases, handovers of the lead,
    /// membership changes, priorities, a log that is not all in memory; drawn means that the
    /// seed switches each on or off
    #[arg(long, value_enum, default_value_t = Features::Drawn)]
    pub(crate) features: Features,
    /// How hard one kind of fault strikes, from 0 to 100, in place of what the seed draws; can be
    /// repeated
    #[arg(long = "fault", value_name = "NAME=INTENSITY")]
    pub(crate) overrides: Vec<Override>,
    /// How many operations clients begin in a second of virtual time; drawn if left out
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: Option<u32>,
}

impl ClusterArgs {
    /// The run of a seed.
    pub(crate) fn request(&self, seed: u64, time: Duration, faults: Faults) -> Request {
        Request {
            seed,
            nodes: self.nodes,
            time,
            faults: self.faults.unwrap_or(faults),
            features: self.features,
            rate: self.rate,
            overrides: self.overrides.iter().copied().collect(),
        }
    }
}
