//! The state of a cluster under test, and what can be read from it. Nothing here lets time pass:
//! see `engine` for the event loop.

use super::failure::{Failure, Violation};
use super::figures::Figures;
use super::network::{Conditions, Network, Reliability};
use super::service::{Service, ServiceKind};
use super::tracer::{TraceLevel, Tracer};
use crate::disk::Disk;
use crate::features::Features;
use crate::process::{Process, ProcessError};
use crate::queue::Queue;
use crate::random::Random;
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use raft_proto::wire::Receiver;
use raft_proto::{Action, ClusterId, NodeId, Proposal, ProposeError, RoleKind, Term, Time};
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
    pub(super) queue: Queue<LabEvent>,
    pub(crate) network: Network,
    pub(super) servers: Vec<Server>,
    pub(crate) service: Service,
    pub(super) features: Features,
    /// What the script draws from.
    pub(crate) random: Random,
    pub(super) seeds: Random,
    pub(super) disks: Random,
    /// Clients that act beside the script. One that is acting, or has ended, leaves its place
    /// empty.
    pub(super) clients: Vec<Option<Box<dyn Client>>>,
    /// The server that became leader in each term (Election Safety, section 5.2).
    pub(super) leaders: BTreeMap<Term, usize>,
    /// The request that is being handled. A message to its sender is its reply.
    pub(super) serving: Option<Call>,
    pub(super) proposed: Option<Result<Proposal, ProposeError>>,
    /// How each server reads frames.
    pub(super) receivers: Vec<Receiver>,
    /// Empty between uses: kept for its allocation, as are the next two.
    pub(super) frame: Vec<u8>,
    pub(super) outputs: Vec<Action>,
    pub(super) spare: Vec<Action>,
    pub(super) warnings: Vec<String>,
    pub(super) tracer: Tracer,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) state: ServerState,
    /// Counts the starts: a message to an earlier incarnation is lost.
    pub(super) incarnation: u32,
    pub(super) is_connected: bool,
    /// Requests handled by this incarnation.
    pub(super) handled: u64,
    /// When the next [`LabEvent::Wake`] is in the queue for this incarnation.
    pub(super) wake: Time,
}

#[derive(Debug)]
pub(super) enum ServerState {
    Running(Box<Process>),
    Crashed(Box<Disk>),
}

/// An event that is due at a time.
#[derive(Debug)]
pub(super) enum LabEvent {
    /// A message arrives.
    Arrival { call: Call, to: usize, frame: Bytes },
    /// The deadline of a server.
    Wake { server: usize, incarnation: u32 },
    /// A client acts.
    Client(usize),
}

/// A call as the network took it: caller and callee, their incarnations, and the network's
/// conditions then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) caller: usize,
    pub(super) caller_incarnation: u32,
    pub(super) callee: usize,
    pub(super) callee_incarnation: u32,
    pub(super) conditions: Conditions,
}

/// A client: a small state machine that acts, then waits, so that several of them can go on at once
/// beside a script.
pub(crate) trait Client: fmt::Debug {
    /// Acts once.
    fn act(&mut self, lab: &mut Lab) -> Result<ClientStep<()>, Failure>;
}

/// What a client does after it has acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientStep<T> {
    /// It acts again after this time.
    WaitFor(Duration),
    /// It has ended.
    Done(T),
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

    pub(crate) fn now(&self) -> Time {
        self.now
    }

    pub(crate) fn peers(&self) -> usize {
        self.servers.len()
    }

    /// The number of the server `distance` after `server`, modulo the number of servers.
    pub(crate) fn after(&self, server: usize, distance: usize) -> usize {
        (server + distance) % self.peers()
    }

    pub(crate) fn is_connected(&self, server: usize) -> bool {
        self.servers[server].is_connected
    }

    pub(crate) fn is_running(&self, server: usize) -> bool {
        matches!(self.servers[server].state, ServerState::Running(_))
    }

    /// The lab's `GetState`: the server's term and role. `None` if the server does not run.
    pub(crate) fn get_state(&self, server: usize) -> Option<(Term, RoleKind)> {
        match &self.servers[server].state {
            ServerState::Running(process) => Some((process.raft().term(), process.raft().role())),
            ServerState::Crashed(_) => None,
        }
    }

    /// The number of servers, running or not, on which `index` is committed.
    pub(crate) fn committed_on(&self, index: u64) -> usize {
        self.service.committed_on(index)
    }

    /// How many requests the running servers have handled.
    pub(crate) fn handled(&self) -> u64 {
        self.servers.iter().map(|server| server.handled).sum()
    }

    /// The largest persisted Raft state of any server, running or not.
    pub(crate) fn largest_state(&self) -> u64 {
        let size = |server: &Server| match &server.state {
            ServerState::Running(process) => process.disk().state_bytes(),
            ServerState::Crashed(disk) => disk.state_bytes(),
        };
        self.servers.iter().map(size).max().unwrap_or(0)
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

    pub(super) fn schedule(&mut self, after: Duration, event: LabEvent) {
        self.queue.push(self.now.after(after), event);
    }

    pub(crate) fn check_time_limit(&self) -> Result<(), Failure> {
        if self.now.since(Time::ZERO) <= TIME_LIMIT {
            return Ok(());
        }
        self.fail("the scenario ends within 120 s", "it goes on")
    }

    /// Keeps a remark that does not fail the scenario.
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

    pub(super) fn failure(&self, violation: Violation) -> Failure {
        Failure {
            at: self.now,
            expected: violation.expected,
            found: violation.found,
        }
    }

    pub(crate) fn fail<T>(
        &self,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Result<T, Failure> {
        Err(self.failure(Violation::new(expected, found)))
    }

    pub(super) fn process_failure(&self, server: usize, error: &ProcessError) -> Failure {
        self.failure(Violation::new(
            format!("server {server} and its disk understand each other"),
            error.to_string(),
        ))
    }
}

pub(super) fn node_id(server: usize) -> NodeId {
    NodeId(server as u64)
}
