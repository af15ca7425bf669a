//! Release levels: what the entries of the log may hold, so that servers of two releases can run
//! together while a cluster is upgraded.
//!
//! | level | what came with it |
//! |---|---|
//! | 0 | all that is in no other row |
//! | 1 | GETDEL |
//!
//! A command is proposed only at a level that all servers read
//! ([`NodeState::level`](raft_driver_thread::NodeState::level)). A server that meets an entry that
//! it does not read stops: one that skipped it would hold other keys than the rest.

use super::command::Command;
use super::payload::Operation;
use std::fmt;

/// The level of this release: the greatest that it reads.
pub const RELEASE_LEVEL: u32 = 1;

/// An entry that this server does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) index: u64,
    /// What the server reads.
    pub(super) level: u32,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unreadable { index, level } = self;
        write!(
            f,
            "the entry at {index} is of a newer release than this one, which reads level {level}, or \
             is damaged: start a release that reads it"
        )
    }
}

impl Operation {
    /// The least release level that reads the operation. None reads limits within limits, which no
    /// server proposes: the depth of a recursion must have a bound.
    pub fn level(&self) -> u32 {
        match self {
            Operation::Commands { commands, .. } => {
                commands.iter().map(Command::level).max().unwrap_or(0)
            }
            Operation::Within { operation, .. } => {
                if matches!(**operation, Operation::Within { .. }) {
                    return u32::MAX;
                }
                operation.level()
            }
            Operation::AdvanceTime
            | Operation::OpenSession(_)
            | Operation::CloseSession(_)
            | Operation::SetAddress(_)
            | Operation::RemoveAddress(_)
            | Operation::Load(_) => 0,
        }
    }
}
