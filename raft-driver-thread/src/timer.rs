//! The only clock.

use raft_proto::Time;
use std::time::{Duration, Instant};

/// A monotonic clock whose epoch is its making. On Linux it runs on while the machine sleeps, as
/// leases need (`CLOCK_BOOTTIME`); elsewhere it is what the standard library offers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Duration,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock {
            epoch: since_boot(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_epoch(since_boot().saturating_sub(self.epoch))
    }

    /// When to wake up for `deadline`; `None` if that is never.
    pub(crate) fn instant(&self, deadline: Time) -> Option<Instant> {
        if deadline == Time::NEVER {
            return None;
        }
        Instant::now().checked_add(deadline.since(self.now()))
    }
}

/// `Duration` from a limit that is too far away to count as one.
pub(crate) fn deadline_after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// Tells how long ago it was made.
pub(crate) fn stopwatch() -> impl Fn() -> Duration {
    let begin = Instant::now();
    move || begin.elapsed()
}

#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // The kernel's time since boot is not negative, and its nanoseconds are below 10^9.
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
