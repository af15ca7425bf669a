//! What a server says of itself (`RAFT STATUS`), as JSON.

use super::settings::Settings;
use serde::{Deserialize, Serialize};

/// A server as it sees itself and the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its node id.
    pub node: u64,
    /// Its cluster's id.
    pub cluster: u64,
    /// The release that it runs.
    pub release: String,
    /// `leader`, `follower`, `candidate`, `pre-candidate`, or `learner`.
    pub role: String,
    /// currentTerm.
    pub term: u64,
    /// Who leads, as far as it knows.
    pub leader: Option<u64>,
    /// The end of its log.
    pub last_index: u64,
    /// commitIndex.
    pub commit_index: u64,
    /// lastApplied.
    pub applied_index: u64,
    /// The last entry of its newest snapshot; 0 if it has none.
    pub snapshot_index: u64,
    /// How many bytes of its disk the data folder takes.
    pub disk_bytes: u64,
    /// How many keys there are.
    pub keys: u64,
    /// How many sessions are open.
    pub sessions: u64,
    /// How many clients are connected.
    pub connections: u64,
    /// Since when it has run.
    pub uptime_seconds: u64,
    /// Its settings that have to be the same on all servers.
    pub agreed: AgreedSettings,
    /// All members in force, as far as it knows.
    pub members: Vec<MemberStatus>,
}

/// What has to be the same on all servers: reads under a lease rest on the first two, and what one
/// takes another has to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreedSettings {
    /// The election timeout.
    pub election_timeout_millis: u64,
    /// By how much clocks may differ in speed; `None` without leases.
    pub max_drift_ppm: Option<u32>,
    /// How long a value may be.
    pub max_value_bytes: u64,
}

impl AgreedSettings {
    /// Those of a server.
    pub fn of(settings: &Settings) -> AgreedSettings {
        AgreedSettings {
            // A day at most.
            election_timeout_millis: settings.election_timeout.as_millis() as u64,
            max_drift_ppm: settings.max_drift_ppm,
            max_value_bytes: settings.max_value_bytes as u64,
        }
    }
}

/// A member as another server sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its node id.
    pub node: u64,
    /// `voter`, `learner`, `incoming`, `outgoing` or `demoted`.
    pub role: String,
    /// Where the other servers reach it.
    pub peers: String,
    /// Where clients reach it, if it has said so.
    pub clients: Option<String>,
    /// Up to where its log is known to agree; only a leader knows.
    pub match_index: Option<u64>,
}
