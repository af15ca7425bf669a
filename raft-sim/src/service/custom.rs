//! A service of the user's own, as the simulator sees it.
//!
//! The simulator knows commands and answers as bytes. What they mean is behind three traits, which
//! the [`kit`](crate::kit) implements for every type of state machine:
//!
//! | trait | is held by | does |
//! |---|---|---|
//! | [`CustomService`] | the machines and the clients of one run | makes the other two, and draws commands |
//! | [`CustomReplica`] | the service of one machine | applies, makes and restores snapshots |
//! | [`CallHistory`] | the judge | compares what clients saw with a sequential model |

use super::command::Answer;
use crate::linearizability::OperationId;
use bytes::Bytes;
use core::fmt::Debug;
use raft_proto::{EntryId, Time};

/// What a service of the user's own did that none may do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceDefect {
    /// An invariant of its state does not hold.
    #[error("the invariant \"{name}\" does not hold{}{reason}", if .reason.is_empty() { "" } else { ": " })]
    Invariant {
        /// The invariant's name.
        name: String,
        /// What is wrong, if the invariant says so.
        reason: String,
    },
    /// It does not restore a snapshot that it has written.
    #[error("it does not restore a snapshot that it has written: {0}")]
    Restore(String),
    /// It says that it cannot go on.
    #[error("it cannot go on: {0}")]
    Stopped(String),
    /// Its command or its answer is not read back as it was written.
    #[error("what it writes of its {0} cannot be read back: {1}")]
    Encoding(&'static str, String),
}

impl ServiceDefect {
    /// The kind of the defect: equal for defects that the same mistake causes.
    pub fn kind(&self) -> String {
        match self {
            ServiceDefect::Invariant { name, .. } => format!("invariant: {name}"),
            ServiceDefect::Restore(_) => "a snapshot is not restored".into(),
            ServiceDefect::Stopped(_) => "the service cannot go on".into(),
            ServiceDefect::Encoding(what, _) => format!("encoding: {what}"),
        }
    }
}

/// The client that a command is drawn for.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "kit"),
    expect(dead_code, reason = "only the kit draws commands")
)]
pub(crate) struct Caller<'a> {
    /// Which client.
    pub(crate) client: u32,
    /// The answer that it got last.
    pub(crate) last_answer: Option<&'a Bytes>,
}

/// The service of one run.
pub(crate) trait CustomService: Debug + Send + Sync {
    /// A state machine that has applied nothing.
    fn replica(&self) -> Box<dyn CustomReplica>;

    /// The command that a client sends if `number` was drawn: always the same one for the same
    /// number and caller.
    fn command(&self, number: u64, caller: Caller<'_>) -> Result<Bytes, ServiceDefect>;

    /// A history of calls, which is empty.
    fn history(&self) -> Box<dyn CallHistory>;
}

/// The state machine on one machine.
pub(crate) trait CustomReplica: Debug + Send {
    /// Applies a command. Returns the answer.
    fn apply(&mut self, entry: EntryId, command: &[u8]) -> Result<Bytes, ServiceDefect>;

    /// The state.
    fn snapshot(&self) -> Bytes;

    /// Takes over a state.
    fn restore(&mut self, state: &[u8]) -> Result<(), ServiceDefect>;

    /// Equal for equal states; `None` if it is not known.
    fn digest(&self) -> Option<u64>;

    /// A fault of the user's own strikes.
    fn strike(&mut self, fault: usize) -> Result<(), ServiceDefect>;

    /// Another one that has taken over the state. If it does not, it says so when it next applies a
    /// command.
    fn copy(&self) -> Box<dyn CustomReplica>;
}

/// What all clients saw of one run. Errors are explanations of what is not linearizable.
pub(crate) trait CallHistory: Debug + Send {
    /// A client begins a call.
    fn begin(&mut self, client: u32, command: &[u8], now: Time) -> Result<OperationId, String>;
    /// It is answered.
    fn answer(&mut self, id: OperationId, answer: &[u8], now: Time) -> Result<(), String>;
    /// Its client gives up: it may take effect at any later time, or never.
    fn give_up(&mut self, id: OperationId) -> Result<(), String>;
    /// A call that was given up takes no effect any more, unless it already has.
    fn expire(&mut self, id: OperationId, now: Time);
    /// No call follows. Returns how many keys' histories were too hard to check to their end.
    fn finish(self: Box<Self>) -> Result<u64, String>;
    /// A command in words.
    fn describe_command(&self, command: &[u8]) -> String;
    /// An answer in words.
    fn describe_answer(&self, answer: &[u8]) -> String;
}

/// A state in which a state machine was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObservedState {
    /// The last entry that it had applied.
    pub(crate) last: EntryId,
    /// The digest of the state.
    pub(crate) digest: u64,
    /// What had just happened.
    pub(crate) after: After,
}

/// What happens to a state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It applies a command.
    Command,
    /// It restores a snapshot.
    Restore,
    /// A fault of the user's own strikes.
    Strike,
}

/// What was observed of a state machine.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// The states in which it was, in order.
    pub(crate) states: Vec<ObservedState>,
    /// The first defect, and the last entry that was applied then.
    pub(crate) defect: Option<(EntryId, ServiceDefect)>,
}

/// A state machine, and what was observed of it.
#[derive(Debug)]
pub(super) struct Custom {
    replica: Box<dyn CustomReplica>,
    observed: Observed,
}

impl Clone for Custom {
    fn clone(&self) -> Custom {
        Custom::new(self.replica.copy())
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Custom) -> bool {
        self.replica.digest() == other.replica.digest()
    }
}

impl Eq for Custom {}

impl Custom {
    pub(super) fn new(replica: Box<dyn CustomReplica>) -> Custom {
        Custom {
            replica,
            observed: Observed::default(),
        }
    }

    pub(super) fn call(&mut self, entry: EntryId, command: &[u8]) -> Answer {
        let answer = self.replica.apply(entry, command);
        self.observe(entry, After::Command);
        match answer {
            Ok(answer) => Answer::Called(answer),
            Err(defect) => {
                self.found(entry, defect);
                Answer::NotServed
            }
        }
    }

    pub(super) fn snapshot(&self) -> Bytes {
        self.replica.snapshot()
    }

    pub(super) fn restore(&mut self, last: EntryId, state: &[u8]) {
        let restored = self.replica.restore(state);
        self.observe(last, After::Restore);
        if let Err(defect) = restored {
            self.found(last, defect);
        }
    }

    pub(super) fn strike(&mut self, fault: usize, last: EntryId) {
        let struck = self.replica.strike(fault);
        self.observe(last, After::Strike);
        if let Err(defect) = struck {
            self.found(last, defect);
        }
    }

    fn observe(&mut self, last: EntryId, after: After) {
        if let Some(digest) = self.replica.digest() {
            self.observed.states.push(ObservedState {
                last,
                digest,
                after,
            });
        }
    }

    fn found(&mut self, last: EntryId, defect: ServiceDefect) {
        self.observed.defect.get_or_insert((last, defect));
    }

    pub(super) fn take_observed(&mut self) -> Observed {
        core::mem::take(&mut self.observed)
    }
}
