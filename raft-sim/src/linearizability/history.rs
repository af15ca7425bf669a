//! What clients saw.

use super::model::Model;
use core::fmt;

/// One operation of one client on one key.
///
/// Its outcome is known if `output` is there. Otherwise it may have taken effect at any time
/// after `invoked`, even after `returned`, or never: it timed out, or its client crashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<M: Model> {
    /// Who asked. Only for explanations.
    pub client: u64,
    /// What was asked about.
    pub key: M::Key,
    /// When it began: on any clock that never goes back, the same one for all operations.
    pub invoked: u64,
    /// When it ended. An operation that ended at the very time at which another began counts as
    /// concurrent with it. A time before `invoked` counts as `invoked`; with an output but no
    /// end, it ended some time.
    pub returned: Option<u64>,
    /// What was asked for.
    pub input: M::Input,
    /// What was answered.
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

/// What all clients saw, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History<M: Model> {
    operations: Vec<Operation<M>>,
}

impl<M: Model> History<M> {
    /// Nothing.
    pub fn new() -> History<M> {
        History {
            operations: Vec::new(),
        }
    }

    /// One more operation.
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
