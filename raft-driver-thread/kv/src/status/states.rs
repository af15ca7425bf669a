//! Whether the servers hold the same state: what a server has found when it compared.

use raft_driver_thread::Comparison;
use serde::{Deserialize, Serialize};

/// How the state of a server compares with those of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StateStatus {
    /// The last entry after which it was found to be that of the others; `None` before it was
    /// compared.
    pub same_after: Option<u64>,
    /// The servers whose state differs from this one's.
    pub differing: Vec<u64>,
    /// A majority holds another state after this entry. This server's is not used until it is
    /// replaced by theirs.
    pub diverged_after: Option<u64>,
    /// How often it was replaced by that of a majority since the server was started.
    pub replaced: u64,
}

impl StateStatus {
    pub(crate) fn of(found: &Comparison) -> StateStatus {
        StateStatus {
            same_after: found.same_after.map(|after| after.index.0),
            differing: found.differing.iter().map(|node| node.0).collect(),
            diverged_after: found.diverged_after.map(|after| after.index.0),
            replaced: found.replaced,
        }
    }

    /// What an operator has to know and to do, as the server `node` sees it: a line each.
    pub(super) fn warnings(&self, node: u64) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(index) = self.diverged_after {
            lines.push(format!(
                "the state of node {node} is another one than that of the majority, as of entry \
                 {index}: it serves no reads until it has a snapshot of one of them. Look for the reason: \
                 the machine's memory or processor, or a defect of this release"
            ));
        } else if self.replaced > 0 {
            lines.push(format!(
                "the state of node {node} was another one than that of the majority, and was \
                 replaced by theirs ({} times since its start). Look for the reason: the machine's \
                 memory or processor, or a defect of this release",
                self.replaced
            ));
        }
        if !self.differing.is_empty() {
            let named: Vec<_> = (self.differing.iter())
                .map(|node| format!("node {node}"))
                .collect();
            lines.push(format!(
                "the state of node {node} differs from that of {}. If most of the others agree with \
                 one of them, those that are wrong find it out and replace theirs. If this stays, \
                 start all servers; if no majority agrees, decide whose keys are right, and stop the \
                 others and give them new data directories",
                named.join(", ")
            ));
        }
        lines
    }
}
