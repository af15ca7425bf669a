//! The arguments of a request, as parsers take them one by one.

use crate::resp::number;
use crate::resp::request::Request;
use crate::state::Reply;
use bytes::Bytes;
use std::vec::IntoIter;

/// What parsing a request yields; the error is the reply to the client.
pub(crate) type Parsed = Result<Request, Reply>;

/// The longest pattern that is accepted. Matching takes time by its length for every key: with this
/// one, a second for a key of 1 MiB.
const MAX_PATTERN_BYTES: usize = 64 << 10;

/// How many bytes of a request an error quotes.
pub(crate) const SHOWN_BYTES: usize = 128;

/// The arguments of one request that have not been taken yet.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    /// The command's name, for errors.
    pub(crate) command: &'static str,
    words: IntoIter<Bytes>,
}

impl Arguments {
    pub(crate) fn new(command: &'static str, words: IntoIter<Bytes>) -> Arguments {
        Arguments { command, words }
    }

    /// The next argument, if there is one.
    pub(crate) fn optional(&mut self) -> Option<Bytes> {
        self.words.next()
    }

    /// The next argument.
    pub(crate) fn next(&mut self) -> Result<Bytes, Reply> {
        self.words.next().ok_or_else(syntax_error)
    }

    /// The next argument, if there is one, as the name of an option: in upper case.
    pub(crate) fn option(&mut self) -> Option<Vec<u8>> {
        self.words.next().map(|word| word.to_ascii_uppercase())
    }

    /// The next argument, as a pattern.
    pub(crate) fn pattern(&mut self) -> Result<Bytes, Reply> {
        let pattern = self.next()?;
        if pattern.len() > MAX_PATTERN_BYTES {
            let what = format_args!("a pattern is longer than {MAX_PATTERN_BYTES} bytes");
            return Err(Reply::error("ERR", what));
        }
        Ok(pattern)
    }

    /// The next argument, as a whole number.
    pub(crate) fn integer(&mut self) -> Result<i64, Reply> {
        number::integer(&self.next()?).ok_or_else(not_an_integer)
    }

    /// The next argument, as a whole number that is not negative.
    pub(crate) fn unsigned(&mut self) -> Result<u64, Reply> {
        number::unsigned(&self.next()?).ok_or_else(not_an_integer)
    }

    /// All arguments that are left.
    pub(crate) fn rest(self) -> Vec<Bytes> {
        self.words.collect()
    }

    /// How many arguments are left.
    pub(crate) fn left(&self) -> usize {
        self.words.len()
    }

    /// Refuses further arguments.
    pub(crate) fn end(&self) -> Result<(), Reply> {
        if self.left() > 0 {
            return Err(syntax_error());
        }
        Ok(())
    }

    /// The error for a number of arguments that the command does not take.
    pub(crate) fn wrong_number(&self) -> Reply {
        wrong_number(self.command)
    }
}

pub(crate) fn wrong_number(command: &str) -> Reply {
    let message = format_args!("wrong number of arguments for '{command}' command");
    Reply::error("ERR", message)
}

pub(crate) fn syntax_error() -> Reply {
    Reply::error("ERR", "syntax error")
}

pub(crate) fn not_an_integer() -> Reply {
    Reply::error("ERR", "value is not an integer or out of range")
}

/// The first bytes of what a client sent, as text that an error can quote.
pub(crate) fn shown(text: &[u8], max_bytes: usize) -> String {
    let beginning = text.get(..max_bytes).unwrap_or(text);
    String::from_utf8_lossy(beginning).into_owned()
}
