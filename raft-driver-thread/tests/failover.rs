//! A server whose process ends is replaced at once: its connections are closed, and nobody waits
//! for an election timeout.
#![cfg(feature = "tcp")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::raft_proto::{Member, NodeId, RoleKind, Start};
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use raft_driver_thread::{Node, Options};
use std::time::{Duration, Instant};
use support::ports::free_address;
use support::{Journal, TIMEOUT, wait_for};

/// Node `id` at its address. An election timeout is longer than the test waits.
fn start(id: u64, addresses: &[String]) -> Node<Journal> {
    let count = addresses.len() as u64;
    let mut options: Options = support::options(id, count);
    let members = (1..).zip(addresses);
    let members = members
        .map(|(id, address)| Member::voter(NodeId(id)).with_context(address.clone()))
        .collect();
    options.config.start = Start::Bootstrap { members };
    options.config.election_timeout_min = 4 * TIMEOUT;
    options.config.election_timeout_max = 8 * TIMEOUT;
    options.config.heartbeat_interval = Duration::from_millis(100);
    let transport = TcpTransport::bind(
        &addresses[id as usize - 1],
        TcpOptions::new(Security::PlaintextUnauthenticated),
    );
    let (storage, machine) = (MemoryStorage::default(), Journal::default());
    Node::start(options, storage, transport.unwrap(), machine).unwrap()
}

#[test]
fn a_leader_that_ends_is_replaced_without_an_election_timeout() {
    // On a busy machine the two may refuse each other, as one has not lost the leader yet: then the
    // next attempt would come after an election timeout.
    wait_for("another leader, soon", || is_replaced_soon().then_some(()));
}

fn is_replaced_soon() -> bool {
    let addresses = [0; 3].map(|_| free_address());
    let mut nodes: Vec<_> = (1..=3).map(|id| start(id, &addresses)).collect();
    let leads = |node: &Node<Journal>| node.state().role == RoleKind::Leader;
    support::elect(&nodes);
    assert!(leads(&nodes[2]), "only it campaigns");
    support::commit(&nodes, b"before");
    nodes.pop();
    let begun = Instant::now();
    while !nodes.iter().any(leads) {
        if begun.elapsed() > TIMEOUT / 8 {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    support::commit(&nodes, b"after");
    let journal = support::read_journal(&nodes[0]);
    assert_eq!(journal.first(), Some(&b"before".to_vec()));
    assert_eq!(journal.last(), Some(&b"after".to_vec()));
    true
}
