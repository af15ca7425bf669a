//! The trace of a run: lines of text, only on request.

use crate::process::Observer;
use core::fmt;
use raft_proto::trace::{self, NodeAtTerm};
use raft_proto::{Action, Event, Raft, Time};
use std::collections::VecDeque;

/// How much of a run is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceLevel {
    /// Nothing, which is fast. A run that failed can be run again with a trace.
    Off,
    /// The last lines, this many.
    Last(usize),
    /// All of it.
    All,
}

/// Collects the lines.
#[derive(Debug)]
pub(crate) struct Tracer {
    level: TraceLevel,
    lines: VecDeque<String>,
}

impl Tracer {
    pub(crate) fn new(level: TraceLevel) -> Tracer {
        Tracer {
            level,
            lines: VecDeque::new(),
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.level != TraceLevel::Off
    }

    pub(crate) fn take(&mut self) -> Vec<String> {
        core::mem::take(&mut self.lines).into()
    }

    /// Adds a line. The closure is called only if tracing is on.
    pub(crate) fn line(&mut self, at: Time, line: impl FnOnce() -> String) {
        if self.is_on() {
            self.push(at, &line());
        }
    }

    fn push(&mut self, at: Time, line: &dyn fmt::Display) {
        if let TraceLevel::Last(most) = self.level
            && self.lines.len() >= most
        {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{at} {line}"));
    }
}

/// The tracer with the time: the observer of a process.
pub(crate) struct TracerAt<'a> {
    pub(crate) tracer: &'a mut Tracer,
    pub(crate) at: Time,
}

impl Observer for TracerAt<'_> {
    fn event(&mut self, raft: &Raft, event: &Event) {
        let line = || trace::input(node_at_term(raft), &event.input).to_string();
        self.tracer.line(self.at, line);
    }

    fn actions(&mut self, raft: &Raft, actions: &[Action]) {
        for action in actions {
            let line = || trace::action(node_at_term(raft), action).to_string();
            self.tracer.line(self.at, line);
        }
    }
}

fn node_at_term(raft: &Raft) -> NodeAtTerm {
    NodeAtTerm {
        node: raft.id(),
        term: raft.term(),
    }
}
