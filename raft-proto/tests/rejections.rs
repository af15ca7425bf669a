//! A message that no correct peer sends is `Rejected`, and changes nothing. The messages that are
//! normal and never rejected are in `tolerance.rs`.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use raft_proto::*;
use support::*;

/// n1 leads in term 1, with two entries committed and known everywhere.
fn leader_of_two_entries() -> Cluster {
    leader(3, |_| {}, &["a", "b"])
}

/// Hands n1 a message. Expects its rejection for `reason`, and that only the counters change.
fn expect_rejection(cluster: &mut Cluster, from: u64, message: Message, reason: Rejection) {
    let log = cluster.raft(1).entries(Index(1), Index::MAX);
    let mut before = cluster.raft(1).status();
    let violation = reason.is_safety_violation();
    let actions = cluster.receive(1, from, message.clone());
    let from = NodeId(from);
    let expected = [Action::Rejected { from, reason }];
    assert_eq!(actions, expected, "{message:?}");
    before.rejected += 1;
    before.safety_violations += u64::from(violation);
    assert_eq!(cluster.raft(1).status(), before, "{message:?}");
    assert_eq!(cluster.raft(1).entries(Index(1), Index::MAX), log);
    assert!(cluster.take_packets().is_empty());
}

fn conflict(index: u64, term: u64) -> Rejection {
    Rejection::ConflictBelowCommit {
        entry: EntryId::new(index, term),
        commit_index: Index(2),
    }
}

#[test]
fn an_append_whose_entries_conflict_below_commit_index_is_rejected() {
    let mut cluster = follower_in_term_3();
    let forged = append(3, EntryId::new(1, 1), &[(2, 3, "other")], 0);
    expect_rejection(&mut cluster, 2, forged, conflict(2, 3));
}

#[test]
fn an_append_whose_prev_log_conflicts_below_commit_index_is_rejected() {
    let mut cluster = follower_in_term_3();
    let forged = append(3, EntryId::new(2, 1), &[(3, 3, "other")], 0);
    expect_rejection(&mut cluster, 2, forged, conflict(2, 1));
}

#[test]
fn a_conflict_below_commit_index_is_rejected_and_its_higher_term_is_not_adopted() {
    let mut cluster = follower_in_term_3();
    let forged = append(9, EntryId::ZERO, &[(1, 9, "other")], 0);
    expect_rejection(&mut cluster, 3, forged, conflict(1, 9));
}

// The bug: an append that would overwrite applied entries is accepted.
#[test]
fn an_append_that_would_overwrite_applied_entries_is_rejected() {
    let mut cluster = follower_in_term_3();
    assert_eq!(cluster.applied(1), ["a", "b"]);
    let list = [(1, 3, "x"), (2, 3, "y"), (3, 3, "z")];
    expect_rejection(
        &mut cluster,
        2,
        append(3, EntryId::ZERO, &list, 3),
        conflict(1, 3),
    );
    assert_eq!(cluster.applied(1), ["a", "b"]);
}

#[test]
fn a_sender_that_contradicted_a_committed_entry_is_not_followed_again_in_that_term() {
    let mut cluster = follower_in_term_3();
    let forged = append(3, EntryId::new(1, 1), &[(2, 3, "other")], 0);
    expect_rejection(&mut cluster, 2, forged, conflict(2, 3));
    let term = Term(3);
    let honest = append(3, EntryId::new(3, 3), &[(4, 3, "d")], 2);
    expect_rejection(&mut cluster, 2, honest, Rejection::NotFollowed { term });
    // In a later term it is trusted again.
    let actions = cluster.receive(1, 2, heartbeat(4, EntryId::new(3, 3), 2));
    assert_eq!(rejection(&actions), None);
    assert_eq!(cluster.raft(1).leader(), Some(NodeId(2)));
}

// The entries begin before the log's base, and contradict the last compacted entry.
#[test]
fn an_append_that_contradicts_the_last_compacted_entry_is_rejected() {
    let mut cluster = Cluster::with(3, |config| config.trailing_entries = 0);
    let log = [(1, 1, "a"), (2, 2, "b")];
    cluster.receive(1, 2, append(2, EntryId::ZERO, &log, 2));
    cluster.compact(1, 2, b"ab");
    cluster.take_packets();
    let list = [(1, 1, "a"), (2, 1, "other"), (3, 1, "c")];
    expect_rejection(
        &mut cluster,
        2,
        append(2, EntryId::ZERO, &list, 2),
        conflict(2, 1),
    );
}

#[test]
fn a_second_leader_in_one_term_is_rejected() {
    let (term, leader) = (Term(3), NodeId(2));
    let reason = Rejection::SecondLeader { term, leader };
    let mut cluster = follower_in_term_3();
    let append = heartbeat(3, EntryId::new(3, 3), 2);
    expect_rejection(&mut cluster, 3, append, reason.clone());
    // So is the chunk of a node that does not lead.
    let meta = snapshot_meta(EntryId::new(9, 3), b"forged");
    expect_rejection(&mut cluster, 3, chunk(3, &meta, 0, b"forged"), reason);
}

#[test]
fn a_second_leader_in_the_term_that_the_receiver_leads_is_rejected() {
    let (term, leader) = (Term(1), NodeId(1));
    let mut cluster = leader_of_two_entries();
    let meta = snapshot_meta(EntryId::new(9, 1), b"forged");
    for message in [
        heartbeat(1, EntryId::new(2, 1), 2),
        chunk(1, &meta, 0, b"forged"),
    ] {
        let reason = Rejection::SecondLeader { term, leader };
        expect_rejection(&mut cluster, 3, message, reason);
    }
}

#[test]
fn an_acknowledgement_of_entries_that_the_leader_does_not_have_is_rejected() {
    let mut cluster = leader_of_two_entries();
    let last = Index(2);
    let acknowledged = Index(3);
    let reason = Rejection::MatchBeyondLog { acknowledged, last };
    expect_rejection(&mut cluster, 2, accepted(1, 3), reason.clone());
    expect_rejection(
        &mut cluster,
        2,
        refused(1, 3, EntryId::ZERO),
        reason.clone(),
    );
    let installed = snapshot_reply(1, EntryId::new(3, 1), SnapshotOutcome::Installed);
    expect_rejection(&mut cluster, 2, installed, reason);
}

// The bug: a forged matchIndex commits an entry that no follower has.
#[test]
fn a_forged_match_index_commits_nothing() {
    let mut cluster = leader_of_two_entries();
    cluster.propose(1, "c").unwrap();
    cluster.take_packets();
    for index in [4, 1 << 62, u64::MAX] {
        let actions = cluster.receive(1, 2, accepted(1, index));
        assert!(rejection(&actions).is_some());
        assert_eq!(cluster.raft(1).commit_index(), Index(2));
    }
}

#[test]
fn the_greatest_number_as_any_index_of_any_message_is_rejected() {
    const MAX: u64 = u64::MAX;
    let out = || Rejection::IndexOutOfRange(Index(MAX));
    let far = EntryId::new(MAX, 1);
    let outcome = |match_index, received| AppendOutcome::Accepted {
        match_index: Index(match_index),
        received: Index(received),
    };
    let meta = snapshot_meta(far, b"x");
    for mut cluster in [follower_in_term_3(), leader_of_two_entries()] {
        let term = cluster.raft(1).term().0;
        for message in [
            request_vote(term + 1, far),
            heartbeat(term, far, 0),
            heartbeat(term, EntryId::ZERO, MAX),
            append_reply(term, outcome(MAX, MAX)),
            append_reply(term, outcome(0, MAX)),
            append_reply(term, outcome(MAX, 0)),
            refused(term, MAX, EntryId::ZERO),
            refused(term, 1, far),
            chunk(term, &meta, 0, b"x"),
            snapshot_reply(term, far, SnapshotOutcome::Installed),
        ] {
            expect_rejection(&mut cluster, 2, message, out());
        }
        let offset = SnapshotOutcome::Wants { offset: MAX };
        let wants = snapshot_reply(term, EntryId::new(1, 1), offset);
        expect_rejection(&mut cluster, 2, wants, Rejection::Inconsistent);
    }
}

#[test]
fn the_greatest_number_as_offset_or_size_of_a_snapshot_is_rejected() {
    const MAX: u64 = u64::MAX;
    let mut cluster = follower_in_term_3();
    let mut meta = snapshot_meta(EntryId::new(9, 3), b"abcd");
    let out = |offset, size| Rejection::ChunkOutOfPlace {
        offset,
        length: 4,
        size,
    };
    let (offset, size) = (MAX, 4);
    expect_rejection(
        &mut cluster,
        2,
        chunk(3, &meta, offset, b"abcd"),
        out(offset, size),
    );
    meta.id.size = MAX;
    expect_rejection(&mut cluster, 2, chunk(3, &meta, 0, b"abcd"), out(0, MAX));
    expect_rejection(
        &mut cluster,
        2,
        chunk(3, &meta, MAX - 4, b"abcd"),
        out(MAX - 4, MAX),
    );
}

#[test]
fn entries_beyond_the_greatest_index_are_rejected() {
    let mut cluster = follower_in_term_3();
    let prev = EntryId::new(1 << 62, 3);
    let first = (1 << 62) + 1;
    let message = append(3, prev, &[(first, 3, "beyond")], 0);
    expect_rejection(
        &mut cluster,
        2,
        message,
        Rejection::IndexOutOfRange(Index(first)),
    );
}

/// One message of every kind, in this term.
fn every_kind(term: u64) -> [Message; 6] {
    let meta = snapshot_meta(EntryId::new(9, 1), b"x");
    [
        request_vote(term, EntryId::ZERO),
        vote(term, Vote::Granted),
        heartbeat(term, EntryId::ZERO, 0),
        accepted(term, 0),
        chunk(term, &meta, 0, b"x"),
        snapshot_reply(term, meta.id.last, SnapshotOutcome::Installed),
    ]
}

#[test]
fn a_term_more_than_2_to_the_32_ahead_is_rejected() {
    for theirs in [4 + (1 << 32), u64::MAX - 1, u64::MAX] {
        for message in every_kind(theirs) {
            let (ours, theirs) = (Term(3), Term(theirs));
            let reason = Rejection::TermTooFarAhead { ours, theirs };
            expect_rejection(&mut follower_in_term_3(), 2, message, reason);
        }
    }
    // The greatest distance that is allowed: the term is adopted.
    let mut cluster = follower_in_term_3();
    let actions = cluster.receive(1, 2, request_vote(3 + (1 << 32), EntryId::ZERO));
    assert_eq!(rejection(&actions), None);
    assert_eq!(cluster.raft(1).term(), Term(3 + (1 << 32)));
}

#[test]
fn a_message_of_term_0_or_from_the_receiver_itself_is_rejected() {
    for message in every_kind(0) {
        expect_rejection(&mut follower_in_term_3(), 2, message, Rejection::NoTerm);
    }
    for message in every_kind(3) {
        expect_rejection(&mut follower_in_term_3(), 1, message, Rejection::FromSelf);
    }
}

#[test]
fn a_vote_from_a_node_that_is_no_member_is_rejected() {
    let mut cluster = Cluster::new(3);
    cluster.campaign(1);
    cluster.take_packets();
    let term = Term(1);
    let reason = Rejection::UnsolicitedVote { term };
    expect_rejection(&mut cluster, 9, vote(1, Vote::Granted), reason);
    assert_eq!(cluster.raft(1).role(), RoleKind::Candidate);
}

#[test]
fn a_vote_that_was_never_requested_is_rejected() {
    // In a term that n1 has not reached, and in one in which n1 was no candidate.
    let mut cluster = follower_in_term_3();
    for term in [4, 3] {
        let reason = Rejection::UnsolicitedVote { term: Term(term) };
        expect_rejection(&mut cluster, 2, vote(term, Vote::Granted), reason);
    }
    assert_eq!(cluster.raft(1).role(), RoleKind::Follower);
}

#[test]
fn a_reply_to_a_request_that_was_never_sent_is_rejected() {
    let term = Term(4);
    let reason = || Rejection::UnsolicitedReply { term };
    expect_rejection(&mut follower_in_term_3(), 2, accepted(4, 1), reason());
    expect_rejection(
        &mut follower_in_term_3(),
        2,
        refused(4, 1, EntryId::ZERO),
        reason(),
    );
    let last = EntryId::new(1, 1);
    for outcome in [
        SnapshotOutcome::Installed,
        SnapshotOutcome::Wants { offset: 0 },
    ] {
        expect_rejection(
            &mut follower_in_term_3(),
            2,
            snapshot_reply(4, last, outcome),
            reason(),
        );
    }
}

#[test]
fn a_snapshot_with_a_wrong_checksum_is_rejected_and_begins_anew() {
    let mut cluster = follower_in_term_3();
    let meta = snapshot_meta(EntryId::new(9, 3), b"described");
    let reason = Rejection::WrongChecksum {
        expected: Checksum::of(b"described"),
        found: Checksum::of(b"different"),
    };
    // Its leader learns it: the snapshot may be damaged where it is stored.
    let damaged = snapshot_reply(3, meta.id.last, SnapshotOutcome::Damaged);
    let expect_damaged = |cluster: &mut Cluster, message| {
        let from = NodeId(2);
        let expected = [
            Action::Send {
                to: from,
                message: damaged.clone(),
            },
            Action::Rejected {
                from,
                reason: reason.clone(),
            },
        ];
        assert_eq!(cluster.receive(1, 2, message), expected);
        cluster.take_packets();
    };
    expect_damaged(&mut cluster, chunk(3, &meta, 0, b"different"));
    // Its new term is not adopted either.
    expect_rejection(
        &mut cluster,
        2,
        chunk(4, &meta, 0, b"different"),
        reason.clone(),
    );
    assert_eq!(cluster.raft(1).term(), Term(3));
    // In two chunks: the first one is discarded with the second.
    cluster.receive(1, 2, chunk(3, &meta, 0, b"diffe"));
    cluster.take_packets();
    expect_damaged(&mut cluster, chunk(3, &meta, 5, b"rent"));
    cluster.receive(1, 2, chunk(3, &meta, 5, b"ibed"));
    let wants = SnapshotOutcome::Wants { offset: 0 };
    assert_eq!(
        cluster.sent_by(1),
        [(2, snapshot_reply(3, meta.id.last, wants))]
    );
    cluster.receive(1, 2, chunk(3, &meta, 0, b"described"));
    assert_eq!(cluster.raft(1).commit_index(), Index(9));
}

#[test]
fn a_chunk_that_does_not_fit_its_snapshot_is_rejected() {
    let meta = snapshot_meta(EntryId::new(9, 3), b"abcd");
    for (offset, data) in [(1, b"abcd".as_slice()), (5, b"a"), (0, b""), (4, b"")] {
        let (length, size) = (data.len() as u64, 4);
        let reason = Rejection::ChunkOutOfPlace {
            offset,
            length,
            size,
        };
        expect_rejection(
            &mut follower_in_term_3(),
            2,
            chunk(3, &meta, offset, data),
            reason,
        );
    }
}

#[test]
fn a_snapshot_that_contradicts_a_committed_entry_or_names_no_voters_is_rejected() {
    let mut cluster = follower_in_term_3();
    let meta = snapshot_meta(EntryId::new(2, 3), b"other");
    expect_rejection(
        &mut cluster,
        2,
        chunk(3, &meta, 0, b"other"),
        conflict(2, 3),
    );
    let mut meta = snapshot_meta(EntryId::new(9, 3), b"x");
    meta.membership = Membership::default();
    expect_rejection(
        &mut follower_in_term_3(),
        2,
        chunk(3, &meta, 0, b"x"),
        Rejection::DamagedMembership,
    );
}

#[test]
fn entries_whose_terms_fall_or_exceed_the_messages_term_are_rejected() {
    let reason = |index, entry_term, previous: EntryId| Rejection::EntryTerms {
        entry: EntryId::new(index, entry_term),
        previous,
        term: Term(3),
    };
    // The builder refuses terms that fall within one message. After prevLog they can be forged.
    let prev = EntryId::new(3, 3);
    let falls = append(3, prev, &[(4, 2, "d")], 0);
    expect_rejection(&mut follower_in_term_3(), 2, falls, reason(4, 2, prev));
    let exceeds = append(3, prev, &[(4, 3, "d"), (5, 4, "e")], 0);
    expect_rejection(
        &mut follower_in_term_3(),
        2,
        exceeds,
        reason(5, 4, EntryId::new(4, 3)),
    );
    let no_term = append(3, EntryId::ZERO, &[(1, 0, "a")], 0);
    expect_rejection(
        &mut follower_in_term_3(),
        2,
        no_term,
        reason(1, 0, EntryId::ZERO),
    );
}

#[test]
fn entries_that_do_not_follow_prev_log_are_rejected() {
    for first in [3, 5] {
        let reason = Rejection::EntriesMisplaced {
            first: Index(first),
            prev: Index(3),
        };
        let message = append(3, EntryId::new(3, 3), &[(first, 3, "d")], 0);
        expect_rejection(&mut follower_in_term_3(), 2, message, reason);
    }
}

#[test]
fn an_impossible_entry_id_is_rejected() {
    let impossible = |entry, term| Rejection::ImpossibleEntry { entry, term };
    for entry in [EntryId::new(0, 1), EntryId::new(1, 0), EntryId::new(1, 4)] {
        let reason = || impossible(entry, Term(3));
        let meta = snapshot_meta(entry, b"x");
        expect_rejection(
            &mut follower_in_term_3(),
            2,
            heartbeat(3, entry, 0),
            reason(),
        );
        expect_rejection(
            &mut follower_in_term_3(),
            2,
            request_vote(3, entry),
            reason(),
        );
        expect_rejection(
            &mut follower_in_term_3(),
            2,
            chunk(3, &meta, 0, b"x"),
            reason(),
        );
    }
    // The term of a candidate is greater than all terms in its log.
    let (entry, term) = (EntryId::new(1, 4), Term(4));
    expect_rejection(
        &mut follower_in_term_3(),
        2,
        request_vote(4, entry),
        impossible(entry, term),
    );
}

#[test]
fn a_reply_that_contradicts_itself_is_rejected() {
    let more_durable_than_received = AppendOutcome::Accepted {
        match_index: Index(2),
        received: Index(1),
    };
    for message in [
        append_reply(1, more_durable_than_received),
        refused(1, 1, EntryId::new(2, 1)),
        // All logs agree before the first entry, so index 0 is never refused.
        refused(1, 0, EntryId::ZERO),
    ] {
        expect_rejection(
            &mut leader_of_two_entries(),
            2,
            message,
            Rejection::Inconsistent,
        );
    }
}

#[test]
fn no_rejected_message_makes_a_node_fault() {
    for mut cluster in [follower_in_term_3(), leader_of_two_entries()] {
        for message in every_kind(u64::MAX).into_iter().chain(every_kind(0)) {
            cluster.receive(1, 2, message);
        }
        assert_eq!(cluster.raft(1).fault(), None);
        assert_eq!(cluster.raft(1).status().rejected, 12);
    }
}
