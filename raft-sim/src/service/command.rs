//! The commands and answers of clients, and how commands are encoded into entries.

use crate::release::in_older_layout;
use bytes::Bytes;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A session, named by the index of the entry that opened it: no other session has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// The payload of an entry. `Value` is the type of the values in it: shared bytes, or borrowed ones
/// while it is applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Command<Value = Bytes> {
    /// Opens a session. If it is repeated, it opens another one, which no client uses.
    Open {
        /// Tells a client which `Open` was its own. The service does not look at it.
        nonce: u64,
    },
    /// Runs an operation, once.
    Run {
        /// The session.
        session: SessionId,
        /// The number of the command in the session. Commands may run in any order: a client need
        /// not wait for one answer before it sends the next command.
        sequence: u64,
        /// The client has the answers to all lower sequences: the service drops those answers, and
        /// refuses the commands that it did not run.
        answered_below: u64,
        /// The operation.
        operation: Operation<Value>,
    },
}

/// An operation of the service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operation<Value = Bytes> {
    /// Reads the value. Answered with [`Answer::Value`].
    Get {
        /// The key.
        key: u64,
    },
    /// Sets the value. Answered with [`Answer::Done`].
    Set {
        /// The key.
        key: u64,
        /// The value, or the bytes.
        value: Value,
    },
    /// Appends bytes to the value; an absent value counts as empty. Answered with [`Answer::Done`].
    Append {
        /// The key.
        key: u64,
        /// The value, or the bytes.
        value: Value,
    },
    /// Sets the value to `new` if it is `expected`. Answered with [`Answer::Swapped`].
    CompareAndSet {
        /// The key.
        key: u64,
        /// The value that must be there; `None`: no value.
        expected: Option<Value>,
        /// The value afterwards.
        new: Value,
    },
    /// Deletes the value. Answered with [`Answer::Done`].
    Delete {
        /// The key.
        key: u64,
    },
    /// A command of a service of the user's own ([`kit`](crate::kit)), which reads the bytes.
    /// Answered with [`Answer::Called`].
    Call {
        /// The command.
        command: Value,
    },
}

/// The answer to a client.
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
    /// Refused, not run: if it was run before, its answer has been dropped.
    Forgotten,
    /// What a service of the user's own answers to [`Operation::Call`].
    Called(Bytes),
    /// The service has no such operation.
    NotServed,
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
    /// [`DamagedCommand`] if the payload is no command.
    pub fn decode(payload: &[u8]) -> Result<Command, DamagedCommand> {
        Command::parse(payload)
    }
}

impl<'a, Value: Deserialize<'a>> Command<Value> {
    /// As [`Command::decode`]; the values may borrow from the payload.
    pub(super) fn parse(payload: &'a [u8]) -> Result<Command<Value>, DamagedCommand> {
        match postcard::take_from_bytes(in_older_layout(payload)) {
            Ok((command, [])) => Ok(command),
            Ok(_) | Err(_) => Err(DamagedCommand(payload.len())),
        }
    }
}
