//! Frames: each is four bytes of length and a message. Many are written at once, and read one by
//! one. A frame of no bytes says only that its sender is still there.

use bytes::Bytes;
use raft_proto::Message;
use raft_proto::wire::{self, Envelope};
use std::io::{self, IoSlice, Read, Write};

/// Payloads below this length are copied. That costs less than a buffer of their own in the write.
const COPIED_BELOW: usize = 4096;

/// How many buffers one write may have, on every operating system.
const MAX_SLICES: usize = 1024;

const LENGTH_BYTES: usize = 4;

/// What a sender writes that has nothing to say.
pub(super) const STILL_HERE: [u8; LENGTH_BYTES] = [0; LENGTH_BYTES];

/// How much memory a frame gets before any of its bytes have arrived.
const INITIAL_BYTES: u64 = 64 << 10;

/// A payload that is not in the buffer, but follows the buffer's first `at` bytes.
struct LargePayload<'a> {
    at: usize,
    payload: &'a [u8],
}

/// Writes all messages. Large payloads are not copied.
pub(super) fn write_all(
    stream: &mut dyn Write,
    envelope: &Envelope,
    messages: &[Message],
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    buffer.clear();
    let large = encode(envelope, messages, COPIED_BELOW, buffer)?;
    let mut slices = Vec::with_capacity(2 * large.len() + 1);
    let mut begin = 0;
    for LargePayload { at, payload } in large {
        slices.push(IoSlice::new(&buffer[begin..at]));
        slices.push(IoSlice::new(payload));
        begin = at;
    }
    slices.push(IoSlice::new(&buffer[begin..]));
    write_slices(stream, &mut slices)?;
    stream.flush()
}

/// Appends all messages to the buffer, payloads included.
pub(super) fn encode_all(
    envelope: &Envelope,
    messages: &[Message],
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    encode(envelope, messages, usize::MAX, buffer).map(drop)
}

/// Appends all messages to the buffer, except for payloads of `copied_below` bytes or more. Returns
/// those.
fn encode<'a>(
    envelope: &Envelope,
    messages: &'a [Message],
    copied_below: usize,
    buffer: &mut Vec<u8>,
) -> io::Result<Vec<LargePayload<'a>>> {
    let mut large = Vec::new();
    for message in messages {
        let begin = buffer.len();
        buffer.extend_from_slice(&[0; LENGTH_BYTES]);
        wire::encode_header_into(buffer, envelope, message);
        let mut large_bytes = 0;
        for payload in wire::payloads(message) {
            if payload.len() < copied_below {
                buffer.extend_from_slice(payload);
            } else {
                let at = buffer.len();
                large.push(LargePayload { at, payload });
                large_bytes += payload.len();
            }
        }
        let length = buffer.len() - begin - LENGTH_BYTES + large_bytes;
        let length = u32::try_from(length).map_err(io::Error::other)?;
        buffer[begin..begin + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    }
    Ok(large)
}

fn write_slices(stream: &mut dyn Write, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0); // Skips empty ones at the beginning.
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

/// Whether these bytes begin with a complete frame, which can be read without waiting.
pub(super) fn is_complete(read: &[u8]) -> bool {
    let Some((length, rest)) = read.split_first_chunk::<LENGTH_BYTES>() else {
        return false;
    };
    rest.len() as u64 >= u64::from(u32::from_le_bytes(*length))
}

/// Reads the next frame that holds a message; `None` at the end of the stream. Memory is allocated
/// as bytes arrive, not as the length claims.
pub(super) fn read(stream: &mut dyn Read, max_bytes: u64) -> io::Result<Option<Bytes>> {
    let mut length = STILL_HERE;
    while length == STILL_HERE {
        match stream.read(&mut length[..1])? {
            0 => return Ok(None),
            _ => stream.read_exact(&mut length[1..])?,
        }
    }
    let length = u64::from(u32::from_le_bytes(length));
    if length > max_bytes {
        let what = format!("a frame of {length} bytes: the limit is {max_bytes}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut frame = Vec::with_capacity(length.min(INITIAL_BYTES) as usize);
    let read = stream.take(length).read_to_end(&mut frame)?;
    if read as u64 == length {
        Ok(Some(frame.into()))
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
