//! Linearizability: the results that all clients saw must be those of their operations run one
//! after another, each between its beginning and its end.

use super::journal::{self, Journal};
use crate::failure::Failure;
use crate::linearizability::{
    Checker, CheckerError, KeyValue, KeyValueInput, KeyValueOutput, Limits, OperationId, Verdict,
};
use crate::service::CallHistory;
use raft_proto::Time;

type Model = KeyValue<u64>;

/// The history of all clients' operations, checked while it grows.
#[derive(Debug)]
pub struct ClientHistory {
    checker: Checker<Model>,
    /// The history of a service of the user's own, which takes all operations.
    calls: Option<Box<dyn CallHistory>>,
    /// What clients did, if somebody wants to look at it.
    journal: Option<Journal>,
}

impl Default for ClientHistory {
    fn default() -> ClientHistory {
        ClientHistory {
            checker: Checker::new(Limits {
                stretch: 160,
                states: 1 << 11,
                unknown: 128,
            }),
            calls: None,
            journal: None,
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
        let text = self.journal.as_ref().map(|_| journal::request(key, &input));
        let begun = self.checker.invoke(client.into(), key, input, now.0);
        let id = begun.map_err(failure)?;
        if let (Some(journal), Some(text)) = (&mut self.journal, text) {
            journal.begins(id, client, now, text);
        }
        Ok(id)
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
        if let Some(journal) = &mut self.journal {
            journal.answered(id, now, &output);
        }
        self.checker.complete(id, output, now.0).map_err(failure)
    }

    /// All operations are calls of a service of the user's own.
    pub(crate) fn keep_calls(&mut self, calls: Box<dyn CallHistory>) {
        self.calls = Some(calls);
    }

    /// A client begins a call of a service of the user's own.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`], and [`Failure::NoService`] if there is no such service.
    pub(crate) fn call(
        &mut self,
        client: u32,
        command: &[u8],
        now: Time,
    ) -> Result<OperationId, Failure> {
        let calls = self.calls.as_mut().ok_or(Failure::NoService)?;
        let id = calls.begin(client, command, now);
        let id = id.map_err(Failure::NotLinearizable)?;
        if let Some(journal) = &mut self.journal {
            journal.begins(id, client, now, calls.describe_command(command));
        }
        Ok(id)
    }

    /// A client learns the answer to its call.
    ///
    /// # Errors
    ///
    /// As [`ClientHistory::call`].
    pub(crate) fn called(
        &mut self,
        id: OperationId,
        answer: &[u8],
        now: Time,
    ) -> Result<(), Failure> {
        let calls = self.calls.as_mut().ok_or(Failure::NoService)?;
        if let Some(journal) = &mut self.journal {
            journal.called(id, now, &calls.describe_answer(answer));
        }
        let answered = calls.answer(id, answer, now);
        answered.map_err(Failure::NotLinearizable)
    }

    /// From now on a journal is kept.
    pub(crate) fn keep_journal(&mut self) {
        self.journal = Some(Journal::default());
    }

    /// The journal goes on in another history.
    pub(super) fn hand_journal_to(&mut self, other: &mut ClientHistory) {
        other.journal = self.journal.take();
    }

    /// The journal, which ends with that.
    pub(crate) fn take_journal(&mut self) -> Journal {
        self.journal.take().unwrap_or_default()
    }

    /// A client gives up. Its operation may take effect at any later time, or never.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`].
    pub fn give_up(&mut self, id: OperationId, now: Time) -> Result<(), Failure> {
        if let Some(journal) = &mut self.journal {
            journal.given_up(id, now);
        }
        if let Some(calls) = &mut self.calls {
            return calls.give_up(id).map_err(Failure::NotLinearizable);
        }
        self.checker.unknown(id).map_err(failure)
    }

    /// An operation that was given up takes no effect any more, unless it already has.
    pub fn expire(&mut self, id: OperationId, now: Time) {
        match &mut self.calls {
            Some(calls) => calls.expire(id, now),
            None => self.checker.expire(id, now.0),
        }
    }

    /// No operation follows. Returns how many keys' histories were too hard to check to their end.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`].
    pub fn finish(self) -> Result<u64, Failure> {
        if let Some(calls) = self.calls {
            return calls.finish().map_err(Failure::NotLinearizable);
        }
        match self.checker.finish() {
            Verdict::Linearizable => Ok(0),
            Verdict::NotLinearizable(why) => Err(Failure::NotLinearizable(why.to_string())),
            Verdict::Unknown(keys) => Ok(keys.len() as u64),
        }
    }
}
