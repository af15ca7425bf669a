//! What a node can read: its level. Which level is in force, and how, says `upgrade.rs`.

use core::fmt;
use serde::{Deserialize, Serialize};

/// What a node reads and writes, or what all members of a cluster do. A program counts it up with
/// each release that writes what the release before it does not read.
///
/// The two parts are counted apart, as an embedder takes up a release of this crate when it likes.
/// Each node says its own level ([`Config::level`](crate::Config::level)). The cluster's is
/// [`Raft::level`](crate::Raft::level): only what that allows may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Level {
    /// This crate's part: at most [`Level::CORE`].
    pub core: u32,
    /// The service's part: its commands, and its snapshots.
    pub service: u32,
}

impl Level {
    /// The level before any was agreed: what the first releases write.
    pub const ZERO: Level = Level {
        core: 0,
        service: 0,
    };

    /// The part of this release of this crate.
    pub const CORE: u32 = 0;

    /// The level of a node with this release of this crate, and this part of the service's.
    pub const fn of_service(service: u32) -> Level {
        Level {
            core: Level::CORE,
            service,
        }
    }

    /// Whether a node of this level reads everything that is written at the level `written`.
    #[must_use]
    pub fn reads(self, written: Level) -> bool {
        self.core >= written.core && self.service >= written.service
    }

    /// What nodes of both levels read.
    #[must_use]
    pub fn common(self, other: Level) -> Level {
        Level {
            core: self.core.min(other.core),
            service: self.service.min(other.service),
        }
    }

    /// The least level that reads what is written at either.
    #[must_use]
    pub(crate) fn raised_to(self, other: Level) -> Level {
        Level {
            core: self.core.max(other.core),
            service: self.service.max(other.service),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.core, self.service)
    }
}
