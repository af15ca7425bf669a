//! Which messages and entries wait for a write to be durable, and which do not.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use raft_proto::*;
use support::*;

/// A cluster of three in which the writes of `id` complete when the test syncs.
fn slow_disk(id: u64) -> Cluster {
    let mut cluster = Cluster::new(3);
    cluster.node(id).disk = Disk::Manual;
    cluster
}

/// How many writes of `id` wait.
fn waiting(cluster: &mut Cluster, id: u64) -> usize {
    cluster.node(id).waiting.len()
}

// Figure 2: persistent state is "updated on stable storage before responding to RPCs". The bug: a
// vote is sent before it is durable, and after a crash another one follows.
#[test]
fn a_vote_waits_until_it_is_durable() {
    let mut cluster = slow_disk(1);
    cluster.receive(1, 2, request_vote(1, EntryId::ZERO));
    assert!(cluster.sent_by(1).is_empty());
    cluster.restart(1);
    assert_eq!(
        cluster.raft(1).voted_for(),
        None,
        "nobody has received the vote"
    );
    cluster.receive(1, 3, request_vote(1, EntryId::ZERO));
    assert!(cluster.sent_by(1).is_empty());
    cluster.sync(1, 1);
    assert_eq!(cluster.sent_by(1), [(3, vote(1, Vote::Granted))]);
    // A copy of the request is answered at once: the vote is durable.
    cluster.receive(1, 3, request_vote(1, EntryId::ZERO));
    assert_eq!(cluster.sent_by(1), [(3, vote(1, Vote::Granted))]);
}

#[test]
fn a_repeated_request_does_not_make_a_vote_leave_before_it_is_durable() {
    let mut cluster = slow_disk(1);
    for _ in 0..3 {
        cluster.receive(1, 2, request_vote(1, EntryId::ZERO));
    }
    assert!(cluster.sent_by(1).is_empty());
    assert_eq!(waiting(&mut cluster, 1), 1);
    cluster.sync(1, 1);
    let granted = (2, vote(1, Vote::Granted));
    assert_eq!(
        cluster.sent_by(1),
        [granted],
        "one answer serves all copies"
    );
}

#[test]
fn a_refused_vote_waits_for_nothing() {
    let mut cluster = Cluster::new(3);
    cluster.receive(1, 2, append(1, EntryId::ZERO, &[(1, 1, "a")], 0));
    cluster.take_packets();
    cluster.node(1).disk = Disk::Manual;
    cluster.receive(1, 3, request_vote(5, EntryId::ZERO));
    assert_eq!(cluster.sent_by(1), [(3, vote(5, Vote::Refused))]);
}

#[test]
fn a_candidate_requests_votes_and_counts_its_own_once_its_term_and_vote_are_durable() {
    let mut cluster = slow_disk(1);
    cluster.campaign(1);
    assert!(cluster.sent_by(1).is_empty());
    // n2's vote is counted when it arrives. n1's own is not counted yet, or n1 would be leader.
    cluster.receive(1, 2, vote(1, Vote::Granted));
    assert_eq!(cluster.raft(1).role(), RoleKind::Candidate);
    cluster.sync(1, 1);
    assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
}

// The bug: a candidate campaigns with a log that is not durable. Its voters rely on `last_log`.
#[test]
fn a_candidate_does_not_advertise_entries_that_it_may_still_lose() {
    let mut cluster = slow_disk(1);
    cluster.receive(1, 2, append(1, EntryId::ZERO, &[(1, 1, "a")], 0));
    cluster.campaign(1);
    assert_eq!(waiting(&mut cluster, 1), 2);
    cluster.sync(1, 1);
    assert!(
        cluster
            .sent_by(1)
            .iter()
            .all(|(_, message)| { message.kind() != MessageKind::RequestVote })
    );
    cluster.sync(1, 1);
    let requests = cluster.sent_by(1);
    let last = EntryId::new(1, 1);
    assert_eq!(
        requests,
        [(2, request_vote(2, last)), (3, request_vote(2, last))]
    );
}

// The bug: a follower acknowledges entries before they are synced.
#[test]
fn entries_are_acknowledged_and_applied_only_once_they_are_durable() {
    let mut cluster = slow_disk(1);
    let message = append(1, EntryId::ZERO, &[(1, 1, "a")], 1);
    cluster.receive(1, 2, message.clone());
    assert!(cluster.sent_by(1).is_empty());
    assert!(
        cluster.applied(1).is_empty(),
        "entries are applied only once they are durable"
    );
    // A copy of the append does not make the answer leave either.
    cluster.receive(1, 2, message);
    assert!(cluster.sent_by(1).is_empty());
    cluster.sync(1, 1);
    assert_eq!(cluster.sent_by(1), [(2, accepted(1, 1))]);
    assert_eq!(cluster.applied(1), ["a"]);
}

#[test]
fn a_heartbeat_is_answered_at_once_with_the_index_that_is_durable() {
    let mut cluster = slow_disk(1);
    cluster.receive(1, 2, append(1, EntryId::ZERO, &[(1, 1, "a")], 0));
    cluster.sync(1, 1);
    cluster.take_packets();
    cluster.receive(1, 2, append(1, EntryId::new(1, 1), &[(2, 1, "b")], 0));
    assert!(cluster.sent_by(1).is_empty());
    cluster.receive(1, 2, heartbeat(1, EntryId::new(2, 1), 0));
    let outcome = AppendOutcome::Accepted {
        match_index: Index(1),
        received: Index(2),
    };
    assert_eq!(cluster.sent_by(1), [(2, append_reply(1, outcome))]);
}

#[test]
fn a_refusal_and_an_answer_to_a_stale_term_wait_for_nothing() {
    let mut cluster = slow_disk(1);
    cluster.receive(1, 2, append(3, EntryId::new(5, 2), &[(6, 3, "f")], 0));
    assert_eq!(cluster.sent_by(1), [(2, refused(3, 5, EntryId::ZERO))]);
    cluster.receive(1, 3, heartbeat(2, EntryId::ZERO, 0));
    let stale = append_reply(3, AppendOutcome::Stale);
    assert_eq!(cluster.sent_by(1), [(3, stale)]);
}

// Thesis 10.2.1: the leader writes to its own disk in parallel with replicating.
#[test]
fn a_leader_sends_entries_before_its_own_write_is_durable_and_counts_itself_after() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.node(1).disk = Disk::Manual;
    cluster.propose(1, "a").unwrap();
    let sent = cluster.take_packets();
    assert_eq!(entries_sent(&sent), [(2, 1, 1), (3, 1, 1)]);
    cluster.receive(1, 2, accepted(1, 1));
    assert_eq!(
        cluster.raft(1).commit_index(),
        Index(0),
        "the entry is on one disk of three"
    );
    cluster.sync(1, 1);
    assert_eq!(cluster.raft(1).commit_index(), Index(1));
    assert_eq!(cluster.applied(1), ["a"]);
}

#[test]
fn a_majority_of_followers_commits_an_entry_that_is_not_on_the_leaders_disk() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.node(1).disk = Disk::Manual;
    cluster.propose(1, "a").unwrap();
    cluster.deliver();
    assert_eq!(cluster.raft(1).commit_index(), Index(1));
    assert_eq!(cluster.applied(2), ["a"]);
    assert!(
        cluster.applied(1).is_empty(),
        "the entry is not durable on n1 yet"
    );
    cluster.sync(1, 1);
    assert_eq!(cluster.applied(1), ["a"]);
}

#[test]
fn a_cluster_of_one_commits_when_its_write_is_durable() {
    let mut cluster = Cluster::new(1);
    cluster.node(1).disk = Disk::Manual;
    cluster.campaign(1);
    assert_eq!(cluster.raft(1).role(), RoleKind::Candidate);
    cluster.sync(1, 1);
    assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
    cluster.propose(1, "a").unwrap();
    cluster.propose(1, "b").unwrap();
    assert_eq!(cluster.raft(1).commit_index(), Index(0));
    cluster.sync(1, 1);
    assert_eq!(cluster.applied(1), ["a"]);
    cluster.sync(1, 1);
    assert_eq!(cluster.applied(1), ["a", "b"]);
    assert!(cluster.take_packets().is_empty());
}

// The bug: the completion of a write is matched by index alone. Entry 1@1 is overwritten by 1@2, so
// the completion of the first write proves nothing about the second.
#[test]
fn the_late_completion_of_an_overwritten_write_proves_nothing() {
    let mut cluster = slow_disk(1);
    cluster.receive(
        1,
        2,
        append(1, EntryId::ZERO, &[(1, 1, "old"), (2, 1, "old")], 0),
    );
    cluster.receive(1, 3, append(2, EntryId::ZERO, &[(1, 2, "new")], 1));
    assert_eq!(waiting(&mut cluster, 1), 2);
    cluster.sync(1, 1);
    assert!(cluster.sent_by(1).is_empty());
    assert_eq!(cluster.raft(1).durable_index(), Index(0));
    assert!(cluster.applied(1).is_empty());
    cluster.receive(1, 3, heartbeat(2, EntryId::new(1, 2), 1));
    let outcome = AppendOutcome::Accepted {
        match_index: Index(0),
        received: Index(1),
    };
    assert_eq!(cluster.sent_by(1), [(3, append_reply(2, outcome))]);
    cluster.sync(1, 1);
    assert_eq!(cluster.sent_by(1), [(3, accepted(2, 1))]);
    assert_eq!(cluster.applied(1), ["new"]);
}

#[test]
fn a_truncation_lowers_the_durable_index_at_once() {
    let mut cluster = Cluster::new(3);
    let log = [(1, 1, "a"), (2, 1, "b"), (3, 1, "c")];
    cluster.receive(1, 2, append(1, EntryId::ZERO, &log, 0));
    assert_eq!(cluster.raft(1).durable_index(), Index(3));
    cluster.node(1).disk = Disk::Manual;
    cluster.receive(
        1,
        3,
        append(2, EntryId::new(1, 1), &[(2, 2, "x"), (3, 2, "y")], 0),
    );
    assert_eq!(cluster.raft(1).durable_index(), Index(1));
    cluster.sync(1, 1);
    assert_eq!(cluster.raft(1).durable_index(), Index(3));
}

#[test]
fn several_writes_may_be_under_way_and_persisted_is_cumulative() {
    let mut cluster = slow_disk(1);
    let mut prev = EntryId::ZERO;
    for index in 1..=5 {
        cluster.receive(1, 2, append(1, prev, &[(index, 1, "x")], 0));
        prev = EntryId::new(index, 1);
    }
    let seqs: Vec<u64> = cluster
        .node(1)
        .waiting
        .iter()
        .map(|write| write.seq.0)
        .collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    cluster.input(1, Input::Persisted { seq: Seq(3) });
    let sent = cluster.sent_by(1).into_iter();
    let answers: Vec<Message> = sent.map(|(_, message)| message).collect();
    assert_eq!(answers, [accepted(1, 1), accepted(1, 2), accepted(1, 3)]);
    // The same report again, or an older one, changes nothing.
    for seq in [3, 1] {
        assert!(
            cluster
                .input(1, Input::Persisted { seq: Seq(seq) })
                .is_empty()
        );
    }
    assert_eq!(cluster.raft(1).durable_index(), Index(3));
    cluster.input(1, Input::Persisted { seq: Seq(5) });
    assert_eq!(cluster.sent_by(1).len(), 2);
    assert_eq!(cluster.raft(1).status().writes_under_way, 0);
}

#[test]
fn a_seq_that_was_never_issued_is_refused_and_proves_nothing() {
    let mut cluster = slow_disk(1);
    cluster.receive(1, 2, append(1, EntryId::ZERO, &[(1, 1, "a")], 1));
    let before = cluster.raft(1).clone();
    for seq in [0, 2, u64::MAX] {
        for input in [
            Input::Persisted { seq: Seq(seq) },
            Input::PersistFailed { seq: Seq(seq) },
        ] {
            let actions = cluster.input(1, input);
            let (seq, last) = (Seq(seq), Seq(1));
            assert_eq!(refusal(&actions), Some(Refusal::UnknownWrite { seq, last }));
            assert_eq!(*cluster.raft(1), before);
        }
    }
}

#[test]
fn a_reply_withheld_in_an_older_term_is_never_sent() {
    let mut cluster = slow_disk(1);
    cluster.receive(1, 2, request_vote(1, EntryId::ZERO));
    cluster.receive(1, 3, request_vote(2, EntryId::ZERO));
    cluster.sync(1, 2);
    assert_eq!(cluster.sent_by(1), [(3, vote(2, Vote::Granted))]);
}

#[test]
fn the_step_that_takes_persisted_sends_the_withheld_answer_and_hands_out_the_entry() {
    let mut cluster = slow_disk(1);
    cluster.receive(1, 2, append(1, EntryId::ZERO, &[(1, 1, "a")], 1));
    let actions = cluster.input(1, Input::Persisted { seq: Seq(1) });
    assert_eq!(sent(&actions), [(NodeId(2), accepted(1, 1))]);
    assert_eq!(handed_out(&actions), [1]);
}

/// Expects that a failed write stops n1: it faults once, and then answers nothing.
fn expect_fault(mut cluster: Cluster, seq: u64) {
    let seq = Seq(seq);
    let actions = cluster.input(1, Input::PersistFailed { seq });
    let reason = Fault::WriteFailed { seq };
    assert_eq!(actions.last(), Some(&Action::Faulted { reason }));
    assert!(sent(&actions).is_empty());
    assert_eq!(cluster.raft(1).fault(), Some(reason));
    assert_ne!(cluster.raft(1).role(), RoleKind::Leader);
    cluster.take_packets();
    let refused = cluster.propose(1, "x").unwrap_err();
    assert_eq!(refused, ProposeError::Faulted(reason));
    let term = cluster.raft(1).term().0;
    cluster.now = Time::from_epoch(std::time::Duration::from_secs(99));
    for input in [
        Input::Tick,
        Input::Persisted { seq },
        Input::PersistFailed { seq },
        Input::Unreachable { peer: NodeId(2) },
        Input::Receive {
            from: NodeId(2),
            message: request_vote(term + 1, EntryId::new(99, term)),
            incarnation: None,
        },
    ] {
        assert_eq!(cluster.input(1, input), []);
    }
    // A new instance starts from what the storage holds.
    cluster.restart(1);
    assert_eq!(cluster.raft(1).fault(), None);
}

#[test]
fn a_failed_write_is_final_for_a_follower() {
    let mut cluster = slow_disk(1);
    cluster.receive(1, 2, append(1, EntryId::ZERO, &[(1, 1, "a")], 0));
    expect_fault(cluster, 1);
}

#[test]
fn a_failed_write_is_final_for_a_candidate() {
    let mut cluster = slow_disk(1);
    cluster.campaign(1);
    expect_fault(cluster, 1);
}

#[test]
fn a_failed_write_is_final_for_a_leader_and_it_steps_down() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.node(1).disk = Disk::Manual;
    cluster.propose(1, "a").unwrap();
    cluster.propose(1, "b").unwrap();
    let last = cluster.node(1).waiting.last().unwrap().seq.0;
    expect_fault(cluster, last - 1);
}

#[test]
fn the_last_answer_to_a_snapshot_and_its_restore_wait_for_the_install() {
    let mut cluster = slow_disk(1);
    let meta = snapshot_meta(EntryId::new(9, 1), b"abcdef");
    cluster.receive(1, 2, chunk(1, &meta, 0, b"abc"));
    let wants = snapshot_reply(1, meta.id.last, SnapshotOutcome::Wants { offset: 3 });
    assert_eq!(
        cluster.sent_by(1),
        [(2, wants)],
        "the answer to an earlier chunk waits for nothing"
    );
    cluster.receive(1, 2, chunk(1, &meta, 3, b"def"));
    // A copy arrives while the snapshot is being installed.
    cluster.receive(1, 2, chunk(1, &meta, 3, b"def"));
    assert!(cluster.sent_by(1).is_empty());
    assert_eq!(cluster.raft(1).handed_out_index(), Index(0));
    let count = waiting(&mut cluster, 1);
    cluster.sync(1, count);
    let installed = snapshot_reply(1, meta.id.last, SnapshotOutcome::Installed);
    assert_eq!(cluster.sent_by(1), [(2, installed)]);
    assert_eq!(cluster.raft(1).handed_out_index(), Index(9));
}
