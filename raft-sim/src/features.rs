//! Features beyond Figure 2: the options of the core that a run switches on, and how often each
//! feature was used.

use crate::random::Random;
use core::fmt;
use raft_proto::{CheckQuorum, Config, Lease, PreVoting};
use serde::{Deserialize, Serialize};

/// Which features a run uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Features {
    /// Figure 2 and snapshots, nothing else.
    None,
    /// Each is switched on or off by the seed.
    Drawn,
    /// All of them.
    All,
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Features::None => "none",
            Features::Drawn => "drawn",
            Features::All => "all",
        })
    }
}

/// Which options of the core a run switches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreFeatures {
    /// Nodes hold a pre-vote before an election.
    pub pre_vote: bool,
    /// Leaders that hear no majority step down.
    pub check_quorum: bool,
    /// The bound on clocks' drift; `None`: no leases.
    pub lease_max_drift_ppm: Option<u32>,
    /// How many bytes of the log stay in memory; `None`: all.
    pub max_resident_bytes: Option<u64>,
    /// Whether members have different priorities.
    pub has_priorities: bool,
    /// Whether each disk has an incarnation.
    pub incarnations: bool,
    /// Whether the founders' incarnations are known before the cluster is founded.
    pub named_founders: bool,
}

impl CoreFeatures {
    /// Draws the features of a run. `has_churn`: members will change.
    pub fn draw(features: Features, has_churn: bool, random: &mut Random) -> CoreFeatures {
        let mut on = || match features {
            Features::None => false,
            Features::Drawn => random.chance(500),
            Features::All => true,
        };
        let (pre_vote, check_quorum, lease) = (on(), on(), on());
        let (resident, has_priorities) = (on(), on());
        let (drift, bytes) = (random.between(0, 10_000), random.between(0, 20_000));
        let (has_disks, has_names) = (random.chance(500), random.chance(300));
        let incarnations = match features {
            Features::None => false,
            Features::Drawn => has_disks,
            Features::All => true,
        };
        CoreFeatures {
            // A removed node that does not know of its removal would disturb the others for ever.
            pre_vote: pre_vote || has_churn,
            check_quorum,
            lease_max_drift_ppm: (lease && check_quorum).then_some(drift as u32), // at most 10,000
            max_resident_bytes: resident.then_some(bytes),
            has_priorities,
            incarnations,
            named_founders: incarnations && has_names,
        }
    }

    /// Switches them on in the config, except for incarnations: each start needs another one.
    pub fn apply(&self, config: &mut Config) {
        config.pre_vote = if self.pre_vote {
            PreVoting::On
        } else {
            PreVoting::Off
        };
        config.check_quorum = if self.check_quorum {
            CheckQuorum::On
        } else {
            CheckQuorum::Off
        };
        if let Some(max_drift_ppm) = self.lease_max_drift_ppm {
            config.lease = Lease::On { max_drift_ppm };
        }
        config.max_resident_bytes = self.max_resident_bytes;
    }
}

/// How often each feature was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FeatureCounts {
    /// Pre-votes that were started.
    pub pre_votes: u64,
    /// Leaders that stepped down by themselves: no majority, or no progress of their disk.
    pub stepped_down: u64,
    /// Reads confirmed by a majority, at the leader.
    pub quorum_reads: u64,
    /// Reads at a follower.
    pub follower_reads: u64,
    /// Reads under a lease.
    pub lease_reads: u64,
    /// Reads refused.
    pub reads_refused: u64,
    /// Leadership transfers that the operator asked for.
    pub transfers: u64,
    /// Leadership transfers that were refused or failed.
    pub transfers_refused: u64,
    /// Elections that a leader asked for, whether the operator had asked the leader or not.
    pub timeouts_now: u64,
    /// Changes of one voter, or of learners, begun.
    pub simple_changes: u64,
    /// Changes through a joint configuration begun.
    pub joint_changes: u64,
    /// Changes refused.
    pub changes_refused: u64,
    /// Changes refused because they were made for another configuration than the one in force.
    pub changes_outdated: u64,
    /// Learners that became voters.
    pub promotions: u64,
    /// Reads of entries that were no longer in memory.
    pub entries_read: u64,
    /// Elections that the operator asked for.
    pub campaigns: u64,
    /// Leaders that stepped down because the operator asked for it.
    pub step_downs: u64,
    /// Settings that were changed while a node ran.
    pub reconfigurations: u64,
    /// Changes of settings that were refused.
    pub reconfigurations_refused: u64,
}

impl FeatureCounts {
    /// A name and a value for each.
    pub fn rows(&self) -> [(&'static str, u64); 19] {
        [
            ("pre-votes started", self.pre_votes),
            ("leaders stepped down", self.stepped_down),
            ("reads by quorum", self.quorum_reads),
            ("reads at followers", self.follower_reads),
            ("reads under lease", self.lease_reads),
            ("reads refused", self.reads_refused),
            ("leadership transfers", self.transfers),
            ("transfers refused", self.transfers_refused),
            ("TimeoutNow sent", self.timeouts_now),
            ("simple changes", self.simple_changes),
            ("joint changes", self.joint_changes),
            ("changes refused", self.changes_refused),
            ("changes outdated", self.changes_outdated),
            ("learners promoted", self.promotions),
            ("reads of old entries", self.entries_read),
            ("elections by hand", self.campaigns),
            ("step-downs by hand", self.step_downs),
            ("settings changed", self.reconfigurations),
            ("settings refused", self.reconfigurations_refused),
        ]
    }
}
