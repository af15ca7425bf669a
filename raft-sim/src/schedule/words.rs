//! Lines of words, read one by one, with errors that tell which word was expected.

use crate::duration::HumanDuration;
use crate::request::Request;
use core::str::FromStr;
use core::time::Duration;

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line:?}: {found}, where {expected} is expected")]
pub struct Unreadable {
    /// The line.
    pub line: String,
    /// What it says.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

/// The words of a line that are not read yet.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    line: &'a str,
    rest: core::str::SplitWhitespace<'a>,
    last: Option<&'a str>,
}

impl<'a> Words<'a> {
    /// All words of a line.
    pub fn of(line: &'a str) -> Words<'a> {
        Words {
            line,
            rest: line.split_whitespace(),
            last: None,
        }
    }

    /// The error that `expected` should stand in place of the word that was read last.
    pub fn expected(&self, expected: &str) -> Unreadable {
        let found = match self.last {
            Some(word) => format!("it says {word:?}"),
            None => String::from("it ends"),
        };
        Unreadable {
            line: self.line.into(),
            found,
            expected: expected.into(),
        }
    }

    /// The next word, if there is one.
    pub fn next_word(&mut self) -> Option<&'a str> {
        self.last = self.rest.next();
        self.last
    }

    /// The next word, parsed by `read`.
    ///
    /// # Errors
    ///
    /// If there is none, or `read` cannot parse it.
    pub fn word<T>(
        &mut self,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Unreadable> {
        let word = self.next_word();
        let found = word.and_then(read);
        found.ok_or_else(|| self.expected(expected))
    }

    /// The next word must be this one.
    ///
    /// # Errors
    ///
    /// If it is not.
    pub fn just(&mut self, word: &str) -> Result<(), Unreadable> {
        self.word(&format!("{word:?}"), |found| (found == word).then_some(()))
    }

    /// The next word, parsed.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub fn read<T: FromStr>(&mut self, expected: &str) -> Result<T, Unreadable> {
        self.word(expected, |word| word.parse().ok())
    }

    /// A word and a duration after it: `for 250ms`.
    ///
    /// # Errors
    ///
    /// If they are not there.
    pub fn time(&mut self, word: &str) -> Result<Duration, Unreadable> {
        self.just(word)?;
        self.duration()
    }

    /// A duration, at most as long as a run may be.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub fn duration(&mut self) -> Result<Duration, Unreadable> {
        self.word("a time such as 250ms, at most 7 days,", |word| {
            let time: HumanDuration = word.parse().ok()?;
            (time.0 <= Request::MAX_TIME).then_some(time.0)
        })
    }

    /// `name=number`, up to a greatest number.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub fn number(&mut self, name: &str, most: u32) -> Result<u32, Unreadable> {
        self.word(&format!("{name}=0 to {name}={most}"), |word| {
            let number = word.strip_prefix(name)?.strip_prefix('=')?;
            number.parse().ok().filter(|number| *number <= most)
        })
    }

    /// The line ends here.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub fn end(mut self) -> Result<(), Unreadable> {
        match self.next_word() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the line")),
        }
    }
}
