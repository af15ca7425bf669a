//! The clock of a machine, which runs a little faster or slower than the world's time, and may jump
//! or stand still. It never goes back.

use core::time::Duration;
use raft_proto::Time;

/// The rate of a clock that is right.
const MILLION: u128 = 1_000_000;

/// A clock. It was right at time 0, and runs on while the machine's process is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// By how much it advances while the world's time advances by a million.
    rate: u128,
    is_frozen: bool,
    /// It showed `shown` at the world's time `since`, and has run evenly since then.
    since: Time,
    shown: Time,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::drifting(0)
    }
}

impl Clock {
    /// A clock that is too fast by `ppm` parts in a million, or too slow if that is negative.
    pub fn drifting(ppm: i32) -> Clock {
        let rate = MILLION.saturating_add_signed(ppm.into());
        Clock {
            rate: rate.max(1),
            is_frozen: false,
            since: Time::ZERO,
            shown: Time::ZERO,
        }
    }

    /// What it shows at the world's time `at`.
    pub fn shows(&self, at: Time) -> Time {
        if self.is_frozen {
            return self.shown;
        }
        let passed = u128::from(at.0.saturating_sub(self.since.0)) * self.rate / MILLION;
        scaled(u128::from(self.shown.0) + passed)
    }

    /// The first of the world's times at which it shows `shown` or more; never, if it stands still
    /// before that.
    pub fn reaches(&self, shown: Time) -> Time {
        if shown <= self.shown {
            return self.since;
        }
        if self.is_frozen || shown == Time::NEVER {
            return Time::NEVER;
        }
        let left = u128::from(shown.0 - self.shown.0) * MILLION;
        scaled(u128::from(self.since.0) + left.div_ceil(self.rate))
    }

    /// Jumps ahead.
    pub fn jump(&mut self, at: Time, by: Duration) {
        self.settle(at);
        self.shown = self.shown.after(by);
    }

    /// Stands still from now on.
    pub fn freeze(&mut self, at: Time) {
        self.settle(at);
        self.is_frozen = true;
    }

    /// Goes on from where it stands.
    pub fn thaw(&mut self, at: Time) {
        self.settle(at);
        self.is_frozen = false;
    }

    fn settle(&mut self, at: Time) {
        self.shown = self.shows(at);
        self.since = at;
    }
}

fn scaled(time: u128) -> Time {
    Time(u64::try_from(time).unwrap_or(u64::MAX))
}
