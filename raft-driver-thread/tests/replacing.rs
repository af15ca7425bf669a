//! While a state is set aside, the leader's snapshot may come before the one that was fetched takes
//! its place. Nothing that is in use is lost by it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::Node;
use raft_driver_thread::raft_proto::mending::{FetchReply, Request};
use raft_driver_thread::raft_proto::{Index, NodeId};
use raft_driver_thread::storage::Storage;
use std::sync::atomic::Ordering;
use support::sums::{Cluster, Sum, diverged};
use support::{TIMEOUT, wait_for};

/// What node 1 has stored is enough to start with.
fn restart_and_compare(cluster: &Cluster, last: u64) {
    cluster.commit(b"after");
    wait_for("the state to be in order", || {
        let found = cluster.nodes[&1].comparison();
        let is_same = found.same_after.is_some_and(|it| it.index.0 >= last);
        (is_same && found.diverged_after.is_none()).then_some(())
    });
    cluster.nodes[&1].kill();
    let node = cluster.start(1, false).unwrap();
    assert!(node.state().applied_index.0 >= last);
}

#[test]
fn a_snapshot_that_the_leader_has_sent_stays_although_the_same_one_was_fetched() {
    let cluster = Cluster::new(3, &[1]);
    cluster.lead_by(3);
    cluster.gates.hold_replies(true);
    cluster.commit(b"slip");
    cluster.commit_all(b"same", 20);
    let leader = cluster.leader();
    cluster.await_applied(1, cluster.applied(leader));
    // Node 1 gets no more entries, and the others compact theirs.
    cluster.gates.hold_messages(true);
    cluster.commit_all(b"more", 9);
    let last = cluster.applied(leader);
    cluster.snapshots_at(last);
    // It finds out, and fetches what lies behind all that it has.
    cluster.gates.hold_replies(false);
    cluster.await_event(1, "the divergence to be told", diverged);
    wait_for("the snapshot to be fetched", || {
        (cluster.gates.fetched.load(Ordering::SeqCst) > 0).then_some(())
    });
    for _ in 0..200 {
        cluster.nodes[&1].status().unwrap();
    }
    // The leader sends the same one.
    cluster.gates.hold_messages(false);
    cluster.await_replaced(1);
    restart_and_compare(&cluster, last);
}

#[test]
fn a_fetched_snapshot_that_comes_after_the_same_one_of_the_leader_does_not_take_it_away() {
    // As above, but the leader's comes while the other one is being fetched.
    let cluster = Cluster::new(3, &[1]);
    cluster.lead_by(3);
    cluster.gates.hold_replies(true);
    cluster.commit(b"slip");
    cluster.commit_all(b"same", 20);
    let leader = cluster.leader();
    cluster.await_applied(1, cluster.applied(leader));
    cluster.gates.hold_messages(true);
    cluster.commit_all(b"more", 9);
    let last = cluster.applied(leader);
    cluster.snapshots_at(last);
    cluster.gates.hold_pieces(true);
    cluster.gates.hold_replies(false);
    cluster.await_event(1, "the divergence to be told", diverged);
    wait_for("the snapshot to be asked for", || {
        (cluster.gates.waiting.load(Ordering::SeqCst) > 0).then_some(())
    });
    cluster.gates.hold_messages(false);
    cluster.await_applied(1, last);
    cluster.gates.hold_pieces(false);
    restart_and_compare(&cluster, last);
}

/// The stored snapshot may hold the wrong state, and end where the one that replaces it does: it
/// stays until something more is applied.
#[test]
fn a_wrong_state_that_is_stored_is_found_after_a_restart_although_nothing_more_is_written() {
    let cluster = Cluster::new(3, &[1]);
    cluster.gates.hold_replies(true);
    cluster.commit(b"slip");
    cluster.commit_all(b"same", 20);
    let last = cluster.applied(cluster.leader());
    cluster.snapshot(1, last);
    cluster.snapshots_at(last);
    cluster.gates.hold_replies(false);
    cluster.await_replaced(1);
    let sum = |node: &Node<Sum>| node.inspect(|machine| machine.sum).wait().unwrap();
    let right = sum(&cluster.nodes[&2]);
    assert_eq!(sum(&cluster.nodes[&1]), right);
    cluster.nodes[&1].kill();
    let node = cluster.start(1, false).unwrap();
    wait_for("the right state", || (sum(&node) == right).then_some(()));
}

/// It is not given to a peer, either.
#[test]
fn a_stored_snapshot_that_may_hold_the_wrong_state_is_not_offered() {
    let cluster = Cluster::new(3, &[1]);
    cluster.gates.hold_replies(true);
    cluster.commit(b"slip");
    cluster.commit_all(b"same", 20);
    let last = cluster.applied(cluster.leader());
    cluster.snapshot(1, last);
    cluster.snapshots_at(last);
    cluster.gates.hold_replies(false);
    cluster.await_replaced(1);
    let right = cluster.nodes[&2].status().unwrap().snapshot;
    let ask = |at_least: u64| {
        let at_least = Index(at_least);
        cluster.ask(1, &Request::Snapshot { at_least })
    };
    if let FetchReply::Snapshot(meta) = ask(last) {
        assert_eq!(Some(meta.id), right);
    }
    // The next one holds the right state.
    cluster.commit(b"after");
    let offered = wait_for("a snapshot of the right state", || {
        if let FetchReply::Snapshot(meta) = ask(last) {
            Some(meta.id)
        } else {
            None
        }
    });
    assert!(offered.last.index > Index(last));
}

/// The others make snapshots more often than one is fetched. They keep the one that is.
#[test]
fn a_state_is_replaced_although_new_snapshots_are_made_meanwhile() {
    let cluster = Cluster::new(3, &[1]);
    cluster.gates.hold_replies(true);
    cluster.commit(b"slip");
    cluster.commit_all(b"same", 20);
    let last = cluster.applied(cluster.leader());
    cluster.await_applied(1, last);
    cluster.snapshots_at(last);
    cluster.gates.hold_pieces(true);
    cluster.gates.hold_replies(false);
    // Again and again: a snapshot is named, and before its bytes are asked for there is a new one.
    for round in 1..=20 {
        wait_for("the snapshot to be asked for", || {
            (cluster.gates.waiting.load(Ordering::SeqCst) >= round).then_some(())
        });
        cluster.commit(b"more");
        let last = cluster.applied(cluster.leader());
        cluster.snapshots_at(last);
        // If it were released, it would be so a moment later.
        for _ in 0..1000 {
            let (peer, request) = cluster.gates.asked.lock().unwrap().unwrap();
            if cluster.ask(peer.0, &request) == FetchReply::HaveNot {
                break;
            }
            cluster.nodes[&peer.0].status().unwrap();
        }
        cluster.gates.let_pass.fetch_add(1, Ordering::SeqCst);
        let is_replaced = wait_for("the piece to come, or not", || {
            let is_replaced = cluster.nodes[&1].comparison().replaced > 0;
            let is_asked_again = cluster.gates.waiting.load(Ordering::SeqCst) > round;
            (is_replaced || is_asked_again).then_some(is_replaced)
        });
        if is_replaced {
            return;
        }
    }
    cluster.gates.hold_pieces(false);
    panic!("twenty snapshots were named, and none of them could be fetched");
}

#[test]
fn a_snapshot_that_was_fetched_is_deleted_once_there_is_a_newer_one() {
    let cluster = Cluster::new(3, &[]);
    cluster.commit_all(b"some", 4);
    let last = cluster.applied(cluster.leader());
    cluster.snapshot(2, last);
    let at_least = Index(last);
    let FetchReply::Snapshot(meta) = cluster.ask(2, &Request::Snapshot { at_least }) else {
        panic!("it has one");
    };
    let piece = |length: u64| Request::Chunk {
        snapshot: meta.id,
        offset: 0,
        length,
    };
    cluster.commit(b"more");
    cluster.snapshot(2, meta.id.last.index.0 + 1);
    // Its beginning, and much later all of it.
    for length in [1, meta.id.size] {
        let reply = cluster.ask(2, &piece(length));
        assert!(matches!(reply, FetchReply::Chunk(_)), "{reply:?}");
    }
    // Not by the peer's questions, which keep it.
    let stored = cluster.storages[&2].snapshots();
    wait_for("it to be deleted", || {
        stored.read(meta.id, 0, 1).is_err().then_some(())
    });
    assert_eq!(cluster.ask(2, &piece(1)), FetchReply::HaveNot);
}

/// What it has begun to fetch may hold the wrong state.
#[test]
fn a_peer_that_fetches_a_snapshot_gets_no_more_of_it_once_the_state_is_set_aside() {
    let cluster = Cluster::new(3, &[1]);
    cluster.gates.hold_pieces(true);
    cluster.commit_all(b"some", 4);
    let last = cluster.applied(cluster.leader());
    cluster.snapshot(1, last);
    let at_least = Index(last);
    let FetchReply::Snapshot(meta) = cluster.ask(1, &Request::Snapshot { at_least }) else {
        panic!("it has one");
    };
    let piece = Request::Chunk {
        snapshot: meta.id,
        offset: 0,
        length: 1,
    };
    assert!(matches!(cluster.ask(1, &piece), FetchReply::Chunk(_)));
    cluster.commit(b"slip");
    cluster.await_event(1, "the divergence to be told", diverged);
    wait_for("no more of it to be given", || {
        (cluster.ask(1, &piece) == FetchReply::HaveNot).then_some(())
    });
    assert_eq!(cluster.replaced(1), 0);
    cluster.gates.hold_pieces(false);
}

/// A peer asks each second, and a snapshot may take minutes.
#[test]
fn a_peer_that_waits_for_its_turn_does_not_make_the_node_make_snapshots() {
    let cluster = Cluster::new(3, &[]);
    let ask = |at_least: u64| {
        let at_least = Index(at_least);
        cluster.ask(2, &Request::Snapshot { at_least })
    };
    cluster.commit_all(b"some", 4);
    let mut last = cluster.applied(cluster.leader());
    // Two peers fetch, each another one.
    for _ in 0..2 {
        cluster.snapshot(2, last);
        let FetchReply::Snapshot(offered) = ask(last) else {
            panic!("it has one");
        };
        last = offered.id.last.index.0 + 1;
        cluster.commit(b"more");
    }
    cluster.snapshot(2, last);
    let newest = cluster.nodes[&2].status().unwrap().snapshot;
    let last = newest.unwrap().last.index.0;
    cluster.commit(b"more");
    cluster.await_applied(2, last + 1);
    for _ in 0..200 {
        assert_eq!(ask(last), FetchReply::Unreachable, "two are kept");
        let snapshot = cluster.nodes[&2].status().unwrap().snapshot;
        assert_eq!(snapshot, newest, "the one that is there would do");
    }
}

/// Nobody would be answered until its state is replaced, and that may take long.
#[test]
fn a_node_that_is_elected_while_its_state_is_set_aside_hands_leadership_over() {
    let cluster = Cluster::new(3, &[1]);
    cluster.gates.hold_pieces(true);
    cluster.commit(b"slip");
    cluster.await_event(1, "the divergence to be told", diverged);
    let before = cluster.nodes[&1].state().term;
    wait_for("node 1 to be elected", || {
        let leader = &cluster.nodes[&cluster.leader()];
        let ticket = leader.transfer_leadership(Some(NodeId(1)));
        let next = ticket.wait_timeout(TIMEOUT).ok()?;
        (next == NodeId(1)).then_some(())
    });
    wait_for("another node to lead", || {
        let state = cluster.nodes[&1].state();
        let leads = state.leader.is_some_and(|leader| leader != NodeId(1));
        (state.term > before && leads).then_some(())
    });
    // It is not because its state is in order again.
    assert_eq!(cluster.replaced(1), 0);
    cluster.commit(b"the others answer");
}
