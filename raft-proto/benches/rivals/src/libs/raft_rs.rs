//! tikv/raft-rs 0.7. Two ways of using it:
//! - plain: `MemStorage` and one `RawNode::propose` per entry, as in the crate's
//!   own example, with 1 MiB messages and 256 in flight;
//! - tuned: one `MsgPropose` for the whole batch, `batch_append`,
//!   `skip_bcast_commit` (followers learn the commit index from the next append or
//!   heartbeat), and a storage that takes the entries over instead of copying them.
use crate::cluster::{Cluster, Sink, payload};
use raft::eraftpb::{ConfState, Entry, EntryType, HardState, Message, MessageType, Snapshot};
use raft::storage::MemStorage;
use raft::{Config, GetEntriesContext, RaftState, RawNode, Storage};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

#[derive(Default)]
struct LeanCore {
    hard: HardState,
    conf: ConfState,
    entries: VecDeque<Entry>,
    /// Index and term of the entry before `entries`.
    base: (u64, u64),
}

#[derive(Clone, Default)]
struct Lean(Rc<RefCell<LeanCore>>);

impl LeanCore {
    fn last(&self) -> u64 {
        self.base.0 + self.entries.len() as u64
    }
    fn append(&mut self, ents: Vec<Entry>) {
        if let Some(e) = ents.first() {
            let keep = e.index - self.base.0 - 1;
            self.entries.truncate(keep as usize);
            self.entries.extend(ents);
        }
    }
    fn compact(&mut self, to: u64) {
        while self.base.0 < to {
            let e = self.entries.pop_front().unwrap();
            self.base = (e.index, e.term);
        }
    }
}

impl Storage for Lean {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let c = self.0.borrow();
        Ok(RaftState::new(c.hard.clone(), c.conf.clone()))
    }
    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let c = self.0.borrow();
        if low <= c.base.0 {
            return Err(raft::Error::Store(raft::StorageError::Compacted));
        }
        let max = max_size.into().unwrap_or(u64::MAX);
        let lo = (low - c.base.0 - 1) as usize;
        let hi = (high - c.base.0 - 1) as usize;
        let mut size = 0;
        let mut end = lo;
        for e in c.entries.range(lo..hi) {
            size += e.data.len() as u64 + 16;
            if size > max && end > lo {
                break;
            }
            end += 1;
        }
        Ok(c.entries.range(lo..end).cloned().collect())
    }
    fn term(&self, idx: u64) -> raft::Result<u64> {
        let c = self.0.borrow();
        if idx == c.base.0 {
            return Ok(c.base.1);
        }
        if idx < c.base.0 {
            return Err(raft::Error::Store(raft::StorageError::Compacted));
        }
        match c.entries.get((idx - c.base.0 - 1) as usize) {
            Some(e) => Ok(e.term),
            None => Err(raft::Error::Store(raft::StorageError::Unavailable)),
        }
    }
    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.0.borrow().base.0 + 1)
    }
    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.0.borrow().last())
    }
    fn snapshot(&self, _: u64, _: u64) -> raft::Result<Snapshot> {
        Err(raft::Error::Store(
            raft::StorageError::SnapshotTemporarilyUnavailable,
        ))
    }
}

enum Raw {
    Plain(RawNode<MemStorage>),
    Tuned(RawNode<Lean>),
}

/// Runs `$body` with `$r` bound to the raw node of either kind.
macro_rules! each {
    ($raw:expr, $r:ident => $body:expr) => {
        match $raw {
            Raw::Plain($r) => $body,
            Raw::Tuned($r) => $body,
        }
    };
}

struct Node {
    raw: Raw,
    sink: Sink,
    applied_index: u64,
}

impl Node {
    fn apply(&mut self, ents: Vec<Entry>) {
        for e in ents {
            self.applied_index = e.index;
            if e.get_entry_type() == EntryType::EntryNormal && !e.data.is_empty() {
                self.sink.apply(&e.data);
            }
        }
    }

    fn ready(&mut self, out: &mut Vec<Message>) -> bool {
        match &mut self.raw {
            Raw::Plain(r) => {
                if !r.has_ready() {
                    return false;
                }
                let store = r.raft.raft_log.store.clone();
                let mut rd = r.ready();
                out.append(&mut rd.take_messages());
                let committed = rd.take_committed_entries();
                if !rd.entries().is_empty() {
                    store.wl().append(rd.entries()).unwrap();
                }
                if let Some(hs) = rd.hs() {
                    store.wl().set_hardstate(hs.clone());
                }
                out.append(&mut rd.take_persisted_messages());
                let mut light = r.advance(rd);
                if let Some(c) = light.commit_index() {
                    store.wl().mut_hard_state().commit = c;
                }
                out.append(&mut light.take_messages());
                let more = light.take_committed_entries();
                r.advance_apply();
                self.apply(committed);
                self.apply(more);
            }
            Raw::Tuned(r) => {
                if !r.has_ready() {
                    return false;
                }
                let store = r.raft.raft_log.store.clone();
                let mut rd = r.ready();
                out.append(&mut rd.take_messages());
                let committed = rd.take_committed_entries();
                store.0.borrow_mut().append(rd.take_entries());
                if let Some(hs) = rd.hs() {
                    store.0.borrow_mut().hard = hs.clone();
                }
                out.append(&mut rd.take_persisted_messages());
                let mut light = r.advance(rd);
                out.append(&mut light.take_messages());
                let more = light.take_committed_entries();
                r.advance_apply();
                self.apply(committed);
                self.apply(more);
            }
        }
        true
    }
}

pub struct Nodes {
    nodes: Vec<Node>,
    queue: Vec<Message>,
    cut: Vec<bool>,
    messages: u64,
}

impl Nodes {
    pub fn new(n: usize, tuned: bool) -> Self {
        let log = slog::Logger::root(slog::Discard, slog::o!());
        let voters: Vec<u64> = (1..=n as u64).collect();
        let nodes = voters
            .iter()
            .map(|&id| {
                let cfg = Config {
                    id,
                    max_size_per_msg: 1 << 20,
                    max_inflight_msgs: 256,
                    batch_append: tuned,
                    skip_bcast_commit: tuned,
                    ..Config::default()
                };
                let conf = ConfState::from((voters.clone(), vec![]));
                let raw = if tuned {
                    let s = Lean::default();
                    s.0.borrow_mut().conf = conf;
                    Raw::Tuned(RawNode::new(&cfg, s, &log).unwrap())
                } else {
                    let s = MemStorage::new_with_conf_state(conf);
                    Raw::Plain(RawNode::new(&cfg, s, &log).unwrap())
                };
                Node {
                    raw,
                    sink: Sink::default(),
                    applied_index: 0,
                }
            })
            .collect();
        let mut p = Nodes {
            nodes,
            queue: Vec::new(),
            cut: vec![false; n],
            messages: 0,
        };
        each!(&mut p.nodes[0].raw, r => r.campaign().unwrap());
        p.pump();
        each!(&p.nodes[0].raw, r => assert_eq!(r.raft.state, raft::StateRole::Leader));
        p.tick();
        p.tick();
        p.pump();
        p
    }
}

impl Cluster for Nodes {
    fn propose(&mut self, first: u64, count: usize, size: usize) {
        let seqs = first..first + count as u64;
        match &mut self.nodes[0].raw {
            Raw::Plain(r) => {
                for s in seqs {
                    r.propose(vec![], payload(s, size)).unwrap();
                }
            }
            Raw::Tuned(r) => {
                let mut m = Message::default();
                m.set_msg_type(MessageType::MsgPropose);
                m.from = 1;
                let ents: Vec<Entry> = seqs
                    .map(|s| {
                        let mut e = Entry::default();
                        e.data = payload(s, size).into();
                        e
                    })
                    .collect();
                m.set_entries(ents.into());
                r.step(m).unwrap();
            }
        }
    }

    fn pump(&mut self) {
        let mut out = std::mem::take(&mut self.queue);
        loop {
            for n in &mut self.nodes {
                while n.ready(&mut out) {}
            }
            if out.is_empty() {
                break;
            }
            for m in out.drain(..) {
                let (to, from) = (m.to as usize - 1, m.from as usize - 1);
                if self.cut[to] || self.cut[from] {
                    // What a transport reports when a peer is gone.
                    each!(&mut self.nodes[from].raw, r => r.report_unreachable(m.to));
                    continue;
                }
                self.messages += 1;
                each!(&mut self.nodes[to].raw, r => r.step(m).unwrap());
            }
        }
        self.queue = out;
    }

    fn tick(&mut self) {
        each!(&mut self.nodes[0].raw, r => {
            r.tick();
        });
    }

    fn applied(&self, node: usize) -> u64 {
        self.nodes[node].sink.applied
    }

    fn compact(&mut self) {
        let to = self.nodes.iter().map(|n| n.applied_index).min().unwrap();
        for n in &mut self.nodes {
            match &mut n.raw {
                // MemStorage forgets the term of the last compacted entry, so keep one.
                Raw::Plain(r) => r.raft.raft_log.store.wl().compact(to).unwrap(),
                Raw::Tuned(r) => r.raft.raft_log.store.0.borrow_mut().compact(to - 1),
            }
        }
    }

    fn isolate(&mut self, node: usize, cut: bool) {
        self.cut[node] = cut;
    }

    fn messages(&self) -> u64 {
        self.messages
    }
}
