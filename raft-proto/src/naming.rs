//! How the incarnations of members come into the configurations: a leader names the storages that
//! it has heard (`incarnation.rs` says what for).

use crate::action::Action;
use crate::error::ChangeError;
use crate::membership::{Member, Membership};
use crate::progress::Peer;
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{Incarnation, Index, NodeId};
use alloc::vec::Vec;

impl Raft {
    /// A member spoke that the configuration in force names no storage for. What an earlier storage
    /// acknowledged does not hold for this one.
    pub(crate) fn hear_incarnation(&mut self, from: NodeId, spoken: Option<Incarnation>) {
        let (last, now) = (self.log.last().index, self.now);
        if self.config.incarnation.is_none() || spoken.is_none() {
            return;
        }
        let membership = self.configurations.membership();
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let Some(peer) = leader.peers.iter_mut().find(|peer| peer.id == from) else {
            return;
        };
        let is_another = peer.incarnation.is_some() && peer.incarnation != spoken;
        if is_another {
            let added_in_round = peer.added_in_round;
            *peer = Peer::new(from, last, now);
            peer.added_in_round = added_in_round;
            peer.set_voter(membership.is_voter(from), now);
        }
        peer.incarnation = spoken;
        if is_another {
            self.release_unused_snapshots();
            self.limit_commands();
        }
    }

    /// Names the members' storages, once each unnamed one has been heard. Voters stay voters, so any
    /// majority of the one configuration and any of the other share a member (thesis 4.1).
    pub(crate) fn name_incarnations(&mut self, actions: &mut Vec<Action>) {
        let latest = self.configurations.latest();
        let membership = &latest.membership;
        let Role::Leader(leader) = &self.role else {
            return;
        };
        if self.config.incarnation.is_none()
            || membership
                .members()
                .iter()
                .all(|it| it.incarnation.is_some())
            || leader.handover.is_some()
            || !self.has_committed_in_term()
            || latest.index > self.commit_index()
            || membership.is_joint()
        {
            return;
        }
        let named = membership.members().iter().map(|member| self.named(member));
        let named: Vec<Member> = named.collect();
        if named.iter().any(|member| member.incarnation.is_none()) {
            return;
        }
        let named = membership.with_members(named);
        let room = Index::MAX.since(self.log.last().index) >= 1;
        if room && named.encoded_len() <= Membership::MAX_BYTES.min(leader.command_limit.bytes) {
            self.append_membership(named, actions);
        }
    }

    /// The member with the storage that was heard under its number, if none is named yet.
    pub(crate) fn named(&self, member: &Member) -> Member {
        let heard = match &self.role {
            _ if member.id == self.config.node_id => self.config.incarnation,
            Role::Leader(leader) => leader.member(member.id).and_then(|peer| peer.incarnation),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        };
        Member {
            incarnation: member.incarnation.or(heard),
            ..member.clone()
        }
    }
}

/// The member that takes the place of `known`. One that names no storage keeps the one that is
/// named. Another storage is a learner first: it has none of the entries and votes of the member
/// that it replaces.
pub(crate) fn successor(known: &Member, wanted: &Member) -> Result<Member, ChangeError> {
    match (known.incarnation, wanted.incarnation) {
        (Some(named), Some(other)) if named != other && wanted.role.has_vote() => {
            let node = known.id;
            Err(ChangeError::OtherIncarnation { node, named })
        }
        (named, wanted_one) => Ok(Member {
            incarnation: wanted_one.or(named),
            ..wanted.clone()
        }),
    }
}

/// A voter whose storage is exchanged becomes a learner by a change of its own. A joint
/// configuration names one storage for each number: the new one would vote in the old half, and so
/// take the place of the other in one step.
pub(crate) fn keeps_voters(current: &Membership, target: &Membership) -> Result<(), ChangeError> {
    for member in current.members() {
        let next = target.get(member.id).map(|next| next.incarnation);
        if let Some(named) = member.incarnation
            && current.is_voter(member.id)
            && next.is_some_and(|next| next != Some(named))
        {
            let node = member.id;
            return Err(ChangeError::OtherIncarnation { node, named });
        }
    }
    Ok(())
}
