//! What beyond Figure 2 a run uses: the options of the core that are switched on, and what an
//! operator and the readers ask of the cluster.

use crate::options::Span;
use crate::random::Random;
use core::fmt;
use core::time::Duration;
use raft_proto::{CheckQuorum, Config, Lease, PreVoting};
use serde::Serialize;

/// Which features a run uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
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

/// What the operator and the readers do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureOptions {
    /// The pause between two reads; `None` if nobody reads.
    pub read_pause: Option<Span>,
    /// Whether some reads ask for the lease.
    pub lease_reads: bool,
    /// The pause between two deeds of the operator; `None` if there is none.
    pub operator_pause: Option<Span>,
    /// How often, compared to the other, the operator hands over the lead.
    pub transfers: u64,
    /// How often it changes the members.
    pub changes: u64,
    /// Servers that stand by to be made members.
    pub spares: u32,
    /// The greatest priority that is given to a member.
    pub max_priority: u64,
}

impl FeatureOptions {
    /// Draws what a run uses, and sets the config's part of it.
    pub fn draw(features: Features, config: &mut Config, random: &mut Random) -> FeatureOptions {
        let mut on = || match features {
            Features::None => false,
            Features::Drawn => random.chance(500),
            Features::All => true,
        };
        let (pre_vote, check_quorum, lease) = (on(), on(), on());
        let (resident, reads) = (on(), on());
        let (transfers, changes, priorities) = (on(), on(), on());
        // Whoever was removed and does not know it would disturb the others for ever.
        let pre_vote = pre_vote || changes;
        let lease = lease && check_quorum;
        config.pre_vote = if pre_vote {
            PreVoting::On
        } else {
            PreVoting::Off
        };
        config.check_quorum = match check_quorum {
            true => CheckQuorum::On,
            false => CheckQuorum::Off,
        };
        if lease {
            let max_drift_ppm = random.between(0, 10_000) as u32; // at most 10,000
            config.lease = Lease::On { max_drift_ppm };
        }
        if resident {
            config.max_resident_bytes = Some(random.between(0, 20_000));
        }
        config.max_promotion_lag = random.between(0, 200);
        let span = |min, max| Span {
            min: Duration::from_millis(min),
            max: Duration::from_millis(max),
        };
        FeatureOptions {
            read_pause: reads.then(|| span(5, random.between(10, 200))),
            lease_reads: lease,
            operator_pause: (transfers || changes).then(|| span(100, random.between(500, 5_000))),
            transfers: u64::from(transfers),
            changes: if changes { 2 } else { 0 },
            spares: if changes { 2 } else { 0 },
            max_priority: if priorities { 2 } else { 0 },
        }
    }
}

/// How often each feature was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FeatureCounts {
    /// Nodes that asked for pre-votes.
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
    /// Leads handed over on demand.
    pub transfers: u64,
    /// Handovers that were refused or failed.
    pub transfers_refused: u64,
    /// Campaigns that a leader asked for, whether on demand or not.
    pub timeouts_now: u64,
    /// Changes of one voter, or of learners, begun.
    pub simple_changes: u64,
    /// Changes through a joint configuration begun.
    pub joint_changes: u64,
    /// Changes refused.
    pub changes_refused: u64,
    /// Learners that became voters.
    pub promotions: u64,
    /// Reads of entries that were no longer in memory.
    pub entries_read: u64,
}

impl FeatureCounts {
    /// A name and a value for each.
    pub fn rows(&self) -> [(&'static str, u64); 14] {
        [
            ("pre-votes asked for", self.pre_votes),
            ("leaders stepped down", self.stepped_down),
            ("reads by quorum", self.quorum_reads),
            ("reads at followers", self.follower_reads),
            ("reads under lease", self.lease_reads),
            ("reads refused", self.reads_refused),
            ("leads handed over", self.transfers),
            ("handovers refused", self.transfers_refused),
            ("TimeoutNow sent", self.timeouts_now),
            ("simple changes", self.simple_changes),
            ("joint changes", self.joint_changes),
            ("changes refused", self.changes_refused),
            ("learners promoted", self.promotions),
            ("reads of old entries", self.entries_read),
        ]
    }
}
