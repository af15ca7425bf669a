//! Rolling upgrades: which level is in force.
//!
//! An entry that one replica skips and another applies makes them differ for good, so nothing may
//! be written that a member does not read. Each node says in its replies what it reads
//! ([`MessageLimits::level`](crate::MessageLimits::level)), and the configurations say what all
//! members read.
//!
//! # The rules
//!
//! 1. *The leader raises the level when every member has said that it reads it*, in the leader's
//!    own term: learners too. A member that was not heard counts as one that reads nothing new. A
//!    majority is not enough: the others hold the log, too.
//! 2. *The level stands in the configuration*, in an entry that changes no voter, under the rules
//!    of all changes (thesis 4.1): one at a time, and after a commit of the leader's own term.
//! 3. *A level is used when its configuration is committed.* Every later leader holds that entry
//!    (Leader Completeness, section 5.4.3), so whatever is written at the level stands behind it in
//!    each log, also if it was encoded under one leader and proposed to another.
//! 4. *The level never falls.* What was written at it stays in logs and snapshots.
//! 5. *A node that does not read a level stops before it.* When its leader sends it the entry, or
//!    the snapshot, it stores nothing of that and faults; with the entry in its own storage it does
//!    not start. So a joiner that is too old, and a member that was put back to an older release
//!    after the level had risen, refuse by name, and skip nothing. No other message can stop a
//!    node, and only the leader of its term can send this one.
//! 6. *A member that has said that it is too old does not become a voter.*
//!
//! To hold a cluster back, set one member's [`Config::level`](crate::Config::level) to what the
//! older release reads: until that member is started without it, all members may go back to the
//! older release. Nodes without levels ([`Level::ZERO`]) append no entry for this.

use crate::action::Action;
use crate::configurations;
use crate::entries::Entries;
use crate::error::{ChangeError, Fault};
use crate::level::Level;
use crate::membership::Membership;
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{Index, NodeId};
use alloc::vec::Vec;

impl Raft {
    /// The level in force: what every member reads, by the latest committed configuration. It never
    /// falls. Write nothing that needs a higher one.
    pub fn level(&self) -> Level {
        self.configurations.as_of(self.commit_index()).level()
    }

    /// What `node` reads, if this node leads and has heard it in its term, or is that node.
    pub fn level_of(&self, node: NodeId) -> Option<Level> {
        if node == self.config.node_id {
            return Some(self.config.level);
        }
        match &self.role {
            Role::Leader(leader) => {
                let limits = leader.peer(node).and_then(|peer| peer.limits);
                limits.map(|limits| limits.level)
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// The members that keep the level in force below this node's own, if this node leads: those of
    /// older releases, or held back, and those that it has not heard in its term.
    pub fn held_back_by(&self) -> impl Iterator<Item = NodeId> + '_ {
        let (own, leads) = (self.config.level, matches!(self.role, Role::Leader(_)));
        let reads = move |id| self.level_of(id).is_some_and(|level| level.reads(own));
        let members = self.configurations.membership().members().iter();
        let ids = members.map(|member| member.id);
        ids.filter(move |id| leads && !reads(*id))
    }

    /// Rules 1 and 2.
    pub(crate) fn raise_level(&mut self, actions: &mut Vec<Action>) {
        let latest = self.configurations.latest();
        let membership = &latest.membership;
        let Role::Leader(leader) = &self.role else {
            return;
        };
        if membership.level().reads(self.config.level)
            || leader.handover.is_some()
            || !self.has_committed_in_term()
            || latest.index > self.commit_index()
            || membership.is_joint()
        {
            return;
        }
        let Some(common) = self.common_level(membership) else {
            return;
        };
        let raised = membership.level().raised_to(common);
        if raised == membership.level() {
            return;
        }
        let next = membership.clone().with_level(raised);
        let room = Index::MAX.since(self.log.last().index) >= 1;
        if room && next.encoded_len() <= Membership::MAX_BYTES.min(leader.command_limit.bytes) {
            self.append_membership(next, actions);
        }
    }

    /// What all members read; `None` if one of them has not said it in this term.
    fn common_level(&self, membership: &Membership) -> Option<Level> {
        let mut members = membership.members().iter();
        members.try_fold(self.config.level, |common, member| {
            Some(common.common(self.level_of(member.id)?))
        })
    }

    /// Rule 6.
    pub(crate) fn check_levels(
        &self,
        current: &Membership,
        target: &Membership,
    ) -> Result<(), ChangeError> {
        let needed = current.level();
        for node in target.voters().filter(|id| !current.is_voter(*id)) {
            match self.level_of(node) {
                Some(own) if !own.reads(needed) => {
                    return Err(ChangeError::LevelTooLow { node, own, needed });
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// Rule 5, for what the leader sends: why this node cannot go on, if it cannot read this
    /// configuration's level.
    pub(crate) fn check_level_of(&self, membership: &Membership) -> Result<(), Fault> {
        check_level(self.config.level, membership)
    }

    /// The same for the configurations among entries.
    pub(crate) fn check_levels_in(&self, entries: &Entries) -> Result<(), Fault> {
        if !configurations::any(entries) {
            return Ok(());
        }
        let mut result = Ok(());
        let taken = configurations::for_each(entries, |_, membership| {
            result = result.and(check_level(self.config.level, &membership));
        });
        debug_assert!(taken.is_ok(), "a damaged configuration is not admitted");
        result
    }
}

fn check_level(own: Level, membership: &Membership) -> Result<(), Fault> {
    let needed = membership.level();
    if own.reads(needed) {
        Ok(())
    } else {
        Err(Fault::LevelTooLow { needed, own })
    }
}
