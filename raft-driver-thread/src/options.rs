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
    /// How long the start of a node waits for its peers if its disk has lost something: entries in
    /// the midst of its log ([`mending`](crate::raft_proto::mending)), or its snapshot. A peer's
    /// snapshot may stand for them ([`Storage::adopt`](crate::storage::Storage::adopt)). Then it
    /// starts with what is whole. It waits only for peers that do not answer, and only as long as
    /// those that do cannot help. Zero: it asks nobody. Default 30 s.
    pub mend_timeout: Duration,
    /// Whether a thread of its own reads again what the storage holds, to find what has decayed
    /// before a start, or a peer, needs it ([`Scrub`](crate::storage::Scrub)). What it finds is
    /// logged and measured ([`Node::decayed`](crate::Node::decayed)), and a new snapshot is made.
    /// Default `None`: nothing is read.
    pub scrub: Option<ScrubOptions>,
    /// How the node compares its state with those of the others, if its state machine offers a
    /// [digest](crate::StateMachine::digest): a node whose state is not that of a majority says so
    /// ([`NodeEvent::Diverged`](crate::NodeEvent::Diverged)), and replaces it by a snapshot of
    /// another one. `None`: it neither compares nor answers those that do. By default it does.
    pub compare: Option<CompareOptions>,
}

/// How a node compares its state with those of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CompareOptions {
    /// A digest is noted after every entry whose index is a multiple of this. Nodes find in common
    /// what they can compare if it is the same on all of them. At least 1. Default 256.
    pub every_entries: u64,
    /// How long the node waits after it has asked all members, before it asks again. Default 10 s.
    pub pause: Duration,
}

impl Default for CompareOptions {
    fn default() -> CompareOptions {
        CompareOptions {
            every_entries: 256,
            pause: Duration::from_secs(10),
        }
    }
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
    /// How much of the log stays in memory, unless the config says otherwise.
    const RESIDENT_BYTES: u64 = 16 << 20;
    /// How much of the log stays before a snapshot's end, unless the config says otherwise.
    const TRAILING_BYTES: u64 = 16 << 20;

    /// The defaults, for a node with these settings. Where the config leaves it open,
    /// [`max_resident_bytes`](Config::max_resident_bytes) and
    /// [`max_trailing_bytes`](Config::max_trailing_bytes) become 16 MiB each: this driver reads
    /// older entries from its storage. Set them to `None` in [`config`](Options::config) for no
    /// limits.
    pub fn new(mut config: Config) -> Options {
        let (resident, trailing) = (
            &mut config.max_resident_bytes,
            &mut config.max_trailing_bytes,
        );
        resident.get_or_insert(Options::RESIDENT_BYTES);
        trailing.get_or_insert(Options::TRAILING_BYTES);
        Options {
            config,
            snapshots: SnapshotPolicy::default(),
            snapshot_sending: SnapshotSending::default(),
            max_outstanding: 1 << 16,
            max_inbox_bytes: 64 << 20,
            recorder: None,
            mend_timeout: Duration::from_secs(30),
            scrub: None,
            compare: Some(CompareOptions::default()),
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
    /// So many times the bytes of the last snapshot, if that is more than `every_bytes`. Snapshots
    /// then take no more than a fixed part of what is written, whatever the size of the state: with
    /// 1, the default, the disk writes twice what was applied. A higher value writes less, keeps a
    /// longer log, and takes longer to start. 0: `every_bytes` alone counts.
    pub times_last_snapshot: u64,
}

impl Default for SnapshotPolicy {
    fn default() -> SnapshotPolicy {
        SnapshotPolicy {
            every_entries: None,
            every_bytes: Some(64 << 20),
            times_last_snapshot: 1,
        }
    }
}

impl SnapshotPolicy {
    /// A snapshot is made only when [`Node::snapshot`](crate::Node::snapshot) asks for one. The log
    /// grows until then.
    pub const ON_REQUEST: SnapshotPolicy = SnapshotPolicy {
        every_entries: None,
        every_bytes: None,
        times_last_snapshot: 1,
    };

    /// Whether a snapshot is due after so many entries of so many bytes. The last one had `last`
    /// bytes.
    pub(crate) fn is_due(&self, entries: u64, bytes: u64, last: u64) -> bool {
        let least = last.saturating_mul(self.times_last_snapshot);
        self.every_entries.is_some_and(|limit| entries >= limit)
            || (self.every_bytes).is_some_and(|limit| bytes >= limit.max(least))
    }
}
