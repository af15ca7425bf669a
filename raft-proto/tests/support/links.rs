//! A cluster on a virtual clock: messages take time, get lost and overtake each other, links have a
//! bandwidth, and disks take their time to sync.

use bytes::Bytes;
use raft_proto::*;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

/// How messages travel.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// Each message takes a time drawn from here: it overtakes others if this is a wide range.
    pub delay: (Duration, Duration),
    /// How many messages of a thousand are lost.
    pub loss: u64,
    /// Bytes in a second over each link, one message after the other.
    pub bandwidth: Option<u64>,
}

/// How long a disk takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    Takes(Duration),
    /// It makes no progress.
    Stalled,
}

pub struct TimedNode {
    pub raft: Raft,
    pub sync: Sync,
    /// How long the driver takes to write a chunk of a snapshot.
    pub chunk_write: Duration,
    /// The writes that no sync has covered. Nothing here restarts, so nothing is stored.
    waiting: Vec<Seq>,
    is_syncing: bool,
    wake_at: Time,
    pub applied: u64,
    /// Snapshots with their bytes as storage gives them back: a test may damage them.
    pub snapshots: BTreeMap<SnapshotId, Vec<u8>>,
    partial: Vec<u8>,
    pub other_actions: Vec<Action>,
    /// How many chunks the core asked for.
    pub chunk_reads: usize,
}

enum Happens {
    Delivery {
        from: u64,
        to: u64,
        message: Message,
    },
    Wake {
        node: u64,
        at: Time,
    },
    Synced {
        node: u64,
        count: usize,
    },
    Written {
        node: u64,
        input: Input,
    },
}

pub struct Timed {
    pub now: Time,
    pub network: Network,
    pub nodes: BTreeMap<u64, TimedNode>,
    /// Messages from or to these nodes are lost.
    pub cut_off: Vec<u64>,
    /// Bytes of entries and chunks sent to each node.
    pub bytes_sent: BTreeMap<u64, u64>,
    pub messages_sent: u64,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    happens: BTreeMap<u64, Happens>,
    link_free_at: BTreeMap<(u64, u64), Time>,
    number: u64,
    random: u64,
    /// How many applied entries make a snapshot due, and how long it is.
    pub snapshot_every: Option<(u64, usize)>,
}

pub fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

impl Timed {
    pub fn new(count: u64, network: Network, change: impl Fn(&mut Config)) -> Timed {
        let mut timed = Timed {
            now: Time::ZERO,
            network,
            nodes: BTreeMap::new(),
            cut_off: Vec::new(),
            bytes_sent: BTreeMap::new(),
            messages_sent: 0,
            queue: BinaryHeap::new(),
            happens: BTreeMap::new(),
            link_free_at: BTreeMap::new(),
            number: 0,
            random: 1,
            snapshot_every: None,
        };
        for id in 1..=count {
            let voters = Start::voters((1..=count).map(NodeId));
            let mut config = Config::new(ClusterId(7), NodeId(id), voters, 42);
            change(&mut config);
            let node = TimedNode {
                raft: Raft::new(config, Recovered::default()).unwrap(),
                sync: Sync::Takes(millis(1)),
                chunk_write: Duration::ZERO,
                waiting: Vec::new(),
                is_syncing: false,
                wake_at: Time::NEVER,
                applied: 0,
                snapshots: BTreeMap::new(),
                partial: Vec::new(),
                other_actions: Vec::new(),
                chunk_reads: 0,
            };
            timed.nodes.insert(id, node);
            timed.input(id, Input::Tick);
        }
        timed
    }

    fn draw(&mut self, from: Duration, to: Duration) -> Duration {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005);
        self.random = self.random.wrapping_add(1_442_695_040_888_963_407);
        let span = (to - from).as_nanos() as u64 + 1;
        from + Duration::from_nanos((self.random >> 16) % span)
    }

    fn at(&mut self, at: Time, happens: Happens) {
        self.number += 1;
        self.queue.push(Reverse((at, self.number)));
        self.happens.insert(self.number, happens);
    }

    pub fn raft(&self, id: u64) -> &Raft {
        &self.nodes[&id].raft
    }

    pub fn node(&mut self, id: u64) -> &mut TimedNode {
        self.nodes.get_mut(&id).unwrap()
    }

    pub fn input(&mut self, id: u64, input: Input) {
        let at = self.now;
        let actions = self.node(id).raft.step(Event { at, input });
        let mut answers = Vec::new();
        for action in actions {
            answers.extend(self.perform(id, action));
        }
        for input in answers {
            self.input(id, input);
        }
        self.begin_sync(id);
    }

    fn perform(&mut self, id: u64, action: Action) -> Option<Input> {
        let now = self.now;
        let node = self.nodes.get_mut(&id).unwrap();
        match action {
            Action::Send { to, message } => self.send(id, to.0, message),
            Action::Persist(write) => node.waiting.push(write.seq),
            Action::WakeAt(at) => {
                node.wake_at = at;
                self.at(at.max(now), Happens::Wake { node: id, at });
            }
            Action::Apply { entries } => {
                node.applied += entries.len() as u64;
                let last = entries.last_id().unwrap();
                if let Some((every, size)) = self.snapshot_every
                    && node.applied >= every
                {
                    node.applied = 0;
                    let snapshot = self.store_snapshot(id, last, size);
                    self.input(id, Input::Applied { index: last.index });
                    return Some(Input::Compact { snapshot });
                }
                return Some(Input::Applied { index: last.index });
            }
            Action::Restore { ref snapshot } => {
                let index = snapshot.id.last.index;
                node.other_actions.push(action);
                return Some(Input::Applied { index });
            }
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => {
                node.chunk_reads += 1;
                let range = offset as usize..(offset + length) as usize;
                let stored = node.snapshots.get(&snapshot);
                let result = stored.map(|bytes| Bytes::from(bytes[range].to_vec()));
                return Some(Input::SnapshotRead {
                    peer,
                    snapshot,
                    offset,
                    result: result.ok_or(SnapshotReadFailed::Gone),
                });
            }
            Action::WriteSnapshot {
                snapshot,
                offset,
                data,
            } => {
                node.partial.truncate(offset as usize);
                node.partial.extend_from_slice(&data);
                if node.partial.len() as u64 == snapshot.size {
                    node.snapshots.insert(snapshot, node.partial.clone());
                }
                let input = Input::SnapshotWritten {
                    snapshot,
                    offset,
                    result: Ok(()),
                };
                let at = now.after(node.chunk_write);
                self.at(at, Happens::Written { node: id, input });
            }
            Action::ReleaseSnapshot { snapshot } => {
                node.snapshots.remove(&snapshot);
            }
            action => node.other_actions.push(action),
        }
        None
    }

    /// The service of a node makes a snapshot of `size` bytes.
    pub fn store_snapshot(&mut self, id: u64, last: EntryId, size: usize) -> SnapshotId {
        let bytes: Vec<u8> = (0..size)
            .map(|at| (at as u64 ^ last.index.0) as u8)
            .collect();
        let snapshot = SnapshotId {
            last,
            size: size as u64,
            checksum: Checksum::of(&bytes),
        };
        self.node(id).snapshots.insert(snapshot, bytes);
        snapshot
    }

    fn send(&mut self, from: u64, to: u64, message: Message) {
        let payload = match &message {
            Message::AppendEntries(append) => {
                let entries = append.entries.iter();
                entries.map(|entry| entry.payload().len() as u64 + 16).sum()
            }
            Message::InstallSnapshot(chunk) => chunk.data.len() as u64,
            _ => 0,
        };
        *self.bytes_sent.entry(to).or_default() += payload;
        self.messages_sent += 1;
        let is_lost = self
            .draw(Duration::ZERO, Duration::from_nanos(999))
            .as_nanos() as u64;
        if is_lost < self.network.loss || [from, to].iter().any(|id| self.cut_off.contains(id)) {
            return;
        }
        let mut at = self.now;
        if let Some(bandwidth) = self.network.bandwidth {
            let free_at = self.link_free_at.entry((from, to)).or_insert(Time::ZERO);
            let nanos = (payload + 64) * 1_000_000_000 / bandwidth;
            at = (*free_at).max(at).after(Duration::from_nanos(nanos));
            *free_at = at;
        }
        let (least, most) = self.network.delay;
        let delay = self.draw(least, most);
        self.at(at.after(delay), Happens::Delivery { from, to, message });
    }

    /// One sync at a time, of everything that waits.
    pub fn begin_sync(&mut self, id: u64) {
        let now = self.now;
        let node = self.node(id);
        if node.is_syncing || node.waiting.is_empty() {
            return;
        }
        if let Sync::Takes(duration) = node.sync {
            node.is_syncing = true;
            let count = node.waiting.len();
            self.at(now.after(duration), Happens::Synced { node: id, count });
        }
    }

    /// Lets `duration` pass.
    pub fn run(&mut self, duration: Duration) {
        let until = self.now.after(duration);
        while let Some(Reverse((at, number))) = self.queue.peek().copied() {
            if at > until {
                break;
            }
            self.queue.pop();
            self.now = at;
            match self.happens.remove(&number).unwrap() {
                Happens::Delivery { from, to, message } => {
                    let from = NodeId(from);
                    self.input(
                        to,
                        Input::Receive {
                            from,
                            message,
                            incarnation: None,
                        },
                    );
                }
                Happens::Wake { node, at } => {
                    if self.node(node).wake_at == at {
                        self.input(node, Input::Tick);
                    }
                }
                Happens::Synced { node: id, count } => {
                    let node = self.node(id);
                    node.is_syncing = false;
                    let last = node.waiting.drain(..count).next_back();
                    if let Some(seq) = last {
                        self.input(id, Input::Persisted { seq });
                    }
                }
                Happens::Written { node, input } => self.input(node, input),
            }
        }
        self.now = until;
    }

    /// The leader, once there is one.
    pub fn elect(&mut self) -> u64 {
        for _ in 0..1_000 {
            if let Some(leader) = self.leader() {
                return leader;
            }
            self.run(millis(10));
        }
        panic!("no leader in ten seconds");
    }

    pub fn leader(&self) -> Option<u64> {
        let leads = |id: &&u64| self.raft(**id).role() == RoleKind::Leader;
        let leaders = self.nodes.keys().filter(leads);
        leaders.max_by_key(|id| self.raft(**id).term()).copied()
    }

    /// Proposes a command of `size` bytes; whether it was taken.
    pub fn propose(&mut self, id: u64, size: usize) -> bool {
        let commands = Commands::from(Bytes::from(vec![b'x'; size]));
        let before = self.raft(id).last_log().index;
        let id_of_request = RequestId(self.number);
        self.input(
            id,
            Input::Propose {
                id: id_of_request,
                commands,
            },
        );
        self.raft(id).last_log().index > before
    }

    /// Lets `duration` pass while the leader always has `depth` commands of `size` bytes that are
    /// not committed.
    pub fn run_under_load(&mut self, duration: Duration, depth: u64, size: usize) {
        let until = self.now.after(duration);
        while self.now < until {
            if let Some(leader) = self.leader() {
                let waits = |raft: &Raft| raft.last_log().index.since(raft.commit_index());
                while waits(self.raft(leader)) < depth && self.propose(leader, size) {}
            }
            self.run(millis(1));
        }
    }

    /// What `leader` knows about its peer `id`.
    pub fn peer(&self, leader: u64, id: u64) -> PeerStatus {
        let mut peers = self.raft(leader).status().peers.into_iter();
        peers.find(|peer| peer.id == NodeId(id)).unwrap()
    }

    pub fn count(&self, id: u64, is_counted: impl Fn(&Action) -> bool) -> usize {
        let actions = self.nodes[&id].other_actions.iter();
        actions.filter(|action| is_counted(action)).count()
    }

    pub fn restores(&self, id: u64) -> usize {
        self.count(id, |action| matches!(action, Action::Restore { .. }))
    }
}
