//! No consensus at all: what the harness itself costs (make a payload, check it
//! on every node, drop it).
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
            .extend((first..first + count as u64).map(|s| payload(s, size)));
    }
    fn pump(&mut self) {
        for p in self.queue.drain(..) {
            for s in &mut self.sinks {
                s.apply(std::hint::black_box(&p));
            }
        }
    }
    fn tick(&mut self) {}
    fn applied(&self, node: usize) -> u64 {
        self.sinks[node].applied
    }
    fn compact(&mut self) {}
    fn isolate(&mut self, _: usize, _: bool) {}
    fn messages(&self) -> u64 {
        0
    }
}
