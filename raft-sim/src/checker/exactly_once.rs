//! Exactly Once: each command of a session runs once, however often its client sends it (thesis
//! 6.3).
//!
//! A client numbers its commands. A service that finds a number in the log which it has run
//! before gives the same answer again, and changes nothing. All services see the same log, so all
//! must run a command as the same entry, the first one that carries it. It is therefore enough to
//! note for each command the entry as which it first ran: a second entry, on whichever node, is a
//! violation. And a command whose client was answered must have run somewhere.
//!
//! Sound: nodes run the same entry at different times, and a node that restarts runs it again;
//! both name the same entry. Commands that have been forgotten are not checked.
//!
//! Cost: a look into a hash map; commands of a session nearly always run in order, so each is found
//! at a known place. Memory: [`ExactlyOnce::COMMANDS`] commands of each of
//! [`ExactlyOnce::SESSIONS`] sessions.

use super::violation::Violation;
use raft_proto::{EntryId, NodeId};
use rustc_hash::FxHashMap;
use std::collections::{BTreeSet, VecDeque};

/// The entry as which a command ran first.
#[derive(Clone, Copy, Debug)]
struct Ran {
    sequence: u64,
    at: EntryId,
    node: NodeId,
}

/// The last commands of a session, in the order of their numbers.
#[derive(Debug, Default)]
struct Session {
    commands: VecDeque<Ran>,
    /// The greatest number that has been forgotten.
    forgotten: Option<u64>,
}

impl Session {
    /// The position of the command, or the position where it belongs.
    fn find(&self, sequence: u64) -> Result<usize, usize> {
        let Some(last) = self.commands.back() else {
            return Err(0);
        };
        if sequence > last.sequence {
            return Err(self.commands.len());
        }
        // Without gaps, its distance from the last command is the difference of their numbers.
        let back = usize::try_from(last.sequence - sequence).ok();
        let guess = back.and_then(|back| (self.commands.len() - 1).checked_sub(back));
        match guess.filter(|at| {
            self.commands
                .get(*at)
                .is_some_and(|ran| ran.sequence == sequence)
        }) {
            Some(at) => Ok(at),
            None => self
                .commands
                .binary_search_by_key(&sequence, |ran| ran.sequence),
        }
    }

    fn has_forgotten(&self, sequence: u64) -> bool {
        self.forgotten.is_some_and(|greatest| sequence <= greatest)
    }
}

/// The entries as which commands ran.
#[derive(Debug, Default)]
pub struct ExactlyOnce {
    sessions: FxHashMap<u64, Session>,
    /// The keys of `sessions`, in order.
    ids: BTreeSet<u64>,
    /// The greatest session that has been forgotten.
    forgotten: Option<u64>,
}

impl ExactlyOnce {
    /// How many commands of a session are remembered: those with the greatest numbers.
    pub const COMMANDS: usize = 256;
    /// How many sessions are remembered: those with the greatest ids.
    pub const SESSIONS: usize = 4096;

    /// The service of `node` has run a command, as the entry `at`.
    ///
    /// # Errors
    ///
    /// [`Violation::RanTwice`].
    pub fn ran(
        &mut self,
        node: NodeId,
        session: u64,
        sequence: u64,
        at: EntryId,
    ) -> Result<(), Violation> {
        let Some(known) = self.session(session) else {
            return Ok(());
        };
        if known.has_forgotten(sequence) {
            return Ok(());
        }
        match known.find(sequence) {
            Ok(place) => match known.commands.get(place) {
                Some(first) if first.at != at => Err(Violation::RanTwice {
                    session,
                    sequence,
                    first: first.node,
                    first_at: first.at,
                    second: node,
                    second_at: at,
                }),
                Some(_) | None => Ok(()),
            },
            Err(place) => {
                known.commands.insert(place, Ran { sequence, at, node });
                if known.commands.len() > Self::COMMANDS {
                    known.forgotten = known.commands.pop_front().map(|ran| ran.sequence);
                }
                Ok(())
            }
        }
    }

    /// The session, created if it is new; `None` if it may have been forgotten.
    fn session(&mut self, id: u64) -> Option<&mut Session> {
        if self.forgotten.is_some_and(|greatest| id <= greatest) {
            return None;
        }
        if !self.sessions.contains_key(&id) {
            self.ids.insert(id);
            self.sessions.insert(id, Session::default());
            if self.ids.len() > Self::SESSIONS {
                self.forgotten = self.ids.pop_first();
                self.sessions.remove(&self.forgotten?);
            }
        }
        self.sessions.get_mut(&id)
    }

    /// A client has got the answer to its command.
    ///
    /// # Errors
    ///
    /// [`Violation::AnsweredWithoutRunning`].
    pub fn answered(&self, session: u64, sequence: u64) -> Result<(), Violation> {
        if self.forgotten.is_some_and(|greatest| session <= greatest) {
            return Ok(());
        }
        let has_run = self
            .sessions
            .get(&session)
            .is_some_and(|known| known.has_forgotten(sequence) || known.find(sequence).is_ok());
        if has_run {
            Ok(())
        } else {
            Err(Violation::AnsweredWithoutRunning { session, sequence })
        }
    }
}
