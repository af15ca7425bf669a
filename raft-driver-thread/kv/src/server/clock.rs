//! The time that a leader stamps entries with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock, moved forward so that it does not stay behind the replicated state's time. If an
/// earlier leader's clock was ahead, time goes on from there, and no key expires earlier than it
/// should.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// The greatest lead, in milliseconds, that the state's time had over the wall clock.
    offset: AtomicU64,
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
        millis().saturating_add(self.offset.load(Ordering::Relaxed))
    }

    /// Catches up with the state's time, as it was a moment ago.
    pub(crate) fn catch_up(&self, state: u64) {
        let ahead = state.saturating_sub(millis());
        self.offset.fetch_max(ahead, Ordering::Relaxed);
    }
}
