//! A message that is late, lost, repeated or reordered is normal and never `Rejected`. The messages
//! that are rejected are in `rejections.rs`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use raft_proto::*;
use std::time::Duration;
use support::*;

/// Hands n1 a message and expects that it is not rejected. Returns the answers of n1.
fn answers_to(cluster: &mut Cluster, from: u64, message: Message) -> Vec<Message> {
    let actions = cluster.receive(1, from, message);
    assert_eq!(rejection(&actions), None);
    let answers = cluster.sent_by(1);
    answers.into_iter().map(|(_, message)| message).collect()
}

// "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)".
#[test]
fn leader_commit_may_lie_beyond_the_followers_last_entry() {
    let mut cluster = follower_in_term_3();
    let answers = answers_to(&mut cluster, 2, heartbeat(3, EntryId::new(3, 3), 1 << 40));
    assert_eq!(answers, [accepted(3, 3)]);
    assert_eq!(cluster.raft(1).commit_index(), Index(3));
}

// The bug: a follower commits min(leaderCommit, its own last entry), and so entries at the end of
// its log that the leader does not hold.
#[test]
fn an_empty_append_commits_no_entries_after_its_prev_log() {
    let mut cluster = follower_in_term_3();
    let answers = answers_to(&mut cluster, 3, heartbeat(4, EntryId::new(2, 2), 9));
    // When the answer is sent the new term is not on disk yet, so it acknowledges nothing.
    let received = AppendOutcome::Accepted {
        match_index: Index(0),
        received: Index(2),
    };
    assert_eq!(answers, [append_reply(4, received)]);
    assert_eq!(cluster.raft(1).commit_index(), Index(2));
    assert_eq!(cluster.applied(1), ["a", "b"]);
}

#[test]
fn an_append_after_a_gap_is_answered_with_a_hint() {
    let mut cluster = follower_in_term_3();
    let gap = append(3, EntryId::new(7, 3), &[(8, 3, "h")], 2);
    let answers = answers_to(&mut cluster, 2, gap);
    assert_eq!(answers, [refused(3, 7, EntryId::new(3, 3))]);
    assert_eq!(cluster.raft(1).last_log(), EntryId::new(3, 3));
}

#[test]
fn a_conflict_above_commit_index_is_answered_with_a_hint_that_skips_its_term() {
    let mut cluster = Cluster::new(3);
    let log = [(1, 1, "a"), (2, 4, "b"), (3, 4, "c"), (4, 4, "d")];
    cluster.receive(1, 2, append(4, EntryId::ZERO, &log, 1));
    cluster.take_packets();
    let answers = answers_to(&mut cluster, 3, heartbeat(5, EntryId::new(4, 3), 1));
    assert_eq!(answers, [refused(5, 4, EntryId::new(1, 1))]);
}

#[test]
fn a_chunk_at_an_unexpected_offset_is_answered_with_the_offset_wanted() {
    let mut cluster = follower_in_term_3();
    let meta = snapshot_meta(EntryId::new(9, 3), b"abcdefgh");
    let wants = |offset| snapshot_reply(3, meta.id.last, SnapshotOutcome::Wants { offset });
    // The first chunk to arrive is one from the middle.
    assert_eq!(
        answers_to(&mut cluster, 2, chunk(3, &meta, 4, b"efgh")),
        [wants(0)]
    );
    assert_eq!(
        answers_to(&mut cluster, 2, chunk(3, &meta, 0, b"ab")),
        [wants(2)]
    );
    assert_eq!(
        answers_to(&mut cluster, 2, chunk(3, &meta, 6, b"gh")),
        [wants(2)]
    );
    assert_eq!(
        answers_to(&mut cluster, 2, chunk(3, &meta, 0, b"ab")),
        [wants(2)]
    );
    assert_eq!(
        answers_to(&mut cluster, 2, chunk(3, &meta, 2, b"cdef")),
        [wants(6)]
    );
    answers_to(&mut cluster, 2, chunk(3, &meta, 6, b"gh"));
    assert_eq!(cluster.raft(1).commit_index(), Index(9));
}

#[test]
fn messages_of_stale_terms_are_normal_in_every_role_and_change_nothing() {
    let meta = snapshot_meta(EntryId::new(2, 1), b"x");
    let stale = [
        request_vote(1, EntryId::ZERO),
        vote(1, Vote::Granted),
        vote(1, Vote::Refused),
        append(1, EntryId::ZERO, &[(1, 1, "other")], 1),
        accepted(1, 99),
        refused(1, 99, EntryId::ZERO),
        append_reply(1, AppendOutcome::Stale),
        chunk(1, &meta, 0, b"x"),
        snapshot_reply(1, EntryId::new(99, 1), SnapshotOutcome::Installed),
        snapshot_reply(1, EntryId::new(99, 1), SnapshotOutcome::Wants { offset: 3 }),
        snapshot_reply(1, EntryId::new(99, 1), SnapshotOutcome::Stale),
    ];
    for role in [RoleKind::Follower, RoleKind::Candidate, RoleKind::Leader] {
        let mut cluster = follower_in_term_3();
        if role != RoleKind::Follower {
            cluster.campaign(1);
            cluster.take_packets();
        }
        if role == RoleKind::Leader {
            cluster.receive(1, 2, vote(4, Vote::Granted));
            cluster.take_packets();
        }
        assert_eq!(cluster.raft(1).role(), role);
        let before = cluster.raft(1).status();
        for message in stale.clone() {
            answers_to(&mut cluster, 3, message);
            assert_eq!(cluster.raft(1).status(), before);
        }
    }
}

// A refusal carries the voter's term. When it arrives, its receiver may already follow the leader
// of that term, or have voted for another candidate in it.
#[test]
fn a_refused_vote_whose_term_the_receiver_already_knows_is_normal() {
    let mut cluster = Cluster::new(3);
    cluster.campaign(1);
    cluster.take_packets();
    cluster.receive(1, 3, heartbeat(5, EntryId::ZERO, 0));
    cluster.take_packets();
    answers_to(&mut cluster, 2, vote(5, Vote::Refused));
    assert_eq!(cluster.raft(1).leader(), Some(NodeId(3)));
    cluster.receive(1, 2, request_vote(6, EntryId::ZERO));
    cluster.take_packets();
    answers_to(&mut cluster, 3, vote(6, Vote::Refused));
    assert_eq!(cluster.raft(1).status().rejected, 0);
}

#[test]
fn grants_that_arrive_after_the_election_is_won_are_normal() {
    let mut cluster = Cluster::new(5);
    cluster.elect(1);
    for from in [2, 3, 4, 5, 2] {
        assert!(answers_to(&mut cluster, from, vote(1, Vote::Granted)).is_empty());
    }
    assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
    // So are grants after a restart, which keeps the vote but not the campaign.
    let mut cluster = Cluster::new(3);
    cluster.campaign(1);
    cluster.restart(1);
    cluster.take_packets();
    answers_to(&mut cluster, 2, vote(1, Vote::Granted));
    assert_eq!(cluster.raft(1).role(), RoleKind::Follower);
}

// Section 5.5: "Raft RPCs are idempotent, so this causes no harm."
#[test]
fn every_message_of_a_busy_cluster_can_arrive_three_times() {
    let mut cluster = Cluster::with(3, |config| {
        config.trailing_entries = 0;
        config.snapshot_chunk_bytes = 3;
    });
    cluster.campaign(1);
    for round in 0..30 {
        if cluster.raft(1).role() == RoleKind::Leader {
            cluster.propose(1, &round.to_string()).unwrap();
        }
        if round == 15 {
            let last = cluster.raft(1).handed_out_index().0;
            cluster.compact(1, last, b"twelve bytes");
        }
        for _ in 0..4 {
            for packet in cluster.take_packets() {
                if round < 20 && packet.to == NodeId(3) {
                    continue; // n3 is cut off, and later receives a snapshot.
                }
                for _ in 0..3 {
                    cluster.deliver_packet(packet.clone());
                }
            }
        }
        cluster.send_heartbeats(1);
    }
    for id in 1..=3 {
        assert_eq!(cluster.raft(id).status().rejected, 0);
        assert_eq!(cluster.log(id).last(), cluster.log(1).last());
    }
    let applied = cluster.applied(1);
    assert_eq!(cluster.applied(2), applied);
    assert!(applied.ends_with(cluster.applied(3)));
}

#[test]
fn replies_that_arrive_seconds_late_are_normal() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    let mut late = Vec::new();
    for round in 0..30 {
        cluster.propose(1, &round.to_string()).unwrap();
        for packet in cluster.take_packets() {
            if packet.to == NodeId(1) && packet.from == NodeId(3) {
                late.push(packet);
            } else {
                cluster.deliver_packet(packet);
            }
        }
        cluster.send_heartbeats(1);
    }
    cluster.deliver();
    cluster.wait(Duration::from_secs(5));
    let commit_index = cluster.raft(1).commit_index();
    assert_eq!(commit_index, Index(30));
    for packet in late.into_iter().rev() {
        let actions = cluster.deliver_packet(packet);
        assert_eq!(rejection(&actions), None);
    }
    assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
    assert_eq!(cluster.raft(1).status().rejected, 0);
}

// The bug: an append that lies inside the follower's snapshot is rejected for ever.
#[test]
fn an_append_that_lies_inside_the_followers_snapshot_is_accepted() {
    let mut cluster = Cluster::with(3, |config| config.trailing_entries = 0);
    let log = [(1, 1, "a"), (2, 1, "b"), (3, 1, "c"), (4, 1, "d")];
    cluster.receive(1, 2, append(1, EntryId::ZERO, &log, 4));
    cluster.compact(1, 4, b"abcd");
    cluster.take_packets();
    for (prev, list) in [
        (EntryId::ZERO, &log[..2]),
        (EntryId::ZERO, &log[..4]),
        (EntryId::new(1, 1), &log[1..3]),
        (EntryId::new(2, 1), &[]),
        (EntryId::new(4, 1), &[]),
    ] {
        let answers = answers_to(&mut cluster, 2, append(1, prev, list, 4));
        assert_eq!(
            answers,
            [accepted(1, 4)],
            "n1 has all entries of the snapshot"
        );
    }
    // An append that begins inside the snapshot and brings a new entry.
    let longer = [(4, 1, "d"), (5, 1, "e")];
    let answers = answers_to(&mut cluster, 2, append(1, EntryId::new(3, 1), &longer, 5));
    assert_eq!(answers, [accepted(1, 5)]);
    assert_eq!(cluster.applied(1), ["a", "b", "c", "d", "e"]);
}

// The bug: a prevLog that was compacted is treated as a conflict, and committed entries are lost.
#[test]
fn a_compacted_prev_log_after_a_restart_is_no_conflict() {
    let mut cluster = Cluster::with(3, |config| config.trailing_entries = 0);
    let log = [(1, 1, "a"), (2, 1, "b"), (3, 1, "c"), (4, 1, "d")];
    cluster.receive(1, 2, append(1, EntryId::ZERO, &log, 4));
    cluster.compact(1, 2, b"ab");
    cluster.restart(1);
    assert_eq!(
        cluster.raft(1).commit_index(),
        Index(2),
        "the restart forgot a part of commitIndex"
    );
    cluster.take_packets();
    let old = append(1, EntryId::new(1, 1), &log[1..3], 2);
    let answers = answers_to(&mut cluster, 2, old);
    assert_eq!(answers, [accepted(1, 3)]);
    assert_eq!(cluster.log(1), ["3@1", "4@1"]);
}

#[test]
fn a_snapshot_that_was_installed_long_ago_is_acknowledged_again() {
    let mut cluster = follower_in_term_3();
    let meta = snapshot_meta(EntryId::new(2, 2), b"ab");
    let answers = answers_to(&mut cluster, 2, chunk(3, &meta, 0, b"ab"));
    let installed = snapshot_reply(3, meta.id.last, SnapshotOutcome::Installed);
    assert_eq!(answers, [installed]);
    assert_eq!(cluster.restored(1), []);
    assert_eq!(cluster.raft(1).last_log(), EntryId::new(3, 3));
}
