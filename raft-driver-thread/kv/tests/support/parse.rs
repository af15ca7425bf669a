//! Lines of words, as the tests of the parser write them.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use raft_kv::resp::{ParseLimits, Request, parse};
use raft_kv::state::{Command, Reply};

/// Limits that short lines can reach.
pub const LIMITS: ParseLimits = ParseLimits {
    max_value_bytes: 100,
};

/// Parses a line of words with blanks in between.
pub fn parsed(line: &str) -> Result<Request, Reply> {
    let words = line
        .split(' ')
        .map(|word| Bytes::copy_from_slice(word.as_bytes()));
    parse(words.collect(), &LIMITS)
}

/// A command over the keys.
pub fn state(line: &str) -> Command {
    match parsed(line) {
        Ok(Request::Command(command)) => command,
        other => panic!("{line}: {other:?}"),
    }
}

/// What is said of a line that means nothing.
pub fn error(line: &str) -> String {
    match parsed(line) {
        Err(Reply::Error(error)) => error,
        other => panic!("{line}: {other:?}"),
    }
}

/// Its bytes.
pub fn b(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}
