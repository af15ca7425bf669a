//! What a node knows of the leader that it hears, and what it has promised to leaders
//! (`lost_leader.rs` acts by it).

use crate::types::{Term, Time};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The contact with leaders, of whatever terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct LeaderContact {
    /// When the latest message of a leader came.
    heard_at: Option<Time>,
    /// Until then, leases may rest on this node.
    promised_until: Time,
    /// The latest hint that was believed.
    hint: Option<Hint>,
    /// Whether no leader was heard since that hint.
    is_lost: bool,
}

/// The transport could not reach the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Hint {
    at: Time,
    /// The leader's term.
    term: Term,
}

impl LeaderContact {
    pub(crate) const NONE: LeaderContact = LeaderContact {
        heard_at: None,
        promised_until: Time::ZERO,
        hint: None,
        is_lost: false,
    };

    /// A message of the leader of the present term came.
    pub(crate) fn heard(&mut self, now: Time) {
        self.heard_at = Some(now);
        self.is_lost = false;
    }

    /// It asks for a promise of so many milliseconds. One that was made to an earlier leader holds,
    /// too: nobody tells this node whether that leader has learnt of its successor.
    pub(crate) fn promise(&mut self, now: Time, millis: u32) {
        let until = now.after(Duration::from_millis(u64::from(millis)));
        self.promised_until = self.promised_until.max(until);
    }

    /// When the last promise ends.
    pub(crate) fn promised_until(&self) -> Time {
        self.promised_until
    }

    /// Whether a leader was heard within `timeout`, and is not lost.
    pub(crate) fn is_within(&self, timeout: Duration, now: Time) -> bool {
        let is_recent = |at: Time| at.after(timeout) > now;
        !self.is_lost && self.heard_at.is_some_and(is_recent)
    }

    /// The transport cannot reach the leader of `term`. Returns whether that is believed.
    pub(crate) fn lose(&mut self, now: Time, term: Term, election_timeout: Duration) -> bool {
        let was_wrong = |hint: Hint| hint.term == term && hint.at.after(election_timeout) > now;
        if self.is_lost || self.hint.is_some_and(was_wrong) {
            return false;
        }
        self.hint = Some(Hint { at: now, term });
        self.is_lost = true;
        true
    }
}
