//! The example in the README runs.
#![cfg(all(feature = "tcp", feature = "disk"))]
#![allow(clippy::unwrap_used)]

#[path = "../examples/counter.rs"]
#[allow(unreachable_pub)]
mod counter;

#[test]
fn the_counter_counts_on_after_all_nodes_were_killed() {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners = [free(), free(), free()];
    let ports = listeners.map(|listener| listener.local_addr().unwrap().port());
    counter::run(ports).unwrap();
}
