//! Replies to bytes, in both versions of the protocol; and requests to bytes, for a client.

use crate::state::Reply;
use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::encode::extend_encode_borrowed;
use redis_protocol::resp2::types::{BorrowedFrame, NULL as NULL_IN_TWO};
use redis_protocol::resp3::types::NULL as NULL_IN_THREE;
use std::borrow::Cow;
use std::fmt::Write;

/// The version of the protocol, which a client chooses by HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// RESP2, which a connection speaks until its client asks for another version.
    #[default]
    Two,
    /// RESP3, which has maps, and one way to say nil.
    Three,
}

impl Version {
    /// 2 or 3.
    pub fn number(self) -> u8 {
        match self {
            Version::Two => 2,
            Version::Three => 3,
        }
    }

    /// The version with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Version> {
        match number {
            2 => Some(Version::Two),
            3 => Some(Version::Three),
            _ => None,
        }
    }
}

/// Takes the bytes of replies: most of them in a buffer, long values as they are.
pub trait ReplySink {
    /// The buffer for what is copied.
    fn buffer(&mut self) -> &mut BytesMut;

    /// Whether these bytes are [taken as they are](ReplySink::share).
    fn is_shared(&self, bytes: &Bytes) -> bool;

    /// Takes these bytes, which come after those in the buffer.
    fn share(&mut self, bytes: &Bytes);
}

impl ReplySink for BytesMut {
    fn buffer(&mut self) -> &mut BytesMut {
        self
    }

    fn is_shared(&self, _: &Bytes) -> bool {
        false
    }

    fn share(&mut self, bytes: &Bytes) {
        self.extend_from_slice(bytes);
    }
}

/// Appends a reply's bytes to `buffer`.
///
/// An end of line within a simple string or an error would end it, so it becomes a blank.
pub fn encode_reply(reply: &Reply, version: Version, buffer: &mut BytesMut) {
    encode_reply_to(reply, version, buffer);
}

/// As [`encode_reply`], for any sink.
pub fn encode_reply_to(reply: &Reply, version: Version, sink: &mut impl ReplySink) {
    match reply {
        Reply::Ok => sink.buffer().extend_from_slice(b"+OK\r\n"),
        Reply::Simple(word) => {
            let word = one_line(word);
            scalar(&BorrowedFrame::SimpleString(word.as_bytes()), sink.buffer());
        }
        Reply::Error(error) => scalar(&BorrowedFrame::Error(&one_line(error)), sink.buffer()),
        Reply::Integer(number) => scalar(&BorrowedFrame::Integer(*number), sink.buffer()),
        Reply::Bulk(bytes) if sink.is_shared(bytes) => {
            header('$', bytes.len(), sink.buffer());
            sink.share(bytes);
            sink.buffer().extend_from_slice(b"\r\n");
        }
        Reply::Bulk(bytes) => scalar(&BorrowedFrame::BulkString(bytes), sink.buffer()),
        Reply::Nil => sink.buffer().extend_from_slice(match version {
            Version::Two => NULL_IN_TWO.as_bytes(),
            Version::Three => NULL_IN_THREE.as_bytes(),
        }),
        Reply::Array(replies) => {
            header('*', replies.len(), sink.buffer());
            for reply in replies {
                encode_reply_to(reply, version, sink);
            }
        }
        Reply::Map(pairs) => {
            match version {
                Version::Two => header('*', pairs.len().saturating_mul(2), sink.buffer()),
                Version::Three => header('%', pairs.len(), sink.buffer()),
            }
            for (key, value) in pairs {
                encode_reply_to(key, version, sink);
                encode_reply_to(value, version, sink);
            }
        }
    }
}

/// Appends a request's bytes to `buffer`: its name and its arguments.
pub fn encode_request(words: &[impl AsRef<[u8]>], buffer: &mut BytesMut) {
    header('*', words.len(), buffer);
    for word in words {
        scalar(&BorrowedFrame::BulkString(word.as_ref()), buffer);
    }
}

/// Appends one value that holds no others. Both versions write such values alike.
fn scalar(frame: &BorrowedFrame<'_>, buffer: &mut BytesMut) {
    let start = buffer.len();
    match extend_encode_borrowed(buffer, frame, false) {
        // The library makes room by an estimate that can be a byte too long.
        Ok(end) => buffer.truncate(end),
        // The library made the room itself. Should it be too little all the same, the client
        // gets an error in the place of the value.
        Err(_) => {
            buffer.truncate(start);
            buffer.extend_from_slice(b"-ERR the reply could not be written\r\n");
        }
    }
}

/// Appends the first line of a value that holds `count` others. The library's own containers
/// need the others first, and its maps forget their order.
fn header(kind: char, count: usize, buffer: &mut BytesMut) {
    // Writing to a buffer cannot fail.
    let _ = write!(buffer, "{kind}{count}\r\n");
}

fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(['\r', '\n']) {
        text.replace(['\r', '\n'], " ").into()
    } else {
        text.into()
    }
}
