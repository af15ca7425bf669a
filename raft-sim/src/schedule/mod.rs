//! Schedules: what happens to a cluster, and when. A schedule is all of a run that is not its
//! settings.
//!
//! A run is its [`Settings`], the operations of the nemesis ([`NemesisOperation`]), the operations
//! of clients ([`ClientOperation`]), each at its time, and a seed. The seed decides everything
//! else: how long each message and each sync takes, which unsynced writes a crash leaves, and the
//! election timeouts. Nothing in a schedule depends on how the run goes: "the leader crashes" is
//! written in it as such. So a schedule can be drawn as a whole from one seed, written to a file,
//! edited, made smaller piece by piece (see [`shrink`](crate::shrink)), and run again.

pub mod file;
pub mod nemesis;
pub mod operation;
mod words;

pub use file::FileError;
pub use nemesis::{
    LinkOperation, Links, MachineOperation, NemesisOperation, Place, ReplacementDisk, Target,
};
pub use operation::{ClientOperation, OperationKind, ReadKind};
pub use words::{Unreadable, Words};

use crate::settings::Settings;
use core::time::Duration;
use raft_proto::Time;

/// A run that is written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The seed of everything else: delays, timeouts, what crashes leave.
    pub seed: u64,
    /// The mutant of the core that it runs on, if it is one.
    pub mutant: Option<String>,
    /// The failure of the run when the schedule was written, if it failed.
    pub failure: Option<String>,
    /// The cluster.
    pub settings: Settings,
    /// When all faults end.
    pub time: Duration,
    /// The operations of the nemesis, in the order of time.
    pub nemesis: Vec<(Time, NemesisOperation)>,
    /// The operations of clients, in the order of time.
    pub operations: Vec<(Time, ClientOperation)>,
}

/// The operations of a run, in the order of time: from a schedule, or drawn when they are due.
pub struct Script {
    /// The operations of the nemesis.
    pub nemesis: Box<dyn Iterator<Item = (Time, NemesisOperation)> + Send>,
    /// The operations of clients.
    pub operations: Box<dyn Iterator<Item = (Time, ClientOperation)> + Send>,
}

impl core::fmt::Debug for Script {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Script")
    }
}

impl Schedule {
    /// How many operations there are, of the nemesis and of clients.
    pub fn len(&self) -> usize {
        self.nemesis.len() + self.operations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its operations.
    pub fn script(&self) -> Script {
        Script {
            nemesis: Box::new(self.nemesis.clone().into_iter()),
            operations: Box::new(self.operations.clone().into_iter()),
        }
    }
}
