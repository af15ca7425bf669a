//! The arguments of a request, as they are taken from it one by one.

use crate::resp::number;
use crate::state::Reply;
use bytes::Bytes;
use std::vec::IntoIter;

/// How long a pattern may be.
const MAX_PATTERN_BYTES: usize = 1024;

/// The arguments of one request.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    /// The command, for errors.
    pub(crate) command: &'static str,
    words: IntoIter<Bytes>,
}

impl Arguments {
    pub(crate) fn new(command: &'static str, words: IntoIter<Bytes>) -> Arguments {
        Arguments { command, words }
    }

    /// The next one, if there is one.
    pub(crate) fn optional(&mut self) -> Option<Bytes> {
        self.words.next()
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Result<Bytes, Reply> {
        self.words.next().ok_or_else(syntax_error)
    }

    /// The next one, which chooses among few: in capitals.
    pub(crate) fn option(&mut self) -> Option<Vec<u8>> {
        self.words.next().map(|word| word.to_ascii_uppercase())
    }

    /// The next one, a pattern: it takes time by its length for every key.
    pub(crate) fn pattern(&mut self) -> Result<Bytes, Reply> {
        let pattern = self.next()?;
        if pattern.len() > MAX_PATTERN_BYTES {
            let what = format_args!("a pattern is longer than {MAX_PATTERN_BYTES} bytes");
            return Err(Reply::error("ERR", what));
        }
        Ok(pattern)
    }

    /// The next one, a whole number.
    pub(crate) fn integer(&mut self) -> Result<i64, Reply> {
        number::integer(&self.next()?).ok_or_else(not_an_integer)
    }

    /// The next one, a whole number that is not negative.
    pub(crate) fn unsigned(&mut self) -> Result<u64, Reply> {
        number::unsigned(&self.next()?).ok_or_else(not_an_integer)
    }

    /// All that are left.
    pub(crate) fn rest(self) -> Vec<Bytes> {
        self.words.collect()
    }

    /// How many are left.
    pub(crate) fn left(&self) -> usize {
        self.words.len()
    }

    /// There may be no more.
    pub(crate) fn end(&self) -> Result<(), Reply> {
        match self.left() {
            0 => Ok(()),
            _ => Err(syntax_error()),
        }
    }

    /// That the number of arguments is not one that the command can have.
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
