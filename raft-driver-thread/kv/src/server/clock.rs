//! The time that a leader stamps entries with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock, but never behind the state's time for long: where an earlier leader's clock was
/// ahead, time goes on from there, and keys expire as late as was asked for.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// By how many milliseconds the state was ahead of this clock, at most.
    ahead: AtomicU64,
}

/// Milliseconds since 1970.
pub(crate) fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl Clock {
    pub(crate) fn now(&self) -> u64 {
        millis().saturating_add(self.ahead.load(Ordering::Relaxed))
    }

    /// The state's time was this a moment ago.
    pub(crate) fn see(&self, state: u64) {
        let ahead = state.saturating_sub(millis());
        self.ahead.fetch_max(ahead, Ordering::Relaxed);
    }
}
