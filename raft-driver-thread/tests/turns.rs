//! The core's turns, whichever thread takes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::inbox::Inbox;
use raft_driver_thread::raft_proto::{Config, Membership, Message, NodeId};
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::channel::{ChannelTransport, Network};
use raft_driver_thread::transport::{Transport, TransportError};
use raft_driver_thread::{Node, StopReason};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::{Journal, TIMEOUT, wait_for};

/// What a transport observes of the threads that send by it.
#[derive(Clone, Default)]
struct Callers {
    /// The name of the thread in which sending panics.
    panic_in: Option<&'static str>,
    threads: Arc<Mutex<BTreeSet<String>>>,
    active: Arc<AtomicUsize>,
    has_overlapped: Arc<AtomicBool>,
}

impl Callers {
    fn called_from(&self, thread: &str) -> bool {
        self.threads.lock().unwrap().contains(thread)
    }
}

struct ObservedTransport {
    inner: ChannelTransport,
    callers: Callers,
}

impl Transport for ObservedTransport {
    fn start(&mut self, config: &Config, inbox: Inbox) -> Result<(), TransportError> {
        self.inner.start(config, inbox)
    }

    fn set_members(&mut self, membership: &Membership) {
        self.inner.set_members(membership);
    }

    fn send(&mut self, to: NodeId, message: Message) {
        let callers = &self.callers;
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        if callers.active.fetch_add(1, Ordering::SeqCst) > 0 {
            callers.has_overlapped.store(true, Ordering::SeqCst);
        }
        callers.threads.lock().unwrap().insert(name.to_owned());
        self.inner.send(to, message);
        callers.active.fetch_sub(1, Ordering::SeqCst);
        assert_ne!(Some(name), callers.panic_in, "as the test says");
    }

    fn flush(&mut self) {
        self.inner.flush();
    }

    fn stop(&mut self) {
        self.inner.stop();
    }
}

fn start(network: &Network, id: u64, callers: &Callers) -> Node<Journal> {
    let transport = ObservedTransport {
        inner: network.transport(NodeId(id)),
        callers: callers.clone(),
    };
    let options = support::options(id, 3);
    Node::start(options, MemoryStorage::new(), transport, Journal::default()).unwrap()
}

/// Has a command applied by whichever of these nodes leads.
fn execute(nodes: &[Node<Journal>], command: &[u8]) {
    wait_for("a command to be applied", || {
        let execute = |node: &Node<Journal>| node.execute(command.to_vec(), TIMEOUT).ok();
        nodes.iter().find_map(execute)
    });
}

#[test]
fn a_panic_in_a_turn_that_another_thread_took_stops_the_node() {
    let network = Network::new(1);
    let panicking = Callers {
        panic_in: Some("raft-disk"),
        ..Callers::default()
    };
    let nodes = [
        start(&network, 1, &panicking),
        start(&network, 2, &Callers::default()),
        start(&network, 3, &Callers::default()),
    ];
    support::elect(&nodes);
    // The disk's thread reports that a write is durable, and takes the turn that answers the
    // leader, unless another thread is in a turn just then. So there have to be writes until it
    // does.
    let reason = wait_for("the node to stop", || {
        execute(&nodes, b"a");
        nodes[0].stop_reason()
    });
    assert_eq!(reason, StopReason::Defect);
    nodes[0].kill();
    execute(&nodes[1..], b"b");
}

#[test]
fn turns_are_taken_by_several_threads_and_never_by_two_at_once() {
    let network = Network::new(1);
    let callers = [1, 2, 3].map(|_| Callers::default());
    let nodes: Vec<_> = (1..)
        .zip(&callers)
        .map(|(id, callers)| start(&network, id, callers))
        .collect();
    support::elect(&nodes);
    for round in 0..200_u8 {
        execute(&nodes, &[round]);
    }
    for thread in ["raft-core", "raft-disk"] {
        wait_for("a turn of this thread at each node", || {
            execute(&nodes, b"one more");
            let all = callers.iter().all(|callers| callers.called_from(thread));
            all.then_some(())
        });
    }
    for callers in &callers {
        assert!(!callers.has_overlapped.load(Ordering::SeqCst));
    }
}
