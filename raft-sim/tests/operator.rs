//! The operator asks for the change that gives nodes their roles, if a majority would survive.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use raft_proto::{Member, MemberRole, Membership, NodeChange, NodeId, Readiness};
use raft_sim::operator::Inventory;
use raft_sim::schedule::Place;
use raft_sim::schedule::nemesis::TargetRole;
use std::collections::BTreeSet;

/// The nodes in places 0 to 4.
const IDS: [NodeId; 5] = [NodeId(1), NodeId(2), NodeId(3), NodeId(4), NodeId(5)];

/// The members: n1 to n3 are voters, n4 is a learner, n5 is no member.
fn current() -> Membership {
    let voters = [1, 2, 3].map(|id| Member::voter(NodeId(id)));
    Membership::of(voters.into_iter().chain([Member::learner(NodeId(4))]))
}

/// The change that is asked for while `ids` are the nodes in the places, and `lost` are lost.
fn change_among(
    ids: &[NodeId],
    lost: &[u64],
    roles: &[(usize, TargetRole)],
    readiness: Readiness,
) -> Option<Vec<NodeChange>> {
    let lost: BTreeSet<NodeId> = lost.iter().copied().map(NodeId).collect();
    let roles = roles.iter().map(|(place, role)| (Place(*place), *role));
    let roles: Vec<_> = roles.collect();
    let inventory = Inventory {
        ids,
        disks: &[],
        lost: &lost,
        impaired: &[],
    };
    let change = inventory.change(&current(), &roles, readiness)?;
    assert_eq!(change.readiness, readiness);
    Some(change.nodes)
}

fn change(roles: &[(usize, TargetRole)], readiness: Readiness) -> Option<Vec<NodeChange>> {
    change_among(&IDS, &[], roles, readiness)
}

/// A new member with this role, with its address.
fn added(id: u64, role: MemberRole) -> NodeChange {
    let member = Member::voter(NodeId(id)).with_role(role);
    NodeChange::Set(member.with_context(format!("at n{id}")))
}

#[test]
fn a_new_voter_learns_first_unless_it_is_forced() {
    let role = [(4, TargetRole::Voter)];
    let learner = vec![added(5, MemberRole::Learner)];
    assert_eq!(change(&role, Readiness::Checked), Some(learner.clone()));
    let voter = vec![added(5, MemberRole::Voter)];
    assert_eq!(change(&role, Readiness::Forced), Some(voter));
    // A node that is to be a learner becomes one in either case.
    for readiness in [Readiness::Checked, Readiness::Forced] {
        let asked = change(&[(4, TargetRole::Learner)], readiness);
        assert_eq!(asked, Some(learner.clone()), "{readiness:?}");
    }
}

#[test]
fn members_are_promoted_demoted_and_removed() {
    let [_, n2, n3, n4, _] = IDS;
    for (role, asked) in [
        ((3, TargetRole::Voter), NodeChange::Promote(n4)),
        ((3, TargetRole::NonMember), NodeChange::Remove(n4)),
        ((2, TargetRole::Learner), NodeChange::Demote(n3)),
        ((2, TargetRole::NonMember), NodeChange::Remove(n3)),
    ] {
        assert_eq!(change(&[role], Readiness::Checked), Some(vec![asked]));
    }
    let roles = [
        (1, TargetRole::NonMember),
        (3, TargetRole::Voter),
        (4, TargetRole::Learner),
    ];
    let asked = vec![
        NodeChange::Remove(n2),
        NodeChange::Promote(n4),
        added(5, MemberRole::Learner),
    ];
    assert_eq!(change(&roles, Readiness::Checked), Some(asked));
}

#[test]
fn no_change_is_asked_for_if_all_have_their_roles_or_no_node_stands_there() {
    for readiness in [Readiness::Checked, Readiness::Forced] {
        let roles = [
            (0, TargetRole::Voter),
            (3, TargetRole::Learner),
            (4, TargetRole::NonMember),
            (9, TargetRole::Voter),
        ];
        assert_eq!(change(&roles, readiness), None);
        assert_eq!(change(&[], readiness), None);
    }
    // Roles that nodes have already are left out.
    let roles = [
        (0, TargetRole::Voter),
        (2, TargetRole::Learner),
        (4, TargetRole::NonMember),
    ];
    let asked = vec![NodeChange::Demote(NodeId(3))];
    assert_eq!(change(&roles, Readiness::Checked), Some(asked));
}

/// n3's disk is lost: n6 stands in its place, and the members know only n3.
#[test]
fn nodes_whose_disks_are_gone_are_removed_and_replaced() {
    let mut ids = IDS;
    ids[2] = NodeId(6);
    let asked = |roles: &[(usize, TargetRole)]| change_among(&ids, &[3], roles, Readiness::Checked);
    let removed = NodeChange::Remove(NodeId(3));
    assert_eq!(asked(&[]), Some(vec![removed.clone()]));
    let replaced = vec![removed, added(6, MemberRole::Learner)];
    assert_eq!(asked(&[(2, TargetRole::Voter)]), Some(replaced));
    // n1 is the majority of those that are left when n2 and n3 are removed.
    ids[1] = NodeId(7);
    let both = [2, 3].map(|id| NodeChange::Remove(NodeId(id))).to_vec();
    let asked = change_among(&ids, &[2, 3], &[], Readiness::Checked);
    assert_eq!(asked, Some(both));
    // A lost node that is no member needs no change.
    assert_eq!(change_among(&ids, &[7], &[], Readiness::Checked), None);
}

#[test]
fn no_change_leaves_a_configuration_without_a_majority_that_survives() {
    let none = [
        (0, TargetRole::NonMember),
        (1, TargetRole::NonMember),
        (2, TargetRole::Learner),
    ];
    assert_eq!(change(&none, Readiness::Checked), None, "no voters");
    // n2 is lost and still stands in its place: it is removed only when another node does.
    let with_lost = |lost: &[u64], roles: &[(usize, TargetRole)]| {
        change_among(&IDS, lost, roles, Readiness::Checked).is_some()
    };
    assert!(
        with_lost(&[2], &[(4, TargetRole::Learner)]),
        "n1 n3 of three"
    );
    assert!(
        !with_lost(&[2], &[(2, TargetRole::NonMember)]),
        "n1 of n1 n2"
    );
    assert!(
        !with_lost(&[2, 3], &[(3, TargetRole::Voter)]),
        "n1 n4 of four"
    );
    assert!(
        !with_lost(&[2, 3], &[(4, TargetRole::Learner)]),
        "n1 of three"
    );
    assert!(
        with_lost(
            &[2, 3],
            &[(2, TargetRole::NonMember), (3, TargetRole::Voter)]
        ),
        "n1 n4 of three"
    );
    // A new learner is no voter; a node that is forced to vote is one.
    let two = [(4, TargetRole::Voter), (2, TargetRole::NonMember)];
    assert_eq!(change_among(&IDS, &[2], &two, Readiness::Checked), None);
    assert!(change_among(&IDS, &[2], &two, Readiness::Forced).is_some());
}
