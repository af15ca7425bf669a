//! raft-io 1.0 with its `MemoryLog`: `step(Event) -> Vec<Action>`.
use crate::cluster::{Cluster, Sink, payload};
use raft_io::{Action, Event, Message, RaftConfig, RaftNode};
use std::collections::VecDeque;

pub struct Nodes {
    nodes: Vec<RaftNode>,
    sinks: Vec<Sink>,
    index: Vec<u64>,
    queue: VecDeque<(usize, Message)>,
    cut: Vec<bool>,
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
        let mut p = Nodes {
            nodes,
            sinks: (0..n).map(|_| Sink::default()).collect(),
            index: vec![0; n],
            queue: VecDeque::new(),
            cut: vec![false; n],
            messages: 0,
        };
        while !p.nodes[0].is_leader() {
            p.tick();
            p.pump();
        }
        p.tick();
        p.pump();
        p
    }

    fn step(&mut self, i: usize, e: Event) {
        for a in self.nodes[i].step(e).unwrap() {
            match a {
                Action::Send { to, message } => {
                    let to = to as usize;
                    if !self.cut[i] && !self.cut[to] {
                        self.queue.push_back((to, message));
                    }
                }
                Action::Apply { index, command, .. } => {
                    self.index[i] = index;
                    if !command.is_empty() {
                        self.sinks[i].apply(&command);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Cluster for Nodes {
    fn propose(&mut self, first: u64, count: usize, size: usize) {
        for s in first..first + count as u64 {
            self.step(0, Event::Propose(payload(s, size)));
        }
    }
    fn pump(&mut self) {
        while let Some((to, m)) = self.queue.pop_front() {
            self.messages += 1;
            self.step(to, Event::Message(m));
        }
    }
    fn tick(&mut self) {
        self.step(0, Event::Tick);
    }
    fn applied(&self, node: usize) -> u64 {
        self.sinks[node].applied
    }
    fn compact(&mut self) {
        let index = *self.index.iter().min().unwrap();
        for i in 0..self.nodes.len() {
            let data = Vec::new();
            self.step(i, Event::Snapshot { index, data });
        }
    }
    fn isolate(&mut self, node: usize, cut: bool) {
        self.cut[node] = cut;
    }
    fn messages(&self) -> u64 {
        self.messages
    }
}
