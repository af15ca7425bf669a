//! A member is removed, an old copy of its disk is put back, and it is added again in the same
//! term. What it acknowledged before is not on that disk (`Peer::precedes_peer`), and a network may
//! deliver it late. No configuration relies on a removed member's disk, so an operator may do all
//! this.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs
)]

mod support;

use raft_proto::*;
use support::*;

const LEADER: u64 = 1;
/// The node that is removed and comes back.
const NODE: u64 = 3;

fn change(cluster: &mut Cluster, change: NodeChange) {
    let id = RequestId(9);
    let change = MembershipChange::from(change);
    let actions = cluster.input(LEADER, Input::ChangeMembership { id, change });
    let proposed = actions.iter().find_map(|action| match action {
        Action::ChangeProposed { outcome, .. } => Some(*outcome),
        _ => None,
    });
    proposed.unwrap().unwrap();
}

/// Delivers what is sent between the other nodes; what is sent to or by n3 is lost.
fn deliver_without_node(cluster: &mut Cluster) {
    cluster.deliver_if(|it| ![it.from, it.to].contains(&NodeId(NODE)));
}

/// The leader sends what waits for n3, and the answers of n3 stay on their way.
fn answers_on_their_way(cluster: &mut Cluster) -> Vec<Packet> {
    cluster.deliver_between(LEADER, NODE);
    let packets = cluster.take_packets();
    let (late, others) = packets
        .into_iter()
        .partition(|it| it.from == NodeId(NODE) && it.to == NodeId(LEADER));
    cluster.queue = others;
    late
}

/// Whether the configuration in force at the leader names n3 no more.
fn is_removed(cluster: &Cluster) -> bool {
    let members = cluster.raft(LEADER).membership();
    members.get(NodeId(NODE)).is_none()
}

fn put_back(cluster: &mut Cluster, copy: &Recovered) {
    change(cluster, NodeChange::Remove(NodeId(NODE)));
    deliver_without_node(cluster);
    assert!(is_removed(cluster));
    cluster.node(NODE).stored = copy.clone();
    cluster.restart(NODE);
    change(cluster, NodeChange::Set(Member::learner(NodeId(NODE))));
}

/// Lets heartbeats bring n3 what it lacks.
fn catches_up(cluster: &mut Cluster) {
    for _ in 0..10 {
        cluster.send_heartbeats(LEADER);
        cluster.deliver();
    }
    assert_eq!(cluster.complaints(LEADER), []);
    let last = cluster.raft(LEADER).last_log();
    assert_eq!(cluster.raft(NODE).last_log(), last);
    assert_eq!(cluster.peer(LEADER, NODE).match_index, last.index);
}

fn three(change: impl Fn(&mut Config)) -> Cluster {
    let mut cluster = Cluster::with(3, |config| {
        config.incarnation = Some(Incarnation(0x10 + config.node_id.0));
        config.leader_noop = LeaderNoop::On;
        change(config);
    });
    cluster.elect(LEADER);
    cluster
}

#[test]
fn a_late_acknowledgement_does_not_count_for_the_copy_that_is_added_again() {
    let mut cluster = three(|_| {});
    let copy = cluster.node(NODE).stored.clone();
    cluster.propose(LEADER, "a").unwrap();
    let late = answers_on_their_way(&mut cluster);
    assert!(!late.is_empty());
    deliver_without_node(&mut cluster);
    put_back(&mut cluster, &copy);
    for packet in late {
        cluster.deliver_packet(packet);
    }
    assert_eq!(cluster.peer(LEADER, NODE).match_index, Index::ZERO);
    catches_up(&mut cluster);
}

#[test]
fn a_late_answer_about_a_snapshot_does_not_count_for_the_copy_that_is_added_again() {
    let mut cluster = three(|config| config.trailing_entries = 0);
    let copy = cluster.node(NODE).stored.clone();
    for command in ["a", "b", "c"] {
        cluster.propose(LEADER, command).unwrap();
        deliver_without_node(&mut cluster);
    }
    let snapshot = cluster.compact(LEADER, 4, b"state");
    let mut late = Vec::new();
    // n3 installs the snapshot, and the leader does not hear of it.
    while cluster.raft(NODE).snapshot().is_none() {
        cluster.send_heartbeats(LEADER);
        late = answers_on_their_way(&mut cluster);
        let installed = |it: &Packet| match &it.message {
            Message::InstallSnapshotReply(reply) => reply.outcome == SnapshotOutcome::Installed,
            _ => false,
        };
        let (last, earlier) = late.into_iter().partition(installed);
        late = last;
        for packet in Vec::from_iter(earlier) {
            let _: Vec<Action> = cluster.deliver_packet(packet);
        }
    }
    deliver_without_node(&mut cluster);
    assert!(!late.is_empty());
    // In the first case the leader has not begun to send the snapshot again, in the second it has.
    for is_under_way in [false, true] {
        put_back(&mut cluster, &copy);
        if is_under_way {
            while !matches!(cluster.peer(LEADER, NODE).state, PeerState::Snapshot { .. }) {
                cluster.send_heartbeats(LEADER);
                cluster.deliver_between(LEADER, NODE);
                cluster.deliver_between(NODE, LEADER);
            }
        }
        for packet in late.clone() {
            cluster.deliver_packet(packet);
        }
        assert!(cluster.peer(LEADER, NODE).match_index < snapshot.last.index);
        cluster.take_packets();
        catches_up(&mut cluster);
    }
}

#[test]
fn another_disk_under_a_leaving_members_number_accuses_it_of_no_loss() {
    let mut cluster = three(|_| {});
    // The removal is in force, and is not committed: the other voter's disk stands still.
    cluster.node(2).disk = Disk::Manual;
    change(&mut cluster, NodeChange::Remove(NodeId(NODE)));
    deliver_without_node(&mut cluster);
    let mut joins = config(NODE, 1);
    joins.start = Start::Join;
    joins.incarnation = Some(Incarnation(0x20 + NODE));
    cluster.add(joins);
    let long = 12 * cluster.raft(LEADER).config().election_timeout_max;
    let end = cluster.now.after(long);
    while cluster.now < end {
        cluster.send_heartbeats(LEADER);
        cluster.deliver();
    }
    assert_eq!(cluster.raft(LEADER).role(), RoleKind::Leader);
    assert!(is_removed(&cluster));
    assert_eq!(cluster.complaints(LEADER), []);
}

#[test]
fn a_copy_that_is_added_again_is_asked_whatever_round_it_answered_before() {
    // Each read begins a round: the removed member has answered rounds, too.
    let mut cluster = three(|_| {});
    let copy = cluster.node(NODE).stored.clone();
    cluster.propose(LEADER, "a").unwrap();
    let id = RequestId(10);
    let read = Input::Read {
        id,
        mode: ReadMode::Quorum,
    };
    cluster.input(LEADER, read);
    let late = answers_on_their_way(&mut cluster);
    deliver_without_node(&mut cluster);
    put_back(&mut cluster, &copy);
    for packet in late {
        cluster.deliver_packet(packet);
    }
    assert_eq!(cluster.peer(LEADER, NODE).match_index, Index::ZERO);
    catches_up(&mut cluster);
}
