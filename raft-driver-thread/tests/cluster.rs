//! What a node promises to its callers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::raft_proto::{NodeId, ProposeError, ReadMode};
use raft_driver_thread::{NodeEvent, RequestError, StopReason, Unknown};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use support::{Cluster, TIMEOUT, steady, wait_for};

#[test]
fn a_follower_refuses_commands_and_names_the_leader() {
    let cluster = Cluster::tuned(3, steady);
    let leader = cluster.leader();
    let follower = 1 + leader % 3;
    let error = cluster.nodes[&follower].propose("a").unwrap_err();
    let expected = ProposeError::NotLeader {
        leader: Some(NodeId(leader)),
    };
    assert_eq!(error, RequestError::Refused(expected));
}

#[test]
fn commands_submitted_together_are_applied_in_order() {
    let cluster = Cluster::tuned(3, steady);
    let leader = &cluster.nodes[&cluster.leader()];
    let tickets: Vec<_> = (0..1000)
        .map(|number: u32| leader.submit(number.to_le_bytes().to_vec()))
        .collect();
    for (number, ticket) in tickets.into_iter().enumerate() {
        assert_eq!(ticket.wait_timeout(TIMEOUT).unwrap().answer, number + 1);
    }
}

#[test]
fn the_last_event_of_every_subscription_is_why_the_node_stopped() {
    let cluster = Cluster::new(1);
    let node = &cluster.nodes[&1];
    let subscription = node.subscribe();
    cluster.leader();
    node.shutdown();
    let events: Vec<NodeEvent> = subscription.iter().collect();
    let end = NodeEvent::Stopped(StopReason::Shutdown);
    assert_eq!(events.last(), Some(&end));
    let late = node.subscribe();
    assert_eq!(late.recv(), Ok(end));
}

#[test]
fn a_panic_in_the_state_machine_stops_the_node_with_its_reason() {
    let cluster = Cluster::new(1);
    cluster.leader();
    let node = &cluster.nodes[&1];
    let ticket = node.submit("panic");
    let unknown = RequestError::Unknown(Unknown::Stopped);
    assert_eq!(ticket.wait_timeout(TIMEOUT).unwrap_err(), unknown);
    let reason = wait_for("the node to stop", || node.stop_reason());
    let expected = StopReason::StateMachine("panic: as the command says".into());
    assert_eq!(reason, expected);
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
    let cluster = Cluster::tuned(3, steady);
    let node = &cluster.nodes[&cluster.leader()];
    let mut ticket = pin!(node.submit("a"));
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let applied = loop {
        match ticket.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => break outcome.unwrap(),
            Poll::Pending => std::thread::park_timeout(TIMEOUT),
        }
    };
    assert_eq!(applied.answer, 1);
}

#[test]
fn more_requests_than_may_be_outstanding_are_refused_at_once() {
    let cluster = Cluster::tuned(3, |options| {
        steady(options);
        options.max_outstanding = 2;
    });
    let leader = cluster.leader();
    for id in 1..=3 {
        cluster.environment.cut(id);
    }
    let node = &cluster.nodes[&leader];
    let waiting = [node.submit("a"), node.submit("b")];
    let refused = node.submit("c");
    assert!(refused.is_ended());
    assert_eq!(refused.wait().unwrap_err(), RequestError::Overloaded);
    drop(waiting);
}

#[test]
fn a_read_of_a_leader_that_is_cut_off_ends_without_an_answer() {
    let cluster = Cluster::new(3);
    let leader = cluster.leader();
    cluster.environment.cut(leader);
    let read = cluster.nodes[&leader].read(ReadMode::Quorum, |journal| journal.0.len());
    assert!(read.wait_timeout(TIMEOUT).is_err());
}
