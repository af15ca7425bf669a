//! A cluster that a script controls. Each message, sync and crash happens when the script says so,
//! and all events and actions are recorded in the words of `raft_proto::trace`.

use crate::support::Disk;
use crate::support::storage::Storage;
use bytes::Bytes;
use raft_proto::*;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A core, with what its disk and its service hold.
pub struct Node {
    config: Config,
    disk: Disk,
    /// None while the node is down.
    pub raft: Option<Raft>,
    /// Each node has a clock of its own, so that one can time out alone.
    clock: Time,
    wake_at: Time,
    stored: Storage,
    waiting: VecDeque<Write>,
    /// The state machine: the commands that it has applied.
    pub applied: Vec<String>,
    applied_index: Index,
    /// The bytes of complete snapshots.
    files: BTreeMap<SnapshotId, Bytes>,
    /// The chunks received so far of a snapshot.
    partial: Vec<u8>,
    /// Whether the entries on its disk can be read.
    pub log: StoredLog,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredLog {
    Readable,
    Unreadable,
}

/// A message on its way through the network.
#[derive(Clone, Debug)]
pub struct Packet {
    pub from: u64,
    pub to: u64,
    /// The term of the sender when it sent the message.
    term: Term,
    pub message: Message,
}

/// The messages that a command means: those from and to the nodes named, or all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Route {
    pub from: Option<u64>,
    pub to: Option<u64>,
}

impl Route {
    pub fn includes(self, packet: &Packet) -> bool {
        self.from.is_none_or(|from| from == packet.from) && self.to.is_none_or(|to| to == packet.to)
    }
}

#[derive(Default)]
pub struct ScriptedCluster {
    nodes: BTreeMap<u64, Node>,
    network: Vec<Packet>,
    requests: u64,
    /// The trace since it was last taken.
    lines: Vec<String>,
}

/// The settings of a script's cluster, unless the script says otherwise.
pub fn config(id: u64, nodes: u64) -> Config {
    let voters = (1..=nodes).map(NodeId);
    let mut config = Config::new(ClusterId(7), NodeId(id), Start::voters(voters), 42);
    config.leader_noop = LeaderNoop::Off;
    // Only what Figure 2 says. The extensions have scripts of their own.
    config.pre_vote = PreVoting::Off;
    config.check_quorum = CheckQuorum::Off;
    config.trailing_entries = 0;
    config
}

impl ScriptedCluster {
    /// `nodes` voters, and `spare` nodes that may join the cluster later.
    pub fn new(
        nodes: u64,
        spare: u64,
        disk: Disk,
        change: impl Fn(&mut Config),
    ) -> ScriptedCluster {
        let mut cluster = ScriptedCluster::default();
        for id in 1..=nodes + spare {
            let mut config = config(id, nodes);
            if id > nodes {
                config.start = Start::Join;
            }
            change(&mut config);
            let node = Node {
                config,
                disk,
                raft: None,
                clock: Time::ZERO,
                wake_at: Time::NEVER,
                stored: Storage::default(),
                waiting: VecDeque::new(),
                applied: Vec::new(),
                applied_index: Index::ZERO,
                files: BTreeMap::new(),
                partial: Vec::new(),
                log: StoredLog::Readable,
            };
            cluster.nodes.insert(id, node);
            cluster.restart(id);
        }
        cluster
    }

    /// The trace since the last call, one fact a line.
    pub fn take_lines(&mut self) -> String {
        let lines: Vec<String> = std::mem::take(&mut self.lines);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    pub fn node(&mut self, id: u64) -> &mut Node {
        self.nodes.get_mut(&id).expect("the script names a node")
    }

    pub fn raft(&self, id: u64) -> &Raft {
        let node = self.nodes.get(&id).expect("the script names a node");
        node.raft.as_ref().expect("the node is up")
    }

    pub fn applied(&mut self, id: u64) -> &[String] {
        &self.node(id).applied
    }

    pub fn set_disk(&mut self, id: u64, disk: Disk) {
        self.node(id).disk = disk;
    }

    pub fn input(&mut self, id: u64, input: Input) {
        let node = self.node(id);
        let at = node.clock;
        let Some(raft) = node.raft.as_mut() else {
            return;
        };
        let node = NodeId(id);
        let term = raft.term();
        let input_line = trace::input(trace::NodeAtTerm { node, term }, &input).to_string();
        let actions = raft.step(Event {
            at,
            input: input.clone(),
        });
        let term = raft.term();
        let traced = |action: &&Action| !matches!(action, Action::WakeAt(_));
        let action_lines: Vec<String> = actions
            .iter()
            .filter(traced)
            .map(|action| trace::action(trace::NodeAtTerm { node, term }, action).to_string())
            .collect();
        // A tick or a report of the state machine that leads to no action would be noise.
        let is_traced = match input {
            Input::Tick | Input::Applied { .. } => !action_lines.is_empty(),
            _ => true,
        };
        if is_traced {
            self.lines.push(input_line);
        }
        self.lines.extend(action_lines);
        for action in actions {
            self.perform(id, term, action);
        }
        if self.node(id).disk == Disk::Instant {
            self.sync(id, usize::MAX);
        }
    }

    fn perform(&mut self, id: u64, term: Term, action: Action) {
        let node = self.node(id);
        match action {
            Action::Send { to, message } => self.network.push(Packet {
                from: id,
                to: to.0,
                term,
                message,
            }),
            Action::Persist(write) => node.waiting.push_back(write),
            Action::Apply { entries } => {
                node.apply(&entries);
                let index = node.applied_index;
                self.input(id, Input::Applied { index });
            }
            Action::Restore { snapshot } => {
                node.load(snapshot.id);
                let index = snapshot.id.last.index;
                self.input(id, Input::Applied { index });
            }
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => {
                let result = node.read_chunk(snapshot, offset, length);
                self.input(
                    id,
                    Input::SnapshotRead {
                        peer,
                        snapshot,
                        offset,
                        result,
                    },
                );
            }
            Action::WriteSnapshot {
                snapshot,
                offset,
                data,
            } => {
                node.write_chunk(snapshot, offset, &data);
                let result = Ok(());
                self.input(
                    id,
                    Input::SnapshotWritten {
                        snapshot,
                        offset,
                        result,
                    },
                );
            }
            Action::ReleaseSnapshot { snapshot } => {
                node.files.remove(&snapshot);
            }
            Action::WakeAt(at) => node.wake_at = at,
            Action::ReadEntries {
                peer,
                from,
                to,
                max_bytes,
            } => {
                let entries = node.read_entries(from.index, to.index, max_bytes);
                self.input(
                    id,
                    Input::EntriesRead {
                        peer,
                        from,
                        entries,
                    },
                );
            }
            Action::Proposed { .. }
            | Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::Campaigning { .. }
            | Action::SteppedDown { .. }
            | Action::Reconfigured { .. }
            | Action::Overdue(_)
            | Action::MembershipChanged { .. }
            | Action::RoleChanged { .. }
            | Action::LeaderChanged { .. }
            | Action::Rejected { .. }
            | Action::Refused { .. }
            | Action::LostState { .. }
            | Action::SnapshotDamaged { .. }
            | Action::EntryRefused { .. }
            | Action::Removed { .. }
            | Action::ForeignIncarnation(_)
            | Action::Replaced { .. }
            | Action::Faulted { .. } => {}
        }
    }

    /// Completes the oldest `count` writes of a node with one sync.
    pub fn sync(&mut self, id: u64, count: usize) {
        let node = self.node(id);
        let count = count.min(node.waiting.len());
        let mut last = None;
        for write in node.waiting.drain(..count) {
            node.stored.write(&write);
            last = Some(write.seq);
        }
        if let Some(seq) = last {
            self.input(id, Input::Persisted { seq });
        }
    }

    /// The clock of a node goes on from deadline to deadline until it campaigns.
    pub fn campaign(&mut self, id: u64) {
        let before = self.raft(id).term();
        self.reach_deadlines_until(id, |raft| raft.term() != before);
    }

    /// The clock of a node goes on from deadline to deadline until it is no follower.
    pub fn start_election(&mut self, id: u64) {
        self.reach_deadlines_until(id, |raft| raft.role() != RoleKind::Follower);
    }

    /// Deadlines are lazy: the first tick may only name the next deadline.
    fn reach_deadlines_until(&mut self, id: u64, is_done: impl Fn(&Raft) -> bool) {
        for _ in 0..4 {
            let node = self.node(id);
            assert_ne!(node.wake_at, Time::NEVER, "the node has no deadline");
            node.clock = node.clock.max(node.wake_at);
            self.input(id, Input::Tick);
            if is_done(self.raft(id)) {
                return;
            }
        }
        panic!("n{id} starts no election");
    }

    /// A node takes a request under the next id.
    pub fn request(&mut self, node: u64, input: impl FnOnce(RequestId) -> Input) {
        self.requests += 1;
        self.input(node, input(RequestId(self.requests)));
    }

    pub fn tick(&mut self, id: u64) {
        self.input(id, Input::Tick);
    }

    /// Time passes for all nodes or for `only` one, and due timers fire.
    pub fn wait(&mut self, time: Duration, only: Option<u64>) {
        let ids: Vec<u64> = self.nodes.keys().copied().collect();
        for id in ids {
            if only.is_none_or(|only| only == id) {
                let node = self.node(id);
                node.clock = node.clock.after(time);
                if node.wake_at <= node.clock {
                    self.input(id, Input::Tick);
                }
            }
        }
    }

    /// The number of packets on the route.
    pub fn count_packets(&self, route: Route) -> usize {
        self.network
            .iter()
            .filter(|packet| route.includes(packet))
            .count()
    }

    /// Takes the packet of the route after the first `skip` ones out of the network.
    pub fn take(&mut self, route: Route, skip: usize) -> Option<Packet> {
        let mut taken = (0..self.network.len()).filter(|at| route.includes(&self.network[*at]));
        let at = taken.nth(skip)?;
        Some(self.network.remove(at))
    }

    pub fn deliver(&mut self, packet: Packet) {
        let Packet {
            from, to, message, ..
        } = packet;
        let from = NodeId(from);
        if self.node(to).raft.is_none() {
            self.lines.push(format!("n{to} is down: a message is lost"));
        }
        self.input(
            to,
            Input::Receive {
                from,
                message,
                incarnation: None,
            },
        );
    }

    /// Records that a packet is lost.
    pub fn lose(&mut self, packet: &Packet) {
        let line = packet.line();
        self.lines.push(format!("{line} (dropped)"));
    }

    /// Puts a copy of a packet into the network.
    pub fn duplicate(&mut self, packet: Packet) {
        let line = packet.line();
        self.lines.push(format!("{line} (duplicated)"));
        self.network.push(packet);
    }

    pub fn crash(&mut self, id: u64) {
        let node = self.node(id);
        let lost = node.waiting.len();
        node.raft = None;
        node.waiting.clear();
        node.partial.clear();
        node.wake_at = Time::NEVER;
        self.lines
            .push(format!("n{id} crashes: {lost} writes lost"));
    }

    pub fn restart(&mut self, id: u64) {
        let node = self.node(id);
        node.applied.clear();
        node.applied_index = Index::ZERO;
        if let Some(snapshot) = &node.stored.snapshot {
            node.load(snapshot.id);
        }
        node.config.seed += 1;
        let recovered = node.stored.recovered(None);
        let raft = Raft::new(node.config.clone(), recovered).expect("a sound storage");
        node.raft = Some(raft);
        self.input(id, Input::Tick);
    }

    pub fn propose(&mut self, node: u64, commands: &[String]) {
        let commands: Vec<Bytes> = commands.iter().cloned().map(Bytes::from).collect();
        let commands = Commands::from(commands);
        self.request(node, |id| Input::Propose { id, commands });
    }

    /// The service makes a snapshot of all that it has applied up to `index`.
    pub fn compact(&mut self, id: u64, index: u64) {
        let term = self.raft(id).term_at(Index(index)).expect("an entry there");
        let log = self.raft(id).entries(Index(1), Index(index));
        let node = self.node(id);
        // The log may begin after an earlier snapshot, whose commands come first.
        let later = log
            .iter()
            .filter(|entry| entry.kind() == EntryKind::Command);
        let later: Vec<String> = later
            .map(|entry| String::from_utf8_lossy(entry.payload()).into_owned())
            .collect();
        let commands_left = node.applied_index.since(Index(index)) as usize;
        let end = node.applied.len().saturating_sub(commands_left);
        assert!(
            node.applied[..end].ends_with(&later),
            "the commands of the log were applied"
        );
        let bytes = Bytes::from(node.applied[..end].join(","));
        let snapshot = SnapshotId {
            last: EntryId::new(index, term.0),
            size: bytes.len() as u64,
            checksum: Checksum::of(&bytes),
        };
        node.files.insert(snapshot, bytes);
        self.input(id, Input::Compact { snapshot });
    }
}

impl Packet {
    /// The line of the trace with which it was sent.
    fn line(&self) -> String {
        let node_at_term = trace::NodeAtTerm {
            node: NodeId(self.from),
            term: self.term,
        };
        let (to, message) = (NodeId(self.to), self.message.clone());
        trace::action(node_at_term, &Action::Send { to, message }).to_string()
    }
}

impl Node {
    fn apply(&mut self, entries: &Entries) {
        for entry in entries {
            if entry.kind() == EntryKind::Command {
                let text = String::from_utf8_lossy(entry.payload());
                self.applied.push(text.into_owned());
            }
        }
        self.applied_index = entries.last_id().expect("at least one entry").index;
    }

    fn read_entries(&self, from: Index, to: Index, max_bytes: u64) -> Option<Entries> {
        match self.log {
            StoredLog::Readable => self.stored.read(from, to, max_bytes),
            StoredLog::Unreadable => None,
        }
    }

    fn read_chunk(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, SnapshotReadFailed> {
        let range = offset as usize..(offset + length) as usize;
        let file = self.files.get(&snapshot).ok_or(SnapshotReadFailed::Gone)?;
        Ok(file.slice(range))
    }

    fn write_chunk(&mut self, snapshot: SnapshotId, offset: u64, data: &[u8]) {
        self.partial.truncate(offset as usize);
        self.partial.extend_from_slice(data);
        if self.partial.len() as u64 == snapshot.size {
            let file = std::mem::take(&mut self.partial);
            self.files.insert(snapshot, file.into());
        }
    }

    /// The state machine becomes that of the snapshot.
    fn load(&mut self, snapshot: SnapshotId) {
        let bytes = &self.files[&snapshot];
        let text = String::from_utf8_lossy(bytes);
        self.applied = text.split(',').map(str::to_owned).collect();
        self.applied_index = snapshot.last.index;
    }
}
