//! The plainest driver does all that a node's own disk has to do (`lockstep.rs`).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs
)]

use bytes::Bytes;
use raft_proto::*;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Nodes in lockstep, and the messages between them, which may be lost.
struct Cluster {
    nodes: BTreeMap<NodeId, Lockstep>,
    packets: VecDeque<(NodeId, NodeId, Message)>,
    now: Time,
    restored: Vec<NodeId>,
    applied: BTreeMap<NodeId, u64>,
}

fn config(id: u64, change: impl Fn(&mut Config)) -> Config {
    let voters = (1..=3).map(NodeId);
    let mut config = Config::new(ClusterId(7), NodeId(id), Start::voters(voters), 42);
    change(&mut config);
    config
}

impl Cluster {
    fn new(change: impl Fn(&mut Config)) -> Cluster {
        let node = |id| {
            let node = Lockstep::new(config(id, &change), Recovered::default()).unwrap();
            (NodeId(id), node)
        };
        Cluster {
            nodes: (1..=3).map(node).collect(),
            packets: VecDeque::new(),
            now: Time::ZERO,
            restored: Vec::new(),
            applied: BTreeMap::new(),
        }
    }

    fn step(&mut self, id: NodeId, input: Input) -> Vec<Action> {
        let at = self.now;
        let actions = self.nodes.get_mut(&id).unwrap().step(Event { at, input });
        for action in &actions {
            match action {
                Action::Send { to, message } => {
                    self.packets.push_back((id, *to, message.clone()));
                }
                Action::Apply { entries } => {
                    *self.applied.entry(id).or_default() += entries.len() as u64;
                }
                Action::Restore { .. } => self.restored.push(id),
                Action::Refused { .. } | Action::Rejected { .. } | Action::Overdue(_) => {
                    panic!("{action:?}")
                }
                _ => {}
            }
        }
        let waits = self.nodes[&id].raft().waits_for().count();
        assert_eq!(waits, 0, "nothing is left to do on the node's own disk");
        actions
    }

    /// Lets time pass. What is sent to or by `lost` is lost.
    fn run(&mut self, seconds: u64, lost: Option<u64>) {
        let end = self.now.after(Duration::from_secs(seconds));
        while self.now < end {
            self.now = self.now.after(Duration::from_millis(50));
            for id in (1..=3).map(NodeId) {
                self.step(id, Input::Tick);
            }
            while let Some((from, to, message)) = self.packets.pop_front() {
                if [from, to].map(|id| Some(id.0)).contains(&lost) {
                    continue;
                }
                let incarnation = None;
                let received = Input::Receive {
                    from,
                    incarnation,
                    message,
                };
                self.step(to, received);
            }
        }
    }

    fn leader(&self) -> NodeId {
        let mut nodes = self.nodes.iter();
        let leads = |raft: &Raft| raft.role() == RoleKind::Leader;
        *nodes.find(|(_, node)| leads(node.raft())).unwrap().0
    }

    fn propose(&mut self, id: NodeId, count: usize) {
        for _ in 0..count {
            let commands = Commands::from(Bytes::from("command"));
            let id_of_request = RequestId(1);
            let propose = Input::Propose {
                id: id_of_request,
                commands,
            };
            self.step(id, propose);
        }
    }
}

#[test]
fn a_cluster_in_lockstep_elects_and_commits() {
    let mut cluster = Cluster::new(|_| {});
    cluster.run(3, None);
    let leader = cluster.leader();
    cluster.propose(leader, 5);
    cluster.run(1, None);
    for node in cluster.nodes.values() {
        assert_eq!(node.raft().commit_index(), Index(6));
        assert_eq!(node.raft().applied_index(), Index(6));
        assert_eq!(node.stored().entries.len(), 6);
    }
    assert!(cluster.applied.values().all(|applied| *applied == 6));
}

// Snapshots are read, sent in chunks, stored, installed, and released.
#[test]
fn a_follower_that_was_away_receives_a_snapshot() {
    let mut cluster = Cluster::new(|config| {
        config.trailing_entries = 0;
        config.snapshot_chunk_bytes = 3;
    });
    cluster.run(3, None);
    let leader = cluster.leader();
    let away = NodeId(1 + leader.0 % 3);
    cluster.propose(leader, 5);
    cluster.run(1, Some(away.0));
    let (now, node) = (cluster.now, cluster.nodes.get_mut(&leader).unwrap());
    let old = node.raft().commit_index();
    let term = node.raft().term();
    let early = EntryId {
        index: Index(3),
        term,
    };
    node.compact(now, early, Bytes::from("early"));
    let early = node.raft().snapshot().unwrap().id;
    let last = EntryId { index: old, term };
    node.compact(now, last, Bytes::from("the state"));
    assert_eq!(node.snapshot(early), None, "it is released");
    // A stale one changes nothing, and its bytes go.
    let before = node.stored().clone();
    node.compact(now, early.last, Bytes::from("stale"));
    assert_eq!(*node.stored(), before);
    let id = node.raft().snapshot().unwrap().id;
    assert_eq!(id.last, last);
    cluster.run(3, None);
    assert_eq!(cluster.restored, [away]);
    let node = &cluster.nodes[&away];
    assert_eq!(node.snapshot(id).unwrap(), "the state");
    assert_eq!(node.stored().snapshot.as_ref().unwrap().id, id);
}

// Entries that are no longer in memory come from the storage.
#[test]
fn entries_that_left_memory_are_read_from_the_storage() {
    let mut cluster = Cluster::new(|config| {
        config.max_resident_bytes = Some(0);
        config.max_append_bytes = 1 << 20 | 64;
    });
    cluster.run(3, None);
    let leader = cluster.leader();
    let away = NodeId(1 + leader.0 % 3);
    cluster.run(1, Some(away.0));
    let leader = cluster.leader();
    cluster.propose(leader, 9);
    cluster.run(1, Some(away.0));
    assert_eq!(cluster.nodes[&leader].raft().status().resident_bytes, 0);
    cluster.run(3, None);
    assert_eq!(cluster.restored, []);
    let commit_index = cluster.nodes[&leader].raft().commit_index();
    assert_eq!(cluster.nodes[&away].raft().commit_index(), commit_index);
}

#[test]
fn what_is_stored_is_read_within_the_limit_and_only_if_it_is_that_entry() {
    let mut stored = Recovered::default();
    let mut entries = EntriesBuilder::new();
    for index in 1..=5 {
        let id = EntryId::new(index, 1);
        entries.push(id, EntryKind::Command, "1234".into()).unwrap();
    }
    stored.entries = entries.finish();
    let size = 4 + ENTRY_OVERHEAD;
    let read = |from, to, bytes| {
        let (from, to) = (EntryId::new(from, 1), EntryId::new(to, 1));
        let read = stored.read_entries(from, to, bytes);
        read.map(|read| (read.first_index().unwrap().0, read.len()))
    };
    assert_eq!(read(2, 4, 10 * size), Some((2, 3)));
    assert_eq!(read(2, 4, 2 * size), Some((2, 2)));
    assert_eq!(read(2, 4, 1), Some((2, 1)), "at least one");
    assert_eq!(read(6, 7, 10 * size), None);
    let other = stored.read_entries(EntryId::new(2, 2), EntryId::new(4, 2), size);
    assert_eq!(other, None);
}

#[test]
fn a_node_that_is_started_again_goes_on_with_what_it_had_stored() {
    let mut cluster = Cluster::new(|_| {});
    cluster.run(3, None);
    let leader = cluster.leader();
    cluster.propose(leader, 2);
    cluster.run(1, None);
    let node = cluster.nodes.remove(&NodeId(2)).unwrap();
    let (term, last) = (node.raft().term(), node.raft().last_log());
    let again = Lockstep::new(config(2, |_| {}), node.into_stored()).unwrap();
    assert_eq!((again.raft().term(), again.raft().last_log()), (term, last));
    cluster.nodes.insert(NodeId(2), again);
    cluster.run(2, None);
    assert_eq!(cluster.leader(), leader);
}
