//! The operator: what it asks of the leader, and how often each feature of the core was used.

use crate::features::FeatureCounts;
use crate::schedule::Place;
use crate::schedule::nemesis::TargetRole;
use raft_proto::{
    Action, Member, MemberRole, Membership, MembershipChange, MessageKind, NodeChange, NodeId,
    Raft, Readiness, RequestId, RoleKind, Term,
};
use std::collections::{BTreeMap, BTreeSet};

/// What was last seen of a server.
#[derive(Debug, Default)]
struct Known {
    led: Option<Term>,
    membership: Membership,
}

/// Watches what was asked for, and counts.
#[derive(Debug, Default)]
pub struct Operator {
    /// What waits for its outcome, and whom it was asked of.
    asked: BTreeMap<RequestId, NodeId>,
    /// What each server was, and which members it knew.
    known: BTreeMap<NodeId, Known>,
    /// How often each feature was used.
    pub counts: FeatureCounts,
}

/// What the operator knows when it changes the members.
#[derive(Clone, Copy, Debug)]
pub struct Inventory<'a> {
    /// Who stands in each place.
    pub ids: &'a [NodeId],
    /// Nodes whose disks are gone.
    pub lost: &'a BTreeSet<NodeId>,
}

impl Inventory<'_> {
    /// The change that makes `roles` true, as far as they are not, and removes who is lost.
    /// Nothing, if no majority of the voters that are left would live.
    pub fn change(
        &self,
        current: &Membership,
        roles: &[(Place, TargetRole)],
        readiness: Readiness,
    ) -> Option<MembershipChange> {
        let mut voters: BTreeSet<NodeId> = current.voters().collect();
        let mut nodes = Vec::new();
        for member in current.members() {
            if self.lost.contains(&member.id) && !self.ids.contains(&member.id) {
                nodes.push(NodeChange::Remove(member.id));
                voters.remove(&member.id);
            }
        }
        for (place, wish) in roles {
            let Some(&id) = self.ids.get(place.0) else {
                continue;
            };
            let is_voter = current.is_voter(id);
            let change = match (current.get(id), wish) {
                (Some(_), TargetRole::Voter) if is_voter => continue,
                (Some(_), TargetRole::Learner) if !is_voter => continue,
                (None, TargetRole::NonMember) => continue,
                (Some(_), TargetRole::Voter) => NodeChange::Promote(id),
                (Some(_), TargetRole::Learner) => NodeChange::Demote(id),
                (Some(_), TargetRole::NonMember) => NodeChange::Remove(id),
                (None, TargetRole::Voter) if readiness == Readiness::Forced => {
                    NodeChange::Set(named(Member::voter(id)))
                }
                // It has to catch up before it may vote.
                (None, TargetRole::Voter | TargetRole::Learner) => {
                    NodeChange::Set(named(Member::learner(id)))
                }
            };
            match change {
                NodeChange::Set(Member {
                    role: MemberRole::Learner,
                    ..
                })
                | NodeChange::Demote(_)
                | NodeChange::Remove(_) => voters.remove(&id),
                NodeChange::Set(_) | NodeChange::Promote(_) => voters.insert(id),
            };
            nodes.push(change);
        }
        let living = voters.iter().filter(|id| !self.lost.contains(id)).count();
        let is_sound = !nodes.is_empty() && living * 2 > voters.len();
        is_sound.then_some(MembershipChange { nodes, readiness })
    }
}

/// Members carry a few bytes of the embedder's: an address.
fn named(member: Member) -> Member {
    let context = format!("at {}", member.id);
    member.with_context(context)
}

impl Operator {
    /// The operator asks a leader to hand over, or to change the members.
    pub fn asked(&mut self, id: RequestId, leader: NodeId) {
        self.asked.insert(id, leader);
    }

    /// What is not answered, and by whom.
    pub fn unanswered(&self) -> impl Iterator<Item = (RequestId, NodeId)> {
        self.asked.iter().map(|(id, node)| (*id, *node))
    }

    /// A server is down: it will not answer what it was asked.
    pub fn stopped(&mut self, node: NodeId) {
        self.asked.retain(|_, asked| *asked != node);
        self.known.remove(&node);
    }

    /// A server did something. `false` if it answers what nobody asked.
    pub fn observe(&mut self, raft: &Raft, action: &Action) -> bool {
        let (node, counts) = (raft.id(), &mut self.counts);
        match action {
            Action::Transferred { id, outcome } => {
                if self.asked.remove(id).is_none() {
                    return false;
                }
                match outcome {
                    Ok(_) => counts.transfers += 1,
                    Err(_) => counts.transfers_refused += 1,
                }
            }
            Action::ChangeProposed { id, outcome } => {
                if self.asked.remove(id).is_none() {
                    return false;
                }
                match outcome {
                    Ok(_) if raft.membership().is_joint() => counts.joint_changes += 1,
                    Ok(_) => counts.simple_changes += 1,
                    Err(_) => counts.changes_refused += 1,
                }
            }
            Action::Send { message, .. } if message.kind() == MessageKind::TimeoutNow => {
                counts.timeouts_now += 1;
            }
            Action::RoleChanged { role, term } => {
                let known = self.known.entry(node).or_default();
                let leads = *role == RoleKind::Leader;
                let led = core::mem::replace(&mut known.led, leads.then_some(*term));
                if *role == RoleKind::PreCandidate {
                    counts.pre_votes += 1;
                }
                // No higher term ended its lead: it did.
                if *role == RoleKind::Follower && led == Some(*term) {
                    counts.stepped_down += 1;
                }
            }
            Action::MembershipChanged { membership, .. } => {
                let known = self.known.entry(node).or_default();
                let before = core::mem::replace(&mut known.membership, membership.clone());
                let promoted = |id: &NodeId| membership.is_voter(*id);
                if raft.role() == RoleKind::Leader {
                    counts.promotions += before.learners().filter(promoted).count() as u64;
                }
            }
            Action::Send { .. }
            | Action::Persist(_)
            | Action::Apply { .. }
            | Action::Restore { .. }
            | Action::Read { .. }
            | Action::ReadSnapshot { .. }
            | Action::ReadEntries { .. }
            | Action::WriteSnapshot { .. }
            | Action::ReleaseSnapshot { .. }
            | Action::WakeAt(_)
            | Action::Proposed { .. }
            | Action::LeaderChanged { .. }
            | Action::Rejected { .. }
            | Action::Refused { .. }
            | Action::LostState { .. }
            | Action::Faulted { .. } => {}
        }
        true
    }
}
