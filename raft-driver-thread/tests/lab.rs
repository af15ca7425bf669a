//! The lab's scenarios that make sense in real time: within a process, and over TCP with disks.
#![cfg(all(feature = "tcp", feature = "disk"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::{RequestError, StopReason};
use support::{Cluster, Ground, LIMIT, until};

/// Each scenario on both grounds.
macro_rules! scenarios {
    ($($name:ident($nodes:literal)),* $(,)?) => {
        mod in_a_process {
            $(#[test]
            fn $name() {
                super::$name(super::Ground::channel());
            })*
        }
        mod over_tcp {
            $(#[test]
            fn $name() {
                super::$name(super::Ground::tcp($nodes));
            })*
        }
    };
}

scenarios! {
    three_nodes_elect_one_leader_and_apply_what_it_takes(3),
    a_majority_goes_on_without_the_leader_which_rejoins(3),
    nodes_agree_over_a_network_that_loses_doubles_and_reorders(5),
    what_was_applied_outlives_all_nodes(3),
    a_node_that_was_away_for_long_is_sent_a_snapshot(3),
    a_lead_is_handed_over_when_its_node_is_shut_down(3),
}

fn three_nodes_elect_one_leader_and_apply_what_it_takes(ground: Ground) {
    let cluster = Cluster::on(ground, 3, |_| {});
    let leader = cluster.leader();
    let (id, ticket) = cluster.nodes[&leader].propose("a").unwrap();
    let applied = ticket.wait_timeout(LIMIT).unwrap();
    assert_eq!((applied.id, applied.answer), (id, 1));
    for node in 1..=3 {
        assert_eq!(cluster.journal(node), [b"a"]);
    }
}

fn a_majority_goes_on_without_the_leader_which_rejoins(ground: Ground) {
    let cluster = Cluster::on(ground, 3, |_| {});
    cluster.one(b"a");
    let old = cluster.leader();
    cluster.ground.cut(old);
    let rest: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
    // What the old leader takes now is never applied.
    let lost = cluster.nodes[&old].submit("lost");
    let new = cluster.leader_among(&rest);
    let applied = cluster.nodes[&new].execute("b", LIMIT).unwrap();
    assert_eq!(applied.answer, 2);
    cluster.ground.heal(old);
    let fate = lost.wait_timeout(LIMIT).unwrap_err();
    assert!(matches!(fate, RequestError::NotApplied { .. }), "{fate}");
    assert_eq!(cluster.journal(old), [b"a", b"b"]);
}

fn nodes_agree_over_a_network_that_loses_doubles_and_reorders(ground: Ground) {
    let cluster = Cluster::on(ground, 5, |_| {});
    cluster.ground.be_unreliable();
    for number in 0..20_u8 {
        cluster.one(&[number]);
    }
    let journal = cluster.journal(1);
    for node in 2..=5 {
        assert_eq!(cluster.journal(node), journal);
    }
}

fn what_was_applied_outlives_all_nodes(ground: Ground) {
    let mut cluster = Cluster::on(ground, 3, |_| {});
    cluster.one(b"a");
    for id in 1..=3 {
        cluster.kill(id);
    }
    for id in 1..=3 {
        cluster.start(id);
    }
    cluster.one(b"b");
    let journal = cluster.journal(2);
    assert_eq!(journal.first().unwrap(), b"a");
    assert_eq!(journal.last().unwrap(), b"b");
}

fn a_node_that_was_away_for_long_is_sent_a_snapshot(ground: Ground) {
    let mut cluster = Cluster::on(ground, 3, |options| {
        options.snapshots.every_entries = Some(50);
        options.config.trailing_entries = 10;
        options.config.snapshot_chunk_bytes = 100;
    });
    cluster.one(b"a");
    let away = 1 + cluster.leader() % 3;
    cluster.kill(away);
    for number in 0..500_u32 {
        cluster.one(&number.to_le_bytes());
    }
    until("a snapshot in the place of the log's beginning", || {
        let leader = cluster.nodes.values().next().unwrap();
        let status = leader.status().unwrap();
        (status.log_base.index.0 > 100).then_some(())
    });
    cluster.start(away);
    assert_eq!(cluster.journal(away), cluster.journal(cluster.leader()));
    let restored = cluster.nodes[&away].status().unwrap().snapshot;
    assert!(restored.is_some(), "it came by a snapshot");
}

fn a_lead_is_handed_over_when_its_node_is_shut_down(ground: Ground) {
    let cluster = Cluster::on(ground, 3, |_| {});
    cluster.one(b"a");
    let old = cluster.leader();
    let term = cluster.nodes[&old].state().term;
    assert_eq!(cluster.nodes[&old].shutdown(), StopReason::Shutdown);
    let rest: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
    let new = cluster.leader_among(&rest);
    // By TimeoutNow: the very next term, without a split vote.
    assert_eq!(cluster.nodes[&new].state().term, term.next());
}
