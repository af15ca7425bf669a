//! Why a node's settings do not change while it runs, and what to do next.

use super::fault::Fault;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Why the settings stay as they are; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// This setting differs, and cannot change while the node runs. Begin with
    /// [`Raft::config`](crate::Raft::config), or restart the node with the new setting.
    #[error("{0} cannot change while the node runs; restart the node with it")]
    Fixed(FixedSetting),
    /// The settings contradict each other; [`Config::validate`](crate::Config::validate) says which.
    #[error("the settings are not valid; Config::validate says why")]
    Invalid,
    /// This instance has [`Faulted`](crate::Action::Faulted).
    #[error("this instance has faulted: {0}")]
    Faulted(Fault),
}

/// A setting that cannot change while a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FixedSetting {
    /// [`cluster_id`](crate::Config::cluster_id) or [`group_id`](crate::Config::group_id).
    ClusterId,
    /// [`node_id`](crate::Config::node_id).
    NodeId,
    /// [`start`](crate::Config::start).
    Start,
    /// [`incarnation`](crate::Config::incarnation).
    Incarnation,
    /// [`seed`](crate::Config::seed).
    Seed,
    /// [`election_timeout_min`](crate::Config::election_timeout_min).
    ElectionTimeoutMin,
    /// [`check_quorum`](crate::Config::check_quorum).
    CheckQuorum,
    /// [`lease`](crate::Config::lease).
    Lease,
    /// [`lease_promise`](crate::Config::lease_promise).
    LeasePromise,
    /// [`pre_vote`](crate::Config::pre_vote).
    PreVote,
    /// [`leader_noop`](crate::Config::leader_noop).
    LeaderNoop,
    /// The longest frame ([`Limits::for_config`](crate::wire::Limits::for_config)), by
    /// [`max_append_bytes`](crate::Config::max_append_bytes) or
    /// [`snapshot_chunk_bytes`](crate::Config::snapshot_chunk_bytes): the transport was given it.
    FrameBytes,
}

impl fmt::Display for FixedSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FixedSetting::ClusterId => "the cluster or group",
            FixedSetting::NodeId => "the node's id",
            FixedSetting::Start => "how the node starts",
            FixedSetting::Incarnation => "the storage's incarnation",
            FixedSetting::Seed => "the seed",
            FixedSetting::ElectionTimeoutMin => "the least election timeout",
            FixedSetting::CheckQuorum => "check_quorum",
            FixedSetting::Lease => "leases",
            FixedSetting::LeasePromise => "the promise that leases rest on",
            FixedSetting::PreVote => "pre_vote",
            FixedSetting::LeaderNoop => "leader_noop",
            FixedSetting::FrameBytes => "the longest frame",
        })
    }
}
