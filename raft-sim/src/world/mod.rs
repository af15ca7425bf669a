//! The world: some nodes, and everything that happens to them, in the order of virtual time.
//!
//! One loop takes the next happening from the queue and gives it to whom it concerns; what the
//! cores answer becomes new operations. Nothing else moves. All that is random is drawn from
//! streams of the run's one seed, so the order of operations, and with it the whole run, is the
//! same on every machine.

mod disks;
mod event;
mod healing;
mod links;
mod members;
mod nemesis;
mod requests;
mod steps;

use crate::checker::{Durability, ExactlyOnce};
use crate::clients::Clients;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::network::Network;
use crate::operator::Operator;
use crate::pending_commands::CommandOutcome;
use crate::process::DiskReads;
use crate::queue::Queue;
use crate::random::Random;
use crate::recorder::Recorder;
use crate::schedule::nemesis::TargetRole;
use crate::schedule::{ClientOperation, NemesisOperation, Place, Script};
use crate::service::Applied;
use crate::settings::Settings;
use crate::trace::Trace;
use core::fmt;
use core::time::Duration;
use event::{Hold, Phase, SimulationEvent};
use raft_proto::{
    Action, Index, Input, Membership, NodeId, Proposal, ProposeError, RoleKind, Start, Time,
};
use requests::PendingReads;
use std::collections::{BTreeSet, VecDeque};

/// A simulated cluster and its environment.
#[derive(Debug)]
pub struct World {
    settings: Settings,
    now: Time,
    queue: Queue<SimulationEvent>,
    machines: Vec<Machine>,
    holds: Vec<Hold>,
    network: Network,
    script: Script,
    /// What the script has next.
    next_deed: Option<NemesisOperation>,
    next_operation: Option<ClientOperation>,
    clients: Clients,
    reads: PendingReads,
    operator: Operator,
    recorder: Recorder,
    durability: Durability,
    exactly_once: ExactlyOnce,
    /// What is committed has been looked for on disks up to here.
    judged: Index,
    /// Members changed somewhere, or a node came back: quorums have to be compared.
    has_new_members: bool,
    /// The configuration that was committed last.
    committed_members: Membership,
    /// The entry that holds it.
    committed_since: Index,
    /// Later ones that were seen anywhere, and may come into force again by a message that is late.
    pending_members: Vec<(Index, Membership)>,
    /// What the operator will ask of the next leader.
    wanted_change: Option<(Vec<(Place, TargetRole)>, bool)>,
    /// Nodes whose disks are gone, or will be when they restart.
    lost: BTreeSet<NodeId>,
    /// Places that stay down, or cut off, after all faults are over.
    gone: Vec<bool>,
    /// What disks lose in a crash, and how long everything on a machine takes.
    random: Random,
    phase: Phase,
    /// How many operations there were since time last passed.
    at_once: u32,
    /// Requests of all kinds so far.
    requests: u64,
    /// Empty between operations, kept for their allocations.
    outputs: Vec<Action>,
    inputs: VecDeque<Input>,
    applied: Vec<Applied>,
    learnt: Vec<CommandOutcome>,
    /// The outcome of the last proposal.
    outcome: Option<Result<Proposal, ProposeError>>,
}

impl World {
    /// How much may happen in one instant.
    const MOST_AT_ONCE: u32 = 1_000_000;

    /// A cluster that is about to start, at time 0.
    pub fn new(settings: Settings, seed: u64, script: Script, trace: Trace) -> World {
        let mut random = Random::new(seed, "world");
        let count = settings.servers() as usize;
        let first = settings.first_members();
        let machines = (0..count as u64).map(|at| {
            let start = match at < u64::from(settings.nodes) {
                true => first.clone(),
                false => Start::Join,
            };
            let config = settings.config(NodeId(at + 1), start);
            let drift = settings.drift_ppm.get(at as usize).copied();
            let clock = Clock::drifting(drift.unwrap_or(0));
            let reads = match settings.disk.read.max.is_zero() {
                true => DiskReads::Immediate,
                false => DiskReads::Scheduled,
            };
            Machine::new(config, clock, settings.service.max_sessions, reads)
        });
        let clients = random.fork("clients");
        let mut world = World {
            now: Time::ZERO,
            queue: Queue::new(),
            machines: machines.collect(),
            holds: vec![Hold::default(); count],
            network: Network::new(count, settings.network.delay, random.fork("network")),
            script,
            next_deed: None,
            next_operation: None,
            clients: Clients::new(count, settings.clients.clone(), clients),
            reads: PendingReads::default(),
            operator: Operator::default(),
            recorder: Recorder::new(trace),
            durability: Durability::default(),
            exactly_once: ExactlyOnce::default(),
            judged: Index::ZERO,
            has_new_members: false,
            committed_members: match &first {
                Start::Bootstrap { members } => Membership::of(members.iter().cloned()),
                Start::Join => Membership::default(),
            },
            committed_since: Index::ZERO,
            pending_members: Vec::new(),
            wanted_change: None,
            lost: BTreeSet::new(),
            gone: vec![false; count],
            random: random.fork("machines"),
            phase: Phase::Safety,
            at_once: 0,
            requests: 0,
            outputs: Vec::new(),
            inputs: VecDeque::new(),
            applied: Vec::new(),
            learnt: Vec::new(),
            outcome: None,
            settings,
        };
        for place in 0..count {
            world.start(place);
        }
        world.schedule_deed();
        world.schedule_operation();
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

    /// The nodes, the first one being `n1`.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// What was seen so far.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The clients.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// How often each feature of the core was used.
    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// As [`recorder`](World::recorder), to finish the trace or to note a failure.
    pub fn recorder_mut(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// Lets the world go on until `until`, or until something is wrong.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn run_until(&mut self, until: Time) -> Result<(), Failure> {
        loop {
            if let Some(failure) = self.recorder.failure() {
                return Err(failure.clone());
            }
            let Some((at, happening)) = self.queue.pop_until(until) else {
                self.now = until;
                return Ok(());
            };
            self.at_once = if at > self.now { 0 } else { self.at_once + 1 };
            if self.at_once > Self::MOST_AT_ONCE {
                return Err(Failure::Endless { at });
            }
            self.now = at;
            self.recorder.tell(at);
            self.happens(happening);
        }
    }

    /// The place of the node that leads in the greatest term, of those that are not gone.
    pub fn leader(&self) -> Option<usize> {
        let leads = |node: &Machine| {
            let raft = node.raft()?;
            (raft.role() == RoleKind::Leader).then_some(raft.term())
        };
        let leaders = self.machines.iter().enumerate();
        let leaders = leaders.filter(|(at, _)| !self.gone[*at]); // One for each place.
        let leaders = leaders.filter_map(|(at, node)| Some((leads(node)?, at)));
        leaders.max().map(|(_, at)| at)
    }

    /// The place of a node, whatever its identity.
    fn place(&self, id: NodeId) -> usize {
        // Each new identity is greater than the one before by the number of servers.
        let at = id.0.saturating_sub(1) % self.machines.len() as u64;
        at as usize
    }

    fn fact(&mut self, line: impl fmt::Display) {
        self.recorder.trace.line(self.now, line);
    }

    fn fail(&mut self, failure: impl Into<Failure>) {
        self.recorder.fail(failure);
    }

    fn schedule(&mut self, after: Duration, happening: SimulationEvent) {
        self.queue.push(self.now.after(after), happening);
    }

    fn happens(&mut self, happening: SimulationEvent) {
        match happening {
            SimulationEvent::At { place, what } => {
                if let Some(what) = self.admit(place, what) {
                    self.local(place, what);
                }
            }
            SimulationEvent::Resume { place } => {
                if self.holds[place].resumes == Some(self.now) {
                    self.resume(place);
                }
            }
            SimulationEvent::Restart { place } => self.start(place),
            SimulationEvent::Thaw { place } => self.thaw(place),
            SimulationEvent::Client { client, attempt } => self.act(client, attempt),
            SimulationEvent::Impatient { client } => self.impatient(client),
            SimulationEvent::ClientOperation => self.operation(),
            SimulationEvent::NemesisOperation => self.deed(),
            SimulationEvent::Elected => self.greet_leader(),
            SimulationEvent::Repair { place, tries } => self.repair(place, tries),
        }
    }
}
