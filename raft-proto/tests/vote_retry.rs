//! Elections on a network that loses and delays messages: "servers retry RPCs if they do not
//! receive a response in a timely manner" (section 5.1).
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, missing_docs)]

mod support;

use raft_proto::*;
use std::time::Duration;
use support::*;

/// Five voters. Pre-votes are on or off.
fn five(pre_vote: PreVoting) -> Cluster {
    Cluster::with(5, |config| config.pre_vote = pre_vote)
}

/// Lets the election timeout of `id` elapse once, so that it asks for pre-votes or votes.
fn election_timeout(cluster: &mut Cluster, id: u64) {
    cluster.take_packets();
    while cluster.queue.is_empty() {
        cluster.now = cluster.now.max(cluster.node(id).wake_at);
        cluster.tick(id);
    }
}

/// Lets time pass until the next deadline of `id`.
fn next_deadline(cluster: &mut Cluster, id: u64) {
    cluster.now = cluster.now.max(cluster.node(id).wake_at);
    cluster.tick(id);
}

/// Delivers the requests that `from` has sent to `to`, then the answers of `to`; all other messages
/// are lost.
fn exchange(cluster: &mut Cluster, from: u64, to: u64) {
    cluster.deliver_between(from, to);
    cluster.deliver_between(to, from);
    cluster.take_packets();
}

fn requests(cluster: &mut Cluster, from: u64, kind: MessageKind) -> Vec<u64> {
    let sent = cluster.sent_by(from).into_iter();
    let requests = sent.filter(|(_, message)| message.kind() == kind);
    requests.map(|(to, _)| to).collect()
}

/// `voter` is alive: `id` hears it ask for a pre-vote itself.
fn hear(cluster: &mut Cluster, id: u64, voter: u64) {
    let term = cluster.raft(id).term().next();
    let last_log = EntryId::ZERO;
    cluster.receive(
        id,
        voter,
        Message::PreVote(PreVote {
            term,
            last_log,
            campaign: Campaign::Election,
            lineage: Lineage::Unknown,
        }),
    );
    cluster.take_packets();
}

#[test]
fn a_pre_candidate_asks_a_voter_again_that_it_hears_but_that_has_not_answered() {
    let mut cluster = five(PreVoting::On);
    election_timeout(&mut cluster, 1);
    exchange(&mut cluster, 1, 2);
    hear(&mut cluster, 1, 3);
    next_deadline(&mut cluster, 1);
    // Voter 2 has answered, and nothing was heard of 4 and 5.
    assert_eq!(requests(&mut cluster, 1, MessageKind::PreVote), [3]);
    assert_eq!(cluster.raft(1).term(), Term(0));
}

#[test]
fn a_candidate_asks_a_voter_again_that_it_hears_but_that_has_not_answered() {
    let mut cluster = five(PreVoting::Off);
    election_timeout(&mut cluster, 1);
    exchange(&mut cluster, 1, 2);
    hear(&mut cluster, 1, 3);
    next_deadline(&mut cluster, 1);
    let sent = cluster.sent_by(1);
    assert_eq!(sent, [(3, request_vote(1, EntryId::ZERO))]);
}

#[test]
fn requests_for_votes_that_are_lost_again_and_again_elect_a_leader_in_the_first_term() {
    for pre_vote in [PreVoting::Off, PreVoting::On] {
        let mut cluster = five(pre_vote);
        election_timeout(&mut cluster, 1);
        hear(&mut cluster, 1, 2);
        hear(&mut cluster, 1, 3);
        let began = cluster.now;
        // Each time that it asks, one of the two voters answers.
        for voter in [2, 3, 2, 3] {
            next_deadline(&mut cluster, 1);
            exchange(&mut cluster, 1, voter);
        }
        assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
        assert_eq!(cluster.raft(1).term(), Term(1));
        let least = cluster.raft(1).config().election_timeout_min;
        assert!(cluster.now.since(began) < 2 * least);
    }
}

#[test]
fn voters_that_are_not_heard_are_asked_once_in_an_election_timeout() {
    for pre_vote in [PreVoting::Off, PreVoting::On] {
        let mut cluster = five(pre_vote);
        election_timeout(&mut cluster, 1);
        let asked_at = cluster.now;
        cluster.take_packets();
        while cluster.queue.is_empty() {
            next_deadline(&mut cluster, 1);
        }
        let waited = cluster.now.since(asked_at);
        assert!(waited >= cluster.raft(1).config().election_timeout_min);
    }
}

#[test]
fn nobody_is_asked_again_once_a_majority_has_answered() {
    let mut cluster = five(PreVoting::Off);
    election_timeout(&mut cluster, 1);
    let asked_at = cluster.now;
    cluster.take_packets();
    hear(&mut cluster, 1, 4);
    cluster.receive(1, 2, vote(1, Vote::Refused));
    cluster.receive(1, 3, vote(1, Vote::Refused));
    while cluster.queue.is_empty() {
        next_deadline(&mut cluster, 1);
    }
    let waited = cluster.now.since(asked_at);
    assert!(waited >= cluster.raft(1).config().election_timeout_min);
}

// "Updated on stable storage before responding to RPCs" (Figure 2). The voter answers an earlier
// request, with the term in which this node campaigns.
#[test]
fn no_request_for_a_vote_leaves_again_before_the_vote_is_on_disk() {
    let mut cluster = five(PreVoting::Off);
    cluster.node(1).disk = Disk::Manual;
    cluster.campaign(1);
    assert_eq!(cluster.raft(1).term(), Term(1));
    hear(&mut cluster, 1, 3);
    cluster.receive(1, 2, vote(1, Vote::Refused));
    cluster.wait(HEARTBEAT);
    cluster.tick(1);
    assert_eq!(cluster.sent_by(1), []);
    cluster.sync(1, 1);
    assert_eq!(requests(&mut cluster, 1, MessageKind::RequestVote).len(), 4);
    next_deadline(&mut cluster, 1);
    assert_eq!(requests(&mut cluster, 1, MessageKind::RequestVote), [3]);
}

/// A follower in term 3 whose log ends with 2@3, and which has not heard its leader for the least
/// election timeout; its own is longer.
fn follower_without_leader() -> Cluster {
    let mut cluster = Cluster::with(5, |config| {
        config.pre_vote = PreVoting::On;
        config.election_timeout_max = Duration::from_secs(10);
    });
    let list = [(1, 3, "a"), (2, 3, "b")];
    cluster.receive(1, 2, append(3, EntryId::ZERO, &list, 0));
    let least = cluster.raft(1).config().election_timeout_min;
    cluster.wait(least);
    cluster.take_packets();
    cluster
}

fn pre_vote(term: u64, last_log: EntryId) -> Message {
    let term = Term(term);
    Message::PreVote(PreVote {
        term,
        last_log,
        campaign: Campaign::Election,
        lineage: Lineage::Unknown,
    })
}

#[test]
fn a_node_asked_for_a_pre_vote_by_one_with_a_worse_log_asks_within_a_heartbeat_interval() {
    let mut cluster = follower_without_leader();
    let asked_at = cluster.now;
    cluster.receive(1, 4, pre_vote(4, EntryId::new(1, 3)));
    cluster.take_packets();
    next_deadline(&mut cluster, 1);
    assert_eq!(
        requests(&mut cluster, 1, MessageKind::PreVote),
        [2, 3, 4, 5]
    );
    assert!(cluster.now.since(asked_at) < HEARTBEAT);
}

#[test]
fn a_node_waits_for_its_own_election_timeout_where_another_may_lead() {
    // It hears a leader; the other's log is as good; it has voted in a term without a leader.
    type Prepare = fn(&mut Cluster);
    let prepare: [(Prepare, EntryId); 3] = [
        (
            |cluster| drop(cluster.receive(1, 2, heartbeat(3, EntryId::new(2, 3), 0))),
            EntryId::new(1, 3),
        ),
        (|_| {}, EntryId::new(2, 3)),
        (
            |cluster| drop(cluster.receive(1, 5, request_vote(4, EntryId::new(2, 3)))),
            EntryId::new(1, 3),
        ),
    ];
    for (case, (prepare, last_log)) in prepare.into_iter().enumerate() {
        let mut cluster = follower_without_leader();
        prepare(&mut cluster);
        cluster.receive(1, 4, pre_vote(5, last_log));
        cluster.wait(HEARTBEAT);
        cluster.tick(1);
        assert_eq!(cluster.raft(1).role(), RoleKind::Follower, "case {case}");
    }
}

// Its term is not on disk yet, so that the election gets more time when it times out. A copy of its
// request may be due at the same moment.
#[test]
fn a_tick_leaves_nothing_due_while_a_pre_candidate_waits_for_its_disk() {
    let mut cluster = five(PreVoting::On);
    cluster.node(1).disk = Disk::Manual;
    cluster.receive(1, 2, heartbeat(3, EntryId::ZERO, 0));
    while cluster.raft(1).role() == RoleKind::Follower {
        next_deadline(&mut cluster, 1);
    }
    hear(&mut cluster, 1, 3);
    cluster.wait(Duration::from_secs(2));
    let actions = cluster.tick(1);
    assert!(deadline(&actions) > cluster.now);
    assert_eq!(requests(&mut cluster, 1, MessageKind::PreVote), [3]);
}
