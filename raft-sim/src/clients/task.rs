//! The operation that a client runs, and the commands that it sends for it.

use super::messages::{NumberedCommand, OPENING};
use crate::failure::Failure;
use crate::judge::ClientHistory;
use crate::linearizability::{KeyValueInput, KeyValueOutput, OperationId, Value};
use crate::random::Random;
use crate::schedule::{OperationKind, ReadKind};
use crate::service::{Answer, Caller, Command, CustomService, Operation, SessionId};
use bytes::Bytes;
use raft_proto::Time;
use std::collections::BTreeMap;

/// The key of all commands of a service of the user's own.
pub(super) const CALLS: u64 = 0;

/// What a client works on until it is answered or gives up.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) since: Time,
    pub(super) tries: u32,
    /// How many commands it sends at once.
    pub(super) most: usize,
    /// What it calls the session that it opens if it has none.
    pub(super) nonce: u64,
    pub(super) work: Work,
}

#[derive(Debug)]
pub(super) enum Work {
    /// Commands that go into the log.
    Commands(Vec<PendingCommand>),
    /// A read that does not go into the log.
    Read {
        key: u64,
        kind: ReadKind,
        id: OperationId,
    },
}

/// A command that is to run once.
#[derive(Debug)]
pub(super) struct PendingCommand {
    pub(super) sequence: u64,
    pub(super) key: u64,
    pub(super) operation: Operation,
    pub(super) id: OperationId,
    pub(super) is_answered: bool,
}

impl Task {
    /// The command that opens a session.
    pub(super) fn open_session(&self) -> NumberedCommand {
        let open: Command = Command::Open { nonce: self.nonce };
        NumberedCommand {
            sequence: OPENING,
            payload: open.encode(),
        }
    }

    /// The command of this number, if it has not been answered.
    pub(super) fn command(&mut self, sequence: u64) -> Option<&mut PendingCommand> {
        match &mut self.work {
            Work::Commands(all) => all
                .iter_mut()
                .find(|command| command.sequence == sequence && !command.is_answered),
            Work::Read { .. } => None,
        }
    }
}

impl Work {
    pub(super) fn len(&self) -> usize {
        match self {
            Work::Commands(all) => all.len(),
            Work::Read { .. } => 1,
        }
    }

    /// What has not been answered.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = OperationId> {
        let (commands, read) = match self {
            Work::Commands(all) => (&all[..], None),
            Work::Read { id, .. } => (&[][..], Some(*id)),
        };
        let commands = commands.iter().filter(|command| !command.is_answered);
        commands.map(|command| command.id).chain(read)
    }
}

/// The commands that have not been answered, as they are sent. The client runs one operation at a
/// time, so it has the answers to all commands before the first of these. At most `most` of them
/// are sent.
pub(super) fn unanswered(
    commands: &[PendingCommand],
    session: SessionId,
    most: usize,
) -> Vec<NumberedCommand> {
    let answered_below = commands.first().map_or(0, |first| first.sequence);
    let unanswered = commands.iter().filter(|command| !command.is_answered);
    let numbered = |pending: &PendingCommand| {
        let command = Command::Run {
            session,
            sequence: pending.sequence,
            answered_below,
            operation: pending.operation.clone(),
        };
        NumberedCommand {
            sequence: pending.sequence,
            payload: command.encode(),
        }
    };
    unanswered.take(most).map(numbered).collect()
}

/// What the history needs of an answer.
pub(super) fn output(answer: &Answer) -> KeyValueOutput {
    match answer {
        Answer::Value(value) => KeyValueOutput::Value(value.as_deref().map(Value::from)),
        Answer::Swapped(swapped) => KeyValueOutput::Swapped(*swapped),
        Answer::Opened(_)
        | Answer::Done
        | Answer::UnknownSession
        | Answer::Forgotten
        | Answer::Called(_)
        | Answer::NotServed => KeyValueOutput::Done,
    }
}

/// The value of the key after the operation, if the answer tells it.
pub(super) fn value_after(operation: &Operation, answer: &Answer) -> Option<Option<Bytes>> {
    match (operation, answer) {
        (Operation::Get { .. }, Answer::Value(value)) => Some(value.clone()),
        (Operation::Set { value, .. }, _) => Some(Some(value.clone())),
        (Operation::CompareAndSet { new, .. }, Answer::Swapped(true)) => Some(Some(new.clone())),
        (Operation::Delete { .. }, _) => Some(None),
        (Operation::Call { .. }, Answer::Called(answer)) => Some(Some(answer.clone())),
        (
            Operation::Get { .. }
            | Operation::Append { .. }
            | Operation::CompareAndSet { .. }
            | Operation::Call { .. },
            _,
        ) => None,
    }
}

/// Turns a client operation into work, and notes its beginning in the history.
pub(super) struct WorkBuilder<'a> {
    pub(super) values: &'a mut u64,
    pub(super) random: &'a mut Random,
    pub(super) max_value: u64,
    pub(super) history: &'a mut ClientHistory,
    pub(super) now: Time,
    pub(super) client: u32,
    pub(super) custom: Option<&'a dyn CustomService>,
}

impl WorkBuilder<'_> {
    /// Longer values are replaced, not appended to: one day they would not fit into an entry.
    const LONG: usize = 400;

    /// A value that no client has written before.
    fn value(&mut self, most: u64) -> Bytes {
        *self.values += 1;
        let length = self.random.between(8, most.max(8));
        let mut value = vec![b'.'; usize::try_from(length).unwrap_or(8)];
        value[..8].copy_from_slice(&self.values.to_le_bytes()); // at least 8 long
        value.into()
    }

    /// The work for an operation. `seen` holds the values that the client saw last, and `sequence`
    /// the number of its next command.
    pub(super) fn build(
        &mut self,
        kind: OperationKind,
        seen: &BTreeMap<u64, Option<Bytes>>,
        sequence: &mut u64,
    ) -> Result<Work, Failure> {
        let most = self.max_value;
        let known = |key: u64| seen.get(&key).cloned().flatten();
        let set = |builder: &mut Self, key| Operation::Set {
            key,
            value: builder.value(most),
        };
        let operation = match kind {
            OperationKind::Read { key, kind } => {
                let id = self.invoke(key, KeyValueInput::Get)?;
                return Ok(Work::Read { key, kind, id });
            }
            OperationKind::Batch(count) => {
                let mut all = Vec::new();
                for at in 0..u64::from(count) {
                    let operation = set(self, at % 6);
                    all.push(self.command(operation, sequence)?);
                }
                return Ok(Work::Commands(all));
            }
            OperationKind::Get(key) => Operation::Get { key },
            OperationKind::Set(key) => set(self, key),
            OperationKind::Append(key)
                if known(key).is_some_and(|value| value.len() > Self::LONG) =>
            {
                set(self, key)
            }
            OperationKind::Append(key) => Operation::Append {
                key,
                value: self.value(8),
            },
            OperationKind::CompareAndSet(key) => Operation::CompareAndSet {
                key,
                expected: known(key),
                new: self.value(most),
            },
            OperationKind::Delete(key) => Operation::Delete { key },
            OperationKind::Call(number) => self.call(number, seen)?,
        };
        Ok(Work::Commands(vec![self.command(operation, sequence)?]))
    }

    /// A command of a service of the user's own.
    fn call(&self, number: u64, seen: &BTreeMap<u64, Option<Bytes>>) -> Result<Operation, Failure> {
        let custom = self.custom.ok_or(Failure::NoService)?;
        let caller = Caller {
            client: self.client,
            last_answer: seen.get(&CALLS).and_then(Option::as_ref),
        };
        let command = custom.command(number, caller).map_err(Failure::Command)?;
        Ok(Operation::Call { command })
    }

    fn command(
        &mut self,
        operation: Operation,
        sequence: &mut u64,
    ) -> Result<PendingCommand, Failure> {
        let value = |bytes: &Bytes| Value::from(&bytes[..]);
        let (key, id) = match &operation {
            Operation::Get { key } => (*key, self.invoke(*key, KeyValueInput::Get)?),
            Operation::Set { key, value: new } => {
                (*key, self.invoke(*key, KeyValueInput::Set(value(new)))?)
            }
            Operation::Append { key, value: more } => {
                (*key, self.invoke(*key, KeyValueInput::Append(value(more)))?)
            }
            Operation::CompareAndSet { key, expected, new } => {
                let expected = expected.as_ref().map(value);
                let new = value(new);
                let input = KeyValueInput::CompareAndSet { expected, new };
                (*key, self.invoke(*key, input)?)
            }
            Operation::Delete { key } => (*key, self.invoke(*key, KeyValueInput::Delete)?),
            Operation::Call { command } => {
                (CALLS, self.history.call(self.client, command, self.now)?)
            }
        };
        let number = *sequence;
        *sequence += 1;
        Ok(PendingCommand {
            sequence: number,
            key,
            operation,
            id,
            is_answered: false,
        })
    }

    fn invoke(&mut self, key: u64, input: KeyValueInput) -> Result<OperationId, Failure> {
        self.history.invoke(self.client, key, input, self.now)
    }
}
