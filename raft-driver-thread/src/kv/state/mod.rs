//! The replicated state: what commands mean, the keys, the sessions, the servers. Deterministic,
//! and without any I/O but that of snapshots.

pub mod command;
pub mod entry;
pub mod reply;

pub use command::{Command, Condition, Expiry, Set};
pub use entry::{Answer, Body, Entry, Origin, Server};
pub use reply::Reply;
