//! What the nemesis does to one machine, or to the process and the disk on it.

use super::NodeSetting;
use core::time::Duration;

/// The disk with which a machine comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplacementDisk {
    /// An empty one, and the node on it has a new identity.
    NewNode,
    /// An empty one, and the node keeps its number.
    Empty,
    /// The same, whether the cluster can do without the disk or not. Only disks with incarnations
    /// are lost so: no algorithm survives the loss of a majority, but this one must notice it.
    EmptyAnyway,
    /// The copy that [`MachineOperation::Backup`] made last, and the node keeps its number.
    OldCopy,
}

/// An operation of the nemesis on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`time` is how long it lasts")]
pub enum MachineOperation {
    /// The machine loses power: what was not synced may be lost, and the last write may be torn.
    /// The process restarts after `time`. If the process is down already, what it left unsynced may
    /// be lost.
    Crash { time: Duration },
    /// The process ends, and the machine goes on: all that was written is there, synced or not. The
    /// process restarts after `time`, and its storage syncs what it finds.
    Kill { time: Duration },
    /// The machine stands still; messages wait.
    Pause { time: Duration },
    /// Each step takes the machine `by`.
    SlowNode { by: Duration, time: Duration },
    /// Each sync takes longer by up to `by`.
    SlowDisk { by: Duration, time: Duration },
    /// The next sync fails. The process restarts after `time` with whatever the disk holds.
    FailWrite { time: Duration },
    /// Reads of entries and snapshots from disk fail.
    FailRead { time: Duration },
    /// Stored bytes decay. The storage notices, the process ends, and the storage does not open
    /// again. A new node takes over the machine.
    Rot,
    /// Stored records decay, and the process ends. After `time` it starts with the entries before
    /// them, about `kept` of a thousand, and its storage says what is lost.
    Damage { kept: u32, time: Duration },
    /// The disk is lost. After `time` the machine comes back with another one.
    ///
    /// A node that keeps its number has forgotten votes that it gave and entries that it
    /// acknowledged. If the cluster tells disks apart, it survives that as long as it can do without
    /// the lost disk, and the operator takes the empty one in as a learner. Otherwise, and with old
    /// copies, no cluster survives that of a voter: of the majority that committed an entry, one
    /// fewer then holds it. So the operation changes nothing unless no configuration that may
    /// be in force names the node: it was removed, and every other node knows that, or it was never
    /// a member. An old copy must also not hold a configuration by which the node could be elected.
    /// The node can be added again later.
    Replace {
        with: ReplacementDisk,
        time: Duration,
    },
    /// A copy of the disk is made, as it is without power, and put aside.
    Backup,
    /// The clock jumps ahead by `by`.
    Jump { by: Duration },
    /// The clock stands still.
    Freeze { time: Duration },
    /// The service makes a snapshot.
    Snapshot,
    /// The service makes a snapshot after each `every`, if it has applied anything since.
    Compact { every: Duration, time: Duration },
    /// Reads of entries, and reads and writes of chunks of snapshots, are answered later by up to
    /// `by`, also out of order.
    SlowRead { by: Duration, time: Duration },
    /// Of a thousand reads of entries, and reads and writes of chunks of snapshots, `failed` fail.
    /// Of a thousand reads of chunks, `gone` more find no snapshot.
    FlakyDisk {
        failed: u32,
        gone: u32,
        time: Duration,
    },
    /// The service takes longer by up to `by` for what it is given to apply.
    SlowService { by: Duration, time: Duration },
    /// Reads of the snapshot in use return other bytes than were written, as long as the process
    /// lives: no fault ends that, only a newer snapshot, which the service makes after `time`.
    /// Changes nothing if the service has applied nothing beyond the snapshot.
    Decay { time: Duration },
    /// The operator asks the node to campaign at once.
    Campaign,
    /// The operator asks the node to give up its leadership.
    StepDown,
    /// The operator changes a setting of the node while it runs, until the faults end.
    Reconfigure { setting: NodeSetting, value: u64 },
    /// A fault of the user's own, by its number, strikes the service ([`kit`](crate::kit)).
    Strike { fault: u32 },
}

impl MachineOperation {
    /// How long the operation lasts, if it does not happen at an instant.
    pub fn lasts(&mut self) -> Option<&mut Duration> {
        match self {
            MachineOperation::Crash { time }
            | MachineOperation::Kill { time }
            | MachineOperation::Pause { time }
            | MachineOperation::SlowNode { time, .. }
            | MachineOperation::SlowDisk { time, .. }
            | MachineOperation::FailWrite { time }
            | MachineOperation::FailRead { time }
            | MachineOperation::Replace { time, .. }
            | MachineOperation::Freeze { time }
            | MachineOperation::Compact { time, .. }
            | MachineOperation::SlowRead { time, .. }
            | MachineOperation::FlakyDisk { time, .. }
            | MachineOperation::SlowService { time, .. }
            | MachineOperation::Damage { time, .. }
            | MachineOperation::Decay { time } => Some(time),
            MachineOperation::Rot
            | MachineOperation::Backup
            | MachineOperation::Jump { .. }
            | MachineOperation::Campaign
            | MachineOperation::StepDown
            | MachineOperation::Reconfigure { .. }
            | MachineOperation::Strike { .. }
            | MachineOperation::Snapshot => None,
        }
    }

    /// How long the operation delays, or how far a clock jumps.
    pub fn delays(&mut self) -> Option<&mut Duration> {
        match self {
            MachineOperation::SlowNode { by, .. }
            | MachineOperation::SlowDisk { by, .. }
            | MachineOperation::SlowRead { by, .. }
            | MachineOperation::SlowService { by, .. }
            | MachineOperation::Jump { by } => Some(by),
            MachineOperation::Crash { .. }
            | MachineOperation::Kill { .. }
            | MachineOperation::Pause { .. }
            | MachineOperation::FailWrite { .. }
            | MachineOperation::FailRead { .. }
            | MachineOperation::Rot
            | MachineOperation::Damage { .. }
            | MachineOperation::Replace { .. }
            | MachineOperation::Backup
            | MachineOperation::Compact { .. }
            | MachineOperation::FlakyDisk { .. }
            | MachineOperation::Decay { .. }
            | MachineOperation::Freeze { .. }
            | MachineOperation::Campaign
            | MachineOperation::StepDown
            | MachineOperation::Reconfigure { .. }
            | MachineOperation::Strike { .. }
            | MachineOperation::Snapshot => None,
        }
    }
}
