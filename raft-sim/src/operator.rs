//! The operator: what it asks of the leader, and how often each feature of the core was used.

use crate::features::FeatureCounts;
use crate::schedule::Place;
use crate::schedule::nemesis::{NodeSetting, TargetRole};
use raft_proto::{
    Action, ChangeError, EntryId, Incarnation, Member, MemberRole, Membership, MembershipChange,
    MessageKind, NodeChange, NodeId, Raft, Readiness, RequestId, RoleKind, Term,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the operator asks of a leader.
#[derive(Clone, Debug)]
pub enum OperatorRequest {
    /// To transfer the leadership, to the node in this place if one is named.
    Transfer(Option<Place>),
    /// To change the members.
    Change(MembershipRequest),
    /// To give a member another priority and context.
    Update {
        /// Its place.
        of: Place,
        /// The priority.
        priority: u8,
    },
    /// To campaign, asked of any node.
    Campaign,
    /// To step down, asked of any node.
    StepDown,
    /// To change a setting, asked of any node.
    Reconfigure {
        /// Which.
        setting: NodeSetting,
        /// Its new value.
        value: u64,
    },
}

/// The roles that nodes are to have.
#[derive(Clone, Debug)]
pub struct MembershipRequest {
    /// Each node by its place, and its role.
    pub roles: Vec<(Place, TargetRole)>,
    /// Whether a new voter has to catch up first.
    pub readiness: Readiness,
    /// The node whose configuration the change is made for, if it is made for one.
    pub seen_by: Option<Place>,
}

/// What was last seen of a node.
#[derive(Debug, Default)]
struct Known {
    led: Option<Term>,
    membership: Membership,
}

/// Watches the answers to its requests, and counts.
#[derive(Debug, Default)]
pub struct Operator {
    /// Requests that wait for their outcome, and the node that each was sent to.
    pending: BTreeMap<RequestId, NodeId>,
    /// By node: in which term it led, and which members it knew.
    known: BTreeMap<NodeId, Known>,
    /// How often each feature was used.
    pub counts: FeatureCounts,
}

/// What the operator knows when it changes the members.
#[derive(Clone, Copy, Debug)]
pub struct Inventory<'a> {
    /// The node in each place.
    pub ids: &'a [NodeId],
    /// The incarnation of the disk in each place, where disks have any.
    pub disks: &'a [Option<Incarnation>],
    /// Nodes whose disks are gone.
    pub lost: &'a BTreeSet<NodeId>,
    /// Nodes whose disks have lost entries: they vote for nobody until they have them again.
    pub impaired: &'a [NodeId],
}

impl Inventory<'_> {
    /// The change that gives nodes these `roles`, as far as they do not have them, and that removes
    /// lost nodes. `None` if no majority of the voters that are left would have whole disks, or none
    /// once the members that are to wait for their promotion are voters.
    pub fn change(
        &self,
        current: &Membership,
        roles: &[(Place, TargetRole)],
        readiness: Readiness,
    ) -> Option<MembershipChange> {
        let mut voters: BTreeSet<NodeId> = current.voters().collect();
        // The leader makes them voters by itself, perhaps at once, by what it last heard of them.
        let mut staging = BTreeSet::new();
        let mut nodes = Vec::new();
        for member in current.members() {
            if self.lost.contains(&member.id) && !self.ids.contains(&member.id) {
                nodes.push(NodeChange::Remove(member.id));
                voters.remove(&member.id);
            }
        }
        for (place, role) in roles {
            let Some(&id) = self.ids.get(place.0) else {
                continue;
            };
            let disk = self.disks.get(place.0).copied().flatten();
            let Some(change) = self.change_of(current, id, disk, *role, readiness) else {
                continue;
            };
            match change {
                NodeChange::Set(Member {
                    role: MemberRole::Staging,
                    ..
                }) => {
                    staging.insert(id);
                    voters.remove(&id)
                }
                NodeChange::Set(Member {
                    role: MemberRole::Learner,
                    ..
                })
                | NodeChange::Demote(_)
                | NodeChange::Remove(_) => voters.remove(&id),
                NodeChange::Set(_) | NodeChange::Promote(_) => voters.insert(id),
                NodeChange::Update { .. } => false,
            };
            nodes.push(change);
        }
        let is_lost = |id: &NodeId| current.get(*id).is_some_and(|it| self.is_lost(it));
        let votes = |id: &NodeId| !self.lost.contains(id) && !self.impaired.contains(id);
        let is_sound = |id: &&NodeId| votes(id) && !is_lost(id);
        let has_majority =
            |voters: &BTreeSet<NodeId>| voters.iter().filter(is_sound).count() * 2 > voters.len();
        let promoted = voters.union(&staging).copied().collect();
        let is_possible = !nodes.is_empty() && has_majority(&voters) && has_majority(&promoted);
        is_possible.then_some(MembershipChange {
            nodes,
            readiness,
            expected: None,
        })
    }

    /// What makes the node `id`, whose disk is `disk`, a member of this role; `None` if nothing does
    /// now, or has to.
    fn change_of(
        &self,
        current: &Membership,
        id: NodeId,
        disk: Option<Incarnation>,
        role: TargetRole,
        readiness: Readiness,
    ) -> Option<NodeChange> {
        // A disk that has not started yet has no name by which it could vote.
        let has_disks = self.disks.iter().any(Option::is_some);
        let is_voter = current.is_voter(id);
        Some(match (current.get(id), role) {
            // Another disk has the member's number: it has to catch up as any new member.
            (Some(member), TargetRole::Voter | TargetRole::Learner | TargetRole::Staging)
                if self.is_lost(member) =>
            {
                let disk = disk?; // It has not started yet.
                // An operator who forces the change tries without; the leader refuses that.
                let is_hasty = role == TargetRole::Voter && readiness == Readiness::Forced;
                let member = match role {
                    TargetRole::Staging => Member::staging(id),
                    _ if is_hasty => Member::voter(id),
                    TargetRole::Voter | TargetRole::Learner | TargetRole::NonMember => {
                        Member::learner(id)
                    }
                };
                NodeChange::Set(named(member).with_incarnation(disk))
            }
            (Some(_), TargetRole::Voter) if is_voter => return None,
            (Some(_), TargetRole::Learner) if !is_voter => return None,
            (Some(_), TargetRole::Staging) if is_voter => return None,
            (None, TargetRole::NonMember) => return None,
            // The leader names the disk that it has heard, and may have heard one that is lost now.
            (Some(member), TargetRole::Voter) if has_disks && member.incarnation.is_none() => {
                NodeChange::Set(named(Member::voter(id)).with_incarnation(disk?))
            }
            (Some(member), TargetRole::Staging) if has_disks && member.incarnation.is_none() => {
                NodeChange::Set(named(Member::staging(id)).with_incarnation(disk?))
            }
            (Some(_), TargetRole::Voter) => NodeChange::Promote(id),
            (Some(_), TargetRole::Learner) => NodeChange::Demote(id),
            (Some(_), TargetRole::NonMember) => NodeChange::Remove(id),
            (_, TargetRole::Staging) => NodeChange::Set(named(Member::staging(id))),
            (None, TargetRole::Voter)
                if readiness == Readiness::Forced && (disk.is_some() || !has_disks) =>
            {
                let member = named(Member::voter(id));
                // Nobody has heard it yet.
                NodeChange::Set(match disk {
                    Some(disk) => member.with_incarnation(disk),
                    None => member,
                })
            }
            // The node has to catch up before it may vote.
            (None, TargetRole::Voter | TargetRole::Learner) => {
                let member = named(Member::learner(id));
                let disk = disk.filter(|_| readiness == Readiness::Forced);
                NodeChange::Set(match disk {
                    Some(disk) => member.with_incarnation(disk),
                    None => member,
                })
            }
        })
    }

    /// Whether the disk of this member is lost, and another one has its number.
    pub fn is_lost(&self, member: &Member) -> bool {
        let place = self.ids.iter().position(|id| *id == member.id);
        let disk = place.and_then(|place| self.disks.get(place).copied());
        member.incarnation.is_some() && disk.is_some_and(|disk| disk != member.incarnation)
    }
}

/// An address.
fn address(id: NodeId) -> String {
    format!("at {id}")
}

/// The change that gives the member `node` this priority and another address.
pub fn update_of(node: NodeId, priority: u8) -> MembershipChange {
    let context = format!("{} now {priority}", address(node));
    MembershipChange::from(NodeChange::Update {
        node,
        priority: Some(priority),
        context: Some(context.into()),
    })
}

/// Members carry a few bytes for the embedder: an address.
fn named(member: Member) -> Member {
    let context = address(member.id);
    member.with_context(context)
}

impl Operator {
    /// The operator sends a request to a leader.
    pub fn sent(&mut self, id: RequestId, leader: NodeId) {
        self.pending.insert(id, leader);
    }

    /// The requests that are not answered, and the node that each was sent to.
    pub fn unanswered(&self) -> impl Iterator<Item = (RequestId, NodeId)> {
        self.pending.iter().map(|(id, node)| (*id, *node))
    }

    /// A node's process has ended: it will not answer its requests.
    pub fn stopped(&mut self, node: NodeId) {
        self.pending.retain(|_, sent_to| *sent_to != node);
        self.known.remove(&node);
    }

    /// A node has done something. Returns `false` if it answers a request that was never sent, or
    /// answers one twice.
    pub fn observe(&mut self, raft: &Raft, action: &Action) -> bool {
        let (node, counts) = (raft.id(), &mut self.counts);
        match action {
            Action::Transferred { id, outcome } => {
                match outcome {
                    Ok(_) => counts.transfers += 1,
                    Err(_) => counts.transfers_refused += 1,
                }
                return self.pending.remove(id).is_some();
            }
            Action::ChangeProposed { id, outcome } => {
                self.count_change(raft, outcome);
                return self.pending.remove(id).is_some();
            }
            Action::Campaigning { id, outcome } => {
                counts.campaigns += u64::from(outcome.is_ok());
                return self.pending.remove(id).is_some();
            }
            Action::SteppedDown { id, outcome } => {
                counts.step_downs += u64::from(outcome.is_ok());
                return self.pending.remove(id).is_some();
            }
            Action::Reconfigured { id, outcome } => {
                match outcome {
                    Ok(()) => counts.reconfigurations += 1,
                    Err(_) => counts.reconfigurations_refused += 1,
                }
                return self.pending.remove(id).is_some();
            }
            Action::Send { message, .. } if message.kind() == MessageKind::TimeoutNow => {
                counts.timeouts_now += 1;
            }
            Action::RoleChanged { role, term } => self.count_role(node, *role, *term),
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
            | Action::SnapshotDamaged { .. }
            | Action::WakeAt(_)
            | Action::Proposed { .. }
            | Action::LeaderChanged { .. }
            | Action::Rejected { .. }
            | Action::Refused { .. }
            | Action::LostState { .. }
            | Action::EntryRefused { .. }
            | Action::Removed { .. }
            | Action::ForeignIncarnation(_)
            | Action::Replaced { .. }
            | Action::Overdue(_)
            | Action::Faulted { .. } => {}
        }
        true
    }

    fn count_change(&mut self, raft: &Raft, outcome: &Result<EntryId, ChangeError>) {
        let counts = &mut self.counts;
        match outcome {
            Ok(_) if raft.membership().is_joint() => counts.joint_changes += 1,
            Ok(_) => counts.simple_changes += 1,
            Err(error) => {
                counts.changes_refused += 1;
                let is_outdated = matches!(error, ChangeError::Changed { .. });
                counts.changes_outdated += u64::from(is_outdated);
            }
        }
    }

    fn count_role(&mut self, node: NodeId, role: RoleKind, term: Term) {
        let known = self.known.entry(node).or_default();
        let leads = role == RoleKind::Leader;
        let led = core::mem::replace(&mut known.led, leads.then_some(term));
        if role == RoleKind::PreCandidate {
            self.counts.pre_votes += 1;
        }
        // No higher term ended its leadership: the node stepped down by itself.
        if role == RoleKind::Follower && led == Some(term) {
            self.counts.stepped_down += 1;
        }
    }
}
