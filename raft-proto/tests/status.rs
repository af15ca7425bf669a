//! What a node's status tells, and that reading it again allocates nothing.
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

fn with_leases(config: &mut Config) {
    config.check_quorum = CheckQuorum::On;
    config.lease = Lease::On { max_drift_ppm: 0 };
}

/// n1 leads three nodes with leases, and a majority has answered.
fn with_a_lease() -> Cluster {
    let mut cluster = Cluster::with(3, with_leases);
    cluster.wait(Duration::from_secs(1));
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.deliver();
    for _ in 0..2 {
        cluster.send_heartbeats(1);
        cluster.deliver();
    }
    cluster
}

/// Where the lists of a status are in memory.
fn places(status: &Status) -> [usize; 5] {
    [
        status.membership.members().as_ptr() as usize,
        status.peers.as_ptr() as usize,
        status.waits_for.as_ptr() as usize,
        status.foreign_incarnations.as_ptr() as usize,
        status.missing_founders.as_ptr() as usize,
    ]
}

#[test]
fn a_status_that_is_written_over_an_earlier_one_stays_in_its_memory() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    cluster.node(1).disk = Disk::Manual;
    cluster.propose(1, "b").unwrap();
    let mut status = cluster.raft(1).status();
    assert_eq!(status.waits_for.len(), 1);
    let before = places(&status);
    for command in ["c", "d"] {
        cluster.propose(1, command).unwrap();
        cluster.deliver();
        cluster.raft(1).status_into(&mut status);
        assert_eq!(status, cluster.raft(1).status());
        assert_eq!(places(&status), before);
    }
    // Also of another node, which has fewer.
    cluster.raft(2).status_into(&mut status);
    assert_eq!(status, cluster.raft(2).status());
    assert_eq!(places(&status), before);
}

#[test]
fn peers_are_told_one_by_one_without_a_status() {
    let cluster = leader(3, |_| {}, &["a"]);
    let peers: Vec<PeerStatus> = cluster.raft(1).peers().collect();
    assert_eq!(peers, cluster.raft(1).status().peers);
    assert_eq!(peers.len(), 2);
    assert_eq!(cluster.raft(2).peers().count(), 0);
}

// Thesis 6.4.1: it lasts for the least election timeout from the round that a majority answered.
#[test]
fn a_leader_tells_until_when_its_lease_lasts() {
    let mut cluster = with_a_lease();
    let LeaseStatus::Until(until) = cluster.raft(1).lease() else {
        panic!("{:?}", cluster.raft(1).lease())
    };
    assert!(until > cluster.now && until <= cluster.now.after(Duration::from_millis(500)));
    assert_eq!(cluster.raft(1).status().lease, LeaseStatus::Until(until));
    assert_eq!(cluster.raft(2).lease(), LeaseStatus::NotLeader);
    let serves = |cluster: &mut Cluster| {
        let (id, mode) = (RequestId(5), ReadMode::Lease);
        let actions = cluster.input(1, Input::Read { id, mode });
        let is_served = |action: &Action| matches!(action, Action::Read { outcome: Ok(_), .. });
        actions.iter().any(is_served)
    };
    // It is served up to that time, and not at it.
    cluster.now = Time(until.0 - 1);
    assert!(serves(&mut cluster));
    cluster.now = until;
    assert!(!serves(&mut cluster));
    assert_eq!(cluster.raft(1).lease(), LeaseStatus::Unconfirmed);
}

#[test]
fn a_leader_without_a_lease_tells_why() {
    let off = leader(3, |_| {}, &["a"]);
    assert_eq!(off.raft(1).lease(), LeaseStatus::Off);
    let mut cluster = Cluster::with(3, with_leases);
    cluster.wait(Duration::from_secs(1));
    cluster.elect(1);
    assert_eq!(cluster.raft(1).lease(), LeaseStatus::NoCommitInTerm);
    let mut cluster = with_a_lease();
    let (id, target) = (RequestId(1), Some(NodeId(3)));
    cluster.input(1, Input::TransferLeadership { id, target });
    assert_eq!(cluster.raft(1).lease(), LeaseStatus::Transferring);
    let mut only = Cluster::with(1, with_leases);
    only.wait(Duration::from_secs(1));
    only.campaign(1);
    only.propose(1, "a").unwrap();
    assert_eq!(only.raft(1).lease(), LeaseStatus::Until(Time::NEVER));
}

#[test]
fn a_transfer_under_way_is_told_with_its_target_and_its_end() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    assert_eq!(cluster.raft(1).status().handover, None);
    cluster.propose(1, "b").unwrap();
    let (id, target) = (RequestId(1), Some(NodeId(3)));
    cluster.input(1, Input::TransferLeadership { id, target });
    let handover = cluster.raft(1).status().handover.unwrap();
    assert_eq!(handover.target, NodeId(3));
    assert_eq!(handover.deadline, cluster.now.after(Duration::from_secs(1)));
    assert_eq!(handover.asked_at, None, "it lacks an entry");
    cluster.deliver_if(|packet| packet.message.kind() != MessageKind::TimeoutNow);
    let handover = cluster.raft(1).status().handover.unwrap();
    assert_eq!(handover.asked_at, Some(cluster.now));
}

#[test]
fn bytes_that_are_not_committed_or_not_acknowledged_are_counted() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    cluster.send_heartbeats(1);
    cluster.deliver();
    assert_eq!(cluster.raft(1).status().uncommitted_bytes, 0);
    assert_eq!(cluster.peer(1, 2).inflight_bytes, 0);
    cluster.propose(1, "four").unwrap();
    let size = 4 + ENTRY_OVERHEAD;
    assert_eq!(cluster.raft(1).status().uncommitted_bytes, size);
    assert_eq!(cluster.peer(1, 2).inflight_bytes, size);
    assert_eq!(cluster.raft(2).status().uncommitted_bytes, 0);
    cluster.deliver();
    assert_eq!(cluster.raft(1).status().uncommitted_bytes, 0);
    assert_eq!(cluster.peer(1, 2).inflight_bytes, 0);
}

#[test]
fn the_chunk_of_a_snapshot_that_is_on_its_way_is_counted() {
    let mut cluster = n3_is_behind(|config| {
        config.trailing_entries = 0;
        config.snapshot_chunk_bytes = 4;
    });
    cluster.compact(1, 10, b"0123456789");
    cluster.send_heartbeats(1);
    for _ in 0..4 {
        if matches!(cluster.peer(1, 3).state, PeerState::Snapshot { .. }) {
            break;
        }
        cluster.deliver_between(1, 3);
        cluster.deliver_between(3, 1);
    }
    assert_eq!(cluster.peer(1, 3).inflight_bytes, 4);
    for _ in 0..3 {
        cluster.deliver();
        cluster.send_heartbeats(1);
    }
    cluster.deliver();
    assert_eq!(cluster.peer(1, 3).inflight_bytes, 0);
}

#[test]
fn reads_that_wait_are_counted_where_they_wait() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    let mode = ReadMode::Quorum;
    for id in [1, 2] {
        let id = RequestId(id);
        cluster.input(1, Input::Read { id, mode });
    }
    cluster.input(
        2,
        Input::Read {
            id: RequestId(3),
            mode,
        },
    );
    assert_eq!(cluster.raft(1).status().waiting_reads, 2);
    assert_eq!(cluster.raft(2).status().waiting_reads, 1);
    assert_eq!(cluster.raft(3).status().waiting_reads, 0);
    cluster.deliver();
    cluster.deliver();
    assert_eq!(cluster.raft(1).waiting_reads(), 0);
    assert_eq!(cluster.raft(2).waiting_reads(), 0);
}
