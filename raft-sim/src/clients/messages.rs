//! What clients and nodes tell each other.

use crate::service::SessionId;
use bytes::Bytes;
use raft_proto::{EntryId, ReadMode, Time};

/// The sequence number that stands for the opening of a session.
pub(super) const OPENING: u64 = u64::MAX;

/// A client's request to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRequest {
    /// Which client.
    pub client: u32,
    /// The number of the client's attempt.
    pub attempt: u64,
    /// The node, by its place.
    pub place: usize,
    /// What the client asks for.
    pub body: RequestBody,
}

/// What a client asks a node for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// To commit these commands.
    Commands(Vec<NumberedCommand>),
    /// To read the value of a key.
    Read {
        /// The key.
        key: u64,
        /// How the node makes sure that the value is not stale.
        mode: ReadMode,
    },
}

/// An encoded command and its number in the client's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedCommand {
    /// Its number.
    pub sequence: u64,
    /// The payload of its entry.
    pub payload: Bytes,
}

/// What a client does when its timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerOutcome {
    /// It waits until then.
    Wait(Time),
    /// It makes another attempt.
    Retry {
        /// The number of its latest attempt.
        attempt: u64,
    },
    /// Its operation has been answered.
    Idle,
}

/// What a client does whose commands are over a limit of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resized {
    /// It sends fewer of them at once.
    Smaller,
    /// It gives up: even one is too much.
    GivenUp {
        /// The client goes on at once; this is the number of its latest attempt.
        next_attempt: Option<u64>,
    },
}

/// What follows from the outcome of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reaction {
    /// The client goes on at once; this is the number of its latest attempt.
    pub next_attempt: Option<u64>,
    /// The command that has been answered, if the client still waited for it.
    pub answered: Option<AnsweredCommand>,
}

/// A command that has been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnsweredCommand {
    /// Its session.
    pub session: SessionId,
    /// Its number in the session.
    pub sequence: u64,
    /// Its entry.
    pub entry: EntryId,
}
