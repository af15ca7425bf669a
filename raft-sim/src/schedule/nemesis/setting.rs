//! The settings of a node that an operator changes while it runs.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use raft_proto::{Config, PreVoting};

macro_rules! settings {
    ($($(#[$doc:meta])* $setting:ident $name:literal,)*) => {
        /// A field of [`Config`]. Its value is a number: of milliseconds for times, of bytes or
        /// pieces for limits, 0 or 1 for switches. [`u64::MAX`] stands for a field that is `None`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum NodeSetting {
            $($(#[$doc])* $setting,)*
        }

        impl NodeSetting {
            /// All of them.
            pub const ALL: [NodeSetting; [$($name),*].len()] = [$(NodeSetting::$setting),*];

            /// What files call it.
            pub fn name(self) -> &'static str {
                match self {
                    $(NodeSetting::$setting => $name,)*
                }
            }
        }
    };
}

settings! {
    /// [`Config::election_timeout_max`].
    ElectionTimeoutMax "election-timeout-max",
    /// [`Config::heartbeat_interval`].
    HeartbeatInterval "heartbeat-interval",
    /// [`Config::append_timeout`].
    AppendTimeout "append-timeout",
    /// [`Config::commit_notice_delay`].
    CommitNoticeDelay "commit-notice-delay",
    /// [`Config::max_entry_bytes`].
    MaxEntryBytes "max-entry-bytes",
    /// [`Config::max_append_bytes`].
    MaxAppendBytes "max-append-bytes",
    /// [`Config::max_inflight_appends`].
    MaxInflightAppends "max-inflight-appends",
    /// [`Config::max_inflight_bytes`].
    MaxInflightBytes "max-inflight-bytes",
    /// [`Config::max_uncommitted_bytes`].
    MaxUncommittedBytes "max-uncommitted-bytes",
    /// [`Config::max_unapplied_bytes`].
    MaxUnappliedBytes "max-unapplied-bytes",
    /// [`Config::max_waiting_reads`].
    MaxWaitingReads "max-waiting-reads",
    /// [`Config::max_resident_bytes`].
    MaxResidentBytes "max-resident-bytes",
    /// [`Config::trailing_entries`].
    TrailingEntries "trailing-entries",
    /// [`Config::snapshot_chunk_bytes`].
    SnapshotChunkBytes "snapshot-chunk-bytes",
    /// [`Config::election_timeout_min`]: cannot change while the node runs.
    ElectionTimeoutMin "election-timeout-min",
    /// [`Config::lease_promise`]: cannot change while the node runs.
    LeasePromise "lease-promise",
    /// [`Config::pre_vote`]: cannot change while the node runs.
    PreVote "pre-vote",
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn optional(value: u64) -> Option<u64> {
    (value < u64::MAX).then_some(value)
}

/// The greatest number that fits; the core refuses what is too great.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl NodeSetting {
    /// Its value in `config`.
    pub fn of(self, config: &Config) -> u64 {
        match self {
            NodeSetting::ElectionTimeoutMax => millis(config.election_timeout_max),
            NodeSetting::HeartbeatInterval => millis(config.heartbeat_interval),
            NodeSetting::AppendTimeout => millis(config.append_timeout),
            NodeSetting::CommitNoticeDelay => millis(config.commit_notice_delay),
            NodeSetting::MaxEntryBytes => config.max_entry_bytes,
            NodeSetting::MaxAppendBytes => config.max_append_bytes,
            NodeSetting::MaxInflightAppends => config.max_inflight_appends.into(),
            NodeSetting::MaxInflightBytes => config.max_inflight_bytes,
            NodeSetting::MaxUncommittedBytes => config.max_uncommitted_bytes,
            NodeSetting::MaxUnappliedBytes => config.max_unapplied_bytes,
            NodeSetting::MaxWaitingReads => config.max_waiting_reads.into(),
            NodeSetting::MaxResidentBytes => config.max_resident_bytes.unwrap_or(u64::MAX),
            NodeSetting::TrailingEntries => config.trailing_entries,
            NodeSetting::SnapshotChunkBytes => config.snapshot_chunk_bytes,
            NodeSetting::ElectionTimeoutMin => millis(config.election_timeout_min),
            NodeSetting::LeasePromise => config.lease_promise.map_or(u64::MAX, millis),
            NodeSetting::PreVote => u64::from(config.pre_vote == PreVoting::On),
        }
    }

    /// Gives it this value in `config`, which may not be valid after that.
    pub fn set(self, config: &mut Config, value: u64) {
        let time = Duration::from_millis(value);
        match self {
            NodeSetting::ElectionTimeoutMax => config.election_timeout_max = time,
            NodeSetting::HeartbeatInterval => config.heartbeat_interval = time,
            NodeSetting::AppendTimeout => config.append_timeout = time,
            NodeSetting::CommitNoticeDelay => config.commit_notice_delay = time,
            NodeSetting::MaxEntryBytes => config.max_entry_bytes = value,
            NodeSetting::MaxAppendBytes => config.max_append_bytes = value,
            NodeSetting::MaxInflightAppends => config.max_inflight_appends = narrow(value),
            NodeSetting::MaxInflightBytes => config.max_inflight_bytes = value,
            NodeSetting::MaxUncommittedBytes => config.max_uncommitted_bytes = value,
            NodeSetting::MaxUnappliedBytes => config.max_unapplied_bytes = value,
            NodeSetting::MaxWaitingReads => config.max_waiting_reads = narrow(value),
            NodeSetting::MaxResidentBytes => config.max_resident_bytes = optional(value),
            NodeSetting::TrailingEntries => config.trailing_entries = value,
            NodeSetting::SnapshotChunkBytes => config.snapshot_chunk_bytes = value,
            NodeSetting::ElectionTimeoutMin => config.election_timeout_min = time,
            NodeSetting::LeasePromise => {
                config.lease_promise = optional(value).map(Duration::from_millis);
            }
            NodeSetting::PreVote => {
                config.pre_vote = if value == 0 {
                    PreVoting::Off
                } else {
                    PreVoting::On
                };
            }
        }
    }
}

impl fmt::Display for NodeSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for NodeSetting {
    type Err = ();

    fn from_str(text: &str) -> Result<NodeSetting, ()> {
        let found = NodeSetting::ALL.into_iter().find(|it| it.name() == text);
        found.ok_or(())
    }
}
