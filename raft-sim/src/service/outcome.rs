//! What becomes of commands that are applied.

use super::command::{Answer, SessionId};
use raft_proto::EntryId;

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It opened a session.
    Opened,
    /// Its operation was run.
    Ran,
    /// It had been run before: answered from memory, nothing changed.
    Repeated,
    /// It was not run; [`Applied::answer`] says why.
    Refused,
}

/// A command that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its entry.
    pub id: EntryId,
    /// The session and the sequence of a [`Command::Run`](super::Command::Run).
    pub of: Option<(SessionId, u64)>,
    /// What became of it.
    pub outcome: Outcome,
    /// The answer to its client.
    pub answer: Answer,
}
