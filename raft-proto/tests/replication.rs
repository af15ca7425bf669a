//! Replication from end to end: commands, conflicts and snapshots reach all nodes.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use raft_proto::*;
use support::*;

#[test]
fn a_command_reaches_every_node_in_order() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    for command in ["a", "b", "c"] {
        cluster.propose(1, command).unwrap();
        cluster.deliver();
    }
    for id in 1..=3 {
        assert_eq!(cluster.applied(id), ["a", "b", "c"]);
    }
}

#[test]
fn a_follower_with_fifty_conflicting_entries_is_repaired_by_one_heartbeat() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, "common").unwrap();
    cluster.deliver();
    // n1 is cut off, and takes commands that no other node receives.
    for at in 0..50 {
        cluster.propose(1, &format!("lost {at}")).unwrap();
    }
    cluster.take_packets();
    cluster.campaign(2);
    cluster.deliver_if(|packet| packet.to != NodeId(1));
    for at in 0..50 {
        cluster.propose(2, &format!("kept {at}")).unwrap();
        cluster.deliver_if(|packet| packet.to != NodeId(1));
    }
    cluster.send_heartbeats(2);
    cluster.deliver();
    assert_eq!(cluster.log(1), cluster.log(2));
    cluster.send_heartbeats(2);
    cluster.deliver();
    assert_eq!(cluster.applied(1), cluster.applied(2));
    assert_eq!(cluster.applied(1).len(), 51);
}

#[test]
fn a_follower_that_needs_compacted_entries_receives_the_snapshot_in_chunks() {
    let mut cluster = Cluster::with(3, |config| {
        config.snapshot_chunk_bytes = 4;
        config.trailing_entries = 0;
    });
    cluster.elect(1);
    for at in 0..10 {
        cluster.propose(1, &at.to_string()).unwrap();
        cluster.deliver_if(|packet| packet.to != NodeId(3));
    }
    let snapshot = cluster.compact(1, 9, b"ten bytes!");
    cluster.send_heartbeats(1);
    cluster.deliver();
    cluster.send_heartbeats(1);
    cluster.deliver();
    assert_eq!(cluster.raft(3).commit_index(), Index(10));
    assert_eq!(cluster.raft(3).snapshot().unwrap().id, snapshot);
    assert_eq!(cluster.applied(3), ["9"]);
    assert_eq!(
        cluster.nodes[&NodeId(3)].snapshots[&snapshot],
        b"ten bytes!"
    );
}
