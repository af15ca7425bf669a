//! How a node is run.

use crate::recorder::RecorderOptions;
use raft_proto::Config;

/// How a node is run, beside what the core is told ([`Config`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The core's settings. Give [`Config::seed`] a fresh value at each start.
    pub config: Config,
    /// When snapshots are made without being asked for.
    pub snapshots: SnapshotPolicy,
    /// How many requests may be outstanding; more are refused as
    /// [`Overloaded`](crate::RequestError::Overloaded). Default 65,536.
    pub max_outstanding: usize,
    /// How many bytes of messages may wait for the core before connections are read no further.
    /// Default 64 MiB.
    pub max_inbox_bytes: u64,
    /// Where to record every event that the core is given, for `raft-sim replay`. Default `None`:
    /// nowhere.
    pub recorder: Option<RecorderOptions>,
}

impl Options {
    /// The defaults, for a node with these settings.
    pub fn new(config: Config) -> Options {
        Options {
            config,
            snapshots: SnapshotPolicy::default(),
            max_outstanding: 1 << 16,
            max_inbox_bytes: 64 << 20,
            recorder: None,
        }
    }
}

/// When a snapshot is made: as soon as one of the limits is reached by what was applied since the
/// last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotPolicy {
    /// So many entries. Default `None`.
    pub every_entries: Option<u64>,
    /// So many bytes of entries, with [`ENTRY_OVERHEAD`](raft_proto::ENTRY_OVERHEAD) for each.
    /// Default 64 MiB.
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
    /// Snapshots are made only when [`Node::snapshot`](crate::Node::snapshot) asks for one. The log
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
