//! States, their snapshots, and the keys of backups, for the tests of the state machine.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use raft_driver_thread::StateMachine;
use raft_kv::state::{Machine, StoredKey};
use std::io;

/// The bytes of a text.
pub fn b(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// A key of a backup.
pub fn stored(name: &str, value: impl Into<Bytes>, expiry: Option<u64>) -> StoredKey {
    StoredKey {
        name: b(name),
        value: value.into(),
        expiry,
    }
}

/// The bytes of a snapshot.
pub fn snapshot(machine: &mut Machine) -> Vec<u8> {
    let mut bytes = Vec::new();
    Machine::write_snapshot(machine.snapshot(), &mut bytes).unwrap();
    bytes
}

/// The machine that a snapshot restores.
pub fn restored(bytes: &[u8]) -> io::Result<Machine> {
    let mut machine = Machine::new();
    machine.restore(&mut &*bytes)?;
    Ok(machine)
}
