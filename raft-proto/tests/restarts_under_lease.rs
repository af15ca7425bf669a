//! A lease outlasts the restart of a follower on whose answer it rests (thesis 6.4.1): the follower
//! has forgotten its contact with the leader, and the leader still serves reads.
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
use std::time::Duration;
use timed::{TimedCluster, millis, seconds};

/// Three nodes with leases. n1 leads without the vote of n3, and n2 is cut off from n1, with a log
/// behind the others.
fn n2_is_cut_off_and_behind() -> TimedCluster {
    for seed in 0.. {
        let mut cluster = TimedCluster::new(3, seed, |config| {
            config.lease = Lease::On { max_drift_ppm: 0 };
        });
        cluster.crash(3);
        if cluster.elect() == 1 {
            cluster.restart(3);
            cluster.run(seconds(2));
            cluster.cut(1, 2);
            cluster.propose(1, "n2 lacks it").unwrap();
            cluster.run(seconds(2));
            return cluster;
        }
    }
    unreachable!()
}

/// What a read of `id` under its lease gives.
fn lease_read(cluster: &mut TimedCluster, id: u64) -> Result<Index, ReadError> {
    let mode = ReadMode::Lease;
    let id_and_mode = Input::Read {
        id: RequestId(1 << 40),
        mode,
    };
    let outcome = |action: Action| match action {
        Action::Read { outcome, .. } => Some(outcome),
        _ => None,
    };
    let actions = cluster.input(id, id_and_mode);
    actions.into_iter().find_map(outcome).unwrap()
}

// n2 asks for pre-votes while n3 has just started. n3, whose log is better, could campaign at once,
// and win with the vote of n2.
#[test]
fn a_node_that_has_just_started_does_not_campaign_while_a_lease_may_rest_on_it() {
    for offset in (0..1000).step_by(20) {
        let mut cluster = n2_is_cut_off_and_behind();
        cluster.run(millis(offset));
        assert_eq!(cluster.leader(), Some(1));
        cluster.cut(1, 3);
        cluster.restart(3);
        let lasted = |cluster: &TimedCluster| cluster.raft(3).role() == RoleKind::Leader;
        if let Some(after) = cluster.run_until(Duration::from_secs(5), lasted) {
            let read = lease_read(&mut cluster, 1);
            assert_eq!(
                read.ok(),
                None,
                "offset {offset}: n3 leads {after:?} after it started"
            );
        }
    }
}

// A chunk of a snapshot is contact with the leader, and asks for no promise. The connection that
// breaks after it, at a node that has just started, is no reason to campaign at once.
#[test]
fn nor_does_one_that_hears_only_chunks_of_its_leader_and_then_loses_it() {
    for offset in (0..1000).step_by(20) {
        let mut cluster = n2_is_cut_off_and_behind();
        cluster.run(millis(offset));
        assert_eq!(cluster.leader(), Some(1));
        cluster.cut(1, 3);
        cluster.restart(3);
        let from = NodeId(1);
        let message = Message::InstallSnapshot(Box::new(first_chunk(cluster.raft(1))));
        let incarnation = None;
        let chunk = Input::Receive {
            from,
            incarnation,
            message,
        };
        cluster.input(3, chunk);
        assert_eq!(cluster.raft(3).leader(), Some(from));
        cluster.input(3, Input::Unreachable { peer: from });
        let lasted = |cluster: &TimedCluster| cluster.raft(3).role() == RoleKind::Leader;
        if let Some(after) = cluster.run_until(Duration::from_secs(5), lasted) {
            let read = lease_read(&mut cluster, 1);
            assert_eq!(
                read.ok(),
                None,
                "offset {offset}: n3 leads {after:?} after it started"
            );
        }
    }
}

/// The first byte of a snapshot of all that this leader has committed.
fn first_chunk(leader: &Raft) -> InstallSnapshot {
    let last = leader.last_log();
    assert_eq!(leader.commit_index(), last.index);
    InstallSnapshot {
        term: leader.term(),
        snapshot: SnapshotMeta {
            id: SnapshotId {
                last,
                size: 2,
                checksum: 0,
            },
            membership: leader.membership().clone(),
        },
        offset: 0,
        data: bytes::Bytes::from_static(b"a"),
    }
}
