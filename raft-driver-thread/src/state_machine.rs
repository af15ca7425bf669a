//! The interface of the service that is replicated.

use raft_proto::{Entries, EntryId, EntryKind};
use std::io::{self, Read, Write};

/// The service: applies commands in the order in which the cluster agreed on them.
///
/// # Determinism
///
/// Every node applies the same commands in the same order, and has to reach the same state and the
/// same answers. So [`apply`](StateMachine::apply) uses nothing but the state and the command: no
/// clock, no random numbers, no hash order, no files, nothing of the machine. What such things
/// decide has to be in the command. An invalid command is answered with an error of the service's
/// own, on every node alike. A panic stops the node, and in the end the cluster, as every node
/// applies the same command.
///
/// All methods are called from one thread, except [`write_snapshot`](StateMachine::write_snapshot).
/// They may be slow: heartbeats and elections do not wait for them, but later commands and reads
/// do.
pub trait StateMachine: Send + 'static {
    /// The service's answer to a command, which the caller that proposed it gets.
    type Answer: Send + 'static;

    /// The state at one moment, which does not change while further commands are applied: a copy,
    /// or a copy-on-write handle.
    type Snapshot: Send + 'static;

    /// Applies commands, in order, and pushes one answer for each to `answers`, which is empty. The
    /// node stops if the number of answers is another.
    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<Self::Answer>);

    /// Why the service cannot go on, if so. Asked after each [`apply`](StateMachine::apply), before
    /// anybody gets its answers: the node then stops, and says this
    /// ([`StopReason::StateMachine`](crate::StopReason::StateMachine)).
    ///
    /// A command of a release that this one does not read is such a reason: a node that skipped it
    /// would hold another state than the others. It cannot come up where the
    /// [level](crate::NodeState::level) is kept to.
    fn failure(&self) -> Option<String> {
        None
    }

    /// A digest of the state as it is now, by which nodes find out whether they hold the same
    /// ([`Options::compare`](crate::Options::compare)). `None`, the default: it offers none.
    ///
    /// It has to follow from the state alone, as the commands made it: not from the order of a hash
    /// table, nor from whether the state was [restored](StateMachine::restore) meanwhile. It is
    /// asked for after every call of [`apply`](StateMachine::apply), so it should take no longer
    /// than a command does: keep a sum of the digests of all parts, take a part's away before it
    /// changes, and add it after. Of a machine that has offered a digest once, it is asked again
    /// and again.
    fn digest(&self) -> Option<Digest> {
        None
    }

    /// The state as it is now. No command is applied during this call: it should be fast.
    fn snapshot(&mut self) -> Self::Snapshot;

    /// Writes a snapshot to `writer`, in a thread of its own, while further commands are applied.
    /// [`restore`](StateMachine::restore) reads the bytes, on this node or on another one.
    ///
    /// # Errors
    ///
    /// Those of `writer`. The snapshot is discarded, and another one is made later.
    fn write_snapshot(snapshot: Self::Snapshot, writer: &mut dyn Write) -> io::Result<()>;

    /// Replaces the state by that of a snapshot. `reader` verifies the bytes: if it comes to its
    /// end without an error, they are the bytes that were written.
    ///
    /// # Errors
    ///
    /// Those of `reader`, or the service's own if the bytes are no snapshot of it. The node stops.
    fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()>;
}

/// A digest of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest {
    /// What is digested, and how: raise it with a release that digests the same state in another
    /// way. Digests of different kinds are not compared.
    pub kind: u64,
    /// Equal for equal states, and for different ones different but for chance.
    pub value: u128,
}

/// Commands to be applied, in order.
#[derive(Clone, Debug)]
pub struct Commands<'a>(Source<'a>);

#[derive(Clone, Debug)]
enum Source<'a> {
    Entries(raft_proto::Iter<'a>),
    One(Option<Command<'a>>),
}

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Command<'a> {
    /// Its index and term. Indexes rise, with gaps where the protocol has entries of its own.
    pub id: EntryId,
    /// The bytes that were proposed.
    pub payload: &'a [u8],
}

impl<'a> Commands<'a> {
    /// The commands among these entries, as a node hands them to its state machine. For tests of a
    /// state machine without a node.
    pub fn new(entries: &'a Entries) -> Commands<'a> {
        Commands(Source::Entries(entries.iter()))
    }

    /// One command, for a state machine that wraps another, and gives it a part of what was proposed.
    pub fn one(command: Command<'a>) -> Commands<'a> {
        Commands(Source::One(Some(command)))
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Command<'a>;

    fn next(&mut self) -> Option<Command<'a>> {
        let command = |entry: &raft_proto::Entry<'_>| entry.kind() == EntryKind::Command;
        let entries = match &mut self.0 {
            Source::Entries(entries) => entries,
            Source::One(command) => return command.take(),
        };
        let entry = entries.find(command)?;
        Some(Command {
            id: entry.id(),
            payload: entry.payload(),
        })
    }
}
