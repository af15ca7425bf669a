//! OmniPaxos 0.2 with `omnipaxos_storage::MemoryStorage`. Entries are `Bytes`,
//! which clone without copying: the library leaves the type to its user.
use crate::cluster::{Cluster, Sink, payload};
use bytes::Bytes;
use omnipaxos::messages::Message;
use omnipaxos::storage::{Entry, NoSnapshot};
use omnipaxos::util::LogEntry;
use omnipaxos::{ClusterConfig, OmniPaxos, ServerConfig};
use omnipaxos_storage::memory_storage::MemoryStorage;

#[derive(Clone, Debug)]
struct P(Bytes);

impl Entry for P {
    type Snapshot = NoSnapshot;
}

struct Node {
    op: OmniPaxos<P, MemoryStorage<P>>,
    sink: Sink,
    next: usize,
}

pub struct Nodes {
    /// `nodes[0]` is the leader; `pid[i]` its id.
    nodes: Vec<Node>,
    pid: Vec<u64>,
    /// Where in `nodes` an id is.
    slot: Vec<usize>,
    out: Vec<Message<P>>,
    cut: Vec<bool>,
    messages: u64,
}

impl Nodes {
    pub fn new(n: usize) -> Self {
        let pid: Vec<u64> = (1..=n as u64).collect();
        let mut p = Nodes {
            nodes: pid
                .iter()
                .map(|&id| {
                    let c = ClusterConfig {
                        configuration_id: 1,
                        nodes: pid.clone(),
                        ..Default::default()
                    };
                    let s = ServerConfig {
                        pid: id,
                        ..Default::default()
                    };
                    Node {
                        op: c.build_for_server(s, MemoryStorage::default()).unwrap(),
                        sink: Sink::default(),
                        next: 0,
                    }
                })
                .collect(),
            pid,
            slot: (0..=n).map(|i| i.saturating_sub(1)).collect(),
            out: Vec::new(),
            cut: vec![false; n],
            messages: 0,
        };
        for _ in 0..20 {
            for n in &mut p.nodes {
                n.op.tick();
            }
            p.pump();
        }
        // Put whoever won first.
        let leader = p.nodes[0].op.get_current_leader().unwrap().0;
        let at = p.slot[leader as usize];
        p.nodes.swap(0, at);
        p.pid.swap(0, at);
        for (i, &id) in p.pid.iter().enumerate() {
            p.slot[id as usize] = i;
        }
        for n in &p.nodes {
            assert_eq!(n.op.get_current_leader(), Some((leader, true)));
        }
        p
    }

    fn index(&self, pid: u64) -> usize {
        self.slot[pid as usize]
    }
}

impl Cluster for Nodes {
    fn propose(&mut self, first: u64, count: usize, size: usize) {
        for s in first..first + count as u64 {
            let p = P(payload(s, size).into());
            self.nodes[0].op.append(p).ok().unwrap();
        }
    }
    fn pump(&mut self) {
        let mut out = std::mem::take(&mut self.out);
        loop {
            for n in &mut self.nodes {
                n.op.take_outgoing_messages(&mut out);
                let decided = n.op.get_decided_idx();
                if decided > n.next {
                    for e in n.op.read_entries(n.next..decided).unwrap() {
                        match e {
                            LogEntry::Decided(p) => n.sink.apply(&p.0),
                            e => panic!("unexpected {e:?}"),
                        }
                    }
                    n.next = decided;
                }
            }
            if out.is_empty() {
                break;
            }
            for m in out.drain(..) {
                let (to, from) = (self.index(m.get_receiver()), self.index(m.get_sender()));
                if !self.cut[to] && !self.cut[from] {
                    self.messages += 1;
                    self.nodes[to].op.handle_incoming(m);
                }
            }
        }
        self.out = out;
    }
    fn tick(&mut self) {
        for (n, cut) in self.nodes.iter_mut().zip(&self.cut) {
            if !cut {
                n.op.tick();
            }
        }
    }
    fn applied(&self, node: usize) -> u64 {
        self.nodes[node].sink.applied
    }
    fn compact(&mut self) {
        let to = self.nodes.iter().map(|n| n.next).min().unwrap();
        if self.nodes[0].op.trim(Some(to)).is_ok() {
            self.pump();
        }
    }
    fn isolate(&mut self, node: usize, cut: bool) {
        self.cut[node] = cut;
        if !cut {
            self.nodes[0].op.reconnected(self.pid[node]);
            self.nodes[node].op.reconnected(self.pid[0]);
        }
    }
    fn messages(&self) -> u64 {
        self.messages
    }
}
