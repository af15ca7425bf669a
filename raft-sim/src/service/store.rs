//! What a service stores: the keys and values of the built-in one, or a state machine of the user's
//! own.

use super::command::{Answer, Operation};
use super::custom::{Custom, CustomReplica, Observed};
use bytes::Bytes;
use raft_proto::{Entry, EntryId};
use std::collections::BTreeMap;

/// The state that operations read and change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// The key/value store.
    Keys(BTreeMap<u64, Bytes>),
    /// A state machine of the user's own.
    Custom(Custom),
}

/// The state as a snapshot holds it.
pub(super) enum StoredState<'a> {
    Keys(&'a BTreeMap<u64, Bytes>),
    Custom(Bytes),
}

impl Default for Store {
    /// A key/value store without keys.
    fn default() -> Store {
        Store::Keys(BTreeMap::new())
    }
}

impl Store {
    pub(super) fn of(replica: Box<dyn CustomReplica>) -> Store {
        Store::Custom(Custom::new(replica))
    }

    /// Runs the operation of `entry`.
    pub(super) fn run(&mut self, entry: &Entry<'_>, operation: Operation<&[u8]>) -> Answer {
        match self {
            Store::Keys(keys) => run(keys, entry, operation),
            Store::Custom(custom) => match operation {
                Operation::Call { command } => custom.call(entry.id(), command),
                Operation::Get { .. }
                | Operation::Set { .. }
                | Operation::Append { .. }
                | Operation::CompareAndSet { .. }
                | Operation::Delete { .. } => Answer::NotServed,
            },
        }
    }

    pub(super) fn get(&self, key: u64) -> Option<&Bytes> {
        match self {
            Store::Keys(keys) => keys.get(&key),
            Store::Custom(_) => None,
        }
    }

    pub(super) fn keys(&self) -> usize {
        match self {
            Store::Keys(keys) => keys.len(),
            Store::Custom(_) => 0,
        }
    }

    pub(super) fn stored(&self) -> StoredState<'_> {
        match self {
            Store::Keys(keys) => StoredState::Keys(keys),
            Store::Custom(custom) => StoredState::Custom(custom.snapshot()),
        }
    }

    pub(super) fn strike(&mut self, fault: usize, last: EntryId) {
        match self {
            Store::Keys(_) => {}
            Store::Custom(custom) => custom.strike(fault, last),
        }
    }

    pub(super) fn take_observed(&mut self) -> Option<Observed> {
        match self {
            Store::Keys(_) => None,
            Store::Custom(custom) => Some(custom.take_observed()),
        }
    }
}

/// Runs the operation of `entry`. What it stores is a part of the payload, not a copy.
fn run(keys: &mut BTreeMap<u64, Bytes>, entry: &Entry<'_>, operation: Operation<&[u8]>) -> Answer {
    let share = |part: &[u8]| entry.share_payload().slice_ref(part);
    match operation {
        Operation::Get { key } => Answer::Value(keys.get(&key).cloned()),
        Operation::Set { key, value } => {
            keys.insert(key, share(value));
            Answer::Done
        }
        Operation::Append { key, value } => {
            let joined = match keys.get(&key) {
                Some(before) => [before, value].concat().into(),
                None => share(value),
            };
            keys.insert(key, joined);
            Answer::Done
        }
        Operation::CompareAndSet { key, expected, new } => {
            let swaps = keys.get(&key).map(|value| &value[..]) == expected;
            if swaps {
                keys.insert(key, share(new));
            }
            Answer::Swapped(swaps)
        }
        Operation::Delete { key } => {
            keys.remove(&key);
            Answer::Done
        }
        Operation::Call { .. } => Answer::NotServed,
    }
}
