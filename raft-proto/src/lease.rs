//! How long leases last (thesis 6.4.1), and what voters promise for them.
//!
//! Each AppendEntries of a leader with leases asks the receiver for a promise: to help elect nobody
//! else for so long, unless that leader asks for the election itself (3.10). A majority that has
//! answered has promised (`read_index.rs`). The promise is part of the message, so that it holds at
//! voters whose own leases are off. It is apart from leader stickiness (`check_quorum.rs`), which
//! only keeps a leader that is well from being disturbed: a voter that has reason to believe that
//! the leader is gone gives up the one at once, and keeps the other (`lost_leader.rs`).

use crate::config::{CheckQuorum, Config, Lease};
use crate::error::ConfigError;
use core::time::Duration;

impl Config {
    pub(crate) fn validate_lease(&self) -> Result<(), ConfigError> {
        match (self.lease, self.check_quorum) {
            (Lease::On { max_drift_ppm }, _) if max_drift_ppm > Self::MAX_DRIFT_PPM => {
                Err(ConfigError::LimitTooGreat {
                    name: "max_drift_ppm",
                    most: u64::from(Self::MAX_DRIFT_PPM),
                })
            }
            (Lease::On { .. }, CheckQuorum::Off) => Err(ConfigError::LeaseWithoutCheckQuorum),
            (Lease::On { .. }, CheckQuorum::On) => self.validate_lease_promise(),
            (Lease::Off, _) => Ok(()),
        }
    }

    fn validate_lease_promise(&self) -> Result<(), ConfigError> {
        let (least, most) = (self.heartbeat_interval, self.election_timeout_min);
        match self.lease_promise {
            Some(promise) if promise <= least || promise > most => {
                Err(ConfigError::LeasePromiseRange {
                    promise,
                    least,
                    most,
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// For how long this node, as a leader, asks voters to elect nobody else, in whole milliseconds;
    /// `None` without leases.
    pub fn promise_asked(&self) -> Option<Duration> {
        match self.lease {
            Lease::Off => None,
            Lease::On { .. } => {
                let promise = self.lease_promise.unwrap_or(self.election_timeout_min);
                // At most a day (`validate`).
                Some(Duration::from_millis(promise.as_millis() as u64))
            }
        }
    }

    /// The same, as messages carry it; 0 without leases.
    pub(crate) fn promise_millis(&self) -> u32 {
        // At most a day (`validate`).
        self.promise_asked()
            .map_or(0, |promise| promise.as_millis() as u32)
    }

    /// How long a lease lasts, counted from the round that a majority has answered; `None` without
    /// leases. It is shorter than the promise `p` by what this node's clock may run slow and a
    /// voter's fast: `p (1 - d) / (1 + d)` is at least `p (1 - 2 d)`.
    pub(crate) fn lease_length(&self) -> Option<Duration> {
        match (self.lease, self.promise_asked()) {
            (Lease::On { max_drift_ppm }, Some(promise)) => {
                // The drift is at most a tenth.
                let parts = 1_000_000 - 2 * max_drift_ppm.min(Self::MAX_DRIFT_PPM);
                Some(promise / 1_000_000 * parts)
            }
            (Lease::On { .. } | Lease::Off, _) => None,
        }
    }
}
