//! A busy leader puts its heartbeats off for ever, and looks at the clock all the same.
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
use timed::{TimedCluster, millis, seconds, with_priorities};

/// Proposes at the leader every `pause`, for `duration` or until `done`.
fn work(
    cluster: &mut TimedCluster,
    pause: Duration,
    duration: Duration,
    done: impl Fn(&TimedCluster) -> bool,
) {
    let begin = cluster.now;
    while cluster.now.since(begin) < duration && !done(cluster) {
        if let Some(leader) = cluster.leader() {
            let _ = cluster.propose(leader, "a");
        }
        cluster.run(pause);
    }
}

// The bug: only a leader with a due heartbeat looks for a voter of greater priority.
#[test]
fn a_busy_leader_hands_over_to_the_voter_of_the_greatest_priority() {
    for pause in [20, 50, 90] {
        for seed in 0..5 {
            let mut cluster = TimedCluster::new(3, seed, |config| {
                with_priorities(config, &[0, 5, 10]);
            });
            // n3 is away when the others elect.
            cluster.cut(3, 1);
            cluster.cut(3, 2);
            let leader = cluster.elect();
            assert_ne!(leader, 3);
            work(&mut cluster, millis(pause), seconds(1), |_| false);
            cluster.heal(3, 1);
            cluster.heal(3, 2);
            let n3_leads = |it: &TimedCluster| it.leader() == Some(3);
            work(&mut cluster, millis(pause), seconds(5), n3_leads);
            let leader = cluster.leader();
            assert_eq!(leader, Some(3), "a command each {pause} ms, seed {seed}");
        }
    }
}

// The bug: the deadlines of a busy leader are looked at when a timer for something else fires.
#[test]
fn a_busy_leader_gives_a_transfer_up_in_time() {
    for seed in 0..5 {
        let mut cluster = TimedCluster::new(3, seed, |_| {});
        let leader = cluster.elect();
        cluster.run(seconds(1));
        let target = leader % 3 + 1;
        cluster.crash(target);
        let busy = |cluster: &mut TimedCluster, millis_long: u64| {
            let duration = millis(millis_long);
            work(cluster, millis(20), duration, |_| false);
        };
        busy(&mut cluster, 330);
        let begin = cluster.now;
        let request = cluster.transfer(leader, Some(target));
        // Reads keep it busy: they go to the voters at once.
        while cluster.now.since(begin) < seconds(2) {
            cluster.run(millis(20));
            let (id, mode) = (RequestId(55), ReadMode::Quorum);
            cluster.input(leader, Input::Read { id, mode });
            let _ = cluster.propose(leader, "a");
        }
        let (at, outcome) = cluster.transferred(request).unwrap();
        let target = NodeId(target);
        assert_eq!(outcome, Err(TransferError::TimedOut { target }));
        assert_eq!(at.since(begin), seconds(1), "seed {seed}");
    }
}

#[test]
fn a_busy_leader_refuses_a_read_in_time() {
    for seed in 0..5 {
        let mut cluster = TimedCluster::new(3, seed, |config| {
            config.check_quorum = CheckQuorum::Off;
            config.pre_vote = PreVoting::Off;
        });
        let leader = cluster.elect();
        cluster.run(seconds(1));
        for other in 1..=3 {
            if other != leader {
                cluster.cut(leader, other);
            }
        }
        cluster.run(millis(30));
        let begin = cluster.now;
        let (id, mode) = (RequestId(55), ReadMode::Quorum);
        cluster.input(leader, Input::Read { id, mode });
        while cluster.now.since(begin) < seconds(2) {
            cluster.run(millis(20));
            let _ = cluster.propose(leader, "a");
        }
        let refused = cluster.recorded.iter().find_map(|one| match one.action {
            Action::Read { id: found, outcome } if found == id => Some((one.at, outcome)),
            _ => None,
        });
        let (at, outcome) = refused.unwrap();
        assert_eq!(outcome, Err(ReadError::TimedOut));
        assert_eq!(at.since(begin), seconds(1), "seed {seed}");
    }
}
