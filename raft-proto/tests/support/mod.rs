//! A cluster of cores in memory for tests: messages wait in a queue until a test delivers,
//! drops or reorders them; writes complete when a test says so.
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::wildcard_enum_match_arm)]

mod messages;

pub use messages::*;
use raft_proto::*;
use std::collections::BTreeMap;
use std::time::Duration;

pub const HEARTBEAT: Duration = Duration::from_millis(100);

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Parcel {
    pub from: NodeId,
    pub to: NodeId,
    pub message: Message,
}

/// Whether writes complete in the step that asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    Instant,
    Manual,
}

/// A core with what its disk and service hold.
pub struct Node {
    pub raft: Raft,
    pub config: Config,
    pub disk: Disk,
    /// Everything written and not lost, as a restart finds it.
    pub stored: Recovered,
    pub waiting: Vec<Write>,
    /// (index, term, payload) of every command applied since the last restore.
    pub applied: Vec<(u64, u64, Vec<u8>)>,
    pub wake_at: Time,
    /// All that came out and was not a message, a write or an entry to apply.
    pub notes: Vec<Action>,
    /// Snapshot bytes by id, and the partial file.
    pub snapshots: BTreeMap<SnapshotId, Vec<u8>>,
    pub partial: Vec<u8>,
}

/// The effect of a write on what is stored, as the contract states it.
pub fn store(stored: &mut Recovered, write: &Write) {
    if let Some(identity) = &write.identity {
        stored.identity = Some((**identity).clone());
    }
    if let Some(hard_state) = write.hard_state {
        stored.hard_state = hard_state;
    }
    let keep = |entries: &Entries, test: &dyn Fn(Index) -> bool| {
        let mut builder = EntriesBuilder::new();
        for entry in entries.iter().filter(|entry| test(entry.index())) {
            builder
                .push(entry.id(), entry.kind(), entry.share_payload())
                .unwrap();
        }
        builder
    };
    if let Some(install) = &write.install {
        let last = install.snapshot.id.last.index;
        stored.entries = match install.log {
            InstalledLog::KeepsTail => keep(&stored.entries, &|index| index > last).finish(),
            InstalledLog::IsDropped => Entries::EMPTY,
        };
        stored.snapshot = Some(install.snapshot.clone());
    }
    if let Some(compact) = &write.compact {
        stored.entries = keep(&stored.entries, &|index| index > compact.drop_through).finish();
        stored.snapshot = Some(compact.snapshot.clone());
    }
    if let Some(first) = write.entries.first_index() {
        let mut builder = keep(&stored.entries, &|index| index < first);
        for entry in &write.entries {
            builder
                .push(entry.id(), entry.kind(), entry.share_payload())
                .unwrap();
        }
        stored.entries = builder.finish();
    }
}

pub struct Cluster {
    pub nodes: BTreeMap<NodeId, Node>,
    pub queue: Vec<Parcel>,
    pub now: Time,
    next_request: u64,
}

pub fn config(id: u64, voters: u64) -> Config {
    let voters = (1..=voters).map(NodeId);
    let mut config = Config::new(ClusterId(7), NodeId(id), Start::voters(voters), 42);
    config.heartbeat_interval = HEARTBEAT;
    config.leader_noop = LeaderNoop::Off;
    // What Figure 2 says, and no more; the rest has tests of its own.
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
            let raft = Raft::new(config.clone(), Recovered::default()).unwrap();
            let node = Node {
                raft,
                config,
                disk: Disk::Instant,
                stored: Recovered::default(),
                waiting: Vec::new(),
                applied: Vec::new(),
                wake_at: Time::NEVER,
                notes: Vec::new(),
                snapshots: BTreeMap::new(),
                partial: Vec::new(),
            };
            cluster.nodes.insert(NodeId(id), node);
            cluster.input(id, Input::Tick);
        }
        cluster
    }

    pub fn raft(&self, id: u64) -> &Raft {
        &self.nodes[&NodeId(id)].raft
    }

    pub fn node(&mut self, id: u64) -> &mut Node {
        self.nodes.get_mut(&NodeId(id)).unwrap()
    }

    /// Steps a node and performs what comes out; returns it as well.
    pub fn input(&mut self, id: u64, input: Input) -> Vec<Action> {
        let at = self.now;
        let actions = self.node(id).raft.step(Event { at, input });
        // All of a step is performed before anything is fed back, so that entries are applied in
        // the order in which they came out.
        let mut fed_back = Vec::new();
        for action in actions.clone() {
            fed_back.extend(self.perform(id, action));
        }
        for input in fed_back {
            self.input(id, input);
        }
        actions
    }

    /// Performs an action; returns what the driver reports of it.
    fn perform(&mut self, id: u64, action: Action) -> Option<Input> {
        let node = self.nodes.get_mut(&NodeId(id)).unwrap();
        match action {
            Action::Send { to, message } => self.queue.push(Parcel {
                from: NodeId(id),
                to,
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
                        let payload = entry.payload().to_vec();
                        node.applied
                            .push((entry.index().0, entry.term().0, payload));
                    }
                }
                let index = entries.last_id().unwrap().index;
                return Some(Input::Applied { index });
            }
            Action::Restore { ref snapshot } => {
                let last = snapshot.id.last.index;
                node.applied.clear();
                node.notes.push(action);
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
            action => node.notes.push(action),
        }
        None
    }

    /// Completes the oldest `count` writes that wait.
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

    /// Loses what was not synced and starts again from the disk.
    pub fn restart(&mut self, id: u64) {
        let at = self.now;
        self.queue.retain(|parcel| parcel.to != NodeId(id));
        let node = self.node(id);
        node.waiting.clear();
        node.partial.clear();
        node.config.seed += 1;
        node.raft = Raft::new(node.config.clone(), node.stored.clone()).unwrap();
        node.applied.clear();
        node.wake_at = Time::NEVER;
        let _ = at;
        self.input(id, Input::Tick);
    }

    /// Delivers the messages that wait and those that follow, until none is left.
    pub fn deliver(&mut self) {
        self.deliver_if(|_| true);
    }

    /// Likewise, but drops those that do not pass.
    pub fn deliver_if(&mut self, pass: impl Fn(&Parcel) -> bool) {
        for _ in 0..100_000 {
            if self.queue.is_empty() {
                return;
            }
            let parcel = self.queue.remove(0);
            if pass(&parcel) {
                self.hand_over(parcel);
            }
        }
        panic!("messages never end");
    }

    pub fn hand_over(&mut self, parcel: Parcel) -> Vec<Action> {
        let Parcel { from, to, message } = parcel;
        self.input(to.0, Input::Receive { from, message })
    }

    /// Takes the messages that wait out of the queue.
    pub fn take(&mut self) -> Vec<Parcel> {
        std::mem::take(&mut self.queue)
    }

    /// Lets time pass without ticking anybody.
    pub fn wait(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
    }

    pub fn tick(&mut self, id: u64) -> Vec<Action> {
        self.input(id, Input::Tick)
    }

    /// Makes `id` campaign now, whatever its timeout.
    pub fn campaign(&mut self, id: u64) {
        assert_ne!(
            self.raft(id).role(),
            RoleKind::Leader,
            "leaders do not campaign"
        );
        let at = self.node(id).wake_at;
        // Deadlines are lazy: the first tick may only name the next one.
        self.now = self.now.max(at);
        let before = self.raft(id).term();
        while self.raft(id).term() == before {
            self.now = self.now.max(self.node(id).wake_at);
            self.tick(id);
        }
    }

    /// Makes `id` the leader with the votes of all.
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
        outcome.expect("the outcome comes out of the same step")
    }

    /// The applied commands as text.
    pub fn applied(&self, id: u64) -> Vec<String> {
        let text =
            |(_, _, payload): &(u64, u64, Vec<u8>)| String::from_utf8(payload.clone()).unwrap();
        self.nodes[&NodeId(id)].applied.iter().map(text).collect()
    }

    /// The log as `index@term` of every entry.
    pub fn log(&self, id: u64) -> Vec<String> {
        let all = self.raft(id).entries(Index(1), Index::MAX);
        all.iter().map(|entry| entry.id().to_string()).collect()
    }

    /// Makes a snapshot at `index` of a node.
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
}

impl Cluster {
    /// Hands `id` a message, forged or real.
    pub fn receive(&mut self, id: u64, from: u64, message: Message) -> Vec<Action> {
        let from = NodeId(from);
        self.input(id, Input::Receive { from, message })
    }

    /// What node `id` has sent since the queue was last empty; empties the queue.
    pub fn sent_by(&mut self, id: u64) -> Vec<(u64, Message)> {
        let mine = |parcel: &Parcel| parcel.from == NodeId(id);
        let taken = self.take();
        let mine = taken.into_iter().filter(mine);
        mine.map(|parcel| (parcel.to.0, parcel.message)).collect()
    }

    /// Delivers the waiting messages of `from` to `to` alone; the others stay.
    pub fn deliver_between(&mut self, from: u64, to: u64) {
        let (now, later): (Vec<Parcel>, Vec<Parcel>) = self
            .take()
            .into_iter()
            .partition(|parcel| parcel.from == NodeId(from) && parcel.to == NodeId(to));
        self.queue = later;
        for parcel in now {
            self.hand_over(parcel);
        }
    }

    /// Lets a heartbeat interval pass for a leader, and sends what is due.
    pub fn beat(&mut self, leader: u64) -> Vec<Action> {
        self.wait(HEARTBEAT);
        self.tick(leader)
    }
}
