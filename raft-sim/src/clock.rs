//! A node's clock, which runs a little faster or slower than the world's.

use raft_proto::Time;

/// Parts in a million of a clock that is right.
const MILLION: u128 = 1_000_000;

/// A clock of a constant rate. It was right at time 0, and runs on while its node is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// How far it gets while the world's gets a million.
    rate: u128,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { rate: MILLION }
    }
}

impl Clock {
    /// One that is so many parts in a million too fast, or too slow if negative.
    pub fn drifting(ppm: i32) -> Clock {
        let rate = MILLION.saturating_add_signed(ppm.into());
        Clock { rate: rate.max(1) }
    }

    /// What it shows at this time of the world's.
    pub fn shows(&self, at: Time) -> Time {
        scaled(u128::from(at.0) * self.rate / MILLION)
    }

    /// The first time of the world's at which it shows this or more.
    pub fn reaches(&self, shown: Time) -> Time {
        if shown == Time::NEVER {
            return shown;
        }
        scaled((u128::from(shown.0) * MILLION).div_ceil(self.rate))
    }
}

fn scaled(time: u128) -> Time {
    Time(u64::try_from(time).unwrap_or(u64::MAX))
}
