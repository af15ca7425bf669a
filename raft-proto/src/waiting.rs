//! What a driver has yet to report. The rules are in `waits.rs`.

use crate::types::{Index, Seq, Time};
use core::fmt;
use serde::{Deserialize, Serialize};

/// Something that a driver has yet to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Awaited {
    /// The first event of all, a [`Tick`](crate::Input::Tick). Until it comes, the node neither
    /// campaigns nor answers; and as an action needs an event, only the status tells.
    FirstTick,
    /// A [`Tick`](crate::Input::Tick): the deadline that
    /// [`WakeAt`](crate::Action::WakeAt) named last has passed.
    Tick,
    /// [`Persisted`](crate::Input::Persisted), for this write and perhaps for later ones.
    Persisted {
        /// The oldest write that is not reported.
        seq: Seq,
    },
    /// [`Applied`](crate::Input::Applied), up to this index.
    Applied {
        /// The last index that was handed out.
        index: Index,
    },
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Awaited::FirstTick => f.write_str("the first tick"),
            Awaited::Tick => f.write_str("a tick"),
            Awaited::Persisted { seq } => write!(f, "persisted {seq}"),
            Awaited::Applied { index } => write!(f, "applied {index}"),
        }
    }
}

/// What a node waits for from its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Waiting {
    /// What it is.
    pub what: Awaited,
    /// Since when there has been no progress with it: for a tick the deadline, for a write or an
    /// entry the time when it was asked for, or when the one before it was reported.
    pub since: Time,
}

/// What has been said of overdue answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Overdue {
    /// When it looks again: often enough, and not in each step.
    pub(crate) look_at: Time,
    /// Of each kind, the wait that was said last, known by its beginning.
    tick: Option<Time>,
    persisted: Option<Time>,
    applied: Option<Time>,
}

impl Overdue {
    /// Notes that this wait is said. Returns whether it is new.
    pub(crate) fn note(&mut self, waiting: Waiting) -> bool {
        let said = match waiting.what {
            Awaited::FirstTick => return false,
            Awaited::Tick => &mut self.tick,
            Awaited::Persisted { .. } => &mut self.persisted,
            Awaited::Applied { .. } => &mut self.applied,
        };
        said.replace(waiting.since) != Some(waiting.since)
    }
}
