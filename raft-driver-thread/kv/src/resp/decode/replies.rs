//! Bytes to replies, for the client of a server.

use super::scanner::{Line, LineError, Scanner};
use crate::resp::encode::Version;
use crate::resp::error::ProtocolError;
use crate::resp::number::integer;
use crate::state::Reply;
use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;

/// The largest reply that a client accepts from a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyLimits {
    /// The bytes of a whole reply.
    pub max_bytes: usize,
    /// The values that a reply holds.
    pub max_values: usize,
    /// The levels of values that hold other values.
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

/// The longest line that is accepted. The only long ones are errors.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Takes the replies of one server from a buffer, one after the other.
///
/// Like the [`RequestDecoder`](super::RequestDecoder), it looks at no byte twice while a reply is
/// arriving, and takes no memory for bytes that have not arrived.
#[derive(Clone, Debug)]
pub struct ReplyDecoder {
    version: Version,
    limits: ReplyLimits,
    scanner: Scanner,
    /// The containers around the next value, the outermost first: how many values each still
    /// lacks.
    open: Vec<usize>,
    /// How many values this reply has had so far.
    values: usize,
}

/// The value that was scanned last.
struct Scanned {
    /// How many values it holds, which follow it.
    holds: usize,
}

impl ReplyDecoder {
    /// For a connection that speaks this version.
    pub fn new(version: Version, limits: ReplyLimits) -> ReplyDecoder {
        ReplyDecoder {
            version,
            limits,
            scanner: Scanner::default(),
            open: Vec::new(),
            values: 0,
        }
    }

    /// The next reply; `None` if it has not arrived completely. Its bytes share the buffer's
    /// memory.
    ///
    /// # Errors
    ///
    /// The bytes are no reply, or one over the limits: close the connection.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Reply>, ProtocolError> {
        loop {
            let Some(Scanned { holds }) = self.scan_value(buffer)? else {
                return Ok(None);
            };
            if holds > 0 {
                self.open.push(holds);
                continue;
            }
            // A value is complete, and with it every container whose last value it is.
            while let Some(missing) = self.open.last_mut() {
                *missing = missing.saturating_sub(1);
                if *missing > 0 {
                    break;
                }
                self.open.pop();
            }
            if self.open.is_empty() {
                let whole = buffer.split_to(self.scanner.position).freeze();
                *self = ReplyDecoder::new(self.version, self.limits);
                return build(&whole, &mut 0, self.limits.max_depth).map(Some);
            }
        }
    }

    /// Moves past the value that begins here, but not past the values that it holds.
    fn scan_value(&mut self, buffer: &[u8]) -> Result<Option<Scanned>, ProtocolError> {
        let Some(kind) = buffer.get(self.scanner.position).copied() else {
            return Ok(None);
        };
        let line = self.scanner.line(buffer, MAX_LINE_BYTES);
        let Some(line) = line.map_err(line_error)? else {
            return Ok(None);
        };
        let text = buffer.get(line.text).unwrap_or_default();
        let mut end = line.next;
        let holds = match (kind, self.version) {
            (b'+' | b'-', _) => 0,
            (b':', _) => integer(text).map(|_| 0).ok_or(ProtocolError::Malformed)?,
            (b'_', Version::Three) if text.is_empty() => 0,
            (b'$', _) => {
                if let Some(length) = length(text)? {
                    end = end.saturating_add(length).saturating_add(2);
                }
                0
            }
            (b'*', _) => length(text)?.unwrap_or(0),
            (b'%', Version::Three) => {
                let pairs = length(text)?.ok_or(ProtocolError::Malformed)?;
                pairs.saturating_mul(2)
            }
            _ => return Err(ProtocolError::ReplyKind(kind)),
        };
        let values = self.values.saturating_add(1);
        let is_too_big = end > self.limits.max_bytes
            || values.saturating_add(holds) > self.limits.max_values
            || (holds > 0 && self.open.len() >= self.limits.max_depth);
        if is_too_big {
            return Err(ProtocolError::ReplySize);
        }
        if end > buffer.len() {
            return Ok(None);
        }
        if end > line.next && buffer.get(end - 2..end) != Some(b"\r\n") {
            return Err(ProtocolError::Malformed);
        }
        self.values = values;
        self.scanner.move_to(end);
        Ok(Some(Scanned { holds }))
    }
}

/// A length; -1 is the length of nil, which is `None` here.
fn length(text: &[u8]) -> Result<Option<usize>, ProtocolError> {
    match integer(text) {
        Some(-1) => Ok(None),
        number => number
            .and_then(|number| usize::try_from(number).ok())
            .map(Some)
            .ok_or(ProtocolError::Malformed),
    }
}

fn line_error(error: LineError) -> ProtocolError {
    match error {
        LineError::TooLong => ProtocolError::ReplySize,
        LineError::NoLineFeed => ProtocolError::Malformed,
    }
}

/// Builds the reply that begins at `position` of scanned bytes, and moves `position` behind it.
/// The reply has at most `depth` levels.
fn build(whole: &Bytes, position: &mut usize, depth: usize) -> Result<Reply, ProtocolError> {
    let rest = whole.get(*position..).unwrap_or_default();
    let kind = rest.first().copied().unwrap_or_default();
    if !matches!(kind, b'*' | b'%' | b'_') {
        return build_scalar(whole, rest, position);
    }
    let mut scanner = Scanner::default();
    let Ok(Some(Line { text, next })) = scanner.line(rest, MAX_LINE_BYTES) else {
        return Err(ProtocolError::Malformed);
    };
    *position += next;
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
    let mut next_value = || build(whole, position, depth);
    if kind == b'*' {
        let values = (0..count).map(|_| next_value());
        return Ok(Reply::Array(values.collect::<Result<_, _>>()?));
    }
    let pairs = (0..count).map(|_| Ok((next_value()?, next_value()?)));
    Ok(Reply::Map(pairs.collect::<Result<_, _>>()?))
}

/// Builds a value that holds no others.
fn build_scalar(whole: &Bytes, rest: &[u8], position: &mut usize) -> Result<Reply, ProtocolError> {
    let Ok(Some((frame, length))) = decode_range(rest) else {
        return Err(ProtocolError::Malformed);
    };
    let start = *position;
    *position += length;
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

/// The next reply in a buffer, with the default limits; `None` if it has not arrived completely.
///
/// Each call begins at the buffer's start, so long replies should be read by a [`ReplyDecoder`].
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
