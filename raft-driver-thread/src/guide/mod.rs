//! For those who run nodes: sizing, disks, timeouts, changes, disasters, and what each signal
//! means.
//!
//! How to write a state machine, and a driver of one's own, is in [`raft_proto::guide`].

pub mod operations;
