//! Histories: what clients saw.

use super::model::Model;
use core::fmt;

/// One operation of one client on one key.
///
/// Its outcome is known if there is an `output`. Otherwise it timed out, or its client crashed: it
/// may have taken effect at any time after `invoked`, even after `returned`, or never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<M: Model> {
    /// The client. Only for explanations.
    pub client: u64,
    /// The key.
    pub key: M::Key,
    /// When it began, by any clock that never goes back. All operations share the clock.
    pub invoked: u64,
    /// When it ended. If that is the very time at which another operation began, the two count as
    /// concurrent. A time before `invoked` counts as `invoked`. With an output but no end, the
    /// operation ended at an unknown time.
    pub returned: Option<u64>,
    /// The request.
    pub input: M::Input,
    /// The answer.
    pub output: Option<M::Output>,
}

impl<M: Model> fmt::Display for Operation<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = match (self.returned, &self.output) {
            (Some(returned), Some(_)) => returned.to_string(),
            (_, None) | (None, Some(_)) => String::from("?"),
        };
        let (invoked, client) = (self.invoked, self.client);
        let what = M::describe(&self.input, self.output.as_ref());
        write!(f, "[{invoked} .. {until}] client {client}: {what}")
    }
}

/// The operations of all clients, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History<M: Model> {
    operations: Vec<Operation<M>>,
}

impl<M: Model> History<M> {
    /// An empty history.
    pub fn new() -> History<M> {
        History {
            operations: Vec::new(),
        }
    }

    /// Adds an operation.
    pub fn push(&mut self, operation: Operation<M>) {
        self.operations.push(operation);
    }

    /// All operations, in the order in which they were added.
    pub fn operations(&self) -> &[Operation<M>] {
        &self.operations
    }
}

impl<M: Model> FromIterator<Operation<M>> for History<M> {
    fn from_iter<T: IntoIterator<Item = Operation<M>>>(operations: T) -> History<M> {
        History {
            operations: operations.into_iter().collect(),
        }
    }
}

impl<M: Model> Extend<Operation<M>> for History<M> {
    fn extend<T: IntoIterator<Item = Operation<M>>>(&mut self, operations: T) {
        self.operations.extend(operations);
    }
}
