//! Frames: each is four bytes of length and a message. Many are written at once, and read one by
//! one. A frame of no bytes says only that its sender is still there.
//!
//! A long message is written in pieces, so that frames of others can come between them. The length
//! of a piece has the bit [`PIECE`] set, and that of the last piece [`LAST`], too. A piece of no
//! bytes takes back those before it.

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

/// Set in the length of a piece.
const PIECE: u32 = 1 << 31;

/// Set in the length of a message's last piece.
const LAST: u32 = 1 << 30;

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
    let mut slices = slices(buffer, &large);
    write_slices(stream, &mut slices)?;
    stream.flush()
}

/// The buffer with the large payloads where they belong.
fn slices<'a>(buffer: &'a [u8], large: &[LargePayload<'a>]) -> Vec<IoSlice<'a>> {
    let mut slices = Vec::with_capacity(2 * large.len() + 1);
    let mut begin = 0;
    for LargePayload { at, payload } in large {
        slices.push(IoSlice::new(&buffer[begin..*at]));
        slices.push(IoSlice::new(payload));
        begin = *at;
    }
    slices.push(IoSlice::new(&buffer[begin..]));
    slices
}

/// Writes one message in pieces of at most `piece_bytes`. Between them it calls `between`, which
/// may write others, and says whether to go on. If not, the pieces are taken back.
pub(super) fn write_in_pieces<S: Write + ?Sized>(
    stream: &mut S,
    envelope: &Envelope,
    message: &Message,
    piece_bytes: usize,
    mut between: impl FnMut(&mut S) -> io::Result<bool>,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    let large = encode(
        envelope,
        std::slice::from_ref(message),
        COPIED_BELOW,
        &mut buffer,
    )?;
    let mut all = slices(&buffer, &large);
    let mut rest = &mut all[..];
    IoSlice::advance_slices(&mut rest, LENGTH_BYTES); // Each piece has its own.
    let mut left: usize = rest.iter().map(|slice| slice.len()).sum();
    while left > 0 {
        let length = left.min(piece_bytes);
        left -= length;
        let last = if left == 0 { LAST } else { 0 };
        let head = u32::try_from(length).map_err(io::Error::other)? | PIECE | last;
        let head = head.to_le_bytes();
        let mut piece = vec![IoSlice::new(&head)];
        piece.extend(front(rest, length));
        write_slices(stream, &mut piece)?;
        stream.flush()?;
        IoSlice::advance_slices(&mut rest, length);
        if left > 0 && !between(stream)? {
            stream.write_all(&PIECE.to_le_bytes())?;
            return stream.flush();
        }
    }
    Ok(())
}

/// The first `length` bytes of these slices.
fn front<'a>(slices: &'a [IoSlice<'_>], length: usize) -> Vec<IoSlice<'a>> {
    let mut left = length;
    let mut front = Vec::new();
    for slice in slices {
        let taken = slice.len().min(left);
        front.push(IoSlice::new(&slice[..taken]));
        left -= taken;
        if left == 0 {
            break;
        }
    }
    front
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

fn write_slices<S: Write + ?Sized>(
    stream: &mut S,
    mut slices: &mut [IoSlice<'_>],
) -> io::Result<()> {
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

/// What a length says.
enum Head {
    StillHere,
    Whole(u64),
    Piece(u64),
    LastPiece(u64),
    TakenBack,
}

impl Head {
    fn of(bytes: [u8; LENGTH_BYTES]) -> Head {
        let number = u32::from_le_bytes(bytes);
        let length = u64::from(number & !(PIECE | LAST));
        match (number & PIECE, number & LAST, length) {
            (0, 0, 0) => Head::StillHere,
            (0, _, _) => Head::Whole(u64::from(number)),
            (_, 0, 0) => Head::TakenBack,
            (_, 0, _) => Head::Piece(length),
            (_, _, _) => Head::LastPiece(length),
        }
    }

    /// How many bytes follow it.
    fn length(&self) -> u64 {
        match self {
            Head::StillHere | Head::TakenBack => 0,
            Head::Whole(length) | Head::Piece(length) | Head::LastPiece(length) => *length,
        }
    }
}

/// Whether a message can be read from these bytes without waiting for more.
pub(super) fn is_complete(mut read: &[u8]) -> bool {
    while let Some((head, rest)) = read.split_first_chunk::<LENGTH_BYTES>() {
        let head = Head::of(*head);
        let length = usize::try_from(head.length()).unwrap_or(usize::MAX);
        let Some(behind) = rest.get(length..) else {
            return false;
        };
        if matches!(head, Head::Whole(_) | Head::LastPiece(_)) {
            return true;
        }
        read = behind;
    }
    false
}

/// Reads the messages of one connection.
#[derive(Debug)]
pub(super) struct FrameReader {
    max_bytes: u64,
    /// The pieces of a message that is not complete.
    pieces: Vec<u8>,
}

impl FrameReader {
    /// Refuses messages that are longer.
    pub(super) fn new(max_bytes: u64) -> FrameReader {
        FrameReader {
            max_bytes,
            pieces: Vec::new(),
        }
    }

    /// Reads the next message; `None` at the end of the stream.
    pub(super) fn read(&mut self, stream: &mut dyn Read) -> io::Result<Option<Bytes>> {
        loop {
            let mut head = STILL_HERE;
            match stream.read(&mut head[..1])? {
                0 => return Ok(None),
                _ => stream.read_exact(&mut head[1..])?,
            }
            match Head::of(head) {
                Head::StillHere => {}
                Head::TakenBack => self.pieces = Vec::new(),
                Head::Whole(length) => {
                    let mut frame = Vec::new();
                    append(stream, &mut frame, length, self.max_bytes)?;
                    return Ok(Some(frame.into()));
                }
                Head::Piece(length) => {
                    append(stream, &mut self.pieces, length, self.max_bytes)?;
                }
                Head::LastPiece(length) => {
                    append(stream, &mut self.pieces, length, self.max_bytes)?;
                    return Ok(Some(std::mem::take(&mut self.pieces).into()));
                }
            }
        }
    }
}

/// Reads the next message of a stream on which each comes whole; `None` at the end of the stream.
pub(super) fn read(stream: &mut dyn Read, max_bytes: u64) -> io::Result<Option<Bytes>> {
    FrameReader::new(max_bytes).read(stream)
}

/// Reads so many bytes to the end of what is there. Memory is allocated as bytes arrive, not as the
/// length claims.
fn append(stream: &mut dyn Read, to: &mut Vec<u8>, length: u64, max_bytes: u64) -> io::Result<()> {
    let whole = (to.len() as u64).saturating_add(length);
    if whole > max_bytes {
        let what = format!("a frame of {whole} bytes: the limit is {max_bytes}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    to.reserve(length.min(INITIAL_BYTES) as usize);
    if stream.take(length).read_to_end(to)? as u64 == length {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
