//! Defects once found in the core: with a term that is not on disk yet, and with late answers.
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

// The bug: a crash takes the follower back to an earlier term, whose leader overwrites entries that
// the follower has acknowledged.
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

// The bug: entries are applied in a term that a crash forgets. Then an honest leader of an earlier
// term contradicts them, and is rejected.
#[test]
fn nothing_is_handed_out_before_the_term_is_durable() {
    let mut cluster = Cluster::new(3);
    cluster.receive(1, 2, append(1, EntryId::ZERO, &[(1, 1, "a")], 0));
    cluster.node(1).disk = Disk::Manual;
    cluster.receive(1, 3, heartbeat(3, EntryId::new(1, 1), 1));
    assert_eq!(cluster.raft(1).commit_index(), Index(1));
    assert!(cluster.applied(1).is_empty());
    cluster.sync(1, 1);
    assert_eq!(cluster.applied(1), ["a"]);
}

// The bug: the answer to a chunk that is being read again is dropped. If a read takes as long as an
// answer, the transfer never ends.
#[test]
fn an_answer_that_arrives_while_its_chunk_is_read_again_continues_the_transfer() {
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
    let from_n3 = |message| Input::Receive {
        from: NodeId(3),
        message,
        incarnation: None,
    };
    step(raft, Input::Tick);
    step(raft, from_n3(refused(1, 1, EntryId::ZERO)));
    step(
        raft,
        Input::SnapshotRead {
            peer: NodeId(3),
            snapshot: id,
            offset: 0,
            result: Ok("st".into()),
        },
    );
    // n3 answers a later heartbeat before the chunk, so the chunk is read again.
    step(raft, from_n3(refused(1, 1, EntryId::ZERO)));
    let wants = SnapshotOutcome::Wants { offset: 2 };
    let actions = step(raft, from_n3(snapshot_reply(1, id.last, wants)));
    let reads_next = |action: &Action| matches!(action, Action::ReadSnapshot { offset: 2, .. });
    assert!(actions.iter().any(reads_next), "{actions:?}");
}

// The bug: two copies of one late refusal, which arrive far apart, are taken for a lost disk.
#[test]
fn copies_of_a_late_refusal_accuse_no_peer_of_lost_state() {
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

// The bug: an answer is withheld again unless it is equal to the last one withheld.
#[test]
fn alternating_copies_of_two_appends_withhold_one_answer_each() {
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

// The bug: a damaged snapshot of another node discards the chunks of the leader's snapshot.
#[test]
fn a_damaged_snapshot_of_another_node_does_not_disturb_the_leaders_transfer() {
    let mut cluster = Cluster::new(3);
    let good = snapshot_meta(EntryId::new(9, 1), b"abcd");
    cluster.receive(1, 2, chunk(2, &good, 0, b"ab"));
    let bad = snapshot_meta(EntryId::new(9, 1), b"zz");
    let actions = cluster.receive(1, 3, chunk(3, &bad, 0, b"yy"));
    assert!(rejection(&actions).is_some());
    cluster.receive(1, 2, chunk(2, &good, 2, b"cd"));
    assert_eq!(cluster.raft(1).commit_index(), Index(9));
}

// The bug: a follower asks for a read index in a term that a crash takes back. It then rejects the
// leader's answer as one that no correct node sends.
#[test]
fn a_read_index_reply_of_a_term_that_a_crash_took_back_is_not_rejected() {
    let mut cluster = Cluster::new(3);
    let answer = Message::ReadIndexReply(ReadIndexReply {
        term: Term(5),
        number: 7,
        outcome: ReadOutcome::Ready { index: Index(1) },
        stored: Index(0),
    });
    let actions = cluster.receive(2, 1, answer);
    assert_eq!(rejection(&actions), None);
    assert_eq!(cluster.raft(2).term(), Term(5));
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// When n1 begins its next term, if it hears nothing. To the millisecond.
fn next_election(cluster: &Cluster) -> Time {
    let (mut raft, mut at) = (cluster.raft(1).clone(), cluster.now);
    let term = raft.term();
    while raft.term() == term {
        at = at.after(MILLISECOND);
        let input = Input::Tick;
        raft.step(Event { at, input });
    }
    at
}

// The bug: n1, whose log is behind, does not know that n4 is a voter, so n4 does not hear of its
// terms. n1 begins each term before n4 does, and its vote is gone each time. n4, the only one that
// can win, is never elected.
#[test]
fn a_candidate_gives_a_better_one_of_its_term_time_to_win_the_next() {
    let mut cluster = Cluster::new(3);
    let better = EntryId::new(1, 1);
    cluster.campaign(1);
    cluster.campaign(1);
    let begun = cluster.now;
    // Shortly before n1's next election, n4 asks, too.
    let timeout = next_election(&cluster).since(begun);
    cluster.wait(timeout - 2 * MILLISECOND);
    let actions = cluster.receive(1, 4, request_vote(2, better));
    let refusal = (NodeId(4), vote(2, Vote::Refused));
    assert!(sent(&actions).contains(&refusal), "{actions:?}");
    // So long as n4 may need to ask in the next term, n1 has not voted in it.
    cluster.wait(timeout - 2 * MILLISECOND);
    cluster.tick(1);
    assert_eq!(cluster.raft(1).term(), Term(2));
    cluster.take_packets();
    cluster.receive(1, 4, request_vote(3, better));
    let grant = (4, vote(3, Vote::Granted));
    assert!(cluster.sent_by(1).contains(&grant));
}

#[test]
fn a_candidate_gives_way_to_better_ones_for_no_longer_than_an_election_timeout() {
    let mut cluster = Cluster::new(3);
    cluster.campaign(1);
    cluster.campaign(1);
    let (begun, first) = (cluster.now, next_election(&cluster));
    // An equal log is not better.
    cluster.receive(1, 2, request_vote(2, EntryId::ZERO));
    assert_eq!(next_election(&cluster), first);
    let latest = first.after(first.since(begun));
    while cluster.raft(1).term() == Term(2) {
        assert!(cluster.now < latest);
        cluster.receive(1, 4, request_vote(2, EntryId::new(1, 1)));
        cluster.wait(Duration::from_millis(50));
        cluster.tick(1);
    }
    // As late as it may, as it was asked all the time.
    assert!(cluster.now >= latest);
}
