//! Rolling upgrades: nothing is written that a member does not read. An entry that one replica
//! skips and another applies would make them differ for good.
//!
//! - A leader raises the level only to what every member of its configuration has said that it
//!   reads. Of a member that was put back to an older release the leader cannot know; so the
//!   checker takes the greatest level with which each node ever ran.
//! - A node stores no configuration above its own level, and faults for none that it reads.
//! - A service is handed a command in the newer layout only where its node reads that, and only
//!   behind the configuration that says that all do.
//!
//! Cost: nothing in a cluster of one release; else a look at the first byte of each command.

use super::violation::Violation;
use crate::release::is_in_newer_layout;
use raft_proto::{
    Action, Entries, EntryKind, Fault, Index, Level, Membership, NodeId, Raft, RoleKind,
};
use std::collections::BTreeMap;

/// How the rules of levels were broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelBroken {
    /// A level that a member does not read.
    #[error("{leader} has raised the level to {level}, and {member} never read more than {read}")]
    RaisedBeyond {
        /// The leader.
        leader: NodeId,
        /// The level.
        level: Level,
        /// The member.
        member: NodeId,
        /// The greatest level with which it ever ran.
        read: Level,
    },
    /// A configuration that its node does not read.
    #[error("{node} reads {own}, and uses a configuration at level {level}")]
    BeyondItself {
        /// The node.
        node: NodeId,
        /// What it reads.
        own: Level,
        /// The configuration's level.
        level: Level,
    },
    /// A fault without a reason.
    #[error("{node} reads {own}, and stopped because of level {needed}")]
    StoppedInVain {
        /// The node.
        node: NodeId,
        /// What it reads.
        own: Level,
        /// The level that it did not take.
        needed: Level,
    },
    /// A command that a service does not read, or that not all services read.
    #[error("{node} reads {own}, is at level {level}, and got a command of a newer one at {index}")]
    Unreadable {
        /// The node.
        node: NodeId,
        /// What it reads.
        own: Level,
        /// The level of the configuration that it uses.
        level: Level,
        /// The entry.
        index: Index,
    },
}

/// What each node reads, and at which level it is.
#[derive(Debug, Default)]
pub struct Levels {
    /// The greatest level with which each node ever ran.
    read: BTreeMap<NodeId, Level>,
    /// The level of the configuration that each node used last.
    used: BTreeMap<NodeId, Level>,
    /// Whether any node runs with a level.
    is_in_use: bool,
}

impl Levels {
    /// A process starts.
    pub fn started(&mut self, raft: &Raft) {
        let own = raft.config().level;
        let read = self.read.entry(raft.id()).or_default();
        read.core = read.core.max(own.core);
        read.service = read.service.max(own.service);
        self.used.insert(raft.id(), raft.membership().level());
        self.is_in_use |= own != Level::ZERO;
    }

    /// A node has taken a step.
    ///
    /// # Errors
    ///
    /// [`LevelBroken`].
    pub fn actions(&mut self, raft: &Raft, actions: &[Action]) -> Result<(), Violation> {
        if !self.is_in_use {
            return Ok(());
        }
        for action in actions {
            if let Action::MembershipChanged { membership, .. } = action {
                self.changed(raft, membership)?;
            } else if let Action::Apply { entries } = action {
                handed_out(raft, entries)?;
            } else if let Action::Faulted {
                reason: Fault::LevelTooLow { needed, own },
            } = action
                && own.reads(*needed)
            {
                let (node, own, needed) = (raft.id(), *own, *needed);
                return Err(LevelBroken::StoppedInVain { node, own, needed }.into());
            }
        }
        Ok(())
    }

    /// A node uses another configuration.
    fn changed(&mut self, raft: &Raft, membership: &Membership) -> Result<(), LevelBroken> {
        let (node, own, level) = (raft.id(), raft.config().level, membership.level());
        let before = self.used.insert(node, level).unwrap_or_default();
        if !own.reads(level) {
            return Err(LevelBroken::BeyondItself { node, own, level });
        }
        // Only its own entries change a leader's configuration.
        if raft.role() == RoleKind::Leader && !before.reads(level) {
            for member in membership.members() {
                let read = self.read.get(&member.id).copied().unwrap_or_default();
                if !read.reads(level) {
                    return Err(LevelBroken::RaisedBeyond {
                        leader: node,
                        level,
                        member: member.id,
                        read,
                    });
                }
            }
        }
        Ok(())
    }
}

fn handed_out(raft: &Raft, entries: &Entries) -> Result<(), LevelBroken> {
    let (own, level) = (raft.config().level, raft.membership().level());
    if own.service.min(level.service) > 0 {
        return Ok(());
    }
    for entry in entries {
        if entry.kind() == EntryKind::Command && is_in_newer_layout(entry.payload()) {
            return Err(LevelBroken::Unreadable {
                node: raft.id(),
                own,
                level,
                index: entry.index(),
            });
        }
    }
    Ok(())
}
