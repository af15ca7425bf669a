//! The conditions that stay.

use super::ROUND_PART;
use crate::settings::Settings;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// What stays as it is after the faults, while the cluster has to serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The phase is left out.
    #[default]
    None,
    /// The leader crashes, again and again, and comes back.
    Failover,
    /// Commands without a pause, and snapshots.
    Load,
    /// All disks are slow, as slow as the claim allows.
    SlowSyncs,
    /// Some machines are cut off from some others, in both directions.
    Partial,
    /// Some links are cut in one direction.
    OneWay,
    /// The only log that can win an election is on a disk that is slower than the election timeout.
    SlowCandidate,
    /// The voter of the greatest priority reaches one other voter.
    Priorities,
    /// The leader never pauses, and a voter of greater priority waits.
    BusyLeader,
    /// The operator transfers leadership to the best successor; one voter's disk may stall.
    Transfers,
    /// A member needs a snapshot while commands and snapshots go on.
    CatchUp,
    /// The leader is heard, and hears nobody.
    DeafLeader,
    /// The snapshot that a member needs has decayed on the leader's disk.
    DecayedSnapshot,
    /// One node takes longer entries than the others.
    Limits,
    /// A voter is removed while it is away, and comes back.
    Removed,
}

impl Condition {
    /// All of them.
    pub const ALL: [Condition; 15] = [
        Condition::None,
        Condition::Failover,
        Condition::Load,
        Condition::SlowSyncs,
        Condition::Partial,
        Condition::OneWay,
        Condition::SlowCandidate,
        Condition::Priorities,
        Condition::BusyLeader,
        Condition::Transfers,
        Condition::CatchUp,
        Condition::DeafLeader,
        Condition::DecayedSnapshot,
        Condition::Limits,
        Condition::Removed,
    ];

    /// What options, files and reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Condition::None => "none",
            Condition::Failover => "failover",
            Condition::Load => "load",
            Condition::SlowSyncs => "slow-syncs",
            Condition::Partial => "partial",
            Condition::OneWay => "one-way",
            Condition::SlowCandidate => "slow-candidate",
            Condition::Priorities => "priorities",
            Condition::BusyLeader => "busy-leader",
            Condition::Transfers => "transfers",
            Condition::CatchUp => "catch-up",
            Condition::DeafLeader => "deaf-leader",
            Condition::DecayedSnapshot => "decayed-snapshot",
            Condition::Limits => "limits",
            Condition::Removed => "removed",
        }
    }

    /// Whether a cluster with these settings promises anything under this condition.
    pub fn fits(self, settings: &Settings) -> bool {
        let core = &settings.core;
        let least = settings.priorities.iter().min();
        let has_priorities = settings.priorities.iter().max() != least;
        let is_replicated = settings.nodes >= 3;
        if self != Condition::None
            && longest_notice(settings).is_some_and(|it| it < usual_notice(settings))
        {
            return false;
        }
        match self {
            Condition::None => true,
            Condition::Failover | Condition::Load | Condition::SlowSyncs => is_replicated,
            Condition::Partial | Condition::OneWay => {
                is_replicated && core.pre_vote && core.check_quorum && !has_priorities
            }
            Condition::SlowCandidate => is_replicated && core.pre_vote,
            // Of three voters, two are a majority: the one of the greatest priority may lead.
            Condition::Priorities => {
                settings.nodes >= 5 && core.pre_vote && core.check_quorum && has_priorities
            }
            Condition::BusyLeader => is_replicated && has_priorities,
            // Without pre-votes, voters grant their votes to a candidate that cannot hear them.
            Condition::DeafLeader => is_replicated && core.pre_vote,
            // Without both, a removed node that nobody tells deposes leader after leader.
            Condition::Removed => is_replicated && (core.pre_vote || core.check_quorum),
            // Otherwise a follower may need the next snapshot when it has the first (section 7).
            Condition::CatchUp | Condition::DecayedSnapshot => {
                is_replicated && core.max_transfer_log_bytes > 0
            }
            Condition::Transfers | Condition::Limits => is_replicated,
        }
    }
}

/// How long the other voters may take to learn of a candidate, so that one of them seldom begins a
/// term of its own meanwhile ([`ROUND_PART`]). `None` with Pre-Vote: there a node that asks for
/// votes has been heard before it writes anything.
pub(super) fn longest_notice(settings: &Settings) -> Option<Duration> {
    let core = &settings.core;
    let (least, most) = (core.election_timeout_min.0, core.election_timeout_max.0);
    (!core.pre_vote).then(|| most.saturating_sub(least) / ROUND_PART)
}

/// How long they take in the mean, on disks and links that no fault slows down: a sync of the
/// candidate and a message.
pub(super) fn usual_notice(settings: &Settings) -> Duration {
    settings.disk.sync.mean() + settings.network.delay.mean()
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
