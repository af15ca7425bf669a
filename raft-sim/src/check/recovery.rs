//! Whether a cluster can still go on: from every state, however the past went, a leader can be
//! elected and commit a command, once the network and the disks are well and all nodes are up.
//!
//! Raft promises no more than that (section 5.4.3: "timing": a leader is elected and makes progress
//! "as long as" messages arrive in time), and a fault that leaves a cluster stuck is a deadlock of
//! the algorithm. All messages on their way are lost first: nothing may depend on them. So only the
//! nodes matter, and of the many states with equal nodes one is tried.

use super::choice::What;
use super::node::Node;
use super::outcome::Violation;
use super::world::World;
use raft_proto::{NodeId, RoleKind};

/// How many elections may be tried. One fails if the candidate lacks an entry, or has to learn a
/// term or a configuration first; two nodes may have to learn of each other.
const ROUNDS: usize = 8;

/// The number of the command that is to be committed: no model gives as many.
const COMMAND: u8 = 200;

impl World<'_> {
    /// Whether these nodes can still elect a leader and commit a command.
    ///
    /// # Errors
    ///
    /// They cannot, or something worse happens on the way.
    pub(super) fn recovers(mut self) -> Result<(), Violation> {
        let nodes: Vec<u64> = self.nodes.iter().map(|node| node.raft.id().0).collect();
        self.settle(&nodes)?;
        for _ in 0..ROUNDS {
            for node in self.by_log() {
                if self.commits_by(node, &nodes)? {
                    return Ok(());
                }
            }
        }
        let roles: Vec<String> = (self.nodes.iter())
            .map(|node| {
                format!(
                    "{}@{} {}",
                    node.raft.id(),
                    node.raft.term(),
                    node.raft.role()
                )
            })
            .collect();
        Err(Violation::new(
            "a leader can always be elected, and commit",
            format!("none is, among {}", roles.join(", ")),
        ))
    }

    /// The nodes, that with the best log first.
    fn by_log(&self) -> Vec<NodeId> {
        let mut nodes: Vec<&Node> = self.nodes.iter().collect();
        nodes.sort_by_key(|node| {
            let last = node.raft.last_log();
            std::cmp::Reverse((last.term, last.index))
        });
        nodes.iter().map(|node| node.raft.id()).collect()
    }

    /// Lets a node campaign, unless it leads, and gives it a command.
    fn commits_by(&mut self, node: NodeId, nodes: &[u64]) -> Result<bool, Violation> {
        let at = node.0 as usize - 1; // The nodes of a model are numbered from 1.
        let role = |world: &World<'_>| world.nodes.get(at).map(|node| node.raft.role());
        for other in nodes.iter().filter(|other| **other != node.0) {
            self.try_happens(*other, What::Waits)?;
        }
        if role(self) == Some(RoleKind::Leader) {
            // Its heartbeats tell it whether it still leads.
            self.try_happens(node.0, What::Wakes)?;
        } else {
            self.try_happens(node.0, What::TimesOut)?;
        }
        self.settle(nodes)?;
        if role(self) != Some(RoleKind::Leader) {
            return Ok(false);
        }
        self.try_happens(node.0, What::Proposes(COMMAND))?;
        self.settle(nodes)?;
        self.try_happens(node.0, What::Wakes)?;
        self.settle(nodes)?;
        let leads = |it: &Node| it.raft.role() == RoleKind::Leader;
        let has_all = |it: &Node| it.raft.commit_index() == it.raft.last_log().index;
        Ok(self
            .nodes
            .get(at)
            .is_some_and(|it| leads(it) && has_all(it)))
    }
}
