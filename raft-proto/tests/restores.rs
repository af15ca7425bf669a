//! A snapshot that has been handed to the service by `Restore` is the service's until it reports
//! `Applied`: it is not released, and no other one is installed, whatever happens meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs
)]

mod support;

use raft_proto::*;
use std::time::Duration;
use support::*;

/// n1 of three, with a driver whose disk is instant, and whose service answers when the test says.
struct Node {
    raft: Raft,
    now: Time,
    /// Everything that came out since it was last looked at.
    actions: Vec<Action>,
}

impl Node {
    fn new() -> Node {
        let mut config = config(1, 3);
        config.trailing_entries = 0;
        let raft = Raft::new(config, Recovered::default()).unwrap();
        let mut node = Node {
            raft,
            now: Time::ZERO,
            actions: Vec::new(),
        };
        node.input(Input::Tick);
        node
    }

    fn input(&mut self, input: Input) {
        let at = self.now;
        for action in self.raft.step(Event { at, input }) {
            self.actions.push(action.clone());
            match action {
                Action::Persist(write) => self.input(Input::Persisted { seq: write.seq }),
                Action::WriteSnapshot {
                    snapshot, offset, ..
                } => self.input(Input::SnapshotWritten {
                    snapshot,
                    offset,
                    result: Ok(()),
                }),
                _ => {}
            }
        }
    }

    fn receive(&mut self, from: u64, message: Message) {
        let from = NodeId(from);
        self.input(Input::Receive {
            from,
            message,
            incarnation: None,
        });
    }

    fn applied(&mut self, index: u64) {
        let index = Index(index);
        self.input(Input::Applied { index });
    }

    /// What was restored and released since this was last asked, by last index.
    fn restored_and_released(&mut self) -> (Vec<u64>, Vec<u64>) {
        let (mut restored, mut released) = (Vec::new(), Vec::new());
        for action in self.actions.drain(..) {
            match action {
                Action::Restore { snapshot } => restored.push(snapshot.id.last.index.0),
                Action::ReleaseSnapshot { snapshot } => released.push(snapshot.last.index.0),
                _ => {}
            }
        }
        (restored, released)
    }

    fn compact(&mut self, index: u64) -> SnapshotId {
        let term = self.raft.term_at(Index(index)).unwrap();
        let last = EntryId::new(index, term.0);
        let snapshot = snapshot_meta(last, b"own").id;
        self.input(Input::Compact { snapshot });
        snapshot
    }
}

/// n1 follows n2 in term 1 and has been handed its snapshot at 10, which the service has yet to
/// restore.
fn restoring() -> Node {
    let mut node = Node::new();
    let meta = snapshot_meta(EntryId::new(10, 1), b"ten");
    node.receive(2, chunk(1, &meta, 0, b"ten"));
    assert_eq!(node.restored_and_released(), (vec![10], vec![]));
    node
}

// The bug: the second snapshot is installed and the first released, although the service has yet to
// open it.
#[test]
fn a_second_snapshot_is_not_installed_before_the_service_has_restored_the_first() {
    let mut node = restoring();
    let meta = snapshot_meta(EntryId::new(20, 1), b"twenty");
    for _ in 0..3 {
        node.receive(2, chunk(1, &meta, 0, b"twenty"));
        node.now = node.now.after(HEARTBEAT);
        assert_eq!(node.restored_and_released(), (vec![], vec![]));
    }
    assert_eq!(node.raft.snapshot().unwrap().id.last.index, Index(10));
    // Nothing is lost by that: the leader sends the chunk again.
    node.applied(10);
    assert_eq!(node.restored_and_released(), (vec![], vec![]));
    node.receive(2, chunk(1, &meta, 0, b"twenty"));
    assert_eq!(node.restored_and_released(), (vec![20], vec![10]));
}

#[test]
fn a_service_that_restores_slowly_does_not_lose_its_leader() {
    let mut node = restoring();
    let meta = snapshot_meta(EntryId::new(20, 1), b"twenty");
    for _ in 0..600 {
        node.now = node.now.after(HEARTBEAT);
        node.receive(2, chunk(1, &meta, 0, b"twenty"));
        node.input(Input::Tick);
    }
    assert_eq!(node.raft.leader(), Some(NodeId(2)));
    assert_eq!(node.raft.term(), Term(1));
}

// The bug: a snapshot of the service's own releases the one that it was told to restore.
#[test]
fn an_own_snapshot_does_not_release_one_that_is_being_restored() {
    let mut node = restoring();
    let ten = EntryId::new(10, 1);
    node.receive(2, append(1, ten, &[(11, 1, "a"), (12, 1, "b")], 12));
    node.compact(12);
    assert_eq!(node.restored_and_released(), (vec![], vec![]));
    assert_eq!(node.raft.snapshot().unwrap().id.last.index, Index(12));
    // Reports of what was handed out earlier end nothing.
    node.applied(9);
    assert_eq!(node.restored_and_released(), (vec![], vec![]));
    node.applied(10);
    assert_eq!(node.restored_and_released(), (vec![], vec![10]));
}

// The node becomes the leader, sends the snapshot to another node, and steps down.
#[test]
fn the_end_of_a_transfer_does_not_release_a_snapshot_that_is_being_restored() {
    for ends in ["with success", "by a later term"] {
        let mut node = restoring();
        while node.raft.role() != RoleKind::Candidate {
            node.now = node.now.after(Duration::from_millis(100));
            node.input(Input::Tick);
        }
        let term = node.raft.term().0;
        node.receive(2, vote(term, Vote::Granted));
        assert_eq!(node.raft.role(), RoleKind::Leader);
        let (id, commands) = (RequestId(1), Commands::from(bytes::Bytes::from("a")));
        node.input(Input::Propose { id, commands });
        node.receive(2, accepted(term, 11));
        node.receive(3, refused(term, 10, EntryId::ZERO));
        let reads = |action: &Action| matches!(action, Action::ReadSnapshot { .. });
        assert!(node.actions.iter().any(reads), "n3 is sent the snapshot");
        node.compact(11);
        assert_eq!(node.restored_and_released(), (vec![], vec![]));
        if ends == "with success" {
            let last = EntryId::new(10, 1);
            node.receive(3, snapshot_reply(term, last, SnapshotOutcome::Installed));
        } else {
            node.receive(2, heartbeat(term + 1, EntryId::new(11, term), 11));
            assert_eq!(node.raft.role(), RoleKind::Follower);
        }
        assert_eq!(node.restored_and_released(), (vec![], vec![]), "{ends}");
        node.applied(11);
        assert_eq!(node.restored_and_released(), (vec![], vec![10]), "{ends}");
    }
}

// The bug: a snapshot that the driver gives again is released at once, because it is not newer than
// the one in use. But a transfer reads it, or a restart would need it.
#[test]
fn a_snapshot_that_is_given_again_is_not_released_while_it_is_needed() {
    let mut cluster = n3_is_behind(|config| config.trailing_entries = 0);
    let first = cluster.compact(1, 5, b"first");
    cluster.take_packets();
    cluster.send_heartbeats(1);
    cluster.deliver_if(|packet| packet.message.kind() != MessageKind::InstallSnapshot);
    assert!(matches!(
        cluster.peer(1, 3).state,
        PeerState::Snapshot { .. }
    ));
    let second = cluster.compact(1, 9, b"second");
    cluster.input(1, Input::Compact { snapshot: first });
    assert_eq!(cluster.released(1), [], "a transfer reads it");
    for _ in 0..6 {
        cluster.send_heartbeats(1);
        cluster.deliver();
    }
    assert_eq!(cluster.released(1), [first]);
    // The write that replaces it is not durable yet.
    cluster.node(1).disk = Disk::Manual;
    cluster.compact(1, 10, b"third");
    cluster.input(1, Input::Compact { snapshot: second });
    assert_eq!(cluster.released(1), [first], "a restart needs it");
    cluster.sync(1, 1);
    assert_eq!(cluster.released(1), [first, second]);
}
