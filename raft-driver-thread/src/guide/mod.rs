//! For those who run nodes: sizing, disks, timeouts, changes, disasters, what each signal means,
//! and what each error asks for.
//!
//! How to write a state machine, and a driver of one's own, is in [`raft_proto::guide`].
//!
//! # Test your service
//!
//! The crate `raft-sim` has a test kit for that: `raft_sim::kit` puts a state machine under
//! crashes, partitions and restarts from snapshots in an ordinary `cargo test`, with a seed that
//! repeats each failure. With its feature `driver`, `kit::Driven` takes a
//! [`StateMachine`](crate::StateMachine) as it is. It calls the machine without a node: no
//! thread, socket or file is needed.
//!
//! Add it to the `[dev-dependencies]` with `default-features = false` and `features = ["driver"]`.

pub mod errors;
pub mod operations;
