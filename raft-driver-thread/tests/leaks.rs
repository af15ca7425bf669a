//! Nodes that stop leave nothing behind. By itself: it counts what the process has.
#![cfg(all(feature = "tcp", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::Node;
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use std::fs;
use support::{Journal, until};

fn counted(what: &str) -> usize {
    fs::read_dir(format!("/proc/self/{what}")).unwrap().count()
}

#[test]
fn a_thousand_starts_and_stops_leak_no_thread_file_or_port() {
    let mut address = "127.0.0.1:0".to_owned();
    let before = (counted("task"), counted("fd"));
    for round in 0..1000 {
        let options = TcpOptions::new(Security::PlaintextUnauthenticated);
        let transport = TcpTransport::bind(&address, options).unwrap();
        address = transport.local_address().to_string(); // The same from now on.
        let storage = MemoryStorage::new();
        let node = Node::start(
            support::options(1, 1),
            storage,
            transport,
            Journal::default(),
        )
        .unwrap();
        match round % 2 {
            0 => drop(node.shutdown()),
            _ => drop(node),
        }
    }
    until("as many threads and files as before", || {
        ((counted("task"), counted("fd")) <= before).then_some(())
    });
}
