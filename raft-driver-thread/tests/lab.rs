//! The lab's scenarios that make sense in real time: within a process, and over TCP with disks.
#![cfg(all(feature = "tcp", feature = "disk"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::{RequestError, StopReason};
use support::{Cluster, Environment, TIMEOUT, wait_for};

/// Each scenario in both environments.
macro_rules! scenarios {
    ($($name:ident($nodes:literal)),* $(,)?) => {
        mod in_a_process {
            $(#[test]
            fn $name() {
                super::$name(super::Environment::channel());
            })*
        }
        mod over_tcp {
            $(#[test]
            fn $name() {
                super::$name(super::Environment::tcp($nodes));
            })*
        }
    };
}

scenarios! {
    three_nodes_elect_one_leader_and_apply_its_commands(3),
    a_majority_goes_on_without_the_leader_which_rejoins(3),
    nodes_agree_over_a_network_that_loses_duplicates_and_reorders(5),
    applied_commands_survive_a_crash_of_all_nodes(3),
    a_node_that_was_down_for_long_is_sent_a_snapshot(3),
    a_leader_that_is_shut_down_hands_over_its_leadership(3),
}

fn three_nodes_elect_one_leader_and_apply_its_commands(environment: Environment) {
    let cluster = Cluster::within(environment, 3, |_| {});
    // On a busy machine a leader may be deposed, and what it proposed is not applied.
    let applied = wait_for("a command to be applied", || {
        let leader = cluster.leader();
        let (id, ticket) = cluster.nodes[&leader].propose("a").ok()?;
        let applied = ticket.wait_timeout(TIMEOUT).ok()?;
        assert_eq!(applied.id, id);
        Some(applied)
    });
    assert_eq!(applied.answer, 1);
    for node in 1..=3 {
        assert_eq!(cluster.read_journal(node), [b"a"]);
    }
}

fn a_majority_goes_on_without_the_leader_which_rejoins(environment: Environment) {
    let cluster = Cluster::within(environment, 3, |_| {});
    cluster.execute(b"a");
    // The old leader still accepts this command, but it is never applied. On a busy machine it may
    // have been deposed just before.
    let (old, lost) = wait_for("a leader that is cut off and proposes", || {
        let old = cluster.leader();
        cluster.environment.cut(old);
        let proposed = cluster.nodes[&old].propose("lost");
        if proposed.is_err() {
            cluster.environment.heal(old);
        }
        Some((old, proposed.ok()?.1))
    });
    let others = cluster.nodes.iter().filter(|(id, _)| **id != old);
    let others: Vec<_> = others.map(|(_, node)| node).collect();
    let applied = support::execute(others, b"b");
    assert_eq!(applied.answer, 2);
    cluster.environment.heal(old);
    let error = lost.wait_timeout(TIMEOUT).unwrap_err();
    assert!(matches!(error, RequestError::NotApplied { .. }), "{error}");
    assert_eq!(cluster.read_journal(old), [b"a", b"b"]);
}

fn nodes_agree_over_a_network_that_loses_duplicates_and_reorders(environment: Environment) {
    let cluster = Cluster::within(environment, 5, |_| {});
    cluster.environment.make_unreliable();
    for number in 0..20_u8 {
        cluster.commit(&[number]);
    }
    let journal = cluster.read_journal(1);
    for node in 2..=5 {
        assert_eq!(cluster.read_journal(node), journal);
    }
}

fn applied_commands_survive_a_crash_of_all_nodes(environment: Environment) {
    let mut cluster = Cluster::within(environment, 3, |_| {});
    cluster.commit(b"a");
    for id in 1..=3 {
        cluster.kill(id);
    }
    for id in 1..=3 {
        cluster.start(id);
    }
    cluster.commit(b"b");
    let journal = cluster.read_journal(2);
    assert_eq!(journal.first().unwrap(), b"a");
    assert_eq!(journal.last().unwrap(), b"b");
}

fn a_node_that_was_down_for_long_is_sent_a_snapshot(environment: Environment) {
    let mut cluster = Cluster::within(environment, 3, |options| {
        options.snapshots.every_entries = Some(50);
        options.config.trailing_entries = 10;
        // Nor does the log wait for the node while it is down.
        options.config.max_transfer_log_bytes = 0;
        options.config.snapshot_chunk_bytes = 100;
    });
    cluster.commit(b"a");
    let leader = cluster.leader();
    let down = 1 + leader % 3;
    cluster.kill(down);
    for number in 0..500_u32 {
        cluster.commit(&number.to_le_bytes());
    }
    // The last of its snapshots, 50 entries or less before the end.
    wait_for("a snapshot in the place of most of the log", || {
        let status = cluster.nodes[&leader].status().unwrap();
        (status.log_base.index.0 > 440).then_some(())
    });
    cluster.start(down);
    let expected = cluster.read_journal(cluster.leader());
    assert_eq!(cluster.read_journal(down), expected);
    let installed = cluster.nodes[&down].status().unwrap().snapshot;
    assert!(installed.is_some());
}

fn a_leader_that_is_shut_down_hands_over_its_leadership(environment: Environment) {
    let mut cluster = Cluster::within(environment, 3, |_| {});
    // On a busy machine nobody may take over in time, and an election may need more than one term.
    wait_for("a handover by TimeoutNow, in the very next term", || {
        cluster.commit(b"a");
        let old = cluster.leader();
        let term = cluster.nodes[&old].state().term;
        assert_eq!(cluster.nodes[&old].shutdown(), StopReason::Shutdown);
        let others: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
        let new = cluster.leader_among(&others);
        let is_next = cluster.nodes[&new].state().term == term.next();
        cluster.kill(old);
        cluster.start(old);
        is_next.then_some(())
    });
}
