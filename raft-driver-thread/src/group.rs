//! Several requests that the core takes in one turn.

use crate::node::Node;
use crate::state_machine::StateMachine;
use crate::ticket::{Proposed, Ticket};
use bytes::Bytes;
use raft_proto::{ReadError, ReadMode};

/// Requests that the core takes together, when the group is dropped. Commands of one group that
/// follow one another are proposed as one batch: one append, one write, one sync. A batch ends
/// before a read, and at [`max_append_bytes`](raft_proto::Config::max_append_bytes).
///
/// The core may take the requests earlier, if another thread takes its turn while the group is
/// held.
///
/// [`Node::submit`] only wakes the core's thread. Dropping a group takes the core's turn in the
/// dropping thread, unless another thread takes one, which then sees the requests. This saves a
/// server that receives requests on threads of its own a wake-up, which takes longer than most
/// turns.
///
/// A group may be shared by several threads or tasks (`Arc<Group<_>>`): the last one to drop its
/// handle takes the turn.
///
/// A group that is a temporary value of a statement lives until the end of that statement: bind the
/// ticket first, then wait. `node.group().read(..).await` would wait while the group is held.
///
/// ```
/// # use raft_driver_thread::{Node, StateMachine};
/// fn submit_both<M: StateMachine>(node: &Node<M>) {
///     let group = node.group();
///     let first = group.submit("x = 1");
///     let second = group.submit("y = 2");
///     drop(group); // Do not wait for a ticket before: the core may not have been told yet.
///     let _ = (first.wait(), second.wait());
/// }
/// ```
#[derive(Debug)]
#[must_use = "the core is only told of the requests when the group is dropped"]
pub struct Group<M: StateMachine> {
    node: Node<M>,
}

impl<M: StateMachine> Node<M> {
    /// Begins a group of requests that the core takes in one turn, when the group is dropped.
    pub fn group(&self) -> Group<M> {
        Group { node: self.clone() }
    }
}

impl<M: StateMachine> Group<M> {
    /// As [`Node::submit`], but the core is only told when the group is dropped.
    pub fn submit(&self, command: impl Into<Bytes>) -> Proposed<M::Answer> {
        self.node.submit_later(command.into())
    }

    /// As [`Node::read`], but the core is only told when the group is dropped.
    pub fn read<A: Send + 'static>(
        &self,
        mode: ReadMode,
        query: impl FnOnce(&M) -> A + Send + 'static,
    ) -> Ticket<A, ReadError> {
        self.node.read_later(mode, query)
    }
}

impl<M: StateMachine> Drop for Group<M> {
    fn drop(&mut self) {
        self.node.help();
    }
}
