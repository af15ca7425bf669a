//! Which servers form the cluster (section 6; thesis chapter 4).
//!
//! A configuration names its members, each with a role, a priority and bytes of the embedder's.
//! While a change of several voters is under way it is *joint*: some members vote only in the
//! old configuration, some only in the new one, and every decision needs a majority of each (see
//! `quorum.rs`). The rules by which configurations follow each other are in `change.rs`.

use crate::level::Level;
use crate::types::{HistoryId, Incarnation, NodeId};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Whether a member votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MemberRole {
    /// It votes; in a joint configuration, in both halves.
    Voter,
    /// It receives the log and has no vote.
    Learner,
    /// Joint only: it votes in the new configuration, and is a voter when the change ends.
    Incoming,
    /// Joint only: it votes in the old configuration, and is removed when the change ends.
    Outgoing,
    /// Joint only: it votes in the old configuration, and is a learner when the change ends.
    Demoted,
    /// A learner that the leader makes a voter by itself once it has caught up (`promotion.rs`).
    Staging,
}

impl MemberRole {
    fn votes_in(self, half: Half) -> bool {
        match (self, half) {
            (MemberRole::Voter, _)
            | (MemberRole::Incoming, Half::New)
            | (MemberRole::Outgoing | MemberRole::Demoted, Half::Old) => true,
            (MemberRole::Learner | MemberRole::Staging, _)
            | (MemberRole::Incoming, Half::Old)
            | (MemberRole::Outgoing | MemberRole::Demoted, Half::New) => false,
        }
    }

    pub(crate) fn is_joint(self) -> bool {
        match self {
            MemberRole::Voter | MemberRole::Learner | MemberRole::Staging => false,
            MemberRole::Incoming | MemberRole::Outgoing | MemberRole::Demoted => true,
        }
    }

    /// Whether it has a vote, in either half.
    pub fn has_vote(self) -> bool {
        self.votes_in(Half::Old) || self.votes_in(Half::New)
    }
}

/// One of the two configurations in a joint one. In a configuration that is not joint, both are the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Old,
    New,
}

/// One member of a configuration. Begin with [`Member::voter`], [`Member::learner`] or
/// [`Member::staging`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// The node.
    pub id: NodeId,
    /// Whether it votes.
    pub role: MemberRole,
    /// Which storage speaks for the node: messages of another one count for nothing. `None` until a
    /// leader has heard it, and in clusters without incarnations. See
    /// [`Config::incarnation`](crate::Config::incarnation).
    pub incarnation: Option<Incarnation>,
    /// Leadership goes to a healthy voter of the greatest priority; voters of lower priority wait
    /// longer before they campaign. Equal by default.
    pub priority: u8,
    /// Bytes of the embedder's: an address, a zone. Replicated, kept in snapshots, and handed to
    /// the driver with the configuration.
    pub context: Bytes,
}

impl Member {
    /// A voter of priority 0 without context.
    pub fn voter(id: NodeId) -> Member {
        Member {
            id,
            role: MemberRole::Voter,
            incarnation: None,
            priority: 0,
            context: Bytes::new(),
        }
    }

    /// A learner of priority 0 without context.
    pub fn learner(id: NodeId) -> Member {
        Member {
            role: MemberRole::Learner,
            ..Member::voter(id)
        }
    }

    /// A learner of priority 0 without context, which becomes a voter once it has caught up.
    pub fn staging(id: NodeId) -> Member {
        Member {
            role: MemberRole::Staging,
            ..Member::voter(id)
        }
    }

    /// The same in this role.
    #[must_use]
    pub fn with_role(self, role: MemberRole) -> Member {
        Member { role, ..self }
    }

    /// The same, bound to this storage.
    #[must_use]
    pub fn with_incarnation(self, incarnation: Incarnation) -> Member {
        let incarnation = Some(incarnation);
        Member {
            incarnation,
            ..self
        }
    }

    /// The same with this context.
    #[must_use]
    pub fn with_context(self, context: impl Into<Bytes>) -> Member {
        let context = context.into();
        Member { context, ..self }
    }

    /// The same with this priority.
    #[must_use]
    pub fn with_priority(self, priority: u8) -> Member {
        Member { priority, ..self }
    }
}

/// The configuration of a cluster: its members, in the order of their ids, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Membership {
    members: Vec<Member>,
    /// The founding of the log in which it stands; `None` without incarnations.
    history: Option<HistoryId>,
    /// What all members read. The last field: what later releases add stands behind it.
    level: Level,
}

impl Membership {
    /// The most bytes of a configuration in its encoded form, contexts included: 32 KiB.
    pub const MAX_BYTES: u64 = 32 << 10;

    /// The configuration with these voters, in any order; repeated ones count once.
    pub fn new(voters: impl IntoIterator<Item = NodeId>) -> Membership {
        Membership::of(voters.into_iter().map(Member::voter))
    }

    /// The configuration with these members, in any order; of those with the same id, the first.
    pub fn of(members: impl IntoIterator<Item = Member>) -> Membership {
        let mut members: Vec<Member> = members.into_iter().collect();
        members.sort_by_key(|member| member.id);
        members.dedup_by_key(|member| member.id);
        Membership {
            members,
            ..Membership::default()
        }
    }

    /// Becomes equal to `other`, in the memory that it has.
    pub(crate) fn copy_from(&mut self, other: &Membership) {
        self.members.clone_from(&other.members);
        self.history = other.history;
        self.level = other.level;
    }

    /// The configuration with these members, in the same history, at the same level.
    pub(crate) fn with_members(&self, members: impl IntoIterator<Item = Member>) -> Membership {
        Membership {
            history: self.history,
            level: self.level,
            ..Membership::of(members)
        }
    }

    /// A configuration that came from outside, whose members may be in any order.
    pub(crate) fn received(
        members: Vec<Member>,
        history: Option<HistoryId>,
        level: Level,
    ) -> Membership {
        Membership {
            members,
            history,
            level,
        }
    }

    /// The same, as part of this history. A tool that continues a cluster by force gives it a new
    /// one, drawn at random, so that disks of the old one are refused.
    #[must_use]
    pub fn with_history(self, history: HistoryId) -> Membership {
        let history = Some(history);
        Membership { history, ..self }
    }

    /// The founding of the log in which it stands; `None` without
    /// [incarnations](crate::Config::incarnation), and before the cluster is founded.
    pub fn history(&self) -> Option<HistoryId> {
        self.history
    }

    /// The same at this level. The leader raises the level by itself; a tool that continues a
    /// cluster by force keeps the one that was in force.
    #[must_use]
    pub fn with_level(self, level: Level) -> Membership {
        Membership { level, ..self }
    }

    /// What all members read: what is written after this configuration needs no higher level. It
    /// never falls from one configuration to the next.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The members, in the order of their ids.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member `node`, if it is one.
    pub fn get(&self, node: NodeId) -> Option<&Member> {
        // For the few members that a cluster has, this takes less than a binary search.
        self.members.iter().find(|member| member.id == node)
    }

    /// The members that have a vote in either half, in the order of their ids.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        let votes = |member: &&Member| member.role.has_vote();
        self.members.iter().filter(votes).map(|member| member.id)
    }

    /// The members without a vote, in the order of their ids.
    pub fn learners(&self) -> impl Iterator<Item = NodeId> + '_ {
        let learns = |member: &&Member| !member.role.has_vote();
        self.members.iter().filter(learns).map(|member| member.id)
    }

    /// Whether `node` has a vote, in either half.
    pub fn is_voter(&self, node: NodeId) -> bool {
        let member = self.get(node);
        member.is_some_and(|member| member.role.has_vote())
    }

    /// Whether a change of several voters is under way (section 6: C_old,new).
    #[inline]
    pub fn is_joint(&self) -> bool {
        self.members.iter().any(|member| member.role.is_joint())
    }

    /// Whether it has no members: a node that is to join knows no configuration yet.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The voters of one half.
    pub(crate) fn half(&self, half: Half) -> impl Iterator<Item = NodeId> + '_ {
        let votes = move |member: &&Member| member.role.votes_in(half);
        self.members.iter().filter(votes).map(|member| member.id)
    }

    /// The configuration that a joint one leads to (section 6: C_new).
    pub(crate) fn after_joint(&self) -> Membership {
        let ended = |member: &Member| {
            let role = match member.role {
                MemberRole::Voter | MemberRole::Incoming => MemberRole::Voter,
                MemberRole::Learner | MemberRole::Demoted => MemberRole::Learner,
                MemberRole::Staging => MemberRole::Staging,
                MemberRole::Outgoing => return None,
            };
            let member = member.clone();
            Some(Member { role, ..member })
        };
        self.with_members(self.members.iter().filter_map(ended))
    }

    /// The joint configuration that leads from this one to `target`; neither is joint.
    pub(crate) fn joint_with(&self, target: &Membership) -> Membership {
        let mut members = Vec::with_capacity(self.members.len() + target.members.len());
        for member in &target.members {
            let was_voter = self.is_voter(member.id);
            let role = if member.role == MemberRole::Voter {
                if was_voter {
                    MemberRole::Voter
                } else {
                    MemberRole::Incoming
                }
            } else if was_voter {
                MemberRole::Demoted
            } else {
                member.role
            };
            let member = member.clone();
            members.push(Member { role, ..member });
        }
        for member in &self.members {
            if member.role == MemberRole::Voter && target.get(member.id).is_none() {
                let role = MemberRole::Outgoing;
                let member = member.clone();
                members.push(Member { role, ..member });
            }
        }
        self.with_members(members)
    }

    /// The least priority of a voter that is above `priority`.
    pub(crate) fn next_priority(&self, priority: u8) -> Option<u8> {
        let votes = |member: &&Member| member.role.votes_in(Half::New);
        let priorities = self.members.iter().filter(votes);
        let above = priorities.map(|member| member.priority);
        above.filter(|other| *other > priority).min()
    }

    /// Whether it keeps the rules of this type, which one that came from outside may not. An empty
    /// one is well formed.
    pub(crate) fn is_well_formed(&self) -> bool {
        let ordered = |pair: &[Member]| pair[0].id < pair[1].id;
        let voters = |half| self.half(half).next().is_some();
        self.members.windows(2).all(ordered)
            && (self.is_empty() || voters(Half::Old) && voters(Half::New))
            && self.encoded_len() <= Self::MAX_BYTES
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, member) in self.members.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let mark = match member.role {
                MemberRole::Voter => "",
                MemberRole::Learner => " learner",
                MemberRole::Incoming => " incoming",
                MemberRole::Outgoing => " outgoing",
                MemberRole::Demoted => " demoted",
                MemberRole::Staging => " staging",
            };
            write!(f, "{comma}{}", member.id)?;
            if let Some(incarnation) = member.incarnation {
                write!(f, ":{incarnation}")?;
            }
            f.write_str(mark)?;
        }
        f.write_str("}")?;
        if self.level == Level::ZERO {
            return Ok(());
        }
        write!(f, " level {}", self.level)
    }
}
