//! What stands in the log: the payload of a command's entry, and what applying it answers.

use super::command::Command;
use super::reply::Reply;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The payload of an entry.
///
/// Its first byte is the version of this layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The leader's wall clock when it took the entry: milliseconds since 1970. Applied, time
    /// never goes back: an earlier one counts as the latest seen.
    pub unix_millis: u64,
    /// What is to be done.
    pub operation: Operation,
}

/// What an entry does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Nothing but to let time pass, so that keys expire.
    AdvanceTime,
    /// Commands, in order; nothing comes in between.
    Commands {
        /// Whose they are, so that they run once however often they are proposed; `None`: they
        /// run whenever they are applied.
        origin: Option<Origin>,
        /// The commands. Those that only read may be among them.
        commands: Vec<Command>,
    },
    /// Opens a session (thesis 6.3) with this number; if there is one with it, that is it. Whoever
    /// asks draws the number at random, so that nobody meets another's session: not by guessing,
    /// and not in a cluster that was made from a backup, either.
    OpenSession(u64),
    /// Ends a session and forgets its answers.
    CloseSession(u64),
    /// A server says where it is reached. Replaces what it said before.
    SetAddress(ServerAddress),
    /// A server has left.
    RemoveAddress(u64),
    /// Keys of a backup, as they are; the expiries are milliseconds since 1970.
    Load(Vec<(Bytes, Bytes, Option<u64>)>),
}

/// By what a repeated request is recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The session.
    pub session: u64,
    /// The request's number in it.
    pub sequence: u64,
    /// No request below this number will be repeated: its answer can be forgotten. At most
    /// `sequence`.
    pub floor: u64,
}

/// Where a server is reached by clients, as the others have to know to forward to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAddress {
    /// Its node id.
    pub node: u64,
    /// Where clients reach it: host:port.
    pub clients: String,
    /// The release that it runs.
    pub release: String,
}

/// What applying an entry answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// One reply a command, but an error for reads behind more than
    /// [`MAX_ANSWER_BYTES`](super::MAX_ANSWER_BYTES).
    Replies(Vec<Reply>),
    /// The session that was opened.
    Session(u64),
    /// There is no such session: it was never opened, or too many others were used since. Nothing
    /// was done now.
    NoSession,
    /// The request's number is below one that the session has left behind, and its answer is
    /// forgotten. Nothing was done now; it was done once.
    Forgotten,
    /// It was done; there is nothing to say.
    Done,
    /// The bytes are no entry that this release knows. Nothing was done, on any server.
    Unreadable,
}

/// The version of the layout.
const VERSION: u8 = 1;

/// The bytes of what this release wrote, behind the layout's version.
fn encode(value: &impl Serialize) -> Bytes {
    match postcard::to_extend(value, vec![VERSION]) {
        Ok(bytes) => Bytes::from(bytes),
        // Nothing in it has a serializer that fails, and a vector takes all.
        Err(error) => unreachable!("an entry can always be written: {error}"),
    }
}

fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Option<T> {
    match bytes.split_first()? {
        (&VERSION, rest) => postcard::from_bytes(rest).ok(),
        _ => None,
    }
}

impl Payload {
    /// The payload.
    pub fn encode(&self) -> Bytes {
        Payload::encode_parts(self.unix_millis, &self.operation)
    }

    /// The payload of an entry with these parts.
    pub fn encode_parts(unix_millis: u64, operation: &Operation) -> Bytes {
        encode(&(unix_millis, operation))
    }

    /// The entry, if a release like this one wrote it.
    pub fn decode(bytes: &[u8]) -> Option<Payload> {
        decode(bytes)
    }
}

impl Operation {
    /// As it travels between servers.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// What travelled, if a release like this one sent it.
    pub fn decode(bytes: &[u8]) -> Option<Operation> {
        decode(bytes)
    }
}

impl Answer {
    /// As it travels between servers.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// What travelled, if a release like this one sent it.
    pub fn decode(bytes: &[u8]) -> Option<Answer> {
        decode(bytes)
    }
}
