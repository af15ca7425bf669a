//! A member's priority and context, its address for example, change while it stays what it is.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs
)]

mod support;

use raft_proto::*;
use support::*;

fn change(cluster: &mut Cluster, change: NodeChange) -> Result<EntryId, ChangeError> {
    let id = RequestId(9);
    let change = MembershipChange::from(change);
    let actions = cluster.input(1, Input::ChangeMembership { id, change });
    let outcome = actions.into_iter().find_map(|action| match action {
        Action::ChangeProposed { outcome, .. } => Some(outcome),
        _ => None,
    });
    outcome.unwrap()
}

fn moved(node: u64, address: &'static str) -> NodeChange {
    NodeChange::Update {
        node: NodeId(node),
        priority: None,
        context: Some(address.into()),
    }
}

fn member(cluster: &Cluster, node: u64, of: u64) -> Member {
    cluster
        .raft(node)
        .membership()
        .get(NodeId(of))
        .unwrap()
        .clone()
}

#[test]
fn a_voter_moves_to_another_address_and_keeps_its_vote_all_the_time() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    // n3 need not even be there.
    change(&mut cluster, moved(3, "10.0.0.3:7")).unwrap();
    assert!(!cluster.raft(1).membership().is_joint());
    assert!(cluster.raft(1).membership().is_voter(NodeId(3)));
    cluster.deliver_if(|packet| packet.to != NodeId(3));
    cluster.send_heartbeats(1);
    cluster.deliver();
    for node in 1..=3 {
        let expected = Member::voter(NodeId(3)).with_context("10.0.0.3:7");
        assert_eq!(member(&cluster, node, 3), expected);
    }
    assert_eq!(
        change(&mut cluster, moved(3, "10.0.0.3:7")),
        Err(ChangeError::NothingChanges)
    );
}

// What the leader knows of the member holds: it is the same server.
#[test]
fn the_leader_goes_on_where_it_was_with_the_member() {
    let mut cluster = leader(3, |_| {}, &["a", "b"]);
    cluster.send_heartbeats(1);
    cluster.deliver();
    let before = cluster.peer(1, 2);
    change(&mut cluster, moved(2, "there")).unwrap();
    let after = cluster.peer(1, 2);
    assert_eq!(after.match_index, before.match_index);
    assert_eq!(after.heard_at, before.heard_at);
    assert!(matches!(after.state, PeerState::Replicate { .. }));
}

// The bug: `Set` gives a member the role that the caller remembers, and so makes a voter of one
// that was made a learner meanwhile.
#[test]
fn an_update_does_not_undo_what_somebody_else_has_changed() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    change(&mut cluster, NodeChange::Demote(NodeId(3))).unwrap();
    cluster.deliver();
    change(&mut cluster, moved(3, "there")).unwrap();
    cluster.deliver();
    assert_eq!(member(&cluster, 1, 3).role, MemberRole::Learner);
    let node = NodeId(3);
    let raised = NodeChange::Update {
        node,
        priority: Some(7),
        context: None,
    };
    change(&mut cluster, raised).unwrap();
    let expected = Member::learner(node).with_context("there").with_priority(7);
    assert_eq!(member(&cluster, 1, 3), expected);
    cluster.deliver();
    change(&mut cluster, moved(3, "elsewhere")).unwrap();
    assert_eq!(member(&cluster, 1, 3), expected.with_context("elsewhere"));
}

#[test]
fn only_a_member_can_be_updated_and_only_once_in_a_change() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    let unknown = Err(ChangeError::UnknownNode(NodeId(9)));
    assert_eq!(change(&mut cluster, moved(9, "there")), unknown);
    let change = MembershipChange {
        nodes: vec![moved(2, "there"), NodeChange::Demote(NodeId(2))],
        readiness: Readiness::Checked,
        expected: None,
    };
    let id = RequestId(1);
    let actions = cluster.input(1, Input::ChangeMembership { id, change });
    let outcome = Err(ChangeError::NamedTwice(NodeId(2)));
    assert!(actions.contains(&Action::ChangeProposed { id, outcome }));
}

// Priority is part of the membership, so that it changes while nodes run: leadership follows.
#[test]
fn leadership_goes_to_a_member_whose_priority_was_raised() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    let raised = NodeChange::Update {
        node: NodeId(2),
        priority: Some(1),
        context: None,
    };
    change(&mut cluster, raised).unwrap();
    for _ in 0..5 {
        cluster.send_heartbeats(1);
        cluster.deliver();
    }
    assert_eq!(cluster.raft(2).role(), RoleKind::Leader);
}

// A leader may update itself; `Set` of a present voter works too, and names everything.
#[test]
fn a_leader_moves_too_and_set_of_a_present_voter_names_all_of_it() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    change(&mut cluster, moved(1, "here")).unwrap();
    cluster.deliver();
    assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
    let wanted = Member::voter(NodeId(2))
        .with_context("there")
        .with_priority(0);
    change(&mut cluster, NodeChange::Set(wanted.clone())).unwrap();
    assert_eq!(member(&cluster, 1, 2), wanted);
}
