//! Not consensus: the least data movement that a replicated log can do, as a lower bound. Each
//! follower gets one append and sends one acknowledgement per batch. A majority decides the commit
//! index, which followers learn from the next append or heartbeat. Entries are applied by
//! reference. There are no terms, no elections, no errors.
//! - by entry: every log holds every payload as `Bytes`, a reference count each;
//! - by batch: the logs share whole batches, a reference count per batch.
use crate::cluster::{Cluster, Sink, payload};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

type Batch = Arc<Vec<Bytes>>;

enum Log {
    Entries(VecDeque<Bytes>),
    Batches(VecDeque<Batch>),
}

struct Node {
    log: Log,
    /// The index of the last entry.
    last: u64,
    /// The index of the last committed entry.
    commit: u64,
    /// By entry: how many entries were dropped from the front of the log. By batch: the position of
    /// the next batch to apply.
    base: u64,
    sink: Sink,
}

enum Message {
    Append {
        prev: u64,
        batch: Option<Batch>,
        commit: u64,
    },
    Ack {
        last: u64,
    },
}

pub struct Floor {
    nodes: Vec<Node>,
    matched: Vec<u64>,
    queue: VecDeque<Delivery>,
    messages: u64,
}

/// A message on its way between two slots of `nodes`.
struct Delivery {
    from: usize,
    to: usize,
    message: Message,
}

impl Node {
    fn new(log: Log) -> Self {
        Node {
            log,
            last: 0,
            commit: 0,
            base: 0,
            sink: Sink::default(),
        }
    }
    fn append(&mut self, batch: &Batch) {
        match &mut self.log {
            Log::Entries(log) => log.extend(batch.iter().cloned()),
            Log::Batches(log) => log.push_back(batch.clone()),
        }
        self.last += batch.len() as u64;
    }
    fn commit(&mut self, to: u64) {
        self.commit = self.commit.max(to.min(self.last));
        match &self.log {
            Log::Entries(log) => {
                let from = (self.sink.applied - self.base) as usize;
                let to = (self.commit - self.base) as usize;
                for entry in log.range(from..to.max(from)) {
                    self.sink.apply(entry);
                }
            }
            Log::Batches(log) => {
                while self.sink.applied < self.commit {
                    let batch = &log[self.base as usize];
                    self.base += 1;
                    for entry in batch.iter() {
                        self.sink.apply(entry);
                    }
                }
            }
        }
    }
    fn compact(&mut self, applied_by_all: u64) {
        match &mut self.log {
            Log::Entries(log) => {
                log.drain(..(applied_by_all - self.base) as usize);
                self.base = applied_by_all;
            }
            // Only approximately: everything that this node has applied.
            Log::Batches(log) => {
                log.drain(..self.base as usize);
                self.base = 0;
            }
        }
    }
}

impl Floor {
    pub fn by_entry(nodes: usize) -> Self {
        let node = |_| Node::new(Log::Entries(VecDeque::new()));
        Floor::new((0..nodes).map(node).collect())
    }

    pub fn by_batch(nodes: usize) -> Self {
        let node = |_| Node::new(Log::Batches(VecDeque::new()));
        Floor::new((0..nodes).map(node).collect())
    }

    fn new(nodes: Vec<Node>) -> Self {
        Floor {
            matched: vec![0; nodes.len()],
            nodes,
            queue: VecDeque::new(),
            messages: 0,
        }
    }

    /// Sends an append of the leader to every follower.
    fn send_append(&mut self, prev: u64, batch: Option<&Batch>) {
        let commit = self.nodes[0].commit;
        for to in 1..self.nodes.len() {
            let message = Message::Append {
                prev,
                batch: batch.cloned(),
                commit,
            };
            self.queue.push_back(Delivery {
                from: 0,
                to,
                message,
            });
        }
    }
}

impl Cluster for Floor {
    fn propose(&mut self, first: u64, count: usize, size: usize) {
        let seqs = first..first + count as u64;
        let batch: Batch = Arc::new(seqs.map(|seq| payload(seq, size).into()).collect());
        let prev = self.nodes[0].last;
        self.nodes[0].append(&batch);
        self.matched[0] = self.nodes[0].last;
        self.send_append(prev, Some(&batch));
    }
    fn pump(&mut self) {
        while let Some(Delivery { from, to, message }) = self.queue.pop_front() {
            self.messages += 1;
            let node = &mut self.nodes[to];
            match message {
                Message::Append {
                    prev,
                    batch,
                    commit,
                } => {
                    if let Some(batch) = batch {
                        assert_eq!(prev, node.last);
                        node.append(&batch);
                        let message = Message::Ack { last: node.last };
                        self.queue.push_back(Delivery {
                            from: to,
                            to: from,
                            message,
                        });
                    }
                    node.commit(commit);
                }
                Message::Ack { last } => {
                    self.matched[from] = last;
                    let mut sorted = [0u64; 8];
                    let sorted = &mut sorted[..self.matched.len()];
                    sorted.copy_from_slice(&self.matched);
                    sorted.sort_unstable();
                    let commit = sorted[(sorted.len() - 1) / 2];
                    if commit > node.commit {
                        node.commit(commit);
                    }
                }
            }
        }
    }
    fn tick(&mut self) {
        self.send_append(self.nodes[0].last, None);
    }
    fn applied(&self, node: usize) -> u64 {
        self.nodes[node].sink.applied
    }
    fn compact(&mut self) {
        let applied = self.nodes.iter().map(|node| node.sink.applied);
        let applied_by_all = applied.min().unwrap();
        for node in &mut self.nodes {
            node.compact(applied_by_all);
        }
    }
    fn disconnect(&mut self, _: usize) {}
    fn reconnect(&mut self, _: usize) {}
    fn messages(&self) -> u64 {
        self.messages
    }
}
