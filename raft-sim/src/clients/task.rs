//! What a client is about, and what it says to servers.

use super::{History, OPENING, judged};
use crate::failure::Failure;
use crate::linearizability::{KeyValueInput, KeyValueOutput, OperationId, Value};
use crate::random::Random;
use crate::schedule::{OperationKind, ReadKind};
use crate::service::{Answer, Command, Operation, SessionId};
use bytes::Bytes;
use raft_proto::Time;
use std::collections::BTreeMap;

/// What a client asks for until it is answered or gives up.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) since: Time,
    pub(super) tries: u32,
    /// What it calls the session that it opens if it has none.
    pub(super) nonce: u64,
    pub(super) work: Work,
}

#[derive(Debug)]
pub(super) enum Work {
    /// Commands that go into the log.
    Commands(Vec<Wanted>),
    /// A read that does not.
    Read {
        key: u64,
        kind: ReadKind,
        id: OperationId,
    },
}

/// A command that is to run once.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) sequence: u64,
    pub(super) key: u64,
    pub(super) operation: Operation,
    pub(super) id: OperationId,
    pub(super) is_answered: bool,
}

impl Task {
    /// The command that opens a session.
    pub(super) fn open(&self) -> (u64, Bytes) {
        let open: Command = Command::Open { nonce: self.nonce };
        (OPENING, open.encode())
    }

    /// The command of this number, if it has not been answered.
    pub(super) fn wanted(&mut self, sequence: u64) -> Option<&mut Wanted> {
        match &mut self.work {
            Work::Commands(all) => all
                .iter_mut()
                .find(|wanted| wanted.sequence == sequence && !wanted.is_answered),
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
    pub(super) fn open(&self) -> impl Iterator<Item = OperationId> {
        let (commands, read) = match self {
            Work::Commands(all) => (&all[..], None),
            Work::Read { id, .. } => (&[][..], Some(*id)),
        };
        let commands = commands.iter().filter(|wanted| !wanted.is_answered);
        commands.map(|wanted| wanted.id).chain(read)
    }
}

/// What has not been answered, as it is sent. The client does one thing at a time, so that it has
/// the answers to all that came before.
pub(super) fn commands(wanted: &[Wanted], session: SessionId) -> Vec<(u64, Bytes)> {
    let answered_below = wanted.first().map_or(0, |first| first.sequence);
    let open = wanted.iter().filter(|wanted| !wanted.is_answered);
    let command = |wanted: &Wanted| {
        let command = Command::Run {
            session,
            sequence: wanted.sequence,
            answered_below,
            operation: wanted.operation.clone(),
        };
        (wanted.sequence, command.encode())
    };
    open.map(command).collect()
}

/// What the history needs of an answer.
pub(super) fn output(answer: &Answer) -> KeyValueOutput {
    match answer {
        Answer::Value(value) => KeyValueOutput::Value(value.as_deref().map(Value::from)),
        Answer::Swapped(swapped) => KeyValueOutput::Swapped(*swapped),
        Answer::Opened(_) | Answer::Done | Answer::UnknownSession | Answer::Forgotten => {
            KeyValueOutput::Done
        }
    }
}

/// The value that a key has, or had, as far as the answer tells.
pub(super) fn saw(operation: &Operation, answer: &Answer) -> Option<Option<Bytes>> {
    match (operation, answer) {
        (Operation::Get { .. }, Answer::Value(value)) => Some(value.clone()),
        (Operation::Set { value, .. }, _) => Some(Some(value.clone())),
        (Operation::CompareAndSet { new, .. }, Answer::Swapped(true)) => Some(Some(new.clone())),
        (Operation::Delete { .. }, _) => Some(None),
        (Operation::Get { .. } | Operation::Append { .. } | Operation::CompareAndSet { .. }, _) => {
            None
        }
    }
}

/// What is needed to make work of what is asked.
pub(super) struct Making<'a> {
    pub(super) values: &'a mut u64,
    pub(super) random: &'a mut Random,
    pub(super) max_value: u64,
    pub(super) history: &'a mut History,
    pub(super) now: Time,
    pub(super) at: u32,
}

impl Making<'_> {
    /// Appended to a longer value, bytes would not fit into an entry one day.
    const LONG: usize = 400;

    /// A value that nobody wrote before.
    fn value(&mut self, most: u64) -> Bytes {
        *self.values += 1;
        let length = self.random.between(8, most.max(8));
        let mut value = vec![b'.'; usize::try_from(length).unwrap_or(8)];
        value[..8].copy_from_slice(&self.values.to_le_bytes()); // at least 8 long
        value.into()
    }

    /// What the client is to do, and the beginning of it in the history.
    pub(super) fn work(
        &mut self,
        ask: OperationKind,
        seen: &BTreeMap<u64, Option<Bytes>>,
        sequence: &mut u64,
    ) -> Result<Work, Failure> {
        let most = self.max_value;
        let known = |key: u64| seen.get(&key).cloned().flatten();
        let set = |making: &mut Self, key| Operation::Set {
            key,
            value: making.value(most),
        };
        let operation = match ask {
            OperationKind::Read { key, kind } => {
                let id = self.invoke(key, KeyValueInput::Get)?;
                return Ok(Work::Read { key, kind, id });
            }
            OperationKind::Batch(count) => {
                let mut all = Vec::new();
                for at in 0..u64::from(count) {
                    let operation = set(self, at % 6);
                    all.push(self.wanted(operation, sequence)?);
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
        };
        Ok(Work::Commands(vec![self.wanted(operation, sequence)?]))
    }

    fn wanted(&mut self, operation: Operation, sequence: &mut u64) -> Result<Wanted, Failure> {
        let value = |bytes: &Bytes| Value::from(&bytes[..]);
        let (key, input) = match &operation {
            Operation::Get { key } => (*key, KeyValueInput::Get),
            Operation::Set { key, value: new } => (*key, KeyValueInput::Set(value(new))),
            Operation::Append { key, value: more } => (*key, KeyValueInput::Append(value(more))),
            Operation::CompareAndSet { key, expected, new } => {
                let expected = expected.as_ref().map(value);
                let new = value(new);
                (*key, KeyValueInput::CompareAndSet { expected, new })
            }
            Operation::Delete { key } => (*key, KeyValueInput::Delete),
        };
        let id = self.invoke(key, input)?;
        let number = *sequence;
        *sequence += 1;
        Ok(Wanted {
            sequence: number,
            key,
            operation,
            id,
            is_answered: false,
        })
    }

    fn invoke(&mut self, key: u64, input: KeyValueInput) -> Result<OperationId, Failure> {
        let (client, now) = (self.at.into(), self.now.0);
        let begun = self.history.invoke(client, key, input, now);
        begun.map_err(judged)
    }
}
