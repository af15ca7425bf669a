//! The status of a server (`RAFT STATUS`), as JSON.

mod disks;
mod levels;
mod states;

pub use disks::{DiskStatus, ForeignDisk};
pub use levels::LevelStatus;
pub use states::StateStatus;

use super::settings::Settings;
use serde::{Deserialize, Serialize};

/// The cluster as one server sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its node id.
    pub node: u64,
    /// Its cluster's id.
    pub cluster: u64,
    /// The release that it runs.
    pub release: String,
    /// `leader`, `follower`, `candidate`, `pre-candidate`, or `learner`; `replaced` if another disk
    /// has its number, and `removed` if it knows that it is no member any more.
    pub role: String,
    /// currentTerm.
    pub term: u64,
    /// The leader, as far as it knows one.
    pub leader: Option<u64>,
    /// The index of the last entry of its log.
    pub last_index: u64,
    /// commitIndex.
    pub commit_index: u64,
    /// lastApplied.
    pub applied_index: u64,
    /// The index of the last entry in its newest snapshot; 0 if it has none.
    pub snapshot_index: u64,
    /// How many bytes of the disk the data directory takes.
    pub disk_bytes: u64,
    /// How many keys there are.
    pub keys: u64,
    /// About how many bytes of memory the keys and their values take.
    #[serde(default)]
    pub used_bytes: u64,
    /// How many sessions are open.
    pub sessions: u64,
    /// How many clients are connected.
    pub connections: u64,
    /// How long it has been running.
    pub uptime_seconds: u64,
    /// Its settings that must be the same on all servers.
    pub agreed: AgreedSettings,
    /// The members of the configuration in force, as far as it knows.
    pub members: Vec<MemberStatus>,
    /// Which disks speak under the members' numbers.
    #[serde(default)]
    pub disks: DiskStatus,
    /// How its state compares with those of the others.
    #[serde(default)]
    pub states: StateStatus,
    /// What waits, and by what it serves reads.
    #[serde(default)]
    pub load: LoadStatus,
    /// The release level in force, and of the server.
    #[serde(default)]
    pub levels: LevelStatus,
}

/// What waits at a server, and by what it serves reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadStatus {
    /// Bytes of the log that are not yet both committed and on its own disk, if it leads.
    pub uncommitted_bytes: u64,
    /// Reads that wait until they are known not to be stale.
    pub waiting_reads: u64,
    /// Whether it serves reads under a lease, without asking the others.
    pub has_lease: bool,
    /// The server to which it is transferring its leadership.
    pub transferring_to: Option<u64>,
}

impl NodeStatus {
    /// What an operator has to know about the cluster, and what to do: a line each.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings_given(&[])
    }

    /// The same, with what the leader knows of the members that this server does not.
    pub(crate) fn warnings_given(&self, leaders: &[MemberStatus]) -> Vec<String> {
        let mut members = self.members.clone();
        for member in &mut members {
            let known = leaders
                .iter()
                .find(|known| known.node == member.node && known.incarnation == member.incarnation);
            let known = known.and_then(|known| known.is_active);
            member.is_active = member.is_active.or(known);
        }
        let mut warnings = self.disks.warnings(self.node, self.leader, &members);
        warnings.extend(self.states.warnings(self.node));
        warnings.extend(self.levels.warning());
        warnings
    }
}

/// The settings that must be the same on all servers: reads under a lease depend on the first two,
/// and a value that one server accepts the others must accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreedSettings {
    /// The election timeout.
    pub election_timeout_millis: u64,
    /// The most by which clock rates may differ, in parts per million; `None` without leases.
    pub max_drift_ppm: Option<u32>,
    /// The longest value.
    pub max_value_bytes: u64,
    /// The longest transaction; `None` for a server of a release that does not say.
    #[serde(default)]
    pub max_transaction_bytes: Option<u64>,
}

impl AgreedSettings {
    /// The option, and the value of `other`, in which the two differ first.
    pub fn difference(&self, other: &AgreedSettings) -> Option<(&'static str, String)> {
        let millis = other.election_timeout_millis;
        let drift = other.max_drift_ppm;
        let transaction = other.max_transaction_bytes;
        let differs = [
            (
                "--election-timeout",
                format!("{millis}ms"),
                millis != self.election_timeout_millis,
            ),
            (
                "--max-drift-ppm",
                drift.map_or("off".into(), |drift| drift.to_string()),
                drift != self.max_drift_ppm,
            ),
            (
                "--max-value-bytes",
                other.max_value_bytes.to_string(),
                other.max_value_bytes != self.max_value_bytes,
            ),
            (
                "--max-transaction-bytes",
                transaction.unwrap_or(0).to_string(),
                transaction.is_some() && transaction != self.max_transaction_bytes,
            ),
        ];
        let mut differs = differs.into_iter().filter(|(_, _, differs)| *differs);
        differs.next().map(|(option, value, _)| (option, value))
    }

    /// The agreed settings among these.
    pub fn of(settings: &Settings) -> AgreedSettings {
        AgreedSettings {
            // It fits: the longest timeout of a server that runs is a day.
            election_timeout_millis: settings.election_timeout.as_millis() as u64,
            max_drift_ppm: settings.max_drift_ppm,
            max_value_bytes: settings.max_value_bytes as u64,
            max_transaction_bytes: Some(settings.max_transaction_bytes as u64),
        }
    }
}

impl MemberStatus {
    /// Whether it has a vote in the configuration, or has had one until a change is complete.
    fn is_voter(&self) -> bool {
        self.role != "learner" && self.role != "staging"
    }
}

/// A member as another server sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its node id.
    pub node: u64,
    /// `voter`, `learner`, `incoming`, `outgoing`, `demoted`, or `staging`: a learner that becomes a
    /// voter once it has all data.
    pub role: String,
    /// Where the other servers reach it.
    pub peers: String,
    /// Where clients reach it, if it has published that.
    pub clients: Option<String>,
    /// matchIndex; only the leader knows it.
    pub match_index: Option<u64>,
    /// The incarnation that the configuration names, in hexadecimal digits; `None` until a leader
    /// has named it.
    #[serde(default)]
    pub incarnation: Option<String>,
    /// Whether the leader has heard its disk within an election timeout; only the leader knows it.
    #[serde(default)]
    pub is_active: Option<bool>,
}
