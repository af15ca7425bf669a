//! What can happen in a world.

use crate::clients::ClientRequest;
use crate::operator::OperatorRequest;
use bytes::Bytes;
use core::time::Duration;
use raft_proto::{Input, NodeId, Seq, SnapshotId, Time};

/// Something that is going to happen.
#[derive(Clone, Debug)]
pub(super) enum SimulationEvent {
    /// Something happens at a machine. A machine that is stalled sees to it later.
    Machine { place: usize, event: MachineEvent },
    /// A machine that was stalled sees to what waits for it.
    Resume { place: usize },
    /// A process starts.
    Restart { place: usize },
    /// A node fetches what its disk has lost, before it starts.
    Mend { place: usize },
    /// A clock that stood still goes on.
    Thaw { place: usize },
    /// A client makes an attempt, if `attempt` is still its latest.
    ClientAttempt { client: u32, attempt: u64 },
    /// A client's timer fires. The client may have waited long enough for an answer.
    ClientTimer { client: u32 },
    /// The script's next client operation.
    ClientOperation,
    /// The script's next nemesis operation.
    NemesisOperation,
    /// There is a new leader, and the operator has waited for one.
    LeaderElected,
    /// The next command that the script does not hold.
    Load,
    /// The operator sees to a machine that came back under a new identity.
    Repair { place: usize, tries: u32 },
    /// The operator upgrades a machine that has stopped because its release is too old.
    Upgrade { place: usize },
    /// A service makes a snapshot, and then another one after each `every`.
    Compact {
        place: usize,
        every: Duration,
        until: Time,
    },
    /// A service makes a snapshot, if it has applied anything since the last one.
    NewSnapshot { place: usize },
}

/// Which disks the sender and the receiver of a frame had, where nodes lose disks and keep their
/// numbers. What was on its way before is not delivered after: connections are made anew, with a
/// node that begins anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) from: usize,
    pub(super) disks: [u32; 2],
    /// The message's number in the timeline; [`NONE`](crate::view::NONE) without one.
    pub(super) message: u32,
}

/// Something that happens at one machine.
#[derive(Clone, Debug)]
pub(super) enum MachineEvent {
    /// A frame arrives.
    Frame { frame: Bytes, over: Connection },
    /// A frame arrives with other bytes than it was sent with.
    DamagedFrame {
        frame: Bytes,
        /// The checksum of the bytes that were sent.
        checksum: u32,
    },
    /// The core's timer may be due.
    Timer,
    /// Something that a process has begun ends. It is nothing to a later incarnation.
    Process {
        incarnation: u32,
        event: ProcessEvent,
    },
    /// A client's request arrives.
    ClientRequest(Box<ClientRequest>),
    /// The operator's request arrives.
    OperatorRequest(Box<OperatorRequest>),
}

/// The end of something that a process has begun.
#[derive(Clone, Debug)]
pub(super) enum ProcessEvent {
    /// A sync ends that covers the writes up to `seq`.
    Synced { seq: Seq },
    /// A sync fails: what it covered may be on disk or not. The process is down for `outage`.
    SyncFailed { outage: Duration },
    /// The disk answers a request other than a write.
    DiskAnswer(Box<Input>),
    /// The service has done what it was given to do.
    ServiceDone,
    /// The transport learns that its latest messages for this peer are lost, or believes so.
    Unreachable { peer: NodeId },
    /// The service has written a snapshot.
    SnapshotWritten(Box<(SnapshotId, Bytes)>),
}

/// Whether faults and clients go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// They do.
    Safety,
    /// Faults are over but for what stays, and the cluster has to serve.
    Availability,
    /// All faults are over, and the cluster gets the time to recover.
    Liveness,
}
