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
    /// Of each kind, the wait that was found overdue last.
    tick: Option<Found>,
    persisted: Option<Found>,
    applied: Option<Found>,
}

/// A wait that was found overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Found {
    /// Its beginning, by which it is known.
    since: Time,
    is_said: bool,
}

impl Overdue {
    /// Notes that this wait is overdue. Returns whether it is to be said now: when it is found for
    /// the second time. After a machine has slept, everything is overdue at first, and comes soon.
    pub(crate) fn note(&mut self, waiting: Waiting) -> bool {
        let known = match waiting.what {
            Awaited::FirstTick => return false,
            Awaited::Tick => &mut self.tick,
            Awaited::Persisted { .. } => &mut self.persisted,
            Awaited::Applied { .. } => &mut self.applied,
        };
        let since = waiting.since;
        match known {
            Some(found) if found.since == since => !core::mem::replace(&mut found.is_said, true),
            Some(_) | None => {
                let is_said = false;
                *known = Some(Found { since, is_said });
                false
            }
        }
    }
}
