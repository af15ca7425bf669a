//! raft-io 1.0 with its `MemoryLog`: `step(Event) -> Vec<Action>`.
use crate::cluster::{Cluster, Sink, payload};
use raft_io::{Action, Event, Message, RaftConfig, RaftNode};
use std::collections::VecDeque;

pub struct Nodes {
    nodes: Vec<RaftNode>,
    sinks: Vec<Sink>,
    /// The index that each node has applied.
    applied: Vec<u64>,
    queue: VecDeque<(usize, Message)>,
    disconnected: Vec<bool>,
    messages: u64,
}

impl Nodes {
    pub fn new(n: usize) -> Self {
        let ids: Vec<u64> = (0..n as u64).collect();
        let nodes = ids
            .iter()
            .map(|&id| {
                RaftNode::new(
                    RaftConfig::new(id, ids.clone())
                        .with_max_batch(4096)
                        .with_snapshot_threshold(0)
                        .with_seed(id + 1),
                )
            })
            .collect();
        let mut cluster = Nodes {
            nodes,
            sinks: (0..n).map(|_| Sink::default()).collect(),
            applied: vec![0; n],
            queue: VecDeque::new(),
            disconnected: vec![false; n],
            messages: 0,
        };
        while !cluster.nodes[0].is_leader() {
            cluster.tick();
            cluster.pump();
        }
        cluster.tick();
        cluster.pump();
        cluster
    }

    fn step(&mut self, at: usize, event: Event) {
        for action in self.nodes[at].step(event).unwrap() {
            match action {
                Action::Send { to, message } => {
                    let to = to as usize;
                    if !self.disconnected[at] && !self.disconnected[to] {
                        self.queue.push_back((to, message));
                    }
                }
                Action::Apply { index, command, .. } => {
                    self.applied[at] = index;
                    if !command.is_empty() {
                        self.sinks[at].apply(&command);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Cluster for Nodes {
    fn propose(&mut self, first: u64, count: usize, size: usize) {
        for seq in first..first + count as u64 {
            self.step(0, Event::Propose(payload(seq, size)));
        }
    }
    fn pump(&mut self) {
        while let Some((to, message)) = self.queue.pop_front() {
            self.messages += 1;
            self.step(to, Event::Message(message));
        }
    }
    fn tick(&mut self) {
        self.step(0, Event::Tick);
    }
    fn applied(&self, node: usize) -> u64 {
        self.sinks[node].applied
    }
    fn compact(&mut self) {
        let index = *self.applied.iter().min().unwrap();
        for at in 0..self.nodes.len() {
            let data = Vec::new();
            self.step(at, Event::Snapshot { index, data });
        }
    }
    fn disconnect(&mut self, node: usize) {
        self.disconnected[node] = true;
    }
    fn reconnect(&mut self, node: usize) {
        self.disconnected[node] = false;
    }
    fn messages(&self) -> u64 {
        self.messages
    }
}
