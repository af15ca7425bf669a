//! What the tests share: messages, a cluster of cores in memory, states that several files start
//! from, a storage to recover from, and frames of the wire format.
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::wildcard_enum_match_arm)]

mod cluster;
mod fixtures;
pub mod frames;
pub mod links;
mod messages;
pub mod storage;

pub use cluster::*;
pub use fixtures::*;
pub use messages::*;
pub use storage::store;
