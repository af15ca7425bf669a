//! The example in the README is the one in `examples`, and does what it says.
#![cfg(all(feature = "tcp", feature = "disk", feature = "sessions"))]
#![allow(clippy::unwrap_used)]

mod support;

#[path = "../examples/counter.rs"]
#[allow(unreachable_pub)]
mod counter;

#[test]
fn the_counter_counts_on_after_all_nodes_were_killed_and_counts_each_command_once() {
    let data_dir = tempfile::tempdir().unwrap();
    let ports = [0; 3].map(|_| support::ports::free_port());
    let count = counter::run(ports, data_dir.path()).unwrap();
    assert_eq!(count, 6, "three in each of two rounds");
}

#[test]
fn the_readme_shows_the_whole_example() {
    let readme = include_str!("../README.md");
    let example = include_str!("../examples/counter.rs");
    assert!(
        readme.contains(example.trim_end()),
        "the README's text differs from examples/counter.rs"
    );
}
