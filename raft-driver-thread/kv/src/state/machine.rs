//! The replicated state as a whole, driven by the log.

use super::address::ServerAddress;
use super::command::Command;
use super::digest;
use super::level::{RELEASE_LEVEL, Unreadable};
use super::limits::Limits;
use super::payload::{Answer, Operation, Payload};
use super::removed::Disposal;
use super::reply::Reply;
use super::reply_budget::{MAX_ANSWER_BYTES, ReplyBudget, too_long};
use super::sessions::{KeptReplies, Sessions};
use super::snapshot::{self, SnapshotContent};
use super::store::Store;
use super::view::View;
use raft_driver_thread::sessions::{Origin, RequestState};
use raft_driver_thread::{Commands, Digest, StateMachine};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// The keys, sessions and addresses, as the entries of the log made them.
#[derive(Debug)]
pub struct Machine {
    /// The release level that it reads.
    level: u32,
    /// The first entry that it does not read: it changes no more.
    unreadable: Option<Unreadable>,
    store: Store,
    sessions: Sessions,
    /// By node id.
    addresses: BTreeMap<u64, ServerAddress>,
}

impl Default for Machine {
    fn default() -> Machine {
        Machine::reading(RELEASE_LEVEL)
    }
}

impl Machine {
    /// The state before the first entry.
    pub fn new() -> Machine {
        Machine::default()
    }

    /// Likewise, of a server that is held at an earlier release level: it reads what releases of
    /// that level read.
    pub fn reading(level: u32) -> Machine {
        Machine {
            level: level.min(RELEASE_LEVEL),
            unreadable: None,
            store: Store::default(),
            sessions: Sessions::default(),
            addresses: BTreeMap::new(),
        }
    }

    /// Hands what is removed all at once to `disposal`, instead of freeing it while other entries and
    /// reads wait.
    #[must_use]
    pub fn with_disposal(mut self, disposal: Disposal) -> Machine {
        self.store.set_disposal(disposal);
        self
    }

    /// Applies the payload of the entry at `index`, which rises from call to call. Once there was one
    /// that this release does not read, nothing is applied any more: see
    /// [`failure`](StateMachine::failure).
    pub fn apply_one(&mut self, index: u64, payload: &[u8]) -> Answer {
        if self.unreadable.is_some() {
            return Answer::Unreadable;
        }
        // Decoding copies what is stored, so no key or value keeps a whole block of the log in
        // memory.
        let payload = Payload::decode(payload).filter(|it| it.operation.level() <= self.level);
        let Some(payload) = payload else {
            let level = self.level;
            self.unreadable = Some(Unreadable { index, level });
            return Answer::Unreadable;
        };
        self.store.advance_to(payload.unix_millis);
        self.perform(index, payload.operation, Limits::DEFAULT)
    }

    fn perform(&mut self, index: u64, operation: Operation, limits: Limits) -> Answer {
        match operation {
            // Not `Within` itself: no level reads that.
            Operation::Within { limits, operation } => self.perform(index, *operation, limits),
            Operation::AdvanceTime => Answer::Done,
            Operation::Commands {
                origin: None,
                commands,
            } => Answer::Replies(self.run(commands, limits)),
            Operation::Commands {
                origin: Some(origin),
                commands,
            } => self.run_once(index, origin, commands, limits),
            Operation::OpenSession(number) => {
                self.sessions.open(index, number, 0); // Numbers are drawn.
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
                self.addresses.insert(address.node, address);
                Answer::Done
            }
            Operation::RemoveAddress(node) => {
                self.addresses.remove(&node);
                Answer::Done
            }
            Operation::Load(keys) => {
                for key in keys {
                    self.store.load(key);
                }
                Answer::Done
            }
        }
    }

    fn run(&mut self, commands: Vec<Command>, limits: Limits) -> Vec<Reply> {
        let mut budget = ReplyBudget::default();
        let commands = commands.into_iter();
        let run = |command: Command| {
            let writes = command.writes();
            if !writes && budget.is_spent() {
                return too_long();
            }
            let reply = self.store.execute_within(command, limits);
            let is_list = matches!(reply, Reply::Array(_));
            if is_list && !writes && reply.bytes() > MAX_ANSWER_BYTES {
                return Reply::error("ERR", "the reply is too long within a transaction");
            }
            budget.spend(reply)
        };
        commands.map(run).collect()
    }

    fn run_once(
        &mut self,
        index: u64,
        origin: Origin,
        commands: Vec<Command>,
        limits: Limits,
    ) -> Answer {
        match self.sessions.begin(index, origin) {
            RequestState::NoSession => Answer::NoSession,
            RequestState::Forgotten => Answer::Forgotten,
            RequestState::Completed(replies) => Answer::Replies(replies.0.to_vec()),
            RequestState::New => {
                let replies = self.run(commands, limits);
                let kept = KeptReplies(Arc::new(replies.clone()));
                self.sessions.keep_answer(origin, Some(kept));
                Answer::Replies(replies)
            }
        }
    }

    /// Runs a command that only reads. A command that writes is answered with an error.
    pub fn query(&self, command: &Command) -> Reply {
        self.store.query(command)
    }

    /// Runs commands that only read. Once the replies take more than [`MAX_ANSWER_BYTES`], each
    /// further command is answered with an error.
    pub fn query_all(&self, commands: &[Command]) -> Vec<Reply> {
        self.store.at().answer_all(commands)
    }

    /// The state as it is now.
    pub fn view(&self) -> View {
        View {
            time: self.store.time(),
            keys: self.store.keyspace().clone(),
            key_count: self.store.len(),
            sessions: self.sessions.snapshot(),
            addresses: self.addresses.clone(),
        }
    }

    /// How many keys there are.
    pub fn key_count(&self) -> u64 {
        self.store.len()
    }

    /// About how many bytes of memory the keys and their values take: their lengths, and 300 for
    /// each key.
    pub fn used_bytes(&self) -> u64 {
        self.store.used_bytes()
    }

    /// The most that [`used_bytes`](Machine::used_bytes) has been in this process.
    pub fn peak_used_bytes(&self) -> u64 {
        self.store.peak_used_bytes()
    }

    /// How many keys have expired in this process. What it applies again after a start counts too.
    pub fn expired_key_count(&self) -> u64 {
        self.store.expired_key_count()
    }

    /// How many keys have expired, and are still in memory: each [`apply`](StateMachine::apply)
    /// removes some.
    pub fn unremoved_key_count(&self) -> u64 {
        self.store.unremoved_key_count()
    }

    /// The latest time of an entry: milliseconds since 1970.
    pub fn time(&self) -> u64 {
        self.store.time()
    }

    /// When the next key expires: milliseconds since 1970, after [`time`](Machine::time).
    pub fn next_expiry(&self) -> Option<u64> {
        self.store.next_expiry()
    }

    /// How many keys have an expiry.
    pub fn expiring_key_count(&self) -> u64 {
        self.store.expiring_key_count()
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> u64 {
        self.sessions.len() as u64
    }

    /// The addresses that servers have published, in the order of their node ids.
    pub fn addresses(&self) -> impl Iterator<Item = &ServerAddress> {
        self.addresses.values()
    }
}

impl StateMachine for Machine {
    type Answer = Answer;
    type Snapshot = View;

    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<Answer>) {
        for command in commands {
            answers.push(self.apply_one(command.id.index.0, command.payload));
        }
        self.store.remove_expired();
    }

    fn failure(&self) -> Option<String> {
        self.unreadable.map(|it| it.to_string())
    }

    fn digest(&self) -> Option<Digest> {
        let (time, keys, sessions) = (
            self.store.time(),
            self.store.digest(),
            self.sessions.digest(),
        );
        Some(Digest {
            kind: digest::KIND,
            value: digest::state(time, keys, sessions, self.addresses()),
        })
    }

    fn snapshot(&mut self) -> View {
        self.view()
    }

    fn write_snapshot(snapshot: View, writer: &mut dyn Write) -> io::Result<()> {
        snapshot::write(&snapshot, writer)
    }

    fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let SnapshotContent {
            store,
            sessions,
            addresses,
        } = snapshot::read(reader)?;
        self.store.replace(store);
        self.sessions = sessions;
        self.addresses = addresses;
        Ok(())
    }
}
