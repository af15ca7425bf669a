//! Not consensus: the least data movement a replicated log can do, as a lower
//! bound. Three logs, one append and one acknowledgement per follower and batch, a
//! commit index by majority that followers learn from the next append or heartbeat,
//! entries applied by reference. No terms, no elections, no errors.
//! - by entry: every log holds every payload as `Bytes` (a reference count each);
//! - by batch: the logs share whole batches (a reference count per batch).
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
    /// Index of the last entry, of the last committed one.
    last: u64,
    commit: u64,
    /// By entry: entries dropped from the front of the log. By batch: position of
    /// the next batch to apply.
    base: u64,
    sink: Sink,
}

enum Msg {
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
    /// To, from, message.
    queue: VecDeque<(usize, usize, Msg)>,
    messages: u64,
}

impl Node {
    fn append(&mut self, b: &Batch) {
        match &mut self.log {
            Log::Entries(l) => l.extend(b.iter().cloned()),
            Log::Batches(l) => l.push_back(b.clone()),
        }
        self.last += b.len() as u64;
    }
    fn commit(&mut self, to: u64) {
        self.commit = self.commit.max(to.min(self.last));
        match &self.log {
            Log::Entries(l) => {
                let from = (self.sink.applied - self.base) as usize;
                let to = (self.commit - self.base) as usize;
                for e in l.range(from..to.max(from)) {
                    self.sink.apply(e);
                }
            }
            Log::Batches(l) => {
                while self.sink.applied < self.commit {
                    let b = &l[self.base as usize];
                    self.base += 1;
                    for e in b.iter() {
                        self.sink.apply(e);
                    }
                }
            }
        }
    }
    fn compact(&mut self, applied_by_all: u64) {
        match &mut self.log {
            Log::Entries(l) => {
                l.drain(..(applied_by_all - self.base) as usize);
                self.base = applied_by_all;
            }
            // Approximately: what this node has applied.
            Log::Batches(l) => {
                l.drain(..self.base as usize);
                self.base = 0;
            }
        }
    }
}

impl Floor {
    pub fn new(n: usize, by_batch: bool) -> Self {
        let node = || Node {
            log: if by_batch {
                Log::Batches(VecDeque::new())
            } else {
                Log::Entries(VecDeque::new())
            },
            last: 0,
            commit: 0,
            base: 0,
            sink: Sink::default(),
        };
        Floor {
            nodes: (0..n).map(|_| node()).collect(),
            matched: vec![0; n],
            queue: VecDeque::new(),
            messages: 0,
        }
    }
}

impl Cluster for Floor {
    fn propose(&mut self, first: u64, count: usize, size: usize) {
        let seqs = first..first + count as u64;
        let b: Batch = Arc::new(seqs.map(|s| payload(s, size).into()).collect());
        let prev = self.nodes[0].last;
        self.nodes[0].append(&b);
        self.matched[0] = self.nodes[0].last;
        let commit = self.nodes[0].commit;
        for to in 1..self.nodes.len() {
            let batch = Some(b.clone());
            self.queue.push_back((
                to,
                0,
                Msg::Append {
                    prev,
                    batch,
                    commit,
                },
            ));
        }
    }
    fn pump(&mut self) {
        while let Some((to, from, m)) = self.queue.pop_front() {
            self.messages += 1;
            let n = &mut self.nodes[to];
            match m {
                Msg::Append {
                    prev,
                    batch,
                    commit,
                } => {
                    if let Some(b) = batch {
                        assert_eq!(prev, n.last);
                        n.append(&b);
                        let ack = Msg::Ack { last: n.last };
                        self.queue.push_back((from, to, ack));
                    }
                    n.commit(commit);
                }
                Msg::Ack { last } => {
                    self.matched[from] = last;
                    let mut m = [0u64; 8];
                    let m = &mut m[..self.matched.len()];
                    m.copy_from_slice(&self.matched);
                    m.sort_unstable();
                    let commit = m[(m.len() - 1) / 2];
                    if commit > n.commit {
                        n.commit(commit);
                    }
                }
            }
        }
    }
    fn tick(&mut self) {
        let (prev, commit) = (self.nodes[0].last, self.nodes[0].commit);
        for to in 1..self.nodes.len() {
            let batch = None;
            self.queue.push_back((
                to,
                0,
                Msg::Append {
                    prev,
                    batch,
                    commit,
                },
            ));
        }
    }
    fn applied(&self, node: usize) -> u64 {
        self.nodes[node].sink.applied
    }
    fn compact(&mut self) {
        let to = self.nodes.iter().map(|n| n.sink.applied).min().unwrap();
        for n in &mut self.nodes {
            n.compact(to);
        }
    }
    fn isolate(&mut self, _: usize, _: bool) {}
    fn messages(&self) -> u64 {
        self.messages
    }
}
