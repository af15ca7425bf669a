//! The lab's scenarios that make sense in real time, within a process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::raft_proto::{NodeId, ProposeError, ReadMode};
use raft_driver_thread::transport::channel::Faults;
use raft_driver_thread::{News, RequestError, StopReason, Unknown};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use support::{Cluster, LIMIT, until};

#[test]
fn three_nodes_elect_one_leader_and_apply_what_it_takes() {
    let cluster = Cluster::new(3);
    let leader = cluster.leader();
    let (id, ticket) = cluster.nodes[&leader].propose("a").unwrap();
    let applied = ticket.wait_timeout(LIMIT).unwrap();
    assert_eq!((applied.id, applied.answer), (id, 1));
    for node in 1..=3 {
        assert_eq!(cluster.journal(node), [b"a"]);
    }
}

#[test]
fn a_follower_refuses_commands_and_names_the_leader() {
    let cluster = Cluster::new(3);
    let leader = cluster.leader();
    let follower = 1 + leader % 3;
    let refused = cluster.nodes[&follower].propose("a").unwrap_err();
    let expected = ProposeError::NotLeader {
        leader: Some(NodeId(leader)),
    };
    assert_eq!(refused, RequestError::Refused(expected));
}

#[test]
fn commands_submitted_together_are_applied_in_order() {
    let cluster = Cluster::new(3);
    let leader = &cluster.nodes[&cluster.leader()];
    let tickets: Vec<_> = (0..1000)
        .map(|number: u32| leader.submit(number.to_le_bytes().to_vec()))
        .collect();
    for (number, ticket) in tickets.into_iter().enumerate() {
        assert_eq!(ticket.wait_timeout(LIMIT).unwrap().answer, number + 1);
    }
}

#[test]
fn a_majority_goes_on_without_the_leader_which_rejoins() {
    let cluster = Cluster::new(3);
    cluster.one(b"a");
    let old = cluster.leader();
    cluster.network.cut(NodeId(old));
    let rest: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
    // What the old leader takes now is never applied.
    let lost = cluster.nodes[&old].submit("lost");
    let new = cluster.leader_among(&rest);
    let applied = cluster.nodes[&new].execute("b", LIMIT).unwrap();
    assert_eq!(applied.answer, 2);
    cluster.network.heal(NodeId(old));
    let fate = lost.wait_timeout(LIMIT).unwrap_err();
    assert!(matches!(fate, RequestError::NotApplied { .. }), "{fate}");
    assert_eq!(cluster.journal(old), [b"a", b"b"]);
}

#[test]
fn nodes_agree_over_a_network_that_loses_doubles_and_reorders() {
    let cluster = Cluster::new(5);
    cluster.network.set_faults(Faults::unreliable());
    for number in 0..20_u8 {
        cluster.one(&[number]);
    }
    let journal = cluster.journal(1);
    for node in 2..=5 {
        assert_eq!(cluster.journal(node), journal);
    }
}

#[test]
fn what_was_applied_outlives_all_nodes() {
    let mut cluster = Cluster::new(3);
    cluster.one(b"a");
    for id in 1..=3 {
        cluster.kill(id);
    }
    for id in 1..=3 {
        cluster.start(id);
    }
    cluster.one(b"b");
    let journal = cluster.journal(2);
    assert_eq!(journal.first().unwrap(), b"a");
    assert_eq!(journal.last().unwrap(), b"b");
}

#[test]
fn a_node_that_was_away_for_long_is_sent_a_snapshot() {
    let mut cluster = Cluster::tuned(3, |options| {
        options.snapshots.every_entries = Some(50);
        options.config.trailing_entries = 10;
        options.config.snapshot_chunk_bytes = 100;
    });
    cluster.one(b"a");
    let away = 1 + cluster.leader() % 3;
    cluster.kill(away);
    for number in 0..500_u32 {
        cluster.one(&number.to_le_bytes());
    }
    until("a snapshot in the place of the log's beginning", || {
        let leader = cluster.nodes.values().next().unwrap();
        let status = leader.status().unwrap();
        (status.log_base.index.0 > 100).then_some(())
    });
    cluster.start(away);
    assert_eq!(cluster.journal(away), cluster.journal(cluster.leader()));
    let restored = cluster.nodes[&away].status().unwrap().snapshot;
    assert!(restored.is_some(), "it came by a snapshot");
}

#[test]
fn a_lead_is_handed_over_when_its_node_is_shut_down() {
    let cluster = Cluster::new(3);
    cluster.one(b"a");
    let old = cluster.leader();
    let term = cluster.nodes[&old].state().term;
    assert_eq!(cluster.nodes[&old].shutdown(), StopReason::Shutdown);
    let rest: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
    let new = cluster.leader_among(&rest);
    // By TimeoutNow: the very next term, without a split vote.
    assert_eq!(cluster.nodes[&new].state().term, term.next());
}

#[test]
fn subscribers_hear_of_leaders_and_of_the_end() {
    let cluster = Cluster::new(1);
    let node = &cluster.nodes[&1];
    let news = node.subscribe();
    cluster.leader();
    node.shutdown();
    let heard: Vec<News> = news.iter().collect();
    let end = News::Stopped(StopReason::Shutdown);
    assert_eq!(heard.last(), Some(&end));
    assert_eq!(node.subscribe().recv(), Ok(end), "also who comes late");
}

#[test]
fn a_panic_in_the_state_machine_stops_the_node_with_its_reason() {
    let cluster = Cluster::new(1);
    cluster.leader();
    let node = &cluster.nodes[&1];
    let ticket = node.submit("panic");
    let unknown = RequestError::Unknown(Unknown::Stopped);
    assert_eq!(ticket.wait_timeout(LIMIT).unwrap_err(), unknown);
    let reason = until("the node stopped", || node.stop_reason());
    assert_eq!(reason, StopReason::StateMachine("panic: asked to".into()));
    let after = node.submit("a").wait().unwrap_err();
    assert_eq!(after, RequestError::Stopped);
}

#[test]
fn tickets_are_futures_that_wake_their_task() {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let cluster = Cluster::new(3);
    let node = &cluster.nodes[&cluster.leader()];
    let mut ticket = pin!(node.submit("a"));
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let applied = loop {
        match ticket.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => break outcome.unwrap(),
            Poll::Pending => std::thread::park_timeout(LIMIT),
        }
    };
    assert_eq!(applied.answer, 1);
}

#[test]
fn more_requests_than_may_be_outstanding_are_refused_at_once() {
    let cluster = Cluster::tuned(3, |options| options.max_outstanding = 2);
    let leader = cluster.leader();
    for id in 1..=3 {
        cluster.network.cut(NodeId(id));
    }
    let node = &cluster.nodes[&leader];
    let held = [node.submit("a"), node.submit("b")];
    let refused = node.submit("c");
    assert!(refused.is_ended());
    assert_eq!(refused.wait().unwrap_err(), RequestError::Overloaded);
    drop(held);
}

#[test]
fn a_read_of_a_cut_off_leader_ends_without_an_answer() {
    let cluster = Cluster::new(3);
    let leader = cluster.leader();
    cluster.network.cut(NodeId(leader));
    let read = cluster.nodes[&leader].read(ReadMode::Quorum, |journal| journal.0.len());
    assert!(read.wait_timeout(LIMIT).is_err());
}
