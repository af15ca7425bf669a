//! A member that becomes a voter has an election timeout to be heard in.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs
)]

mod support;
#[path = "support/timed.rs"]
mod timed;

use raft_proto::*;
use timed::{TimedCluster, millis, seconds};

fn change(cluster: &mut TimedCluster, node: NodeChange) {
    let change = MembershipChange {
        nodes: vec![node],
        readiness: Readiness::Forced,
        expected: None,
    };
    let id = RequestId(77);
    let actions = cluster.input(1, Input::ChangeMembership { id, change });
    let is_taken =
        |action: &Action| matches!(action, Action::ChangeProposed { outcome: Ok(_), .. });
    assert!(actions.iter().any(is_taken), "{actions:?}");
}

/// n1 has led for a minute, alone.
fn alone() -> TimedCluster {
    let mut cluster = TimedCluster::new(1, 1, |_| {});
    cluster.run(seconds(60));
    assert_eq!(cluster.leader(), Some(1));
    cluster
}

fn join(cluster: &mut TimedCluster, id: u64) {
    let config = Config::new(ClusterId(7), NodeId(id), Start::Join, 2);
    cluster.add(config);
}

// The bug: the new voter counts as silent since the leader's election.
#[test]
fn a_leader_does_not_step_down_for_a_voter_that_was_just_added() {
    let mut cluster = alone();
    cluster.latency = millis(150);
    join(&mut cluster, 2);
    let (begin, term) = (cluster.now, cluster.raft(1).term());
    change(&mut cluster, NodeChange::Set(Member::voter(NodeId(2))));
    cluster.run(seconds(5));
    assert_eq!(cluster.leader(), Some(1));
    assert_eq!(cluster.raft(1).term(), term);
    assert_eq!(cluster.elections_since(begin), 0);
    assert_eq!(
        cluster.raft(1).last_log().index,
        cluster.raft(1).commit_index()
    );
}

// The bug: a learner that was silent for long is a silent voter from its promotion on.
#[test]
fn a_leader_does_not_step_down_for_a_learner_that_was_just_promoted() {
    let mut cluster = alone();
    join(&mut cluster, 2);
    change(&mut cluster, NodeChange::Set(Member::learner(NodeId(2))));
    cluster.run(seconds(5));
    cluster.cut(1, 2);
    cluster.run(seconds(60));
    cluster.heal(1, 2);
    cluster.latency = millis(150);
    let (begin, term) = (cluster.now, cluster.raft(1).term());
    change(&mut cluster, NodeChange::Promote(NodeId(2)));
    cluster.run(seconds(5));
    assert_eq!(cluster.leader(), Some(1));
    assert_eq!(cluster.raft(1).term(), term);
    assert_eq!(cluster.elections_since(begin), 0);
}

// It has one election timeout, no more.
#[test]
fn a_leader_steps_down_if_a_voter_that_it_needs_is_not_heard_after_it_was_added() {
    let mut cluster = alone();
    let begin = cluster.now;
    change(&mut cluster, NodeChange::Set(Member::voter(NodeId(2))));
    let steps_down = |cluster: &TimedCluster| cluster.leader().is_none();
    let time = cluster.run_until(seconds(5), steps_down).unwrap();
    assert_eq!(time, seconds(1), "after {:?}", begin);
}

// Only the new voter has that time: the others may have been silent for long.
#[test]
fn a_change_does_not_excuse_the_voters_that_were_silent_before() {
    let mut cluster = TimedCluster::new(3, 3, |_| {});
    let leader = cluster.elect();
    cluster.run(seconds(2));
    for other in 1..=3 {
        if other != leader {
            cluster.cut(leader, other);
        }
    }
    cluster.run(millis(800));
    let begin = cluster.now;
    let change = MembershipChange {
        nodes: vec![NodeChange::Set(Member::learner(NodeId(9)))],
        readiness: Readiness::Forced,
        expected: None,
    };
    let id = RequestId(77);
    cluster.input(leader, Input::ChangeMembership { id, change });
    let steps_down = |cluster: &TimedCluster| cluster.raft(leader).role() != RoleKind::Leader;
    let time = cluster.run_until(seconds(5), steps_down).unwrap();
    assert!(time < millis(400), "{time:?} after {begin:?}");
}
