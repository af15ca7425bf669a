//! Drives [`raft_proto`] with real threads, sockets, disks and wall time.

pub mod inbox;
pub mod storage;
pub mod transport;
