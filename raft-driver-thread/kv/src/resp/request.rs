//! Requests out of what a client sends.

use super::error::ProtocolError;
use super::inline;
use super::number::integer;
use super::walk::{LineError, Walk};
use bytes::{Buf, Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;

/// How much of a client is put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// How long one argument may be.
    pub max_bulk_bytes: usize,
    /// How many arguments a request may have, its name among them. Redis: 1024 * 1024.
    pub max_arguments: usize,
    /// How long a line may be: an inline request, or one that says how long something is. Redis:
    /// 64 KiB.
    pub max_inline_bytes: usize,
    /// How long a request may be in all.
    pub max_request_bytes: usize,
}

impl RequestLimits {
    /// Those of Redis, for arguments of `max_bulk_bytes`, and for no longer requests than Redis
    /// keeps of a client (1 GiB).
    pub const fn new(max_bulk_bytes: usize) -> RequestLimits {
        RequestLimits {
            max_bulk_bytes,
            max_arguments: 1024 * 1024,
            max_inline_bytes: 64 << 10,
            max_request_bytes: 1 << 30,
        }
    }

    /// These limits for a client that has not said the password yet: ten arguments of 16 KiB, as
    /// in Redis. Whoever is not let in takes no memory either.
    #[must_use]
    pub fn before_authentication(self) -> RequestLimits {
        RequestLimits {
            max_bulk_bytes: self.max_bulk_bytes.min(16 << 10),
            max_arguments: self.max_arguments.min(10),
            ..self
        }
    }
}

/// Takes the requests of one client from a buffer, one after the other.
///
/// It knows how far it has looked at the request that is coming in: between calls, bytes may only
/// be added at the buffer's end. What a header declares is checked when the header is there; memory
/// is only taken for what has come.
///
/// ```
/// use bytes::BytesMut;
/// use raft_kv::resp::{RequestDecoder, RequestLimits};
///
/// let mut decoder = RequestDecoder::new();
/// let mut buffer = BytesMut::from("*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n*1\r\n$4");
/// let limits = RequestLimits::new(1024);
/// assert_eq!(decoder.next(&mut buffer, &limits)?, Some(vec!["GET".into(), "a".into()]));
/// assert_eq!(decoder.next(&mut buffer, &limits)?, Some(vec!["PING".into()]));
/// assert_eq!(decoder.next(&mut buffer, &limits)?, None);
/// # Ok::<(), raft_kv::resp::ProtocolError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RequestDecoder {
    walk: Walk,
    /// How many arguments the request has; `None` before its header has come.
    count: Option<usize>,
    /// How many of them have been walked over.
    walked: usize,
}

impl RequestDecoder {
    /// For a client that has just connected.
    pub fn new() -> RequestDecoder {
        RequestDecoder::default()
    }

    /// The next request: its name and arguments, at least one in all; `None` if more has to come
    /// first. Empty requests are passed over.
    ///
    /// The arguments share the buffer's memory, which is kept for as long as any of them is.
    ///
    /// # Errors
    ///
    /// The bytes are no request, or one over the limits. Nothing good can come after that: answer
    /// with the error and close. Asked again, it says the same.
    pub fn next(
        &mut self,
        buffer: &mut BytesMut,
        limits: &RequestLimits,
    ) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        loop {
            let arguments = match buffer.first() {
                None => return Ok(None),
                Some(b'*') => self.array(buffer, limits)?,
                Some(_) => self.inline(buffer, limits)?,
            };
            match arguments {
                Some(arguments) if arguments.is_empty() => {}
                other => return Ok(other),
            }
        }
    }

    fn array(
        &mut self,
        buffer: &mut BytesMut,
        limits: &RequestLimits,
    ) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        if !self.walk_over(buffer, limits)? {
            return Ok(None);
        }
        let length = self.walk.at;
        if self.count == Some(0) {
            buffer.advance(length);
            *self = RequestDecoder::default();
            return Ok(Some(Vec::new()));
        }
        // Only what was walked over: it is complete, and known to be good.
        let whole = buffer.get(..length).unwrap_or_default();
        let Ok(Some((RangeFrame::Array(elements), _))) = decode_range(whole) else {
            return Err(ProtocolError::MultibulkLength);
        };
        let whole = buffer.split_to(length).freeze();
        *self = RequestDecoder::default();
        let mut arguments = Vec::with_capacity(elements.len());
        for element in elements {
            match element {
                RangeFrame::BulkString((start, end)) => arguments.push(whole.slice(start..end)),
                RangeFrame::SimpleString(_)
                | RangeFrame::Error(_)
                | RangeFrame::Integer(_)
                | RangeFrame::Array(_)
                | RangeFrame::Null => return Err(ProtocolError::BulkLength),
            }
        }
        Ok(Some(arguments))
    }

    /// Checks the headers that have come; whether the request is complete.
    fn walk_over(&mut self, buffer: &[u8], limits: &RequestLimits) -> Result<bool, ProtocolError> {
        let count = match self.count {
            Some(count) => count,
            None => match self.header(buffer, limits)? {
                None => return Ok(false),
                Some(count) => *self.count.insert(count),
            },
        };
        while self.walked < count {
            let Some(end) = self.bulk(buffer, limits)? else {
                return Ok(false);
            };
            self.walk.go_to(end);
            self.walked += 1;
        }
        Ok(true)
    }

    /// How many arguments there are to be, none if negative.
    fn header(
        &mut self,
        buffer: &[u8],
        limits: &RequestLimits,
    ) -> Result<Option<usize>, ProtocolError> {
        let line = match self.walk.line(buffer, limits.max_inline_bytes) {
            Ok(None) => return Ok(None),
            Ok(Some(line)) => line,
            Err(LineError::TooLong) => return Err(ProtocolError::MultibulkLine),
            Err(LineError::NoLineFeed) => return Err(ProtocolError::MultibulkLength),
        };
        let count = integer(buffer.get(line.text).unwrap_or_default());
        let count = count.ok_or(ProtocolError::MultibulkLength)?;
        let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
        if count > limits.max_arguments {
            return Err(ProtocolError::MultibulkLength);
        }
        self.walk.go_to(line.next);
        Ok(Some(count))
    }

    /// Where the argument that begins here ends; `None` if that has not come yet.
    fn bulk(
        &mut self,
        buffer: &[u8],
        limits: &RequestLimits,
    ) -> Result<Option<usize>, ProtocolError> {
        match buffer.get(self.walk.at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(other) => return Err(ProtocolError::ExpectedBulk(*other)),
        }
        let line = match self.walk.line(buffer, limits.max_inline_bytes) {
            Ok(None) => return Ok(None),
            Ok(Some(line)) => line,
            Err(LineError::TooLong) => return Err(ProtocolError::BulkLine),
            Err(LineError::NoLineFeed) => return Err(ProtocolError::BulkLength),
        };
        let length = integer(buffer.get(line.text).unwrap_or_default());
        let length = length.and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| *length <= limits.max_bulk_bytes);
        let length = length.ok_or(ProtocolError::BulkLength)?;
        let last = line.next.saturating_add(length);
        let end = last.saturating_add(2);
        if end > limits.max_request_bytes {
            return Err(ProtocolError::RequestLength);
        }
        match buffer.get(last..end) {
            None => Ok(None),
            Some(b"\r\n") => Ok(Some(end)),
            Some(_) => Err(ProtocolError::ExpectedEnd),
        }
    }

    fn inline(
        &mut self,
        buffer: &mut BytesMut,
        limits: &RequestLimits,
    ) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        let searched = self.walk.at;
        let rest = buffer.get(searched..).unwrap_or_default();
        let found = rest.iter().position(|byte| *byte == b'\n');
        let end = searched + found.unwrap_or(rest.len());
        if end > limits.max_inline_bytes {
            return Err(ProtocolError::InlineLength);
        }
        if found.is_none() {
            self.walk.go_to(end);
            return Ok(None);
        }
        let line = buffer.get(..end).unwrap_or_default();
        let words = inline::words(line.strip_suffix(b"\r").unwrap_or(line))?;
        if words.len() > limits.max_arguments {
            return Err(ProtocolError::MultibulkLength);
        }
        if words.iter().any(|word| word.len() > limits.max_bulk_bytes) {
            return Err(ProtocolError::BulkLength);
        }
        // A page in a browser can make it send a form here, with commands in it.
        if let Some(first) = words.first()
            && (first.eq_ignore_ascii_case(b"post") || first.eq_ignore_ascii_case(b"host:"))
        {
            return Err(ProtocolError::Http);
        }
        buffer.advance(end + 1);
        *self = RequestDecoder::default();
        Ok(Some(words))
    }
}
