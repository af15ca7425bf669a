//! The paper's claims about the log, each with its section. Its claims about elections and safety
//! are in `paper.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs
)]

mod support;

use raft_proto::*;
use support::*;

/// The entries 1@1, 2@1 and 3@2.
fn three() -> [(u64, u64, &'static str); 3] {
    [(1, 1, "a"), (2, 1, "b"), (3, 2, "c")]
}

// Section 5.3: "The leader appends the command to its log as a new entry, then issues
// AppendEntries RPCs in parallel to each of the other servers."
#[test]
fn a_command_is_sent_to_every_follower_in_the_step_that_takes_it() {
    let mut cluster = Cluster::new(5);
    cluster.elect(1);
    let proposal = cluster.propose(1, "a").unwrap();
    assert_eq!(proposal.first, EntryId::new(1, 1));
    let sent = cluster.take_packets();
    assert_eq!(
        entries_sent(&sent),
        [(2, 1, 1), (3, 1, 1), (4, 1, 1), (5, 1, 1)]
    );
}

// Section 5.3: "A log entry is committed once the leader that created the entry has replicated
// it on a majority of the servers."
#[test]
fn an_entry_is_committed_once_it_is_on_a_majority_and_not_before() {
    let mut cluster = Cluster::new(5);
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.take_packets();
    cluster.receive(1, 2, accepted(1, 1));
    assert_eq!(cluster.raft(1).commit_index(), Index(0));
    // A second answer of the same follower is still one follower's.
    cluster.receive(1, 2, accepted(1, 1));
    assert_eq!(cluster.raft(1).commit_index(), Index(0));
    cluster.receive(1, 3, accepted(1, 1));
    assert_eq!(cluster.raft(1).commit_index(), Index(1));
    assert_eq!(cluster.applied(1), ["a"]);
}

// Section 5.3: "Once a follower learns that a log entry is committed, it applies the entry to
// its local state machine (in log order)."
#[test]
fn a_follower_applies_committed_entries_in_log_order() {
    let mut cluster = Cluster::new(3);
    cluster.receive(1, 2, append(2, EntryId::ZERO, &three(), 0));
    assert!(cluster.applied(1).is_empty());
    cluster.receive(1, 2, heartbeat(2, EntryId::new(3, 2), 2));
    assert_eq!(cluster.applied(1), ["a", "b"]);
    cluster.receive(1, 2, heartbeat(2, EntryId::new(3, 2), 3));
    assert_eq!(cluster.applied(1), ["a", "b", "c"]);
}

// Section 5.3: "If followers crash or run slowly, or if network packets are lost, the leader
// retries AppendEntries RPCs indefinitely [...] until all followers eventually store all log
// entries."
#[test]
fn a_leader_retries_until_a_follower_that_missed_all_entries_has_them() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    for round in 0..20 {
        cluster.propose(1, &round.to_string()).unwrap();
        cluster.deliver_if(|packet| packet.to != NodeId(3));
        cluster.send_heartbeats(1);
        cluster.deliver_if(|packet| packet.to != NodeId(3));
    }
    assert_eq!(
        cluster.applied(1).len(),
        20,
        "the majority commits without n3"
    );
    assert_eq!(cluster.raft(3).last_log(), EntryId::ZERO);
    for _ in 0..3 {
        cluster.send_heartbeats(1);
        cluster.deliver();
    }
    assert_eq!(cluster.applied(3), cluster.applied(1));
}

// Section 5.3: "If the follower does not find an entry in its log with the same index and term,
// then it refuses the new entries."
#[test]
fn the_consistency_check_refuses_entries_whose_prev_log_the_follower_does_not_hold() {
    for (prev, contained) in [
        (EntryId::ZERO, true),
        (EntryId::new(1, 1), true),
        (EntryId::new(3, 2), true),
        (EntryId::new(3, 1), false),
        (EntryId::new(3, 3), false),
        (EntryId::new(4, 2), false),
    ] {
        let mut cluster = Cluster::new(3);
        cluster.receive(1, 2, append(2, EntryId::ZERO, &three(), 0));
        cluster.take_packets();
        let index = prev.index.0 + 1;
        cluster.receive(1, 3, append(3, prev, &[(index, 3, "new")], 0));
        let answers = cluster.sent_by(1);
        let Message::AppendEntriesReply(reply) = &answers[0].1 else {
            panic!("{answers:?}");
        };
        let accepted = matches!(reply.outcome, AppendOutcome::Accepted { .. });
        assert_eq!(accepted, contained, "{prev}");
        let holds = cluster.raft(1).term_at(Index(index)) == Some(Term(3));
        assert_eq!(holds, contained, "{prev}");
    }
}

// Figure 2, AppendEntries, 3: "If an existing entry conflicts with a new one (same index but
// different terms), delete the existing entry and all that follow it."
#[test]
fn a_conflicting_entry_is_deleted_with_all_that_follow_it() {
    let mut cluster = Cluster::new(3);
    let log = [(1, 1, "a"), (2, 2, "b"), (3, 2, "c"), (4, 2, "d")];
    cluster.receive(1, 2, append(2, EntryId::ZERO, &log, 0));
    cluster.receive(1, 3, append(3, EntryId::new(1, 1), &[(2, 3, "x")], 0));
    assert_eq!(cluster.log(1), ["1@1", "2@3"]);
    cluster.restart(1);
    assert_eq!(
        cluster.log(1),
        ["1@1", "2@3"],
        "the entries are deleted on disk as well"
    );
}

// Figure 2, AppendEntries, 3: without a conflict nothing is deleted. The bug: an older append that
// arrives after a longer one deletes acknowledged entries.
#[test]
fn an_older_append_that_arrives_after_a_longer_one_deletes_nothing() {
    let mut cluster = Cluster::new(3);
    cluster.receive(1, 2, append(2, EntryId::ZERO, &three(), 0));
    cluster.take_packets();
    for older in [&three()[..0], &three()[..1], &three()[..2]] {
        cluster.receive(1, 2, append(2, EntryId::ZERO, older, 0));
        assert_eq!(cluster.log(1), ["1@1", "2@1", "3@2"]);
    }
    assert!(cluster.node(1).waiting.is_empty());
    cluster.restart(1);
    assert_eq!(cluster.log(1), ["1@1", "2@1", "3@2"]);
}

// Section 5.3: "When the leader first comes to power, it initializes all nextIndex values to the
// index just after the last one in its log."
#[test]
fn a_new_leader_first_asks_whether_the_logs_agree_at_the_end_of_its_own() {
    let mut cluster = Cluster::new(3);
    cluster.receive(1, 2, append(2, EntryId::ZERO, &three(), 0));
    cluster.campaign(1);
    cluster.take_packets();
    cluster.receive(1, 2, vote(3, Vote::Granted));
    let questions = cluster.sent_by(1);
    assert_eq!(questions.len(), 2);
    for (_, message) in questions {
        assert_eq!(message, heartbeat(3, EntryId::new(3, 2), 0));
    }
    for peer in cluster.raft(1).status().peers {
        assert_eq!(peer.next_index, Index(4));
        assert_eq!(peer.match_index, Index(0));
    }
}

/// n2 has the log of a follower of Figure 7, and n1 leads with the log of the leader. Returns how
/// many round trips make n2's log equal.
fn round_trips_to_repair(follower: &[u64], leader: &[u64]) -> usize {
    let list = |terms: &[u64]| -> Vec<(u64, u64, &'static str)> {
        let with_index = |(at, term): (usize, &u64)| (at as u64 + 1, *term, "x");
        terms.iter().enumerate().map(with_index).collect()
    };
    let mut cluster = Cluster::new(3);
    for (id, terms) in [(1, leader), (2, follower)] {
        let term = *terms.last().unwrap();
        let message = append(term, EntryId::ZERO, &list(terms), 0);
        cluster.receive(id, 3, message);
    }
    cluster.take_packets();
    while cluster.raft(1).term() < Term(8) {
        cluster.campaign(1);
        cluster.take_packets();
    }
    cluster.receive(1, 3, vote(8, Vote::Granted));
    let mut rounds = 0;
    while cluster.log(2) != cluster.log(1) {
        rounds += 1;
        assert!(rounds < 50, "the log is never repaired: {follower:?}");
        if cluster.queue.is_empty() {
            cluster.send_heartbeats(1);
        }
        cluster.deliver_between(1, 2);
        cluster.deliver_between(2, 1);
        cluster.queue.retain(|packet| packet.to != NodeId(3));
    }
    rounds
}

// Section 5.3, Figure 7: "a follower may be missing entries, it may have extra uncommitted
// entries, or both". The leader makes the follower's log equal to its own. "The protocol can be
// optimized [...] one AppendEntries RPC will be required for each term with conflicting entries."
#[test]
fn every_log_of_figure_7_is_repaired_in_at_most_one_round_trip_a_conflicting_term() {
    let leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    for (name, follower, terms) in [
        ("a", &[1, 1, 1, 4, 4, 5, 5, 6, 6][..], 0),
        ("b", &[1, 1, 1, 4], 0),
        ("c", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6], 0),
        ("d", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7], 1),
        ("e", &[1, 1, 1, 4, 4, 4, 4], 1),
        ("f", &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3], 2),
    ] {
        if ["c", "d"].contains(&name) {
            continue; // These hold all of the leader's entries: see the test below.
        }
        // One round trip for the question, one for each refusal, and one for the entries.
        let rounds = round_trips_to_repair(follower, &leader);
        assert!(rounds <= 2 + terms, "({name}) took {rounds} round trips");
    }
}

// Section 5.3, Figure 7 (c) and (d): extra entries are deleted as soon as the leader has an entry
// for their index.
#[test]
fn extra_entries_are_overwritten_by_the_leaders_next_one() {
    for extra in [(2, 1, "extra"), (2, 2, "extra")] {
        let mut cluster = Cluster::new(3);
        cluster.receive(1, 3, append(2, EntryId::ZERO, &[(1, 1, "a")], 0));
        cluster.receive(2, 3, append(2, EntryId::ZERO, &[(1, 1, "a"), extra], 0));
        cluster.take_packets();
        while cluster.raft(1).term() < Term(3) {
            cluster.campaign(1);
            cluster.take_packets();
        }
        cluster.receive(1, 3, vote(3, Vote::Granted));
        cluster.propose(1, "new").unwrap();
        cluster.deliver();
        assert_eq!(cluster.log(2), ["1@1", "2@3"]);
        assert_eq!(cluster.applied(1), ["a", "new"]);
    }
}

// Section 5.3: "A leader never overwrites or deletes entries in its own log (the Leader
// Append-Only Property)."
#[test]
fn a_leader_never_deletes_an_entry_of_its_own_log() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    for command in ["a", "b", "c"] {
        cluster.propose(1, command).unwrap();
    }
    cluster.take_packets();
    let log = cluster.log(1);
    for message in [
        refused(1, 1, EntryId::ZERO),
        refused(1, 3, EntryId::new(1, 1)),
        append(1, EntryId::ZERO, &[(1, 1, "other")], 3),
        accepted(1, 0),
    ] {
        cluster.receive(1, 2, message);
        assert_eq!(cluster.log(1), log);
    }
    // As a follower of a later leader it does delete entries.
    cluster.receive(1, 2, append(2, EntryId::ZERO, &[(1, 2, "new")], 0));
    assert_eq!(cluster.log(1), ["1@2"]);
}

// Section 5.3, Log Matching: "if two entries in different logs have the same index and term,
// then [...] the logs are identical in all preceding entries."
#[test]
fn logs_with_an_entry_in_common_are_equal_up_to_it_after_many_changes_of_leader() {
    let mut cluster = Cluster::new(3);
    for round in 0..12_u64 {
        let (leader, cut_off) = (round % 3 + 1, (round + 1) % 3 + 1);
        cluster.campaign(leader);
        cluster.deliver_if(|packet| packet.to != NodeId(cut_off));
        if cluster.raft(leader).role() != RoleKind::Leader {
            continue;
        }
        cluster.propose(leader, &format!("kept {round}")).unwrap();
        cluster.deliver_if(|packet| packet.to != NodeId(cut_off));
        cluster.propose(leader, &format!("alone {round}")).unwrap();
        cluster.take_packets();
        let logs = [cluster.log(1), cluster.log(2), cluster.log(3)];
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            let same = |at: &usize| logs[a].get(*at) == logs[b].get(*at);
            let shorter = logs[a].len().min(logs[b].len());
            if let Some(common) = (0..shorter).rev().find(same) {
                assert_eq!(logs[a][..common], logs[b][..common]);
            }
        }
        cluster.restart(leader);
    }
    assert!(
        cluster.raft(1).commit_index() > Index(3),
        "some entries were committed"
    );
}

// Section 5.5: "If a server crashes after completing an RPC but before responding, then it will
// receive the same RPC again after it restarts. Raft RPCs are idempotent."
#[test]
fn a_request_repeated_after_a_restart_is_answered_as_before() {
    let mut cluster = Cluster::new(3);
    let requests = [
        (request_vote(2, EntryId::ZERO), vote(2, Vote::Granted)),
        (append(2, EntryId::ZERO, &three(), 2), accepted(2, 3)),
    ];
    for (request, answer) in requests {
        cluster.receive(1, 2, request.clone());
        assert_eq!(cluster.sent_by(1), [(2, answer.clone())]);
        let stored = cluster.node(1).stored.clone();
        cluster.restart(1);
        cluster.receive(1, 2, request);
        assert_eq!(cluster.sent_by(1), [(2, answer)]);
        assert_eq!(cluster.node(1).stored, stored, "nothing is written twice");
    }
    assert_eq!(cluster.applied(1), ["a", "b"]);
}

// Section 7: "Each server takes snapshots independently, covering just the committed entries in
// its log." The entries are deleted, and the consistency check goes on with lastIncludedIndex.
#[test]
fn a_compacted_leader_goes_on_with_its_last_included_entry_as_prev_log() {
    let mut cluster = Cluster::with(3, |config| config.trailing_entries = 0);
    cluster.elect(1);
    for command in ["a", "b", "c"] {
        cluster.propose(1, command).unwrap();
    }
    cluster.deliver();
    for id in 1..=3 {
        cluster.compact(id, 3, b"abc");
        assert!(cluster.log(id).is_empty());
        assert_eq!(cluster.raft(id).last_log(), EntryId::new(3, 1));
    }
    cluster.propose(1, "d").unwrap();
    let sent = cluster.take_packets();
    assert_eq!(
        sent[0].message,
        append(1, EntryId::new(3, 1), &[(4, 1, "d")], 3)
    );
    cluster.queue = sent;
    cluster.deliver();
    assert_eq!(cluster.applied(2), ["a", "b", "c", "d"]);
}

// Section 7: "the leader must occasionally send snapshots to followers that lag behind. This
// happens when the leader has already discarded the next log entry that it needs to send."
#[test]
fn a_follower_that_lags_behind_the_leaders_log_gets_its_snapshot() {
    let mut cluster = Cluster::with(3, |config| config.trailing_entries = 0);
    cluster.elect(1);
    for command in ["a", "b", "c"] {
        cluster.propose(1, command).unwrap();
        cluster.deliver_if(|packet| packet.to != NodeId(3));
    }
    let snapshot = cluster.compact(1, 2, b"ab");
    for _ in 0..3 {
        cluster.send_heartbeats(1);
        cluster.deliver();
    }
    let restore =
        |action: &Action| matches!(action, Action::Restore { snapshot: it } if it.id == snapshot);
    assert!(cluster.node(3).other_actions.iter().any(restore));
    assert_eq!(cluster.applied(3), ["c"]);
}
