//! tikv/raft-rs 0.7, used in two ways ([`Usage`]).
use crate::cluster::{Cluster, Sink, payload};
use raft::eraftpb::{ConfState, Entry, EntryType, HardState, Message, MessageType, Snapshot};
use raft::storage::MemStorage;
use raft::{Config, GetEntriesContext, RaftState, RawNode, Storage};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// How the library is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// As in the crate's own example: `MemStorage` and one `RawNode::propose` per entry, with
    /// messages of 1 MiB and 256 in flight.
    Plain,
    /// One `MsgPropose` for the whole batch, `batch_append`, `skip_bcast_commit` (followers learn
    /// the commit index from the next append or heartbeat), and a storage that takes the entries
    /// over instead of copying them.
    Tuned,
}

/// A log that takes entries over instead of copying them.
#[derive(Default)]
struct LeanLog {
    hard: HardState,
    conf: ConfState,
    entries: VecDeque<Entry>,
    /// The index of the entry before `entries`.
    base_index: u64,
    /// The term of the entry before `entries`.
    base_term: u64,
}

#[derive(Clone, Default)]
struct LeanStorage(Rc<RefCell<LeanLog>>);

impl LeanLog {
    fn last(&self) -> u64 {
        self.base_index + self.entries.len() as u64
    }
    fn append(&mut self, entries: Vec<Entry>) {
        if let Some(first) = entries.first() {
            let keep = first.index - self.base_index - 1;
            self.entries.truncate(keep as usize);
            self.entries.extend(entries);
        }
    }
    fn compact(&mut self, to: u64) {
        while self.base_index < to {
            let entry = self.entries.pop_front().unwrap();
            (self.base_index, self.base_term) = (entry.index, entry.term);
        }
    }
}

impl Storage for LeanStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let log = self.0.borrow();
        Ok(RaftState::new(log.hard.clone(), log.conf.clone()))
    }
    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let log = self.0.borrow();
        if low <= log.base_index {
            return Err(raft::Error::Store(raft::StorageError::Compacted));
        }
        let max = max_size.into().unwrap_or(u64::MAX);
        let start = (low - log.base_index - 1) as usize;
        let limit = (high - log.base_index - 1) as usize;
        let mut size = 0;
        let mut end = start;
        for entry in log.entries.range(start..limit) {
            size += entry.data.len() as u64 + 16;
            if size > max && end > start {
                break;
            }
            end += 1;
        }
        Ok(log.entries.range(start..end).cloned().collect())
    }
    fn term(&self, index: u64) -> raft::Result<u64> {
        let log = self.0.borrow();
        if index == log.base_index {
            return Ok(log.base_term);
        }
        if index < log.base_index {
            return Err(raft::Error::Store(raft::StorageError::Compacted));
        }
        match log.entries.get((index - log.base_index - 1) as usize) {
            Some(entry) => Ok(entry.term),
            None => Err(raft::Error::Store(raft::StorageError::Unavailable)),
        }
    }
    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.0.borrow().base_index + 1)
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
    Tuned(RawNode<LeanStorage>),
}

/// Runs `$body` with `$raw_node` bound to the raw node of either kind.
macro_rules! each {
    ($raw:expr, $raw_node:ident => $body:expr) => {
        match $raw {
            Raw::Plain($raw_node) => $body,
            Raw::Tuned($raw_node) => $body,
        }
    };
}

struct Node {
    raw: Raw,
    sink: Sink,
    applied_index: u64,
}

impl Node {
    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.applied_index = entry.index;
            if entry.get_entry_type() == EntryType::EntryNormal && !entry.data.is_empty() {
                self.sink.apply(&entry.data);
            }
        }
    }

    /// Handles one `Ready`. False if there was none.
    fn handle_ready(&mut self, out: &mut Vec<Message>) -> bool {
        match &mut self.raw {
            Raw::Plain(raw) => {
                if !raw.has_ready() {
                    return false;
                }
                let store = raw.raft.raft_log.store.clone();
                let mut ready = raw.ready();
                out.append(&mut ready.take_messages());
                let committed = ready.take_committed_entries();
                if !ready.entries().is_empty() {
                    store.wl().append(ready.entries()).unwrap();
                }
                if let Some(hard) = ready.hs() {
                    store.wl().set_hardstate(hard.clone());
                }
                out.append(&mut ready.take_persisted_messages());
                let mut light = raw.advance(ready);
                if let Some(index) = light.commit_index() {
                    store.wl().mut_hard_state().commit = index;
                }
                out.append(&mut light.take_messages());
                let more = light.take_committed_entries();
                raw.advance_apply();
                self.apply(committed);
                self.apply(more);
            }
            Raw::Tuned(raw) => {
                if !raw.has_ready() {
                    return false;
                }
                let store = raw.raft.raft_log.store.clone();
                let mut ready = raw.ready();
                out.append(&mut ready.take_messages());
                let committed = ready.take_committed_entries();
                store.0.borrow_mut().append(ready.take_entries());
                if let Some(hard) = ready.hs() {
                    store.0.borrow_mut().hard = hard.clone();
                }
                out.append(&mut ready.take_persisted_messages());
                let mut light = raw.advance(ready);
                out.append(&mut light.take_messages());
                let more = light.take_committed_entries();
                raw.advance_apply();
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
    disconnected: Vec<bool>,
    messages: u64,
}

impl Nodes {
    pub fn new(n: usize, usage: Usage) -> Self {
        let tuned = usage == Usage::Tuned;
        let log = slog::Logger::root(slog::Discard, slog::o!());
        let voters: Vec<u64> = (1..=n as u64).collect();
        let nodes = voters
            .iter()
            .map(|&id| {
                let config = Config {
                    id,
                    max_size_per_msg: 1 << 20,
                    max_inflight_msgs: 256,
                    batch_append: tuned,
                    skip_bcast_commit: tuned,
                    ..Config::default()
                };
                let conf = ConfState::from((voters.clone(), vec![]));
                let raw = if tuned {
                    let storage = LeanStorage::default();
                    storage.0.borrow_mut().conf = conf;
                    Raw::Tuned(RawNode::new(&config, storage, &log).unwrap())
                } else {
                    let storage = MemStorage::new_with_conf_state(conf);
                    Raw::Plain(RawNode::new(&config, storage, &log).unwrap())
                };
                Node {
                    raw,
                    sink: Sink::default(),
                    applied_index: 0,
                }
            })
            .collect();
        let mut cluster = Nodes {
            nodes,
            queue: Vec::new(),
            disconnected: vec![false; n],
            messages: 0,
        };
        each!(&mut cluster.nodes[0].raw, raw => raw.campaign().unwrap());
        cluster.pump();
        each!(&cluster.nodes[0].raw, raw => {
            assert_eq!(raw.raft.state, raft::StateRole::Leader);
        });
        cluster.tick();
        cluster.tick();
        cluster.pump();
        cluster
    }
}

impl Cluster for Nodes {
    fn propose(&mut self, first: u64, count: usize, size: usize) {
        let seqs = first..first + count as u64;
        match &mut self.nodes[0].raw {
            Raw::Plain(raw) => {
                for seq in seqs {
                    raw.propose(vec![], payload(seq, size)).unwrap();
                }
            }
            Raw::Tuned(raw) => {
                let mut message = Message::default();
                message.set_msg_type(MessageType::MsgPropose);
                message.from = 1;
                let entries: Vec<Entry> = seqs
                    .map(|seq| {
                        let mut entry = Entry::default();
                        entry.data = payload(seq, size).into();
                        entry
                    })
                    .collect();
                message.set_entries(entries.into());
                raw.step(message).unwrap();
            }
        }
    }

    fn pump(&mut self) {
        let mut out = std::mem::take(&mut self.queue);
        loop {
            for node in &mut self.nodes {
                while node.handle_ready(&mut out) {}
            }
            if out.is_empty() {
                break;
            }
            for message in out.drain(..) {
                let (to, from) = (message.to as usize - 1, message.from as usize - 1);
                if self.disconnected[to] || self.disconnected[from] {
                    // A transport reports it when a peer is gone.
                    each!(&mut self.nodes[from].raw, raw => raw.report_unreachable(message.to));
                    continue;
                }
                self.messages += 1;
                each!(&mut self.nodes[to].raw, raw => raw.step(message).unwrap());
            }
        }
        self.queue = out;
    }

    fn tick(&mut self) {
        each!(&mut self.nodes[0].raw, raw => {
            raw.tick();
        });
    }

    fn applied(&self, node: usize) -> u64 {
        self.nodes[node].sink.applied
    }

    fn compact(&mut self) {
        let applied = self.nodes.iter().map(|node| node.applied_index);
        let to = applied.min().unwrap();
        for node in &mut self.nodes {
            match &mut node.raw {
                // MemStorage forgets the term of the last compacted entry, so keep one.
                Raw::Plain(raw) => raw.raft.raft_log.store.wl().compact(to).unwrap(),
                Raw::Tuned(raw) => raw.raft.raft_log.store.0.borrow_mut().compact(to - 1),
            }
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
