//! Leadership transfers that fail: they depose nobody, end no leases, and are not repeated at once.
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
use support::*;
use timed::{SyncTime, TimedCluster, millis, seconds, with_priorities};

/// Lets n1 ask for votes, and pre-votes before, until it leads.
fn elect(cluster: &mut Cluster) {
    while cluster.raft(1).role() != RoleKind::Leader {
        cluster.now = cluster.now.max(cluster.node(1).wake_at);
        cluster.tick(1);
        cluster.deliver();
    }
}

/// n1 leads three nodes that ask for pre-votes, and has committed a command.
fn settled() -> Cluster {
    let mut cluster = Cluster::with(3, |config| {
        config.pre_vote = PreVoting::On;
        config.check_quorum = CheckQuorum::On;
    });
    elect(&mut cluster);
    cluster.propose(1, "a").unwrap();
    cluster.deliver();
    cluster.send_heartbeats(1);
    cluster.deliver();
    cluster
}

fn begin_transfer(cluster: &mut Cluster, target: Option<u64>) -> Vec<Action> {
    let target = target.map(NodeId);
    let id = RequestId(99);
    cluster.input(1, Input::TransferLeadership { id, target })
}

/// The target of the transfer under way at n1, by which it refuses commands.
fn target(cluster: &mut Cluster) -> Option<NodeId> {
    match cluster.propose(1, "b") {
        Err(ProposeError::Transferring { target }) => Some(target),
        _ => None,
    }
}

/// Heartbeats go back and forth until the transfer under way is given up. TimeoutNow is lost.
fn let_the_transfer_expire(cluster: &mut Cluster) {
    for _ in 0..10 {
        cluster.send_heartbeats(1);
        cluster.deliver_if(|packet| packet.message.kind() != MessageKind::TimeoutNow);
    }
    assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
}

// The bug: the target campaigns without asking, and deposes a leader that a majority hears.
#[test]
fn a_target_that_no_majority_would_vote_for_deposes_nobody() {
    let mut cluster = settled();
    begin_transfer(&mut cluster, Some(3));
    for _ in 0..12 {
        // n3 and n2 do not hear each other, and n1 does not answer n3's pre-votes.
        cluster.deliver_if(|packet| {
            let nodes = [packet.from, packet.to];
            let is_cut = nodes == [NodeId(2), NodeId(3)] || nodes == [NodeId(3), NodeId(2)];
            !is_cut && packet.message.kind() != MessageKind::PreVoteReply
        });
        assert_eq!(cluster.raft(3).role(), RoleKind::Follower);
        assert_eq!(cluster.raft(3).leader(), Some(NodeId(1)));
        cluster.send_heartbeats(1);
    }
    assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
    assert_eq!(cluster.raft(1).term(), Term(1));
    assert_eq!(cluster.raft(3).term(), Term(1));
    assert!(cluster.propose(1, "b").is_ok(), "the transfer is over");
}

#[test]
fn a_target_takes_over_though_it_hears_heartbeats_before_its_pre_votes_are_answered() {
    for seed in 0..10 {
        let mut cluster = TimedCluster::new(3, seed, |_| {});
        cluster.latency = millis(120);
        let leader = cluster.elect();
        cluster.run(seconds(1));
        let target = leader % 3 + 1;
        let request = cluster.transfer(leader, Some(target));
        cluster.run(seconds(1));
        let (_, outcome) = cluster.transferred(request).unwrap();
        assert_eq!(outcome, Ok(NodeId(target)), "seed {seed}");
    }
}

// The bug: the voter of the greatest priority, which reaches only the leader, is asked to take over
// again and again. Each time it deposes the leader and does not win.
#[test]
fn a_preferred_voter_that_reaches_only_the_leader_does_not_disturb_the_cluster() {
    for seed in 0..3 {
        let mut cluster = TimedCluster::new(5, seed, |config| {
            with_priorities(config, &[5, 10]);
        });
        for other in [3, 4, 5] {
            cluster.cut(2, other);
        }
        cluster.run(seconds(10));
        let begin = cluster.now;
        let (mut taken, mut proposed) = (0, 0);
        while cluster.now.since(begin) < seconds(600) {
            cluster.run(millis(250));
            proposed += 1;
            if let Some(leader) = cluster.leader()
                && cluster.propose(leader, "a").is_ok()
            {
                taken += 1;
            }
        }
        let elections = cluster.elections_since(begin);
        assert!(elections <= 2, "seed {seed}: {elections} elections");
        assert!(taken * 100 >= proposed * 95, "{taken} of {proposed} taken");
        assert_eq!(cluster.leader(), Some(1));
    }
}

// Without Pre-Vote the target cannot ask first. Then the back-off alone keeps the cluster at work,
// so it must outlive the leadership.
#[test]
fn without_pre_votes_a_preferred_voter_that_cannot_win_is_asked_less_and_less_often() {
    for seed in 0..3 {
        let mut cluster = TimedCluster::new(5, seed, |config| {
            with_priorities(config, &[5, 10]);
            config.pre_vote = PreVoting::Off;
        });
        for other in [3, 4, 5] {
            cluster.cut(2, other);
        }
        cluster.run(seconds(600));
        let asked = cluster.delivered.get(&MessageKind::TimeoutNow).copied();
        assert!(asked.unwrap_or(0) <= 40, "seed {seed}: {asked:?} times");
    }
}

#[test]
fn the_preferred_voter_leads_once_it_reaches_a_majority() {
    let mut cluster = TimedCluster::new(5, 1, |config| with_priorities(config, &[5, 10]));
    for other in [3, 4, 5] {
        cluster.cut(2, other);
    }
    cluster.run(seconds(15));
    assert_eq!(cluster.leader(), Some(1));
    for other in [3, 4, 5] {
        cluster.heal(2, other);
    }
    cluster.run(seconds(60));
    assert_eq!(cluster.leader(), Some(2));
}

// The bug: a voter that has just voted for the leader counts as one that was never heard.
#[test]
fn a_leader_that_was_just_elected_knows_a_successor() {
    for seed in 0..20 {
        let mut cluster = TimedCluster::new(3, seed, |config| {
            config.leader_noop = LeaderNoop::Off;
        });
        cluster.latency = millis(20);
        let leader = cluster.elect();
        let request = cluster.transfer(leader, None);
        cluster.run(seconds(2));
        let (_, outcome) = cluster.transferred(request).unwrap();
        assert!(outcome.is_ok(), "seed {seed}: {outcome:?}");
    }
}

// The bug: a voter whose disk stalls answers heartbeats, has the greatest priority, and is chosen.
#[test]
fn a_voter_whose_disk_stalls_is_not_the_successor() {
    for seed in 0..5 {
        let mut cluster = TimedCluster::new(3, seed, |_| {});
        let leader = cluster.elect();
        cluster.run(seconds(1));
        let (healthy, stalled) = (leader % 3 + 1, (leader + 1) % 3 + 1);
        let members = [(leader, 10), (healthy, 0), (stalled, 10)];
        let nodes = members.map(|(id, priority)| {
            NodeChange::Set(Member::voter(NodeId(id)).with_priority(priority))
        });
        cluster.set_sync(stalled, SyncTime::Stalled);
        let change = MembershipChange {
            nodes: nodes.to_vec(),
            readiness: Readiness::Forced,
            expected: None,
        };
        let id = RequestId(77);
        cluster.input(leader, Input::ChangeMembership { id, change });
        for _ in 0..150 {
            cluster.run(millis(20));
            cluster.propose(leader, "a").unwrap();
        }
        assert_eq!(cluster.leader(), Some(leader));
        let request = cluster.transfer(leader, None);
        cluster.run(seconds(2));
        let (_, outcome) = cluster.transferred(request).unwrap();
        assert_eq!(outcome, Ok(NodeId(healthy)), "seed {seed}");
    }
}

// The bug: the same unfit voter is chosen again and again, since nothing that a leader knows of it
// has changed.
#[test]
fn after_a_transfer_that_failed_another_voter_is_the_successor() {
    let mut cluster = settled();
    begin_transfer(&mut cluster, None);
    let first = target(&mut cluster).unwrap();
    let_the_transfer_expire(&mut cluster);
    begin_transfer(&mut cluster, None);
    let second = target(&mut cluster).unwrap();
    assert_ne!(first, second);
    // A target that the operator names is tried all the same.
    let_the_transfer_expire(&mut cluster);
    begin_transfer(&mut cluster, Some(first.0));
    assert_eq!(target(&mut cluster), Some(first));
}

// The bug: a leader that knows little, as after its election, chooses a voter that turns out to lack
// entries, and waits for it although another voter has them all.
#[test]
fn a_leader_that_chose_a_voter_without_its_entries_chooses_again() {
    let mut cluster = settled();
    cluster.propose(1, "b").unwrap();
    begin_transfer(&mut cluster, None);
    let first = target(&mut cluster).unwrap();
    let other = NodeId(5 - first.0);
    cluster.deliver_if(|packet| packet.to != first && packet.from != first);
    assert_eq!(cluster.raft(other.0).role(), RoleKind::Leader);
}

// The operator's choice stands.
#[test]
fn a_leader_waits_for_the_target_that_the_operator_named() {
    let mut cluster = settled();
    cluster.propose(1, "b").unwrap();
    begin_transfer(&mut cluster, Some(3));
    cluster.deliver_if(|packet| packet.to != NodeId(3) && packet.from != NodeId(3));
    assert_eq!(target(&mut cluster), Some(NodeId(3)));
}

fn with_leases(config: &mut Config) {
    config.lease = Lease::On { max_drift_ppm: 0 };
}

/// The outcome of a read under the lease of n1.
fn read(cluster: &mut Cluster) -> Result<Index, ReadError> {
    let (id, mode) = (RequestId(88), ReadMode::Lease);
    let actions = cluster.input(1, Input::Read { id, mode });
    let outcome = |action: &Action| match action {
        Action::Read { outcome, .. } => Some(*outcome),
        _ => None,
    };
    actions.iter().find_map(outcome).unwrap()
}

/// n1 leads three nodes with leases, of which the first nodes started long ago.
fn settled_with_leases() -> Cluster {
    let mut cluster = Cluster::with(3, with_leases_and_check_quorum);
    cluster.wait(seconds(1));
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.deliver();
    for _ in 0..2 {
        cluster.send_heartbeats(1);
        cluster.deliver();
    }
    assert_eq!(read(&mut cluster), Ok(Index(1)));
    cluster
}

fn with_leases_and_check_quorum(config: &mut Config) {
    config.check_quorum = CheckQuorum::On;
    with_leases(config);
}

// The bug: NoLease, for the rest of the term.
#[test]
fn a_lease_comes_back_after_a_transfer_that_failed() {
    let mut cluster = settled_with_leases();
    begin_transfer(&mut cluster, Some(3));
    assert_eq!(read(&mut cluster), Err(ReadError::NoLease));
    let_the_transfer_expire(&mut cluster);
    assert_eq!(target(&mut cluster), None);
    for _ in 0..2 {
        cluster.send_heartbeats(1);
        cluster.deliver();
    }
    assert!(read(&mut cluster).is_ok());
}

// An answer to a round from before says nothing about the transfer.
#[test]
fn only_a_round_that_begins_after_a_transfer_was_given_up_brings_the_lease_back() {
    let mut cluster = settled_with_leases();
    begin_transfer(&mut cluster, Some(3));
    cluster.take_packets();
    for _ in 0..9 {
        cluster.send_heartbeats(1);
        cluster.deliver_if(|packet| packet.message.kind() != MessageKind::TimeoutNow);
    }
    cluster.wait(millis(99));
    cluster.tick(1);
    // These messages left before the transfer was given up. They are answered after that.
    let late = cluster.take_packets();
    cluster.wait(millis(1));
    cluster.tick(1);
    assert_eq!(target(&mut cluster), None);
    let since = cluster.take_packets();
    cluster.queue = late;
    cluster.deliver();
    assert_eq!(read(&mut cluster), Err(ReadError::NoLease));
    cluster.queue = since;
    cluster.deliver();
    cluster.send_heartbeats(1);
    cluster.deliver();
    assert!(read(&mut cluster).is_ok());
}
