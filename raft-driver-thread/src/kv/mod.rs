//! `raft-kv`: a replicated key/value store that speaks the protocol of Redis.

pub mod resp;
pub mod settings;
pub mod state;
pub mod status;
