//! Linearizability: the results that all clients saw must be those of their operations run one
//! after another, each between its beginning and its end.

use crate::failure::Failure;
use crate::linearizability::{
    Checker, CheckerError, KeyValue, KeyValueInput, KeyValueOutput, Limits, OperationId, Verdict,
};
use raft_proto::Time;

type Model = KeyValue<u64>;

/// The history of all clients' operations, checked while it grows.
#[derive(Debug)]
pub struct ClientHistory {
    checker: Checker<Model>,
}

impl Default for ClientHistory {
    fn default() -> ClientHistory {
        ClientHistory {
            checker: Checker::new(Limits {
                stretch: 160,
                states: 1 << 11,
                unknown: 128,
            }),
        }
    }
}

fn failure(error: CheckerError<Model>) -> Failure {
    Failure::NotLinearizable(error.to_string())
}

impl ClientHistory {
    /// A client begins an operation.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`].
    pub fn invoke(
        &mut self,
        client: u32,
        key: u64,
        input: KeyValueInput,
        now: Time,
    ) -> Result<OperationId, Failure> {
        let begun = self.checker.invoke(client.into(), key, input, now.0);
        begun.map_err(failure)
    }

    /// A client learns the result of its operation.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`].
    pub fn complete(
        &mut self,
        id: OperationId,
        output: KeyValueOutput,
        now: Time,
    ) -> Result<(), Failure> {
        self.checker.complete(id, output, now.0).map_err(failure)
    }

    /// A client gives up. Its operation may take effect at any later time, or never.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`].
    pub fn give_up(&mut self, id: OperationId) -> Result<(), Failure> {
        self.checker.unknown(id).map_err(failure)
    }

    /// An operation that was given up takes no effect any more, unless it already has.
    pub fn expire(&mut self, id: OperationId, now: Time) {
        self.checker.expire(id, now.0);
    }

    /// No operation follows. Returns how many keys' histories were too hard to check to their end.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`].
    pub fn finish(self) -> Result<u64, Failure> {
        match self.checker.finish() {
            Verdict::Linearizable => Ok(0),
            Verdict::NotLinearizable(why) => Err(Failure::NotLinearizable(why.to_string())),
            Verdict::Unknown(keys) => Ok(keys.len() as u64),
        }
    }
}
