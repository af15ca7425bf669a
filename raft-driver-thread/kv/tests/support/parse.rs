//! Requests as lines of words, for the tests of the parser.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use raft_kv::resp::{ParseLimits, Request, parse};
use raft_kv::state::{Command, Reply};

/// Limits that short lines can reach.
pub const LIMITS: ParseLimits = ParseLimits {
    max_value_bytes: 100,
};

/// Parses a request: words with one blank between them.
pub fn parsed(line: &str) -> Result<Request, Reply> {
    let words = line
        .split(' ')
        .map(|word| Bytes::copy_from_slice(word.as_bytes()));
    parse(words.collect(), &LIMITS)
}

/// The command over the keys that a line means.
pub fn command(line: &str) -> Command {
    match parsed(line) {
        Ok(Request::Command(command)) => command,
        other => panic!("{line}: {other:?}"),
    }
}

/// The error for a line.
pub fn error(line: &str) -> String {
    match parsed(line) {
        Err(Reply::Error(error)) => error,
        other => panic!("{line}: {other:?}"),
    }
}

/// The bytes of a text.
pub fn b(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}
