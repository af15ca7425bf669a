//! Frames of bytes, for a stream and for a log: a length, a checksum, and the body.
//!
//! The core asks its driver for two things that a checksum gives: bytes arrive as they were sent,
//! and a write takes effect whole or not at all. What a crash tore does not match its checksum.

extern crate alloc;

use alloc::vec::Vec;
use raft_proto::Checksum;

/// The length and the checksum, four bytes each, the lowest first.
pub(crate) const HEADER: usize = 8;

/// The bytes are no frame: they were damaged, or torn by a crash.
#[derive(Debug, thiserror::Error)]
#[error("a frame is damaged")]
pub(crate) struct Damaged;

/// Appends the frame of `body`, which is not empty.
pub(crate) fn append(out: &mut Vec<u8>, body: &[u8]) {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&Checksum::of(body).to_le_bytes());
    out.extend_from_slice(body);
}

/// How long the body is to which this header belongs.
pub(crate) fn body_length(header: [u8; HEADER], max_body: u64) -> Result<usize, Damaged> {
    let [l0, l1, l2, l3, ..] = header;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    // Zeros are no frame: a crash can leave a file longer than what was written into it.
    if length == 0 || u64::from(length) > max_body {
        return Err(Damaged);
    }
    usize::try_from(length).map_err(|_| Damaged)
}

/// The body of the first frame in `bytes`, or `None` if more bytes are needed to tell. A frame
/// takes [`HEADER`] bytes beside its body.
pub(crate) fn first(bytes: &[u8], max_body: u64) -> Result<Option<&[u8]>, Damaged> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let Some(body) = rest.get(..body_length(*header, max_body)?) else {
        return Ok(None);
    };
    let [.., c0, c1, c2, c3] = *header;
    if Checksum::of(body) == u32::from_le_bytes([c0, c1, c2, c3]) {
        Ok(Some(body))
    } else {
        Err(Damaged)
    }
}
