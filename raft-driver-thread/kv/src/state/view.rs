//! The state at one moment.

use super::address::ServerAddress;
use super::command::Command;
use super::keyspace::Keyspace;
use super::query::Query;
use super::reply::Reply;
use super::sessions::KeptReplies;
use raft_driver_thread::sessions::TableSnapshot;
use std::collections::BTreeMap;

/// The state at one moment, which stays as it is while the machine goes on.
///
/// Taking a view and copying it cost almost nothing: it shares its parts with the machine. While
/// it is kept, memory is needed for what changes in the machine.
#[derive(Clone, Debug)]
pub struct View {
    pub(super) time: u64,
    pub(super) keys: Keyspace,
    pub(super) sessions: TableSnapshot<KeptReplies>,
    pub(super) addresses: BTreeMap<u64, ServerAddress>,
}

impl View {
    /// The state's time: milliseconds since 1970.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// How many keys there are.
    pub fn key_count(&self) -> u64 {
        self.keys.len() as u64
    }

    /// Runs commands that only read, as [`Machine::query_all`](super::Machine::query_all) does. So
    /// the machine goes on while a command looks at all keys.
    pub fn query_all(&self, commands: &[Command]) -> Vec<Reply> {
        let query = Query {
            keys: &self.keys,
            time: self.time,
        };
        query.answer_all(commands)
    }
}
