//! What the recorder notes of the node's other threads: what a recording, which holds the core's
//! events, does not say.
//!
//! Beside each recording stands a text of the same name that ends in `.rafttimes`. Its first line
//! is `raft-times 1`. Then comes one fact a line, in nanoseconds of the node's clock; a reader
//! skips lines that begin with another word:
//!
//! | line | meaning |
//! |---|---|
//! | `proposal ID GIVEN` | the oldest command of the proposal with this id was given to the node at GIVEN |
//! | `sync FIRST LAST BEGIN END` | the writes with these numbers were written and synced together |
//! | `apply LAST BEGIN END` | the state machine applied entries, the last of which has this index |
//!
//! Without a recorder nothing is measured.

use crate::clock::Clock;
use raft_proto::{Index, Seq, Time};
use std::fmt::{Arguments, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The first line.
pub(crate) const HEADER: &str = "raft-times 1\n";

/// Where the threads of a node put what they measure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timings(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    /// Lines that are not in the file yet: the core takes them at the end of each turn. `None` once
    /// the recorder has ended: nobody would take them.
    lines: Mutex<Option<String>>,
}

impl Inner {
    fn lines(&self) -> MutexGuard<'_, Option<String>> {
        // No code of others runs under the lock.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, line: Arguments<'_>) {
        if let Some(lines) = self.lines().as_mut() {
            let _ = writeln!(lines, "{line}"); // Writing to a string cannot fail.
        }
    }
}

impl Timings {
    /// Timings by the clock of a node that records itself.
    pub(crate) fn new(clock: Clock) -> Timings {
        Timings(Some(Arc::new(Inner {
            clock,
            lines: Mutex::new(Some(String::new())),
        })))
    }

    /// The time, if anything is measured.
    pub(crate) fn now(&self) -> Option<Time> {
        self.0.as_ref().map(|inner| inner.clock.now())
    }

    /// A sync that began at `begin` has ended.
    pub(crate) fn synced(&self, first: Seq, last: Seq, begin: Option<Time>) {
        if let (Some(inner), Some(begin)) = (&self.0, begin) {
            let end = inner.clock.now();
            let (first, last, begin, end) = (first.0, last.0, begin.0, end.0);
            inner.note(format_args!("sync {first} {last} {begin} {end}"));
        }
    }

    /// The state machine has applied entries up to `last`.
    pub(crate) fn applied(&self, last: Index, begin: Option<Time>) {
        if let (Some(inner), Some(begin)) = (&self.0, begin) {
            let end = inner.clock.now();
            let (last, begin, end) = (last.0, begin.0, end.0);
            inner.note(format_args!("apply {last} {begin} {end}"));
        }
    }

    /// Moves what was measured to the end of `text`.
    pub(crate) fn take_into(&self, text: &mut String) {
        if let Some(inner) = &self.0
            && let Some(lines) = inner.lines().as_mut()
        {
            text.push_str(lines);
            lines.clear();
        }
    }

    /// Nothing is noted any more.
    pub(crate) fn end(&self) {
        if let Some(inner) = &self.0 {
            *inner.lines() = None;
        }
    }
}
