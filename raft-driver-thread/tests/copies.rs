//! A copy of a state is no second witness: whose work each node's state is goes with its snapshots,
//! is stored beside them, and counts when states differ.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::raft_proto::NodeId;
use raft_driver_thread::raft_proto::mending::{FetchReply, Request};
use support::sums::Cluster;
use support::wait_for;

/// Of three nodes, the third leads, its state is wrong, and node 1 gets a copy of it. Returns the
/// last entry that the copy holds.
fn copy_a_wrong_state() -> (Cluster, u64) {
    let cluster = Cluster::new(3, &[3]);
    cluster.lead_by(3); // The one that slips.
    cluster.commit(b"before");
    cluster.gates.hold_messages(true);
    cluster.commit(b"slip");
    cluster.commit_all(b"more", 9);
    let last = cluster.applied(3);
    cluster.snapshots_at(last);
    // Both know that their states differ, and that nobody can tell who is right.
    wait_for("the difference to be told", || {
        let differing = cluster.nodes[&3].comparison().differing;
        (differing == [NodeId(2)]).then_some(())
    });
    cluster.gates.hold_messages(false);
    cluster.await_applied(1, last);
    cluster.commit_all(b"after", 9);
    (cluster, last)
}

/// Waits until node 2, whose state is right, has found that both others hold another one.
fn await_comparison(cluster: &Cluster, last: u64) {
    wait_for("nodes 1 and 3 to differ from node 2", || {
        let found = cluster.nodes[&2].comparison();
        let all = found.differing == [NodeId(1), NodeId(3)] && found.copies == [NodeId(1)];
        let is_compared = cluster.noted(1).digests.last()?.after.index.0 > last;
        let is_at_fault = found.diverged_after.is_some() || found.replaced > 0;
        (all && is_compared || is_at_fault).then_some(())
    });
    assert_eq!(cluster.nodes[&2].comparison().diverged_after, None);
    assert_eq!(cluster.replaced(2), 0, "node 2 was right");
    wait_for("node 1 to know it, too", || {
        let found = cluster.nodes[&1].comparison();
        (found.differing == [NodeId(2)] && found.copies == [NodeId(1)]).then_some(())
    });
}

/// A leader whose state is wrong sends it to a node that lags behind. Two of three then hold the
/// wrong one, and the third, whose state is right, keeps its own.
#[test]
fn a_copy_of_a_wrong_state_is_no_judge_of_the_right_one() {
    let (cluster, last) = copy_a_wrong_state();
    await_comparison(&cluster, last);
}

#[test]
fn a_copy_is_still_one_after_a_restart_and_so_is_a_snapshot_that_is_made_of_it() {
    let (mut cluster, last) = copy_a_wrong_state();
    wait_for("the origin to be known", || {
        (cluster.origin(1) == Some(3)).then_some(())
    });
    // From the leader's snapshot.
    cluster.restart(1, false);
    wait_for("the node to say whose work its state is", || {
        (cluster.origin(1) == Some(3)).then_some(())
    });
    await_comparison(&cluster, last);
    // From its own.
    cluster.commit(b"later");
    let last = cluster.applied(cluster.leader());
    cluster.snapshot(1, last);
    cluster.restart(1, false);
    wait_for("the node to say whose work its state is", || {
        (cluster.origin(1) == Some(3)).then_some(())
    });
    let snapshots = cluster.noted(1).snapshots;
    assert!(snapshots.iter().any(|it| it.snapshot.last.index.0 >= last));
    cluster.commit_all(b"after", 9);
    await_comparison(&cluster, last);
}

#[test]
fn a_copy_is_not_told_to_a_peer_that_would_count_it() {
    let (cluster, last) = copy_a_wrong_state();
    await_comparison(&cluster, last);
    assert_eq!(
        cluster.ask(1, &Request::Digests),
        FetchReply::Digests(Vec::new())
    );
    let FetchReply::Digests(own) = cluster.ask(2, &Request::Digests) else {
        panic!("node 2 has come to its state by itself");
    };
    assert!(own.iter().any(|it| it.after.index.0 > last));
}

#[test]
fn a_copy_that_agrees_with_the_others_becomes_a_witness_of_its_own() {
    let cluster = Cluster::new(3, &[]);
    cluster.commit(b"before");
    cluster.gates.hold_replies(true);
    cluster.gates.hold_messages(true);
    cluster.commit_all(b"more", 9);
    let last = cluster.applied(cluster.leader());
    cluster.snapshots_at(last);
    cluster.gates.hold_messages(false);
    cluster.await_applied(1, last);
    // It cannot ask whose work the snapshot is, which it was sent.
    wait_for("the snapshot to be digested", || {
        let digests = cluster.noted(1).digests;
        (digests.first()?.after.index.0 >= last).then_some(())
    });
    assert_eq!(cluster.origin(1), None);
    cluster.gates.hold_replies(false);
    wait_for("the origin to be its own", || {
        cluster.commit(b"after");
        (cluster.origin(1) == Some(1)).then_some(())
    });
}

#[test]
fn a_state_that_was_replaced_has_the_origin_of_the_one_that_took_its_place() {
    let cluster = Cluster::new(3, &[1]);
    cluster.commit(b"slip");
    cluster.await_replaced(1);
    let noted = cluster.noted(1);
    let taken = noted.snapshots.first().unwrap();
    assert!([NodeId(2), NodeId(3)].contains(&taken.origin), "{noted:?}");
}
