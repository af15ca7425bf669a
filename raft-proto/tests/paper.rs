//! The paper's claims about elections and safety, each with its section ("In Search of an
//! Understandable Consensus Algorithm", extended version). Its claims about the log are in
//! `paper_log.rs`.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, missing_docs)]

mod support;

use raft_proto::*;
use std::collections::BTreeSet;
use std::time::Duration;
use support::*;

/// Longer than any election timeout.
const LONG: Duration = Duration::from_secs(2);

/// The votes that a node has sent.
fn votes_sent(cluster: &mut Cluster, id: u64) -> Vec<(u64, Vote)> {
    let votes = |(to, message)| match message {
        Message::RequestVoteReply(reply) => Some((to, reply.vote)),
        _ => None,
    };
    cluster.sent_by(id).into_iter().filter_map(votes).collect()
}

// Section 5.1: "If a server receives a request with a stale term number, it rejects the request."
#[test]
fn a_request_of_a_stale_term_is_answered_with_the_newer_term_and_changes_nothing() {
    let mut cluster = Cluster::new(3);
    cluster.receive(1, 2, heartbeat(5, EntryId::ZERO, 0));
    cluster.take_packets();
    let before = cluster.raft(1).status();
    let meta = snapshot_meta(EntryId::new(3, 2), b"old");
    for message in [
        request_vote(4, EntryId::ZERO),
        append(4, EntryId::ZERO, &[(1, 4, "stale")], 1),
        chunk(4, &meta, 0, b"old"),
    ] {
        let actions = cluster.receive(1, 3, message);
        assert_eq!(rejection(&actions), None);
        let replies = cluster.sent_by(1).into_iter();
        let terms: Vec<Term> = replies.map(|(_, reply)| reply.term()).collect();
        assert_eq!(terms, [Term(5)]);
        assert_eq!(cluster.raft(1).status(), before);
    }
}

// Section 5.1: "If one server's current term is smaller than the other's, then it updates its
// current term to the larger value. If a candidate or leader discovers that its term is out of
// date, it immediately reverts to follower state."
#[test]
fn a_candidate_and_a_leader_that_learn_of_a_higher_term_become_followers_in_it() {
    for role in [RoleKind::Candidate, RoleKind::Leader] {
        for message in [
            request_vote(9, EntryId::ZERO),
            heartbeat(9, EntryId::ZERO, 0),
            vote(9, Vote::Refused),
            append_reply(9, AppendOutcome::Stale),
            snapshot_reply(9, EntryId::new(1, 1), SnapshotOutcome::Stale),
        ] {
            let mut cluster = Cluster::new(3);
            cluster.campaign(1);
            if role == RoleKind::Leader {
                cluster.deliver();
            }
            assert_eq!(cluster.raft(1).role(), role);
            let actions = cluster.receive(1, 2, message.clone());
            assert_eq!(rejection(&actions), None, "{message:?}");
            assert_eq!(cluster.raft(1).role(), RoleKind::Follower, "{message:?}");
            assert_eq!(cluster.raft(1).term(), Term(9), "{message:?}");
        }
    }
}

// Section 5.2: "When servers start up, they begin as followers", and "if a follower receives no
// communication over a period of time called the election timeout, then it assumes there is no
// viable leader and begins an election".
#[test]
fn a_follower_that_hears_nothing_campaigns_after_its_election_timeout_and_not_before() {
    let mut cluster = Cluster::new(3);
    assert_eq!(cluster.raft(1).role(), RoleKind::Follower);
    let due = cluster.node(1).wake_at;
    let config = cluster.raft(1).config().clone();
    assert!(due >= Time::from_epoch(config.election_timeout_min));
    assert!(due < Time::from_epoch(config.election_timeout_max));
    cluster.now = Time(due.0 - 1);
    cluster.tick(1);
    assert_eq!(cluster.raft(1).role(), RoleKind::Follower);
    cluster.now = due;
    cluster.tick(1);
    assert_eq!(cluster.raft(1).role(), RoleKind::Candidate);
}

// Section 5.2: "To begin an election, a follower increments its current term [...]. It then
// votes for itself and issues RequestVote RPCs in parallel to each of the other servers."
#[test]
fn a_candidate_increments_its_term_votes_for_itself_and_requests_all_other_votes() {
    let mut cluster = Cluster::new(5);
    cluster.campaign(3);
    assert_eq!(cluster.raft(3).term(), Term(1));
    assert_eq!(cluster.raft(3).voted_for(), Some(NodeId(3)));
    let requested: Vec<u64> = cluster.sent_by(3).iter().map(|(to, _)| *to).collect();
    assert_eq!(requested, [1, 2, 4, 5]);
}

// Section 5.2: "Each server will vote for at most one candidate in a given term, on a
// first-come-first-served basis."
#[test]
fn a_server_votes_for_one_candidate_a_term_and_repeats_that_vote() {
    let mut cluster = Cluster::new(3);
    for (from, expected) in [
        (2, Vote::Granted),
        (3, Vote::Refused),
        (2, Vote::Granted),
        (3, Vote::Refused),
    ] {
        cluster.receive(1, from, request_vote(3, EntryId::ZERO));
        assert_eq!(votes_sent(&mut cluster, 1), [(from, expected)]);
    }
    assert_eq!(cluster.raft(1).voted_for(), Some(NodeId(2)));
    // In a new term it has a new vote.
    cluster.receive(1, 3, request_vote(4, EntryId::ZERO));
    assert_eq!(votes_sent(&mut cluster, 1), [(3, Vote::Granted)]);
}

// Section 5.2, across a restart: votedFor is persistent state (Figure 2).
#[test]
fn a_restart_does_not_give_a_second_vote_in_the_same_term() {
    let mut cluster = Cluster::new(3);
    cluster.receive(1, 2, request_vote(3, EntryId::ZERO));
    cluster.take_packets();
    cluster.restart(1);
    cluster.receive(1, 3, request_vote(3, EntryId::ZERO));
    assert_eq!(votes_sent(&mut cluster, 1), [(3, Vote::Refused)]);
}

// Section 5.2: a candidate that receives an append of the term's leader returns to follower state.
// Its vote, for itself, holds for the rest of the term all the same.
#[test]
fn a_step_down_within_a_term_keeps_the_vote() {
    let mut cluster = Cluster::new(3);
    cluster.campaign(1);
    cluster.take_packets();
    cluster.receive(1, 2, heartbeat(1, EntryId::ZERO, 0));
    assert_eq!(cluster.raft(1).role(), RoleKind::Follower);
    assert_eq!(cluster.raft(1).voted_for(), Some(NodeId(1)));
    cluster.take_packets();
    cluster.receive(1, 3, request_vote(1, EntryId::ZERO));
    assert_eq!(votes_sent(&mut cluster, 1), [(3, Vote::Refused)]);
    // So does the vote of a follower that then follows the candidate.
    cluster.receive(2, 3, request_vote(1, EntryId::ZERO));
    cluster.receive(2, 3, heartbeat(1, EntryId::ZERO, 0));
    assert_eq!(cluster.raft(2).voted_for(), Some(NodeId(3)));
}

// Section 5.2: "A candidate wins an election if it receives votes from a majority of the
// servers in the full cluster for the same term."
#[test]
fn a_candidate_wins_with_a_majority_and_not_with_less() {
    for (size, needed) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)] {
        let mut cluster = Cluster::new(size);
        cluster.campaign(1);
        let mut grants = 0;
        while cluster.raft(1).role() == RoleKind::Candidate {
            grants += 1;
            cluster.receive(1, grants + 1, vote(1, Vote::Granted));
        }
        assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
        assert_eq!(grants, needed, "a cluster of {size}");
    }
}

// Section 5.2: a majority of servers, so the grant of one server counts once, however often it
// arrives.
#[test]
fn a_grant_delivered_twice_counts_once() {
    let mut cluster = Cluster::new(5);
    cluster.campaign(1);
    for _ in 0..3 {
        cluster.receive(1, 2, vote(1, Vote::Granted));
        assert_eq!(cluster.raft(1).role(), RoleKind::Candidate);
    }
    cluster.receive(1, 3, vote(1, Vote::Granted));
    assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
}

// Section 5.2: "for the same term". A grant of an earlier term does not count in the next.
#[test]
fn a_grant_of_an_earlier_term_does_not_count() {
    let mut cluster = Cluster::new(3);
    cluster.campaign(1);
    cluster.campaign(1);
    let actions = cluster.receive(1, 2, vote(1, Vote::Granted));
    assert_eq!(rejection(&actions), None);
    assert_eq!(cluster.raft(1).role(), RoleKind::Candidate);
}

// Section 5.2: "Once a candidate wins an election, it becomes leader. It then sends heartbeat
// messages to all of the other servers to establish its authority."
#[test]
fn a_new_leader_sends_appends_to_all_servers_in_the_step_in_which_it_wins() {
    let mut cluster = Cluster::new(5);
    cluster.campaign(1);
    cluster.take_packets();
    cluster.receive(1, 2, vote(1, Vote::Granted));
    cluster.take_packets();
    let actions = cluster.receive(1, 3, vote(1, Vote::Granted));
    let sent = sent(&actions);
    let to: Vec<u64> = sent.iter().map(|(to, _)| to.0).collect();
    assert_eq!(to, [2, 3, 4, 5]);
    assert!(
        sent.iter()
            .all(|(_, message)| message.kind() == MessageKind::AppendEntries)
    );
}

// Section 5.2: "Leaders send periodic heartbeats to all followers in order to maintain their
// authority". A follower that receives them does not campaign.
#[test]
fn heartbeats_keep_followers_from_campaigning() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    for _ in 0..100 {
        cluster.send_heartbeats(1);
        cluster.tick(2);
        cluster.tick(3);
        cluster.deliver();
    }
    assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
    for id in 1..=3 {
        assert_eq!(cluster.raft(id).term(), Term(1));
        assert_eq!(cluster.raft(id).leader(), Some(NodeId(1)));
    }
}

// Section 5.2: "If the leader's term is at least as large as the candidate's current term, then
// the candidate recognizes the leader as legitimate and returns to follower state. If the term
// in the RPC is smaller, the candidate rejects the RPC and continues in candidate state."
#[test]
fn a_candidate_recognises_a_leader_of_its_term_and_not_one_of_an_older_term() {
    let mut cluster = Cluster::new(3);
    cluster.campaign(1);
    cluster.campaign(1);
    cluster.receive(1, 2, heartbeat(1, EntryId::ZERO, 0));
    assert_eq!(cluster.raft(1).role(), RoleKind::Candidate);
    cluster.receive(1, 2, heartbeat(2, EntryId::ZERO, 0));
    assert_eq!(cluster.raft(1).role(), RoleKind::Follower);
    assert_eq!(cluster.raft(1).leader(), Some(NodeId(2)));
}

// Figure 2, Followers: "without receiving AppendEntries RPC from current leader or granting
// vote to candidate".
#[test]
fn granting_a_vote_resets_the_election_timer_and_refusing_one_does_not() {
    for (last_log, expected) in [
        (EntryId::new(9, 2), RoleKind::Follower),
        (EntryId::ZERO, RoleKind::Candidate),
    ] {
        let mut cluster = Cluster::new(3);
        cluster.receive(1, 2, append(1, EntryId::ZERO, &[(1, 1, "a")], 0));
        cluster.tick(1);
        let due = cluster.node(1).wake_at;
        cluster.now = Time(due.0 - 1);
        cluster.receive(1, 3, request_vote(3, last_log));
        cluster.now = due;
        cluster.tick(1);
        assert_eq!(cluster.raft(1).role(), expected);
    }
}

// Section 5.2: only "the current leader" keeps a follower from campaigning, and no leader of an
// earlier term.
#[test]
fn a_message_of_a_stale_leader_does_not_reset_the_election_timer() {
    let mut cluster = Cluster::new(3);
    cluster.receive(1, 2, heartbeat(5, EntryId::ZERO, 0));
    let timeout = cluster.raft(1).config().election_timeout_max;
    for _ in 0..20 {
        cluster.wait(timeout / 20);
        cluster.receive(1, 3, heartbeat(4, EntryId::ZERO, 0));
        cluster.tick(1);
    }
    assert_ne!(cluster.raft(1).term(), Term(5));
}

// Section 5.2: "When this happens [a split vote], each candidate will time out and start a new
// election by incrementing its term", with timeouts "chosen randomly from a fixed interval".
#[test]
fn a_split_vote_is_resolved_by_a_new_election_in_a_later_term() {
    let mut cluster = Cluster::new(4);
    cluster.now = Time::from_epoch(LONG);
    for id in [1, 2] {
        cluster.tick(id);
    }
    // Each requests the vote of another server first, so each has two votes.
    cluster.deliver_between(1, 3);
    cluster.deliver_between(2, 4);
    cluster.deliver();
    for id in [1, 2] {
        assert_eq!(cluster.raft(id).role(), RoleKind::Candidate);
    }
    // Deadlines are lazy: a tick at the earlier ones names those of the elections.
    cluster.now = cluster.node(1).wake_at.max(cluster.node(2).wake_at);
    for id in [1, 2] {
        cluster.tick(id);
        assert_eq!(cluster.raft(id).term(), Term(1));
    }
    let (first, second) = (cluster.node(1).wake_at, cluster.node(2).wake_at);
    assert_ne!(first, second, "the candidates draw different timeouts");
    cluster.now = first.min(second);
    let next = if first < second { 1 } else { 2 };
    cluster.tick(next);
    cluster.deliver();
    assert_eq!(cluster.raft(next).role(), RoleKind::Leader);
    assert_eq!(cluster.raft(next).term(), Term(2));
}

// Section 5.2: "election timeouts are chosen randomly from a fixed interval".
#[test]
fn election_timeouts_are_spread_over_their_interval_and_repeat_for_a_seed() {
    let timeouts = |seed: u64| -> Vec<u64> {
        let mut cluster = Cluster::with(3, |config| config.seed = seed);
        let mut drawn = Vec::new();
        for _ in 0..200 {
            cluster.now = cluster.node(1).wake_at;
            let before = cluster.now;
            cluster.tick(1);
            drawn.push(cluster.node(1).wake_at.since(before).as_millis() as u64);
        }
        drawn
    };
    let drawn = timeouts(1);
    assert!(drawn.iter().all(|millis| (500..1000).contains(millis)));
    let tenths: BTreeSet<u64> = drawn.iter().map(|millis| millis / 50).collect();
    assert_eq!(
        tenths.len(),
        10,
        "timeouts of all tenths of the interval occur"
    );
    assert_eq!(drawn, timeouts(1));
    assert_ne!(drawn, timeouts(2));
}

// Section 5.4.1: "the voter denies its vote if its own log is more up-to-date than that of the
// candidate. [...] If the logs have last entries with different terms, then the log with the
// later term is more up-to-date. If the logs end with the same term, then whichever log is
// longer is more up-to-date."
#[test]
fn a_vote_is_refused_to_a_candidate_whose_log_is_less_up_to_date() {
    for (last_log, expected) in [
        (EntryId::new(3, 2), Vote::Granted),
        (EntryId::new(4, 2), Vote::Granted),
        (EntryId::new(1, 3), Vote::Granted),
        (EntryId::new(2, 2), Vote::Refused),
        (EntryId::new(9, 1), Vote::Refused),
        (EntryId::ZERO, Vote::Refused),
    ] {
        let mut cluster = Cluster::new(3);
        let log = [(1, 1, "a"), (2, 2, "b"), (3, 2, "c")];
        cluster.receive(1, 2, append(2, EntryId::ZERO, &log, 0));
        cluster.take_packets();
        cluster.receive(1, 3, request_vote(7, last_log));
        assert_eq!(votes_sent(&mut cluster, 1), [(3, expected)], "{last_log}");
        assert_eq!(
            cluster.raft(1).term(),
            Term(7),
            "a server adopts the term also when it refuses its vote"
        );
    }
}

// Section 5.4.1, with snapshots: a compacted log is as up to date as its snapshot.
#[test]
fn a_server_with_a_compacted_log_refuses_a_candidate_that_is_behind_its_snapshot() {
    let mut cluster = Cluster::with(3, |config| config.trailing_entries = 0);
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.propose(1, "b").unwrap();
    cluster.deliver();
    cluster.compact(2, 2, b"ab");
    cluster.take_packets();
    cluster.receive(2, 3, request_vote(5, EntryId::new(1, 1)));
    assert_eq!(votes_sent(&mut cluster, 2), [(3, Vote::Refused)]);
    cluster.receive(2, 3, request_vote(6, EntryId::new(2, 1)));
    assert_eq!(votes_sent(&mut cluster, 2), [(3, Vote::Granted)]);
}

/// Figure 8, up to (c): n1 holds 2@2, n5 holds 2@3, and n1 leads again in term 4.
fn figure_8() -> Cluster {
    let mut cluster = Cluster::new(5);
    cluster.elect(2);
    cluster.propose(2, "one").unwrap();
    cluster.deliver();
    // n1 leads in term 2 and stores 2@2 on itself and n2 alone.
    cluster.elect(1);
    cluster.propose(1, "two").unwrap();
    cluster.deliver_if(|packet| [NodeId(1), NodeId(2)].contains(&packet.to) && packet.from.0 <= 2);
    // n5 is elected in term 3 by n3 and n4, and stores 2@3 on itself alone.
    while cluster.raft(5).term() < Term(3) {
        cluster.campaign(5);
        cluster.take_packets();
    }
    for id in [3, 4] {
        cluster.receive(id, 5, request_vote(3, EntryId::new(1, 1)));
    }
    cluster.deliver_if(|packet| packet.to == NodeId(5));
    assert_eq!(cluster.raft(5).role(), RoleKind::Leader);
    cluster.propose(5, "three").unwrap();
    cluster.take_packets();
    // n5 is gone; n1 restarts, and is elected in term 4 by n2, n3 and n4.
    cluster.restart(1);
    while cluster.raft(1).term() < Term(4) {
        cluster.take_packets();
        cluster.campaign(1);
    }
    cluster.deliver_if(without_n5);
    assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
    assert_eq!(cluster.raft(1).term(), Term(4));
    cluster.restart(5);
    assert_eq!(cluster.log(5), ["1@1", "2@3"]);
    cluster
}

fn without_n5(packet: &Packet) -> bool {
    packet.to != NodeId(5) && packet.from != NodeId(5)
}

// Section 5.4.2, Figure 8 (c) and (d): "a log entry from term 2 has been replicated on a
// majority of the servers, but it is not committed", and is overwritten in the end.
#[test]
fn an_entry_of_an_earlier_term_is_not_committed_by_counting_replicas() {
    let mut cluster = figure_8();
    cluster.send_heartbeats(1);
    cluster.deliver_if(without_n5);
    cluster.send_heartbeats(1);
    cluster.deliver_if(without_n5);
    for id in 1..=3 {
        assert_eq!(cluster.log(id), ["1@1", "2@2"], "2@2 is on a majority");
    }
    assert!(
        cluster.raft(1).commit_index() < Index(2),
        "2@2 is not committed"
    );
    // (d): n5 can still win, and its 2@3 replaces 2@2 everywhere.
    while cluster.raft(5).term() <= Term(4) {
        cluster.campaign(5);
        cluster.take_packets();
    }
    cluster.campaign(5);
    cluster.deliver();
    assert_eq!(cluster.raft(5).role(), RoleKind::Leader);
    cluster.propose(5, "four").unwrap();
    cluster.deliver();
    cluster.send_heartbeats(5);
    cluster.deliver();
    for id in 1..=5 {
        assert_eq!(cluster.applied(id), ["one", "three", "four"]);
    }
}

// Section 5.4.2, Figure 8 (e): "if S1 replicates an entry from its current term on a majority
// of the servers before crashing, then this entry is committed (S5 cannot win an election). At
// this point all preceding entries in the log are committed as well."
#[test]
fn an_entry_of_the_leaders_own_term_commits_all_entries_before_it() {
    let mut cluster = figure_8();
    cluster.propose(1, "four").unwrap();
    cluster.deliver_if(without_n5);
    cluster.send_heartbeats(1);
    cluster.deliver_if(without_n5);
    assert_eq!(cluster.raft(1).commit_index(), Index(3));
    assert_eq!(cluster.applied(1), ["one", "two", "four"]);
    cluster.take_packets();
    for _ in 0..3 {
        cluster.campaign(5);
        cluster.deliver_if(|packet| packet.to != NodeId(1));
        assert_ne!(cluster.raft(5).role(), RoleKind::Leader);
    }
}

// Section 8: "Raft handles this by having each leader commit a blank no-op entry into the log at
// the start of its term". Entries of earlier terms are committed without waiting for a command.
#[test]
fn the_no_op_of_a_new_leader_commits_the_entries_of_earlier_terms() {
    let applied_with = |noop: LeaderNoop| {
        let mut cluster = Cluster::with(3, |config| config.leader_noop = noop);
        cluster.elect(1);
        cluster.propose(1, "left behind").unwrap();
        cluster.deliver_if(|packet| packet.from == NodeId(1));
        cluster.take_packets();
        cluster.campaign(2);
        cluster.deliver_if(|packet| ![packet.to, packet.from].contains(&NodeId(1)));
        assert_eq!(cluster.raft(2).role(), RoleKind::Leader);
        cluster.applied(2).to_vec()
    };
    assert_eq!(applied_with(LeaderNoop::On), ["left behind"]);
    assert!(applied_with(LeaderNoop::Off).is_empty());
}
