//! Several requests in one turn of the core.

use crate::node::Node;
use crate::state_machine::StateMachine;
use crate::ticket::{Proposed, Ticket};
use bytes::Bytes;
use raft_proto::{ReadError, ReadMode};

/// Requests that the core takes together: it hears of them when the group is dropped, and commands that
/// were submitted to one group travel as one batch (one append, one write, one sync), within the
/// core's limits.
///
/// Dropping the group does not only wake the core's thread, as [`Node::submit`] does. The
/// dropping thread takes the core's turn itself, unless another thread is at it. A server that
/// receives requests on threads of its own saves the wake-up in that way, which takes longer than most turns.
///
/// A group may be shared by several threads or tasks (`Arc<Group<_>>`): the last one to drop its
/// handle takes the turn.
///
/// ```
/// # use raft_driver_thread::{Node, StateMachine};
/// fn submit_both<M: StateMachine>(node: &Node<M>) {
///     let group = node.group();
///     let first = group.submit("x = 1");
///     let second = group.submit("y = 2");
///     drop(group); // Nothing is proposed before; do not wait for a ticket while you hold the group.
///     let _ = (first.wait(), second.wait());
/// }
/// ```
#[derive(Debug)]
pub struct Group<M: StateMachine> {
    node: Node<M>,
}

impl<M: StateMachine> Node<M> {
    /// Starts a group of requests that the core takes in one turn, when the group is dropped.
    pub fn group(&self) -> Group<M> {
        Group { node: self.clone() }
    }
}

impl<M: StateMachine> Group<M> {
    /// As [`Node::submit`], when the group is dropped.
    pub fn submit(&self, command: impl Into<Bytes>) -> Proposed<M::Answer> {
        self.node.submit_later(command.into())
    }

    /// As [`Node::read`], when the group is dropped.
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
