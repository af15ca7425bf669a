//! `raft-kv`: a replicated key/value store that speaks the protocol of Redis.

pub mod cli;
pub mod client;
pub mod config;
pub mod folder;
pub mod offline;
pub mod resp;
pub mod server;
pub mod settings;
pub mod state;
pub mod status;
