//! The commands that one node has accepted, and whose clients wait until they are applied.

use crate::service::{Answer, Applied};
use raft_proto::{Entries, EntryId, Index, Proposal};
use std::collections::VecDeque;

/// A client's command, as one attempt has sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientCommand {
    /// Which client.
    pub client: u32,
    /// The number of the client's attempt.
    pub attempt: u64,
    /// The number of the command in the client's session.
    pub sequence: u64,
}

/// What a client is told of its command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOutcome {
    /// Which command.
    pub command: ClientCommand,
    /// What became of it.
    pub result: CommandResult,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandResult {
    /// It was applied.
    Applied {
        /// Its entry.
        entry: EntryId,
        /// The service's answer.
        answer: Answer,
    },
    /// Another leader's entry was committed in its place.
    Replaced,
}

/// The commands of one node that wait to be applied, in the order of their indexes. They are lost
/// with the process: their clients then do not know what became of them.
#[derive(Clone, Debug, Default)]
pub struct PendingCommands {
    waiting: VecDeque<(EntryId, ClientCommand)>,
}

impl PendingCommands {
    /// The node has accepted a proposal of these commands. Commands that stood at the same indexes,
    /// in a log that has been truncated since, are replaced.
    pub fn accepted(
        &mut self,
        proposal: Proposal,
        commands: &[ClientCommand],
        outcomes: &mut Vec<CommandOutcome>,
    ) {
        while let Some((entry, command)) = self.waiting.back().copied() {
            if entry.index < proposal.first.index {
                break;
            }
            self.waiting.pop_back();
            outcomes.push(CommandOutcome {
                command,
                result: CommandResult::Replaced,
            });
        }
        let term = proposal.first.term;
        for (at, command) in commands.iter().enumerate() {
            let index = proposal.first.index.plus(at as u64);
            self.waiting.push_back((EntryId { index, term }, *command));
        }
    }

    /// The node has applied entries, with these answers to the commands among them.
    pub fn applied(
        &mut self,
        entries: &Entries,
        answers: &[Applied],
        outcomes: &mut Vec<CommandOutcome>,
    ) {
        let Some(last) = entries.last_id() else {
            return;
        };
        let mut answers = answers.iter().peekable();
        while let Some((entry, command)) = self.waiting.front().copied() {
            if entry.index > last.index {
                break;
            }
            self.waiting.pop_front();
            while answers
                .next_if(|applied| applied.id.index < entry.index)
                .is_some()
            {}
            let result = match answers.next_if(|applied| applied.id == entry) {
                Some(applied) => CommandResult::Applied {
                    entry,
                    answer: applied.answer.clone(),
                },
                None => CommandResult::Replaced,
            };
            outcomes.push(CommandOutcome { command, result });
        }
    }

    /// A snapshot up to `last` has replaced the node's state. What became of the commands before
    /// its end is not known.
    pub fn restored(&mut self, last: Index) {
        self.waiting.retain(|(entry, _)| entry.index > last);
    }
}
