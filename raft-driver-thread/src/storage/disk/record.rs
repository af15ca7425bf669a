//! The database's records: postcard, then the CRC-32 of key and value.

use raft_proto::{Checksum, Index};
use serde::{Deserialize, Serialize};

/// What every batch writes.
pub(super) const META: &[u8] = &[0];
/// Who the storage belongs to.
pub(super) const IDENTITY: &[u8] = &[1];
/// The current snapshot, with its members.
pub(super) const SNAPSHOT: &[u8] = &[2];
/// Begins the keys of entries, which go on with the first one's index.
pub(super) const ENTRIES: u8 = 3;

const CHECKSUM_BYTES: usize = 4;

/// The key of the record that begins with this entry: in order of the bytes as of the indexes.
pub(super) fn key(first: Index) -> [u8; 9] {
    let mut key = [ENTRIES; 9];
    key[1..].copy_from_slice(&first.0.to_be_bytes());
    key
}

fn checksum(key: &[u8], value: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut checksum = Checksum::new();
    checksum.update(key);
    checksum.update(value);
    checksum.value().to_le_bytes()
}

pub(super) fn encode(key: &[u8], value: &impl Serialize) -> Result<Vec<u8>, String> {
    let mut bytes = postcard::to_allocvec(value).map_err(|error| error.to_string())?;
    let checksum = checksum(key, &bytes);
    bytes.extend_from_slice(&checksum);
    Ok(bytes)
}

pub(super) fn decode<T: for<'a> Deserialize<'a>>(key: &[u8], bytes: &[u8]) -> Result<T, String> {
    let Some((value, stored)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(format!("record {key:02x?} is cut short"));
    };
    if checksum(key, value) != *stored {
        return Err(format!("record {key:02x?} does not fit its checksum"));
    }
    let decoded = postcard::from_bytes(value);
    decoded.map_err(|error| format!("record {key:02x?}: {error}"))
}
