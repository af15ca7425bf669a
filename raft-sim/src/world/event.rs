//! What can happen in a world.

use crate::clients::Request;
use crate::schedule::Place;
use crate::schedule::nemesis::TargetRole;
use bytes::Bytes;
use core::time::Duration;
use raft_proto::{Index, Input, Readiness, Seq, SnapshotId, Time};
use std::collections::VecDeque;

/// Something that is going to happen.
#[derive(Clone, Debug)]
pub(super) enum SimulationEvent {
    /// Something happens at a server, which may have to wait until that one can see to it.
    At { place: usize, what: MachineEvent },
    /// A server that was held up can see to what waits for it.
    Resume { place: usize },
    /// A server starts.
    Restart { place: usize },
    /// A clock that stood still goes on.
    Thaw { place: usize },
    /// A client makes an attempt, if this is still the latest.
    Client { client: u32, attempt: u64 },
    /// A client may have waited long enough for an answer.
    Impatient { client: u32 },
    /// The next operation of the script.
    ClientOperation,
    /// The next deed of the script.
    NemesisOperation,
    /// There is a new leader, and the operator has waited for one.
    Elected,
    /// The operator looks after a server that came back as another one.
    Repair { place: usize, tries: u32 },
}

/// Something that happens at one server.
#[derive(Clone, Debug)]
pub(super) enum MachineEvent {
    /// A frame arrives.
    Frame(Bytes),
    /// A frame arrives that is not what was sent; this was its checksum.
    Damaged(Bytes, u32),
    /// Its timer may be due.
    Wake,
    /// A sync ends that covers the writes up to `seq`.
    Synced { incarnation: u32, seq: Seq },
    /// A sync fails: what it covered may be on disk or not. The node is down for that long.
    SyncFailed { incarnation: u32, outage: Duration },
    /// The disk answers what it was asked beside writes.
    Answer { incarnation: u32, input: Box<Input> },
    /// The service has applied what it was given.
    Applied { incarnation: u32, index: Index },
    /// The service has written a snapshot.
    Snapshot {
        incarnation: u32,
        snapshot: Box<(SnapshotId, Bytes)>,
    },
    /// A client asks.
    Request(Box<Request>),
    /// The operator asks.
    Operator(Box<OperatorRequest>),
}

/// What the operator asks of a leader.
#[derive(Clone, Debug)]
pub(super) enum OperatorRequest {
    /// The lead is to be handed over, to this one if it is named.
    Transfer(Option<Place>),
    /// These are to become what is said.
    Change(Vec<(Place, TargetRole)>, Readiness),
}

/// Whether faults and clients go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// They do.
    Safety,
    /// All faults are over, and the cluster gets the time to recover.
    Liveness,
}

/// What holds a server up: it stands still, or every step takes it long.
#[derive(Clone, Debug, Default)]
pub(super) struct Hold {
    pub(super) paused_until: Time,
    /// What a step takes, and until when.
    pub(super) slow: (Duration, Time),
    pub(super) busy_until: Time,
    pub(super) waiting: VecDeque<MachineEvent>,
    /// When what waits is looked at.
    pub(super) resumes: Option<Time>,
}

impl Hold {
    /// Frames that wait at most; more are lost.
    pub(super) const ROOM: usize = 512;

    pub(super) fn free_at(&self) -> Time {
        self.paused_until.max(self.busy_until)
    }

    /// A step begins.
    pub(super) fn step(&mut self, now: Time) {
        if self.slow.1 > now {
            self.busy_until = now.after(self.slow.0);
        }
    }

    /// Its process is gone, and all that waited for it.
    pub(super) fn forget(&mut self) {
        self.paused_until = Time::ZERO;
        self.busy_until = Time::ZERO;
        self.waiting.clear();
    }
}
