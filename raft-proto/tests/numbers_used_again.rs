//! A number is used again at once, by another disk, while the leader still tells the first one that
//! it was removed (`change.rs`): what that disk has shown says nothing about the new member.
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
const LEADER: u64 = 1;
/// The node whose number is used again.
const NODE: NodeId = NodeId(3);

fn first(id: u64) -> Incarnation {
    Incarnation(0x10 + id)
}

fn anew(id: u64) -> Incarnation {
    Incarnation(0x20 + id)
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

fn change(cluster: &mut Cluster, change: NodeChange) -> Result<EntryId, ChangeError> {
    let id = RequestId(9);
    let change = MembershipChange::from(change);
    let actions = cluster.input(LEADER, Input::ChangeMembership { id, change });
    let outcome = actions.into_iter().find_map(|action| match action {
        Action::ChangeProposed { outcome, .. } => Some(outcome),
        _ => None,
    });
    outcome.unwrap()
}

/// A member was removed a moment ago, has just been heard, and does not know of its removal.
fn removed_a_moment_ago() -> Cluster {
    let mut cluster = Cluster::with(3, |config| {
        config.incarnation = Some(first(config.node_id.0));
        config.leader_noop = LeaderNoop::On;
    });
    cluster.elect(LEADER);
    run(&mut cluster, SECOND, &[]);
    change(&mut cluster, NodeChange::Remove(NODE)).unwrap();
    cluster.deliver_if(|it| ![it.from, it.to].contains(&NODE));
    let members = cluster.raft(LEADER).membership();
    assert!(!members.is_joint() && members.get(NODE).is_none());
    cluster
}

/// The disk of the removed member is lost, and its number starts with an empty one.
fn joins_anew(cluster: &mut Cluster) {
    let mut config = config(NODE.0, 1);
    config.start = Start::Join;
    config.incarnation = Some(anew(NODE.0));
    cluster.add(config);
}

#[test]
fn a_removed_members_disk_is_not_named_for_the_next_member_of_its_number() {
    let mut cluster = removed_a_moment_ago();
    joins_anew(&mut cluster);
    change(&mut cluster, NodeChange::Set(Member::learner(NODE))).unwrap();
    let named = |cluster: &Cluster| {
        let member = cluster.raft(LEADER).membership().get(NODE).cloned();
        member.unwrap().incarnation
    };
    assert_eq!(named(&cluster), None);
    run(&mut cluster, SECOND, &[]);
    assert_eq!(named(&cluster), Some(anew(NODE.0)));
    assert_eq!(cluster.raft(LEADER).foreign_incarnations(), []);
}

/// The refusal of a voter whose log is empty.
fn not_caught_up(cluster: &Cluster) -> ChangeError {
    ChangeError::NotCaughtUp {
        node: NODE,
        match_index: Index::ZERO,
        last: cluster.raft(LEADER).last_log().index,
    }
}

#[test]
fn a_removed_members_log_lets_no_empty_disk_vote() {
    let mut cluster = removed_a_moment_ago();
    joins_anew(&mut cluster);
    let voter = Member::voter(NODE).with_incarnation(anew(NODE.0));
    let refused = change(&mut cluster, NodeChange::Set(voter));
    assert_eq!(refused, Err(not_caught_up(&cluster)));
}

/// The operator names a disk that is not the one which the leader has heard under the number.
#[test]
fn another_disks_log_lets_no_empty_disk_vote() {
    let mut cluster = removed_a_moment_ago();
    joins_anew(&mut cluster);
    change(&mut cluster, NodeChange::Set(Member::learner(NODE))).unwrap();
    // It has been heard, and is named with the next tick.
    cluster.deliver();
    assert!(cluster.peer(LEADER, NODE.0).match_index > Index::ZERO);
    let other = Incarnation(0x30);
    let voter = Member::voter(NODE).with_incarnation(other);
    let refused = change(&mut cluster, NodeChange::Set(voter));
    assert_eq!(refused, Err(not_caught_up(&cluster)));
}

/// Another disk under the leader's number, which gets all messages that are for that number.
struct Other {
    raft: Raft,
}

impl Other {
    fn joins() -> Other {
        let mut config = config(LEADER, 1);
        config.start = Start::Join;
        config.incarnation = Some(anew(LEADER));
        let raft = Raft::new(config, Recovered::default()).unwrap();
        Other { raft }
    }

    fn step(&mut self, cluster: &mut Cluster, input: Input) {
        let at = cluster.now;
        for action in self.raft.step(Event { at, input }) {
            match action {
                Action::Send { to, message } => cluster.queue.push(Packet {
                    from: NodeId(LEADER),
                    to,
                    incarnation: Some(anew(LEADER)),
                    message,
                }),
                Action::Persist(Write { seq, .. }) => self.step(cluster, Input::Persisted { seq }),
                _ => {}
            }
        }
    }
}

// The bug: an answer of another disk shows that the leader hears its follower.
#[test]
fn another_disk_under_an_outgoing_leaders_number_does_not_keep_that_leader_in_office() {
    let mut cluster = Cluster::with(4, |config| {
        config.incarnation = Some(first(config.node_id.0));
        config.leader_noop = LeaderNoop::On;
        if config.node_id != NodeId(LEADER) {
            config.pre_vote = PreVoting::On;
        }
    });
    cluster.elect(LEADER);
    run(&mut cluster, SECOND, &[]);
    // The number's address leads to the other disk now: the leader is heard, and hears nobody.
    change(&mut cluster, NodeChange::Remove(NodeId(LEADER))).unwrap();
    let mut other = Other::joins();
    other.step(&mut cluster, Input::Tick);
    let end = cluster.now.after(20 * SECOND);
    while cluster.raft(LEADER).role() == RoleKind::Leader && cluster.now < end {
        cluster.now = cluster.now.after(Duration::from_millis(20));
        for id in 1..=4 {
            let now = cluster.now;
            if cluster.node(id).wake_at <= now {
                cluster.tick(id);
            }
        }
        // What they send in answer is on its way until then.
        for packet in cluster.take_packets() {
            if packet.to != NodeId(LEADER) {
                cluster.deliver_packet(packet);
                continue;
            }
            let input = Input::Receive {
                from: packet.from,
                incarnation: packet.incarnation,
                message: packet.message,
            };
            other.step(&mut cluster, input);
        }
        if (2..=4).any(|id| cluster.raft(id).role() == RoleKind::Leader) {
            return;
        }
    }
    panic!("nobody else leads");
}
