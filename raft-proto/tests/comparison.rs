//! Replicas whose states differ are found, and only a majority that agrees says who is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use proptest::prelude::*;
use raft_proto::comparison::{Digests, StateDigest, Verdict, compare};
use raft_proto::{EntryId, Index, Member, Membership, NodeId};

fn digest(index: u64, value: u128) -> StateDigest {
    StateDigest {
        after: EntryId::new(index, 1),
        kind: 1,
        value,
    }
}

fn nodes(ids: &[u64]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn voters(count: u64) -> Membership {
    Membership::new((1..=count).map(NodeId))
}

/// Compares as node 1. Each of the others holds these, from node 2 on.
fn verdict(members: &Membership, own: &[StateDigest], others: &[&[StateDigest]]) -> Verdict {
    let peers = others.iter().zip(2..);
    let peers: Vec<_> = peers.map(|(all, id)| (NodeId(id), all.to_vec())).collect();
    compare(members, NodeId(1), own, &peers)
}

#[test]
fn a_minority_is_at_fault_and_a_leader_like_any_other() {
    let (good, bad) = ([digest(8, 7)], [digest(8, 6)]);
    let after = EntryId::new(8, 1);
    let majority = nodes(&[2, 3]);
    // Node 1 may lead: that does not count.
    let found = verdict(&voters(3), &bad, &[&good, &good]);
    assert_eq!(found, Verdict::Diverged { after, majority });
    let differing = nodes(&[2]);
    let found = verdict(&voters(3), &good, &[&bad, &good]);
    assert_eq!(found, Verdict::OthersDiffer { after, differing });
    let found = verdict(&voters(3), &good, &[&good, &good]);
    assert_eq!(found, Verdict::Same { after });
}

#[test]
fn nobody_is_at_fault_as_long_as_no_majority_agrees() {
    let (one, other, third) = ([digest(8, 1)], [digest(8, 2)], [digest(8, 3)]);
    let after = EntryId::new(8, 1);
    let found = verdict(&voters(3), &one, &[&other, &[]]);
    let differing = nodes(&[2]);
    assert_eq!(
        found,
        Verdict::Undecided { after, differing },
        "the third is silent"
    );
    let found = verdict(&voters(3), &one, &[&other, &third]);
    let differing = nodes(&[2, 3]);
    assert_eq!(found, Verdict::Undecided { after, differing });
    let found = verdict(&voters(5), &one, &[&other, &other]);
    let differing = nodes(&[2, 3]);
    assert_eq!(
        found,
        Verdict::Undecided { after, differing },
        "two of five"
    );
}

#[test]
fn learners_judge_themselves_and_do_not_vote() {
    let members = Membership::of([
        Member::learner(NodeId(1)),
        Member::voter(NodeId(2)),
        Member::voter(NodeId(3)),
        Member::voter(NodeId(4)),
    ]);
    let (good, bad) = ([digest(8, 7)], [digest(8, 6)]);
    let after = EntryId::new(8, 1);
    let majority = nodes(&[2, 4]);
    let found = verdict(&members, &bad, &[&good, &[], &good]);
    assert_eq!(found, Verdict::Diverged { after, majority });
    let differing = nodes(&[2]);
    let found = verdict(&members, &bad, &[&good, &bad, &[]]);
    assert_eq!(
        found,
        Verdict::Undecided { after, differing },
        "one of three voters"
    );
}

#[test]
fn an_older_entry_decides_where_the_newer_ones_do_not() {
    // The third lags behind.
    let (own, good) = ([digest(8, 1), digest(16, 1)], [digest(8, 2), digest(16, 2)]);
    let found = verdict(&voters(3), &own, &[&good, &[digest(8, 2)]]);
    let (after, majority) = (EntryId::new(8, 1), nodes(&[2, 3]));
    assert_eq!(found, Verdict::Diverged { after, majority });
    // Older ones do not hide that states differ now.
    let own = [digest(8, 1), digest(16, 1)];
    let found = verdict(
        &voters(3),
        &own,
        &[&[digest(8, 1), digest(16, 2)], &[digest(8, 1)]],
    );
    let (after, differing) = (EntryId::new(16, 1), nodes(&[2]));
    assert_eq!(found, Verdict::Undecided { after, differing });
}

#[test]
fn digests_of_another_kind_or_after_another_entry_are_not_compared() {
    let other_kind = StateDigest {
        kind: 2,
        ..digest(8, 9)
    };
    let other_term = StateDigest {
        after: EntryId::new(8, 2),
        ..digest(8, 9)
    };
    let found = verdict(&voters(3), &[digest(8, 1)], &[&[other_kind], &[other_term]]);
    assert_eq!(found, Verdict::Nothing);
}

#[test]
fn a_state_that_was_replaced_is_not_compared_by_what_it_was() {
    let mut digests = Digests::new(8);
    digests.note(digest(8, 1));
    digests.note(digest(11, 1));
    assert_eq!(digests.all().len(), 2);
    digests.clear();
    assert_eq!(digests.all(), []);
}

proptest! {
    /// However far one replica lags behind, both have noted some entry.
    #[test]
    fn two_replicas_always_have_a_common_entry(
        distance in 1_u64..20,
        reached in 1_u64..5000,
        lag in 0_u64..5000,
    ) {
        let noted = |reached: u64| {
            let mut digests = Digests::new(distance);
            let mut next = digests.next_after(Index::ZERO);
            while next.0 <= reached {
                digests.note(digest(next.0, 1));
                next = digests.next_after(next);
            }
            digests.all()
        };
        let (own, peer) = (noted(reached), noted(reached.saturating_sub(lag)));
        prop_assert!(own.len() < 40);
        prop_assert!(peer.is_empty() || peer.iter().any(|it| own.contains(it)));
    }

    /// Of whatever states nodes hold, those that find themselves at fault leave a majority.
    #[test]
    fn a_majority_never_finds_itself_at_fault(
        values in prop::collection::vec(0_u128..3, 1..8),
        heard in prop::collection::vec(prop::collection::vec(any::<bool>(), 8), 8),
    ) {
        let count = values.len();
        let members = voters(count as u64);
        let at_fault = |node: usize| {
            let hears = (0..count).filter(|peer| *peer != node && heard[node][*peer]);
            let peers: Vec<_> = hears
                .map(|peer| (NodeId(peer as u64 + 1), vec![digest(8, values[peer])]))
                .collect();
            let own = [digest(8, values[node])];
            let found = compare(&members, NodeId(node as u64 + 1), &own, &peers);
            matches!(found, Verdict::Diverged { .. })
        };
        let found = (0..count).filter(|node| at_fault(*node)).count();
        prop_assert!(found * 2 < count);
    }
}
