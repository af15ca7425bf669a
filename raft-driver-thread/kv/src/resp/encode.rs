//! Replies to bytes, in both versions of the protocol; and requests to bytes, for a client.

use crate::state::Reply;
use bytes::BytesMut;
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

/// Appends a reply's bytes to `buffer`.
///
/// An end of line within a simple string or an error would end it, so it becomes a blank.
pub fn encode_reply(reply: &Reply, version: Version, buffer: &mut BytesMut) {
    match reply {
        Reply::Ok => buffer.extend_from_slice(b"+OK\r\n"),
        Reply::Simple(word) => {
            scalar(
                &BorrowedFrame::SimpleString(one_line(word).as_bytes()),
                buffer,
            );
        }
        Reply::Error(error) => scalar(&BorrowedFrame::Error(&one_line(error)), buffer),
        Reply::Integer(number) => scalar(&BorrowedFrame::Integer(*number), buffer),
        Reply::Bulk(bytes) => scalar(&BorrowedFrame::BulkString(bytes), buffer),
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
