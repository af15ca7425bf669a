//! No consensus at all: the cost of the harness itself, which makes a payload, checks it on every
//! node and drops it.
use crate::cluster::{Cluster, Sink, payload};

pub struct Null {
    sinks: Vec<Sink>,
    queue: Vec<Vec<u8>>,
}

impl Null {
    pub fn new(nodes: usize) -> Self {
        Null {
            sinks: (0..nodes).map(|_| Sink::default()).collect(),
            queue: Vec::new(),
        }
    }
}

impl Cluster for Null {
    fn propose(&mut self, first: u64, count: usize, size: usize) {
        self.queue
            .extend((first..first + count as u64).map(|seq| payload(seq, size)));
    }
    fn pump(&mut self) {
        for payload in self.queue.drain(..) {
            for sink in &mut self.sinks {
                sink.apply(std::hint::black_box(&payload));
            }
        }
    }
    fn tick(&mut self) {}
    fn applied(&self, node: usize) -> u64 {
        self.sinks[node].applied
    }
    fn compact(&mut self) {}
    fn disconnect(&mut self, _: usize) {}
    fn reconnect(&mut self, _: usize) {}
    fn messages(&self) -> u64 {
        0
    }
}
