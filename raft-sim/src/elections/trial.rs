//! One trial: the leader of five servers crashes, and the other four elect another one.
//!
//! The four are real cores. The leader has none: all that the others ever hear of it is its last
//! heartbeat.

use super::range::TimeoutRange;
use super::timing::{OwnVote, Timing};
use crate::queue::Queue;
use crate::random::Random;
use bytes::Bytes;
use core::time::Duration;
use raft_proto::{
    Action, AppendEntries, CheckQuorum, ClusterId, Config, Entries, EntriesBuilder, EntryId,
    EntryKind, Event, HardState, Identity, Index, Input, Membership, Message, NodeId,
    NotConsecutive, PreVoting, Raft, Recovered, RoleKind, Seq, Start, StartError, Term, Time,
    Write,
};

/// The server that leads until it crashes.
const LEADER: NodeId = NodeId(1);
/// The other servers. Only the last two of them can win, see [`Cluster::new`].
const FOLLOWERS: [NodeId; 4] = [NodeId(2), NodeId(3), NodeId(4), NodeId(5)];
/// The term of the leader that crashes.
const TERM: Term = Term(1);
const CLUSTER: ClusterId = ClusterId(16);

fn voters() -> impl Iterator<Item = NodeId> {
    core::iter::once(LEADER).chain(FOLLOWERS)
}

/// The outcome of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// From the crash until a server became leader; `None` if none did within the limit.
    pub downtime: Option<Duration>,
    /// That server.
    pub leader: Option<NodeId>,
    /// The number of terms that began. Each is an election. All but the last had split votes, or
    /// their candidates had logs that were too short.
    pub elections: u64,
}

/// Why a trial could not be run: a defect of the simulator, or of the core.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrialError {
    /// A core refused to start.
    #[error("a server does not start: {0}")]
    Start(#[from] StartError),
    /// The first log of a server is not consecutive.
    #[error("a server's first log: {0}")]
    Log(#[from] NotConsecutive),
    /// A core rejected a message of another one, or faulted.
    #[error("{node} at {at}: {action:?}")]
    UnexpectedAction {
        /// The server.
        node: NodeId,
        /// The virtual time.
        at: Time,
        /// The action that came out.
        action: Box<Action>,
    },
}

/// The settings of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The seed. Together with the range and the number it determines the trial.
    pub seed: u64,
    /// The number of the trial in its range.
    pub number: u32,
    /// The range of election timeouts.
    pub range: TimeoutRange,
    /// How long messages, writes and timers take.
    pub timing: Timing,
    /// Whether the requests of a candidate wait for its own write.
    pub own_vote: OwnVote,
    /// Whether servers use Pre-Vote (thesis 9.6).
    pub pre_vote: PreVoting,
    /// How long to wait for a leader, in virtual time from the crash.
    pub limit: Duration,
}

impl Trial {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// [`TrialError`], which is always a defect.
    pub fn run(&self) -> Result<Outcome, TrialError> {
        let label = format!("election {} {}", self.range, self.number);
        let mut cluster = Cluster::new(self, Random::new(self.seed, &label))?;
        let crash = cluster.crash_after(self.range.leader_heartbeat());
        let until = crash.after(self.limit);
        let mut elected = None;
        while elected.is_none() {
            let Some((at, event)) = cluster.queue.pop_until(until) else {
                break;
            };
            elected = cluster.handle(at, event)?;
        }
        // An election that ends with the candidate's own write may end beyond the limit.
        let elected = elected.filter(|elected| elected.at <= until);
        let terms = cluster.servers.iter().map(|server| server.raft.term());
        let last = terms.max().unwrap_or(TERM);
        Ok(Outcome {
            downtime: elected.map(|elected| elected.at.since(crash)),
            leader: elected.map(|elected| elected.leader),
            elections: last.0 - TERM.0,
        })
    }
}

/// A server that became leader.
#[derive(Clone, Copy, Debug)]
struct Elected {
    at: Time,
    leader: NodeId,
}

/// An event that is due at a time.
#[derive(Debug)]
enum TrialEvent {
    Arrival {
        from: NodeId,
        to: NodeId,
        message: Message,
    },
    /// A timer fires that was set to `deadline`.
    Wake {
        node: NodeId,
        deadline: Time,
    },
    Written {
        node: NodeId,
        seq: Seq,
    },
}

/// A server that did not crash.
#[derive(Debug)]
struct Server {
    raft: Raft,
    /// The newest deadline of the core.
    deadline: Time,
    /// The last write that was reported as durable.
    durable: Seq,
    /// When its vote for itself is on the disk, if the core was told so before.
    own_vote_at: Time,
}

impl Server {
    /// The server that `config` names, with `length` entries of the leader in its log.
    fn new(config: Config, length: u64) -> Result<Server, TrialError> {
        let recovered = Recovered {
            identity: Some(Identity {
                cluster_id: config.cluster_id,
                group_id: config.group_id,
                node_id: config.node_id,
                bootstrap: Membership::new(voters()),
                incarnation: None,
            }),
            hard_state: HardState {
                term: TERM,
                voted_for: Some(LEADER),
            },
            entries: log(length)?,
            ..Recovered::default()
        };
        Ok(Server {
            raft: Raft::new(config, recovered)?,
            deadline: Time::NEVER,
            durable: Seq(0),
            own_vote_at: Time::ZERO,
        })
    }
}

fn log(length: u64) -> Result<Entries, NotConsecutive> {
    let mut entries = EntriesBuilder::new();
    for index in 1..=length {
        let id = EntryId::new(index, TERM.0);
        entries.push(id, EntryKind::Command, Bytes::new())?;
    }
    Ok(entries.finish())
}

/// The servers that did not crash, and the network between them.
#[derive(Debug)]
struct Cluster {
    queue: Queue<TrialEvent>,
    /// In the order of [`FOLLOWERS`].
    servers: Vec<Server>,
    timing: Timing,
    own_vote: OwnVote,
    random: Random,
}

impl Cluster {
    /// A cluster whose leader broadcasts its last heartbeat at time 0.
    ///
    /// The log of each server is longer by one entry than that of the server before, so that two of
    /// the four can win and two cannot: "to generate a worst-case scenario, the servers in each
    /// trial had different log lengths". Timeouts are drawn independently, so it makes no
    /// difference which server has which log.
    fn new(trial: &Trial, mut random: Random) -> Result<Cluster, TrialError> {
        let mut config = config(trial);
        config.seed = random.next_u64();
        let mut servers = Vec::new();
        for (id, length) in FOLLOWERS.into_iter().zip(1..) {
            config.node_id = id;
            servers.push(Server::new(config.clone(), length)?);
        }
        let mut cluster = Cluster {
            queue: Queue::new(),
            servers,
            timing: trial.timing,
            own_vote: trial.own_vote,
            random,
        };
        for (to, length) in FOLLOWERS.into_iter().zip(1..) {
            let message = Message::AppendEntries(AppendEntries {
                term: TERM,
                prev_log: EntryId::new(length, TERM.0),
                leader_commit: Index::ZERO,
                entries: Entries::default(),
                round: 0,
                revoked: 0,
                promise_millis: 0,
                lineage: raft_proto::Lineage::Unknown,
            });
            cluster.send(Time::ZERO, LEADER, to, message);
        }
        Ok(cluster)
    }

    /// When the leader crashes: uniformly between this heartbeat and the next.
    fn crash_after(&mut self, heartbeat: Duration) -> Time {
        Time::from_epoch(self.random.duration(Duration::ZERO, heartbeat))
    }

    fn send(&mut self, now: Time, from: NodeId, to: NodeId, message: Message) {
        let at = now.after(self.timing.delay.draw(&mut self.random));
        self.queue
            .push(at, TrialEvent::Arrival { from, to, message });
    }

    /// Handles an event. Returns the server that becomes leader, if one does.
    fn handle(&mut self, now: Time, event: TrialEvent) -> Result<Option<Elected>, TrialError> {
        match event {
            TrialEvent::Arrival { from, to, message } => self.give(
                now,
                to,
                Input::Receive {
                    from,
                    message,
                    incarnation: None,
                },
            ),
            TrialEvent::Wake { node, deadline } => match self.server(node) {
                Some(server) if server.deadline == deadline => {
                    server.deadline = Time::NEVER;
                    self.give(now, node, Input::Tick)
                }
                Some(_) | None => Ok(None), // A newer deadline replaced this one.
            },
            TrialEvent::Written { node, seq } => match self.server(node) {
                Some(server) if server.durable < seq => {
                    server.durable = seq;
                    self.give(now, node, Input::Persisted { seq })
                }
                Some(_) | None => Ok(None), // A later sync ended first, and covered this write.
            },
        }
    }

    /// The server `id`; `None` if it is the one that crashed.
    fn server(&mut self, id: NodeId) -> Option<&mut Server> {
        let at = FOLLOWERS.iter().position(|follower| *follower == id)?;
        self.servers.get_mut(at)
    }

    /// Gives an input to a core and performs its actions. Returns the server if it becomes leader.
    fn give(&mut self, now: Time, id: NodeId, input: Input) -> Result<Option<Elected>, TrialError> {
        let Some(server) = self.server(id) else {
            return Ok(None);
        };
        let actions = server.raft.step(Event { at: now, input });
        let mut elected = None;
        for action in actions {
            match action {
                Action::Send { to, message } => self.send(now, id, to, message),
                Action::WakeAt(deadline) => self.set_timer(now, id, deadline),
                Action::Persist(write) => self.write(now, id, &write),
                Action::RoleChanged {
                    role: RoleKind::Leader,
                    ..
                } => {
                    elected = self.server(id).map(|server| Elected {
                        at: server.own_vote_at.max(now),
                        leader: id,
                    });
                }
                action @ (Action::Rejected { .. }
                | Action::Refused { .. }
                | Action::LostState { .. }
                | Action::SnapshotDamaged { .. }
                | Action::EntryRefused { .. }
                | Action::Removed { .. }
                | Action::ForeignIncarnation(_)
                | Action::Replaced { .. }
                | Action::Faulted { .. }) => {
                    let action = Box::new(action);
                    return Err(TrialError::UnexpectedAction {
                        node: id,
                        at: now,
                        action,
                    });
                }
                // These servers have no clients, and a trial ends with the election.
                Action::Apply { .. }
                | Action::Restore { .. }
                | Action::ReadSnapshot { .. }
                | Action::WriteSnapshot { .. }
                | Action::ReleaseSnapshot { .. }
                | Action::Proposed { .. }
                | Action::Read { .. }
                | Action::Transferred { .. }
                | Action::ChangeProposed { .. }
                | Action::Campaigning { .. }
                | Action::SteppedDown { .. }
                | Action::Reconfigured { .. }
                | Action::Overdue(_)
                | Action::MembershipChanged { .. }
                | Action::ReadEntries { .. }
                | Action::RoleChanged { .. }
                | Action::LeaderChanged { .. } => {}
            }
        }
        Ok(elected)
    }

    /// A timer fires a little late, as threads do on real machines.
    fn set_timer(&mut self, now: Time, node: NodeId, deadline: Time) {
        let late = self.timing.lateness.draw(&mut self.random);
        if let Some(server) = self.server(node) {
            server.deadline = deadline;
            let at = deadline.max(now).after(late);
            self.queue.push(at, TrialEvent::Wake { node, deadline });
        }
    }

    /// Every write has a sync of its own, which does not wait for others.
    fn write(&mut self, now: Time, node: NodeId, write: &Write) {
        let done = now.after(self.timing.write.draw(&mut self.random));
        let voted_for = write.hard_state.and_then(|state| state.voted_for);
        let is_early = self.own_vote == OwnVote::Overlapped && voted_for == Some(node);
        let Some(server) = self.server(node) else {
            return;
        };
        if is_early {
            server.own_vote_at = done;
        }
        let (at, seq) = (if is_early { now } else { done }, write.seq);
        self.queue.push(at, TrialEvent::Written { node, seq });
    }
}

/// The configuration of the four servers, except their ids and seeds.
fn config(trial: &Trial) -> Config {
    let mut config = Config::new(CLUSTER, LEADER, Start::voters(voters()), 0);
    config.election_timeout_min = trial.range.min();
    config.election_timeout_max = trial.range.end();
    // A core requires three heartbeats in the shortest timeout; the leader of the figure sends two.
    // That makes no difference: the leader that crashes has no core, and the trial ends before the
    // next leader sends a heartbeat.
    config.heartbeat_interval = trial.range.min() / 3;
    config.pre_vote = trial.pre_vote;
    config.check_quorum = CheckQuorum::Off;
    config
}
