//! The replicated service of a simulated cluster: a key/value store whose clients may repeat their
//! commands.
//!
//! A client that gets no answer has to ask again, and its command may then be in the log twice.
//! If a second `Append` ran, every client would see it. So each client opens a session and
//! numbers its commands, and the service keeps the answers (thesis section 6.3): a command that
//! was run before is answered from memory. The answers are replicated state like the values.
//!
//! ```
//! use raft_proto::{EntriesBuilder, EntryId, EntryKind};
//! use raft_sim::service::{Answer, Command, Operation, Outcome, Service, SessionId};
//!
//! let append = Command::Run {
//!     session: SessionId(1), // its Open is entry 1
//!     sequence: 0,
//!     answered_below: 0,
//!     operation: Operation::Append { key: 7, value: "x".into() },
//! };
//! let mut entries = EntriesBuilder::new();
//! for (index, command) in (1..).zip([&Command::Open { nonce: 5 }, &append, &append]) {
//!     entries.push(EntryId::new(index, 1), EntryKind::Command, command.encode())?;
//! }
//! let (mut service, mut applied) = (Service::new(10), Vec::new());
//! service.apply(&entries.finish(), &mut applied)?;
//! assert_eq!(applied[0].answer, Answer::Opened(SessionId(1)));
//! assert_eq!(applied[1].outcome, Outcome::Ran);
//! assert_eq!(applied[2].outcome, Outcome::Repeated);
//! assert_eq!(applied[2].answer, Answer::Done);
//! assert_eq!(service.get(7).unwrap(), "x");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What the service forgets, and when
//!
//! - **Answers.** Each command tells up to which sequence its client has all answers
//!   ([`Command::Run::answered_below`]). The service drops those, as in RIFL (Lee and others,
//!   *Implementing linearizability at large scale and low latency*, 2015). A session keeps
//!   [`SESSION_ANSWERS`] at most; the lowest sequence is dropped first.
//! - **Sessions.** At most [`Service::max_sessions`] are open. If one more is opened, the least
//!   recently used is closed. Use is counted in log indexes: servers have no common clock, but all
//!   of them have the same log.
//!
//! A command whose answer may have been dropped is refused, never run: neither the client nor the
//! service can know any more whether it was run before. The price is that a client that gets
//! [`Answer::UnknownSession`] does not learn the fate of its command.
//!
//! # One state
//!
//! The entries and their order decide everything. So two services that applied the same entries
//! are equal ([`PartialEq`]), however the entries were handed to them and whichever snapshot they
//! were restored from. The simulator compares them.

mod command;
mod outcome;
mod session;
mod snapshot;

pub use command::{Answer, Command, DamagedCommand, Operation, SessionId};
pub use outcome::{Applied, Outcome};
pub use session::SESSION_ANSWERS;
pub use snapshot::DamagedSnapshot;

use bytes::Bytes;
use raft_proto::{Entries, Entry, EntryId, EntryKind};
use session::Sessions;
use std::collections::BTreeMap;

/// The state of one server's service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The last entry applied.
    pub last: EntryId,
    keys: BTreeMap<u64, Bytes>,
    sessions: Sessions,
}

impl Service {
    /// A service that has applied nothing. It keeps `max_sessions` sessions, at least one. The
    /// number must be the same on all servers.
    pub fn new(max_sessions: u32) -> Service {
        Service {
            last: EntryId::ZERO,
            keys: BTreeMap::new(),
            sessions: Sessions::new(max_sessions),
        }
    }

    /// Applies the entries that a core hands out, and pushes the outcome of each command, in order.
    ///
    /// # Errors
    ///
    /// The first [`DamagedCommand`], if there are payloads that are no commands. They change
    /// nothing and push nothing, and the other entries are applied, so that even then all services
    /// agree.
    pub fn apply(
        &mut self,
        entries: &Entries,
        applied: &mut Vec<Applied>,
    ) -> Result<(), DamagedCommand> {
        let mut result = Ok(());
        for entry in entries {
            self.last = entry.id();
            if entry.kind() != EntryKind::Command {
                continue;
            }
            match Command::parse(entry.payload()) {
                Ok(command) => applied.push(self.apply_command(&entry, command)),
                Err(damaged) => result = result.and(Err(damaged)),
            }
        }
        result
    }

    fn apply_command(&mut self, entry: &Entry<'_>, command: Command<&[u8]>) -> Applied {
        let (of, (outcome, answer)) = match command {
            Command::Open { nonce: _ } => {
                let session = self.sessions.open(entry.index());
                (None, (Outcome::Opened, Answer::Opened(session)))
            }
            Command::Run {
                session: id,
                sequence,
                answered_below,
                operation,
            } => {
                let came_to = match self.sessions.used(id, entry.index()) {
                    None => (Outcome::Refused, Answer::UnknownSession),
                    Some(session) => {
                        session.forget_below(answered_below);
                        session.recall(sequence).unwrap_or_else(|| {
                            let answer = run(&mut self.keys, entry, operation);
                            session.remember(sequence, answer.clone());
                            (Outcome::Ran, answer)
                        })
                    }
                };
                (Some((id, sequence)), came_to)
            }
        };
        Applied {
            id: entry.id(),
            of,
            outcome,
            answer,
        }
    }

    /// The value under a key.
    pub fn get(&self, key: u64) -> Option<&Bytes> {
        self.keys.get(&key)
    }

    /// How many keys have a value.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// How many sessions are open at most.
    pub fn max_sessions(&self) -> u32 {
        self.sessions.most()
    }
}

/// Runs the operation of `entry`. What it stores is a part of the payload, not a copy.
fn run(keys: &mut BTreeMap<u64, Bytes>, entry: &Entry<'_>, operation: Operation<&[u8]>) -> Answer {
    let share = |part: &[u8]| entry.share_payload().slice_ref(part);
    match operation {
        Operation::Get { key } => Answer::Value(keys.get(&key).cloned()),
        Operation::Set { key, value } => {
            keys.insert(key, share(value));
            Answer::Done
        }
        Operation::Append { key, value } => {
            let joined = match keys.get(&key) {
                Some(before) => [before, value].concat().into(),
                None => share(value),
            };
            keys.insert(key, joined);
            Answer::Done
        }
        Operation::CompareAndSet { key, expected, new } => {
            let swaps = keys.get(&key).map(|value| &value[..]) == expected;
            if swaps {
                keys.insert(key, share(new));
            }
            Answer::Swapped(swaps)
        }
        Operation::Delete { key } => {
            keys.remove(&key);
            Answer::Done
        }
    }
}
