//! What a seed draws: the cluster's settings, and which faults it has to live with.
//!
//! A run where everything fails all the time explores little: leaders never last long enough for
//! the interesting faults to meet them. So each seed switches each kind of fault on or off and
//! draws how often and how hard it strikes (swarm testing), and a thousand seeds are a thousand
//! different environments.

use crate::clock::Clock;
use crate::features::{FeatureOptions, Features};
use crate::random::Random;
use core::fmt;
use core::time::Duration;
use raft_proto::{ClusterId, Config, ENTRY_OVERHEAD, Lease, Member, NodeId, Start};
use serde::Serialize;

/// How hostile the environment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Faults {
    /// No loss, no crashes, no partitions; messages and disks still take their time.
    None,
    /// What a bad day in a data centre brings: now and then something is lost, late, or dies.
    Mild,
    /// Much worse than any day, with tiny limits that make rare paths frequent.
    Wild,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Faults::None => "none",
            Faults::Mild => "mild",
            Faults::Wild => "wild",
        })
    }
}

/// What is asked for on the command line; all else is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What everything is drawn from.
    pub seed: u64,
    /// How many servers, from 1 to [`Request::MAX_NODES`].
    pub nodes: u32,
    /// How long the safety phase is, in virtual time; above zero.
    pub time: Duration,
    /// How hostile the environment is.
    pub faults: Faults,
    /// What is used beyond Figure 2.
    pub features: Features,
}

impl Request {
    /// The greatest cluster: a majority of 4 beyond what anybody runs.
    pub const MAX_NODES: u32 = 15;
    /// The longest run: a week of virtual time.
    pub const MAX_TIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    /// The command that repeats the run.
    pub fn command(&self) -> String {
        let faults = match self.faults {
            Faults::Mild => String::new(),
            other @ (Faults::None | Faults::Wild) => format!(" --faults {other}"),
        };
        let features = match self.features {
            Features::Drawn => String::new(),
            other @ (Features::None | Features::All) => format!(" --features {other}"),
        };
        format!(
            "raft-sim run --seed {} --nodes {} --time {}{faults}{features}",
            self.seed,
            self.nodes,
            humantime::format_duration(self.time)
                .to_string()
                .replace(' ', "")
        )
    }
}

/// A range to draw durations from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The least.
    pub min: Duration,
    /// Just above the greatest; equal to `min` for a fixed value.
    pub max: Duration,
}

impl Span {
    const fn micros(min: u64, max: u64) -> Span {
        Span {
            min: Duration::from_micros(min),
            max: Duration::from_micros(max),
        }
    }

    /// One of them.
    pub fn draw(&self, random: &mut Random) -> Duration {
        random.duration(self.min, self.max)
    }
}

/// How messages travel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkOptions {
    /// The time that most messages take.
    pub delay: Span,
    /// How many of a thousand messages are lost.
    pub loss_per_mille: u64,
    /// How many of a thousand arrive twice.
    pub duplicate_per_mille: u64,
    /// How many of a thousand are held up, so that others overtake them.
    pub straggler_per_mille: u64,
    /// How much longer those take.
    pub straggler_delay: Span,
}

/// How storage behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskOptions {
    /// The time that most syncs take.
    pub sync: Span,
    /// How many syncs run at the same time; writes that come meanwhile share the next one.
    pub parallel_syncs: u32,
    /// How many of a thousand syncs stall.
    pub stall_per_mille: u64,
    /// How much longer those take.
    pub stall: Span,
    /// In how many of a thousand syncs the disk fails: the node has to be started anew.
    pub fail_per_mille: u64,
}

/// What the nemesis does; a rate of zero switches a kind of fault off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NemesisOptions {
    /// The time between two deeds; `None` if there are none.
    pub pause: Option<Span>,
    /// How often, compared to the others, it crashes one server.
    pub crash_one: u64,
    /// As many as a minority at once.
    pub crash_some: u64,
    /// All at once: a power failure.
    pub crash_all: u64,
    /// Cuts the leader off.
    pub isolate_leader: u64,
    /// Splits the cluster in two at random.
    pub split: u64,
    /// Cuts one link in one direction.
    pub cut_one_way: u64,
    /// How long crashed servers stay down, and cuts last.
    pub outage: Span,
}

/// What the replicated service and its clients do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkloadOptions {
    /// How many clients propose.
    pub clients: u32,
    /// The pause between two proposals of a client.
    pub think: Span,
    /// The most commands in one proposal.
    pub max_batch: u64,
    /// The longest command in bytes, at least 8.
    pub max_command: u64,
    /// After how many entries a server makes a snapshot.
    pub snapshot_every: u64,
    /// The length of a snapshot in bytes, at least 32.
    pub snapshot_bytes: u64,
    /// How long a snapshot takes to write, while the server goes on.
    pub snapshot_time: Span,
    /// How long it takes to apply what was handed out; zero for at once.
    pub apply_time: Span,
}

/// Everything that a run is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What was asked for.
    pub request: Request,
    /// The template of each node's config.
    pub config: Config,
    /// How messages travel.
    pub network: NetworkOptions,
    /// How storage behaves.
    pub disk: DiskOptions,
    /// What breaks.
    pub nemesis: NemesisOptions,
    /// What is asked of the cluster.
    pub workload: WorkloadOptions,
    /// What is used beyond Figure 2.
    pub features: FeatureOptions,
}

impl Options {
    /// Draws the environment of a seed.
    pub fn draw(request: Request) -> Options {
        let mut random = Random::new(request.seed, "options");
        let mut config = config(request, &mut random.fork("config"));
        let mut draws = Random::new(request.seed, "features");
        let features = FeatureOptions::draw(request.features, &mut config, &mut draws);
        Options {
            request,
            config,
            features,
            network: network(request.faults, &mut random.fork("network")),
            disk: disk(request.faults, &mut random.fork("disk")),
            nemesis: nemesis(request.faults, &mut random.fork("nemesis")),
            workload: workload(request.faults, &mut random.fork("workload")),
        }
    }
}

impl Options {
    /// The members with which the cluster begins, with the priorities that `priority` gives.
    pub fn first_members(&self, mut priority: impl FnMut() -> u8) -> Start {
        let member = |id| Member::voter(NodeId(id)).with_priority(priority());
        Start::Bootstrap {
            members: (1..=u64::from(self.request.nodes)).map(member).collect(),
        }
    }
}

impl Options {
    /// The clock of a node. Leases hold as long as clocks keep to the bound that is configured; all
    /// else holds whatever clocks do.
    pub fn clock(&self, id: u64) -> Clock {
        /// A twentieth: no clock that works is as bad.
        const BAD: u32 = 50_000;
        let mut random = Random::new(self.request.seed, "clocks");
        let bound = match (self.config.lease, self.request.faults) {
            (_, Faults::None) => 0,
            (Lease::On { max_drift_ppm }, Faults::Mild | Faults::Wild) => max_drift_ppm,
            (Lease::Off, Faults::Mild) => 100,
            (Lease::Off, Faults::Wild) => BAD,
        };
        let bound = u64::from(bound);
        let drifts = (0..id).map(|_| random.between(0, 2 * bound)).last();
        // No more than twice a u32 that is far below its limit.
        Clock::drifting(drifts.map_or(0, |drift| drift as i32 - bound as i32))
    }
}

/// A value in `wild` runs, another in all others.
fn by<T>(faults: Faults, ordinary: T, wild: T) -> T {
    match faults {
        Faults::None | Faults::Mild => ordinary,
        Faults::Wild => wild,
    }
}

/// `value` in half of the runs of a kind, else 0: a fault switched off.
fn sometimes(random: &mut Random, value: u64) -> u64 {
    if random.chance(500) { value } else { 0 }
}

fn config(request: Request, random: &mut Random) -> Config {
    let voters = (1..=u64::from(request.nodes)).map(NodeId);
    // Any number but 0 identifies a cluster.
    let cluster_id = ClusterId(random.next_u64() | 1);
    let mut config = Config::new(cluster_id, NodeId(1), Start::voters(voters), 0);
    config.max_inflight_appends = random.between(1, 64) as u32; // at most 64
    config.trailing_entries = random.between(0, 500);
    config.snapshot_chunk_bytes = random.between(256, 4096);
    if request.faults == Faults::Wild {
        config.max_entry_bytes = random.between(256, 4096);
        let entry = config.max_entry_bytes + ENTRY_OVERHEAD;
        config.max_append_bytes = entry + random.below(4096);
        config.max_inflight_appends = random.between(1, 8) as u32; // at most 8
        config.max_inflight_bytes = config.max_append_bytes + random.below(1 << 16);
        config.max_uncommitted_bytes = entry + random.below(1 << 18);
        config.max_unapplied_bytes = entry + random.below(1 << 16);
        config.trailing_entries = sometimes(random, 50);
        config.snapshot_chunk_bytes = random.between(16, 512);
        config.commit_notice_delay = Duration::from_millis(sometimes(random, 20));
    }
    config
}

fn network(faults: Faults, random: &mut Random) -> NetworkOptions {
    let delay = Span::micros(random.between(50, 2_000), random.between(2_000, 10_000));
    let mut network = NetworkOptions {
        delay,
        loss_per_mille: 0,
        duplicate_per_mille: 0,
        straggler_per_mille: 0,
        straggler_delay: Span::micros(0, by(faults, 200_000, 3_000_000)),
    };
    if faults != Faults::None {
        network.loss_per_mille = random.below(by(faults, 10, 250));
        network.duplicate_per_mille = random.below(by(faults, 10, 200));
        network.straggler_per_mille = random.below(by(faults, 20, 300));
    }
    network
}

fn disk(faults: Faults, random: &mut Random) -> DiskOptions {
    DiskOptions {
        sync: Span::micros(random.between(20, 500), random.between(500, 5_000)),
        parallel_syncs: random.between(1, 4) as u32, // at most 4
        stall_per_mille: match faults {
            Faults::None => 0,
            Faults::Mild => random.below(3),
            Faults::Wild => random.below(50),
        },
        stall: Span::micros(10_000, by(faults, 300_000, 1_500_000)),
        fail_per_mille: match faults {
            Faults::None | Faults::Mild => 0,
            Faults::Wild => sometimes(random, 5),
        },
    }
}

fn nemesis(faults: Faults, random: &mut Random) -> NemesisOptions {
    let pause = Span::micros(
        by(faults, 1_000_000, 20_000),
        by(faults, 12_000_000, random.between(100_000, 3_000_000)),
    );
    NemesisOptions {
        pause: match faults {
            Faults::None => None,
            Faults::Mild | Faults::Wild => Some(pause),
        },
        // One kind is always there, so that no run is all quiet.
        crash_one: 4,
        crash_some: sometimes(random, 2),
        crash_all: sometimes(random, 1),
        isolate_leader: sometimes(random, 4),
        split: sometimes(random, 3),
        cut_one_way: sometimes(random, 4),
        outage: Span::micros(1_000, by(faults, 4_000_000, 2_500_000)),
    }
}

fn workload(faults: Faults, random: &mut Random) -> WorkloadOptions {
    let think = random.between(10_000, 60_000);
    WorkloadOptions {
        clients: random.between(1, 4) as u32, // at most 4
        think: Span::micros(think / 4, think),
        max_batch: random.between(1, 16),
        max_command: random.between(8, 200),
        snapshot_every: random.between(by(faults, 500, 20), by(faults, 5_000, 500)),
        snapshot_bytes: random.between(32, by(faults, 16_384, 4_096)),
        snapshot_time: Span::micros(0, 50_000),
        apply_time: Span::micros(0, sometimes(random, by(faults, 1_000, 50_000))),
    }
}
