//! The settings of a node.

use crate::recorder::RecorderOptions;
use raft_proto::{Config, Incarnation};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A value for [`Config::seed`] that is another one at each start, from the operating system. A
/// process id would not do: in a container it is always the same. No safety rests on it, but nodes
/// with equal seeds repeat their split votes.
pub fn fresh_seed() -> u64 {
    RandomState::new().hash_one(())
}

/// A value for [`Config::incarnation`], from the operating system: no two storages have the same.
/// It is read only when the storage is new.
pub fn fresh_incarnation() -> Incarnation {
    // Its keys are drawn by the operating system.
    Incarnation(RandomState::new().hash_one(()))
}

/// The settings of a node: the core's ([`Config`]), and the driver's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The core's settings. Give [`Config::seed`] a fresh value at each start: [`fresh_seed`]; and
    /// so [`Config::incarnation`]: [`fresh_incarnation`].
    pub config: Config,
    /// When the node makes snapshots by itself.
    pub snapshots: SnapshotPolicy,
    /// How much of its snapshots a leader sends at once.
    pub snapshot_sending: SnapshotSending,
    /// How many requests may be outstanding: made, with a ticket that has not ended. Further ones
    /// are refused as [`Overloaded`](crate::RequestError::Overloaded). Default 65,536.
    pub max_outstanding: usize,
    /// How many bytes of received messages may wait for the core. Beyond that the transport's
    /// threads wait, and read nothing from their connections. Default 64 MiB.
    pub max_inbox_bytes: u64,
    /// Where to record every event that the core is given, for `raft-sim replay`. Default `None`:
    /// nothing is recorded.
    pub recorder: Option<RecorderOptions>,
    /// How long the start of a node waits for its peers if its disk has lost entries in the midst of
    /// its log, and knows what they were ([`mending`](crate::raft_proto::mending)). Then it starts
    /// with what is whole. It waits only for peers that do not answer. Zero: it asks nobody.
    /// Default 30 s.
    pub mend_timeout: Duration,
    /// Whether a thread of its own reads again what the storage holds, to find what has decayed
    /// before a start, or a peer, needs it ([`Scrub`](crate::storage::Scrub)). What it finds is
    /// logged and measured ([`Node::decayed`](crate::Node::decayed)), and a new snapshot is made.
    /// Default `None`: nothing is read.
    pub scrub: Option<ScrubOptions>,
}

/// How a node looks for decay on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScrubOptions {
    /// How many bytes are read in a second, at most.
    pub bytes_per_second: u64,
    /// How long it waits after it has read all, before it begins anew. Default one hour.
    pub pause: Duration,
}

impl ScrubOptions {
    /// At this rate, once an hour.
    pub fn new(bytes_per_second: u64) -> ScrubOptions {
        ScrubOptions {
            bytes_per_second,
            pause: Duration::from_secs(3600),
        }
    }
}

impl Options {
    /// The defaults, for a node with these settings.
    pub fn new(config: Config) -> Options {
        Options {
            config,
            snapshots: SnapshotPolicy::default(),
            snapshot_sending: SnapshotSending::default(),
            max_outstanding: 1 << 16,
            max_inbox_bytes: 64 << 20,
            recorder: None,
            mend_timeout: Duration::from_secs(30),
            scrub: None,
        }
    }
}

/// How much of its snapshots a leader sends at once, to all peers together. A peer that lacks much
/// can wait; clients, and the other peers, use the same disk and the same network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotSending {
    /// The most bytes in a second. Default `None`: as many as the peers take.
    pub max_bytes_per_second: Option<u64>,
    /// The most peers that are sent a snapshot at the same time; others wait until one of them has
    /// received its last chunk, or has taken none for ten seconds. 0 counts as 1. Default 2.
    pub max_transfers: usize,
}

impl Default for SnapshotSending {
    fn default() -> SnapshotSending {
        SnapshotSending {
            max_bytes_per_second: None,
            max_transfers: 2,
        }
    }
}

/// When a snapshot is made: as soon as what was applied since the last one reaches one of the
/// limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotPolicy {
    /// A number of entries. Default `None`: no limit.
    pub every_entries: Option<u64>,
    /// A number of bytes: payloads, and [`ENTRY_OVERHEAD`](raft_proto::ENTRY_OVERHEAD) for each
    /// entry. `None`: no limit. Default 64 MiB.
    pub every_bytes: Option<u64>,
}

impl Default for SnapshotPolicy {
    fn default() -> SnapshotPolicy {
        SnapshotPolicy {
            every_entries: None,
            every_bytes: Some(64 << 20),
        }
    }
}

impl SnapshotPolicy {
    /// A snapshot is made only when [`Node::snapshot`](crate::Node::snapshot) asks for one. The log
    /// grows until then.
    pub const ON_REQUEST: SnapshotPolicy = SnapshotPolicy {
        every_entries: None,
        every_bytes: None,
    };

    pub(crate) fn is_due(&self, entries: u64, bytes: u64) -> bool {
        self.every_entries.is_some_and(|limit| entries >= limit)
            || self.every_bytes.is_some_and(|limit| bytes >= limit)
    }
}
