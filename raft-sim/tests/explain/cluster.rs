//! Cores on simulated time that record themselves. Each has a clock of its own.

use raft_proto::recording;
use raft_proto::{
    Action, ClusterId, Commands, Config, EntryId, Event, Index, Input, NodeId, Raft, Recovered,
    RequestId, RoleKind, Start, Time,
};
use raft_sim::explain::RecordedFile;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

pub(crate) const MILLI: u64 = 1_000_000;

/// How long a message is on its way, and how long a sync and applying take, unless a test says
/// otherwise.
pub(crate) const WIRE: u64 = MILLI;
pub(crate) const SYNC: u64 = 2 * MILLI;
pub(crate) const APPLY: u64 = MILLI / 2;

pub(crate) struct Node {
    pub(crate) raft: Raft,
    disk: Recovered,
    file: Vec<u8>,
    earlier: Vec<Vec<u8>>,
    /// Its clock is so far ahead of the true time.
    ahead: u64,
    pub(crate) sync: u64,
    disk_is_free_at: u64,
    runs: bool,
    /// Events of earlier instances are void.
    instance: u64,
    wake_at: Time,
}

/// An event for a node's instance.
struct Due {
    node: usize,
    instance: u64,
    what: What,
}

enum What {
    Input(Input),
    Wake(Time),
    Synced(Input, raft_proto::Write),
}

/// True times of a proposal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Truth {
    pub(crate) proposed: u64,
    pub(crate) applied: Option<u64>,
}

pub(crate) struct Cluster {
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node>,
    due: BTreeMap<u64, Due>,
    order: BinaryHeap<Reverse<(u64, u64)>>,
    next: u64,
    /// Links that carry nothing, from and to.
    cut: BTreeSet<(usize, usize)>,
    pub(crate) truth: BTreeMap<EntryId, (usize, Truth)>,
    requests: u64,
}

fn config(id: u64, seed: u64) -> Config {
    let start = Start::voters([1, 2, 3].map(NodeId));
    Config::new(ClusterId(7), NodeId(id), start, seed)
}

impl Cluster {
    pub(crate) fn new() -> Cluster {
        let node = |id: u64| {
            let raft = Raft::new(config(id, 42), Recovered::default()).unwrap();
            Node {
                file: recording::begin(&raft),
                raft,
                disk: Recovered::default(),
                earlier: Vec::new(),
                ahead: (id - 1) * 5_000 * MILLI + id,
                sync: SYNC,
                disk_is_free_at: 0,
                runs: true,
                instance: 0,
                wake_at: Time::NEVER,
            }
        };
        let mut cluster = Cluster {
            now: 0,
            nodes: (1..=3).map(node).collect(),
            due: BTreeMap::new(),
            order: BinaryHeap::new(),
            next: 0,
            cut: BTreeSet::new(),
            truth: BTreeMap::new(),
            requests: 0,
        };
        for at in 0..3 {
            cluster.step(at, Input::Tick);
        }
        cluster
    }

    fn after(&mut self, delay: u64, node: usize, what: What) {
        let instance = self.nodes[node].instance;
        let due = Due {
            node,
            instance,
            what,
        };
        self.order.push(Reverse((self.now + delay, self.next)));
        self.due.insert(self.next, due);
        self.next += 1;
    }

    pub(crate) fn step(&mut self, at: usize, input: Input) {
        let node = &mut self.nodes[at];
        let event = Event {
            at: Time(self.now + node.ahead),
            input,
        };
        recording::event_into(&mut node.file, &event);
        let actions = node.raft.step(event);
        recording::outcome_into(&mut node.file, &actions);
        for action in actions {
            self.perform(at, action);
        }
    }

    fn perform(&mut self, at: usize, action: Action) {
        let from = self.nodes[at].raft.id();
        if let Action::Send { to, message } = action {
            let to = to.0 as usize - 1;
            let input = Input::Receive {
                from,
                incarnation: None,
                message,
            };
            if !self.cut.contains(&(at, to)) {
                self.after(WIRE, to, What::Input(input));
            }
        } else if let Action::Persist(write) = action {
            let node = &mut self.nodes[at];
            let done = node.disk_is_free_at.max(self.now) + node.sync;
            node.disk_is_free_at = done;
            let input = Input::Persisted { seq: write.seq };
            self.after(done - self.now, at, What::Synced(input, write));
        } else if let Action::Apply { entries } = action {
            let index = entries.last_id().unwrap().index;
            self.after(APPLY, at, What::Input(Input::Applied { index }));
        } else if let Action::WakeAt(time) = action {
            let node = &mut self.nodes[at];
            node.wake_at = time;
            let delay = time.0.saturating_sub(self.now + node.ahead);
            self.after(delay, at, What::Wake(time));
        } else if let Action::Proposed { outcome, .. } = action {
            let first = outcome.unwrap().first;
            let proposed = self.now;
            let truth = Truth {
                proposed,
                applied: None,
            };
            self.truth.insert(first, (at, truth));
        }
    }

    fn applied(&mut self, at: usize, index: Index) {
        let now = self.now;
        let term = self.nodes[at].raft.term_at(index);
        for (id, (node, truth)) in &mut self.truth {
            if *node == at && Some(id.term) == term && id.index <= index {
                truth.applied.get_or_insert(now);
            }
        }
    }

    /// The next event. `None` if it would come after `limit`.
    fn next(&mut self, limit: u64) -> Option<()> {
        let Reverse((time, number)) = *self.order.peek()?;
        if time > limit {
            return None;
        }
        self.order.pop();
        let due = self.due.remove(&number)?;
        self.now = time;
        let node = &mut self.nodes[due.node];
        if !node.runs || node.instance != due.instance {
            // A message finds whichever instance runs.
            let is_message = matches!(due.what, What::Input(Input::Receive { .. }));
            if !node.runs || !is_message {
                return Some(());
            }
        }
        match due.what {
            What::Wake(at) if node.wake_at == at => self.step(due.node, Input::Tick),
            What::Wake(_) => {}
            What::Synced(input, write) => {
                node.disk.apply(&write);
                self.step(due.node, input);
            }
            What::Input(input) => {
                if let Input::Applied { index } = input {
                    self.applied(due.node, index);
                }
                self.step(due.node, input);
            }
        }
        Some(())
    }

    pub(crate) fn run(&mut self, nanos: u64) {
        let until = self.now + nanos;
        while self.next(until).is_some() {}
        self.now = until;
    }

    /// Runs until one of these nodes leads, and a little longer: all have heard of it.
    pub(crate) fn elect(&mut self, nodes: &[usize]) -> usize {
        let limit = self.now + 60_000 * MILLI;
        loop {
            let leads = |at: &&usize| self.nodes[**at].raft.role() == RoleKind::Leader;
            if let Some(at) = nodes.iter().find(leads).copied() {
                self.run(20 * MILLI);
                return at;
            }
            self.next(limit).expect("somebody is elected");
        }
    }

    pub(crate) fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    pub(crate) fn propose(&mut self, at: usize, command: &str) -> EntryId {
        let id = self.request();
        let commands = Commands::from(bytes::Bytes::from(command.to_owned()));
        self.step(at, Input::Propose { id, commands });
        self.nodes[at].raft.last_log()
    }

    /// Nothing goes between this node and the others any more.
    pub(crate) fn isolate(&mut self, at: usize) {
        let others = (0..3).filter(|other| *other != at);
        self.cut
            .extend(others.flat_map(|other| [(at, other), (other, at)]));
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(crate) fn kill(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        (node.runs, node.instance) = (false, node.instance + 1);
    }

    pub(crate) fn restart(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let config = config(at as u64 + 1, 43 + node.instance);
        node.raft = Raft::new(config, node.disk.clone()).unwrap();
        let begun = recording::begin(&node.raft);
        node.earlier.push(std::mem::replace(&mut node.file, begun));
        (node.runs, node.wake_at, node.disk_is_free_at) = (true, Time::NEVER, 0);
        // The clock of an instance counts from a time of its own.
        node.ahead += 77 * MILLI;
        self.step(at, Input::Tick);
    }

    /// The same instance goes on in another file.
    pub(crate) fn rotate(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let begun = recording::begin(&node.raft);
        node.earlier.push(std::mem::replace(&mut node.file, begun));
    }

    /// A true time by the clock of a node.
    pub(crate) fn clock(&self, at: usize, time: u64) -> u64 {
        time + self.nodes[at].ahead
    }

    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        for node in &self.nodes {
            for (number, file) in node.earlier.iter().chain([&node.file]).enumerate() {
                files.push((format!("{}-{number}.raftrec", node.raft.id()), file.clone()));
            }
        }
        files
    }
}

pub(crate) fn named(files: &[(String, Vec<u8>)]) -> Vec<RecordedFile<'_>> {
    let files = files.iter().map(|(name, bytes)| RecordedFile {
        name,
        bytes,
        times: None,
    });
    files.collect()
}
