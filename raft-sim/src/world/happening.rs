//! What can happen in a world.

use bytes::Bytes;
use core::fmt;
use raft_proto::{Index, Seq, SnapshotId};

/// Something that is going to happen.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// A frame arrives.
    Arrival { to: usize, frame: Bytes },
    /// A node's timer may be due.
    Wake { node: usize },
    /// A sync ends that covers the writes up to `seq`.
    Synced { life: Life, seq: Seq },
    /// A sync fails: what it covered may be on disk or not.
    SyncFailed { life: Life },
    /// A service has applied what it was given.
    Applied { life: Life, index: Index },
    /// A service has written a snapshot.
    Snapshot {
        life: Life,
        snapshot: Box<(SnapshotId, Bytes)>,
    },
    /// A client proposes.
    Client { client: usize },
    /// A client reads.
    Read,
    /// The operator acts.
    Operator,
    /// The nemesis acts.
    Nemesis,
    /// A crashed node gets its power back.
    Restart { node: usize },
    /// A cut ends.
    Mend { links: Vec<(usize, usize)> },
}

/// A node between two crashes: what was under way dies with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) node: usize,
    pub(super) number: u32,
}

/// Whether clients and nemesis go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// They do.
    Safety,
    /// All faults are over, and the cluster gets the time to recover.
    Liveness,
}

/// Links in the trace: `n1->n2 n2->n1`.
pub(super) struct Links<'a>(pub(super) &'a [(usize, usize)]);

impl fmt::Display for Links<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (from, to)) in self.0.iter().enumerate() {
            let space = if at > 0 { " " } else { "" };
            write!(f, "{space}n{}->n{}", from + 1, to + 1)?;
        }
        Ok(())
    }
}
