//! What is replicated.

use raft_proto::{Entries, EntryId, EntryKind};
use std::io::{self, Read, Write};

/// The service: applies commands in the order in which the cluster agreed on them.
///
/// # Determinism
///
/// Every node applies the same commands in the same order, and has to come to the same state and
/// the same answers: [`apply`](StateMachine::apply) uses nothing but the state and the command.
/// No clocks, no random numbers, no hash order, no files, nothing of the machine: what such things
/// decide has to be in the command. A command that makes no sense is answered with an error of
/// the service's own, on every node alike; a panic stops the node, and as every node applies
/// the same command, in the end the cluster.
///
/// All methods are called from one thread (but [`write_snapshot`](StateMachine::write_snapshot)).
/// They may be slow: only what waits for them waits, never heartbeats or elections.
pub trait StateMachine: Send + 'static {
    /// What the service answers to a command, given to the caller that proposed it.
    type Answer: Send + 'static;

    /// A view of the state at one moment, which stays as it is while commands are applied: a copy,
    /// or a copy-on-write handle.
    type Snapshot: Send + 'static;

    /// Applies commands, in order, and pushes one answer for each. A node stops if their number is
    /// another.
    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<Self::Answer>);

    /// The state as it is now. No command is applied meanwhile: keep it short.
    fn snapshot(&mut self) -> Self::Snapshot;

    /// Writes a view to `writer`, in a thread of its own while commands are applied. The bytes
    /// are given to [`restore`](StateMachine::restore), here or on another node.
    ///
    /// # Errors
    ///
    /// Those of `writer`. The snapshot is discarded and made again later.
    fn write_snapshot(snapshot: Self::Snapshot, writer: &mut dyn Write) -> io::Result<()>;

    /// Replaces the state by that of a snapshot. Bytes are verified as they are read: what
    /// `reader` has given up to its end, without an error, is what was written.
    ///
    /// # Errors
    ///
    /// Those of `reader`, or of bytes that are no snapshot. The node stops.
    fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()>;
}

/// Commands to be applied, in order.
#[derive(Clone, Debug)]
pub struct Commands<'a> {
    entries: raft_proto::Iter<'a>,
}

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Command<'a> {
    /// Its index and term. Indexes rise, with gaps where entries are the protocol's own.
    pub id: EntryId,
    /// What was proposed.
    pub payload: &'a [u8],
}

impl<'a> Commands<'a> {
    pub(crate) fn new(entries: &'a Entries) -> Commands<'a> {
        Commands {
            entries: entries.iter(),
        }
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Command<'a>;

    fn next(&mut self) -> Option<Command<'a>> {
        let command = |entry: &raft_proto::Entry<'_>| entry.kind() == EntryKind::Command;
        let entry = self.entries.find(command)?;
        Some(Command {
            id: entry.id(),
            payload: entry.payload(),
        })
    }
}
