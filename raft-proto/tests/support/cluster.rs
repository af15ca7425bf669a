//! A cluster of cores in memory. Messages wait in a queue until a test delivers, drops or reorders
//! them. Writes complete in the step that asks for them, or when a test says so.

use super::storage::store;
use raft_proto::*;
use std::collections::BTreeMap;
use std::time::Duration;

pub const HEARTBEAT: Duration = Duration::from_millis(100);

/// A message on its way through the network.
#[derive(Clone, Debug)]
pub struct Packet {
    pub from: NodeId,
    pub to: NodeId,
    /// The sender's storage.
    pub incarnation: Option<Incarnation>,
    pub message: Message,
}

/// When the writes of a node complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// In the step that asks for them.
    Instant,
    /// When the test syncs.
    Manual,
}

/// A core, with what its disk and its service hold.
pub struct Node {
    pub raft: Raft,
    pub config: Config,
    pub disk: Disk,
    /// What a restart finds: all completed writes.
    pub stored: Recovered,
    /// The writes that the core asked for and that are not complete, oldest first.
    pub waiting: Vec<Write>,
    /// The commands applied since the last restore.
    pub applied: Vec<String>,
    pub wake_at: Time,
    /// The actions that the cluster only records: outcomes, changes of role, rejections and so on.
    pub other_actions: Vec<Action>,
    /// The bytes of complete snapshots.
    pub snapshots: BTreeMap<SnapshotId, Vec<u8>>,
    /// The chunks received so far of a snapshot.
    pub partial: Vec<u8>,
}

pub struct Cluster {
    pub nodes: BTreeMap<NodeId, Node>,
    pub queue: Vec<Packet>,
    pub now: Time,
    next_request: u64,
}

pub fn config(id: u64, voters: u64) -> Config {
    let voters = (1..=voters).map(NodeId);
    let mut config = Config::new(ClusterId(7), NodeId(id), Start::voters(voters), 42);
    config.heartbeat_interval = HEARTBEAT;
    config.leader_noop = LeaderNoop::Off;
    // Only what Figure 2 says. The extensions have tests of their own.
    config.pre_vote = PreVoting::Off;
    config.check_quorum = CheckQuorum::Off;
    config
}

impl Cluster {
    pub fn new(count: u64) -> Cluster {
        Cluster::with(count, |_| {})
    }

    pub fn with(count: u64, change: impl Fn(&mut Config)) -> Cluster {
        let mut cluster = Cluster {
            nodes: BTreeMap::new(),
            queue: Vec::new(),
            now: Time::ZERO,
            next_request: 0,
        };
        for id in 1..=count {
            let mut config = config(id, count);
            change(&mut config);
            cluster.add(config);
        }
        cluster
    }

    /// A node with an empty disk starts.
    pub fn add(&mut self, config: Config) {
        let id = config.node_id;
        let node = Node {
            raft: Raft::new(config.clone(), Recovered::default()).unwrap(),
            config,
            disk: Disk::Instant,
            stored: Recovered::default(),
            waiting: Vec::new(),
            applied: Vec::new(),
            wake_at: Time::NEVER,
            other_actions: Vec::new(),
            snapshots: BTreeMap::new(),
            partial: Vec::new(),
        };
        self.nodes.insert(id, node);
        self.input(id.0, Input::Tick);
    }

    pub fn raft(&self, id: u64) -> &Raft {
        &self.nodes[&NodeId(id)].raft
    }

    pub fn node(&mut self, id: u64) -> &mut Node {
        self.nodes.get_mut(&NodeId(id)).unwrap()
    }

    /// Steps a node, performs its actions and returns them.
    pub fn input(&mut self, id: u64, input: Input) -> Vec<Action> {
        let at = self.now;
        let actions = self.node(id).raft.step(Event { at, input });
        // All actions are performed before an answer goes back to the core, so that entries are
        // applied in the order in which they were handed out.
        let mut answers = Vec::new();
        for action in actions.clone() {
            answers.extend(self.perform(id, action));
        }
        for input in answers {
            self.input(id, input);
        }
        actions
    }

    /// Performs an action. Returns what the driver reports about it.
    fn perform(&mut self, id: u64, action: Action) -> Option<Input> {
        let node = self.nodes.get_mut(&NodeId(id)).unwrap();
        match action {
            Action::Send { to, message } => self.queue.push(Packet {
                from: NodeId(id),
                to,
                incarnation: node.raft.incarnation(),
                message,
            }),
            Action::Persist(write) => match node.disk {
                Disk::Instant => {
                    store(&mut node.stored, &write);
                    return Some(Input::Persisted { seq: write.seq });
                }
                Disk::Manual => node.waiting.push(write),
            },
            Action::Apply { entries } => {
                for entry in &entries {
                    if entry.kind() == EntryKind::Command {
                        let command = String::from_utf8(entry.payload().to_vec());
                        node.applied.push(command.unwrap());
                    }
                }
                let index = entries.last_id().unwrap().index;
                return Some(Input::Applied { index });
            }
            Action::Restore { ref snapshot } => {
                let last = snapshot.id.last.index;
                node.applied.clear();
                node.other_actions.push(action);
                return Some(Input::Applied { index: last });
            }
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => {
                let result = match node.snapshots.get(&snapshot) {
                    Some(bytes) => {
                        let range = offset as usize..(offset + length) as usize;
                        Ok(bytes[range].to_vec().into())
                    }
                    None => Err(SnapshotReadFailed::Gone),
                };
                return Some(Input::SnapshotRead {
                    peer,
                    snapshot,
                    offset,
                    result,
                });
            }
            Action::WriteSnapshot {
                snapshot,
                offset,
                data,
            } => {
                node.partial.truncate(offset as usize);
                assert_eq!(node.partial.len() as u64, offset);
                node.partial.extend_from_slice(&data);
                if node.partial.len() as u64 == snapshot.size {
                    node.snapshots.insert(snapshot, node.partial.clone());
                }
                return Some(Input::SnapshotWritten {
                    snapshot,
                    offset,
                    result: Ok(()),
                });
            }
            Action::WakeAt(at) => node.wake_at = at,
            action => node.other_actions.push(action),
        }
        None
    }

    /// Completes the oldest `count` writes that wait, and reports the last of them.
    pub fn sync(&mut self, id: u64, count: usize) {
        let node = self.node(id);
        let writes: Vec<Write> = node.waiting.drain(..count).collect();
        let Some(seq) = writes.last().map(|write| write.seq) else {
            return;
        };
        for write in &writes {
            store(&mut node.stored, write);
        }
        self.input(id, Input::Persisted { seq });
    }

    /// A node crashes, loses its writes that were not synced, and starts from its disk.
    pub fn restart(&mut self, id: u64) {
        self.queue.retain(|packet| packet.to != NodeId(id));
        let node = self.node(id);
        node.waiting.clear();
        node.partial.clear();
        node.config.seed += 1;
        node.raft = Raft::new(node.config.clone(), node.stored.clone()).unwrap();
        node.applied.clear();
        node.wake_at = Time::NEVER;
        self.input(id, Input::Tick);
    }

    /// Delivers the messages that wait and those that follow, until no message is left.
    pub fn deliver(&mut self) {
        self.deliver_if(|_| true);
    }

    /// Does the same, but drops the messages that do not pass.
    pub fn deliver_if(&mut self, pass: impl Fn(&Packet) -> bool) {
        for _ in 0..100_000 {
            if self.queue.is_empty() {
                return;
            }
            let packet = self.queue.remove(0);
            if pass(&packet) {
                self.deliver_packet(packet);
            }
        }
        panic!("the messages never end");
    }

    pub fn deliver_packet(&mut self, packet: Packet) -> Vec<Action> {
        let Packet {
            from,
            to,
            incarnation,
            message,
        } = packet;
        let input = Input::Receive {
            from,
            incarnation,
            message,
        };
        self.input(to.0, input)
    }

    /// Takes all messages out of the queue.
    pub fn take_packets(&mut self) -> Vec<Packet> {
        std::mem::take(&mut self.queue)
    }

    /// Lets time pass without a tick.
    pub fn wait(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
    }

    pub fn tick(&mut self, id: u64) -> Vec<Action> {
        self.input(id, Input::Tick)
    }

    /// Lets the election timeout of `id` elapse, so that it campaigns.
    pub fn campaign(&mut self, id: u64) {
        assert_ne!(
            self.raft(id).role(),
            RoleKind::Leader,
            "leaders do not campaign"
        );
        let at = self.node(id).wake_at;
        // Deadlines are lazy: the first tick may only name the next deadline.
        self.now = self.now.max(at);
        let before = self.raft(id).term();
        while self.raft(id).term() == before {
            self.now = self.now.max(self.node(id).wake_at);
            self.tick(id);
        }
    }

    /// Makes `id` the leader, with the votes of all nodes.
    pub fn elect(&mut self, id: u64) {
        self.campaign(id);
        self.deliver();
        assert_eq!(self.raft(id).role(), RoleKind::Leader);
    }

    pub fn propose(&mut self, id: u64, command: &str) -> Result<Proposal, ProposeError> {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        let commands = Commands::from(bytes::Bytes::from(command.to_owned()));
        let actions = self.input(
            id,
            Input::Propose {
                id: request,
                commands,
            },
        );
        let outcome = actions.into_iter().find_map(|action| match action {
            Action::Proposed { id, outcome } if id == request => Some(outcome),
            _ => None,
        });
        outcome.expect("the step that takes a proposal gives its outcome")
    }

    /// The commands that a node has applied since the last restore.
    pub fn applied(&self, id: u64) -> &[String] {
        &self.nodes[&NodeId(id)].applied
    }

    /// The log as `index@term` of every entry.
    pub fn log(&self, id: u64) -> Vec<String> {
        let all = self.raft(id).entries(Index(1), Index::MAX);
        all.iter().map(|entry| entry.id().to_string()).collect()
    }

    /// The service of a node has made a snapshot that ends at `index`.
    pub fn compact(&mut self, id: u64, index: u64, bytes: &[u8]) -> SnapshotId {
        let snapshot = SnapshotId {
            last: EntryId {
                index: Index(index),
                term: self.raft(id).term_at(Index(index)).unwrap(),
            },
            size: bytes.len() as u64,
            checksum: Checksum::of(bytes),
        };
        self.node(id).snapshots.insert(snapshot, bytes.to_vec());
        self.input(id, Input::Compact { snapshot });
        snapshot
    }

    /// Hands `id` a message, forged or real.
    pub fn receive(&mut self, id: u64, from: u64, message: Message) -> Vec<Action> {
        let from = NodeId(from);
        self.input(
            id,
            Input::Receive {
                from,
                message,
                incarnation: None,
            },
        )
    }

    /// What node `id` has sent since the queue was last empty; empties the queue.
    pub fn sent_by(&mut self, id: u64) -> Vec<(u64, Message)> {
        let mine = |packet: &Packet| packet.from == NodeId(id);
        let taken = self.take_packets();
        let mine = taken.into_iter().filter(mine);
        mine.map(|packet| (packet.to.0, packet.message)).collect()
    }

    /// Delivers the waiting messages of `from` to `to` alone; the others stay.
    pub fn deliver_between(&mut self, from: u64, to: u64) {
        let (now, later): (Vec<Packet>, Vec<Packet>) = self
            .take_packets()
            .into_iter()
            .partition(|packet| packet.from == NodeId(from) && packet.to == NodeId(to));
        self.queue = later;
        for packet in now {
            self.deliver_packet(packet);
        }
    }

    /// Lets a heartbeat interval pass, so that `leader` sends what is due.
    pub fn send_heartbeats(&mut self, leader: u64) -> Vec<Action> {
        self.wait(HEARTBEAT);
        self.tick(leader)
    }

    /// What `leader` knows about its peer `id`.
    pub fn peer(&self, leader: u64, id: u64) -> PeerStatus {
        let mut peers = self.raft(leader).status().peers.into_iter();
        peers.find(|peer| peer.id == NodeId(id)).unwrap()
    }

    /// The last indexes of the snapshots that a node has restored.
    pub fn restored(&self, id: u64) -> Vec<Index> {
        let restored = |action: &Action| match action {
            Action::Restore { snapshot } => Some(snapshot.id.last.index),
            _ => None,
        };
        let actions = self.nodes[&NodeId(id)].other_actions.iter();
        actions.filter_map(restored).collect()
    }

    /// The snapshots that a node has released.
    pub fn released(&self, id: u64) -> Vec<SnapshotId> {
        let released = |action: &Action| match action {
            Action::ReleaseSnapshot { snapshot } => Some(*snapshot),
            _ => None,
        };
        let actions = self.nodes[&NodeId(id)].other_actions.iter();
        actions.filter_map(released).collect()
    }

    /// What a node has rejected or refused, and the peers that it has accused of lost state.
    pub fn complaints(&self, id: u64) -> Vec<Action> {
        let complains = |action: &&Action| {
            matches!(
                action,
                Action::Rejected { .. } | Action::LostState { .. } | Action::Refused { .. }
            )
        };
        let actions = self.nodes[&NodeId(id)].other_actions.iter();
        actions.filter(complains).cloned().collect()
    }
}
