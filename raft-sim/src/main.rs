//! The command `raft-sim`.
#![forbid(unsafe_code)]
fn main() {}
