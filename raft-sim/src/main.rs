//! Simulates clusters of `raft-proto` from one seed.
fn main() {}
