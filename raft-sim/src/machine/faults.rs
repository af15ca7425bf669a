//! The faults that a machine suffers.

use crate::disk::FaultRates;
use crate::duration::Slowdown;
use core::time::Duration;
use raft_proto::Time;

/// Some reads fail, until a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlakyDisk {
    /// How many.
    pub rates: FaultRates,
    /// When it ends.
    pub until: Time,
}

impl FlakyDisk {
    /// How many reads fail at this time.
    pub fn at(&self, now: Time) -> FaultRates {
        if self.until > now {
            self.rates
        } else {
            FaultRates::default()
        }
    }
}

/// The faults that a machine suffers, other than that its process may be down.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineFaults {
    /// By how much each sync takes longer, at most.
    pub slow_disk: Slowdown,
    /// Reads from the disk fail until then.
    pub reads_fail_until: Time,
    /// By how much each read takes longer, at most.
    pub slow_reads: Slowdown,
    /// Some reads fail.
    pub flaky_disk: FlakyDisk,
    /// By how much the service takes longer for entries that it applies, at most.
    pub slow_service: Slowdown,
    /// The next sync fails, and the outage that follows lasts so long.
    pub next_write_fails: Option<Duration>,
    /// The bytes on its disk have decayed: its storage cannot be opened again.
    pub is_rotten: bool,
}

impl MachineFaults {
    /// Ends all faults that pass. A rotten disk stays rotten.
    pub fn heal(&mut self) {
        *self = MachineFaults {
            is_rotten: self.is_rotten,
            ..MachineFaults::default()
        };
    }
}
