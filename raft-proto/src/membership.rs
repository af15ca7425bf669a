//! Which servers form the cluster (section 6).

use crate::types::NodeId;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The configuration of a cluster: its voters, in the order of their ids, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Membership {
    voters: Vec<NodeId>,
}

impl Membership {
    /// The configuration with these voters, in any order; repeated ones count once.
    pub fn new(voters: impl IntoIterator<Item = NodeId>) -> Membership {
        let mut voters: Vec<NodeId> = voters.into_iter().collect();
        voters.sort_unstable();
        voters.dedup();
        Membership { voters }
    }

    /// The voters, in the order of their ids.
    pub fn voters(&self) -> &[NodeId] {
        &self.voters
    }

    /// Whether `node` has a vote.
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.voters.binary_search(&node).is_ok()
    }

    /// Whether no configuration is known: a node that is to join and has heard of none.
    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }

    /// Whether it is as [`Membership::new`] makes it; what came from outside may not be.
    pub(crate) fn is_well_formed(&self) -> bool {
        self.voters.windows(2).all(|pair| pair[0] < pair[1])
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, voter) in self.voters.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{voter}")?;
        }
        f.write_str("}")
    }
}
