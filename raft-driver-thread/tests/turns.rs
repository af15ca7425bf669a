//! The core's turns, whichever thread takes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::inbox::Inbox;
use raft_driver_thread::raft_proto::{Config, Membership, Message, NodeId};
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::channel::Network;
use raft_driver_thread::transport::{Transport, TransportError};
use raft_driver_thread::{Node, StopReason};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use support::{Journal, until};

/// What a transport sees of those who call it.
#[derive(Clone, Default)]
struct Seen {
    /// Panic in the thread of this name.
    panics_in: Option<&'static str>,
    threads: Arc<Mutex<Vec<(ThreadId, String)>>>,
    callers: Arc<AtomicUsize>,
    met: Arc<AtomicBool>,
}

struct Watched<T>(T, Seen);

impl<T> Watched<T> {
    fn within<A>(&mut self, call: impl FnOnce(&mut T) -> A) -> A {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default().to_owned();
        if self.1.callers.fetch_add(1, Ordering::SeqCst) > 0 {
            self.1.met.store(true, Ordering::SeqCst);
        }
        let entry = (thread.id(), name.clone());
        let mut threads = self.1.threads.lock().unwrap();
        if !threads.contains(&entry) {
            threads.push(entry);
        }
        drop(threads);
        let answer = call(&mut self.0);
        self.1.callers.fetch_sub(1, Ordering::SeqCst);
        assert_ne!(Some(name.as_str()), self.1.panics_in, "as asked");
        answer
    }
}

impl<T: Transport> Transport for Watched<T> {
    fn start(&mut self, config: &Config, inbox: Inbox) -> Result<(), TransportError> {
        self.0.start(config, inbox)
    }

    fn set_members(&mut self, membership: &Membership) {
        self.0.set_members(membership);
    }

    fn send(&mut self, to: NodeId, message: Message) {
        self.within(|inner| inner.send(to, message));
    }

    fn flush(&mut self) {
        self.0.flush();
    }

    fn stop(&mut self) {
        self.0.stop();
    }
}

fn start(network: &Network, id: u64, seen: &Seen) -> Node<Journal> {
    let transport = Watched(network.transport(NodeId(id)), seen.clone());
    let options = support::options(id, 3);
    Node::start(options, MemoryStorage::new(), transport, Journal::default()).unwrap()
}

#[test]
fn a_panic_in_a_turn_that_another_thread_took_stops_the_node() {
    let network = Network::new(1);
    let brittle = Seen {
        panics_in: Some("raft-disk"),
        ..Seen::default()
    };
    let nodes = [
        start(&network, 1, &brittle),
        start(&network, 2, &Seen::default()),
        start(&network, 3, &Seen::default()),
    ];
    // What it votes and stores is answered when it is durable, by whom made it so.
    let reason = until("the node stopped", || nodes[0].stop_reason());
    assert_eq!(reason, StopReason::Defect);
    nodes[0].kill();
    until("the others go on", || {
        nodes[1..]
            .iter()
            .find_map(|node| node.execute("a", support::LIMIT).ok())
    });
}

#[test]
fn turns_are_taken_by_several_threads_and_never_by_two_at_once() {
    let network = Network::new(1);
    let seen = [1, 2, 3].map(|_| Seen::default());
    let nodes: Vec<_> = (1..)
        .zip(&seen)
        .map(|(id, seen)| start(&network, id, seen))
        .collect();
    for round in 0..200_u8 {
        until("a command applied", || {
            nodes
                .iter()
                .find_map(|node| node.execute(vec![round], support::LIMIT).ok())
        });
    }
    for seen in seen {
        assert!(!seen.met.load(Ordering::SeqCst));
        let threads = seen.threads.lock().unwrap();
        let names: Vec<_> = threads.iter().map(|(_, name)| name.as_str()).collect();
        assert!(names.contains(&"raft-core"), "{names:?}");
        assert!(names.contains(&"raft-disk"), "{names:?}");
    }
}
