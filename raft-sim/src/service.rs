//! The replicated service that a simulated cluster runs: a chain of hashes over all commands.
//!
//! It forgets everything but one number, and that number tells whether two servers applied the
//! same commands in the same order. Its snapshots carry the number and are padded to the size
//! that the run asks for, so that they travel in several chunks.

use bytes::Bytes;
use raft_proto::{Checksum, Entries, EntryId, EntryKind, SnapshotId};
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// The state of one server's service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// The last entry applied.
    pub last: EntryId,
    /// How many commands were applied: entries without those of the core itself.
    pub commands: u64,
    /// The chain of hashes.
    pub state: u64,
}

/// A snapshot that cannot be what a service of this kind wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a snapshot of {0} bytes, damaged or not one of this service's")]
pub struct DamagedSnapshot(pub usize);

impl Service {
    /// The bytes that a snapshot needs at least.
    pub const LEAST_SNAPSHOT: usize = 32;

    /// Applies what a core handed out.
    pub fn apply(&mut self, entries: &Entries) {
        for entry in entries {
            self.last = entry.id();
            if entry.kind() == EntryKind::Command {
                let mut hasher = FxHasher::default();
                hasher.write_u64(self.state);
                hasher.write(entry.payload());
                self.state = hasher.finish();
                self.commands += 1;
            }
        }
    }

    /// Writes a snapshot of `size` bytes, or a few more if they are needed.
    pub fn snapshot(&self, size: u64) -> (SnapshotId, Bytes) {
        let size = usize::try_from(size).unwrap_or(Self::LEAST_SNAPSHOT);
        let mut data = Vec::with_capacity(size.max(Self::LEAST_SNAPSHOT));
        let EntryId { index, term } = self.last;
        for number in [index.0, term.0, self.commands, self.state] {
            data.extend_from_slice(&number.to_le_bytes());
        }
        let padding = (data.len()..size).map(|at| (at as u64 ^ self.state) as u8);
        data.extend(padding);
        let id = SnapshotId {
            last: self.last,
            size: data.len() as u64,
            checksum: Checksum::of(&data),
        };
        (id, data.into())
    }

    /// The service that wrote a snapshot.
    ///
    /// # Errors
    ///
    /// [`DamagedSnapshot`] if none did.
    pub fn restore(data: &[u8]) -> Result<Service, DamagedSnapshot> {
        let number = |at: usize| {
            let bytes = data.get(at * 8..at * 8 + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let numbers = (number(0), number(1), number(2), number(3));
        let (Some(index), Some(term), Some(commands), Some(state)) = numbers else {
            return Err(DamagedSnapshot(data.len()));
        };
        let service = Service {
            last: EntryId::new(index, term),
            commands,
            state,
        };
        match service.snapshot(data.len() as u64).1 == data {
            true => Ok(service),
            false => Err(DamagedSnapshot(data.len())),
        }
    }
}
