//! The state machine's side: a wrapper that applies each command once.

use super::command::{self, Operation};
use super::snapshot::{self, EncodedAnswer, SessionsSnapshot};
use super::table::{Origin, RequestState, SessionTable};
use crate::state_machine::{Command, Commands, Digest, StateMachine};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use xxhash_rust::xxh3::xxh3_128;

/// A state machine whose commands are applied once each, however often they are proposed
/// ([module](super)).
///
/// Its commands are those that a [`Session`](super::Session) makes; the machine within sees its
/// own. It is given one command at a time, because what a session answers may depend on the command
/// before. Answers are kept encoded, with postcard ([what that asks of them](super#answers)).
#[derive(Debug)]
pub struct Sessions<M: StateMachine> {
    machine: M,
    table: SessionTable<EncodedAnswer>,
    /// Why the machine within cannot go on.
    failure: Option<String>,
}

/// What a command of a session is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionAnswer<A> {
    /// The session is open.
    Opened,
    /// The session is closed, or was not open.
    Closed,
    /// The state machine's answer. It has applied the command, now or before.
    Answer(A),
    /// There is no such session: it was never opened, it was closed, or it was evicted as the least
    /// recently used. This time, the command did nothing; whether it was applied at an earlier
    /// attempt is not known. To propose the command once more, open a session and number it anew.
    NoSession,
    /// The command did nothing, and never will. Most often it was applied before, and its answer is
    /// not kept: it was too long, could not be encoded or decoded, or was [dropped](super::Request)
    /// by the client. Whether it was applied is not known if the session had too many answers, or was
    /// [opened](super::Session::open) again since the command was numbered.
    Forgotten,
    /// The bytes were not made by a [`Session`](super::Session). They did nothing.
    Malformed,
}

impl<M: StateMachine> Sessions<M> {
    /// Wraps a state machine in its initial state.
    pub fn new(machine: M) -> Sessions<M> {
        Sessions {
            machine,
            table: SessionTable::default(),
            failure: None,
        }
    }

    /// The state machine within: what a read looks at.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// How many sessions are open.
    pub fn session_count(&self) -> usize {
        self.table.len()
    }
}

impl<M> Sessions<M>
where
    M: StateMachine,
    M::Answer: Serialize + DeserializeOwned,
{
    fn apply_one(&mut self, command: Command<'_>) -> SessionAnswer<M::Answer> {
        let index = command.id.index.0;
        match command::decode(command.payload) {
            None => SessionAnswer::Malformed,
            Some((Operation::Open { number, floor }, _)) => {
                self.table.open(index, number, floor);
                SessionAnswer::Opened
            }
            Some((Operation::Close(number), _)) => {
                self.table.close(number);
                SessionAnswer::Closed
            }
            Some((Operation::Apply(origin), payload)) => {
                let id = command.id;
                self.apply_once(origin, Command { id, payload })
            }
        }
    }

    fn apply_once(&mut self, origin: Origin, command: Command<'_>) -> SessionAnswer<M::Answer> {
        match self.table.begin(command.id.index.0, origin) {
            RequestState::NoSession => SessionAnswer::NoSession,
            RequestState::Forgotten => SessionAnswer::Forgotten,
            // Of a release whose answers were others, it is not to be had any more.
            RequestState::Completed(answer) => {
                let answer = answer.decode().map(SessionAnswer::Answer);
                answer.unwrap_or(SessionAnswer::Forgotten)
            }
            RequestState::New => {
                let mut answers = Vec::with_capacity(1);
                self.machine.apply(Commands::one(command), &mut answers);
                let failure = self.failure.take();
                self.failure = failure.or_else(|| self.machine.failure());
                let count = answers.len();
                let (Some(answer), true) = (answers.pop(), answers.is_empty()) else {
                    let failure = format!("the state machine gave {count} answers to one command");
                    self.failure.get_or_insert(failure);
                    return SessionAnswer::Forgotten;
                };
                let kept = EncodedAnswer::encode(&answer);
                self.table.keep_answer(origin, kept);
                SessionAnswer::Answer(answer)
            }
        }
    }
}

impl<M> StateMachine for Sessions<M>
where
    M: StateMachine,
    M::Answer: Serialize + DeserializeOwned,
{
    type Answer = SessionAnswer<M::Answer>;
    type Snapshot = SessionsSnapshot<M::Snapshot>;

    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<Self::Answer>) {
        for command in commands {
            answers.push(self.apply_one(command));
            // A machine that has failed is given nothing more. Nobody gets these answers.
            if self.failure.is_some() {
                return;
            }
        }
    }

    fn failure(&self) -> Option<String> {
        self.failure.clone().or_else(|| self.machine.failure())
    }

    /// Of the machine within, if it offers one, and of all sessions.
    fn digest(&self) -> Option<Digest> {
        let within = self.machine.digest()?;
        let combined = |first: u128, second: u128| {
            let mut bytes = [0; 32];
            bytes[..16].copy_from_slice(&first.to_le_bytes());
            bytes[16..].copy_from_slice(&second.to_le_bytes());
            xxh3_128(&bytes)
        };
        Some(Digest {
            kind: combined(within.kind.into(), snapshot::VERSION.into()) as u64,
            value: combined(within.value, self.table.digest()),
        })
    }

    fn snapshot(&mut self) -> Self::Snapshot {
        SessionsSnapshot::new(&self.table, self.machine.snapshot())
    }

    fn write_snapshot(snapshot: Self::Snapshot, writer: &mut dyn Write) -> io::Result<()> {
        let machine = snapshot.write_sessions(writer)?;
        M::write_snapshot(machine, writer)
    }

    fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let table = snapshot::read_sessions(reader)?;
        self.machine.restore(reader)?;
        self.table = table;
        self.failure = None;
        Ok(())
    }
}
