//! OmniPaxos 0.2 with `omnipaxos_storage::MemoryStorage`. The library leaves the type of entries to
//! its user: they are `Bytes`, which clone without copying.
use crate::cluster::{Cluster, Sink, payload};
use bytes::Bytes;
use omnipaxos::messages::Message;
use omnipaxos::storage::{Entry, NoSnapshot};
use omnipaxos::util::LogEntry;
use omnipaxos::{ClusterConfig, OmniPaxos, ServerConfig};
use omnipaxos_storage::memory_storage::MemoryStorage;

#[derive(Clone, Debug)]
struct Payload(Bytes);

impl Entry for Payload {
    type Snapshot = NoSnapshot;
}

struct Node {
    op: OmniPaxos<Payload, MemoryStorage<Payload>>,
    sink: Sink,
    next: usize,
}

pub struct Nodes {
    /// `nodes[0]` is the leader.
    nodes: Vec<Node>,
    /// The id of each of `nodes`.
    pid: Vec<u64>,
    /// The position in `nodes` of each id.
    slot: Vec<usize>,
    out: Vec<Message<Payload>>,
    disconnected: Vec<bool>,
    messages: u64,
}

impl Nodes {
    pub fn new(n: usize) -> Self {
        let pid: Vec<u64> = (1..=n as u64).collect();
        let mut cluster = Nodes {
            nodes: pid
                .iter()
                .map(|&id| {
                    let cluster = ClusterConfig {
                        configuration_id: 1,
                        nodes: pid.clone(),
                        ..Default::default()
                    };
                    let server = ServerConfig {
                        pid: id,
                        ..Default::default()
                    };
                    Node {
                        op: cluster
                            .build_for_server(server, MemoryStorage::default())
                            .unwrap(),
                        sink: Sink::default(),
                        next: 0,
                    }
                })
                .collect(),
            pid,
            slot: (0..=n).map(|i| i.saturating_sub(1)).collect(),
            out: Vec::new(),
            disconnected: vec![false; n],
            messages: 0,
        };
        for _ in 0..20 {
            for node in &mut cluster.nodes {
                node.op.tick();
            }
            cluster.pump();
        }
        // The node that won the election becomes node 0.
        let leader = cluster.nodes[0].op.get_current_leader().unwrap().0;
        let at = cluster.slot[leader as usize];
        cluster.nodes.swap(0, at);
        cluster.pid.swap(0, at);
        for (at, &id) in cluster.pid.iter().enumerate() {
            cluster.slot[id as usize] = at;
        }
        for node in &cluster.nodes {
            assert_eq!(node.op.get_current_leader(), Some((leader, true)));
        }
        cluster
    }

    fn index(&self, pid: u64) -> usize {
        self.slot[pid as usize]
    }
}

impl Cluster for Nodes {
    fn propose(&mut self, first: u64, count: usize, size: usize) {
        for seq in first..first + count as u64 {
            let payload = Payload(payload(seq, size).into());
            self.nodes[0].op.append(payload).ok().unwrap();
        }
    }
    fn pump(&mut self) {
        let mut out = std::mem::take(&mut self.out);
        loop {
            for node in &mut self.nodes {
                node.op.take_outgoing_messages(&mut out);
                let decided = node.op.get_decided_idx();
                if decided > node.next {
                    for entry in node.op.read_entries(node.next..decided).unwrap() {
                        match entry {
                            LogEntry::Decided(payload) => node.sink.apply(&payload.0),
                            entry => panic!("unexpected {entry:?}"),
                        }
                    }
                    node.next = decided;
                }
            }
            if out.is_empty() {
                break;
            }
            for message in out.drain(..) {
                let to = self.index(message.get_receiver());
                let from = self.index(message.get_sender());
                if !self.disconnected[to] && !self.disconnected[from] {
                    self.messages += 1;
                    self.nodes[to].op.handle_incoming(message);
                }
            }
        }
        self.out = out;
    }
    fn tick(&mut self) {
        for (node, disconnected) in self.nodes.iter_mut().zip(&self.disconnected) {
            if !disconnected {
                node.op.tick();
            }
        }
    }
    fn applied(&self, node: usize) -> u64 {
        self.nodes[node].sink.applied
    }
    fn compact(&mut self) {
        let to = self.nodes.iter().map(|node| node.next).min().unwrap();
        if self.nodes[0].op.trim(Some(to)).is_ok() {
            self.pump();
        }
    }
    fn disconnect(&mut self, node: usize) {
        self.disconnected[node] = true;
    }
    fn reconnect(&mut self, node: usize) {
        self.disconnected[node] = false;
        self.nodes[0].op.reconnected(self.pid[node]);
        self.nodes[node].op.reconnected(self.pid[0]);
    }
    fn messages(&self) -> u64 {
        self.messages
    }
}
