//! A follower whose transport cannot reach its leader (`lost_leader.rs`): it asks for pre-votes
//! at once, and keeps what it promised for the leader's lease (thesis 6.4.1).
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

const LEASE: Lease = Lease::On { max_drift_ppm: 0 };

/// Voters 1 to `count` with a leader that has led for two seconds.
fn settled(count: u64, seed: u64, change: impl Fn(&mut Config)) -> (TimedCluster, u64) {
    let mut cluster = TimedCluster::new(count, seed, change);
    let leader = cluster.elect();
    cluster.run(seconds(2));
    (cluster, leader)
}

fn others(cluster: &TimedCluster, leader: u64) -> Vec<u64> {
    let ids = cluster.nodes.keys().map(|id| id.0);
    ids.filter(|id| *id != leader).collect()
}

fn unreachable(peer: u64) -> Input {
    Input::Unreachable { peer: NodeId(peer) }
}

/// Kills the leader, tells its followers, and returns how long it took until another leads.
fn fail_over(cluster: &mut TimedCluster, leader: u64) -> Duration {
    let followers = others(cluster, leader);
    cluster.crash(leader);
    for id in followers {
        cluster.input(id, unreachable(leader));
    }
    let leads = move |cluster: &TimedCluster| cluster.leader().is_some_and(|id| id != leader);
    cluster.run_until(seconds(10), leads).unwrap()
}

/// The times in ascending order.
fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times
}

#[test]
fn the_followers_of_a_process_that_ended_elect_another_within_a_heartbeat_interval() {
    for count in [3, 5] {
        let times = sorted((0..200).map(|seed| {
            let (mut cluster, leader) = settled(count, seed, |_| ());
            fail_over(&mut cluster, leader)
        }));
        assert!(times[100] < millis(70), "{count}: {:?}", times[100]);
        assert!(times[190] < millis(150), "{count}: {:?}", times[190]);
    }
}

// Timers drawn from a heartbeat interval split some of these votes.
#[test]
fn followers_that_hear_of_it_at_the_same_time_split_no_votes() {
    for count in [3, 5, 7] {
        for seed in 0..100 {
            let (mut cluster, leader) = settled(count, seed, |_| ());
            let term = cluster.raft(leader).term();
            fail_over(&mut cluster, leader);
            let next = cluster.leader().unwrap();
            assert_eq!(cluster.raft(next).term(), term.next(), "{count}, {seed}");
        }
    }
}

#[test]
fn with_leases_nobody_votes_before_the_promise_ends_and_soon_after() {
    let promise = millis(250);
    let times = sorted((0..200).map(|seed| {
        let (mut cluster, leader) = settled(3, seed, |config| {
            config.lease = LEASE;
            config.lease_promise = Some(promise);
        });
        fail_over(&mut cluster, leader)
    }));
    // The last heartbeat came up to an interval ago.
    assert!(times[0] > millis(140), "{:?}", times[0]);
    assert!(times[190] < millis(400), "{:?}", times[190]);
}

fn lease_read(cluster: &mut TimedCluster, id: u64) -> Result<Index, ReadError> {
    let (read, mode) = (RequestId(1 << 40), ReadMode::Lease);
    let outcome = |action: Action| match action {
        Action::Read { outcome, .. } => Some(outcome),
        _ => None,
    };
    let actions = cluster.input(id, Input::Read { id: read, mode });
    actions.into_iter().find_map(outcome).unwrap()
}

// Every connection breaks at once, and the leader is well: it serves reads until its lease ends.
#[test]
fn no_lease_outlasts_the_election_that_a_wrong_hint_began() {
    for seed in 0..200 {
        let (mut cluster, leader) = settled(3, seed, |config| {
            config.lease = LEASE;
            config.lease_promise = Some(millis(150 + seed % 7 * 50));
        });
        for id in others(&cluster, leader) {
            cluster.cut(leader, id);
            cluster.input(id, unreachable(leader));
        }
        let leads = move |cluster: &TimedCluster| {
            let mut nodes = cluster.nodes.iter();
            nodes.any(|(id, node)| id.0 != leader && node.raft.role() == RoleKind::Leader)
        };
        let after = cluster.run_until(seconds(10), leads).unwrap();
        let read = lease_read(&mut cluster, leader);
        assert!(read.is_err(), "seed {seed}: another leads after {after:?}");
    }
}

// The voters' own settings ask for nothing.
#[test]
fn what_a_leader_asks_for_binds_voters_without_leases() {
    for seed in 0..50 {
        let mut cluster = TimedCluster::new(3, seed, |config| {
            if config.node_id == NodeId(1) {
                config.lease = LEASE;
            }
        });
        if cluster.elect() != 1 {
            continue;
        }
        cluster.run(seconds(2));
        let took = fail_over(&mut cluster, 1);
        assert!(took > millis(390), "seed {seed}: {took:?}");
    }
}

#[test]
fn a_transport_that_is_wrong_again_and_again_deposes_nobody() {
    for seed in 0..20 {
        let (mut cluster, leader) = settled(3, seed, |_| ());
        let term = cluster.raft(leader).term();
        let begin = cluster.now;
        let victim = others(&cluster, leader)[0];
        for _ in 0..1000 {
            cluster.input(victim, unreachable(leader));
            cluster.run(millis(10));
        }
        assert_eq!(cluster.raft(leader).role(), RoleKind::Leader);
        assert_eq!(cluster.raft(leader).term(), term);
        let lost = |recorded: &&timed::Recorded| {
            recorded.at > begin
                && recorded.node == NodeId(victim)
                && matches!(recorded.action, Action::LeaderChanged { leader: None, .. })
        };
        let lost = cluster.recorded.iter().filter(lost).count();
        // Once within the greatest election timeout, of a second.
        assert!(lost <= 10, "seed {seed}: {lost} times");
    }
}

#[test]
fn without_pre_vote_a_hint_changes_nothing() {
    let (mut cluster, leader) = settled(3, 1, |config| config.pre_vote = PreVoting::Off);
    let follower = others(&cluster, leader)[0];
    cluster.input(follower, Input::Tick);
    let before = cluster.raft(follower).clone();
    cluster.input(follower, unreachable(leader));
    assert_eq!(*cluster.raft(follower), before);
}

#[test]
fn a_follower_that_promised_does_not_campaign_by_hand() {
    let (mut cluster, leader) = settled(3, 1, |config| config.lease = LEASE);
    let follower = others(&cluster, leader)[0];
    cluster.input(follower, unreachable(leader));
    let actions = cluster.input(follower, Input::Campaign { id: RequestId(1) });
    let refused = actions.iter().any(|action| {
        let error = CampaignError::HearsLeader {
            leader: Some(NodeId(leader)),
        };
        let id = RequestId(1);
        let outcome = Err(error);
        *action == Action::Campaigning { id, outcome }
    });
    assert!(refused, "{actions:?}");
}

// The promise that voters made is what the leader asked for then, whatever it is told to ask for
// now.
#[test]
fn no_lease_is_longer_than_the_promise_that_was_asked_for_when_its_round_began() {
    for seed in 0..50 {
        let (mut cluster, leader) = settled(3, seed, |config| {
            config.lease = LEASE;
            config.lease_promise = Some(millis(200));
        });
        for id in others(&cluster, leader) {
            cluster.cut(leader, id);
            cluster.input(id, unreachable(leader));
        }
        let mut config = cluster.raft(leader).config().clone();
        config.lease_promise = None;
        let (id, config) = (RequestId(1), Box::new(config));
        cluster.input(leader, Input::Reconfigure { id, config });
        let leads = move |cluster: &TimedCluster| {
            let mut nodes = cluster.nodes.iter();
            nodes.any(|(id, node)| id.0 != leader && node.raft.role() == RoleKind::Leader)
        };
        let after = cluster.run_until(seconds(10), leads).unwrap();
        let read = lease_read(&mut cluster, leader);
        assert!(read.is_err(), "seed {seed}: another leads after {after:?}");
    }
}

// Without CheckQuorum, voters grant pre-votes although they hear the leader.
#[test]
fn one_wrong_transport_deposes_nobody_whatever_the_settings() {
    for check_quorum in [CheckQuorum::On, CheckQuorum::Off] {
        for seed in 0..20 {
            let (mut cluster, leader) =
                settled(3, seed, |config| config.check_quorum = check_quorum);
            let term = cluster.raft(leader).term();
            let victim = others(&cluster, leader)[0];
            for _ in 0..1000 {
                cluster.input(victim, unreachable(leader));
                cluster.run(millis(7));
            }
            let found = cluster.leader().map(|id| (id, cluster.raft(id).term()));
            assert_eq!(found, Some((leader, term)), "{check_quorum:?}, seed {seed}");
        }
    }
}

/// The first of two bytes of a snapshot that reaches further than any log.
fn first_chunk(leader: &Raft) -> Message {
    let term = leader.term();
    let last = EntryId {
        index: Index(1000),
        term,
    };
    let bytes = b"ab";
    let id = SnapshotId::of(last, bytes);
    let membership = leader.membership().clone();
    Message::InstallSnapshot(Box::new(InstallSnapshot {
        term,
        snapshot: SnapshotMeta { id, membership },
        offset: 0,
        data: bytes::Bytes::copy_from_slice(&bytes[..1]),
    }))
}

// Such a follower lacks entries that are committed, and would lose the election (section 5.4.1).
// What it has received would be sent again.
#[test]
fn a_follower_that_receives_a_snapshot_votes_at_once_and_does_not_ask() {
    for seed in 0..50 {
        let (mut cluster, leader) = settled(3, seed, |_| ());
        let [follower, other] = others(&cluster, leader)[..] else {
            panic!("three nodes");
        };
        let message = first_chunk(cluster.raft(leader));
        let (from, incarnation) = (NodeId(leader), None);
        let chunk = Input::Receive {
            from,
            incarnation,
            message,
        };
        cluster.input(follower, chunk);
        cluster.cut(leader, follower);
        cluster.cut(other, follower);
        cluster.input(follower, unreachable(leader));
        cluster.run(millis(400));
        let raft = cluster.raft(follower);
        let role = (raft.role(), raft.leader());
        assert_eq!(role, (RoleKind::Follower, Some(from)), "seed {seed}");
        let last_log = EntryId {
            index: Index(2000),
            term: raft.term(),
        };
        let request = Message::PreVote(PreVote {
            term: raft.term().next(),
            last_log,
            campaign: Campaign::Election,
            lineage: Lineage::Unknown,
        });
        let asked = Input::Receive {
            from: NodeId(other),
            incarnation,
            message: request,
        };
        let answered = cluster.input(follower, asked);
        let grants = |action: &Action| {
            matches!(action, Action::Send { message: Message::PreVoteReply(reply), .. }
                if reply.vote == Vote::Granted)
        };
        assert!(answered.iter().any(grants), "{answered:?}");
    }
}

// A leader hands over, and its process ends. The other voter has not heard of that yet: it votes
// only because the leader wanted it to.
#[test]
fn a_follower_that_is_to_take_over_does_so_although_it_loses_its_leader() {
    for seed in 0..200 {
        let (mut cluster, leader) = settled(3, seed, |_| ());
        cluster.latency = millis(20);
        let target = others(&cluster, leader)[0];
        cluster.transfer(leader, Some(target));
        cluster.run(millis(21));
        cluster.crash(leader);
        cluster.input(target, unreachable(leader));
        let leads = |cluster: &TimedCluster| cluster.leader() == Some(target);
        let took = cluster.run_until(millis(100), leads);
        assert!(took.is_some(), "seed {seed}");
    }
}

/// A driver gives the hint for each message that it could not send. If its step sent anything, that
/// would fail too, and neither would ever rest.
#[test]
fn no_message_leaves_in_the_step_of_a_hint() {
    for (check_quorum, pre_vote) in [
        (CheckQuorum::On, PreVoting::On),
        (CheckQuorum::Off, PreVoting::On),
        (CheckQuorum::On, PreVoting::Off),
        (CheckQuorum::Off, PreVoting::Off),
    ] {
        for seed in 0..20 {
            let (mut cluster, leader) = settled(3, seed, |config| {
                (config.check_quorum, config.pre_vote) = (check_quorum, pre_vote);
            });
            let ids: Vec<u64> = cluster.nodes.keys().map(|id| id.0).collect();
            let command = Commands::from(bytes::Bytes::from("x = 1"));
            let (id, commands) = (RequestId(1), command);
            cluster.input(leader, Input::Propose { id, commands });
            for _ in 0..3 {
                for (own, peer) in ids
                    .iter()
                    .flat_map(|own| ids.iter().map(move |peer| (own, peer)))
                {
                    let (mut raft, at) = (cluster.raft(*own).clone(), cluster.now);
                    for action in raft.step(Event {
                        at,
                        input: unreachable(*peer),
                    }) {
                        assert!(!matches!(action, Action::Send { .. }), "{own}: {action:?}");
                    }
                    cluster.input(*own, unreachable(*peer));
                }
                cluster.run(millis(10));
            }
        }
    }
}
