//! The state at one moment.

use super::address::ServerAddress;
use super::command::Command;
use super::keyspace::{Key, Keyspace, StoredName, Value};
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
    /// Also those that have expired, and that were still to be removed.
    pub(super) keys: Keyspace,
    pub(super) key_count: u64,
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
        self.key_count
    }

    /// The keys after `key`, all if it is `None`, with their values. In order.
    pub(super) fn keys_after(
        &self,
        key: Option<Key>,
    ) -> impl Iterator<Item = (StoredName<'_>, &Value)> {
        let keys = self.keys.after(key);
        keys.filter(|(_, value)| value.is_alive_at(self.time))
    }

    /// Runs commands that only read, as [`Machine::query_all`](super::Machine::query_all) does. So
    /// the machine goes on while a command looks at all keys.
    pub fn query_all(&self, commands: &[Command]) -> Vec<Reply> {
        let query = Query {
            keys: &self.keys,
            time: self.time,
            count: self.key_count,
        };
        query.answer_all(commands)
    }
}
