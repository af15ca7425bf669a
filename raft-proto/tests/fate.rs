//! What becomes of a proposal, as its driver finds out (`fate.rs`). The rule is compared with what
//! a cluster does.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use raft_proto::*;
use support::*;

fn fate(proposed: (u64, u64), committed: (u64, u64)) -> Fate {
    let id = |(index, term)| EntryId::new(index, term);
    Fate::of(id(proposed), id(committed))
}

#[test]
fn an_entry_of_the_same_term_is_committed_with_each_later_one() {
    assert_eq!(fate((5, 2), (4, 2)), Fate::Undecided);
    assert_eq!(fate((5, 2), (5, 2)), Fate::Committed);
    assert_eq!(fate((5, 2), (9, 2)), Fate::Committed);
}

#[test]
fn an_entry_is_lost_where_one_of_another_term_is_committed() {
    assert_eq!(fate((5, 2), (5, 1)), Fate::Lost);
    assert_eq!(fate((5, 2), (5, 3)), Fate::Lost);
}

// Terms never fall in a log.
#[test]
fn an_entry_is_lost_behind_one_of_a_later_term_and_before_one_of_an_earlier() {
    assert_eq!(fate((5, 2), (4, 3)), Fate::Lost);
    assert_eq!(fate((5, 2), (9, 1)), Fate::Lost);
    assert_eq!(fate((5, 2), (4, 1)), Fate::Undecided);
}

#[test]
fn an_entry_that_a_snapshot_of_a_later_term_covers_may_be_either() {
    assert_eq!(fate((5, 2), (6, 3)), Fate::Unknown);
}

/// What n1 can tell of its own proposals once n2 leads, by every committed entry.
fn after_the_next_leader(cluster: &mut Cluster, own: EntryId) -> Vec<Fate> {
    cluster.campaign(2);
    cluster.deliver();
    cluster.propose(2, "by n2").unwrap();
    cluster.propose(2, "by n2, too").unwrap();
    cluster.deliver();
    cluster.send_heartbeats(2);
    cluster.deliver();
    let commit_index = cluster.raft(1).commit_index();
    let all = cluster.raft(1).entries(Index(1), commit_index);
    all.iter().map(|entry| Fate::of(own, entry.id())).collect()
}

// "If the leader fails": its entry was on no other disk, and another leader takes the place.
#[test]
fn the_entry_of_a_leader_that_was_cut_off_is_known_to_be_lost() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    cluster.propose(1, "lost").unwrap();
    let lost = cluster.propose(1, "lost").unwrap().first;
    cluster.take_packets();
    let fates = after_the_next_leader(&mut cluster, lost);
    // 1@1 2@2 3@2: the entry before its place tells it already.
    assert_eq!(fates, [Fate::Undecided, Fate::Lost, Fate::Lost]);
    assert!(!cluster.applied(1).contains(&"lost".into()));
}

// One other disk is enough for the next leader to have it.
#[test]
fn the_entry_that_one_other_node_has_is_known_to_be_committed() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    let kept = cluster.propose(1, "kept").unwrap().first;
    cluster.deliver_between(1, 2);
    cluster.take_packets();
    let fates = after_the_next_leader(&mut cluster, kept);
    // 1@1 2@1 3@2 4@2.
    assert_eq!(fates[..2], [Fate::Undecided, Fate::Committed]);
    assert!(cluster.applied(1).contains(&"kept".into()));
}

// A `Restore` jumps over the proposal: its last entry alone decides, as far as that is possible.
#[test]
fn a_snapshot_that_jumps_over_a_proposal_decides_it_by_its_term() {
    for (delivered, expected) in [(true, Fate::Unknown), (false, Fate::Unknown)] {
        let mut cluster = leader(3, |config| config.trailing_entries = 0, &["a"]);
        let own = cluster.propose(1, "own").unwrap().first;
        if delivered {
            cluster.deliver_between(1, 2);
        }
        cluster.take_packets();
        cluster.campaign(2);
        cluster.deliver_if(|packet| packet.from != NodeId(1) && packet.to != NodeId(1));
        for _ in 0..3 {
            cluster.propose(2, "by n2").unwrap();
            cluster.deliver_if(|packet| packet.from != NodeId(1) && packet.to != NodeId(1));
        }
        let last = cluster.raft(2).commit_index();
        cluster.compact(2, last.0, b"state");
        for _ in 0..4 {
            cluster.send_heartbeats(2);
            cluster.deliver();
        }
        assert_eq!(cluster.restored(1), [last]);
        let restored = cluster.raft(1).snapshot().unwrap().id.last;
        assert_eq!(Fate::of(own, restored), expected);
    }
}
