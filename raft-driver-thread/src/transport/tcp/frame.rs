//! Frames: many in one vectored write, one after another in reading.

use bytes::Bytes;
use raft_proto::Message;
use raft_proto::wire::{self, Envelope};
use std::io::{self, IoSlice, Read, Write};

/// Payloads below this are copied, which costs less than a buffer of their own in the write.
const COPIED_BELOW: usize = 4096;

/// The most buffers that one write may have on all systems.
const MAX_SLICES: usize = 1024;

const LENGTH_BYTES: usize = 4;

/// So much memory is taken before anything has come.
const TAKEN_AT_ONCE: u64 = 64 << 10;

/// Writes all messages; large payloads go out from where they lie.
pub(super) fn write_all(
    stream: &mut dyn Write,
    envelope: &Envelope,
    messages: &[Message],
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    buffer.clear();
    let large = encode(envelope, messages, COPIED_BELOW, buffer)?;
    let mut slices = Vec::with_capacity(2 * large.len() + 1);
    let mut at = 0;
    for (place, payload) in large {
        slices.push(IoSlice::new(&buffer[at..place]));
        slices.push(IoSlice::new(payload));
        at = place;
    }
    slices.push(IoSlice::new(&buffer[at..]));
    write_slices(stream, &mut slices)?;
    stream.flush()
}

/// All messages in one piece.
pub(super) fn encode_all(
    envelope: &Envelope,
    messages: &[Message],
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    encode(envelope, messages, usize::MAX, buffer).map(drop)
}

/// Appends all messages to the buffer, but for payloads from that length on: those are returned
/// with the place in the buffer where each belongs.
fn encode<'a>(
    envelope: &Envelope,
    messages: &'a [Message],
    copied_below: usize,
    buffer: &mut Vec<u8>,
) -> io::Result<Vec<(usize, &'a [u8])>> {
    let mut large = Vec::new();
    for message in messages {
        let begin = buffer.len();
        buffer.extend_from_slice(&[0; LENGTH_BYTES]);
        wire::encode_header_into(buffer, envelope, message);
        let mut beside = 0;
        for payload in wire::payloads(message) {
            if payload.len() < copied_below {
                buffer.extend_from_slice(payload);
            } else {
                large.push((buffer.len(), payload));
                beside += payload.len();
            }
        }
        let length = buffer.len() - begin - LENGTH_BYTES + beside;
        let length = u32::try_from(length).map_err(io::Error::other)?;
        buffer[begin..begin + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    }
    Ok(large)
}

fn write_slices(stream: &mut dyn Write, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0); // Empty ones at the beginning.
    while !slices.is_empty() {
        let most = slices.len().min(MAX_SLICES);
        match stream.write_vectored(&slices[..most]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the next frame can be read without waiting.
pub(super) fn is_whole(read: &[u8]) -> bool {
    let Some((length, rest)) = read.split_first_chunk::<LENGTH_BYTES>() else {
        return false;
    };
    rest.len() as u64 >= u64::from(u32::from_le_bytes(*length))
}

/// The next frame, or `None` at the end of the stream. Memory is taken as bytes arrive, not as the
/// length claims.
pub(super) fn read(stream: &mut dyn Read, max_bytes: u64) -> io::Result<Option<Bytes>> {
    let mut length = [0; LENGTH_BYTES];
    match stream.read(&mut length[..1])? {
        0 => return Ok(None),
        _ => stream.read_exact(&mut length[1..])?,
    }
    let length = u64::from(u32::from_le_bytes(length));
    if length > max_bytes {
        let what = format!("a frame of {length} bytes, the limit is {max_bytes}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut frame = Vec::with_capacity(length.min(TAKEN_AT_ONCE) as usize);
    let read = stream.take(length).read_to_end(&mut frame)?;
    match read as u64 == length {
        true => Ok(Some(frame.into())),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
