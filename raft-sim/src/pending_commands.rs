//! The proposals of one node whose clients wait until they are applied.

use crate::service::{Answer, Applied};
use raft_proto::{Entries, EntryId, Index, Proposal};
use std::collections::VecDeque;

/// Who asked for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientCommand {
    /// Which client.
    pub client: u32,
    /// The number of its attempt.
    pub attempt: u64,
    /// What the client calls the command.
    pub sequence: u64,
}

/// What a client learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOutcome {
    /// Whose command it was.
    pub asked: ClientCommand,
    /// The answer; `None`: another leader's entry was committed in its place.
    pub answer: Option<(EntryId, Answer)>,
}

/// The commands of one node that wait to be applied, in the order of their indexes. They die with
/// the node: its clients then do not know what became of them.
#[derive(Clone, Debug, Default)]
pub struct PendingCommands {
    waiting: VecDeque<(EntryId, ClientCommand)>,
}

impl PendingCommands {
    /// The node took a proposal of these commands. Commands that stood at the same indexes, in a
    /// log that has been truncated since, are lost.
    pub fn accepted(
        &mut self,
        proposal: Proposal,
        asked: &[ClientCommand],
        learnt: &mut Vec<CommandOutcome>,
    ) {
        while let Some((entry, asked)) = self.waiting.back().copied() {
            if entry.index < proposal.first.index {
                break;
            }
            self.waiting.pop_back();
            learnt.push(CommandOutcome {
                asked,
                answer: None,
            });
        }
        let term = proposal.first.term;
        for (at, asked) in asked.iter().enumerate() {
            let index = proposal.first.index.plus(at as u64);
            self.waiting.push_back((EntryId { index, term }, *asked));
        }
    }

    /// The node applied entries, with these answers to the commands among them.
    pub fn applied(
        &mut self,
        entries: &Entries,
        answers: &[Applied],
        learnt: &mut Vec<CommandOutcome>,
    ) {
        let Some(last) = entries.last_id() else {
            return;
        };
        let mut answers = answers.iter().peekable();
        while let Some((entry, asked)) = self.waiting.front().copied() {
            if entry.index > last.index {
                break;
            }
            self.waiting.pop_front();
            while answers
                .next_if(|applied| applied.id.index < entry.index)
                .is_some()
            {}
            let found = answers.next_if(|applied| applied.id == entry);
            learnt.push(CommandOutcome {
                asked,
                answer: found.map(|applied| (entry, applied.answer.clone())),
            });
        }
    }

    /// The node's state was replaced by a snapshot up to `last`: what became of proposals before
    /// it is not known.
    pub fn restored(&mut self, last: Index) {
        self.waiting.retain(|(entry, _)| entry.index > last);
    }
}
