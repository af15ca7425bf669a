//! Streams on which a node fetches entries that its disk has lost: one request, and one reply.
//!
//! | bytes | request |
//! |---|---|
//! | 8 each, little-endian | the first index, the last one, the most bytes |
//!
//! The reply is four bytes of length and as many more: 0, 1 or 2 (entries, it has not got the first
//! of them, it cannot answer now), and the entries, each as index, term (8 bytes each), kind (1),
//! length (4) and payload.

use super::frame;
use crate::transport::EntrySource;
use bytes::{Buf, BufMut, Bytes};
use raft_proto::mending::{Fetch, FetchReply, MAX_FETCH_BYTES};
use raft_proto::wire::Limits;
use raft_proto::{Entries, EntriesBuilder, EntryId, EntryKind, Index, Term};
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

const REQUEST_BYTES: usize = 24;
/// What comes before the payload of an entry.
const ENTRY_HEAD_BYTES: usize = 21;

/// So many bytes of a reply have to come within the time in which something has to come; the first
/// ones within twice that.
const PACE_BYTES: u32 = 64 << 10;

/// A stream from which a reply has to come at a pace: who sends a byte now and then, or nothing but
/// empty frames, has not answered.
struct Paced<'a, S> {
    stream: &'a mut S,
    silence: Duration,
    begun: Instant,
    read: u64,
}

impl<S: Read> Read for Paced<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pieces = u32::try_from(self.read / u64::from(PACE_BYTES)).unwrap_or(u32::MAX);
        let limit = self.silence.saturating_mul(pieces.saturating_add(2));
        if self.begun.elapsed() > limit {
            let what = "the reply comes too slowly";
            return Err(io::Error::new(io::ErrorKind::TimedOut, what));
        }
        let read = self.stream.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

/// Asks for entries. Something has to come within `silence`.
pub(super) fn fetch(
    stream: &mut (impl Read + Write),
    limits: &Limits,
    silence: Duration,
    fetch: &Fetch,
) -> io::Result<FetchReply> {
    let mut request = Vec::with_capacity(REQUEST_BYTES);
    for number in [fetch.first.0, fetch.last.0, fetch.max_bytes] {
        request.put_u64_le(number);
    }
    stream.write_all(&request)?;
    stream.flush()?;
    // An entry takes twice the bytes that count for it at most, and one may be as long as a frame.
    let most = 2 * MAX_FETCH_BYTES + limits.max_frame_bytes;
    let mut paced = Paced {
        stream,
        silence,
        begun: Instant::now(),
        read: 0,
    };
    let mut length = frame::STILL_HERE;
    paced.read_exact(&mut length)?;
    if length == frame::STILL_HERE {
        // It would be skipped, and any number of others behind it.
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no reply"));
    }
    let reply = frame::read(&mut Read::chain(&length[..], paced), most)?;
    let reply = reply.ok_or(io::ErrorKind::UnexpectedEof)?;
    decode(reply).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is no reply"))
}

/// Answers the request that comes on this stream.
pub(super) fn serve(stream: &mut (impl Read + Write), source: &dyn EntrySource) -> io::Result<()> {
    let mut request = [0; REQUEST_BYTES];
    stream.read_exact(&mut request)?;
    let mut request = &request[..];
    let fetch = Fetch {
        first: Index(request.get_u64_le()),
        last: Index(request.get_u64_le()),
        max_bytes: request.get_u64_le().min(MAX_FETCH_BYTES),
    };
    let reply = encode(&source.fetch(&fetch));
    let length = u32::try_from(reply.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_le_bytes())?;
    stream.write_all(&reply)?;
    stream.flush()
}

fn encode(reply: &FetchReply) -> Vec<u8> {
    let entries = match reply {
        FetchReply::Entries(entries) => entries,
        FetchReply::HaveNot => return vec![1],
        FetchReply::Unreachable => return vec![2],
    };
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

/// `None` if these bytes are no reply.
fn decode(mut bytes: Bytes) -> Option<FetchReply> {
    match bytes.try_get_u8().ok()? {
        0 => entries(bytes).map(FetchReply::Entries),
        1 if bytes.is_empty() => Some(FetchReply::HaveNot),
        2 if bytes.is_empty() => Some(FetchReply::Unreachable),
        _ => None,
    }
}

fn entries(mut bytes: Bytes) -> Option<Entries> {
    let mut entries = EntriesBuilder::new();
    while !bytes.is_empty() {
        let index = Index(bytes.try_get_u64_le().ok()?);
        let term = Term(bytes.try_get_u64_le().ok()?);
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
        entries.push(EntryId { index, term }, kind, payload).ok()?;
    }
    Some(entries.finish())
}
