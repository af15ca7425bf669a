//! The properties that checkers watch.

use std::fmt;

/// The properties of Figure 3, and further rules of the paper and the thesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// At most one leader can be elected in a given term (section 5.2).
    ElectionSafety,
    /// A leader never overwrites or deletes entries in its log (section 5.3).
    LeaderAppendOnly,
    /// Logs that share an entry are identical up to it (section 5.3).
    LogMatching,
    /// Entries committed in a term are in the logs of the leaders of all later terms (section 5.4).
    LeaderCompleteness,
    /// No two state machines apply different commands at an index (section 5.4.3).
    StateMachineSafety,
    /// Changes of the log are written in the same step, and nothing acknowledged is lost (Figure
    /// 2).
    Durability,
    /// No two disjoint sets of voters can each elect a leader in one term (section 6).
    MembershipSafety,
    /// Each command of a session runs once (thesis 6.3).
    ExactlyOnce,
    /// A node that heard the leader, or granted a vote, waits for an election timeout (section
    /// 5.2).
    ElectionTimeout,
    /// A leader that hears no majority steps down (thesis 6.2).
    CheckQuorum,
    /// A node that hears a leader votes for no other node (thesis 4.2.3).
    LeaderStickiness,
    /// A lease ends while its voters are still bound to the leader (thesis 6.4.1).
    LeaseBound,
    /// A node that hears the leader of its term follows it (section 5.2).
    LeaderFollowed,
    /// A reply teaches a term only if its sender is a member (section 5.1).
    TermsOfMembers,
    /// A node that knows of its removal asks for no votes (section 6).
    RemovedIsQuiet,
    /// What a node holds, and does in one step, is bounded.
    Bounded,
    /// A disk under a member's number that the configuration does not name counts for nothing.
    DiskIdentity,
    /// Nothing is written that a member does not read.
    Levels,
    /// A change of the members that is accepted is in force, and one that is refused is not.
    ChangesAsAnswered,
    /// Settings that are accepted are in force; what others rely on does not change.
    SettingsAsAnswered,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Property::ElectionSafety => "Election Safety (section 5.2)",
            Property::LeaderAppendOnly => "Leader Append-Only (section 5.3)",
            Property::LogMatching => "Log Matching (section 5.3)",
            Property::LeaderCompleteness => "Leader Completeness (section 5.4)",
            Property::StateMachineSafety => "State Machine Safety (section 5.4.3)",
            Property::Durability => "Durability (Figure 2)",
            Property::MembershipSafety => "Membership Safety (section 6)",
            Property::ExactlyOnce => "Exactly Once (thesis 6.3)",
            Property::CheckQuorum => "CheckQuorum (thesis 6.2)",
            Property::LeaderStickiness => "Leader stickiness (thesis 4.2.3)",
            Property::LeaseBound => "Lease bound (thesis 6.4.1)",
            Property::ElectionTimeout => "Election timeout (section 5.2)",
            Property::LeaderFollowed => "A leader is followed (section 5.2)",
            Property::TermsOfMembers => "Terms of members (section 5.1)",
            Property::RemovedIsQuiet => "A removed node is quiet (section 6)",
            Property::Bounded => "Bounded state and work",
            Property::DiskIdentity => "Disk identity",
            Property::Levels => "Release levels",
            Property::ChangesAsAnswered => "Changes of members as answered (section 6)",
            Property::SettingsAsAnswered => "Settings as answered",
        })
    }
}
