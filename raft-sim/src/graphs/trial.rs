//! One trial: a cluster that is well, with one leader, gets a network with fewer links, which stays
//! as it is.

use super::graph::Graph;
use crate::duration::DurationRange;
use crate::queue::Queue;
use crate::random::Random;
use core::time::Duration;
use raft_proto::{
    Action, CheckQuorum, ClusterId, Commands, Config, Entries, EntryId, EntryKind, Event, Input,
    Message, NodeId, PreVoting, Raft, Recovered, RequestId, RoleKind, Seq, Start, StartError, Term,
    Time,
};

const CLUSTER: ClusterId = ClusterId(9608);
/// A message takes this long. Relative to the election timeouts, as in a data centre.
const DELAY: DurationRange = DurationRange {
    min: Duration::from_millis(1),
    max: Duration::from_millis(3),
};
/// A write, its sync included.
const WRITE: DurationRange = DurationRange {
    min: Duration::from_millis(1),
    max: Duration::from_millis(5),
};
/// A timer fires so much later.
const LATENESS: DurationRange = DurationRange {
    min: Duration::ZERO,
    max: Duration::from_millis(1),
};
/// For how many election timeouts a trial goes on after the links were cut.
const WINDOW: u32 = 24;
/// Within how many election timeouts a leader has to commit, and to commit again.
const BOUND: u32 = 4;
/// For how long a cluster may take to come to the start of a trial, in election timeouts.
const START: u32 = 40;

/// What the cluster was before the links were cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// The server that leads, by its number from 0.
    pub leader: u8,
    /// A server whose log lacks the last committed entry.
    pub behind: Option<u8>,
}

impl Before {
    /// Every state that trials begin in.
    pub fn all(nodes: u8) -> impl Iterator<Item = Before> {
        (0..nodes).flat_map(move |leader| {
            let others = (0..nodes).filter(move |node| *node != leader);
            // Without one of two servers nothing is committed.
            let behind = others.filter(move |_| nodes > 2).map(Some);
            core::iter::once(None)
                .chain(behind)
                .map(move |behind| Before { leader, behind })
        })
    }
}

/// What came of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether a command was committed within four election timeouts, and then another one within
    /// each further four.
    pub is_live: bool,
    /// Whether no term began after the first four election timeouts.
    pub is_quiet: bool,
    /// Whether, at the end, the log of some hub lets a majority vote for it (section 5.4.1).
    pub is_electable: bool,
}

/// A trial that could not be run: a defect of the simulator, or of the core.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrialError {
    /// A core refused to start.
    #[error("a server does not start: {0}")]
    Start(#[from] StartError),
    /// A core reported a violation, or faulted.
    #[error("server {} at {at}: {action:?}", node + 1)]
    UnexpectedAction {
        /// The server, by its number from 0.
        node: u8,
        /// The virtual time.
        at: Time,
        /// The action that came out.
        action: Box<Action>,
    },
    /// With all links, the cluster did not come to the state before the cut.
    #[error("with all links, {before:?} was not reached")]
    NoStart {
        /// The state.
        before: Before,
    },
}

/// The settings of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The seed. Everything is drawn from it.
    pub seed: u64,
    /// Whether servers use Pre-Vote (thesis 9.6).
    pub pre_vote: PreVoting,
    /// Whether leaders use CheckQuorum (thesis 6.2).
    pub check_quorum: CheckQuorum,
    /// The network from the cut on.
    pub graph: Graph,
    /// The cluster before the cut.
    pub before: Before,
}

impl Trial {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// [`TrialError`], which is always a defect.
    pub fn run(&self) -> Result<Verdict, TrialError> {
        let mut cluster = Cluster::new(self)?;
        let timeout = cluster.timeout;
        if !cluster.prepare(self.before)? {
            return Err(TrialError::NoStart {
                before: self.before,
            });
        }
        cluster.links = self.graph;
        let cut = cluster.now;
        let proposed = cluster.proposed;
        cluster.committed.clear();
        cluster.run_until(cut.after(timeout * BOUND), |_| false)?;
        let term = cluster.greatest_term();
        let end = cut.after(timeout * WINDOW);
        cluster.run_until(end, |_| false)?;
        let new = cluster.committed.iter();
        let new = new.filter(|it| it.command >= proposed).map(|it| it.at);
        let mut last = cut;
        let mut is_live = true;
        for at in new.chain([end]) {
            is_live &= at.since(last) <= timeout * BOUND;
            last = at;
        }
        Ok(Verdict {
            is_live,
            is_quiet: cluster.greatest_term() == term,
            is_electable: self.graph.hubs().any(|hub| cluster.is_electable(hub)),
        })
    }
}

/// Something that is due at a time.
#[derive(Debug)]
enum TrialEvent {
    Arrival {
        from: u8,
        to: u8,
        message: Message,
    },
    Wake {
        node: u8,
        deadline: Time,
    },
    Written {
        node: u8,
        seq: Seq,
    },
    /// The clients propose a command at each server that leads.
    Propose,
}

/// A command that a server has applied, as the first one.
#[derive(Clone, Copy, Debug)]
struct Committed {
    command: u64,
    at: Time,
}

#[derive(Debug)]
struct Server {
    raft: Raft,
    /// The newest deadline of the core.
    deadline: Time,
    /// When its disk has done all writes so far.
    is_written_at: Time,
}

#[derive(Debug)]
struct Cluster {
    queue: Queue<TrialEvent>,
    servers: Vec<Server>,
    links: Graph,
    random: Random,
    now: Time,
    /// The greatest election timeout.
    timeout: Duration,
    /// How often the clients propose.
    interval: Duration,
    /// How many commands were proposed.
    proposed: u64,
    /// In the order in which they were first applied.
    committed: Vec<Committed>,
}

fn id(node: u8) -> NodeId {
    NodeId(u64::from(node) + 1)
}

fn number(id: NodeId) -> u8 {
    // `id` has made all ids.
    (id.0 as u8).saturating_sub(1)
}

impl Cluster {
    /// All servers start, and reach each other.
    fn new(trial: &Trial) -> Result<Cluster, TrialError> {
        let nodes = trial.graph.nodes();
        let label = format!("graph {} {:?}", trial.graph, trial.before);
        let mut random = Random::new(trial.seed, &label);
        let voters = Start::voters((0..nodes).map(id));
        let mut config = Config::new(CLUSTER, id(0), voters, 0);
        config.pre_vote = trial.pre_vote;
        config.check_quorum = trial.check_quorum;
        let mut cluster = Cluster {
            queue: Queue::new(),
            servers: Vec::new(),
            links: Graph::full(nodes),
            random: random.fork("network"),
            now: Time::ZERO,
            timeout: config.election_timeout_max,
            interval: config.heartbeat_interval,
            proposed: 0,
            committed: Vec::new(),
        };
        for node in 0..nodes {
            config.node_id = id(node);
            config.seed = random.next_u64();
            let raft = Raft::new(config.clone(), Recovered::default())?;
            let deadline = Time::ZERO;
            cluster.servers.push(Server {
                raft,
                deadline,
                is_written_at: Time::ZERO,
            });
            let wake = TrialEvent::Wake { node, deadline };
            cluster.queue.push(Time::ZERO, wake);
        }
        cluster.queue.push(Time::ZERO, TrialEvent::Propose);
        Ok(cluster)
    }

    fn greatest_term(&self) -> Term {
        let terms = self.servers.iter().map(|server| server.raft.term());
        terms.max().unwrap_or(Term(0))
    }

    fn is_leader(&self, node: u8) -> bool {
        let server = self.servers.get(usize::from(node));
        server.is_some_and(|server| server.raft.role() == RoleKind::Leader)
    }

    /// Whether a majority that `hub` reaches, and that reaches it, has no better log than its own.
    fn is_electable(&self, hub: u8) -> bool {
        let last = |node: u8| {
            let server = self.servers.get(usize::from(node));
            server.map(|server| server.raft.last_log())
        };
        let better = |log: EntryId, own: EntryId| (log.term, log.index) > (own.term, own.index);
        let votes = self.links.both_ways(hub).filter(|voter| {
            let (log, own) = (last(*voter), last(hub));
            log.zip(own).is_some_and(|(log, own)| !better(log, own))
        });
        votes.count() >= self.links.majority()
    }

    /// Brings the cluster to the state before the cut. Returns whether that came about.
    fn prepare(&mut self, before: Before) -> Result<bool, TrialError> {
        let limit = self.now.after(self.timeout * START);
        while !self.is_leader(before.leader) && self.now < limit {
            let end = self.now.after(self.timeout);
            self.run_until(end, |cluster| cluster.is_leader(before.leader))?;
            if let Some(other) = (0..self.links.nodes()).find(|node| self.is_leader(*node)) {
                let target = Some(id(before.leader));
                let id = RequestId(0);
                self.give(other, Input::TransferLeadership { id, target })?;
            }
        }
        let applied = self.committed.len();
        let has_committed = |cluster: &Cluster| cluster.committed.len() > applied;
        self.run_until(limit, has_committed)?;
        if let Some(behind) = before.behind {
            for other in 0..self.links.nodes() {
                self.links = self.links.without(behind, other).without(other, behind);
            }
            // What is on its way arrives before the next proposal.
            let applied = self.committed.len() + 1;
            self.run_until(limit, |cluster| cluster.committed.len() > applied)?;
        }
        Ok(self.is_leader(before.leader) && self.now < limit)
    }

    /// Runs until `end`, or until `is_done` is true.
    fn run_until(
        &mut self,
        end: Time,
        is_done: impl Fn(&Cluster) -> bool,
    ) -> Result<(), TrialError> {
        while !is_done(self) {
            let Some((at, event)) = self.queue.pop_until(end) else {
                self.now = end;
                break;
            };
            self.now = at;
            self.handle(event)?;
        }
        Ok(())
    }

    fn handle(&mut self, event: TrialEvent) -> Result<(), TrialError> {
        match event {
            TrialEvent::Arrival { from, to, message } => {
                let from = id(from);
                let input = Input::Receive {
                    from,
                    message,
                    incarnation: None,
                };
                self.give(to, input)
            }
            TrialEvent::Wake { node, deadline } => {
                let server = self.servers.get(usize::from(node));
                if server.is_some_and(|server| server.deadline == deadline) {
                    self.give(node, Input::Tick)?;
                }
                Ok(()) // Otherwise a newer deadline has replaced this one.
            }
            TrialEvent::Written { node, seq } => self.give(node, Input::Persisted { seq }),
            TrialEvent::Propose => {
                let next = self.now.after(self.interval);
                self.queue.push(next, TrialEvent::Propose);
                for node in 0..self.links.nodes() {
                    if self.is_leader(node) {
                        self.propose(node)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn propose(&mut self, node: u8) -> Result<(), TrialError> {
        let command = self.proposed;
        self.proposed += 1;
        let payload = command.to_le_bytes().to_vec();
        let commands = Commands::from(bytes::Bytes::from(payload));
        let id = RequestId(command);
        self.give(node, Input::Propose { id, commands })
    }

    /// Gives an input to a core and performs its actions.
    fn give(&mut self, node: u8, input: Input) -> Result<(), TrialError> {
        let at = self.now;
        let Some(server) = self.servers.get_mut(usize::from(node)) else {
            return Ok(());
        };
        let actions = server.raft.step(Event { at, input });
        for action in actions {
            match action {
                Action::Send { to, message } => self.send(node, number(to), message),
                Action::WakeAt(deadline) => self.set_timer(node, deadline),
                Action::Persist(write) => self.write(node, write.seq),
                Action::Apply { entries } => self.apply(node, &entries)?,
                action @ (Action::Rejected { .. }
                | Action::Refused { .. }
                | Action::Restore { .. }
                | Action::ReadSnapshot { .. }
                | Action::WriteSnapshot { .. }
                | Action::ReadEntries { .. }
                | Action::LostState { .. }
                | Action::SnapshotDamaged { .. }
                | Action::EntryRefused { .. }
                | Action::Removed { .. }
                | Action::ForeignIncarnation(_)
                | Action::Replaced { .. }
                | Action::Faulted { .. }) => {
                    let action = Box::new(action);
                    return Err(TrialError::UnexpectedAction { node, at, action });
                }
                Action::ReleaseSnapshot { .. }
                | Action::Proposed { .. }
                | Action::Read { .. }
                | Action::Transferred { .. }
                | Action::ChangeProposed { .. }
                | Action::Campaigning { .. }
                | Action::SteppedDown { .. }
                | Action::Reconfigured { .. }
                | Action::Overdue(_)
                | Action::MembershipChanged { .. }
                | Action::RoleChanged { .. }
                | Action::LeaderChanged { .. } => {}
            }
        }
        Ok(())
    }

    fn send(&mut self, from: u8, to: u8, message: Message) {
        if self.links.has(from, to) {
            let at = self.now.after(DELAY.draw(&mut self.random));
            let arrival = TrialEvent::Arrival { from, to, message };
            self.queue.push(at, arrival);
        }
    }

    fn set_timer(&mut self, node: u8, deadline: Time) {
        let late = LATENESS.draw(&mut self.random);
        if let Some(server) = self.servers.get_mut(usize::from(node)) {
            server.deadline = deadline;
            let at = deadline.max(self.now).after(late);
            self.queue.push(at, TrialEvent::Wake { node, deadline });
        }
    }

    /// One write after the other.
    fn write(&mut self, node: u8, seq: Seq) {
        let took = WRITE.draw(&mut self.random);
        if let Some(server) = self.servers.get_mut(usize::from(node)) {
            let done = server.is_written_at.max(self.now).after(took);
            server.is_written_at = done;
            self.queue.push(done, TrialEvent::Written { node, seq });
        }
    }

    /// Notes the commands that no server has applied before. Their numbers rise along every log: a
    /// leader's entries are younger than those that it found.
    fn apply(&mut self, node: u8, entries: &Entries) -> Result<(), TrialError> {
        for entry in entries {
            let payload: Option<[u8; 8]> = entry.payload().try_into().ok();
            if let (EntryKind::Command, Some(payload)) = (entry.kind(), payload) {
                let command = u64::from_le_bytes(payload);
                let at = self.now;
                let last = self.committed.last().map(|it| it.command);
                if last.is_none_or(|last| last < command) {
                    self.committed.push(Committed { command, at });
                }
            }
        }
        match entries.last_id() {
            Some(last) => self.give(node, Input::Applied { index: last.index }),
            None => Ok(()),
        }
    }
}
