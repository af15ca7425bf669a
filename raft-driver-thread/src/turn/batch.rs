//! Commands that wait to be proposed together.

use crate::state_machine::StateMachine;
use crate::tasks::CommandPromise;
use bytes::Bytes;
use raft_proto::Time;
use std::collections::VecDeque;

/// Commands that came one after another. They become one proposal, which is one run in the log.
pub(super) struct ProposalBatch<M: StateMachine> {
    pub(super) commands: Vec<Bytes>,
    /// One for each command, in the same order.
    pub(super) promises: VecDeque<CommandPromise<M>>,
    bytes: u64,
    /// When the first of them was given to the node, if that is measured.
    pub(super) given: Option<Time>,
}

impl<M: StateMachine> ProposalBatch<M> {
    pub(super) fn new() -> ProposalBatch<M> {
        ProposalBatch {
            commands: Vec::new(),
            promises: VecDeque::new(),
            bytes: 0,
            given: None,
        }
    }

    pub(super) fn push(&mut self, command: Bytes, promise: CommandPromise<M>, given: Option<Time>) {
        if self.commands.is_empty() {
            self.given = given;
        }
        self.bytes += command.len() as u64;
        self.commands.push(command);
        self.promises.push_back(promise);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The length of all commands together.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
