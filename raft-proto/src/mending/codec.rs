//! One encoding of requests and replies. A driver may use another.
//!
//! | bytes | request |
//! |---|---|
//! | 8 each, little-endian | of entries: the first index, the last one, the most bytes |
//! | likewise | of all else: 2^64 - 1; 1 to 4 (digests, a snapshot, bytes of one, digests with origins); the index that a snapshot has to reach, or 0 |
//! | 8 each | bytes of a snapshot only: its last index and term, its size, its checksum, the first byte, how many |
//!
//! | first byte | reply |
//! |---|---|
//! | 0 | entries, each as index, term (8 bytes each), kind (1), length (4) and payload |
//! | 1 | the peer has not got that, or not the first of the entries |
//! | 2 | it cannot answer now |
//! | 3 | digests, each as index, term, kind (8 bytes each) and digest (16) |
//! | 4 | a snapshot, as index, term, size, checksum (8 bytes each) and its configuration |
//! | 5 | bytes of a snapshot |
//! | 6 | the number of snapshots (8 bytes), each as index, term, size, checksum, origin (8 bytes each); then digests, each as index, term, kind (8 bytes each), digest (16), and 0, or 1 and its origin (8) |
//!
//! No log has an entry 2^64 - 1. So a release that knows of entries alone replies 1 to the other
//! requests that are no longer than its own, and bytes of a snapshot are asked for only of a peer
//! that has replied 4. One that does not know of origins replies 1 to the fourth, and is asked for
//! digests.

use super::{Fetch, FetchReply, MAX_FETCH_BYTES, Request};
use crate::comparison::{Noted, SnapshotOrigin, StateDigest};
use crate::entries::{Entries, EntriesBuilder};
use crate::membership::Membership;
use crate::message::{SnapshotId, SnapshotMeta};
use crate::types::{EntryId, EntryKind, Index, NodeId, Term};
use alloc::vec;
use alloc::vec::Vec;
use bytes::{Buf, BufMut, Bytes};

/// With so many bytes every request begins.
pub const REQUEST_BYTES: usize = 24;
/// What follows if bytes of a snapshot are wanted.
const CHUNK_BYTES: usize = 48;
/// In place of the first index: the request is of something else.
const OTHER: u64 = u64::MAX;
const DIGESTS: u64 = 1;
const SNAPSHOT: u64 = 2;
const CHUNK: u64 = 3;
const NOTED: u64 = 4;
/// What comes before the payload of an entry.
const ENTRY_HEAD_BYTES: usize = 21;

/// The bytes of a request.
pub fn encode_request(request: &Request) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(REQUEST_BYTES + CHUNK_BYTES);
    let mut put = |numbers: &[u64]| numbers.iter().for_each(|number| bytes.put_u64_le(*number));
    match request {
        Request::Entries(fetch) => put(&[fetch.first.0, fetch.last.0, fetch.max_bytes]),
        Request::Digests => put(&[OTHER, DIGESTS, 0]),
        Request::Noted => put(&[OTHER, NOTED, 0]),
        Request::Snapshot { at_least } => put(&[OTHER, SNAPSHOT, at_least.0]),
        Request::Chunk {
            snapshot,
            offset,
            length,
        } => {
            let SnapshotId {
                last,
                size,
                checksum,
            } = *snapshot;
            put(&[OTHER, CHUNK, 0]);
            put(&[last.index.0, last.term.0, size, checksum.into()]);
            put(&[*offset, *length]);
        }
    }
    bytes
}

/// How many bytes follow those with which a request begins.
pub fn bytes_that_follow(begin: &[u8; REQUEST_BYTES]) -> usize {
    let mut begin = &begin[..];
    let is_chunk = (begin.get_u64_le(), begin.get_u64_le()) == (OTHER, CHUNK);
    if is_chunk { CHUNK_BYTES } else { 0 }
}

/// The request; `None` if this release does not know it. No request asks for more than
/// [`MAX_FETCH_BYTES`].
pub fn decode_request(mut bytes: &[u8]) -> Option<Request> {
    let first = bytes.try_get_u64_le().ok()?;
    let second = bytes.try_get_u64_le().ok()?;
    let third = bytes.try_get_u64_le().ok()?;
    let request = match (first, second) {
        (OTHER, DIGESTS) => Request::Digests,
        (OTHER, NOTED) => Request::Noted,
        (OTHER, SNAPSHOT) => Request::Snapshot {
            at_least: Index(third),
        },
        (OTHER, CHUNK) => Request::Chunk {
            snapshot: snapshot_id(&mut bytes)?,
            offset: bytes.try_get_u64_le().ok()?,
            length: bytes.try_get_u64_le().ok()?.min(MAX_FETCH_BYTES),
        },
        (OTHER, _) => return None,
        (first, last) => Request::Entries(Fetch {
            first: Index(first),
            last: Index(last),
            max_bytes: third.min(MAX_FETCH_BYTES),
        }),
    };
    bytes.is_empty().then_some(request)
}

fn snapshot_id(bytes: &mut impl Buf) -> Option<SnapshotId> {
    let last = entry_id(bytes)?;
    Some(SnapshotId {
        last,
        size: bytes.try_get_u64_le().ok()?,
        checksum: u32::try_from(bytes.try_get_u64_le().ok()?).ok()?,
    })
}

fn entry_id(bytes: &mut impl Buf) -> Option<EntryId> {
    Some(EntryId {
        index: Index(bytes.try_get_u64_le().ok()?),
        term: Term(bytes.try_get_u64_le().ok()?),
    })
}

/// The bytes of a reply.
pub fn encode_reply(reply: &FetchReply) -> Vec<u8> {
    match reply {
        FetchReply::Entries(entries) => encode_entries(entries),
        FetchReply::HaveNot => vec![1],
        FetchReply::Unreachable => vec![2],
        FetchReply::Digests(digests) => {
            let mut bytes = vec![3];
            digests.iter().for_each(|it| put_digest(&mut bytes, it));
            bytes
        }
        FetchReply::Noted(noted) => encode_noted(noted),
        FetchReply::Snapshot(meta) => {
            let mut bytes = vec![4];
            put_snapshot_id(&mut bytes, meta.id);
            bytes.put_slice(&meta.membership.encode());
            bytes
        }
        FetchReply::Chunk(data) => {
            let mut bytes = Vec::with_capacity(1 + data.len());
            bytes.put_u8(5);
            bytes.put_slice(data);
            bytes
        }
    }
}

fn put_snapshot_id(bytes: &mut Vec<u8>, id: SnapshotId) {
    let SnapshotId {
        last,
        size,
        checksum,
    } = id;
    for number in [last.index.0, last.term.0, size, checksum.into()] {
        bytes.put_u64_le(number);
    }
}

/// All but its origin.
fn put_digest(bytes: &mut Vec<u8>, digest: &StateDigest) {
    let EntryId { index, term } = digest.after;
    bytes.put_u64_le(index.0);
    bytes.put_u64_le(term.0);
    bytes.put_u64_le(digest.kind);
    bytes.put_u128_le(digest.value);
}

fn encode_noted(noted: &Noted) -> Vec<u8> {
    let mut bytes = vec![6];
    bytes.put_u64_le(noted.snapshots.len() as u64);
    for SnapshotOrigin { snapshot, origin } in &noted.snapshots {
        put_snapshot_id(&mut bytes, *snapshot);
        bytes.put_u64_le(origin.0);
    }
    for digest in &noted.digests {
        put_digest(&mut bytes, digest);
        bytes.put_u8(digest.origin.is_some().into());
        if let Some(origin) = digest.origin {
            bytes.put_u64_le(origin.0);
        }
    }
    bytes
}

fn encode_entries(entries: &Entries) -> Vec<u8> {
    let payloads = usize::try_from(entries.bytes()).unwrap_or_default(); // It is in memory.
    let mut bytes = Vec::with_capacity(1 + payloads + entries.len() * ENTRY_HEAD_BYTES);
    bytes.put_u8(0);
    for entry in entries {
        bytes.put_u64_le(entry.index().0);
        bytes.put_u64_le(entry.term().0);
        bytes.put_u8(match entry.kind() {
            EntryKind::Noop => 0,
            EntryKind::Command => 1,
            EntryKind::Membership => 2,
        });
        // Entries are limited far below that; a longer one is not read by the peer.
        bytes.put_u32_le(u32::try_from(entry.payload().len()).unwrap_or(u32::MAX));
        bytes.put_slice(entry.payload());
    }
    bytes
}

/// The reply; `None` if these bytes are none. Payloads share the memory of `bytes`.
pub fn decode_reply(mut bytes: Bytes) -> Option<FetchReply> {
    match bytes.try_get_u8().ok()? {
        0 => entries(bytes).map(FetchReply::Entries),
        1 if bytes.is_empty() => Some(FetchReply::HaveNot),
        2 if bytes.is_empty() => Some(FetchReply::Unreachable),
        3 => digests(bytes).map(FetchReply::Digests),
        4 => {
            let id = snapshot_id(&mut bytes)?;
            let membership = Membership::decode(&bytes)?;
            Some(FetchReply::Snapshot(SnapshotMeta { id, membership }))
        }
        5 => Some(FetchReply::Chunk(bytes)),
        6 => noted(bytes).map(FetchReply::Noted),
        _ => None,
    }
}

fn digests(mut bytes: Bytes) -> Option<Vec<StateDigest>> {
    let mut digests = Vec::new();
    while !bytes.is_empty() {
        digests.push(digest(&mut bytes)?);
    }
    Some(digests)
}

/// All but its origin.
fn digest(bytes: &mut Bytes) -> Option<StateDigest> {
    Some(StateDigest {
        after: entry_id(bytes)?,
        kind: bytes.try_get_u64_le().ok()?,
        value: bytes.try_get_u128_le().ok()?,
        origin: None,
    })
}

fn noted(mut bytes: Bytes) -> Option<Noted> {
    let mut noted = Noted::default();
    for _ in 0..bytes.try_get_u64_le().ok()? {
        noted.snapshots.push(SnapshotOrigin {
            snapshot: snapshot_id(&mut bytes)?,
            origin: NodeId(bytes.try_get_u64_le().ok()?),
        });
    }
    while !bytes.is_empty() {
        let digest = digest(&mut bytes)?;
        let origin = match bytes.try_get_u8().ok()? {
            0 => None,
            1 => Some(NodeId(bytes.try_get_u64_le().ok()?)),
            _ => return None,
        };
        noted.digests.push(StateDigest { origin, ..digest });
    }
    Some(noted)
}

fn entries(mut bytes: Bytes) -> Option<Entries> {
    let mut entries = EntriesBuilder::new();
    while !bytes.is_empty() {
        let id = entry_id(&mut bytes)?;
        let kind = match bytes.try_get_u8().ok()? {
            0 => EntryKind::Noop,
            1 => EntryKind::Command,
            2 => EntryKind::Membership,
            _ => return None,
        };
        let length = usize::try_from(bytes.try_get_u32_le().ok()?).ok()?;
        if length > bytes.len() {
            return None;
        }
        let payload = bytes.split_to(length);
        entries.push(id, kind, payload).ok()?;
    }
    Some(entries.finish())
}
