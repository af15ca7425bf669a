//! The replicated state as a whole, driven by the log.

use super::command::Command;
use super::entry::{Answer, Operation, Origin, Payload, ServerAddress};
use super::keys::Keys;
use super::reply::Reply;
use super::sessions::{Request, Session, Sessions};
use super::snapshot;
use super::store::Store;
use imbl::OrdMap;
use raft_driver_thread::{Commands, StateMachine};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

pub use super::backup::{BackupEncoder, BackupSummary, read_backup, write_backup};

/// Keys, sessions and servers, as the entries of the log made them.
#[derive(Debug, Default)]
pub struct Machine {
    store: Store,
    sessions: Sessions,
    servers: BTreeMap<u64, ServerAddress>,
}

/// The state at one moment. Taking and copying it costs almost nothing; memory is needed for what
/// changes afterwards, as long as it is kept.
#[derive(Clone, Debug)]
pub struct View {
    pub(super) time: u64,
    pub(super) keys: Keys,
    pub(super) sessions: OrdMap<u64, Session>,
    pub(super) servers: BTreeMap<u64, ServerAddress>,
}

impl Machine {
    /// The state before the first entry.
    pub fn new() -> Machine {
        Machine::default()
    }

    /// Applies the payload of the entry at `index`, which rises from call to call.
    pub fn apply_one(&mut self, index: u64, payload: &[u8]) -> Answer {
        // Decoding copies what is kept, so no key or value keeps all of a log's block in memory.
        let Some(payload) = Payload::decode(payload) else {
            return Answer::Unreadable;
        };
        self.store.advance(payload.unix_millis);
        match payload.operation {
            Operation::AdvanceTime => Answer::Done,
            Operation::Commands {
                origin: None,
                commands,
            } => Answer::Replies(self.run(commands)),
            Operation::Commands {
                origin: Some(origin),
                commands,
            } => self.run_once(index, origin, commands),
            Operation::OpenSession(number) => {
                self.sessions.open(index, number);
                Answer::Session(number)
            }
            Operation::CloseSession(number) => {
                if self.sessions.close(number) {
                    Answer::Done
                } else {
                    Answer::NoSession
                }
            }
            Operation::SetAddress(address) => {
                self.servers.insert(address.node, address);
                Answer::Done
            }
            Operation::RemoveAddress(node) => {
                self.servers.remove(&node);
                Answer::Done
            }
            Operation::Load(keys) => {
                for (name, value, expiry) in keys {
                    self.store.load(name, value, expiry);
                }
                Answer::Done
            }
        }
    }

    fn run(&mut self, commands: Vec<Command>) -> Vec<Reply> {
        let mut budget = Budget::default();
        let commands = commands.into_iter();
        let run = |command: Command| {
            if !command.writes() && budget.is_spent() {
                return too_long();
            }
            budget.spend(self.store.execute(command))
        };
        commands.map(run).collect()
    }

    fn run_once(&mut self, index: u64, origin: Origin, commands: Vec<Command>) -> Answer {
        match self.sessions.begin(index, origin) {
            Request::NoSession => Answer::NoSession,
            Request::Forgotten => Answer::Forgotten,
            Request::Repeated(replies) => Answer::Replies(replies.to_vec()),
            Request::New => {
                let replies = self.run(commands);
                self.sessions.keep(origin, Arc::new(replies.clone()));
                Answer::Replies(replies)
            }
        }
    }

    /// Runs a command that only reads. One that writes is answered with an error.
    pub fn query(&self, command: &Command) -> Reply {
        self.store.query(command)
    }

    /// Runs commands that only read, but not those behind more than [`MAX_ANSWER_BYTES`] of replies.
    pub fn query_all(&self, commands: &[Command]) -> Vec<Reply> {
        let mut budget = Budget::default();
        let ask = |command: &Command| match budget.is_spent() {
            true => too_long(),
            false => budget.spend(self.store.query(command)),
        };
        commands.iter().map(ask).collect()
    }

    /// The state as it is now.
    pub fn view(&self) -> View {
        View {
            time: self.store.time(),
            keys: self.store.all().clone(),
            sessions: self.sessions.all().clone(),
            servers: self.servers.clone(),
        }
    }

    /// How many keys there are.
    pub fn key_count(&self) -> u64 {
        self.store.len()
    }

    /// The latest time that an entry said: milliseconds since 1970.
    pub fn time(&self) -> u64 {
        self.store.time()
    }

    /// When the next key expires: milliseconds since 1970, after [`time`](Machine::time).
    pub fn next_expiry(&self) -> Option<u64> {
        self.store.next_expiry()
    }

    /// How many keys will expire.
    pub fn expiring_key_count(&self) -> u64 {
        self.store.expiring_key_count()
    }

    /// How many sessions are known.
    pub fn session_count(&self) -> u64 {
        self.sessions.all().len() as u64
    }

    /// The servers that said where they are reached, in the order of their node ids.
    pub fn addresses(&self) -> impl Iterator<Item = &ServerAddress> {
        self.servers.values()
    }
}

/// How long the replies of one entry, or of one batch of reads, may become before no more is read for
/// it: a small request could ask for any amount. A rule of the replicated state.
pub const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// Counts the bytes of replies.
#[derive(Default)]
struct Budget(u64);

impl Budget {
    fn is_spent(&self) -> bool {
        self.0 > MAX_ANSWER_BYTES
    }

    fn spend(&mut self, reply: Reply) -> Reply {
        self.0 += reply.bytes();
        reply
    }
}

fn too_long() -> Reply {
    let what = "the replies before this one are too long: ask for less at once";
    Reply::error("ERR", what)
}

impl View {
    /// Its time: milliseconds since 1970.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// How many keys it has.
    pub fn key_count(&self) -> u64 {
        self.keys.len() as u64
    }
}

impl StateMachine for Machine {
    type Answer = Answer;
    type Snapshot = View;

    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<Answer>) {
        for command in commands {
            answers.push(self.apply_one(command.id.index.0, command.payload));
        }
    }

    fn snapshot(&mut self) -> View {
        self.view()
    }

    fn write_snapshot(snapshot: View, writer: &mut dyn Write) -> io::Result<()> {
        snapshot::write(&snapshot, writer)
    }

    fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let parts = snapshot::read(reader)?;
        *self = Machine {
            store: parts.store,
            sessions: parts.sessions,
            servers: parts.servers,
        };
        Ok(())
    }
}
