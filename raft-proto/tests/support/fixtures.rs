//! States that the tests of several files start from.

use super::{Cluster, Disk, append};
use raft_proto::*;

/// What the storage of node `node` says about itself in a cluster that began with `voters`.
pub fn identity(node: u64, voters: impl IntoIterator<Item = u64>) -> Identity {
    Identity {
        cluster_id: ClusterId(7),
        group_id: GroupId(0),
        node_id: NodeId(node),
        bootstrap: Membership::new(voters.into_iter().map(NodeId)),
        incarnation: None,
    }
}

/// n1 leads `count` nodes in term 1. It has committed `commands`, and the others know it.
pub fn leader(count: u64, change: impl Fn(&mut Config), commands: &[&str]) -> Cluster {
    let mut cluster = Cluster::with(count, change);
    cluster.elect(1);
    for command in commands {
        cluster.propose(1, command).unwrap();
    }
    cluster.deliver();
    cluster
}

/// n1 and n2 have committed the commands "1" to "10" in term 1. n3 has none of them.
pub fn n3_is_behind(change: impl Fn(&mut Config)) -> Cluster {
    let mut cluster = Cluster::with(3, change);
    cluster.elect(1);
    for at in 1..=10 {
        cluster.propose(1, &at.to_string()).unwrap();
        cluster.deliver_if(|packet| packet.to != NodeId(3));
    }
    cluster
}

/// n1 follows n2 in term 1. Its log is 1@1 2@1 3@1 4@1, of which two entries are committed.
pub fn follower_in_term_1(disk: Disk) -> Cluster {
    let mut cluster = Cluster::new(3);
    let log = [(1, 1, "a"), (2, 1, "b"), (3, 1, "c"), (4, 1, "d")];
    cluster.receive(1, 2, append(1, EntryId::ZERO, &log, 2));
    cluster.take_packets();
    cluster.node(1).disk = disk;
    cluster
}

/// n1 follows n2 in term 3. Its log is 1@1 2@2 3@3, of which two entries are committed.
pub fn follower_in_term_3() -> Cluster {
    let mut cluster = Cluster::new(3);
    let log = [(1, 1, "a"), (2, 2, "b"), (3, 3, "c")];
    cluster.receive(1, 2, append(3, EntryId::ZERO, &log, 2));
    cluster.take_packets();
    cluster
}
