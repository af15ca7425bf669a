//! Leader Completeness, predicted: the checker fires when an entry is committed that an electable
//! node lacks, and at no other time. Majorities are counted as section 6 says.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use raft_proto::{EntryId, Member, MemberRole, Membership, NodeId};
use raft_sim::checker::electable::check;
use raft_sim::checker::quorum::has_quorum;
use raft_sim::checker::{MemberView, Nodes, Property, Violation};

const LEADER: NodeId = NodeId(1);

fn members(voters: &[u64]) -> Membership {
    Membership::new(voters.iter().copied().map(NodeId))
}

fn with_roles(roles: &[(u64, MemberRole)]) -> Membership {
    let roles = roles.iter();
    Membership::of(roles.map(|(id, role)| Member::voter(NodeId(*id)).with_role(*role)))
}

/// The joint configuration from `old` to `new`.
fn joint(old: &[u64], new: &[u64]) -> Membership {
    let both = old.iter().filter(|id| new.contains(id));
    let both = both.map(|id| (*id, MemberRole::Voter));
    let leaving = old.iter().filter(|id| !new.contains(id));
    let leaving = leaving.map(|id| (*id, MemberRole::Outgoing));
    let coming = new.iter().filter(|id| !old.contains(id));
    let coming = coming.map(|id| (*id, MemberRole::Incoming));
    with_roles(&both.chain(leaving).chain(coming).collect::<Vec<_>>())
}

/// A node: its id, the index and the term of its last entry, and its configuration.
type Node<'a> = (u64, (u64, u64), Option<&'a Membership>);

/// The verdict when n1 commits this entry, which only `holders` have.
fn commits(entry: (u64, u64), holders: &[u64], nodes: &[Node<'_>]) -> Result<(), Violation> {
    let views = nodes.iter().map(|(node, last, membership)| MemberView {
        node: NodeId(*node),
        last_log: EntryId::new(last.0, last.1),
        stored: EntryId::new(last.0, last.1),
        membership: *membership,
        incarnation: None,
    });
    let views: Vec<_> = views.collect();
    let entry = EntryId::new(entry.0, entry.1);
    check(entry, LEADER, &views, |node| holders.contains(&node.0))
}

/// The node that could be elected without entry 2@2, which n1 commits, and its voters.
fn electable(holders: &[u64], nodes: &[Node<'_>]) -> Option<(u64, Vec<u64>)> {
    match commits((2, 2), holders, nodes) {
        Ok(()) => None,
        Err(Violation::ElectableWithoutEntry { node, voters, .. }) => {
            Some((node.0, voters.0.into_iter().map(|id| id.0).collect()))
        }
        Err(other) => panic!("{other}"),
    }
}

/// Figure 8 (c): n1 leads in term 4. It has replicated entry 2 of term 2 to a majority, and its own
/// entry 3@4 to no other node. n5 has 2@3, of a later term than the last entries of n2, n3 and n4.
#[test]
fn an_entry_of_an_old_term_on_a_majority_fires_in_the_state_of_figure_8() {
    let five = members(&[1, 2, 3, 4, 5]);
    let all = Some(&five);
    let figure = [
        (1, (3, 4), all),
        (2, (2, 2), all),
        (3, (2, 2), all),
        (4, (1, 1), all),
        (5, (2, 3), all),
    ];
    let broken = commits((2, 2), &[1, 2, 3], &figure).expect_err("n5 by n2 n3 n4 n5");
    assert_eq!(
        broken,
        Violation::ElectableWithoutEntry {
            entry: EntryId::new(2, 2),
            leader: LEADER,
            node: NodeId(5),
            last_log: EntryId::new(2, 3),
            voters: Nodes([2, 3, 4, 5].map(NodeId).to_vec()),
        }
    );
    assert_eq!(broken.property(), Property::LeaderCompleteness);
    assert_eq!(
        broken.to_string(),
        "entry 2@2 was committed by n1, but n5 does not have it (its log ends at 2@3) and could \
         be elected by n2 n3 n4 n5"
    );
}

/// Figure 8 (e): once an entry of n1's own term is on a majority, it and all before it are safe.
#[test]
fn an_entry_of_the_leaders_own_term_on_a_majority_is_safe() {
    let five = members(&[1, 2, 3, 4, 5]);
    let all = Some(&five);
    let nodes = [
        (1, (3, 4), all),
        (2, (3, 4), all),
        (3, (3, 4), all),
        (4, (1, 1), all),
        (5, (2, 3), all),
    ];
    assert_eq!(commits((3, 4), &[1, 2, 3], &nodes), Ok(()));
    assert_eq!(electable(&[1, 2, 3], &nodes), None);
}

#[test]
fn a_majority_with_more_up_to_date_logs_keeps_others_from_being_elected() {
    let three = members(&[1, 2, 3]);
    let all = Some(&three);
    let (first, second) = ((1, (2, 2), all), (2, (2, 2), all));
    // A longer log of an earlier term does not help n3, nor does a shorter one of the same term.
    for last in [(9, 1), (1, 2), (0, 0)] {
        let nodes = [first, second, (3, last, all)];
        assert_eq!(electable(&[1, 2], &nodes), None, "{last:?}");
    }
    // An equal log does: n1 and n2 would vote for n3.
    let nodes = [first, second, (3, (2, 2), all)];
    assert_eq!(electable(&[1, 2], &nodes), Some((3, vec![1, 2, 3])));
    // A node that has the entry may be elected at any time.
    assert_eq!(electable(&[1, 2, 3], &nodes), None);
    // An entry on one node of three is not on a majority.
    let nodes = [first, (2, (1, 1), all), (3, (1, 1), all)];
    assert_eq!(electable(&[1], &nodes), Some((2, vec![2, 3])));
}

#[test]
fn in_a_joint_configuration_a_node_needs_votes_of_both_halves() {
    let joint = joint(&[1, 2, 3], &[1, 4, 5]);
    let all = Some(&joint);
    let nodes = |old, fourth, fifth| {
        [
            (1, (2, 2), all),
            (2, old, all),
            (3, old, all),
            (4, fourth, all),
            (5, fifth, all),
        ]
    };
    let (with, without) = ((2, 2), (1, 1));
    // n2 and n3 are a majority of the old half. Of n1, n4 and n5 they need two votes.
    for (fourth, fifth, elected) in [
        (with, with, None),
        (without, with, None),
        (without, without, Some((2, vec![2, 3, 4, 5]))),
    ] {
        let nodes = nodes(without, fourth, fifth);
        assert_eq!(electable(&[1, 4, 5], &nodes), elected);
    }
    // The other way round: n4 and n5 are a majority of the new half only.
    let nodes = nodes(with, without, without);
    assert_eq!(electable(&[1, 2, 3], &nodes), None);
}

#[test]
fn learners_and_nodes_that_are_down_start_no_election() {
    let three = members(&[1, 2, 3]);
    let learning = with_roles(&[
        (1, MemberRole::Voter),
        (2, MemberRole::Voter),
        (3, MemberRole::Voter),
        (4, MemberRole::Learner),
    ]);
    let nodes = |of| {
        [
            (1, (2, 2), of),
            (2, (2, 2), of),
            (3, (2, 2), of),
            (4, (9, 9), of),
        ]
    };
    assert_eq!(electable(&[1, 2, 3], &nodes(Some(&learning))), None);
    // Neither does a node that knows that it is no member,
    assert_eq!(electable(&[1, 2, 3], &nodes(Some(&three))), None);
    // nor a node that is down, until it is back.
    let with_third = |of| {
        let all = Some(&three);
        [(1, (2, 2), all), (2, (2, 2), all), (3, (9, 9), of)]
    };
    assert_eq!(electable(&[1, 2], &with_third(None)), None);
    let back = electable(&[1, 2], &with_third(Some(&three)));
    assert_eq!(back, Some((3, vec![1, 2, 3])));
}

#[test]
fn nodes_that_are_down_vote_by_the_logs_of_their_disks_and_lost_ones_do_not() {
    let three = members(&[1, 2, 3]);
    let all = Some(&three);
    let with_third = |last| [(1, (2, 2), all), (2, (1, 1), all), (3, last, None)];
    let on_disk = electable(&[1, 3], &with_third((1, 1)));
    assert_eq!(on_disk, Some((2, vec![2, 3])));
    assert_eq!(electable(&[1, 3], &with_third((2, 2))), None);
    // n3 is lost.
    let [first, second, _] = with_third((1, 1));
    assert_eq!(electable(&[1, 3], &[first, second]), None);
}

/// Whether these nodes are a majority.
fn are_majority(membership: &Membership, ids: &[u64]) -> bool {
    has_quorum(membership, |id| ids.contains(&id.0))
}

#[test]
fn a_majority_is_more_than_half_of_the_voters() {
    for (count, least) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
        let voters: Vec<u64> = (1..=count).collect();
        let membership = members(&voters);
        for counted in 0..=voters.len() {
            let is_majority = are_majority(&membership, &voters[..counted]);
            assert_eq!(is_majority, counted >= least, "{counted} of {count}");
        }
        assert!(!are_majority(&membership, &[8, 9, 10, 11]), "strangers");
    }
}

#[test]
fn learners_count_for_no_majority() {
    let roles = [
        (1, MemberRole::Voter),
        (2, MemberRole::Learner),
        (3, MemberRole::Learner),
    ];
    let membership = with_roles(&roles);
    assert!(are_majority(&membership, &[1]));
    assert!(!are_majority(&membership, &[2, 3]));
}

#[test]
fn a_joint_majority_is_one_of_each_half() {
    let membership = joint(&[1, 2, 3], &[3, 4, 5, 6]);
    for (ids, is_majority) in [
        (&[1, 2][..], false),
        (&[4, 5, 6], false),
        (&[1, 2, 4, 5], false),
        (&[1, 2, 4, 5, 6], true),
        (&[1, 3, 4, 5], true),
        (&[3, 4, 5], false),
    ] {
        assert_eq!(are_majority(&membership, ids), is_majority, "{ids:?}");
    }
    // A voter that becomes a learner votes in the old half only.
    let demoted = [
        (1, MemberRole::Voter),
        (2, MemberRole::Demoted),
        (3, MemberRole::Demoted),
    ];
    let demoted = with_roles(&demoted);
    assert!(!are_majority(&demoted, &[1]));
    assert!(!are_majority(&demoted, &[2, 3]));
    assert!(are_majority(&demoted, &[1, 2]));
}

#[test]
fn half_a_configuration_without_voters_has_no_majority() {
    let leaving = [(1, MemberRole::Outgoing), (2, MemberRole::Learner)];
    assert!(!are_majority(&with_roles(&leaving), &[1, 2]));
    let coming = [(1, MemberRole::Incoming), (2, MemberRole::Learner)];
    assert!(!are_majority(&with_roles(&coming), &[1, 2]));
    assert!(!are_majority(
        &with_roles(&[(1, MemberRole::Learner)]),
        &[1]
    ));
    assert!(!are_majority(&Membership::default(), &[1]));
}
