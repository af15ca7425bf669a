//! What clients ask for and are told, and how commands are written into entries.

use bytes::Bytes;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A session, named by the index of the entry that opened it: no other one ever has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// The payload of an entry. `Value` is how it holds the bytes of values: shared, or borrowed
/// while it is applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Command<Value = Bytes> {
    /// Opens a session. Repeated it opens another one, which does no harm: nobody uses it.
    Open {
        /// Tells a client which one was its own. The service does not look at it.
        nonce: u64,
    },
    /// Runs an operation, once.
    Run {
        /// Whose.
        session: SessionId,
        /// Which one of the session's. Any order will do: a client need not wait for one answer
        /// before it sends the next command.
        sequence: u64,
        /// The client has the answers to all sequences below: the service forgets them, and
        /// refuses those that it did not run.
        answered_below: u64,
        /// What to do.
        operation: Operation<Value>,
    },
}

/// What the store can do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operation<Value = Bytes> {
    /// The value. Answered with [`Answer::Value`].
    Get {
        /// Where.
        key: u64,
    },
    /// This value from now on. Answered with [`Answer::Done`].
    Set {
        /// Where.
        key: u64,
        /// What.
        value: Value,
    },
    /// These bytes after those that are there; an absent value counts as empty. Answered with
    /// [`Answer::Done`].
    Append {
        /// Where.
        key: u64,
        /// What.
        value: Value,
    },
    /// `new`, if the value is `expected`. Answered with [`Answer::Swapped`].
    CompareAndSet {
        /// Where.
        key: u64,
        /// What must be there; `None`: nothing.
        expected: Option<Value>,
        /// What is there afterwards.
        new: Value,
    },
    /// No value from now on. Answered with [`Answer::Done`].
    Delete {
        /// Where.
        key: u64,
    },
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Answer {
    /// The session is open.
    Opened(SessionId),
    /// The value that was read; `None`: there is none.
    Value(Option<Bytes>),
    /// Done.
    Done,
    /// Whether the value was as expected, and was replaced.
    Swapped(bool),
    /// Refused, not run: the session was never opened, or was evicted.
    UnknownSession,
    /// Refused, not run: if it was run before, the answer was forgotten.
    Forgotten,
}

/// A payload that is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a payload of {0} bytes that is no command")]
pub struct DamagedCommand(pub usize);

impl Command {
    /// The payload of its entry.
    pub fn encode(&self) -> Bytes {
        // Writing to memory does not fail.
        postcard::to_allocvec(self).unwrap_or_default().into()
    }

    /// The command in a payload.
    ///
    /// # Errors
    ///
    /// [`DamagedCommand`] if it is none.
    pub fn decode(payload: &[u8]) -> Result<Command, DamagedCommand> {
        Command::parse(payload)
    }
}

impl<'a, Value: Deserialize<'a>> Command<Value> {
    /// As [`Command::decode`]; the values may borrow from the payload.
    pub(super) fn parse(payload: &'a [u8]) -> Result<Command<Value>, DamagedCommand> {
        match postcard::take_from_bytes(payload) {
            Ok((command, [])) => Ok(command),
            Ok(_) | Err(_) => Err(DamagedCommand(payload.len())),
        }
    }
}
