//! The cluster: servers that are started, crashed, connected and disconnected, and the loop that
//! lets virtual time pass.

use super::clients::{ChurnRecord, Client};
use super::codec;
use super::network::{Conditions, Network, Reliability};
use super::report::Failure;
use super::service::{Broken, Service, ServiceKind};
use super::table::Figures;
use super::tracer::{TraceLevel, Tracer};
use crate::disk::Disk;
use crate::features::{CoreFeatures, Features};
use crate::process::{DiskSyncs, Process, ProcessError};
use crate::queue::Queue;
use crate::random::Random;
use bytes::Bytes;
use core::time::Duration;
use raft_proto::wire::Receiver;
use raft_proto::{
    Action, ClusterId, Commands, Config, EntryId, Input, LeaderNoop, NodeId, Proposal,
    ProposeError, RequestId, RoleKind, Start, Term, Time,
};
use std::collections::BTreeMap;

/// What every scenario may take at most.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// The cluster's id on each frame.
pub(super) const CLUSTER: ClusterId = ClusterId(0x6824);

/// How a scenario's cluster is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) peers: usize,
    pub(crate) reliability: Reliability,
    pub(crate) service: ServiceKind,
    pub(crate) features: Features,
}

/// A cluster under test, and everything that its run depends on.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(super) now: Time,
    pub(super) queue: Queue<Happening>,
    pub(crate) network: Network,
    pub(super) servers: Vec<Server>,
    pub(crate) service: Service,
    features: Features,
    /// What the script draws from.
    pub(crate) random: Random,
    pub(super) seeds: Random,
    pub(super) disks: Random,
    pub(crate) clients: Vec<Option<Client>>,
    pub(crate) churn: ChurnRecord,
    /// Who became leader in each term (Election Safety, section 5.2).
    pub(super) leaders: BTreeMap<Term, usize>,
    /// The request that is being handled: replies to its sender are replies to it.
    pub(super) serving: Option<Call>,
    pub(super) proposed: Option<Result<Proposal, ProposeError>>,
    /// How each server reads frames.
    pub(super) receivers: Vec<Receiver>,
    /// Empty between uses: kept for their allocations.
    pub(super) frame: Vec<u8>,
    pub(super) outputs: Vec<Action>,
    pub(super) spare: Vec<Action>,
    pub(super) warnings: Vec<String>,
    pub(super) tracer: Tracer,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) state: ServerState,
    /// Counts the starts: what is on its way to an earlier incarnation is lost.
    pub(super) incarnation: u32,
    pub(super) is_connected: bool,
    /// Requests handled by this incarnation.
    pub(super) handled: u64,
    /// When the next [`Happening::Wake`] is in the queue for this incarnation.
    pub(super) wake: Time,
}

#[derive(Debug)]
pub(super) enum ServerState {
    Running(Box<Process>),
    Crashed(Box<Disk>),
}

/// What the queue holds.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A message arrives.
    Arrival { call: Call, to: usize, frame: Bytes },
    /// A server's deadline.
    Wake { server: usize, incarnation: u32 },
    /// A client acts.
    Client(usize),
}

/// A call as the network took it: who asked whom, in which incarnations, and the network's
/// conditions then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(super) caller: usize,
    pub(super) caller_incarnation: u32,
    pub(super) callee: usize,
    pub(super) callee_incarnation: u32,
    pub(super) conditions: Conditions,
}

impl Lab {
    pub(crate) fn new(setup: Setup, seed: u64, trace: TraceLevel) -> Lab {
        let mut random = Random::new(seed, setup.name);
        let server = |_| Server {
            state: ServerState::Crashed(Box::default()),
            incarnation: 0,
            is_connected: false,
            handled: 0,
            wake: Time::NEVER,
        };
        Lab {
            now: Time::ZERO,
            queue: Queue::new(),
            network: Network::new(setup.reliability, random.fork("network")),
            servers: (0..setup.peers).map(server).collect(),
            service: Service::new(setup.service, setup.peers),
            features: setup.features,
            seeds: random.fork("seeds"),
            disks: random.fork("disks"),
            random: random.fork("script"),
            clients: Vec::new(),
            churn: ChurnRecord::default(),
            leaders: BTreeMap::new(),
            serving: None,
            proposed: None,
            receivers: Vec::new(),
            frame: Vec::new(),
            outputs: Vec::new(),
            spare: Vec::new(),
            warnings: Vec::new(),
            tracer: Tracer::new(trace),
        }
    }

    /// Starts all servers, then connects them.
    pub(crate) fn create(&mut self) -> Result<(), Failure> {
        for server in 0..self.peers() {
            self.receivers.push(Receiver::new(&self.config(server, 0)));
        }
        for server in 0..self.peers() {
            self.start_server(server)?;
        }
        for server in 0..self.peers() {
            self.connect(server);
        }
        Ok(())
    }

    pub(crate) fn now(&self) -> Time {
        self.now
    }

    pub(crate) fn peers(&self) -> usize {
        self.servers.len()
    }

    /// The number of the server `distance` after `server`, round and round.
    pub(crate) fn after(&self, server: usize, distance: usize) -> usize {
        (server + distance) % self.peers()
    }

    pub(crate) fn is_connected(&self, server: usize) -> bool {
        self.servers[server].is_connected
    }

    pub(crate) fn is_running(&self, server: usize) -> bool {
        matches!(self.servers[server].state, ServerState::Running(_))
    }

    /// Connects `server` with all that are connected.
    pub(crate) fn connect(&mut self, server: usize) {
        self.note(|| format!("lab: connect n{server}"));
        self.servers[server].is_connected = true;
    }

    /// Cuts `server` off from all others.
    pub(crate) fn disconnect(&mut self, server: usize) {
        self.note(|| format!("lab: disconnect n{server}"));
        self.servers[server].is_connected = false;
    }

    /// Disconnects and kills `server`; what it had persisted remains.
    pub(crate) fn crash(&mut self, server: usize) -> Result<(), Failure> {
        self.disconnect(server);
        self.note(|| format!("lab: crash n{server}"));
        let running = &mut self.servers[server].state;
        let state = core::mem::replace(running, ServerState::Crashed(Box::default()));
        let disk = match state {
            ServerState::Running(host) => host.crash(&mut self.disks),
            ServerState::Crashed(disk) => Ok(*disk),
        };
        let disk = disk.map_err(|error| self.host_failure(server, &error))?;
        self.servers[server].state = ServerState::Crashed(Box::new(disk));
        Ok(())
    }

    /// Starts `server`, after crashing it if it runs, with what it had persisted. It is not
    /// connected.
    pub(crate) fn start_server(&mut self, server: usize) -> Result<(), Failure> {
        self.crash(server)?;
        self.note(|| format!("lab: start n{server}"));
        let seed = self.seeds.next_u64();
        let config = self.config(server, seed);
        let ServerState::Crashed(disk) = &mut self.servers[server].state else {
            return Ok(()); // Unreachable: it has just been crashed.
        };
        let disk = core::mem::take(&mut **disk);
        let snapshot = disk.recovered_snapshot().map(|(_, data)| data.clone());
        let loaded = self.service.start(server, snapshot.as_deref());
        loaded.map_err(|broken| self.failure(broken))?;
        let host = Process::start(config, disk, DiskSyncs::Immediate)
            .map_err(|error| self.host_failure(server, &error))?;
        let slot = &mut self.servers[server];
        slot.state = ServerState::Running(Box::new(host));
        slot.incarnation += 1;
        slot.handled = 0;
        slot.wake = Time::NEVER;
        self.give(server, Input::Tick)
    }

    fn config(&self, server: usize, seed: u64) -> Config {
        let voters = (0..self.peers()).map(node_id);
        let start = Start::voters(voters);
        let mut config = Config::new(CLUSTER, node_id(server), start, seed);
        config.heartbeat_interval = Duration::from_millis(200);
        config.append_timeout = Duration::from_millis(30);
        config.election_timeout_min = Duration::from_millis(600);
        config.election_timeout_max = Duration::from_millis(1200);
        config.leader_noop = LeaderNoop::Off;
        config.max_inflight_appends = 1;
        config.trailing_entries = 16;
        // What an index counts stays as it is: no entries but the lab's own.
        let mut draws = Random::new(seed, "features");
        CoreFeatures::draw(self.features, false, &mut draws).apply(&mut config);
        config
    }

    /// The lab's `Start`: offers a command to `server`. Where it will stand if it is committed,
    /// or nothing if the server does not lead, or does not run.
    pub(crate) fn start(
        &mut self,
        server: usize,
        command: &Bytes,
    ) -> Result<Option<EntryId>, Failure> {
        if !self.is_running(server) {
            return Ok(None);
        }
        self.proposed = None;
        let commands = Commands::from(command.clone());
        let id = RequestId(0);
        self.give(server, Input::Propose { id, commands })?;
        match self.proposed.take() {
            Some(Ok(proposal)) => Ok(Some(proposal.first)),
            Some(Err(ProposeError::NotLeader { .. })) => Ok(None),
            Some(Err(error)) => self.fail(
                "a leader accepts a command",
                format!("server {server}: {error}"),
            ),
            None => self.fail(
                "the outcome of a proposal comes out of the step that proposed it",
                format!("none from server {server}"),
            ),
        }
    }

    /// The lab's `GetState`: the server's term and whether it leads. Nothing if it does not run.
    pub(crate) fn get_state(&self, server: usize) -> Option<(Term, RoleKind)> {
        match &self.servers[server].state {
            ServerState::Running(host) => Some((host.raft().term(), host.raft().role())),
            ServerState::Crashed(_) => None,
        }
    }

    /// How many requests the running servers have handled.
    pub(crate) fn handled(&self) -> u64 {
        self.servers.iter().map(|server| server.handled).sum()
    }

    /// The largest persisted Raft state of any server, running or not.
    pub(crate) fn largest_state(&self) -> u64 {
        let size = |server: &Server| match &server.state {
            ServerState::Running(host) => host.disk().state_bytes(),
            ServerState::Crashed(disk) => disk.state_bytes(),
        };
        self.servers.iter().map(size).max().unwrap_or(0)
    }

    /// Lets `duration` pass.
    pub(crate) fn sleep(&mut self, duration: Duration) -> Result<(), Failure> {
        let until = self.now.after(duration);
        while let Some((at, happening)) = self.queue.pop_until(until) {
            self.now = at;
            self.happens(happening)?;
        }
        self.now = until;
        self.check_time_limit()
    }

    pub(crate) fn sleep_ms(&mut self, millis: u64) -> Result<(), Failure> {
        self.sleep(Duration::from_millis(millis))
    }

    pub(crate) fn check_time_limit(&self) -> Result<(), Failure> {
        if self.now.since(Time::ZERO) <= TIME_LIMIT {
            return Ok(());
        }
        self.fail("the scenario ends within 120 s", "it goes on")
    }

    pub(crate) fn schedule(&mut self, after: Duration, happening: Happening) {
        self.queue.push(self.now.after(after), happening);
    }

    /// What the lab prints at the end of a scenario.
    pub(crate) fn figures(&self) -> Figures {
        Figures {
            time: self.now.since(Time::ZERO),
            peers: self.peers(),
            rpcs: self.network.rpcs,
            bytes: self.network.bytes,
            commits: self.service.highest(),
        }
    }

    /// Something that the lab says, but that is no failure.
    pub(crate) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    pub(crate) fn take_warnings(&mut self) -> Vec<String> {
        core::mem::take(&mut self.warnings)
    }

    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        self.tracer.take()
    }

    /// Adds a line to the trace.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        self.tracer.line(self.now, line);
    }

    pub(crate) fn failure(&self, broken: Broken) -> Failure {
        Failure {
            at: self.now,
            expected: broken.expected,
            found: broken.found,
        }
    }

    pub(crate) fn fail<T>(
        &self,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Result<T, Failure> {
        Err(self.failure(Broken::new(expected, found)))
    }

    pub(super) fn host_failure(&self, server: usize, error: &ProcessError) -> Failure {
        self.failure(Broken::new(
            format!("server {server} and its disk understand each other"),
            error.to_string(),
        ))
    }

    /// A command that no one has proposed before, in all likelihood.
    pub(crate) fn fresh_command(&mut self) -> Bytes {
        codec::command(self.random.next_u64() >> 1)
    }
}

pub(super) fn node_id(server: usize) -> NodeId {
    NodeId(server as u64)
}
