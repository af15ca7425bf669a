//! The example in the README is what it says, and runs.
#![cfg(all(feature = "tcp", feature = "disk"))]
#![allow(clippy::unwrap_used)]

#[path = "../examples/counter.rs"]
#[allow(unreachable_pub)]
mod counter;

#[test]
fn the_counter_counts_on_after_all_nodes_were_killed() {
    let folder = tempfile::tempdir().unwrap();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners = [free(), free(), free()];
    let ports = listeners.map(|listener| listener.local_addr().unwrap().port());
    counter::run(ports, folder.path()).unwrap();
}

#[test]
fn the_readme_shows_the_example_whole() {
    let readme = include_str!("../README.md");
    let example = include_str!("../examples/counter.rs");
    assert!(
        readme.contains(example.trim_end()),
        "the README shows another example"
    );
}
