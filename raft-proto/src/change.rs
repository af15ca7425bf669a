//! Membership changes (section 6; thesis chapter 4).
//!
//! A change of one voter, or of learners only, is one entry: any majority of the old and any of
//! the new configuration share a member (thesis 4.1). Any other change goes through a joint
//! configuration, which needs a majority of both, and which the leader leaves by itself once it
//! is committed. A configuration is in force from when it is appended, on every server. A change
//! begins only when the one before it is committed. A leader changes nothing before it has
//! committed an entry of its own term: otherwise a change that an earlier leader
//! began and this leader's change might share no majority.
//!
//! A server that was removed has to learn it, or it would campaign for ever. The leader of the
//! change goes on replicating to it until it has answered a message that says that the change is
//! committed, or for ten election timeouts. A server that was down for so long, or whose leader
//! changed, asks for pre-votes when it is back, and the voters tell it (`pre_vote.rs`).

use crate::action::Action;
use crate::configurations::{self, Configuration};
use crate::entries::Entries;
use crate::error::ChangeError;
use crate::event::{MembershipChange, NodeChange, Readiness};
use crate::membership::{Member, MemberRole, Membership};
use crate::message::{AppendOutcome, Message, TimeoutNow};
use crate::naming;
use crate::progress::{Departure, Peer};
use crate::promotion;
use crate::raft::Raft;
use crate::role::Role;
use crate::run::Payloads;
use crate::types::{EntryId, EntryKind, Incarnation, Index, NodeId, RequestId};
use alloc::vec::Vec;

impl Raft {
    #[cold]
    pub(crate) fn change_membership(
        &mut self,
        id: RequestId,
        change: MembershipChange,
        actions: &mut Vec<Action>,
    ) {
        let admitted = self.admit_change(&change);
        let outcome = match &admitted {
            Ok(_) => Ok(EntryId {
                index: self.log.last().index.next(),
                term: self.hard_state.term(),
            }),
            Err(error) => Err(*error),
        };
        actions.push(Action::ChangeProposed { id, outcome });
        if let Ok(membership) = admitted {
            self.append_membership(membership, actions);
        }
    }

    /// The configuration to append for a change: the wanted one, or the joint one on the way.
    pub(crate) fn admit_change(
        &self,
        change: &MembershipChange,
    ) -> Result<Membership, ChangeError> {
        let Role::Leader(leader) = &self.role else {
            let leader = self.leader();
            return Err(ChangeError::NotLeader { leader });
        };
        if let Some(handover) = &leader.handover {
            let target = handover.target;
            return Err(ChangeError::Transferring { target });
        }
        if !self.has_committed_in_term() {
            return Err(ChangeError::NoCommitInTerm);
        }
        let latest = self.configurations.latest();
        let (index, current) = (latest.index, &latest.membership);
        if change.expected.is_some_and(|expected| expected != index) {
            return Err(ChangeError::Changed { index });
        }
        if index > self.commit_index() || current.is_joint() {
            return Err(ChangeError::InProgress { index });
        }
        let target = target_of(current, change)?;
        if target == *current {
            return Err(ChangeError::NothingChanges);
        }
        let target = target.with_members(target.members().iter().map(|it| self.named(it)));
        let is_unnamed = |id: &NodeId| target.get(*id).is_some_and(|it| it.incarnation.is_none());
        if let Some(node) = target.voters().find(is_unnamed)
            && target.history().is_some()
        {
            return Err(ChangeError::UnknownIncarnation(node));
        }
        if target.voters().next().is_none() {
            return Err(ChangeError::NoVoters);
        }
        self.check_levels(current, &target)?;
        if change.readiness == Readiness::Checked {
            let new_voters = target.voters().filter(|id| !current.is_voter(*id));
            for node in new_voters {
                let named = target.get(node).and_then(|member| member.incarnation);
                self.check_caught_up(node, named)?;
            }
        }
        let next = if is_simple(current, &target) {
            target
        } else {
            naming::keeps_voters(current, &target)?;
            promotion::keeps_wishes(current, &target)?;
            current.joint_with(&target)
        };
        let size = next.encoded_len();
        let limit = Membership::MAX_BYTES.min(leader.command_limit.bytes);
        if size > limit {
            return Err(ChangeError::TooLarge { size, limit });
        }
        // The change itself, and the end of a joint one.
        if Index::MAX.since(self.log.last().index) < 2 {
            return Err(ChangeError::LogFull);
        }
        Ok(next)
    }

    /// A new voter without the log would hold up commits until it has caught up (thesis 4.2.1).
    /// What another storage under its number has shown says nothing about this one.
    fn check_caught_up(&self, node: NodeId, named: Option<Incarnation>) -> Result<(), ChangeError> {
        let Role::Leader(leader) = &self.role else {
            return Ok(());
        };
        if node == self.config.node_id {
            return Ok(());
        }
        let last = self.log.last().index;
        let is_it = |peer: &&Peer| peer.incarnation == named;
        let peer = leader.member(node).filter(is_it);
        let match_index = peer.map_or(Index::ZERO, |peer| peer.match_index);
        let timeout = self.config.election_timeout_max;
        let alive = peer.is_some_and(|peer| peer.heard_within(timeout, self.now));
        if alive && last.since(match_index) <= self.config.max_promotion_lag {
            return Ok(());
        }
        Err(ChangeError::NotCaughtUp {
            node,
            match_index,
            last,
        })
    }

    /// Appends a configuration. From this moment it is in force.
    pub(crate) fn append_membership(&mut self, membership: Membership, actions: &mut Vec<Action>) {
        self.put_membership(membership, actions);
        self.replicate_to_all(actions);
        // A majority may be smaller than before.
        self.advance_commit(actions);
    }

    /// Puts a configuration into the log and in force, and sends nothing yet.
    pub(crate) fn put_membership(&mut self, membership: Membership, actions: &mut Vec<Action>) {
        let index = self.log.last().index.next();
        self.append(EntryKind::Membership, Payloads::One(membership.encode()));
        self.configurations.push(index, membership);
        self.membership_changed(actions);
        self.reconfigure(index);
    }

    /// Another configuration is in force than before.
    pub(crate) fn membership_changed(&mut self, actions: &mut Vec<Action>) {
        let Configuration { index, membership } = self.configurations.latest().clone();
        actions.push(Action::MembershipChanged { index, membership });
        self.compare_incarnations(actions);
        self.redraw_timeout();
    }

    /// Replicates to all members from now on, and still to those that leave.
    fn reconfigure(&mut self, index: Index) {
        let (own, now) = (self.config.node_id, self.now);
        let last = self.log.last().index;
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        // Answers to earlier rounds are of servers that had these numbers before.
        let added_in_round = leader.reads.round + 1;
        for member in self.configurations.membership().members() {
            let slot = leader
                .peers
                .binary_search_by_key(&member.id, |peer| peer.id);
            let mut peer = Peer::new(member.id, last, now);
            peer.incarnation = member.incarnation;
            peer.added_in_round = added_in_round;
            match slot {
                // It was removed and comes back, or another storage takes its place: nothing is
                // known of it.
                Ok(slot) if leader.peers[slot].is_succeeded_by(&peer) => leader.peers[slot] = peer,
                Ok(_) => {}
                Err(_) if member.id == own => {}
                Err(slot) => leader.peers.insert(slot, peer),
            }
        }
        let is_new = |peer: &Peer| peer.added_in_round == added_in_round;
        if leader.peers.iter().any(is_new) {
            leader.reads.begin_round(now, &self.config);
        }
        let membership = self.configurations.membership();
        for peer in &mut leader.peers {
            peer.set_voter(membership.is_voter(peer.id), now);
        }
        leader.open_change = Some(index);
        self.release_unused_snapshots();
        self.limit_commands();
    }

    /// The latest configuration is committed. "Once C_old,new has been committed, it is now safe
    /// for the leader to create a log entry describing C_new"; and a leader that is not part of
    /// C_new steps down once that is committed (section 6).
    pub(crate) fn finish_change(&mut self, actions: &mut Vec<Action>) {
        let commit_index = self.commit_index.get();
        let membership = self.configurations.membership();
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        if leader.open_change.is_none_or(|index| index > commit_index) {
            return;
        }
        leader.open_change = None;
        if membership.is_joint() {
            if self.log.last().index < Index::MAX {
                let next = membership.after_joint();
                self.append_membership(next, actions);
            }
            return;
        }
        let stays = self.votes_in(self.configurations.membership());
        self.begin_departures();
        if !stays {
            self.hand_over_and_leave(actions);
        }
    }

    /// The latest configuration is committed: peers that are no members by it are to be told.
    fn begin_departures(&mut self) {
        let Configuration { index, membership } = self.configurations.latest();
        let (index, now) = (*index, self.now);
        let until = now.after(10 * self.config.election_timeout_max);
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let is_gone = |peer: &Peer| membership.get(peer.id).is_none();
        if !leader.peers.iter().any(is_gone) {
            return;
        }
        leader.reads.begin_round(now, &self.config);
        let round = leader.reads.round;
        for peer in leader.peers.iter_mut().filter(|peer| is_gone(peer)) {
            peer.departure.get_or_insert(Departure {
                index,
                round,
                until,
            });
        }
    }

    /// `from` has answered `round`. If it was removed, and now knows that, the leader forgets it.
    pub(crate) fn end_departure(&mut self, from: NodeId, round: u64, outcome: &AppendOutcome) {
        let Some(departure) = self.peer_mut(from).and_then(|peer| peer.departure) else {
            return;
        };
        let knows = match outcome {
            // Its commitIndex is at least the lesser of the message's and `received` (Figure 2,
            // AppendEntries, step 5).
            AppendOutcome::Accepted { received, .. } => {
                round >= departure.round && *received >= departure.index
            }
            AppendOutcome::Rejected { .. } | AppendOutcome::Lost { .. } | AppendOutcome::Stale => {
                false
            }
        };
        if knows {
            self.forget_departed(|peer| peer.id == from);
        }
    }

    /// Gives up the removed peers that have not answered for too long.
    pub(crate) fn expire_departures(&mut self) {
        let now = self.now;
        self.forget_departed(|peer| peer.departure.is_some_and(|it| it.until <= now));
    }

    fn forget_departed(&mut self, is_over: impl Fn(&Peer) -> bool) {
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let before = leader.peers.len();
        leader.peers.retain(|peer| !is_over(peer));
        if leader.peers.len() < before {
            self.release_unused_snapshots();
        }
    }

    fn hand_over_and_leave(&mut self, actions: &mut Vec<Action>) {
        if let Some(to) = self.best_successor()
            && let Role::Leader(leader) = &self.role
        {
            let message = Message::TimeoutNow(TimeoutNow {
                term: self.hard_state.term(),
                transfer: leader.transfers_begun + 1,
            });
            actions.push(Action::Send { to, message });
        }
        self.become_follower(None, actions);
    }

    /// A follower's log is replaced from `first` on by `entries`. The configurations among them
    /// come into force, and those that were there no longer are.
    pub(crate) fn replace_configurations(
        &mut self,
        first: Index,
        entries: &Entries,
        actions: &mut Vec<Action>,
    ) {
        if !configurations::any(entries) && self.configurations.latest().index < first {
            return;
        }
        let before = self.configurations.latest().clone();
        self.configurations.truncate(first);
        let taken = self.configurations.extend(entries, first);
        debug_assert!(taken.is_ok(), "a damaged configuration is not admitted");
        if before != *self.configurations.latest() {
            self.membership_changed(actions);
        }
    }
}

/// The members after the change.
fn target_of(current: &Membership, change: &MembershipChange) -> Result<Membership, ChangeError> {
    let mut members: Vec<Member> = current.members().to_vec();
    let mut named: Vec<NodeId> = Vec::with_capacity(change.nodes.len());
    for node in &change.nodes {
        let id = node.node();
        if named.contains(&id) {
            return Err(ChangeError::NamedTwice(id));
        }
        named.push(id);
        let found = members.iter().position(|member| member.id == id);
        let known = found.ok_or(ChangeError::UnknownNode(id));
        match node {
            NodeChange::Set(member) => {
                if member.role.is_joint() {
                    return Err(ChangeError::InvalidRole(id));
                }
                match found {
                    // A position found.
                    Some(at) => members[at] = naming::successor(&members[at], member)?,
                    None => members.push(member.clone()),
                }
            }
            NodeChange::Promote(_) => members[known?].role = MemberRole::Voter,
            NodeChange::Demote(_) => members[known?].role = MemberRole::Learner,
            NodeChange::Remove(_) => {
                members.remove(known?);
            }
            NodeChange::Update {
                priority, context, ..
            } => {
                let member = &mut members[known?];
                member.priority = priority.unwrap_or(member.priority);
                if let Some(context) = context {
                    member.context = context.clone();
                }
            }
        }
    }
    Ok(current.with_members(members))
}

/// Whether the voters differ by at most one (thesis 4.1).
fn is_simple(current: &Membership, target: &Membership) -> bool {
    let added = target.voters().filter(|id| !current.is_voter(*id));
    let removed = current.voters().filter(|id| !target.is_voter(*id));
    added.count() + removed.count() <= 1
}
