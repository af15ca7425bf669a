//! What waits for a stalled disk is bounded by the peers and the writes, not by the messages.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, missing_docs)]

mod support;

use raft_proto::*;
use support::*;

fn append_of_round(prev: EntryId, list: &[(u64, u64, &str)], round: u64) -> Message {
    match append(1, prev, list, 0) {
        Message::AppendEntries(append) => Message::AppendEntries(AppendEntries { round, ..append }),
        other => other,
    }
}

#[test]
fn copies_of_an_append_with_different_rounds_wait_for_one_acknowledgement_of_the_latest() {
    let mut cluster = Cluster::new(3);
    cluster.node(1).disk = Disk::Manual;
    let list = [(1, 1, "a"), (2, 1, "b")];
    for round in 1..=8_000 {
        let shorter = &list[..1 + (round as usize % 2)];
        cluster.receive(1, 2, append_of_round(EntryId::ZERO, shorter, round));
    }
    let withheld = cluster.raft(1).status().withheld;
    assert!(withheld <= 2, "{withheld} acknowledgements wait");
    cluster.take_packets();
    let writes = cluster.node(1).waiting.len();
    cluster.sync(1, writes);
    let sent = cluster.sent_by(1);
    let (to, last) = sent.last().unwrap();
    let Message::AppendEntriesReply(reply) = last else {
        unreachable!("{last:?}");
    };
    assert_eq!((*to, reply.round), (2, 8_000));
    let index = Index(2);
    let outcome = AppendOutcome::Accepted {
        match_index: index,
        received: index,
    };
    assert_eq!(reply.outcome, outcome);
}

#[test]
fn chunks_of_many_snapshots_that_are_covered_wait_for_one_reply() {
    let mut cluster = Cluster::new(3);
    let list: Vec<(u64, u64, &str)> = (1..=1_000).map(|at| (at, 1, "x")).collect();
    cluster.receive(1, 2, append(1, EntryId::ZERO, &list, 1_000));
    cluster.node(1).disk = Disk::Manual;
    cluster.receive(
        1,
        2,
        append(1, EntryId::new(1_000, 1), &[(1_001, 1, "y")], 1_000),
    );
    cluster.take_packets();
    for index in 1..=1_000 {
        let meta = snapshot_meta(EntryId::new(index, 1), b"bytes");
        cluster.receive(1, 2, chunk(1, &meta, 0, b"bytes"));
    }
    let withheld = cluster.raft(1).status().withheld;
    assert!(withheld <= 2, "{withheld} replies wait");
    cluster.sync(1, 1);
    let last = EntryId::new(1_000, 1);
    let installed = snapshot_reply(1, last, SnapshotOutcome::Installed);
    assert!(cluster.sent_by(1).contains(&(2, installed)));
}

#[test]
fn an_acknowledgement_leaves_with_the_write_that_it_waits_for() {
    let mut cluster = Cluster::new(3);
    cluster.node(1).disk = Disk::Manual;
    cluster.receive(1, 2, append(1, EntryId::ZERO, &[(1, 1, "a")], 0));
    cluster.receive(1, 2, append(1, EntryId::new(1, 1), &[(2, 1, "b")], 0));
    cluster.take_packets();
    assert_eq!(cluster.node(1).waiting.len(), 2);
    // The newer acknowledgement waits for the second write, and does not hold up the older one.
    cluster.sync(1, 1);
    assert_eq!(cluster.sent_by(1), [(2, accepted(1, 1))]);
    cluster.sync(1, 1);
    assert_eq!(cluster.sent_by(1), [(2, accepted(1, 2))]);
}

#[test]
fn votes_that_wait_are_one_for_each_candidate_however_often_it_asks() {
    let mut cluster = Cluster::new(3);
    cluster.node(1).disk = Disk::Manual;
    for _ in 0..1_000 {
        cluster.receive(1, 2, request_vote(5, EntryId::ZERO));
    }
    let withheld = cluster.raft(1).status().withheld;
    assert!(withheld <= 1, "{withheld} votes wait");
}
