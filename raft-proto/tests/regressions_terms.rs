//! Mistakes around a term that is not on disk yet, and around answers that come late.
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

// The bug: a crash takes the follower back to a term whose leader overwrites what it acknowledged.
#[test]
fn entries_already_held_are_not_acknowledged_before_the_term_is_durable() {
    let mut cluster = Cluster::new(5);
    cluster.receive(3, 1, append(1, EntryId::ZERO, &[(1, 1, "a")], 0));
    cluster.node(3).disk = Disk::Manual;
    let entries = append(3, EntryId::ZERO, &[(1, 1, "a")], 0);
    let actions = cluster.receive(3, 1, entries);
    assert_eq!(sent(&actions), []);
    let question = heartbeat(3, EntryId::new(1, 1), 0);
    let actions = cluster.receive(3, 1, question);
    let nothing_yet = AppendOutcome::Accepted {
        match_index: Index(0),
        received: Index(1),
    };
    assert_eq!(sent(&actions), [(NodeId(1), append_reply(3, nothing_yet))]);
    cluster.take_packets();
    cluster.sync(3, 1);
    assert_eq!(cluster.sent_by(3), [(1, accepted(3, 1))]);
}

// The bug: what is applied because of a term that a crash forgets is contradicted by an honest
// leader of an earlier one, who is then taken for a liar.
#[test]
fn nothing_is_handed_out_by_a_term_that_is_not_durable() {
    let mut cluster = Cluster::new(3);
    cluster.receive(1, 2, append(1, EntryId::ZERO, &[(1, 1, "a")], 0));
    cluster.node(1).disk = Disk::Manual;
    cluster.receive(1, 3, heartbeat(3, EntryId::new(1, 1), 1));
    assert_eq!(cluster.raft(1).commit_index(), Index(1));
    assert!(cluster.applied(1).is_empty());
    cluster.sync(1, 1);
    assert_eq!(cluster.applied(1), ["a"]);
}

// The bug: the answer to a chunk that is being read again is dropped, for ever, if reading takes
// as long as answers do.
#[test]
fn an_answer_that_comes_while_its_chunk_is_read_again_moves_the_transfer_on() {
    let mut cluster = Cluster::with(3, |config| {
        config.trailing_entries = 0;
        config.snapshot_chunk_bytes = 2;
    });
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.deliver_if(|packet| packet.to != NodeId(3));
    cluster.compact(1, 1, b"state");
    let id = cluster.raft(1).snapshot().unwrap().id;
    let raft = &mut cluster.node(1).raft;
    let mut at = Time::from_epoch(Duration::from_secs(100));
    let mut step = |raft: &mut Raft, input| {
        at = at.after(HEARTBEAT);
        raft.step(Event { at, input })
    };
    let hear = |message| Input::Receive {
        from: NodeId(3),
        message,
    };
    step(raft, Input::Tick);
    step(raft, hear(refused(1, 1, EntryId::ZERO)));
    step(
        raft,
        Input::SnapshotRead {
            peer: NodeId(3),
            snapshot: id,
            offset: 0,
            result: Ok("st".into()),
        },
    );
    // A later heartbeat is answered before the chunk: it is read again.
    step(raft, hear(refused(1, 1, EntryId::ZERO)));
    let wants = SnapshotOutcome::Wants { offset: 2 };
    let actions = step(raft, hear(snapshot_reply(1, id.last, wants)));
    let next = |action: &Action| matches!(action, Action::ReadSnapshot { offset: 2, .. });
    assert!(actions.iter().any(next), "{actions:?}");
}

// The bug: two copies of one late refusal, far apart, are taken for a lost disk.
#[test]
fn two_copies_of_a_late_refusal_accuse_nobody() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.deliver();
    let long = 11 * cluster.raft(1).config().election_timeout_max;
    for _ in 0..3 {
        let actions = cluster.receive(1, 3, refused(1, 1, EntryId::ZERO));
        let accuses = |action: &Action| matches!(action, Action::LostState { .. });
        assert!(!actions.iter().any(accuses));
        cluster.wait(long);
    }
}

// The bug: only the last answer that waits is compared.
#[test]
fn copies_of_two_appends_by_turns_wait_once_each_for_a_stalled_disk() {
    let mut cluster = Cluster::new(3);
    cluster.node(2).disk = Disk::Manual;
    let one = append(1, EntryId::ZERO, &[(1, 1, "a")], 0);
    let two = append(1, EntryId::ZERO, &[(1, 1, "a"), (2, 1, "b")], 0);
    for _ in 0..50 {
        cluster.receive(2, 1, one.clone());
        cluster.receive(2, 1, two.clone());
    }
    assert!(cluster.raft(2).status().withheld <= 3);
}

// The bug: a stranger's damaged snapshot makes the leader's begin anew.
#[test]
fn a_strangers_damaged_snapshot_does_not_disturb_the_leaders() {
    let mut cluster = Cluster::new(3);
    let good = snapshot_meta(EntryId::new(9, 1), b"abcd");
    cluster.receive(1, 2, chunk(2, &good, 0, b"ab"));
    let bad = snapshot_meta(EntryId::new(9, 1), b"zz");
    let actions = cluster.receive(1, 3, chunk(3, &bad, 0, b"yy"));
    assert!(rejection(&actions).is_some());
    cluster.receive(1, 2, chunk(2, &good, 2, b"cd"));
    assert_eq!(cluster.raft(1).commit_index(), Index(9));
}

// The bug: a follower that asked for its readers in a term that a crash took back takes the leader's
// answer for one that no correct node sends.
#[test]
fn an_answer_to_a_reader_of_a_term_that_a_crash_took_back_accuses_nobody() {
    let mut cluster = Cluster::new(3);
    let answer = Message::ReadIndexReply(ReadIndexReply {
        term: Term(5),
        number: 7,
        outcome: ReadOutcome::Ready { index: Index(1) },
    });
    let actions = cluster.receive(2, 1, answer);
    assert_eq!(rejection(&actions), None);
    assert_eq!(cluster.raft(2).term(), Term(5));
}
