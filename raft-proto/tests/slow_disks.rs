//! Elections while disks are slow: a vote counts when it is on the voter's disk, and nobody gives
//! up an election whose votes are on their way there.
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
use support::*;
use timed::{SyncTime, TimedCluster, millis, seconds};

/// A node that asks for pre-votes in term 1, in which it has voted for nobody.
fn pre_candidate_in_term_1() -> Cluster {
    let mut cluster = Cluster::with(3, |config| config.pre_vote = PreVoting::On);
    cluster.receive(1, 2, heartbeat(1, EntryId::ZERO, 0));
    while cluster.raft(1).role() == RoleKind::Follower {
        cluster.now = cluster.now.max(cluster.node(1).wake_at);
        cluster.tick(1);
    }
    cluster.take_packets();
    assert_eq!(cluster.raft(1).role(), RoleKind::PreCandidate);
    assert_eq!(cluster.raft(1).voted_for(), None);
    cluster
}

// The bug: a role decided, not votedFor.
#[test]
fn a_pre_candidate_votes_if_it_has_not_voted_in_its_term() {
    let mut cluster = pre_candidate_in_term_1();
    let later = cluster.now.after(millis(500));
    cluster.receive(1, 3, request_vote(1, EntryId::ZERO));
    assert_eq!(cluster.raft(1).voted_for(), Some(NodeId(3)));
    assert_eq!(
        cluster.sent_by(1),
        [(3, vote(1, Vote::Granted))],
        "the vote is on its disk"
    );
    // It gives the candidate time to win.
    assert_eq!(cluster.raft(1).role(), RoleKind::Follower);
    cluster.now = later;
    cluster.tick(1);
    assert_eq!(cluster.raft(1).role(), RoleKind::Follower);
}

#[test]
fn a_pre_candidate_refuses_a_candidate_whose_log_is_behind() {
    let mut cluster = Cluster::with(3, |config| config.pre_vote = PreVoting::On);
    cluster.receive(1, 2, append(1, EntryId::ZERO, &[(1, 1, "a")], 0));
    while cluster.raft(1).role() == RoleKind::Follower {
        cluster.now = cluster.now.max(cluster.node(1).wake_at);
        cluster.tick(1);
    }
    cluster.take_packets();
    cluster.receive(1, 3, request_vote(1, EntryId::ZERO));
    assert_eq!(cluster.raft(1).voted_for(), None);
    assert_eq!(cluster.raft(1).role(), RoleKind::PreCandidate);
}

// The bug: a pre-candidate that hears its leader again forgets what it has promised in that term.
#[test]
fn a_pre_candidate_that_hears_its_leader_still_acknowledges_what_that_leader_sent_before() {
    let mut cluster = Cluster::with(3, |config| config.pre_vote = PreVoting::On);
    cluster.receive(1, 2, heartbeat(1, EntryId::ZERO, 0));
    cluster.node(1).disk = Disk::Manual;
    cluster.receive(1, 2, append(1, EntryId::ZERO, &[(1, 1, "a")], 0));
    while cluster.raft(1).role() == RoleKind::Follower {
        cluster.now = cluster.now.max(cluster.node(1).wake_at);
        cluster.tick(1);
    }
    cluster.receive(1, 2, heartbeat(1, EntryId::ZERO, 0));
    assert_eq!(cluster.raft(1).leader(), Some(NodeId(2)));
    cluster.take_packets();
    cluster.sync(1, 1);
    assert_eq!(cluster.sent_by(1), [(2, accepted(1, 1))]);
}

/// Three voters that hold what their leader has committed, and that leader.
fn settled(seed: u64, change: impl Fn(&mut Config)) -> (TimedCluster, u64) {
    let mut cluster = TimedCluster::new(3, seed, change);
    let leader = cluster.elect();
    cluster.propose(leader, "a").unwrap();
    cluster.run(seconds(1));
    (cluster, leader)
}

/// Of three voters one is down, and `longer` has entries that `shorter` lacks. Nobody leads.
fn two_of_three(seed: u64) -> (TimedCluster, u64, u64) {
    let (mut cluster, longer) = settled(seed, |_| {});
    let (shorter, down) = (longer % 3 + 1, (longer + 1) % 3 + 1);
    cluster.crash(down);
    cluster.cut(longer, shorter);
    cluster.propose(longer, "b").unwrap();
    cluster.run(seconds(3));
    assert_eq!(cluster.leader(), None);
    (cluster, longer, shorter)
}

#[test]
fn the_voter_with_the_longer_log_is_elected_though_its_disk_takes_two_seconds() {
    for seed in 0..20 {
        for sync in [1500, 2000] {
            let (mut cluster, longer, shorter) = two_of_three(seed);
            cluster.set_sync(longer, SyncTime::Takes(millis(sync)));
            cluster.heal(longer, shorter);
            let elected = cluster.run_until(seconds(30), |it| it.leader().is_some());
            let most = Duration::from_secs(6);
            assert!(
                elected.is_some_and(|time| time < most),
                "seed {seed}, syncs of {sync} ms: {elected:?}"
            );
        }
    }
}

#[test]
fn a_candidate_is_elected_though_the_disk_of_its_voter_takes_two_seconds() {
    for seed in 0..20 {
        let (mut cluster, longer, shorter) = two_of_three(seed);
        cluster.set_sync(shorter, SyncTime::Takes(millis(2000)));
        cluster.heal(longer, shorter);
        let elected = cluster.run_until(seconds(30), |it| it.leader().is_some());
        let most = Duration::from_secs(8);
        assert!(
            elected.is_some_and(|time| time < most),
            "seed {seed}: {elected:?}"
        );
    }
}

/// Starts a cluster whose every sync takes `sync`. Returns how long it takes to commit a command.
fn time_to_commit(seed: u64, sync: Duration, pre_vote: PreVoting) -> Option<Duration> {
    let mut cluster = TimedCluster::new(3, seed, |config| config.pre_vote = pre_vote);
    for id in 1..=3 {
        cluster.set_sync(id, SyncTime::Takes(sync));
    }
    let begin = cluster.now;
    while cluster.now.since(begin) < seconds(60) {
        if let Some(leader) = cluster.leader()
            && let Ok(proposal) = cluster.propose(leader, "a")
        {
            let committed = |it: &TimedCluster| {
                let raft = it.raft(leader);
                raft.role() == RoleKind::Leader && raft.commit_index() >= proposal.first.index
            };
            if cluster.run_until(seconds(5), committed).is_some() {
                return Some(cluster.now.since(begin));
            }
        }
        cluster.run(millis(10));
    }
    None
}

#[test]
fn syncs_of_almost_the_greatest_election_timeout_elect_a_leader_that_commits() {
    for sync in [600, 900, 990] {
        for seed in 0..10 {
            let time = time_to_commit(seed, millis(sync), PreVoting::On);
            assert!(
                time.is_some_and(|time| time < seconds(8)),
                "syncs of {sync} ms, seed {seed}: {time:?}"
            );
        }
    }
}

#[test]
fn without_pre_votes_syncs_of_a_third_of_the_election_timeout_elect_a_leader_that_commits() {
    for seed in 0..20 {
        let time = time_to_commit(seed, millis(165), PreVoting::Off);
        assert!(
            time.is_some_and(|time| time < seconds(20)),
            "seed {seed}: {time:?}"
        );
    }
}

// With syncs beyond the greatest election timeout a leader does not stay, since its disk makes no
// progress for so long (CheckQuorum). But no election goes on for ever.
#[test]
fn syncs_of_any_length_elect_a_leader() {
    for sync in [1500, 5000] {
        for seed in 0..10 {
            let mut cluster = TimedCluster::new(3, seed, |_| {});
            for id in 1..=3 {
                cluster.set_sync(id, SyncTime::Takes(millis(sync)));
            }
            let most = millis(6 * sync);
            let elected = cluster.run_until(most, |it| it.leader().is_some());
            assert!(
                elected.is_some(),
                "syncs of {sync} ms, seed {seed}: nobody leads after {most:?}"
            );
        }
    }
}
