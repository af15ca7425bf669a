//! A server that was removed learns it and becomes quiet, also if it was down when it was removed,
//! whichever node leads when it is back (section 6; thesis 4.2.2).
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

fn leader_of(cluster: &Cluster, among: &[u64]) -> u64 {
    let leads = |id: &&u64| cluster.raft(**id).role() == RoleKind::Leader;
    let roles = || {
        let of = |id: &u64| (*id, cluster.raft(*id).role(), cluster.raft(*id).term());
        among.iter().map(of).collect::<Vec<_>>()
    };
    let found = among.iter().find(leads);
    *found.unwrap_or_else(|| panic!("no leader: {:?}", roles()))
}

fn change(cluster: &mut Cluster, leader: u64, nodes: Vec<NodeChange>) {
    let (id, readiness) = (RequestId(1), Readiness::Forced);
    let change = MembershipChange {
        nodes,
        readiness,
        expected: None,
    };
    let actions = cluster.input(leader, Input::ChangeMembership { id, change });
    let accepted =
        |action: &Action| matches!(action, Action::ChangeProposed { outcome: Ok(_), .. });
    assert!(actions.iter().any(accepted), "{actions:?}");
}

fn removals(nodes: &[u64]) -> Vec<NodeChange> {
    nodes
        .iter()
        .map(|id| NodeChange::Remove(NodeId(*id)))
        .collect()
}

/// What a node sends in ten seconds in which nothing is lost.
fn messages_in_ten_seconds(cluster: &mut Cluster, node: u64) -> usize {
    let mut sent = 0;
    for _ in 0..500 {
        cluster.now = cluster.now.after(Duration::from_millis(20));
        let now = cluster.now;
        let ids: Vec<u64> = cluster.nodes.keys().map(|id| id.0).collect();
        for id in ids {
            if cluster.node(id).wake_at <= now {
                let actions = cluster.tick(id);
                if id == node {
                    sent += support::sent(&actions).len();
                }
            }
        }
        cluster.deliver();
    }
    sent
}

fn with_extensions(config: &mut Config) {
    config.pre_vote = PreVoting::On;
    config.check_quorum = CheckQuorum::On;
    config.leader_noop = LeaderNoop::On;
    config.trailing_entries = 0;
}

/// Five nodes remove one or two, of which the last is down for so long that its leader gives it up.
#[derive(Clone, Copy, Debug)]
struct Case {
    seed: u64,
    joint: bool,
    was_down: bool,
    leader_changed: bool,
    compacted: bool,
    pre_vote: PreVoting,
}

fn cases() -> Vec<Case> {
    let flag = |at: u64, bit: u64| at >> bit & 1 == 1;
    let case = |at| Case {
        seed: at,
        joint: flag(at, 0),
        was_down: flag(at, 1),
        leader_changed: flag(at, 2),
        compacted: flag(at, 3),
        pre_vote: PreVoting::On,
    };
    (0..20).map(case).collect()
}

/// Removes n5, and n4 in a joint change. Returns the cluster and the nodes that stay.
fn remove(case: Case) -> (Cluster, Vec<u64>) {
    let mut cluster = Cluster::with(5, |config| {
        with_extensions(config);
        config.pre_vote = case.pre_vote;
        config.seed = 42 + case.seed;
    });
    run(&mut cluster, Duration::from_secs(5), &[]);
    let leader = leader_of(&cluster, &[1, 2, 3, 4, 5]);
    if leader > 3 {
        // Only nodes that stay may lead here.
        let (id, target) = (RequestId(1), Some(NodeId(1)));
        cluster.input(leader, Input::TransferLeadership { id, target });
        run(&mut cluster, Duration::from_secs(2), &[]);
    }
    let stay = if case.joint {
        vec![1, 2, 3]
    } else {
        vec![1, 2, 3, 4]
    };
    let leader = leader_of(&cluster, &stay);
    cluster.propose(leader, "a").unwrap();
    run(&mut cluster, Duration::from_secs(1), &[]);
    let down: &[u64] = if case.was_down { &[5] } else { &[] };
    let removed: &[u64] = if case.joint { &[4, 5] } else { &[5] };
    change(&mut cluster, leader, removals(removed));
    run(&mut cluster, Duration::from_secs(1), down);
    assert!(cluster.raft(leader).membership().get(NodeId(5)).is_none());
    if case.compacted {
        let index = cluster.raft(leader).applied_index();
        cluster.compact(leader, index.0, b"state");
    }
    if case.was_down {
        run(&mut cluster, Duration::from_secs(15), down);
    }
    if case.leader_changed {
        let mut gone = down.to_vec();
        gone.push(leader);
        run(&mut cluster, Duration::from_secs(5), &gone);
        let rest: Vec<u64> = stay.iter().copied().filter(|id| *id != leader).collect();
        leader_of(&cluster, &rest);
    }
    (cluster, stay)
}

// The bug: a removed node is never told, and asks for pre-votes for ever: 0 of 20 become quiet.
#[test]
fn removed_nodes_become_quiet_whatever_they_missed() {
    let mut quiet = 0;
    for case in cases() {
        let (mut cluster, stay) = remove(case);
        // n5 is up again.
        let now = cluster.now;
        cluster.node(5).wake_at = now;
        run(&mut cluster, Duration::from_secs(10), &[]);
        let term = cluster.raft(leader_of(&cluster, &stay)).term();
        let sent = messages_in_ten_seconds(&mut cluster, 5);
        assert_eq!(sent, 0, "{case:?}: n5 is {}", cluster.raft(5).role());
        assert_eq!(cluster.raft(5).role(), RoleKind::Follower, "{case:?}");
        assert_eq!(cluster.raft(leader_of(&cluster, &stay)).term(), term);
        assert!(knows_its_removal(&cluster, 5), "{case:?}");
        assert!(
            cluster.raft(5).status().removed_at.is_some(),
            "{case:?}: by its own log, or by a voter's word"
        );
        quiet += 1;
    }
    assert_eq!(quiet, 20);
}

// The bug: only the reply to a pre-vote told it. It asked for votes for ever, in term after term.
#[test]
fn without_pre_votes_a_removed_node_is_told_by_those_that_it_asks_for_votes() {
    for case in cases().into_iter().filter(|case| case.was_down) {
        let pre_vote = PreVoting::Off;
        let (mut cluster, stay) = remove(Case { pre_vote, ..case });
        let leader = leader_of(&cluster, &stay);
        let term = cluster.raft(leader).term();
        let now = cluster.now;
        cluster.node(5).wake_at = now;
        run(&mut cluster, Duration::from_secs(10), &[]);
        let sent = messages_in_ten_seconds(&mut cluster, 5);
        assert_eq!(sent, 0, "{case:?}: n5 is {}", cluster.raft(5).role());
        assert!(knows_its_removal(&cluster, 5), "{case:?}");
        // And it has deposed nobody: a node that hears a leader ignores it. A former leader, which
        // is back at the same time, may depose one without pre-votes.
        if !case.leader_changed {
            assert_eq!(leader_of(&cluster, &stay), leader, "{case:?}");
            assert_eq!(cluster.raft(leader).term(), term, "{case:?}");
        }
    }
}

#[test]
fn the_status_says_that_a_node_is_removed_until_it_has_a_later_configuration() {
    let case = Case {
        was_down: true,
        ..cases()[0]
    };
    let (mut cluster, stay) = remove(case);
    assert_eq!(cluster.raft(5).removed_at(), None, "nobody has said so");
    let now = cluster.now;
    cluster.node(5).wake_at = now;
    run(&mut cluster, Duration::from_secs(10), &[]);
    let at = cluster.raft(5).status().removed_at;
    assert!(at.is_some_and(|at| at > Index::ZERO), "{at:?}");
    assert!(cluster.raft(5).membership().is_voter(NodeId(5)));
    // It is added again, and learns it by the leader's log.
    let leader = leader_of(&cluster, &stay);
    let again = NodeChange::Set(Member::learner(NodeId(5)));
    change(&mut cluster, leader, vec![again]);
    run(&mut cluster, Duration::from_secs(5), &[]);
    assert_eq!(cluster.raft(5).status().removed_at, None);
}

/// By an entry of its own log, or because a voter said so.
fn knows_its_removal(cluster: &Cluster, node: u64) -> bool {
    let told = |action: &Action| match action {
        Action::Removed { .. } => true,
        Action::MembershipChanged { membership, .. } => membership.get(NodeId(node)).is_none(),
        _ => false,
    };
    cluster.nodes[&NodeId(node)].other_actions.iter().any(told)
}

#[test]
fn a_removed_node_that_restarts_is_told_again_and_is_quiet_again() {
    let case = Case {
        was_down: true,
        ..cases()[0]
    };
    let (mut cluster, _) = remove(case);
    for _ in 0..2 {
        cluster.restart(5);
        run(&mut cluster, Duration::from_secs(10), &[]);
        assert_eq!(messages_in_ten_seconds(&mut cluster, 5), 0);
    }
}

#[test]
fn a_leader_forgets_a_removed_node_when_that_knows_it_and_not_before() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    change(&mut cluster, 1, removals(&[3]));
    let peers = |cluster: &Cluster| -> Vec<u64> {
        let peers = cluster.raft(1).status().peers;
        peers.iter().map(|peer| peer.id.0).collect()
    };
    // n3 stores the entry, and does not hear that it is committed.
    cluster.deliver_between(1, 3);
    cluster.deliver_if(|packet| packet.to != NodeId(3));
    assert_eq!(cluster.raft(1).commit_index(), Index(2));
    assert_eq!(peers(&cluster), [2, 3]);
    for _ in 0..3 {
        cluster.send_heartbeats(1);
        cluster.deliver_if(|packet| packet.to != NodeId(3));
        // A late answer to a message from before the commit says nothing.
        cluster.receive(1, 3, accepted(1, 2));
        assert_eq!(peers(&cluster), [2, 3]);
    }
    cluster.send_heartbeats(1);
    cluster.deliver();
    assert_eq!(cluster.raft(3).commit_index(), Index(2));
    assert_eq!(peers(&cluster), [2]);
}

#[test]
fn a_leader_gives_up_a_removed_node_that_does_not_answer() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    change(&mut cluster, 1, removals(&[3]));
    let silent = |packet: &Packet| packet.to != NodeId(3);
    cluster.deliver_if(silent);
    let timeout = cluster.raft(1).config().election_timeout_max;
    let mut sent = 0;
    for _ in 0..200 {
        cluster.send_heartbeats(1);
        sent += cluster.queue.iter().filter(|it| it.to == NodeId(3)).count();
        cluster.deliver_if(silent);
    }
    let bound = 10 * timeout.as_millis() / HEARTBEAT.as_millis();
    assert!(sent as u128 <= bound + 1, "{sent} messages");
    assert_eq!(cluster.raft(1).status().peers.len(), 1);
}

// It may come back with another disk.
#[test]
fn of_a_node_that_is_removed_and_added_again_nothing_is_known() {
    let mut cluster = leader(3, |_| {}, &["a", "b", "c"]);
    cluster.send_heartbeats(1);
    cluster.deliver();
    assert_eq!(cluster.peer(1, 3).match_index, Index(3));
    change(&mut cluster, 1, removals(&[3]));
    cluster.deliver_if(|packet| packet.to != NodeId(3));
    let learner = NodeChange::Set(Member::learner(NodeId(3)));
    change(&mut cluster, 1, vec![learner]);
    assert_eq!(cluster.peer(1, 3).match_index, Index(0));
    cluster.deliver();
    assert_eq!(cluster.raft(3).last_log(), cluster.raft(1).last_log());
}

// It says that the node is no member up to what it has committed. The node knows better.
#[test]
fn a_voter_that_does_not_know_of_an_addition_yet_does_not_silence_the_new_node() {
    for commit in [0, 1, 2] {
        let mut cluster = leader(3, |_| {}, &["a"]);
        cluster.send_heartbeats(1);
        cluster.deliver();
        let voter = NodeChange::Set(Member::voter(NodeId(4)));
        change(&mut cluster, 1, vec![voter]);
        let entries = cluster.raft(1).entries(Index(1), Index::MAX);
        let added = cluster.raft(1).last_log();
        cluster.take_packets();
        let mut config = config(4, 3);
        config.pre_vote = PreVoting::On;
        config.start = Start::Join;
        let mut joiner = Raft::new(config, Recovered::default()).unwrap();
        let mut at = cluster.now;
        let mut step = |input| {
            at = at.after(Duration::from_secs(3));
            joiner.step(Event { at, input })
        };
        step(Input::Tick);
        let from = NodeId(1);
        let append = AppendEntries {
            term: added.term,
            prev_log: EntryId::ZERO,
            leader_commit: Index(commit),
            entries,
            round: 0,
            revoked: 0,
            promise_millis: 0,
            lineage: Lineage::Unknown,
        };
        let message = Message::AppendEntries(append);
        step(Input::Receive {
            from,
            message,
            incarnation: None,
        });
        step(Input::Persisted { seq: Seq(1) });
        let asked = sent(&step(Input::Tick));
        let (_, question) = asked.iter().find(|(to, _)| *to == NodeId(2)).unwrap();
        let (_, message) = sent(&cluster.receive(2, 4, question.clone())).remove(0);
        assert!(
            matches!(&message, Message::PreVoteReply(reply) if reply.dismissal == Some(Dismissal::Removed { index: Index(1) })),
            "n2 does not know n4 yet: {message:?}"
        );
        let from = NodeId(2);
        let actions = step(Input::Receive {
            from,
            message,
            incarnation: None,
        });
        let silenced = |action: &Action| matches!(action, Action::Removed { .. });
        assert!(!actions.iter().any(silenced), "{commit}");
        assert!(!sent(&step(Input::Tick)).is_empty(), "n4 campaigns on");
    }
}

#[test]
fn a_node_that_was_told_of_its_removal_campaigns_again_once_a_leader_has_added_it() {
    let (mut cluster, stay) = remove(Case {
        was_down: true,
        ..cases()[0]
    });
    run(&mut cluster, Duration::from_secs(10), &[]);
    assert!(knows_its_removal(&cluster, 5));
    let leader = leader_of(&cluster, &stay);
    let added = NodeChange::Set(Member::voter(NodeId(5)));
    change(&mut cluster, leader, vec![added]);
    run(&mut cluster, Duration::from_secs(2), &[]);
    let (id, target) = (RequestId(1), Some(NodeId(5)));
    cluster.input(leader, Input::TransferLeadership { id, target });
    run(&mut cluster, Duration::from_secs(2), &[]);
    assert_eq!(cluster.raft(5).role(), RoleKind::Leader);
}
