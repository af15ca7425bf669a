//! A transfer that its leader has given up binds nobody any more: leases rest on that.
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

/// Three nodes with leases, started long ago. n1 leads in term 1, and all hear it.
fn settled(pre_vote: PreVoting) -> Cluster {
    let mut cluster = Cluster::with(3, |config| {
        config.pre_vote = pre_vote;
        config.check_quorum = CheckQuorum::On;
        config.lease = Lease::On { max_drift_ppm: 0 };
    });
    cluster.wait(Duration::from_secs(1));
    while cluster.raft(1).role() != RoleKind::Leader {
        cluster.now = cluster.now.max(cluster.node(1).wake_at);
        cluster.tick(1);
        cluster.deliver();
    }
    cluster.send_heartbeats(1);
    cluster.deliver();
    cluster
}

/// A heartbeat of n1 in term 1, which has given up its transfers up to `revoked`.
fn heartbeat_revoking(revoked: u64) -> Message {
    Message::AppendEntries(AppendEntries {
        term: Term(1),
        prev_log: EntryId::ZERO,
        leader_commit: Index::ZERO,
        entries: Entries::EMPTY,
        round: 0,
        revoked,
        promise_millis: 0,
        lineage: Lineage::Unknown,
    })
}

fn timeout_now(transfer: u64) -> Message {
    let term = Term(1);
    Message::TimeoutNow(TimeoutNow { term, transfer })
}

/// The candidate has been asked to campaign in term 2 by the leader of term 1.
fn vote_for_transfer(number: u64) -> Message {
    Message::RequestVote(RequestVote {
        term: Term(2),
        last_log: EntryId::ZERO,
        campaign: Campaign::Transfer { number },
        lineage: Lineage::Unknown,
    })
}

fn pre_vote_for_transfer(number: u64) -> Message {
    Message::PreVote(PreVote {
        term: Term(2),
        last_log: EntryId::ZERO,
        campaign: Campaign::Transfer { number },
        lineage: Lineage::Unknown,
    })
}

/// Whether `id` would vote for n3, which asks because of the transfer `number`.
fn would_vote(cluster: &mut Cluster, id: u64, number: u64) -> bool {
    let actions = cluster.receive(id, 3, pre_vote_for_transfer(number));
    match sent(&actions).first() {
        Some((_, Message::PreVoteReply(reply))) => reply.vote == Vote::Granted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_voter_does_not_vote_because_of_a_transfer_that_was_given_up() {
    let mut cluster = settled(PreVoting::On);
    cluster.receive(2, 1, heartbeat_revoking(2));
    // A message from before that comes late changes nothing.
    cluster.receive(2, 1, heartbeat_revoking(1));
    for number in [1, 2] {
        assert!(!would_vote(&mut cluster, 2, number));
        cluster.receive(2, 3, vote_for_transfer(number));
        assert_eq!(cluster.raft(2).term(), Term(1), "transfer {number}");
    }
    // The leader may have begun another since.
    assert!(would_vote(&mut cluster, 2, 3));
    cluster.receive(2, 3, vote_for_transfer(3));
    assert_eq!(cluster.raft(2).voted_for(), Some(NodeId(3)));
}

#[test]
fn a_voter_remembers_a_transfer_that_was_given_up_when_it_learns_a_later_term() {
    let mut cluster = settled(PreVoting::On);
    cluster.receive(2, 1, heartbeat_revoking(1));
    let stale = append_reply(2, AppendOutcome::Stale);
    cluster.receive(2, 1, stale);
    assert_eq!(cluster.raft(2).term(), Term(2));
    cluster.receive(2, 3, vote_for_transfer(1));
    assert_eq!(cluster.raft(2).voted_for(), None);
    cluster.receive(2, 3, vote_for_transfer(2));
    assert_eq!(cluster.raft(2).voted_for(), Some(NodeId(3)));
}

#[test]
fn the_numbers_of_another_leader_are_its_own() {
    let mut cluster = settled(PreVoting::On);
    cluster.receive(2, 1, heartbeat_revoking(5));
    cluster.receive(2, 3, heartbeat(2, EntryId::ZERO, 0));
    let request = Message::PreVote(PreVote {
        term: Term(3),
        last_log: EntryId::ZERO,
        campaign: Campaign::Transfer { number: 1 },
        lineage: Lineage::Unknown,
    });
    let actions = cluster.receive(2, 1, request);
    let granted = Message::PreVoteReply(PreVoteReply {
        term: Term(2),
        asked: Term(3),
        vote: Vote::Granted,
        dismissal: None,
        lineage: Lineage::Unknown,
    });
    assert_eq!(sent(&actions), [(NodeId(1), granted)]);
}

#[test]
fn a_target_does_not_campaign_because_of_a_transfer_that_was_given_up() {
    for pre_vote in [PreVoting::On, PreVoting::Off] {
        let mut cluster = settled(pre_vote);
        cluster.receive(3, 1, heartbeat_revoking(1));
        cluster.take_packets();
        cluster.receive(3, 1, timeout_now(1));
        assert!(cluster.sent_by(3).is_empty(), "{pre_vote:?}");
        assert_eq!(cluster.raft(3).term(), Term(1));
        cluster.receive(3, 1, timeout_now(2));
        assert!(!cluster.sent_by(3).is_empty(), "{pre_vote:?}");
    }
}

#[test]
fn a_target_that_learns_that_its_transfer_was_given_up_no_longer_counts_pre_votes() {
    let mut cluster = settled(PreVoting::On);
    cluster.receive(3, 1, timeout_now(1));
    cluster.receive(3, 1, heartbeat_revoking(1));
    cluster.deliver_between(3, 2);
    cluster.deliver_between(2, 3);
    assert_eq!(cluster.raft(3).role(), RoleKind::Follower);
    // The next one does.
    cluster.receive(3, 1, timeout_now(2));
    cluster.deliver_between(3, 2);
    cluster.deliver_between(2, 3);
    assert_eq!(cluster.raft(3).term(), Term(2));
}

#[test]
fn a_leader_does_not_step_down_for_a_transfer_that_it_has_given_up() {
    let mut cluster = settled(PreVoting::Off);
    let (id, target) = (RequestId(9), Some(NodeId(3)));
    cluster.input(1, Input::TransferLeadership { id, target });
    let timeout_now = cluster.sent_by(1);
    assert_eq!(timeout_now.len(), 1);
    for _ in 0..10 {
        cluster.send_heartbeats(1);
        cluster.deliver_if(|packet| packet.message.kind() != MessageKind::TimeoutNow);
    }
    cluster.receive(1, 3, vote_for_transfer(1));
    assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
    assert_eq!(cluster.raft(1).term(), Term(1));
    // And it says so to all.
    cluster.send_heartbeats(1);
    let revoked = |(_, message): &(u64, Message)| match message {
        Message::AppendEntries(append) => append.revoked,
        other => panic!("{other:?}"),
    };
    let said: Vec<u64> = cluster.sent_by(1).iter().map(revoked).collect();
    assert_eq!(said, [1, 1]);
}

// It has forgotten which transfers were given up, and a lease may rest on its answer.
#[test]
fn a_node_that_has_just_started_neither_votes_nor_campaigns_for_a_transfer() {
    for pre_vote in [PreVoting::On, PreVoting::Off] {
        let mut cluster = settled(pre_vote);
        cluster.restart(2);
        cluster.restart(3);
        cluster.wait(Duration::from_millis(499));
        assert!(!would_vote(&mut cluster, 2, 1));
        cluster.receive(2, 3, vote_for_transfer(1));
        assert_eq!(cluster.raft(2).term(), Term(1));
        cluster.receive(3, 1, heartbeat_revoking(0));
        cluster.take_packets();
        cluster.receive(3, 1, timeout_now(1));
        assert!(cluster.sent_by(3).is_empty(), "{pre_vote:?}");
        cluster.wait(Duration::from_millis(1));
        assert!(would_vote(&mut cluster, 2, 1));
        cluster.receive(2, 3, vote_for_transfer(1));
        assert_eq!(cluster.raft(2).voted_for(), Some(NodeId(3)));
        cluster.take_packets();
        cluster.receive(3, 1, timeout_now(1));
        assert!(!cluster.sent_by(3).is_empty(), "{pre_vote:?}");
    }
}

#[test]
fn the_target_asks_again_when_the_leader_does() {
    let mut cluster = settled(PreVoting::On);
    cluster.receive(3, 1, timeout_now(1));
    cluster.take_packets(); // its pre-votes are lost
    cluster.receive(3, 1, timeout_now(1));
    cluster.deliver_between(3, 2);
    cluster.deliver_between(2, 3);
    assert_eq!(cluster.raft(3).term(), Term(2));
}

#[test]
fn a_transfer_without_a_number_is_rejected() {
    let mut cluster = settled(PreVoting::On);
    for message in [
        timeout_now(0),
        vote_for_transfer(0),
        pre_vote_for_transfer(0),
    ] {
        let actions = cluster.receive(2, 1, message);
        assert_eq!(rejection(&actions), Some(Rejection::NoTransfer));
    }
}

// A pre-candidate knows no leader. The leader of its term is the leader all the same.
#[test]
fn a_pre_candidate_that_the_leader_of_its_term_asks_takes_over() {
    let mut cluster = Cluster::with(3, |config| config.pre_vote = PreVoting::On);
    cluster.receive(3, 1, heartbeat(1, EntryId::ZERO, 0));
    while cluster.raft(3).role() == RoleKind::Follower {
        cluster.now = cluster.now.max(cluster.node(3).wake_at);
        cluster.tick(3);
    }
    cluster.take_packets();
    cluster.receive(3, 1, timeout_now(1));
    assert_eq!(cluster.raft(3).leader(), Some(NodeId(1)));
    assert_eq!(cluster.sent_by(3).len(), 2);
}
