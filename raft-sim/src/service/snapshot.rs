//! Snapshots: the whole state in a file, padded to the size that a run asks for, so that it
//! travels in several chunks.
//!
//! A file is a checksum of the rest, the state, and padding that follows from the state. The core
//! compares checksums of its own. This one is for a fault that the core cannot see: a disk that
//! returns other bytes than it was given.

use super::Service;
use super::session::Sessions;
use bytes::Bytes;
use raft_proto::{Checksum, EntryId, SnapshotId};
use std::collections::BTreeMap;

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
        let state = (self.last, &self.keys, &self.sessions);
        // Writing to memory does not fail.
        let mut data = postcard::to_extend(&state, vec![0; CHECKSUM]).unwrap_or_default();
        let size = usize::try_from(size).unwrap_or_default();
        // The padding differs for each state, so that a mixture of two snapshots shows.
        let salt = Checksum::of(&data);
        data.extend((data.len()..size).map(|at| (at as u32 ^ salt) as u8));
        if let Some((checksum, rest)) = data.split_first_chunk_mut::<CHECKSUM>() {
            *checksum = Checksum::of(rest).to_le_bytes();
        }
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
    /// [`DamagedSnapshot`] if no service wrote it.
    pub fn restore(data: &[u8]) -> Result<Service, DamagedSnapshot> {
        Service::read(data).ok_or(DamagedSnapshot(data.len()))
    }

    fn read(data: &[u8]) -> Option<Service> {
        type State = (EntryId, BTreeMap<u64, Bytes>, Sessions);
        let rest = data.get(CHECKSUM..)?;
        let ((last, keys, sessions), _) = postcard::take_from_bytes::<State>(rest).ok()?;
        if !sessions.are_possible(last.index) {
            return None;
        }
        let service = Service {
            last,
            keys,
            sessions,
        };
        // Only one file of this length is right. This compares its checksum, its padding, the order
        // of its contents and the lengths of its numbers all at once.
        (service.snapshot(data.len() as u64).1 == data).then_some(service)
    }
}
