//! Nodes whose states differ find it out: a minority replaces its state, a leader too, and nobody
//! does as long as no majority agrees.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::raft_proto::{MembershipChange, NodeChange, NodeId};
use raft_driver_thread::{Node, NodeEvent};
use std::time::Duration;
use support::sums::{Cluster, diverged};
use support::wait_for;

fn differ(event: NodeEvent) -> Option<(Vec<NodeId>, bool)> {
    if let NodeEvent::ReplicasDiffer {
        differing,
        is_decided,
    } = event
    {
        Some((differing, is_decided))
    } else {
        None
    }
}

#[test]
fn a_follower_whose_state_differs_replaces_it_by_that_of_the_majority() {
    let slips = 1;
    let cluster = Cluster::new(3, &[slips]);
    cluster.lead_by(3);
    cluster.commit(b"before");
    cluster.commit(b"slip");
    let majority = cluster.await_event(slips, "the divergence to be told", diverged);
    assert_eq!(majority.len(), 2);
    cluster.await_event(slips, "the state to be replaced", |event| {
        matches!(event, NodeEvent::StateReplaced { .. }).then_some(())
    });
    // What comes after is applied to the new state.
    cluster.commit(b"after");
    let sums: Vec<u64> = (1..=3).map(|id| cluster.sum(id)).collect();
    assert_eq!(sums, [sums[0]; 3]);
    for id in (1..=3).filter(|id| *id != slips) {
        assert_eq!(cluster.replaced(id), 0, "{id} was right");
    }
    assert_eq!(cluster.replaced(slips), 1);
    wait_for("all to be the same again", || {
        let mut found = cluster.nodes.values().map(Node::comparison);
        let is_same = found.all(|it| it.differing.is_empty() && it.diverged_after.is_none());
        is_same.then_some(())
    });
}

#[test]
fn a_leader_whose_state_differs_is_the_one_that_replaces_it() {
    let cluster = Cluster::new(3, &[3]);
    cluster.lead_by(3);
    cluster.commit(b"before");
    cluster.commit(b"slip");
    let majority = cluster.await_event(3, "the divergence to be told", diverged);
    assert_eq!(majority, [NodeId(1), NodeId(2)]);
    wait_for("the state to be replaced", || {
        (cluster.replaced(3) == 1).then_some(())
    });
    cluster.commit(b"after");
    let sums: Vec<u64> = (1..=3).map(|id| cluster.sum(id)).collect();
    assert_eq!(sums, [sums[0]; 3]);
    assert_eq!((cluster.replaced(1), cluster.replaced(2)), (0, 0));
}

#[test]
fn nobody_throws_a_state_away_while_no_majority_agrees() {
    let cluster = Cluster::new(2, &[1]);
    cluster.commit(b"slip");
    for (id, other) in [(1, 2), (2, 1)] {
        let found = cluster.await_event(id, "the difference to be told", differ);
        assert_eq!(found, (vec![NodeId(other)], false));
    }
    cluster.commit(b"both run on");
    assert_ne!(cluster.sum(1), cluster.sum(2));
    assert_eq!((cluster.replaced(1), cluster.replaced(2)), (0, 0));
}

#[test]
fn a_node_that_is_cut_off_decides_nothing_and_the_others_find_it_once_it_is_back() {
    let cluster = Cluster::new(3, &[1]);
    cluster.lead_by(3);
    cluster.network.cut(NodeId(1));
    cluster.commit(b"slip");
    assert_eq!(cluster.nodes[&1].comparison().diverged_after, None);
    cluster.network.heal(NodeId(1));
    wait_for("the state to be replaced", || {
        (cluster.replaced(1) == 1).then_some(())
    });
    assert_eq!(cluster.sum(1), cluster.sum(2));
}

#[test]
fn nodes_whose_states_are_the_same_report_nothing() {
    let cluster = Cluster::new(3, &[]);
    for _ in 0..40 {
        cluster.commit(b"one of many");
    }
    let last = wait_for("a state that is applied", || {
        let state = cluster.nodes[&1].state();
        (state.applied_index >= state.commit_index).then_some(state.commit_index)
    });
    for node in cluster.nodes.values() {
        // Also after the last entry, which is at no distance.
        wait_for("the last entry to be compared", || {
            let same = node.comparison().same_after?;
            (same.index >= last).then_some(())
        });
    }
    for (id, events) in &cluster.events {
        let told = events
            .try_iter()
            .find(|event| diverged(event.clone()).is_some() || differ(event.clone()).is_some());
        assert_eq!(told, None, "node {id}");
        assert_eq!(cluster.replaced(*id), 0);
    }
}

/// Nobody asks it again, so nothing else would end it.
#[test]
fn a_node_that_was_removed_does_not_differ_for_ever() {
    let cluster = Cluster::new(2, &[1]);
    cluster.commit(b"slip");
    wait_for("the states to differ", || {
        (cluster.nodes[&2].comparison().differing == [NodeId(1)]).then_some(())
    });
    let remove = MembershipChange::from(NodeChange::Remove(NodeId(1)));
    wait_for("the change", || {
        cluster.nodes.values().find_map(|node| {
            let ticket = node.change_membership(remove.clone());
            ticket.wait_timeout(Duration::from_secs(5)).ok()
        })
    });
    wait_for("node 2 to forget it", || {
        let found = cluster.nodes[&2].comparison();
        found.differing.is_empty().then_some(())
    });
}

#[test]
fn a_node_that_is_killed_while_it_compares_ends() {
    let cluster = Cluster::new(3, &[1]);
    cluster.commit(b"slip");
    for node in cluster.nodes.values() {
        node.kill();
    }
}
