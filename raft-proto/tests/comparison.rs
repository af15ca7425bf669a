//! Replicas whose states differ are found, and only a majority that agrees says who is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use proptest::prelude::*;
use raft_proto::comparison::{Digests, StateDigest, Verdict, agreed, compare};
use raft_proto::{EntryId, Index, Member, MemberRole, Membership, NodeId};

fn digest(index: u64, value: u128) -> StateDigest {
    StateDigest {
        after: EntryId::new(index, 1),
        kind: 1,
        value,
        origin: None,
    }
}

/// The state is this node's own work, or a copy of this node's.
fn of(origin: u64, digest: StateDigest) -> StateDigest {
    StateDigest {
        origin: Some(NodeId(origin)),
        ..digest
    }
}

fn nodes(ids: &[u64]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn voters(count: u64) -> Membership {
    Membership::new((1..=count).map(NodeId))
}

/// Compares as node 1. Each of the others holds these, from node 2 on. All are their own work.
fn verdict(members: &Membership, own: &[StateDigest], others: &[&[StateDigest]]) -> Verdict {
    let own_work = |all: &[StateDigest], id| all.iter().map(|it| of(id, *it)).collect::<Vec<_>>();
    let others: Vec<_> = others.iter().zip(2..).collect();
    let others: Vec<_> = (others.iter())
        .map(|(all, id)| own_work(all, *id))
        .collect();
    let others: Vec<&[StateDigest]> = others.iter().map(Vec::as_slice).collect();
    verdict_on_copies(members, &own_work(own, 1), &others)
}

fn held(others: &[&[StateDigest]]) -> Vec<(NodeId, Vec<StateDigest>)> {
    let peers = others.iter().zip(2..);
    peers.map(|(all, id)| (NodeId(id), all.to_vec())).collect()
}

/// The same, and each digest says whose work it is.
fn verdict_on_copies(
    members: &Membership,
    own: &[StateDigest],
    others: &[&[StateDigest]],
) -> Verdict {
    compare(members, NodeId(1), own, &held(others))
}

fn undecided(differing: &[u64], copies: &[u64]) -> Verdict {
    Verdict::Undecided {
        after: EntryId::new(8, 1),
        differing: nodes(differing),
        copies: nodes(copies),
    }
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
    let found = verdict(&voters(3), &one, &[&other, &[]]);
    assert_eq!(found, undecided(&[2], &[]), "the third is silent");
    let found = verdict(&voters(3), &one, &[&other, &third]);
    assert_eq!(found, undecided(&[2, 3], &[]));
    let found = verdict(&voters(5), &one, &[&other, &other]);
    assert_eq!(found, undecided(&[2, 3], &[]), "two of five");
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
    let found = verdict(&members, &bad, &[&good, &bad, &[]]);
    assert_eq!(found, undecided(&[2], &[]), "one of three voters");
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
    let newer = Verdict::Undecided {
        after: EntryId::new(16, 1),
        differing: nodes(&[2]),
        copies: Vec::new(),
    };
    assert_eq!(found, newer);
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
fn a_copy_is_no_second_witness_whoever_compares() {
    let (good, bad) = (digest(8, 7), digest(8, 6));
    let three = voters(3);
    // Node 3 is wrong, and node 2 was sent its state: node 1 is right, and keeps its own.
    let found = verdict_on_copies(&three, &[of(1, good)], &[&[of(3, bad)], &[of(3, bad)]]);
    assert_eq!(found, undecided(&[2, 3], &[2]));
    // As the copy sees it, and the node that was copied.
    let found = verdict_on_copies(&three, &[of(3, bad)], &[&[of(2, good)], &[of(3, bad)]]);
    assert_eq!(found, undecided(&[2], &[1]));
    let found = verdict_on_copies(&three, &[of(1, bad)], &[&[of(2, good)], &[of(1, bad)]]);
    assert_eq!(found, undecided(&[2], &[3]));
    // A copy of a copy has the origin of the first: three of four are one witness.
    let all = [[of(3, bad)], [of(3, bad)], [of(3, bad)]];
    let all: Vec<&[StateDigest]> = all.iter().map(|it| &it[..]).collect();
    let found = verdict_on_copies(&voters(4), &[of(1, good)], &all);
    assert_eq!(found, undecided(&[2, 3, 4], &[2, 4]));
}

#[test]
fn a_state_of_unknown_origin_judges_nobody_and_can_be_judged() {
    let (good, bad, after) = (digest(8, 7), digest(8, 6), EntryId::new(8, 1));
    // Nobody says whose work the states of nodes 2 and 3 are, as with an earlier release.
    let found = verdict_on_copies(&voters(3), &[of(1, good)], &[&[bad], &[bad]]);
    assert_eq!(found, undecided(&[2, 3], &[2, 3]));
    let found = verdict_on_copies(&voters(3), &[bad], &[&[of(2, good)], &[of(3, good)]]);
    let majority = nodes(&[2, 3]);
    assert_eq!(found, Verdict::Diverged { after, majority });
    let found = verdict_on_copies(&voters(3), &[of(1, good)], &[&[of(2, good)], &[bad]]);
    let differing = nodes(&[3]);
    assert_eq!(found, Verdict::OthersDiffer { after, differing });
}

#[test]
fn a_copy_counts_beside_others_than_the_one_it_is_of() {
    let (good, bad, after) = (digest(8, 7), digest(8, 6), EntryId::new(8, 1));
    // Node 1 has slipped after its state was copied to node 2. Node 3 agrees with the copy.
    let found = verdict_on_copies(&voters(3), &[of(1, bad)], &[&[of(1, good)], &[of(3, good)]]);
    let majority = nodes(&[2, 3]);
    assert_eq!(found, Verdict::Diverged { after, majority });
}

#[test]
fn each_half_of_a_joint_configuration_needs_its_own_witnesses() {
    // Old: 1, 2, 3. New: 1, 4, 5.
    let change = |id, role| {
        let mut member = Member::voter(NodeId(id));
        member.role = role;
        member
    };
    let members = Membership::of([
        Member::voter(NodeId(1)),
        change(2, MemberRole::Outgoing),
        change(3, MemberRole::Outgoing),
        change(4, MemberRole::Incoming),
        change(5, MemberRole::Incoming),
    ]);
    assert!(members.is_joint());
    let (good, bad, after) = (digest(8, 7), digest(8, 6), EntryId::new(8, 1));
    let majority = nodes(&[2, 3, 4, 5]);
    let right = [[of(2, good)], [of(3, good)], [of(4, good)], [of(5, good)]];
    let right: Vec<&[StateDigest]> = right.iter().map(|it| &it[..]).collect();
    let found = verdict_on_copies(&members, &[of(1, bad)], &right);
    assert_eq!(found, Verdict::Diverged { after, majority });
    // Those of the new half are copies of one.
    let copied = [[of(2, good)], [of(3, good)], [of(4, good)], [of(4, good)]];
    let copied: Vec<&[StateDigest]> = copied.iter().map(|it| &it[..]).collect();
    let found = verdict_on_copies(&members, &[of(1, bad)], &copied);
    assert_eq!(found, undecided(&[2, 3, 4, 5], &[5]));
}

#[test]
fn a_copy_becomes_its_own_witness_once_a_majority_or_all_hold_the_same() {
    let agreed = |members: &Membership, own: &[StateDigest], others: &[&[StateDigest]]| {
        agreed(members, NodeId(1), own, &held(others)).map(|after| after.index.0)
    };
    let (good, bad) = (digest(8, 7), digest(8, 6));
    let three = voters(3);
    let copy = [of(3, good), of(3, digest(16, 7))];
    // The third has not come to the second entry yet.
    let three_is = [of(3, good), of(3, digest(16, 7))];
    let found = agreed(&three, &copy, &[&[of(2, good)], &three_is]);
    assert_eq!(found, Some(8), "two witnesses of three");
    let found = agreed(&three, &copy, &[&[], &three_is]);
    assert_eq!(found, None, "the one who may hold another is silent");
    let found = agreed(&three, &copy, &[&[of(2, bad)], &three_is]);
    assert_eq!(found, None, "one holds another");
    // All of unknown origin, or of one, but nobody is left who holds another.
    assert_eq!(agreed(&three, &[good], &[&[good], &[good]]), Some(8));
    let of_one = [of(3, good)];
    assert_eq!(agreed(&three, &of_one, &[&of_one, &of_one]), Some(8));
    assert_eq!(agreed(&three, &[good], &[&[good], &[bad]]), None);
    // A learner that differs may be the one that is right.
    let members = Membership::of([
        Member::voter(NodeId(1)),
        Member::voter(NodeId(2)),
        Member::learner(NodeId(3)),
    ]);
    assert_eq!(agreed(&members, &[good], &[&[good], &[bad]]), None);
    assert_eq!(agreed(&members, &[good], &[&[good], &[]]), Some(8));
}

#[test]
fn digests_have_the_origin_that_the_state_had_when_they_were_noted() {
    let origins = |digests: &Digests| -> Vec<Option<u64>> {
        let all = digests.all().into_iter();
        all.map(|it| it.origin.map(|node| node.0)).collect()
    };
    let mut digests = Digests::new(8, Some(NodeId(1)));
    digests.note(EntryId::new(8, 1), 1, 5);
    assert_eq!(origins(&digests), [Some(1)]);
    // A snapshot is loaded, and nobody has said whose it is.
    digests.replace(None);
    digests.note(EntryId::new(16, 1), 1, 6);
    digests.note(EntryId::new(17, 1), 1, 7);
    assert_eq!(origins(&digests), [None, None]);
    digests.set_unknown_origin(NodeId(2));
    assert_eq!(origins(&digests), [Some(2), Some(2)]);
    digests.set_unknown_origin(NodeId(3));
    assert_eq!(origins(&digests), [Some(2), Some(2)], "what is known stays");
    // After entry 16 it was the same as the others'.
    digests.begin_own_origin(NodeId(1), Index(16), digests.replacements());
    assert_eq!(origins(&digests), [Some(2), Some(1)]);
    // That was found of the state before.
    let before = digests.replacements();
    digests.replace(Some(NodeId(3)));
    digests.note(EntryId::new(24, 1), 1, 8);
    digests.begin_own_origin(NodeId(1), Index(16), before);
    assert_eq!(origins(&digests), [Some(3)]);
}

#[test]
fn a_state_that_was_replaced_is_not_compared_by_what_it_was() {
    let mut digests = Digests::new(8, None);
    digests.note(EntryId::new(8, 1), 1, 1);
    digests.note(EntryId::new(11, 1), 1, 1);
    assert_eq!(digests.all().len(), 2);
    digests.replace(None);
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
            let mut digests = Digests::new(distance, None);
            let mut next = digests.next_after(Index::ZERO);
            while next.0 <= reached {
                digests.note(EntryId::new(next.0, 1), 1, 1);
                next = digests.next_after(next);
            }
            digests.all()
        };
        let (own, peer) = (noted(reached), noted(reached.saturating_sub(lag)));
        prop_assert!(own.len() < 40);
        prop_assert!(peer.is_empty() || peer.iter().any(|it| own.contains(it)));
    }

    /// Of whatever states nodes hold, and whose work they are, those that find themselves at fault
    /// leave a majority.
    #[test]
    fn a_majority_never_finds_itself_at_fault(
        values in prop::collection::vec(0_u128..3, 1..8),
        origins in prop::collection::vec(prop::option::of(1_u64..9), 8),
        heard in prop::collection::vec(prop::collection::vec(any::<bool>(), 8), 8),
    ) {
        let count = values.len();
        let members = voters(count as u64);
        let held = |node: usize| StateDigest {
            origin: origins[node].map(NodeId),
            ..digest(8, values[node])
        };
        let at_fault = |node: usize| {
            let hears = (0..count).filter(|peer| *peer != node && heard[node][*peer]);
            let peers: Vec<_> = hears
                .map(|peer| (NodeId(peer as u64 + 1), vec![held(peer)]))
                .collect();
            let found = compare(&members, NodeId(node as u64 + 1), &[held(node)], &peers);
            matches!(found, Verdict::Diverged { .. })
        };
        let found = (0..count).filter(|node| at_fault(*node)).count();
        prop_assert!(found * 2 < count);
    }

    /// One node goes wrong, and its state is copied at any moments: nobody who is right is found at
    /// fault, whoever is heard, and whenever copies have become witnesses of their own.
    #[test]
    fn one_wrong_state_convicts_nobody_however_it_is_copied(
        count in 2_usize..7,
        steps in prop::collection::vec((0_usize..7, 0_usize..7, any::<bool>(), 0_u8..128), 1..40),
        wrong_at in 0_usize..20,
    ) {
        // Node 1 goes wrong at one step, and never comes right by itself; no step is an entry that
        // hides it. At each step all apply an entry; one may be sent another's state before.
        let members = voters(count as u64);
        let mut wrong = vec![false; count];
        let mut origins: Vec<u64> = (1..=count as u64).collect();
        for (step, (from, to, is_copied, heard)) in steps.into_iter().enumerate() {
            let (from, to) = (from % count, to % count);
            if step == wrong_at {
                wrong[0] = true;
            }
            if is_copied {
                (wrong[to], origins[to]) = (wrong[from], origins[from]);
            }
            let index = step as u64 + 1;
            let held = |node: usize| of(origins[node], digest(index, wrong[node].into()));
            let mut renewed = origins.clone();
            for node in 0..count {
                let hears = (0..count).filter(|peer| *peer != node && heard >> *peer & 1 == 1);
                let peers: Vec<_> = hears
                    .map(|peer| (NodeId(peer as u64 + 1), vec![held(peer)]))
                    .collect();
                let (id, own) = (NodeId(node as u64 + 1), [held(node)]);
                let found = compare(&members, id, &own, &peers);
                let is_at_fault = matches!(found, Verdict::Diverged { .. });
                let all_wrong = wrong.iter().all(|it| *it);
                prop_assert!(wrong[node] || all_wrong || !is_at_fault, "{:?}", found);
                if agreed(&members, id, &own, &peers).is_some() {
                    renewed[node] = id.0;
                }
            }
            origins = renewed;
        }
    }
}
