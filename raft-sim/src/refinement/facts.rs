//! What the refinement is told: plain facts, and how they are read off a real core.

use raft_proto::{
    Action, Entries, EntryId, HardState, Incarnation, Index, Membership, NodeId, Raft, RoleKind,
};

/// A server of the argument: a disk, under the number that its node has. A node whose disk is lost
/// comes back as another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskId {
    /// The node.
    pub node: NodeId,
    /// Which of its disks; `None` without incarnations.
    pub incarnation: Option<Incarnation>,
}

impl DiskId {
    /// The disk of a core.
    pub fn of(raft: &Raft) -> DiskId {
        DiskId {
            node: raft.id(),
            incarnation: raft.incarnation(),
        }
    }

    /// Whether `membership` means this disk by its node's number. A member that is not named yet is
    /// whichever disk has its number.
    pub fn is_meant_by(self, membership: &Membership) -> bool {
        let member = membership.get(self.node);
        member.is_some_and(|member| self.is_named(member.incarnation))
    }

    /// Whether a member with this node's number and that incarnation is this disk.
    pub(super) fn is_named(self, named: Option<Incarnation>) -> bool {
        named.is_none() || named == self.incarnation
    }
}

/// A node at its start, before its first step.
#[derive(Clone, Debug)]
pub struct StartFacts<'a> {
    /// Which disk.
    pub disk: DiskId,
    /// The configuration that stands before the log; empty for a node that joins. `None`: as
    /// before, or the one in force at its first start.
    pub bootstrap: Option<&'a Membership>,
    /// The configuration in force.
    pub membership: &'a Membership,
    /// Whether the disk holds the name of `disk`.
    pub is_named: bool,
    /// currentTerm and votedFor.
    pub hard_state: HardState,
    /// The entry before the entries.
    pub log_base: EntryId,
    /// The log.
    pub entries: Entries,
    /// Its commitIndex: everything up to here is in its snapshot, or its service.
    pub commit_index: Index,
    /// The end of the log that the disk says it has lost.
    pub lost: Option<EntryId>,
}

impl<'a> StartFacts<'a> {
    /// A core that has taken no step. `bootstrap` is the configuration before the log that its disk
    /// holds, or `None` if that is empty or not known.
    pub fn of(raft: &'a Raft, bootstrap: Option<&'a Membership>) -> StartFacts<'a> {
        let log_base = raft.log_base();
        StartFacts {
            disk: DiskId::of(raft),
            bootstrap,
            membership: raft.membership(),
            is_named: bootstrap.is_some(),
            hard_state: HardState {
                term: raft.term(),
                voted_for: raft.voted_for(),
            },
            log_base,
            entries: raft.entries(log_base.index.next(), raft.last_log().index),
            commit_index: raft.commit_index(),
            lost: raft.status().impaired,
        }
    }

    /// The last entry of the log.
    pub fn last_log(&self) -> EntryId {
        self.entries.last_id().unwrap_or(self.log_base)
    }
}

/// A node right after a step, and the actions of the step. How the log has changed is told by the
/// writes among them.
#[derive(Clone, Copy, Debug)]
pub struct StepFacts<'a> {
    /// Which disk.
    pub disk: DiskId,
    /// currentTerm and votedFor.
    pub hard_state: HardState,
    /// Its role.
    pub role: RoleKind,
    /// The last entry of its log.
    pub last_log: EntryId,
    /// Its commitIndex.
    pub commit_index: Index,
    /// Up to here it takes its log for durable.
    pub durable_index: Index,
    /// The configuration in force.
    pub membership: &'a Membership,
    /// What came out of the step.
    pub actions: &'a [Action],
}

impl<'a> StepFacts<'a> {
    /// A core that has taken a step.
    pub fn of(raft: &'a Raft, actions: &'a [Action]) -> StepFacts<'a> {
        StepFacts {
            disk: DiskId::of(raft),
            hard_state: HardState {
                term: raft.term(),
                voted_for: raft.voted_for(),
            },
            role: raft.role(),
            last_log: raft.last_log(),
            commit_index: raft.commit_index(),
            durable_index: raft.durable_index(),
            membership: raft.membership(),
            actions,
        }
    }
}
