//! Release levels, for operators who upgrade a cluster.

use serde::{Deserialize, Serialize};

/// Which release level is in force, and what keeps it from rising.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelStatus {
    /// What the server reads: the level of its release, or `--release-level`.
    pub own: u32,
    /// The level in force, as far as the server knows: all members read it.
    pub in_force: u32,
    /// The members that keep it from rising to the leader's own, if the server leads: those that
    /// read less, and those that the leader has not heard in its term.
    pub held_back_by: Vec<u64>,
}

impl LevelStatus {
    /// What an operator has to know of an upgrade that is not complete.
    pub(super) fn warning(&self) -> Option<String> {
        if self.held_back_by.is_empty() {
            return None;
        }
        let LevelStatus { own, in_force, .. } = self;
        let nodes: Vec<String> = self.held_back_by.iter().map(u64::to_string).collect();
        Some(format!(
            "the cluster is at release level {in_force} of {own}, because of node {}: upgrade it, \
             start it without --release-level, or remove it",
            nodes.join(", ")
        ))
    }
}
