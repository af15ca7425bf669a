//! A cluster that was founded without incarnations: a storage that was used gets none later, and
//! the cluster gets them by replacing its storages one by one (`incarnation.rs`).
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

const SECOND: Duration = Duration::from_secs(1);

fn anew(id: u64) -> Incarnation {
    Incarnation(0x20 + id)
}

/// Three nodes without incarnations, of which one leads.
fn founded() -> Cluster {
    let mut cluster = Cluster::with(3, |config| {
        config.pre_vote = PreVoting::On;
        config.check_quorum = CheckQuorum::On;
        config.leader_noop = LeaderNoop::On;
    });
    run(&mut cluster, 5 * SECOND, &[]);
    cluster
}

/// Lets time pass. Messages of and to the nodes that are down are lost.
fn run(cluster: &mut Cluster, duration: Duration, down: &[u64]) {
    let end = cluster.now.after(duration);
    while cluster.now < end {
        cluster.now = cluster.now.after(Duration::from_millis(20));
        let now = cluster.now;
        let ids: Vec<u64> = cluster.nodes.keys().map(|id| id.0).collect();
        for id in ids.into_iter().filter(|id| !down.contains(id)) {
            if cluster.node(id).wake_at <= now {
                cluster.tick(id);
            }
        }
        cluster.deliver_if(|it| ![it.from, it.to].iter().any(|id| down.contains(&id.0)));
    }
}

fn leader(cluster: &Cluster) -> u64 {
    let mut nodes = cluster.nodes.iter();
    let leads = nodes.find(|(_, node)| node.raft.role() == RoleKind::Leader);
    leads.unwrap().0.0
}

fn change(cluster: &mut Cluster, change: NodeChange) -> Result<EntryId, ChangeError> {
    let leader = leader(cluster);
    let (id, change) = (RequestId(9), MembershipChange::from(change));
    let actions = cluster.input(leader, Input::ChangeMembership { id, change });
    let outcome = actions.into_iter().find_map(|action| match action {
        Action::ChangeProposed { outcome, .. } => Some(outcome),
        _ => None,
    });
    run(cluster, 3 * SECOND, &[]);
    outcome.unwrap()
}

/// The node starts with an empty storage that has an incarnation.
fn empty(cluster: &mut Cluster, id: u64, incarnation: Incarnation) {
    cluster.queue.retain(|it| it.to != NodeId(id));
    let node = cluster.node(id);
    node.config.start = Start::Join;
    node.config.incarnation = Some(incarnation);
    node.config.seed += 100;
    node.stored = Recovered::default();
    node.raft = Raft::new(node.config.clone(), Recovered::default()).unwrap();
    node.snapshots.clear();
    node.applied.clear();
    node.wake_at = Time::NEVER;
    cluster.tick(id);
}

#[test]
fn a_storage_that_was_used_without_an_incarnation_is_refused_with_one() {
    let mut cluster = founded();
    let node = cluster.node(1);
    let mut config = node.config.clone();
    assert!(Raft::new(config.clone(), node.stored.clone()).is_ok());
    config.incarnation = Some(anew(1));
    let refused = Raft::new(config, node.stored.clone());
    assert_eq!(refused, Err(StartError::StorageWithoutIncarnation));
    let says = refused.unwrap_err().to_string();
    assert!(says.contains("replace the storages one by one"), "{says}");
}

#[test]
fn a_storage_keeps_its_incarnation_when_the_config_names_none_or_another() {
    let mut cluster = Cluster::with(1, |config| config.incarnation = Some(Incarnation(1)));
    cluster.elect(1);
    let node = cluster.node(1);
    for given in [None, Some(Incarnation(2))] {
        let mut config = node.config.clone();
        config.incarnation = given;
        let raft = Raft::new(config, node.stored.clone()).unwrap();
        assert_eq!(raft.incarnation(), Some(Incarnation(1)), "{given:?}");
    }
}

#[test]
fn a_cluster_gets_incarnations_by_replacing_its_storages_one_by_one() {
    let mut cluster = founded();
    let first = leader(&cluster);
    cluster.propose(first, "x").unwrap();
    run(&mut cluster, SECOND, &[]);
    // The leader's is the last one; another node leads then.
    let mut order: Vec<u64> = (1..=3).filter(|id| *id != first).collect();
    order.push(first);
    for id in order {
        if leader(&cluster) == id {
            let target = Some(NodeId(1 + id % 3));
            let request = RequestId(1);
            cluster.input(
                id,
                Input::TransferLeadership {
                    id: request,
                    target,
                },
            );
            run(&mut cluster, 2 * SECOND, &[]);
        }
        assert_ne!(leader(&cluster), id);
        empty(&mut cluster, id, anew(id));
        let learner = Member::learner(NodeId(id)).with_incarnation(anew(id));
        change(&mut cluster, NodeChange::Set(learner)).unwrap();
        change(&mut cluster, NodeChange::Promote(NodeId(id))).unwrap();
    }
    for id in 1..=3 {
        let raft = cluster.raft(id);
        for member in raft.membership().members() {
            assert_eq!(member.incarnation, Some(anew(member.id.0)), "n{id}");
            assert_eq!(member.role, MemberRole::Voter);
        }
        assert_eq!(raft.membership().history(), None);
        assert_eq!(cluster.applied(id), ["x"]);
    }
    // From now on an empty disk under a member's number does not count.
    let led = leader(&cluster);
    let lost = 1 + led % 3;
    empty(&mut cluster, lost, Incarnation(0x30 + lost));
    run(&mut cluster, 2 * SECOND, &[]);
    let found = cluster.raft(led).foreign_incarnations();
    assert!(found.iter().any(|it| it.node == NodeId(lost)), "{found:?}");
}
