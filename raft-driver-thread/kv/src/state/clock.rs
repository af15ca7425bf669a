//! The replicated state's time, as one server knows it between two entries.

use std::sync::atomic::{AtomicI64, Ordering};

/// Lets the state's time run on by a clock that counts from boot.
///
/// Wall clocks are set, by hand or by NTP, forward and back. If entries carried them, a clock that
/// was wrong for a moment would make keys expire, at the next handover at the latest. So a server
/// only remembers when, by its boot clock, it saw which time in the state, and lets that time run
/// on. What it saw was true a moment before it saw it, so of several observations the one that
/// gives the latest time is the best one, and none gives too late a time. Hence time in the state
/// passes as fast as on the leaders' boot clocks, and at a handover it loses no more than the
/// moment between the last entry and its observation.
///
/// All times are milliseconds.
#[derive(Debug)]
pub struct StateClock {
    /// By how much the state's time is ahead of the boot clock.
    lead: AtomicI64,
}

/// Nothing was observed.
const UNKNOWN: i64 = i64::MIN;

impl Default for StateClock {
    fn default() -> StateClock {
        StateClock {
            lead: AtomicI64::new(UNKNOWN),
        }
    }
}

impl StateClock {
    /// A clock that has observed nothing.
    pub fn new() -> StateClock {
        StateClock::default()
    }

    /// The state's time was at least `state` when the boot clock showed `boot`.
    pub fn observe(&self, state: u64, boot: u64) {
        let lead = i128::from(state) - i128::from(boot);
        // A time that does not fit is 300 million years away: some entry was forged.
        let lead = i64::try_from(lead).unwrap_or(i64::MAX).max(UNKNOWN + 1);
        self.lead.fetch_max(lead, Ordering::Relaxed);
    }

    /// The state's time when the boot clock shows `boot`; `None` if nothing was observed.
    pub fn at(&self, boot: u64) -> Option<u64> {
        let lead = self.lead.load(Ordering::Relaxed);
        let time = (lead != UNKNOWN).then(|| i128::from(lead) + i128::from(boot))?;
        Some(u64::try_from(time.max(0)).unwrap_or(u64::MAX))
    }
}
