//! Snapshots: the whole state in a file, padded to the size that a run asks for, so that it
//! travels in several chunks.
//!
//! A file is a checksum of the rest, the state, and padding that follows from the state. The core
//! compares checksums of its own. This one is for a fault that the core cannot see: a disk that
//! returns other bytes than it was given.

use super::Service;
use super::session::Sessions;
use super::store::{Store, StoredState};
use bytes::Bytes;
use raft_proto::{Checksum, EntryId, SnapshotId};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A snapshot that no service of this kind wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a snapshot of {0} bytes, damaged or not one of this service's")]
pub struct DamagedSnapshot(pub usize);

/// The length of the checksum in bytes.
const CHECKSUM: usize = 4;

impl Service {
    /// Writes a snapshot of `size` bytes, or more if the state needs them. Equal services write
    /// equal snapshots.
    pub fn snapshot(&self, size: u64) -> (SnapshotId, Bytes) {
        match self.store.stored() {
            StoredState::Keys(keys) => file(self.last, &keys, &self.sessions, size),
            StoredState::Custom(state) => file(self.last, &state, &self.sessions, size),
        }
    }

    /// The service that wrote a snapshot.
    ///
    /// # Errors
    ///
    /// [`DamagedSnapshot`] if no service wrote it.
    pub fn restore(data: &[u8]) -> Result<Service, DamagedSnapshot> {
        let (last, keys, sessions) = read(data)?;
        let store = Store::Keys(keys);
        Ok(Service {
            last,
            store,
            sessions,
        })
    }

    /// Takes over the state of the service that wrote a snapshot.
    ///
    /// # Errors
    ///
    /// [`DamagedSnapshot`] if no service wrote it.
    pub(crate) fn take_over(&mut self, data: &[u8]) -> Result<(), DamagedSnapshot> {
        let Store::Custom(custom) = &mut self.store else {
            *self = Service::restore(data)?;
            return Ok(());
        };
        let (last, state, sessions): (EntryId, Bytes, Sessions) = read(data)?;
        self.last = last;
        self.sessions = sessions;
        custom.restore(last, &state);
        Ok(())
    }
}

/// The file of a snapshot, `size` bytes long, or more if the state needs them.
fn file<State: Serialize>(
    last: EntryId,
    state: &State,
    sessions: &Sessions,
    size: u64,
) -> (SnapshotId, Bytes) {
    // Writing to memory does not fail.
    let data = postcard::to_extend(&(last, state, sessions), vec![0; CHECKSUM]);
    let mut data = data.unwrap_or_default();
    let size = usize::try_from(size).unwrap_or_default();
    // The padding differs for each state, so that a mixture of two snapshots shows.
    let salt = Checksum::of(&data);
    data.extend((data.len()..size).map(|at| (at as u32 ^ salt) as u8));
    if let Some((checksum, rest)) = data.split_first_chunk_mut::<CHECKSUM>() {
        *checksum = Checksum::of(rest).to_le_bytes();
    }
    let id = SnapshotId {
        last,
        size: data.len() as u64,
        checksum: Checksum::of(&data),
    };
    (id, data.into())
}

/// The contents of a file.
fn read<State: Serialize + DeserializeOwned>(
    data: &[u8],
) -> Result<(EntryId, State, Sessions), DamagedSnapshot> {
    let damaged = DamagedSnapshot(data.len());
    let rest = data.get(CHECKSUM..).ok_or(damaged)?;
    let (contents, _) = postcard::take_from_bytes(rest).map_err(|_| damaged)?;
    let (last, state, sessions): (EntryId, State, Sessions) = contents;
    // Only one file of this length is right. This compares its checksum, its padding, the order
    // of its contents and the lengths of its numbers all at once.
    let is_right = sessions.are_possible(last.index)
        && file(last, &state, &sessions, data.len() as u64).1 == data;
    is_right.then_some((last, state, sessions)).ok_or(damaged)
}
