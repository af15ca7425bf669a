//! Staging members: learners that the leader makes voters by itself (`promotion.rs`).
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

fn change_all(
    cluster: &mut Cluster,
    leader: u64,
    nodes: Vec<NodeChange>,
) -> Result<EntryId, ChangeError> {
    let change = MembershipChange {
        nodes,
        readiness: Readiness::Checked,
        expected: None,
    };
    let id = RequestId(9);
    let actions = cluster.input(leader, Input::ChangeMembership { id, change });
    let outcome = actions.into_iter().find_map(|action| match action {
        Action::ChangeProposed { outcome, .. } => Some(outcome),
        _ => None,
    });
    outcome.unwrap()
}

fn stage(cluster: &mut Cluster, leader: u64, id: u64) -> Result<EntryId, ChangeError> {
    let member = Member::staging(NodeId(id)).with_context("at 4");
    change_all(cluster, leader, vec![NodeChange::Set(member)])
}

fn role(cluster: &Cluster, node: u64, of: u64) -> Option<MemberRole> {
    let membership = cluster.raft(node).membership();
    membership.get(NodeId(of)).map(|member| member.role)
}

/// n1 leads three nodes with `commands` in their logs, and n4 starts.
fn with_joiner(commands: &[&str], change: impl Fn(&mut Config)) -> Cluster {
    let mut cluster = leader(3, &change, commands);
    let mut joiner = config(4, 1);
    joiner.start = Start::Join;
    change(&mut joiner);
    cluster.add(joiner);
    cluster
}

/// Heartbeats go back and forth, but messages of and to `down` are lost.
fn beat(cluster: &mut Cluster, leader: u64, times: u32, down: &[u64]) {
    for _ in 0..times {
        cluster.send_heartbeats(leader);
        cluster.deliver_if(|it| ![it.from, it.to].iter().any(|id| down.contains(&id.0)));
    }
}

#[test]
fn a_staging_member_becomes_a_voter_as_soon_as_it_has_caught_up() {
    let mut cluster = with_joiner(&["a", "b"], |_| {});
    stage(&mut cluster, 1, 4).unwrap();
    assert_eq!(role(&cluster, 1, 4), Some(MemberRole::Staging));
    assert!(!cluster.raft(1).membership().is_voter(NodeId(4)));
    beat(&mut cluster, 1, 3, &[]);
    for node in 1..=4 {
        assert_eq!(role(&cluster, node, 4), Some(MemberRole::Voter), "{node}");
    }
    // The rest of it is as it was.
    let membership = cluster.raft(4).membership();
    assert_eq!(membership.get(NodeId(4)).unwrap().context, "at 4");
    assert_eq!(cluster.raft(1).commit_index(), Index(4));
}

// Thesis 4.2.1: commits would wait for it.
#[test]
fn it_stays_without_a_vote_as_long_as_it_lacks_entries_or_is_silent() {
    let mut cluster = with_joiner(&["a", "b"], |config| config.max_promotion_lag = 0);
    stage(&mut cluster, 1, 4).unwrap();
    beat(&mut cluster, 1, 20, &[4]);
    assert_eq!(role(&cluster, 1, 4), Some(MemberRole::Staging));
    cluster.send_heartbeats(1);
    // Heartbeats arrive, entries do not.
    let is_heartbeat = |message: &Message| match message {
        Message::AppendEntries(append) => append.entries.is_empty(),
        _ => true,
    };
    cluster.deliver_if(|packet| packet.to != NodeId(4) || is_heartbeat(&packet.message));
    assert_eq!(role(&cluster, 1, 4), Some(MemberRole::Staging));
    beat(&mut cluster, 1, 6, &[]);
    assert_eq!(role(&cluster, 1, 4), Some(MemberRole::Voter));
}

// The bug: the leader alone knows of the wish, and it dies.
#[test]
fn the_wish_survives_a_change_of_the_leader_and_restarts() {
    let mut cluster = with_joiner(&["a"], |_| {});
    stage(&mut cluster, 1, 4).unwrap();
    beat(&mut cluster, 1, 3, &[4]);
    for node in 1..=4 {
        cluster.restart(node);
    }
    cluster.campaign(2);
    cluster.deliver_if(|packet| packet.to != NodeId(4) && packet.to != NodeId(1));
    assert_eq!(cluster.raft(2).role(), RoleKind::Leader);
    cluster.propose(2, "b").unwrap();
    beat(&mut cluster, 2, 6, &[1]);
    assert_eq!(role(&cluster, 2, 4), Some(MemberRole::Voter));
}

#[test]
fn a_snapshot_carries_the_wish() {
    let mut cluster = with_joiner(&["a", "b", "c"], |config| config.trailing_entries = 0);
    stage(&mut cluster, 1, 4).unwrap();
    beat(&mut cluster, 1, 1, &[4]);
    let snapshot = cluster.compact(1, 4, b"abc");
    assert_eq!(snapshot.last.index, Index(4));
    let meta = cluster.raft(1).snapshot().unwrap();
    let member = meta.membership.get(NodeId(4)).unwrap();
    assert_eq!(member.role, MemberRole::Staging);
    beat(&mut cluster, 1, 8, &[]);
    assert_eq!(role(&cluster, 4, 4), Some(MemberRole::Voter));
    assert_eq!(cluster.restored(4), [Index(4)]);
}

// Thesis 4.1: one voter more at a time.
#[test]
fn several_become_voters_one_after_the_other() {
    let mut cluster = with_joiner(&["a"], |_| {});
    let mut joiner = config(5, 1);
    joiner.start = Start::Join;
    cluster.add(joiner);
    let nodes = [4, 5].map(|id| NodeChange::Set(Member::staging(NodeId(id))));
    change_all(&mut cluster, 1, nodes.to_vec()).unwrap();
    assert!(!cluster.raft(1).membership().is_joint());
    let mut voters = vec![3];
    for _ in 0..8 {
        beat(&mut cluster, 1, 1, &[]);
        let count = cluster.raft(1).membership().voters().count();
        assert!(!cluster.raft(1).membership().is_joint());
        if voters.last() != Some(&count) {
            voters.push(count);
        }
    }
    assert_eq!(voters, [3, 4, 5]);
}

#[test]
fn the_wish_is_taken_back_by_making_it_a_learner() {
    let mut cluster = with_joiner(&["a"], |_| {});
    stage(&mut cluster, 1, 4).unwrap();
    cluster.deliver_if(|packet| packet.to != NodeId(4));
    change_all(&mut cluster, 1, vec![NodeChange::Demote(NodeId(4))]).unwrap();
    beat(&mut cluster, 1, 6, &[]);
    assert_eq!(role(&cluster, 4, 4), Some(MemberRole::Learner));
}

// A leader that hands over takes in nothing.
#[test]
fn no_promotion_while_leadership_is_transferred() {
    let mut cluster = with_joiner(&["a"], |_| {});
    stage(&mut cluster, 1, 4).unwrap();
    cluster.deliver();
    let (id, target) = (RequestId(1), Some(NodeId(2)));
    cluster.input(1, Input::TransferLeadership { id, target });
    cluster.take_packets();
    cluster.send_heartbeats(1);
    assert_eq!(role(&cluster, 1, 4), Some(MemberRole::Staging));
}

#[test]
fn a_voter_becomes_a_staging_member_only_by_a_change_of_its_own() {
    let mut cluster = with_joiner(&["a"], |_| {});
    let staging = NodeChange::Set(Member::staging(NodeId(3)));
    let both = vec![staging.clone(), NodeChange::Remove(NodeId(2))];
    let refused = Err(ChangeError::StagingVoter(NodeId(3)));
    assert_eq!(change_all(&mut cluster, 1, both), refused);
    change_all(&mut cluster, 1, vec![staging]).unwrap();
    assert_eq!(role(&cluster, 1, 3), Some(MemberRole::Staging));
    beat(&mut cluster, 1, 4, &[]);
    assert_eq!(role(&cluster, 1, 3), Some(MemberRole::Voter));
}

// The wish of others is kept by a joint change.
#[test]
fn a_joint_change_keeps_the_wish_of_a_member_without_a_vote() {
    let mut cluster = with_joiner(&["a"], |_| {});
    stage(&mut cluster, 1, 4).unwrap();
    cluster.deliver_if(|packet| packet.to != NodeId(4));
    let two = vec![NodeChange::Demote(NodeId(3)), NodeChange::Remove(NodeId(2))];
    change_all(&mut cluster, 1, two).unwrap();
    assert!(cluster.raft(1).membership().is_joint());
    assert_eq!(role(&cluster, 1, 4), Some(MemberRole::Staging));
    beat(&mut cluster, 1, 3, &[4]);
    assert!(!cluster.raft(1).membership().is_joint());
    assert_eq!(role(&cluster, 1, 3), Some(MemberRole::Learner));
    assert_eq!(role(&cluster, 1, 4), Some(MemberRole::Staging));
}

// A member whose storage nobody has heard could not be named.
#[test]
fn where_storages_are_named_it_waits_until_its_storage_is_heard() {
    let named = |config: &mut Config| config.incarnation = Some(Incarnation(config.node_id.0));
    let mut cluster = Cluster::with(3, named);
    cluster.campaign(1);
    cluster.deliver();
    assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
    let mut joiner = config(4, 1);
    joiner.start = Start::Join;
    named(&mut joiner);
    cluster.add(joiner);
    cluster.propose(1, "a").unwrap();
    cluster.deliver();
    stage(&mut cluster, 1, 4).unwrap();
    beat(&mut cluster, 1, 5, &[4]);
    assert_eq!(role(&cluster, 1, 4), Some(MemberRole::Staging));
    beat(&mut cluster, 1, 8, &[]);
    assert_eq!(role(&cluster, 1, 4), Some(MemberRole::Voter));
    let member = cluster.raft(1).membership().get(NodeId(4)).unwrap().clone();
    assert_eq!(member.incarnation, Some(Incarnation(4)));
}

// The layout of other configurations is as it was: a new role costs no byte.
#[test]
fn the_role_is_written_and_read_back() {
    let membership = Membership::of([Member::voter(NodeId(1)), Member::staging(NodeId(2))]);
    let bytes = membership.encode();
    assert_eq!(&bytes[..], [2, 1, 0, 0, 0, 2, 5, 0, 0]);
    assert_eq!(Membership::decode(&bytes), Some(membership.clone()));
    assert_eq!(membership.to_string(), "{n1,n2 staging}");
    let learners: Vec<NodeId> = membership.learners().collect();
    assert_eq!(learners, [NodeId(2)]);
}

#[test]
fn leadership_is_not_transferred_to_a_staging_member() {
    let mut cluster = with_joiner(&["a"], |_| {});
    stage(&mut cluster, 1, 4).unwrap();
    let (id, target) = (RequestId(1), Some(NodeId(4)));
    let actions = cluster.input(1, Input::TransferLeadership { id, target });
    let outcome = Err(TransferError::NotVoter(NodeId(4)));
    assert!(actions.contains(&Action::Transferred { id, outcome }));
    cluster.wait(Duration::from_millis(1));
}
