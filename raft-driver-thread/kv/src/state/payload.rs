//! What the log holds: the payload of a command entry, and what applying it answers.
//!
//! The layout is postcard's, so it depends on the order of variants and fields: a new variant goes
//! to the end of its enum.

use super::address::ServerAddress;
use super::command::Command;
use super::limits::Limits;
use super::reply::Reply;
use bytes::Bytes;
use raft_driver_thread::sessions::Origin;
use serde::{Deserialize, Serialize};

/// The payload of a command entry of the log.
///
/// Its first byte is the version of its layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The state's time when the leader proposed the entry: milliseconds since 1970 by the wall
    /// clock of the cluster's first leader. From then on it runs on by the leaders' clocks that
    /// count from boot (see [`StateClock`](super::StateClock)). It never goes back: when an entry
    /// with an earlier time is applied, the latest time seen counts.
    pub unix_millis: u64,
    /// What the entry does.
    pub operation: Operation,
}

/// What an entry does to the replicated state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Lets time pass and keys expire, nothing else.
    AdvanceTime,
    /// Runs commands in order. No other command runs in between.
    Commands {
        /// Identifies the request, so that it runs once however often it is proposed; `None`: the
        /// commands run every time they are applied.
        origin: Option<Origin>,
        /// The commands. Commands that only read may be among them.
        commands: Vec<Command>,
    },
    /// Opens a session (thesis 6.3) with this number. If there is one with it, it is used.
    ///
    /// The server that proposes this draws the number at random. So no client meets another's
    /// session: not by guessing, and not in a cluster that was restored from a backup.
    OpenSession(u64),
    /// Ends a session and forgets its answers.
    CloseSession(u64),
    /// A server publishes its address, which replaces the one it published before.
    SetAddress(ServerAddress),
    /// Removes the address of a server that has left, by its node id.
    RemoveAddress(u64),
    /// Loads keys of a backup.
    Load(Vec<StoredKey>),
    /// An operation within limits that the leader had when it proposed it. They stand in the entry,
    /// so that all servers refuse the same commands, whatever their own settings say.
    Within {
        /// The limits.
        limits: Limits,
        /// What is done. It is not `Within` itself.
        operation: Box<Operation>,
    },
}

/// The place of [`Operation::Within`] among the variants, as postcard counts them.
const WITHIN: u32 = 7;

/// A key as a backup holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKey {
    /// The key.
    pub name: Bytes,
    /// Its value.
    pub value: Bytes,
    /// When it expires, in milliseconds since 1970; `None`: never.
    pub expiry: Option<u64>,
}

/// What applying an entry answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// One reply for each command. Once the replies take more than
    /// [`MAX_ANSWER_BYTES`](super::MAX_ANSWER_BYTES), each further read is answered with an error.
    Replies(Vec<Reply>),
    /// The session that was opened.
    Session(u64),
    /// There is no such session: it was never opened, it was closed, or it was evicted as the
    /// least recently used. This entry did nothing.
    NoSession,
    /// The request's number is below the session's floor, or its answer was too long to be kept.
    /// If it ever ran, it was by an earlier entry. This entry did nothing.
    Forgotten,
    /// The operation was done, and has no result.
    Done,
    /// This release does not read the payload. The server stops, and nobody gets this answer.
    Unreadable,
}

/// The version of the layout.
const VERSION: u8 = 1;

/// The bytes of a value, behind the version of the layout.
fn encode(value: &impl Serialize) -> Bytes {
    match postcard::to_extend(value, vec![VERSION]) {
        Ok(bytes) => Bytes::from(bytes),
        // No serializer in it fails, and a vector takes any length.
        Err(error) => unreachable!("a payload can always be encoded: {error}"),
    }
}

fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Option<T> {
    match bytes.split_first()? {
        (&VERSION, rest) => postcard::from_bytes(rest).ok(),
        _ => None,
    }
}

impl Payload {
    /// The payload's bytes.
    pub fn encode(&self) -> Bytes {
        Payload::encode_parts(self.unix_millis, &self.operation)
    }

    /// The bytes of a payload with these parts.
    pub fn encode_parts(unix_millis: u64, operation: &Operation) -> Bytes {
        encode(&(unix_millis, operation))
    }

    /// The bytes of a payload whose operation is `operation` [within](Operation::Within) limits.
    pub fn encode_within(unix_millis: u64, limits: Limits, operation: &Operation) -> Bytes {
        // A variant is its number and its fields, one after the other.
        encode(&(unix_millis, WITHIN, limits, operation))
    }

    /// The payload; `None` if the bytes have another layout.
    pub fn decode(bytes: &[u8]) -> Option<Payload> {
        decode(bytes)
    }
}

impl Operation {
    /// The bytes that a server forwards to the leader.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// The operation; `None` if the bytes have another layout.
    pub fn decode(bytes: &[u8]) -> Option<Operation> {
        decode(bytes)
    }
}

impl Answer {
    /// The bytes that a leader sends back to the server that forwarded the operation.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// The answer; `None` if the bytes have another layout.
    pub fn decode(bytes: &[u8]) -> Option<Answer> {
        decode(bytes)
    }
}
