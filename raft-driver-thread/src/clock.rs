//! The driver's clock.

use raft_proto::Time;
use std::time::{Duration, Instant};

/// A monotonic clock that counts from its construction. On Linux it runs on while the machine
/// sleeps, as leases need (`CLOCK_BOOTTIME`). Elsewhere it is the standard library's `Instant`.
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

    /// The instant of `deadline`; `None` for [`Time::NEVER`].
    pub(crate) fn instant(&self, deadline: Time) -> Option<Instant> {
        if deadline == Time::NEVER {
            return None;
        }
        Instant::now().checked_add(deadline.since(self.now()))
    }
}

/// The instant in which `timeout` has passed; `None` if that is too far away to be one.
pub(crate) fn deadline_after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// Returns a function that says how long ago this call was.
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
