//! Nodes that stop leave nothing behind. A test alone in its process, whose threads and files it
//! counts.
#![cfg(all(feature = "tcp", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::Node;
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use std::fs;
use support::{Journal, wait_for};

fn count(what: &str) -> usize {
    fs::read_dir(format!("/proc/self/{what}")).unwrap().count()
}

#[test]
fn a_thousand_starts_and_stops_leak_no_thread_file_or_port() {
    let address = support::ports::free_address();
    let options = support::options(1, 1);
    let before = (count("task"), count("fd"));
    for round in 0..1000 {
        let tcp = TcpOptions::new(Security::PlaintextUnauthenticated);
        let transport = TcpTransport::bind(&address, tcp).unwrap();
        let (options, storage) = (options.clone(), MemoryStorage::new());
        let node = Node::start(options, storage, transport, Journal::default()).unwrap();
        if round % 2 == 0 {
            node.shutdown();
        }
    }
    wait_for("as many threads and files as before", || {
        ((count("task"), count("fd")) <= before).then_some(())
    });
}
