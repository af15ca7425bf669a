//! Reads, handovers of the lead and changes of the members, as readers and an operator ask for
//! them at random times, and what the answers must fulfil.

use crate::failure::Failure;
use crate::features::{FeatureCounts, FeatureOptions};
use crate::random::Random;
use core::time::Duration;
use raft_proto::{
    Action, Index, Input, Member, MemberRole, Membership, MembershipChange, MessageKind,
    NodeChange, NodeId, Raft, ReadError, ReadMode, Readiness, RequestId, RoleKind, Term, Time,
};
use std::collections::BTreeMap;

/// A read that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Read {
    slot: usize,
    mode: ReadMode,
    since: Time,
    /// What was committed somewhere when the read began: the answer must not be older.
    floor: Index,
}

/// What was last seen of a server.
#[derive(Debug, Default)]
struct Known {
    led: Option<Term>,
    membership: Membership,
}

/// Who asks for more than that commands are replicated.
#[derive(Debug)]
pub struct Operations {
    options: FeatureOptions,
    random: Random,
    /// Requests so far.
    requests: u64,
    reads: BTreeMap<RequestId, Read>,
    transfers: BTreeMap<RequestId, usize>,
    /// What each server was, and which members it knew.
    known: BTreeMap<NodeId, Known>,
    /// How often each feature was used.
    pub counts: FeatureCounts,
}

impl Operations {
    /// Requests of clients' commands have numbers below this.
    const FIRST: u64 = 1 << 48;

    /// Nobody has asked for anything yet.
    pub fn new(options: FeatureOptions, random: Random) -> Operations {
        Operations {
            options,
            random,
            requests: 0,
            reads: BTreeMap::new(),
            transfers: BTreeMap::new(),
            known: BTreeMap::new(),
            counts: FeatureCounts::default(),
        }
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(Self::FIRST + self.requests)
    }

    /// A priority for a member at the start.
    pub fn priority(&mut self) -> u8 {
        self.random.between(0, self.options.max_priority) as u8 // at most 2
    }

    /// The pause before the next read; `None` if nobody reads.
    pub fn read_pause(&mut self) -> Option<Duration> {
        let pause = self.options.read_pause?;
        Some(pause.draw(&mut self.random))
    }

    /// The pause before the operator's next deed; `None` if there is none.
    pub fn operator_pause(&mut self) -> Option<Duration> {
        let pause = self.options.operator_pause?;
        Some(pause.draw(&mut self.random))
    }

    /// A read at any of `nodes` servers, or at the leader.
    pub fn read(
        &mut self,
        now: Time,
        nodes: usize,
        leader: Option<usize>,
        floor: Index,
    ) -> (usize, Input) {
        let any = self.random.below(nodes as u64) as usize;
        let slot = match leader {
            Some(leader) if self.random.chance(600) => leader,
            Some(_) | None => any,
        };
        let mode = match self.options.lease_reads && self.random.chance(500) {
            true => ReadMode::Lease,
            false => ReadMode::Quorum,
        };
        let id = self.request();
        let since = now;
        let read = Read {
            slot,
            mode,
            since,
            floor,
        };
        self.reads.insert(id, read);
        (slot, Input::Read { id, mode })
    }

    /// Something that the operator asks of the leader.
    pub fn deed(&mut self, leader: &Raft, slot: usize, nodes: u64) -> Input {
        let total = self.options.transfers + self.options.changes;
        let id = self.request();
        if self.random.below(total) < self.options.transfers {
            let target = match self.random.chance(300) {
                true => None,
                false => Some(NodeId(self.random.between(1, nodes))),
            };
            self.transfers.insert(id, slot);
            return Input::TransferLeadership { id, target };
        }
        let change = self.change(leader.membership(), nodes);
        Input::ChangeMembership { id, change }
    }

    /// Makes a few servers voters, learners, or nothing.
    fn change(&mut self, current: &Membership, nodes: u64) -> MembershipChange {
        let count = self.random.between(1, 3);
        let mut changes: Vec<NodeChange> = Vec::new();
        let mut ids: Vec<NodeId> = (1..=nodes).map(NodeId).collect();
        for _ in 0..count.min(nodes) {
            let at = self.random.below(ids.len() as u64) as usize;
            let id = ids.swap_remove(at);
            let known = current.get(id).map(|member| member.role);
            changes.push(match known {
                None => {
                    let member = match self.random.chance(300) {
                        true => Member::voter(id),
                        false => Member::learner(id),
                    };
                    let context = format!("at {id}");
                    let priority = self.priority();
                    NodeChange::Set(member.with_context(context).with_priority(priority))
                }
                Some(MemberRole::Learner) if self.random.chance(800) => NodeChange::Promote(id),
                Some(_) if self.random.chance(500) => NodeChange::Demote(id),
                Some(_) => NodeChange::Remove(id),
            });
        }
        let readiness = match self.random.chance(300) {
            true => Readiness::Forced,
            false => Readiness::Checked,
        };
        MembershipChange {
            nodes: changes,
            readiness,
        }
    }

    /// A server crashed: nobody will answer what it was asked.
    pub fn crashed(&mut self, slot: usize) {
        self.reads.retain(|_, read| read.slot != slot);
        self.transfers.retain(|_, asked| *asked != slot);
        self.known.remove(&NodeId(slot as u64 + 1));
    }

    /// Something that a server that runs has not answered, though it has had the time.
    pub fn unanswered(&self, now: Time, patience: Duration) -> Option<RequestId> {
        let late = |read: &Read| read.since.after(patience) < now;
        let mut reads = self.reads.iter();
        let read = reads.find(|(_, read)| late(read));
        read.map(|(id, _)| *id)
    }

    /// A server did something.
    ///
    /// # Errors
    ///
    /// [`Failure::StaleRead`], [`Failure::Unasked`].
    pub fn observe(&mut self, raft: &Raft, action: &Action) -> Result<(), Failure> {
        let (node, counts) = (raft.id(), &mut self.counts);
        match action {
            Action::Read { id, outcome } => {
                let Some(read) = self.reads.remove(id) else {
                    return Err(Failure::Unasked { node, id: *id });
                };
                return self.judge_read(raft, &read, *outcome);
            }
            Action::Transferred { id, outcome } => {
                if self.transfers.remove(id).is_none() {
                    return Err(Failure::Unasked { node, id: *id });
                }
                match outcome {
                    Ok(_) => counts.transfers += 1,
                    Err(_) => counts.transfers_refused += 1,
                }
            }
            Action::ChangeProposed { outcome, .. } => match outcome {
                Ok(_) if raft.membership().is_joint() => counts.joint_changes += 1,
                Ok(_) => counts.simple_changes += 1,
                Err(_) => counts.changes_refused += 1,
            },
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
        Ok(())
    }

    fn judge_read(
        &mut self,
        raft: &Raft,
        read: &Read,
        outcome: Result<Index, ReadError>,
    ) -> Result<(), Failure> {
        let counts = &mut self.counts;
        match (outcome, read.mode) {
            (Ok(index), _) if index < read.floor => {
                return Err(Failure::StaleRead {
                    node: raft.id(),
                    index,
                    floor: read.floor,
                });
            }
            (Ok(_), ReadMode::Lease) => counts.lease_reads += 1,
            (Ok(_), ReadMode::Quorum) if raft.role() == RoleKind::Leader => {
                counts.quorum_reads += 1;
            }
            (Ok(_), ReadMode::Quorum) => counts.follower_reads += 1,
            (Err(_), _) => counts.reads_refused += 1,
        }
        Ok(())
    }
}
