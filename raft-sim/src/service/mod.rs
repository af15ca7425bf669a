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
//!
//! # Services of the user's own
//!
//! In a run of the [`kit`](crate::kit) the key/value store is replaced by a state machine of the
//! user's, behind the traits of `custom.rs`. Sessions, their answers and the file of a snapshot are
//! the same: a command of the user's is the operation [`Operation::Call`].

mod command;
mod custom;
mod outcome;
mod session;
mod snapshot;
mod store;

pub use command::{Answer, Command, DamagedCommand, Operation, SessionId};
pub use custom::ServiceDefect;
pub(crate) use custom::{
    After, CallHistory, Caller, CustomReplica, CustomService, Observed, ObservedState,
};
pub use outcome::{Applied, Outcome};
pub use session::SESSION_ANSWERS;
pub use snapshot::DamagedSnapshot;

use bytes::Bytes;
use raft_proto::{Entries, Entry, EntryId, EntryKind};
use session::Sessions;
use store::Store;

/// The state of one server's service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The last entry applied.
    pub last: EntryId,
    store: Store,
    sessions: Sessions,
}

impl Service {
    /// A service that has applied nothing. It keeps `max_sessions` sessions, at least one. The
    /// number must be the same on all servers.
    pub fn new(max_sessions: u32) -> Service {
        Service::with_store(max_sessions, Store::default())
    }

    /// The same with a state machine of the user's own.
    pub(crate) fn of(max_sessions: u32, replica: Box<dyn CustomReplica>) -> Service {
        Service::with_store(max_sessions, Store::of(replica))
    }

    fn with_store(max_sessions: u32, store: Store) -> Service {
        Service {
            last: EntryId::ZERO,
            store,
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
                            let answer = self.store.run(entry, operation);
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
        self.store.get(key)
    }

    /// How many keys have a value.
    pub fn keys(&self) -> usize {
        self.store.keys()
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// How many sessions are open at most.
    pub fn max_sessions(&self) -> u32 {
        self.sessions.most()
    }

    /// A fault of the user's own strikes the state machine. Changes nothing in a key/value store.
    pub(crate) fn strike(&mut self, fault: usize) {
        self.store.strike(fault, self.last);
    }

    /// What was observed of a state machine of the user's own since this was last called.
    pub(crate) fn take_observed(&mut self) -> Option<Observed> {
        self.store.take_observed()
    }
}
