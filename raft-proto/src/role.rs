//! The roles of section 5.1, each with the data that only it has.

use core::fmt;
use serde::{Deserialize, Serialize};

/// The name of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RoleKind {
    /// Answers requests of leaders and candidates.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Handles client requests and replicates the log.
    Leader,
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RoleKind::Follower => "follower",
            RoleKind::Candidate => "candidate",
            RoleKind::Leader => "leader",
        })
    }
}
