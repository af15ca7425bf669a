//! Membership Safety fires on nodes that could both be elected in one term, and on no others.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use raft_proto::{EntryId, Member, MemberRole, Membership, NodeId};
use raft_sim::checker::membership_safety::check;
use raft_sim::checker::{MemberView, Nodes, Property, Violation};

fn members(voters: &[u64]) -> Membership {
    Membership::new(voters.iter().copied().map(NodeId))
}

/// The joint configuration from `old` to `new`; both in order.
fn joint(old: &[u64], new: &[u64]) -> Membership {
    let leaving = old.iter().filter(|id| !new.contains(id));
    let leaving = leaving.map(|id| (*id, MemberRole::Outgoing));
    let others = new.iter().map(|id| {
        if old.contains(id) {
            (*id, MemberRole::Voter)
        } else {
            (*id, MemberRole::Incoming)
        }
    });
    let members = leaving.chain(others);
    Membership::of(members.map(|(id, role)| Member::voter(NodeId(id)).with_role(role)))
}

/// The verdict on nodes with these ids, last entries (index and term) and configurations.
fn verdict(nodes: &[(u64, (u64, u64), Option<&Membership>)]) -> Result<(), Violation> {
    let views = nodes.iter().map(|(node, last, membership)| MemberView {
        node: NodeId(*node),
        last_log: EntryId::new(last.0, last.1),
        stored: EntryId::new(last.0, last.1),
        membership: *membership,
        incarnation: None,
    });
    check(&views.collect::<Vec<_>>())
}

fn nodes(ids: &[u64]) -> Nodes {
    Nodes(ids.iter().copied().map(NodeId).collect())
}

/// Ongaro's note of 2015: n1, leader of term 1, adds n5 and reaches only n5; n2, leader of term 2,
/// removes n1 without an entry of its own term before.
#[test]
fn two_single_changes_without_an_own_commit_between_them_fire() {
    let (old, added, removed) = (
        members(&[1, 2, 3, 4]),
        members(&[1, 2, 3, 4, 5]),
        members(&[2, 3, 4]),
    );
    let broken = verdict(&[
        (1, (1, 1), Some(&added)),
        (2, (1, 2), Some(&removed)),
        (3, (1, 2), Some(&removed)),
        (4, (0, 0), Some(&old)),
        (5, (1, 1), Some(&added)),
    ]);
    let broken = broken.expect_err("n1 by n1 n4 n5, n2 by n2 n3");
    assert_eq!(
        broken,
        Violation::DisjointQuorums {
            first: NodeId(1),
            first_quorum: nodes(&[1, 4, 5]),
            second: NodeId(2),
            second_quorum: nodes(&[2, 3]),
        }
    );
    assert_eq!(broken.property(), Property::MembershipSafety);
    assert_eq!(
        broken.to_string(),
        "in one term, n1 could be elected by n1 n4 n5, and n2 by n2 n3"
    );
}

/// The same with the no-op of term 2 committed first: n4 or n3 then refuses n1.
#[test]
fn an_own_entry_committed_before_the_second_change_keeps_the_first_leader_out() {
    let (added, removed) = (members(&[1, 2, 3, 4, 5]), members(&[2, 3, 4]));
    let old = members(&[1, 2, 3, 4]);
    let state = |n3: (u64, u64), n4: (u64, u64)| {
        verdict(&[
            (1, (1, 1), Some(&added)),
            (2, (2, 2), Some(&removed)),
            (3, n3, Some(&old)),
            (4, n4, Some(&old)),
            (5, (1, 1), Some(&added)),
        ])
    };
    assert_eq!(state((1, 2), (1, 2)), Ok(()));
    assert!(
        state((1, 2), (0, 0)).is_err(),
        "on two of four it is not committed"
    );
}

#[test]
fn the_more_up_to_date_log_decides() {
    let (four, five, three) = (
        members(&[1, 2, 3, 4]),
        members(&[1, 2, 3, 4, 5]),
        members(&[2, 3, 4]),
    );
    let n4_ends_with = |last: (u64, u64)| {
        verdict(&[
            (1, (5, 3), Some(&five)),
            (2, (4, 4), Some(&three)),
            (3, (4, 4), Some(&three)),
            (4, last, Some(&four)),
            (5, (5, 3), Some(&five)),
        ])
    };
    assert!(n4_ends_with((5, 3)).is_err(), "as up to date as n1");
    assert!(
        n4_ends_with((9, 2)).is_err(),
        "longer, but of an earlier term"
    );
    assert_eq!(n4_ends_with((6, 3)), Ok(()));
    assert_eq!(n4_ends_with((1, 4)), Ok(()));
}

#[test]
fn a_node_that_is_down_votes_but_starts_no_election() {
    let (four, five, three) = (
        members(&[1, 2, 3, 4]),
        members(&[1, 2, 3, 4, 5]),
        members(&[2, 3, 4]),
    );
    let state = |n1, n4| {
        verdict(&[
            (1, (1, 1), n1),
            (2, (1, 2), Some(&three)),
            (3, (1, 2), Some(&three)),
            (4, (0, 0), n4),
            (5, (1, 1), None),
        ])
    };
    assert!(state(Some(&five), None).is_err());
    assert_eq!(state(None, Some(&four)), Ok(()));
}

#[test]
fn a_voter_that_is_lost_votes_for_nobody() {
    let (five, three) = (members(&[1, 2, 3, 4, 5]), members(&[2, 3, 4]));
    let without_n4 = verdict(&[
        (1, (1, 1), Some(&five)),
        (2, (1, 2), Some(&three)),
        (3, (1, 2), Some(&three)),
        (5, (1, 1), Some(&five)),
    ]);
    assert_eq!(without_n4, Ok(()));
}

/// Each candidate votes for itself: n1 and n2 need each other.
#[test]
fn a_candidate_does_not_vote_for_the_other() {
    let (two, four) = (members(&[1, 2]), members(&[1, 2, 3, 4]));
    let state = verdict(&[
        (1, (1, 1), Some(&two)),
        (2, (1, 1), Some(&four)),
        (3, (1, 1), Some(&four)),
        (4, (1, 1), Some(&four)),
    ]);
    assert_eq!(state, Ok(()));
}

#[test]
fn single_changes_one_after_the_other_are_silent() {
    let steps: [&[u64]; 5] = [
        &[1, 2, 3],
        &[1, 2, 3, 4],
        &[1, 2, 3, 4, 5],
        &[1, 2, 3, 4],
        &[2, 3, 4],
    ];
    for pair in steps.windows(2) {
        let (before, after) = (members(pair[0]), members(pair[1]));
        // Any nodes may have the change: it need not be committed.
        for has in 0_u64..32 {
            let views = (1..=5).map(|id| match has >> (id - 1) & 1 {
                1 => (id, (2, 1), Some(&after)),
                _ => (id, (1, 1), Some(&before)),
            });
            assert_eq!(verdict(&views.collect::<Vec<_>>()), Ok(()), "{has:b}");
        }
    }
}

#[test]
fn a_change_through_a_joint_configuration_is_silent() {
    let (old, new) = (members(&[1, 2, 3]), members(&[4, 5, 6]));
    let both = joint(&[1, 2, 3], &[4, 5, 6]);
    for has in 0_u64..64 {
        // It enters the joint configuration, on any nodes, and leaves it when that is committed, on
        // two of each half.
        let enters = (1..=6).map(|id| match has >> (id - 1) & 1 {
            1 => (id, (2, 1), Some(&both)),
            _ => (id, (1, 1), Some(&old)),
        });
        assert_eq!(verdict(&enters.collect::<Vec<_>>()), Ok(()), "{has:b}");
        let leaves = (1..=6).map(|id| match (has >> (id - 1) & 1, id) {
            (1, _) => (id, (3, 1), Some(&new)),
            (_, 3 | 6) => (id, (1, 1), Some(&old)),
            _ => (id, (2, 1), Some(&both)),
        });
        assert_eq!(verdict(&leaves.collect::<Vec<_>>()), Ok(()), "{has:b}");
    }
}

#[test]
fn several_voters_replaced_at_once_fire() {
    let (old, new) = (members(&[1, 2, 3]), members(&[3, 4, 5]));
    let broken = verdict(&[
        (1, (1, 1), Some(&old)),
        (2, (1, 1), Some(&old)),
        (3, (2, 1), Some(&new)),
        (4, (2, 1), Some(&new)),
        (5, (2, 1), Some(&new)),
    ]);
    assert!(matches!(broken, Err(Violation::DisjointQuorums { .. })));
}

/// Counted over all voters together, n1 n2 n4 n5 would be a majority of both halves. But if the
/// joint configuration is left before two of the old voters have it, these are free to elect
/// another.
#[test]
fn a_joint_configuration_left_by_a_majority_of_the_union_fires() {
    let old = members(&[1, 2, 3]);
    let both = joint(&[1, 2, 3], &[4, 5, 6, 7]);
    let new = members(&[4, 5, 6, 7]);
    let state = |n2_last, n2: &Membership| {
        let n2 = (2, n2_last, Some(n2));
        let n1 = (1, (1, 1), Some(&old));
        let n3 = (3, (2, 1), Some(&both));
        let rest = [4, 5, 6, 7].map(|id| (id, (3, 1), Some(&new)));
        let mut views = vec![n1, n2, n3];
        views.extend(rest);
        verdict(&views)
    };
    // Five of seven have the joint configuration, but only one of the three old voters.
    assert!(state((1, 1), &old).is_err());
    assert_eq!(state((2, 1), &both), Ok(()));
}

/// Voters that both candidates need have to be divided, and here only one division works.
#[test]
fn contested_voters_are_divided_in_every_way() {
    let first = joint(&[1, 2, 3], &[1, 4, 5]);
    let second = joint(&[5, 6, 7], &[6, 8, 9]);
    let views = |contested: Option<(u64, (u64, u64), Option<&'static Membership>)>| {
        let mut views = vec![(1, (1, 1), Some(&first)), (6, (1, 1), Some(&second))];
        views.extend([2, 4, 8].map(|id| (id, (1, 1), None)));
        views.extend(contested);
        verdict(&views)
    };
    // n1 has n2 for the old half and n4 for the new one, so that n5 is free for n6.
    assert!(views(Some((5, (1, 1), None))).is_err());
    assert_eq!(views(None), Ok(()));
}

#[test]
fn equal_configurations_are_silent_with_any_logs() {
    let three = members(&[1, 2, 3]);
    let state = verdict(&[
        (1, (9, 1), Some(&three)),
        (2, (3, 4), Some(&three)),
        (3, (0, 0), Some(&three)),
    ]);
    assert_eq!(state, Ok(()));
    assert_eq!(verdict(&[]), Ok(()));
}
