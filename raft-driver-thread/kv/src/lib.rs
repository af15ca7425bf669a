//! `raft-kv`: a replicated key/value store that speaks the protocol of Redis.

pub mod cli;
pub mod client;
pub mod config;
pub mod data_dir;
pub mod recovery;
pub mod resp;
pub mod server;
pub mod settings;
pub mod state;
pub mod status;
