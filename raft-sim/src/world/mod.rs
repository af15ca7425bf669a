//! The world: some machines, and everything that happens to them, in the order of virtual time.
//!
//! One loop takes the next event from the queue and gives it to the machine or client that it
//! concerns. What the cores answer becomes new events. Nothing else moves. Every random number is
//! drawn from streams of the run's one seed, so the order of events, and with it the whole run, is
//! the same on every machine.
//!
//! The world runs, and the [`Judge`] checks: whatever happens is told to it in `observe.rs`.

mod availability;
mod configurations;
mod disks;
mod event;
mod healing;
mod links;
mod membership;
mod mending;
mod nemesis;
mod observe;
mod processes;
mod reads;
mod reconfigurations;
mod releases;
mod requests;
mod service;
mod stall;
mod steps;

use crate::checker::StormLimits;
use crate::clients::Clients;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::judge::{Journal, Judge};
use crate::machine::Machine;
use crate::network::Network;
use crate::operator::{Operator, OperatorRequest};
use crate::pending_commands::CommandOutcome;
use crate::process::DiskReads;
use crate::queue::Queue;
use crate::random::Random;
use crate::recorder::Recorder;
use crate::schedule::{ClientOperation, NemesisOperation, Script};
use crate::service::{Applied, CustomService};
use crate::settings::Settings;
use crate::trace::Trace;
use availability::Standing;
pub use availability::Transfer;
use configurations::Configurations;
use core::fmt;
use core::time::Duration;
use event::{Phase, SimulationEvent};
use raft_proto::mending::Mending;
use raft_proto::{
    Action, Incarnation, Input, NodeId, Proposal, ProposeError, RoleKind, Start, Time,
};
use reads::PendingReads;
use reconfigurations::Reconfigured;
use stall::Stall;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// A simulated cluster and its environment.
#[derive(Debug)]
pub struct World {
    settings: Settings,
    now: Time,
    queue: Queue<SimulationEvent>,
    machines: Vec<Machine>,
    stalls: Vec<Stall>,
    network: Network,
    script: Script,
    /// The operations of the script that are in the queue.
    next_nemesis_operation: Option<NemesisOperation>,
    next_client_operation: Option<ClientOperation>,
    clients: Clients,
    reads: PendingReads,
    operator: Operator,
    recorder: Recorder,
    judge: Judge,
    configurations: Configurations,
    /// What the operator will ask of the next leader.
    change_for_next_leader: Option<OperatorRequest>,
    /// Nodes whose disks are gone, or will be when they restart.
    lost: BTreeSet<NodeId>,
    /// More disks were lost than the cluster can do without.
    has_lost_majority: bool,
    /// By place: whether the machine stays down, or cut off, after all faults are over.
    gone: Vec<bool>,
    /// By place: the settings that the operator has changed.
    reconfigured: Vec<Reconfigured>,
    /// By place: a node that fetches what its disk lacks.
    mending: Vec<Option<Mending>>,
    /// What stays in the phase between the faults and the recovery.
    standing: Standing,
    /// Draws what disks lose in a crash, and how long everything on a machine takes.
    random: Random,
    /// As `random`, for what only the rarer inputs need: they change no other draw.
    input_random: Random,
    /// Draws which restarts have the seed of the start before.
    seed_random: Random,
    /// Draws the incarnations of disks.
    incarnation_random: Random,
    /// Draws which restarts are with another release, and what the newer one sends besides.
    release_random: Random,
    phase: Phase,
    /// How many events there were since time last passed.
    events_at_once: u32,
    /// Requests of all kinds so far.
    requests: u64,
    /// Empty between events, kept for their allocations.
    outputs: Vec<Action>,
    inputs: VecDeque<Input>,
    applied: Vec<Applied>,
    outcomes: Vec<CommandOutcome>,
    /// The outcome of the last proposal.
    proposal_outcome: Option<Result<Proposal, ProposeError>>,
}

/// The machines of a cluster that is about to start: its first members, and the spares.
fn machines(
    settings: &Settings,
    first: &Start,
    custom: Option<&Arc<dyn CustomService>>,
) -> Vec<Machine> {
    let reads = if settings.disk.read.max.is_zero() {
        DiskReads::Immediate
    } else {
        DiskReads::Scheduled
    };
    let machine = |at: u32| {
        let start = if at < settings.nodes {
            first.clone()
        } else {
            Start::Join
        };
        let mut config = settings.config(NodeId(u64::from(at) + 1), start);
        if let Start::Bootstrap { members } = &config.start {
            let own = members.iter().find(|member| member.id == config.node_id);
            config.incarnation = own.and_then(|member| member.incarnation);
        }
        let drift = settings.drift_ppm.get(at as usize).copied();
        let clock = Clock::drifting(drift.unwrap_or(0));
        Machine::new(config, clock, &settings.service, reads).serving(custom.cloned())
    };
    (0..settings.servers()).map(machine).collect()
}

impl World {
    /// How many events may happen in one instant.
    const MOST_EVENTS_AT_ONCE: u32 = 1_000_000;

    /// A cluster that is about to start, at time 0.
    pub fn new(settings: Settings, seed: u64, script: Script, trace: Trace) -> World {
        World::recorded_by(settings, seed, script, Recorder::new(trace))
    }

    /// As [`World::new`]. If the recorder has a timeline, what clients do is noted, too.
    pub fn recorded_by(settings: Settings, seed: u64, script: Script, recorder: Recorder) -> World {
        World::serving(None, settings, seed, script, recorder)
    }

    /// The same with a service of the user's own, if there is one.
    pub(crate) fn serving(
        custom: Option<Arc<dyn CustomService>>,
        settings: Settings,
        seed: u64,
        script: Script,
        recorder: Recorder,
    ) -> World {
        let mut random = Random::new(seed, "world");
        let count = settings.servers() as usize;
        let mut incarnation_random = Random::new(seed, "incarnations");
        let first = settings.first_members_on(|| Incarnation(incarnation_random.next_u64()));
        let machines = machines(&settings, &first, custom.as_ref());
        let clients = random.fork("clients");
        let mut world = World {
            now: Time::ZERO,
            queue: Queue::new(),
            machines,
            stalls: vec![Stall::default(); count],
            network: Network::new(count, settings.network.delay, random.fork("network")),
            script,
            next_nemesis_operation: None,
            next_client_operation: None,
            clients: Clients::new(count, settings.clients.clone(), clients),
            reads: PendingReads::default(),
            operator: Operator::default(),
            judge: Judge::new(StormLimits::of(&settings), settings.checks),
            recorder,
            configurations: Configurations::new(&first),
            change_for_next_leader: None,
            lost: BTreeSet::new(),
            has_lost_majority: false,
            gone: vec![false; count],
            reconfigured: vec![Reconfigured::default(); count],
            mending: (0..count).map(|_| None).collect(),
            standing: Standing::default(),
            random: random.fork("machines"),
            input_random: Random::new(seed, "world inputs"),
            seed_random: Random::new(seed, "equal seeds"),
            incarnation_random,
            release_random: Random::new(seed, "restarted releases"),
            phase: Phase::Safety,
            events_at_once: 0,
            requests: 0,
            outputs: Vec::new(),
            inputs: VecDeque::new(),
            applied: Vec::new(),
            outcomes: Vec::new(),
            proposal_outcome: None,
            settings,
        };
        if world.recorder.timeline.is_some() {
            world.judge.client_history().keep_journal();
        }
        if let Some(custom) = custom {
            world.judge.client_history().keep_calls(custom.history());
            world.clients.call(custom);
        }
        for place in 0..count {
            world.start(place);
        }
        world.schedule_nemesis_operation();
        world.schedule_client_operation();
        world
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The cluster's settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The machines. `n1` begins on the first one.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// The trace, the counts and the coverage so far.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// As [`recorder`](World::recorder), to finish the trace.
    pub fn recorder_mut(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// What clients did, if that was noted. It is taken out.
    pub fn take_journal(&mut self) -> Journal {
        self.judge.client_history().take_journal()
    }

    /// The checkers.
    pub fn judge(&self) -> &Judge {
        &self.judge
    }

    /// The clients.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Whether more disks were lost than the cluster can do without. It need not recover.
    pub fn has_lost_majority(&self) -> bool {
        self.has_lost_majority
    }

    /// The operator, which counts how often each feature of the core was used.
    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Lets the world go on until `until`, or until something is wrong.
    ///
    /// # Errors
    ///
    /// The first failure.
    pub fn run_until(&mut self, until: Time) -> Result<(), Failure> {
        loop {
            if let Some(failure) = self.judge.failure() {
                return Err(failure.clone());
            }
            let Some((at, event)) = self.queue.pop_until(until) else {
                self.now = until;
                return Ok(());
            };
            self.events_at_once = if at > self.now {
                0
            } else {
                self.events_at_once + 1
            };
            if self.events_at_once > Self::MOST_EVENTS_AT_ONCE {
                return Err(Failure::Endless { at });
            }
            self.now = at;
            self.recorder.set_time(at);
            self.observe_event(&event);
            self.happen(event);
        }
    }

    /// The place of the node that leads in the greatest term, of those that are not gone.
    pub fn leader(&self) -> Option<usize> {
        let led_term = |machine: &Machine| {
            let raft = machine.raft()?;
            (raft.role() == RoleKind::Leader).then_some(raft.term())
        };
        let machines = self.machines.iter().enumerate();
        let machines = machines.filter(|(at, _)| !self.gone[*at]); // One for each place.
        let leaders = machines.filter_map(|(at, machine)| Some((led_term(machine)?, at)));
        leaders.max().map(|(_, at)| at)
    }

    /// The place of a node, whatever its identity.
    fn place(&self, id: NodeId) -> usize {
        crate::settings::place_of(id, self.machines.len())
    }

    fn fact(&mut self, line: impl fmt::Display) {
        self.recorder.fact(self.now, line);
    }

    fn fail(&mut self, failure: impl Into<Failure>) {
        self.judge.fail(failure);
    }

    fn schedule(&mut self, after: Duration, event: SimulationEvent) {
        self.queue.push(self.now.after(after), event);
    }

    fn new_request_id(&mut self) -> raft_proto::RequestId {
        self.requests += 1;
        raft_proto::RequestId(self.requests)
    }

    fn happen(&mut self, event: SimulationEvent) {
        match event {
            SimulationEvent::Machine { place, event } => {
                if let Some(event) = self.admit(place, event) {
                    self.machine_event(place, event);
                }
            }
            SimulationEvent::Resume { place } => {
                if self.stalls[place].resumes == Some(self.now) {
                    self.resume(place);
                }
            }
            SimulationEvent::Restart { place } => self.start(place),
            SimulationEvent::Mend { place } => self.mend(place),
            SimulationEvent::Thaw { place } => self.thaw(place),
            SimulationEvent::ClientAttempt { client, attempt } => {
                self.client_attempt(client, attempt);
            }
            SimulationEvent::ClientTimer { client } => self.client_timer(client),
            SimulationEvent::ClientOperation => self.client_operation(),
            SimulationEvent::NemesisOperation => self.nemesis_operation(),
            SimulationEvent::LeaderElected => self.leader_elected(),
            SimulationEvent::Load => self.load(),
            SimulationEvent::Repair { place, tries } => self.repair(place, tries),
            SimulationEvent::Compact {
                place,
                every,
                until,
            } => self.compact(place, every, until),
            SimulationEvent::Upgrade { place } => self.upgrade(place),
            SimulationEvent::NewSnapshot { place } => self.renew_snapshot(place),
        }
    }
}
