//! What a node remembers of leadership transfers (thesis 3.10), whatever its role: which targets it
//! has tried as a leader, and which transfers it has heard to be given up. The rules are in
//! `transfer.rs` and `check_quorum.rs`.

use crate::config::Config;
use crate::types::{NodeId, Term, Time};
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The back-off after the first handover to a target, in election timeouts.
const FIRST_BACKOFF: u32 = 10;
/// How often it doubles, at most: to 320 election timeouts.
const MOST_DOUBLINGS: u32 = 5;

/// The handovers that this node has begun. Each makes the next one by priority to the same target
/// wait, twice as long as the one before. It does not matter how the handover ended: if this node
/// leads again so soon, the target could not take over, or could not stay the leader. So the
/// back-off outlives the leadership. It is forgotten after a pause as long as itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct HandoverAttempts {
    attempts: Vec<HandoverAttempt>,
}

/// The handovers to one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct HandoverAttempt {
    target: NodeId,
    /// How many there were, none after a long pause.
    count: u32,
    /// The end of the back-off.
    retry_at: Time,
}

impl HandoverAttempt {
    fn backoff(&self, config: &Config) -> Duration {
        let doublings = self.count.saturating_sub(1).min(MOST_DOUBLINGS);
        config.election_timeout_max * FIRST_BACKOFF * (1 << doublings)
    }

    fn is_forgotten(&self, now: Time, config: &Config) -> bool {
        self.retry_at.after(self.backoff(config)) <= now
    }
}

impl HandoverAttempts {
    /// A handover to `target` begins.
    pub(crate) fn begin(&mut self, target: NodeId, now: Time, config: &Config) {
        (self.attempts).retain(|attempt| !attempt.is_forgotten(now, config));
        let known = self.attempts.iter().position(|one| one.target == target);
        let mut attempt = match known {
            Some(at) => self.attempts.swap_remove(at), // a position found
            None => HandoverAttempt {
                target,
                count: 0,
                retry_at: now,
            },
        };
        attempt.count = attempt.count.saturating_add(1);
        attempt.retry_at = now.after(attempt.backoff(config));
        self.attempts.push(attempt);
    }

    /// Whether `target` was tried so recently that another should be tried first.
    pub(crate) fn is_backed_off(&self, target: NodeId, now: Time) -> bool {
        let mut attempts = self.attempts.iter();
        attempts.any(|attempt| attempt.target == target && attempt.retry_at > now)
    }
}

/// The latest transfer that the leader of a term has given up, as far as this node has heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct RevokedTransfers {
    term: Term,
    number: u64,
}

impl RevokedTransfers {
    /// The leader of `term`, which is not below any heard before, says that it has given up its
    /// transfers up to `number`. Messages may overtake each other.
    pub(crate) fn hear(&mut self, term: Term, number: u64) {
        if term > self.term {
            *self = RevokedTransfers { term, number };
        } else if term == self.term {
            self.number = self.number.max(number);
        }
    }

    /// Whether the leader of `term` has given up its transfer `number`.
    pub(crate) fn includes(&self, term: Term, number: u64) -> bool {
        self.term == term && number <= self.number
    }
}
