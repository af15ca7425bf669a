//! Replies to bytes, in both versions of the protocol; and back, for those who ask a server.

use super::error::ProtocolError;
use super::number::integer;
use super::walk::{Line, LineError, Walk};
use crate::state::Reply;
use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::encode::extend_encode_borrowed;
use redis_protocol::resp2::types::{BorrowedFrame, NULL as NULL_IN_TWO, RangeFrame};
use redis_protocol::resp3::types::NULL as NULL_IN_THREE;
use std::borrow::Cow;
use std::fmt::Write;

/// The protocol's version, which a client chooses by HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// RESP2: what a client speaks that has not asked for anything else.
    #[default]
    Two,
    /// RESP3: has maps, and one way to say nil.
    Three,
}

impl Version {
    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Version::Two => 2,
            Version::Three => 3,
        }
    }

    /// The version of that number, if there is one.
    pub fn from_number(number: u8) -> Option<Version> {
        match number {
            2 => Some(Version::Two),
            3 => Some(Version::Three),
            _ => None,
        }
    }
}

/// Adds a reply's bytes to the end of `buffer`.
///
/// Ends of lines within words and errors, which would end them, become blanks.
pub fn encode_reply(reply: &Reply, version: Version, buffer: &mut BytesMut) {
    match reply {
        Reply::Ok => buffer.extend_from_slice(b"+OK\r\n"),
        Reply::Simple(word) => {
            value(
                &BorrowedFrame::SimpleString(one_line(word).as_bytes()),
                buffer,
            );
        }
        Reply::Error(error) => value(&BorrowedFrame::Error(&one_line(error)), buffer),
        Reply::Integer(number) => value(&BorrowedFrame::Integer(*number), buffer),
        Reply::Bulk(bytes) => value(&BorrowedFrame::BulkString(bytes), buffer),
        Reply::Nil => buffer.extend_from_slice(match version {
            Version::Two => NULL_IN_TWO.as_bytes(),
            Version::Three => NULL_IN_THREE.as_bytes(),
        }),
        Reply::Array(replies) => {
            header('*', replies.len(), buffer);
            for reply in replies {
                encode_reply(reply, version, buffer);
            }
        }
        Reply::Map(pairs) => {
            match version {
                Version::Two => header('*', pairs.len().saturating_mul(2), buffer),
                Version::Three => header('%', pairs.len(), buffer),
            }
            for (key, value) in pairs {
                encode_reply(key, version, buffer);
                encode_reply(value, version, buffer);
            }
        }
    }
}

/// Adds a request's bytes to the end of `buffer`: its name and its arguments.
pub fn encode_request(words: &[impl AsRef<[u8]>], buffer: &mut BytesMut) {
    header('*', words.len(), buffer);
    for word in words {
        value(&BorrowedFrame::BulkString(word.as_ref()), buffer);
    }
}

/// Adds one value that holds no others. Both versions write those alike.
fn value(frame: &BorrowedFrame<'_>, buffer: &mut BytesMut) {
    let start = buffer.len();
    match extend_encode_borrowed(buffer, frame, false) {
        // The library makes room by an estimate that can be a byte too long.
        Ok(end) => buffer.truncate(end),
        // It made room itself; should it be too little, the client gets an error, and in its
        // place.
        Err(_) => {
            buffer.truncate(start);
            buffer.extend_from_slice(b"-ERR the reply could not be written\r\n");
        }
    }
}

/// The first line of a value that holds `count` others. Those of the library want the others in
/// containers of its own first, and its maps forget their order.
fn header(kind: char, count: usize, buffer: &mut BytesMut) {
    // A buffer takes all that memory holds.
    let _ = write!(buffer, "{kind}{count}\r\n");
}

fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(['\r', '\n']) {
        text.replace(['\r', '\n'], " ").into()
    } else {
        text.into()
    }
}

/// How much of a server is put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyLimits {
    /// How long a reply may be in all.
    pub max_bytes: usize,
    /// How many values it may hold.
    pub max_values: usize,
    /// How deep they may lie in each other.
    pub max_depth: usize,
}

impl Default for ReplyLimits {
    /// 1 GiB, 16 Mi values, 8 levels.
    fn default() -> ReplyLimits {
        ReplyLimits {
            max_bytes: 1 << 30,
            max_values: 16 << 20,
            max_depth: 8,
        }
    }
}

/// How long a line may be. The only long ones are errors.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Takes the replies of one server from a buffer, one after the other. Like the
/// [`RequestDecoder`](super::RequestDecoder), it looks at nothing twice that is still coming in,
/// and takes memory for nothing that has not come.
#[derive(Clone, Debug)]
pub struct ReplyDecoder {
    version: Version,
    limits: ReplyLimits,
    walk: Walk,
    /// How many values are missing in each of those that hold the next one, the outermost first.
    open: Vec<usize>,
    /// How many values have been declared.
    values: usize,
}

impl ReplyDecoder {
    /// For a connection that speaks this version.
    pub fn new(version: Version, limits: ReplyLimits) -> ReplyDecoder {
        ReplyDecoder {
            version,
            limits,
            walk: Walk::default(),
            open: Vec::new(),
            values: 0,
        }
    }

    /// The next reply; `None` if more has to come first. Its bytes share the buffer's memory.
    ///
    /// # Errors
    ///
    /// The bytes are no reply, or one over the limits: close the connection.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Reply>, ProtocolError> {
        loop {
            let Some(missing) = self.one(buffer)? else {
                return Ok(None);
            };
            if missing > 0 {
                self.open.push(missing);
                continue;
            }
            // A value is complete, and with it those of which it is the last.
            while let Some(missing) = self.open.last_mut() {
                *missing = missing.saturating_sub(1);
                if *missing > 0 {
                    break;
                }
                self.open.pop();
            }
            if self.open.is_empty() {
                let whole = buffer.split_to(self.walk.at).freeze();
                *self = ReplyDecoder::new(self.version, self.limits);
                return build(&whole, &mut 0, self.limits.max_depth).map(Some);
            }
        }
    }

    /// Goes over the value that begins here, but not over those that it holds: says how many.
    fn one(&mut self, buffer: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let Some(kind) = buffer.get(self.walk.at).copied() else {
            return Ok(None);
        };
        let Some(line) = self.walk.line(buffer, MAX_LINE_BYTES).map_err(malformed)? else {
            return Ok(None);
        };
        let text = buffer.get(line.text).unwrap_or_default();
        let (holds, end) = match (kind, self.version) {
            (b'+' | b'-', _) => (0, line.next),
            (b':', _) => (
                integer(text).map(|_| 0).ok_or(ProtocolError::Malformed)?,
                line.next,
            ),
            (b'_', Version::Three) if text.is_empty() => (0, line.next),
            (b'$', _) => match length(text)? {
                None => (0, line.next),
                Some(length) => (0, line.next.saturating_add(length).saturating_add(2)),
            },
            (b'*', _) => (length(text)?.unwrap_or(0), line.next),
            (b'%', Version::Three) => {
                let pairs = length(text)?.ok_or(ProtocolError::Malformed)?;
                (pairs.saturating_mul(2), line.next)
            }
            _ => return Err(ProtocolError::ReplyKind(kind)),
        };
        let values = self.values.saturating_add(1);
        let too_big = end > self.limits.max_bytes
            || values.saturating_add(holds) > self.limits.max_values
            || (holds > 0 && self.open.len() >= self.limits.max_depth);
        if too_big {
            return Err(ProtocolError::ReplySize);
        }
        if end > buffer.len() {
            return Ok(None);
        }
        if end > line.next && buffer.get(end - 2..end) != Some(b"\r\n") {
            return Err(ProtocolError::Malformed);
        }
        self.values = values;
        self.walk.go_to(end);
        Ok(Some(holds))
    }
}

/// A length; `None` is that of nothing, -1.
fn length(text: &[u8]) -> Result<Option<usize>, ProtocolError> {
    match integer(text) {
        Some(-1) => Ok(None),
        number => number
            .and_then(|number| usize::try_from(number).ok())
            .map(Some)
            .ok_or(ProtocolError::Malformed),
    }
}

fn malformed(error: LineError) -> ProtocolError {
    match error {
        LineError::TooLong => ProtocolError::ReplySize,
        LineError::NoLineFeed => ProtocolError::Malformed,
    }
}

/// The reply at `at` in bytes that were walked over, which goes on to the next one. It is at most
/// `depth` levels deep.
fn build(whole: &Bytes, at: &mut usize, depth: usize) -> Result<Reply, ProtocolError> {
    let rest = whole.get(*at..).unwrap_or_default();
    let kind = rest.first().copied().unwrap_or_default();
    if !matches!(kind, b'*' | b'%' | b'_') {
        return plain(whole, rest, at);
    }
    let mut walk = Walk::default();
    let Ok(Some(Line { text, next })) = walk.line(rest, MAX_LINE_BYTES) else {
        return Err(ProtocolError::Malformed);
    };
    *at += next;
    if kind == b'_' {
        return Ok(Reply::Nil);
    }
    let Some(count) = length(rest.get(text).unwrap_or_default())? else {
        return Ok(Reply::Nil);
    };
    let depth = match count {
        0 => depth,
        _ => depth.checked_sub(1).ok_or(ProtocolError::ReplySize)?,
    };
    if kind == b'*' {
        let values = (0..count).map(|_| build(whole, at, depth));
        return Ok(Reply::Array(values.collect::<Result<_, _>>()?));
    }
    let pairs = (0..count).map(|_| Ok((build(whole, at, depth)?, build(whole, at, depth)?)));
    Ok(Reply::Map(pairs.collect::<Result<_, _>>()?))
}

/// A value that holds no others.
fn plain(whole: &Bytes, rest: &[u8], at: &mut usize) -> Result<Reply, ProtocolError> {
    let Ok(Some((frame, length))) = decode_range(rest) else {
        return Err(ProtocolError::Malformed);
    };
    let start = *at;
    *at += length;
    let part = |range: (usize, usize)| whole.slice(start + range.0..start + range.1);
    Ok(match frame {
        RangeFrame::SimpleString(range) => match part(range) {
            ok if ok == "OK" => Reply::Ok,
            word => Reply::Simple(String::from_utf8_lossy(&word).into_owned()),
        },
        RangeFrame::Error(range) => {
            Reply::Error(String::from_utf8_lossy(&part(range)).into_owned())
        }
        RangeFrame::Integer(number) => Reply::Integer(number),
        RangeFrame::BulkString(range) => Reply::Bulk(part(range)),
        RangeFrame::Null => Reply::Nil,
        RangeFrame::Array(_) => return Err(ProtocolError::Malformed),
    })
}

/// The next reply in a buffer, with the usual limits; `None` if more has to come first, and then
/// all is looked at again: for long replies there is the [`ReplyDecoder`].
///
/// # Errors
///
/// Like [`ReplyDecoder::next`].
pub fn decode_reply(
    buffer: &mut BytesMut,
    version: Version,
) -> Result<Option<Reply>, ProtocolError> {
    ReplyDecoder::new(version, ReplyLimits::default()).next(buffer)
}
