//! For those who run nodes: sizing, disks, timeouts, changes, disasters, what each signal means, and what
//! each error asks for.
//!
//! How to write a state machine, and a driver of one's own, is in [`raft_proto::guide`].

pub mod errors;
pub mod operations;
