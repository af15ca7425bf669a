//! Bytes to requests, from clients that are not trusted.

use super::inline;
use super::scanner::{LineError, Scanner};
use crate::resp::error::ProtocolError;
use crate::resp::number::integer;
use bytes::{Buf, Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;

/// The largest request that a server accepts from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The bytes of one argument.
    pub max_bulk_bytes: usize,
    /// The arguments of a request, its name among them. Redis: 2^31 - 1, in 1 GiB.
    pub max_arguments: usize,
    /// The bytes of a line: an inline request, or a header with a number or a length. Redis:
    /// 64 KiB.
    pub max_inline_bytes: usize,
    /// The bytes of a whole request.
    pub max_request_bytes: usize,
}

impl RequestLimits {
    /// The limits of Redis, for arguments of `max_bulk_bytes`. A request is at most 1 GiB, which
    /// is what Redis buffers of a client, and has 16,777,216 arguments at most: each takes ten times
    /// the memory of its bytes if it is short.
    pub const fn new(max_bulk_bytes: usize) -> RequestLimits {
        RequestLimits {
            max_bulk_bytes,
            max_arguments: 16 << 20,
            max_inline_bytes: 64 << 10,
            max_request_bytes: 1 << 30,
        }
    }

    /// These limits for a client that has not authenticated yet: ten arguments of 16 KiB, as in
    /// Redis. A client that may do nothing must not take memory either.
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
/// The decoder remembers how far it has scanned the request that is arriving. Between calls, bytes
/// may therefore only be added at the buffer's end. A declared length is checked as soon as its
/// header has arrived; memory is taken only for bytes that have arrived.
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
    scanner: Scanner,
    /// How many arguments the request has; `None` before its header has arrived.
    count: Option<usize>,
    /// How many of the arguments have been scanned.
    scanned: usize,
}

impl RequestDecoder {
    /// For a client that has just connected.
    pub fn new() -> RequestDecoder {
        RequestDecoder::default()
    }

    /// The next request: its name and its arguments, so at least one word; `None` if it has not
    /// arrived completely. Empty requests are skipped.
    ///
    /// The words share the buffer's memory, which stays allocated while any of them lives.
    ///
    /// # Errors
    ///
    /// The bytes are no request, or one over the limits. Nothing that follows can be understood:
    /// answer with the error and close the connection. Further calls give the same error.
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
        let Some(count) = self.scan_array(buffer, limits)? else {
            return Ok(None);
        };
        let length = self.scanner.position;
        if count == 0 {
            buffer.advance(length);
            *self = RequestDecoder::default();
            return Ok(Some(Vec::new()));
        }
        // The library decodes scanned bytes only, which are complete and well-formed.
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

    /// Checks the headers that have arrived. Once the request is complete: how many arguments it
    /// has.
    fn scan_array(
        &mut self,
        buffer: &[u8],
        limits: &RequestLimits,
    ) -> Result<Option<usize>, ProtocolError> {
        let count = match self.count {
            Some(count) => count,
            None => match self.scan_count(buffer, limits)? {
                None => return Ok(None),
                Some(count) => *self.count.insert(count),
            },
        };
        while self.scanned < count {
            let Some(end) = self.bulk_end(buffer, limits)? else {
                return Ok(None);
            };
            self.scanner.move_to(end);
            self.scanned += 1;
        }
        Ok(Some(count))
    }

    /// The declared number of arguments; a negative one counts as 0.
    fn scan_count(
        &mut self,
        buffer: &[u8],
        limits: &RequestLimits,
    ) -> Result<Option<usize>, ProtocolError> {
        let line = match self.scanner.line(buffer, limits.max_inline_bytes) {
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
        self.scanner.move_to(line.next);
        Ok(Some(count))
    }

    /// Where the argument that begins here ends; `None` if its end has not arrived yet.
    fn bulk_end(
        &mut self,
        buffer: &[u8],
        limits: &RequestLimits,
    ) -> Result<Option<usize>, ProtocolError> {
        match buffer.get(self.scanner.position) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(other) => return Err(ProtocolError::ExpectedBulk(*other)),
        }
        let line = match self.scanner.line(buffer, limits.max_inline_bytes) {
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
        let searched = self.scanner.position;
        let rest = buffer.get(searched..).unwrap_or_default();
        let found = rest.iter().position(|byte| *byte == b'\n');
        let end = searched + found.unwrap_or(rest.len());
        if end > limits.max_inline_bytes {
            return Err(ProtocolError::InlineLength);
        }
        if found.is_none() {
            self.scanner.move_to(end);
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
        // A web page can make a browser send a form to this port, with commands in it.
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
