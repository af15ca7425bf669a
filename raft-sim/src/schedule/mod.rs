//! What happens to a cluster, and when: all of a run that is not its settings.
//!
//! A run is its [`Settings`], what befalls it ([`NemesisOperation`]s, each at its time), what its clients ask
//! ([`ClientOperation`]s), and a seed for what is left: how long each message and each sync takes, which unsynced writes a crash leaves, and the
//! election timeouts. Nothing in it depends on how the run goes: "the leader crashes" stands in it
//! as such. So it can be drawn as a whole from one seed, be written down, edited, made smaller
//! piece by piece (see [`shrink`](crate::shrink)), and run again.

pub mod file;
pub mod nemesis;
pub mod operation;
mod words;

pub use file::FileError;
pub use nemesis::{Links, NemesisOperation, Place, Target};
pub use operation::{ClientOperation, OperationKind, ReadKind};
pub use words::{Unreadable, Words};

use crate::settings::Settings;
use core::time::Duration;
use raft_proto::Time;

/// A run that is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// What all that is not written down is drawn from: delays, timeouts, what crashes leave.
    pub seed: u64,
    /// The mistake that was built into the core, if one was.
    pub mutant: Option<String>,
    /// What went wrong when it was written, if something did.
    pub failure: Option<String>,
    /// The cluster.
    pub settings: Settings,
    /// When all faults end.
    pub time: Duration,
    /// What befalls the cluster, in the order of time.
    pub nemesis: Vec<(Time, NemesisOperation)>,
    /// What clients ask, in the order of time.
    pub operations: Vec<(Time, ClientOperation)>,
}

/// What happens, from the first to the last: written down, or drawn when it is due.
pub struct Script {
    /// What befalls the cluster.
    pub nemesis: Box<dyn Iterator<Item = (Time, NemesisOperation)> + Send>,
    /// What clients ask.
    pub operations: Box<dyn Iterator<Item = (Time, ClientOperation)> + Send>,
}

impl core::fmt::Debug for Script {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Script")
    }
}

impl Schedule {
    /// How many faults and operations there are.
    pub fn len(&self) -> usize {
        self.nemesis.len() + self.operations.len()
    }

    /// Whether nothing happens at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happens in it.
    pub fn script(&self) -> Script {
        Script {
            nemesis: Box::new(self.nemesis.clone().into_iter()),
            operations: Box::new(self.operations.clone().into_iter()),
        }
    }
}
