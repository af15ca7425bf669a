//! Without CheckQuorum, a leader that is heard and hears too few to commit anything is replaced,
//! and no other leader is disturbed for that.
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
use timed::{SyncTime, TimedCluster, millis, seconds};

const TIMEOUT: Duration = millis(1_000);

fn cluster(count: u64, seed: u64) -> TimedCluster {
    TimedCluster::new(count, seed, |config| {
        config.election_timeout_min = millis(500);
        config.election_timeout_max = TIMEOUT;
        config.check_quorum = CheckQuorum::Off;
        config.lease = Lease::Off;
    })
}

/// A cluster with a leader, which hears none of the others but `heard`.
fn with_deaf_leader(count: u64, seed: u64, heard: &[u64]) -> (TimedCluster, u64) {
    let mut cluster = cluster(count, seed);
    let leader = cluster.elect();
    cluster.run(seconds(2));
    let others = (1..=count).filter(|id| *id != leader);
    // Named by their order among the others, as the leader may be any.
    for (at, other) in (1_u64..).zip(others) {
        if !heard.contains(&at) {
            cluster.cut_one_way(other, leader);
        }
    }
    (cluster, leader)
}

/// The nodes that lead, but the one that is deaf.
fn other_leaders(cluster: &TimedCluster, deaf: u64) -> impl Iterator<Item = &Raft> {
    let rafts = cluster.nodes.values().map(|node| &node.raft);
    rafts.filter(move |raft| raft.id() != NodeId(deaf) && raft.role() == RoleKind::Leader)
}

fn is_led_by_another(cluster: &TimedCluster, deaf: u64) -> bool {
    other_leaders(cluster, deaf).next().is_some()
}

/// Whether another node leads and has committed more than `index`.
fn is_replaced(cluster: &TimedCluster, deaf: u64, index: Index) -> bool {
    other_leaders(cluster, deaf).any(|raft| raft.commit_index() > index)
}

#[test]
fn a_leader_that_every_voter_hears_and_that_hears_nobody_is_replaced() {
    for count in [3, 4, 5] {
        for seed in 0..20 {
            let (mut cluster, deaf) = with_deaf_leader(count, seed, &[]);
            let committed = cluster.raft(deaf).commit_index();
            cluster.propose(deaf, "a").unwrap();
            let within = TIMEOUT * 8;
            let replaced = |cluster: &TimedCluster| is_replaced(cluster, deaf, committed);
            assert!(
                cluster.run_until(within, replaced).is_some(),
                "{count} voters, seed {seed}"
            );
        }
    }
}

#[test]
fn so_is_one_that_hears_a_voter_with_which_it_has_no_majority() {
    for count in [4, 5] {
        for seed in 0..20 {
            let (mut cluster, deaf) = with_deaf_leader(count, seed, &[1]);
            let committed = cluster.raft(deaf).commit_index();
            for command in ["a", "b", "c"] {
                cluster.propose(deaf, command).unwrap();
                cluster.run(millis(30));
            }
            let within = TIMEOUT * 8;
            let replaced = |cluster: &TimedCluster| is_replaced(cluster, deaf, committed);
            assert!(
                cluster.run_until(within, replaced).is_some(),
                "{count} voters, seed {seed}"
            );
        }
    }
}

#[test]
fn the_followers_that_it_does_not_hear_need_none_of_the_entries_that_wait() {
    for count in [4, 5] {
        for seed in 0..20 {
            let (mut cluster, deaf) = with_deaf_leader(count, seed, &[1]);
            let committed = cluster.raft(deaf).commit_index();
            let others: Vec<u64> = (1..=count).filter(|id| *id != deaf).collect();
            for unheard in &others[1..] {
                // From now on it is only asked where its log agrees.
                let peer = NodeId(*unheard);
                cluster.input(deaf, Input::Unreachable { peer });
            }
            cluster.run(millis(200));
            cluster.propose(deaf, "a").unwrap();
            cluster.run(millis(500));
            for unheard in &others[1..] {
                assert_eq!(cluster.raft(*unheard).last_log().index, committed);
            }
            let within = TIMEOUT * 12;
            let replaced = |cluster: &TimedCluster| is_led_by_another(cluster, deaf);
            assert!(
                cluster.run_until(within, replaced).is_some(),
                "{count} voters, seed {seed}"
            );
        }
    }
}

#[test]
fn a_question_of_the_leader_for_an_entry_that_was_lost_shows_that_it_waits() {
    for count in [3, 4, 5] {
        for seed in 0..20 {
            let (mut cluster, deaf) = with_deaf_leader(count, seed, &[]);
            let committed = cluster.raft(deaf).commit_index();
            let others: Vec<u64> = (1..=count).filter(|id| *id != deaf).collect();
            others
                .iter()
                .for_each(|other| cluster.cut_one_way(deaf, *other));
            cluster.propose(deaf, "a").unwrap();
            cluster.run(millis(100));
            for other in &others {
                cluster.heal(deaf, *other);
                cluster.cut_one_way(*other, deaf);
                assert_eq!(cluster.raft(*other).last_log().index, committed);
            }
            let replaced = |cluster: &TimedCluster| is_led_by_another(cluster, deaf);
            assert!(
                cluster.run_until(TIMEOUT * 10, replaced).is_some(),
                "{count} voters, seed {seed}"
            );
        }
    }
}

/// How far the greatest term has come.
fn greatest_term(cluster: &TimedCluster) -> Term {
    let terms = cluster.nodes.values().map(|node| node.raft.term());
    terms.max().unwrap()
}

#[test]
fn where_nothing_waits_nobody_asks() {
    let (mut cluster, leader) = with_deaf_leader(5, 1, &[1, 2, 3, 4]);
    cluster.propose(leader, "a").unwrap();
    cluster.run(seconds(2));
    let (term, asked) = (greatest_term(&cluster), cluster.delivered.clone());
    cluster.run(seconds(60));
    let pre_votes = |counts: &std::collections::BTreeMap<MessageKind, u64>| {
        counts.get(&MessageKind::PreVote).copied()
    };
    assert_eq!(pre_votes(&cluster.delivered), pre_votes(&asked));
    assert_eq!(greatest_term(&cluster), term);
}

#[test]
fn a_leader_whose_majority_is_down_stays_and_no_term_begins() {
    for seed in 0..10 {
        let (mut cluster, leader) = with_deaf_leader(5, seed, &[1, 2, 3, 4]);
        let others = (1..=5).filter(|id| *id != leader);
        for other in others.skip(1) {
            cluster.crash(other);
        }
        cluster.propose(leader, "a").unwrap();
        let term = greatest_term(&cluster);
        cluster.run(seconds(60));
        assert_eq!(cluster.leader(), Some(leader), "seed {seed}");
        assert_eq!(greatest_term(&cluster), term, "seed {seed}");
    }
}

#[test]
fn a_leader_that_hears_a_majority_stays_while_their_disks_write_nothing() {
    for seed in 0..10 {
        let (mut cluster, leader) = with_deaf_leader(5, seed, &[1, 2, 3, 4]);
        let others: Vec<u64> = (1..=5).filter(|id| *id != leader).collect();
        for other in &others[..3] {
            cluster.set_sync(*other, SyncTime::Stalled);
        }
        let term = greatest_term(&cluster);
        // Of those that write nothing, some are cut off at times: their logs are behind.
        for round in 0..60 {
            let behind = others[round % 3];
            cluster.cut_one_way(leader, behind);
            let _ = cluster.propose(leader, "a");
            cluster.run(millis(300));
            cluster.heal(leader, behind);
            cluster.run(millis(700));
        }
        assert_eq!(cluster.leader(), Some(leader), "seed {seed}");
        assert_eq!(greatest_term(&cluster), term, "seed {seed}");
    }
}

#[test]
fn with_check_quorum_a_follower_does_not_look() {
    let mut cluster = TimedCluster::new(3, 1, |config| {
        config.election_timeout_max = TIMEOUT;
        config.check_quorum = CheckQuorum::On;
    });
    let leader = cluster.elect();
    cluster.run(seconds(2));
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    for other in &others {
        cluster.set_sync(*other, SyncTime::Stalled);
    }
    cluster.propose(leader, "a").unwrap();
    let asked = cluster.delivered.get(&MessageKind::PreVote).copied();
    cluster.run(seconds(30));
    assert_eq!(cluster.delivered.get(&MessageKind::PreVote).copied(), asked);
}

// The follower knows less than all that is committed, as the leader never learns what it has.
#[test]
fn a_leader_that_hears_a_majority_is_not_deposed_by_a_follower_that_it_does_not_hear() {
    for count in [3, 5] {
        for seed in 0..20 {
            let (mut cluster, leader) = with_deaf_leader(count, seed, &[2, 3, 4]);
            cluster.run(seconds(1));
            let term = greatest_term(&cluster);
            for _ in 0..3 {
                cluster.propose(leader, "a").unwrap();
                cluster.run(millis(30));
            }
            // From now on it is only asked where its log agrees.
            let unheard = (1..=count).find(|id| *id != leader).unwrap();
            let peer = NodeId(unheard);
            cluster.input(leader, Input::Unreachable { peer });
            cluster.run(seconds(60));
            let rise = greatest_term(&cluster).0 - term.0;
            assert_eq!(rise, 0, "{count} voters, seed {seed}: so many terms");
        }
    }
}

// It leads on until that change is committed (thesis 4.2.2), and is none of the voters that they
// ask.
#[test]
fn a_leader_that_a_change_makes_no_voter_is_not_deposed_while_it_hears_its_followers() {
    for seed in 0..20 {
        for change in [NodeChange::Remove, NodeChange::Demote] {
            let mut cluster = cluster(4, seed);
            let leader = cluster.elect();
            cluster.run(seconds(2));
            let others: Vec<u64> = (1..=4).filter(|id| *id != leader).collect();
            for other in &others[1..] {
                cluster.set_sync(*other, SyncTime::Stalled);
            }
            let term = greatest_term(&cluster);
            let (id, change) = (RequestId(1_000), change(NodeId(leader)).into());
            cluster.input(leader, Input::ChangeMembership { id, change });
            cluster.run(seconds(60));
            for other in &others {
                let membership = cluster.raft(*other).membership();
                assert!(!membership.is_voter(NodeId(leader)), "seed {seed}");
            }
            assert_eq!(cluster.leader(), Some(leader), "seed {seed}");
            assert_eq!(greatest_term(&cluster), term, "seed {seed}");
        }
    }
}

// A node asks for pre-votes again and again whose log is longer, and of an earlier term: those
// entries will never be committed (section 5.4.1).
#[test]
fn entries_that_the_present_term_has_superseded_do_not_wait() {
    for seed in 0..20 {
        let mut cluster = cluster(4, seed);
        let first = cluster.elect();
        cluster.run(seconds(2));
        cluster.transfer(first, None);
        cluster.run(seconds(2));
        let leader = cluster.leader().unwrap();
        let others: Vec<u64> = (1..=4).filter(|id| *id != leader).collect();
        let (unheard, asker) = (others[0], NodeId(others[1]));
        cluster.cut_one_way(unheard, leader);
        let term = greatest_term(&cluster);
        let last_log = EntryId {
            index: Index(200),
            term: Term(term.0 - 1),
        };
        for _ in 0..60 {
            let message = Message::PreVote(PreVote {
                term: term.next(),
                last_log,
                campaign: Campaign::Election,
                lineage: Lineage::Unknown,
            });
            let (from, incarnation) = (asker, None);
            let asks = Input::Receive {
                from,
                incarnation,
                message,
            };
            cluster.input(unheard, asks);
            cluster.run(millis(500));
        }
        assert_eq!(greatest_term(&cluster), term, "seed {seed}");
    }
}

// Its followers' transports say again and again that it cannot be reached, as is half the truth.
#[test]
fn hints_of_transports_do_not_keep_a_deaf_leader_in_office() {
    for seed in 0..20 {
        let (mut cluster, deaf) = with_deaf_leader(4, seed, &[]);
        cluster.latency = millis(45);
        let committed = cluster.raft(deaf).commit_index();
        let others: Vec<u64> = (1..=4).filter(|id| *id != deaf).collect();
        let end = cluster.now.after(TIMEOUT * 10);
        while cluster.now < end && !is_replaced(&cluster, deaf, committed) {
            if cluster.raft(deaf).role() == RoleKind::Leader {
                let _ = cluster.propose(deaf, "a");
            }
            let peer = NodeId(deaf);
            for other in &others {
                cluster.input(*other, Input::Unreachable { peer });
            }
            cluster.run(millis(20));
        }
        assert!(is_replaced(&cluster, deaf, committed), "seed {seed}");
    }
}

// It asks its followers only where their logs agree, so that no message tells of an entry that
// waits.
#[test]
fn a_transport_that_cannot_reach_a_deaf_leader_is_a_reason_to_ask() {
    for count in [3, 4, 5] {
        for seed in 0..20 {
            let (mut cluster, deaf) = with_deaf_leader(count, seed, &[]);
            let committed = cluster.raft(deaf).commit_index();
            let others: Vec<u64> = (1..=count).filter(|id| *id != deaf).collect();
            for other in &others {
                let peer = NodeId(*other);
                cluster.input(deaf, Input::Unreachable { peer });
            }
            cluster.run(millis(200));
            cluster.propose(deaf, "a").unwrap();
            cluster.run(millis(500));
            for other in &others {
                assert_eq!(cluster.raft(*other).last_log().index, committed);
                let peer = NodeId(deaf);
                cluster.input(*other, Input::Unreachable { peer });
            }
            let replaced = |cluster: &TimedCluster| is_led_by_another(cluster, deaf);
            assert!(
                cluster.run_until(TIMEOUT * 8, replaced).is_some(),
                "{count} voters, seed {seed}"
            );
        }
    }
}
