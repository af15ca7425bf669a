//! One trial: the leader of five servers crashes, and the other four elect another one.
//!
//! The four are real cores. The leader is played: all that the others ever hear of it is its last
//! heartbeat, and what a dead server does needs no core.

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
/// The others. Only the last two of them can win, see [`Cluster::new`].
const FOLLOWERS: [NodeId; 4] = [NodeId(2), NodeId(3), NodeId(4), NodeId(5)];
/// The term that the crashed leader leads in.
const TERM: Term = Term(1);
const CLUSTER: ClusterId = ClusterId(16);

fn voters() -> impl Iterator<Item = NodeId> {
    core::iter::once(LEADER).chain(FOLLOWERS)
}

/// What a trial came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// From the crash until a server became leader; `None` if none did within the limit.
    pub downtime: Option<Duration>,
    /// Which server that is.
    pub leader: Option<NodeId>,
    /// The terms that were begun: elections, of which all but the last were split or were lost by
    /// servers that nobody may vote for.
    pub elections: u64,
}

/// Why a trial could not be made: a defect of the simulator, or of the core.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrialError {
    /// A core refused to start.
    #[error("a server does not start: {0}")]
    Start(#[from] StartError),
    /// The log that a server begins with is none.
    #[error("a server's first log: {0}")]
    Log(#[from] NotConsecutive),
    /// A core refused a message of another one, or could not go on.
    #[error("{node} at {at}: {action:?}")]
    Alarm {
        /// Which server.
        node: NodeId,
        /// When.
        at: Time,
        /// What it said.
        action: Box<Action>,
    },
}

/// What a trial is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// What everything is drawn from, together with the range and the number.
    pub seed: u64,
    /// The trial's number among those of the range.
    pub number: u32,
    /// What election timeouts are drawn from.
    pub range: TimeoutRange,
    /// How long messages, writes and timers take.
    pub timing: Timing,
    /// Whether a candidate's requests wait for its own write.
    pub own_vote: OwnVote,
    /// Whether servers ask before they campaign (thesis 9.6).
    pub pre_vote: PreVoting,
    /// How long to wait for a leader, in virtual time from the crash.
    pub limit: Duration,
}

impl Trial {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// [`TrialError`], which is always somebody's defect.
    pub fn run(&self) -> Result<Outcome, TrialError> {
        let label = format!("election {} {}", self.range, self.number);
        let mut cluster = Cluster::new(self, Random::new(self.seed, &label))?;
        let crash = cluster.crash_after(self.range.leader_heartbeat());
        let until = crash.after(self.limit);
        let mut elected = None;
        while elected.is_none() {
            let Some((at, happening)) = cluster.queue.pop_until(until) else {
                break;
            };
            elected = cluster.happens(at, happening)?;
        }
        // An election that ends with the candidate's own write may end beyond the limit.
        let elected = elected.filter(|(at, _)| *at <= until);
        let terms = cluster.servers.iter().map(|server| server.raft.term());
        let last = terms.max().unwrap_or(TERM);
        Ok(Outcome {
            downtime: elected.map(|(at, _)| at.since(crash)),
            leader: elected.map(|(_, leader)| leader),
            elections: last.0 - TERM.0,
        })
    }
}

/// When a server became leader, and which, if one did.
type Elected = Option<(Time, NodeId)>;

/// Something that is due at a time.
#[derive(Debug)]
enum Happening {
    Arrival {
        from: NodeId,
        to: NodeId,
        message: Message,
    },
    /// The timer that was set to `deadline`.
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
    /// The newest deadline that the core named.
    deadline: Time,
    /// The last write that was reported as durable.
    durable: Seq,
    /// When its vote for itself is on the disk, should its core have been told so early.
    own_vote_at: Time,
}

impl Server {
    /// Server `id`, whose log has `length` entries of the leader.
    fn new(config: Config, length: u64) -> Result<Server, TrialError> {
        let recovered = Recovered {
            identity: Some(Identity {
                cluster_id: config.cluster_id,
                group_id: config.group_id,
                node_id: config.node_id,
                bootstrap: Membership::new(voters()),
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

/// The servers that did not crash, and what lies between them.
#[derive(Debug)]
struct Cluster {
    queue: Queue<Happening>,
    /// In the order of [`FOLLOWERS`].
    servers: Vec<Server>,
    timing: Timing,
    own_vote: OwnVote,
    random: Random,
}

impl Cluster {
    /// The leader broadcasts its last heartbeat, at time 0.
    ///
    /// Each server's log is longer by one than that of the server before, so that two of the four
    /// can win and two cannot: "to generate a worst-case scenario, the servers in each trial had
    /// different log lengths". Their timeouts are drawn independently, so that it makes no
    /// difference which of them has which log.
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
            });
            cluster.send(Time::ZERO, LEADER, to, message);
        }
        Ok(cluster)
    }

    /// When the leader crashes: at any time until its next heartbeat, each as likely.
    fn crash_after(&mut self, heartbeat: Duration) -> Time {
        Time::from_epoch(self.random.duration(Duration::ZERO, heartbeat))
    }

    fn send(&mut self, now: Time, from: NodeId, to: NodeId, message: Message) {
        let at = now.after(self.timing.delay.draw(&mut self.random));
        self.queue
            .push(at, Happening::Arrival { from, to, message });
    }

    /// Does what is due. Returns when a server leads, and which, if one does now.
    fn happens(&mut self, now: Time, happening: Happening) -> Result<Elected, TrialError> {
        match happening {
            Happening::Arrival { from, to, message } => {
                self.give(now, to, Input::Receive { from, message })
            }
            Happening::Wake { node, deadline } => match self.server(node) {
                Some(server) if server.deadline == deadline => {
                    server.deadline = Time::NEVER;
                    self.give(now, node, Input::Tick)
                }
                Some(_) | None => Ok(None), // Another deadline took its place.
            },
            Happening::Written { node, seq } => match self.server(node) {
                Some(server) if server.durable < seq => {
                    server.durable = seq;
                    self.give(now, node, Input::Persisted { seq })
                }
                Some(_) | None => Ok(None), // A later sync ended first and covered it.
            },
        }
    }

    /// The server `id`; none if it is the one that crashed.
    fn server(&mut self, id: NodeId) -> Option<&mut Server> {
        let at = FOLLOWERS.iter().position(|follower| *follower == id)?;
        self.servers.get_mut(at)
    }

    /// Gives an input to a core and does what it asks for. Returns when it leads, if it does.
    fn give(&mut self, now: Time, id: NodeId, input: Input) -> Result<Elected, TrialError> {
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
                    let server = self.server(id);
                    elected = server.map(|server| (server.own_vote_at.max(now), id));
                }
                action @ (Action::Rejected { .. }
                | Action::Refused { .. }
                | Action::LostState { .. }
                | Action::Faulted { .. }) => {
                    let action = Box::new(action);
                    return Err(TrialError::Alarm {
                        node: id,
                        at: now,
                        action,
                    });
                }
                // Nobody asks anything of these servers, and a trial ends with the election.
                Action::Apply { .. }
                | Action::Restore { .. }
                | Action::ReadSnapshot { .. }
                | Action::WriteSnapshot { .. }
                | Action::ReleaseSnapshot { .. }
                | Action::Proposed { .. }
                | Action::Read { .. }
                | Action::Transferred { .. }
                | Action::ChangeProposed { .. }
                | Action::MembershipChanged { .. }
                | Action::ReadEntries { .. }
                | Action::RoleChanged { .. }
                | Action::LeaderChanged { .. } => {}
            }
        }
        Ok(elected)
    }

    /// No timer is on time: threads wake a little late.
    fn set_timer(&mut self, now: Time, node: NodeId, deadline: Time) {
        let late = self.timing.lateness.draw(&mut self.random);
        if let Some(server) = self.server(node) {
            server.deadline = deadline;
            let at = deadline.max(now).after(late);
            self.queue.push(at, Happening::Wake { node, deadline });
        }
    }

    /// Every write has a sync of its own, which waits for no other one.
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
        self.queue.push(at, Happening::Written { node, seq });
    }
}

/// The settings of the four servers, but for their ids and seeds.
fn config(trial: &Trial) -> Config {
    let mut config = Config::new(CLUSTER, LEADER, Start::voters(voters()), 0);
    config.election_timeout_min = trial.range.min();
    config.election_timeout_max = trial.range.end();
    // A core asks for three heartbeats in the least timeout; the figure's leader sends two. It
    // makes no difference: the leader whose heartbeats count here is played, and the trial ends
    // before the next one sends any.
    config.heartbeat_interval = trial.range.min() / 3;
    config.pre_vote = trial.pre_vote;
    config.check_quorum = CheckQuorum::Off;
    config
}
