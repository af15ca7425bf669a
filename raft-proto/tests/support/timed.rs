//! A cluster of cores on a virtual clock. Messages take a while, links can be cut, a disk takes its
//! time for a sync and makes one at a time, and timers fire when they are due.
#![allow(dead_code, unreachable_pub)]

use crate::support::Packet;
use crate::support::storage::Storage;
use raft_proto::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How long a disk takes for a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncTime {
    Takes(Duration),
    /// Writes never complete.
    Stalled,
}

/// What happens at a time.
enum TimedEvent {
    Deliver(Packet),
    Wake { node: NodeId, at: Time },
    Synced { node: NodeId, incarnation: u64 },
    Answer { node: NodeId, input: Input },
}

pub struct TimedNode {
    pub raft: Raft,
    pub config: Config,
    pub sync: SyncTime,
    stored: Storage,
    wake_at: Time,
    /// The writes that the sync under way makes durable, and those that wait for the next.
    syncing: Vec<Write>,
    waiting: Vec<Write>,
    /// How often it was started; what an earlier process began is lost.
    incarnation: u64,
}

/// An action that the cluster only records.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub at: Time,
    pub node: NodeId,
    pub action: Action,
}

pub struct TimedCluster {
    pub now: Time,
    pub nodes: BTreeMap<NodeId, TimedNode>,
    pub latency: Duration,
    pub recorded: Vec<Recorded>,
    /// How many messages of each kind were delivered.
    pub delivered: BTreeMap<MessageKind, u64>,
    cut: BTreeSet<(NodeId, NodeId)>,
    down: BTreeSet<NodeId>,
    events: BTreeMap<(Time, u64), TimedEvent>,
    scheduled: u64,
    requests: u64,
}

impl TimedCluster {
    /// Voters 1 to `count` with the default config, changed by `change`.
    pub fn new(count: u64, seed: u64, change: impl Fn(&mut Config)) -> TimedCluster {
        let mut cluster = TimedCluster {
            now: Time::ZERO,
            nodes: BTreeMap::new(),
            latency: millis(1),
            recorded: Vec::new(),
            delivered: BTreeMap::new(),
            cut: BTreeSet::new(),
            down: BTreeSet::new(),
            events: BTreeMap::new(),
            scheduled: 0,
            requests: 0,
        };
        for id in 1..=count {
            let start = Start::voters((1..=count).map(NodeId));
            let mut config = Config::new(ClusterId(7), NodeId(id), start, seed);
            change(&mut config);
            cluster.add(config);
        }
        cluster
    }

    /// A node with an empty disk starts.
    pub fn add(&mut self, config: Config) {
        let id = config.node_id;
        let raft = Raft::new(config.clone(), Recovered::default()).unwrap();
        let node = TimedNode {
            raft,
            config,
            sync: SyncTime::Takes(Duration::ZERO),
            stored: Storage::default(),
            wake_at: Time::NEVER,
            syncing: Vec::new(),
            waiting: Vec::new(),
            incarnation: 0,
        };
        self.nodes.insert(id, node);
        self.input(id.0, Input::Tick);
    }

    pub fn raft(&self, id: u64) -> &Raft {
        &self.nodes[&NodeId(id)].raft
    }

    pub fn set_sync(&mut self, id: u64, sync: SyncTime) {
        self.nodes.get_mut(&NodeId(id)).unwrap().sync = sync;
    }

    /// Messages between two nodes are lost from now on, in both directions.
    pub fn cut(&mut self, one: u64, other: u64) {
        self.cut.insert((NodeId(one), NodeId(other)));
        self.cut.insert((NodeId(other), NodeId(one)));
    }

    /// Messages from `from` to `to` are lost from now on. Those in the other direction are not.
    pub fn cut_one_way(&mut self, from: u64, to: u64) {
        self.cut.insert((NodeId(from), NodeId(to)));
    }

    pub fn heal(&mut self, one: u64, other: u64) {
        self.cut.remove(&(NodeId(one), NodeId(other)));
        self.cut.remove(&(NodeId(other), NodeId(one)));
    }

    /// A node crashes, and loses its writes that were not synced.
    pub fn crash(&mut self, id: u64) {
        self.down.insert(NodeId(id));
        let node = self.nodes.get_mut(&NodeId(id)).unwrap();
        node.incarnation += 1;
        node.wake_at = Time::NEVER;
        node.syncing.clear();
        node.waiting.clear();
    }

    /// A node starts from its disk.
    pub fn restart(&mut self, id: u64) {
        self.crash(id);
        self.down.remove(&NodeId(id));
        let node = self.nodes.get_mut(&NodeId(id)).unwrap();
        node.config.seed += 1000;
        node.raft = Raft::new(node.config.clone(), node.stored.recovered(None)).unwrap();
        self.input(id, Input::Tick);
    }

    fn schedule(&mut self, at: Time, event: TimedEvent) {
        self.scheduled += 1;
        self.events
            .insert((at.max(self.now), self.scheduled), event);
    }

    /// Steps a node, performs its actions and returns them.
    pub fn input(&mut self, id: u64, input: Input) -> Vec<Action> {
        let (id, at) = (NodeId(id), self.now);
        if self.down.contains(&id) {
            return Vec::new();
        }
        let node = self.nodes.get_mut(&id).unwrap();
        let actions = node.raft.step(Event { at, input });
        for action in actions.clone() {
            self.perform(id, action);
        }
        actions
    }

    fn perform(&mut self, id: NodeId, action: Action) {
        let now = self.now;
        let node = self.nodes.get_mut(&id).unwrap();
        match action {
            Action::Send { to, message } => {
                let from = id;
                let packet = Packet {
                    from,
                    to,
                    message,
                    incarnation: None,
                };
                self.schedule(now.after(self.latency), TimedEvent::Deliver(packet));
            }
            Action::Persist(write) => {
                node.waiting.push(write);
                self.begin_sync(id);
            }
            Action::Apply { entries } => {
                let index = entries.last_id().unwrap().index;
                let input = Input::Applied { index };
                self.schedule(now, TimedEvent::Answer { node: id, input });
            }
            Action::WakeAt(at) => {
                node.wake_at = at;
                self.schedule(at, TimedEvent::Wake { node: id, at });
            }
            action => self.recorded.push(Recorded {
                at: now,
                node: id,
                action,
            }),
        }
    }

    fn begin_sync(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).unwrap();
        if !node.syncing.is_empty() || node.waiting.is_empty() {
            return;
        }
        node.syncing = std::mem::take(&mut node.waiting);
        let incarnation = node.incarnation;
        if let SyncTime::Takes(time) = node.sync {
            let event = TimedEvent::Synced {
                node: id,
                incarnation,
            };
            self.schedule(self.now.after(time), event);
        }
    }

    fn happen(&mut self, event: TimedEvent) {
        match event {
            TimedEvent::Deliver(Packet {
                from, to, message, ..
            }) => {
                if !self.cut.contains(&(from, to)) && self.nodes.contains_key(&to) {
                    *self.delivered.entry(message.kind()).or_default() += 1;
                    self.input(
                        to.0,
                        Input::Receive {
                            from,
                            message,
                            incarnation: None,
                        },
                    );
                }
            }
            TimedEvent::Wake { node, at } => {
                let known = self.nodes.get_mut(&node).unwrap();
                if known.wake_at == at {
                    known.wake_at = Time::NEVER;
                    self.input(node.0, Input::Tick);
                }
            }
            TimedEvent::Synced { node, incarnation } => {
                let known = self.nodes.get_mut(&node).unwrap();
                if known.incarnation != incarnation {
                    return;
                }
                let writes = std::mem::take(&mut known.syncing);
                for write in &writes {
                    known.stored.write(write);
                }
                self.begin_sync(node);
                if let Some(Write { seq, .. }) = writes.last() {
                    self.input(node.0, Input::Persisted { seq: *seq });
                }
            }
            TimedEvent::Answer { node, input } => {
                self.input(node.0, input);
            }
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while let Some(first) = self.events.first_entry()
            && first.key().0 <= end
        {
            let ((at, _), event) = first.remove_entry();
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    /// Lets time pass until `done`, at most `limit`; returns how long it took.
    pub fn run_until(
        &mut self,
        limit: Duration,
        done: impl Fn(&TimedCluster) -> bool,
    ) -> Option<Duration> {
        let begin = self.now;
        while !done(self) {
            if self.now.since(begin) >= limit {
                return None;
            }
            self.run(millis(1));
        }
        Some(self.now.since(begin))
    }

    /// The node that runs and leads in the highest term.
    pub fn leader(&self) -> Option<u64> {
        let up = self.nodes.iter().filter(|(id, _)| !self.down.contains(id));
        let leaders = up.filter(|(_, node)| node.raft.role() == RoleKind::Leader);
        let latest = leaders.max_by_key(|(_, node)| node.raft.term());
        latest.map(|(id, _)| id.0)
    }

    /// Lets time pass until there is a leader.
    pub fn elect(&mut self) -> u64 {
        let elected = self.run_until(seconds(60), |cluster| cluster.leader().is_some());
        assert!(elected.is_some(), "nobody leads");
        self.leader().unwrap()
    }

    pub fn propose(&mut self, id: u64, command: &str) -> Result<Proposal, ProposeError> {
        self.requests += 1;
        let request = RequestId(self.requests);
        let commands = Commands::from(bytes::Bytes::from(command.to_owned()));
        let id_and_commands = Input::Propose {
            id: request,
            commands,
        };
        let actions = self.input(id, id_and_commands);
        let outcome = |action: Action| match action {
            Action::Proposed { outcome, .. } => Some(outcome),
            _ => None,
        };
        actions.into_iter().find_map(outcome).unwrap()
    }

    /// Asks `id` to transfer its leadership.
    pub fn transfer(&mut self, id: u64, target: Option<u64>) -> RequestId {
        self.requests += 1;
        let request = RequestId(self.requests);
        let target = target.map(NodeId);
        let input = Input::TransferLeadership {
            id: request,
            target,
        };
        self.input(id, input);
        request
    }

    /// The outcome of a transfer, and when it came.
    pub fn transferred(&self, request: RequestId) -> Option<(Time, Result<NodeId, TransferError>)> {
        self.recorded.iter().find_map(|one| match one.action {
            Action::Transferred { id, outcome } if id == request => Some((one.at, outcome)),
            _ => None,
        })
    }

    /// How often a node became a candidate since `since`.
    pub fn elections_since(&self, since: Time) -> usize {
        let role = RoleKind::Candidate;
        let stands = |one: &&Recorded| matches!(one.action, Action::RoleChanged { role: found, .. } if found == role);
        let recent = self.recorded.iter().filter(|one| one.at >= since);
        recent.filter(stands).count()
    }
}

/// Gives the bootstrap voters these priorities, in order.
pub fn with_priorities(config: &mut Config, priorities: &[u8]) {
    if let Start::Bootstrap { members } = &mut config.start {
        for (member, priority) in members.iter_mut().zip(priorities) {
            member.priority = *priority;
        }
    }
}
