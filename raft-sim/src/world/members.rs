//! Members: what the operator asks for, and whether quorums still meet.

use super::World;
use super::event::{MachineEvent, OperatorRequest, Phase, SimulationEvent};
use crate::checker::durability::{self, Holds};
use crate::checker::membership_safety::{self, MemberView};
use crate::checker::quorum::has_quorum;
use crate::checker::{electable, election_quorum};
use crate::machine::Machine;
use crate::operator::Inventory;
use crate::schedule::Place;
use crate::schedule::nemesis::TargetRole;
use core::time::Duration;
use raft_proto::{EntryId, Index, Input, Membership, NodeId, Readiness, RequestId, RoleKind, Term};

impl World {
    /// How often the operator looks after a server that came back as another one.
    pub(super) const REPAIR_EVERY: Duration = Duration::from_millis(400);
    /// How often at most.
    const REPAIRS: u32 = 25;

    fn operator_request(&mut self, place: usize) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.operator.asked(id, self.machines[place].id());
        id
    }

    pub(super) fn ask_for_transfer(&mut self, to: Option<Place>) {
        self.ask(OperatorRequest::Transfer(to));
    }

    /// The leader is asked; one that stands still hears it later.
    fn ask(&mut self, chore: OperatorRequest) {
        if let Some(place) = self.leader() {
            let what = MachineEvent::Operator(Box::new(chore));
            self.happens(SimulationEvent::At { place, what });
        }
    }

    /// A server hears what the operator asks. Which change that comes to is found out now: disks
    /// may have been lost since it was asked.
    pub(super) fn chore(&mut self, place: usize, chore: &OperatorRequest) {
        if self.machines[place].raft().is_none() || self.phase == Phase::Liveness {
            return;
        }
        match chore {
            OperatorRequest::Transfer(to) => {
                let target = to.and_then(|place| self.machines.get(place.0));
                let target = target.map(|node| node.id());
                let id = self.operator_request(place);
                self.give(place, Input::TransferLeadership { id, target });
            }
            OperatorRequest::Change(roles, readiness) => {
                let ids: Vec<NodeId> = self.machines.iter().map(|node| node.id()).collect();
                let inventory = Inventory {
                    ids: &ids,
                    lost: &self.lost,
                };
                let current = self.machines[place].membership();
                if let Some(change) = inventory.change(current, roles, *readiness) {
                    let id = self.operator_request(place);
                    self.give(place, Input::ChangeMembership { id, change });
                }
            }
        }
    }

    /// A change that an operator wants, at once or of the next leader, as soon as there is one:
    /// what a leader does before it has committed anything is where mistakes show.
    pub(super) fn want_change(
        &mut self,
        roles: Vec<(Place, TargetRole)>,
        is_forced: bool,
        is_for_next: bool,
    ) {
        if is_for_next || self.leader().is_none() {
            self.wanted_change = Some((roles, is_forced));
        } else {
            self.ask_for_change(&roles, is_forced);
        }
    }

    /// A leader has been elected.
    pub(super) fn greet_leader(&mut self) {
        if let Some((roles, is_forced)) = self.wanted_change.take()
            && self.phase == Phase::Safety
        {
            self.ask_for_change(&roles, is_forced);
        }
    }

    fn ask_for_change(&mut self, roles: &[(Place, TargetRole)], is_forced: bool) {
        let readiness = match is_forced {
            true => Readiness::Forced,
            false => Readiness::Checked,
        };
        self.ask(OperatorRequest::Change(roles.to_vec(), readiness));
    }

    /// The node that is gone is to be removed, the one in its place to learn and then to vote.
    pub(super) fn repair(&mut self, place: usize, tries: u32) {
        if self.phase == Phase::Liveness {
            return;
        }
        let id = self.machines[place].id();
        if let Some(leader) = self.leader() {
            let members = self.machines[leader].membership();
            let is_stale = |id: &NodeId| self.lost.contains(id);
            let stale = members.members().iter().any(|member| is_stale(&member.id));
            let wish = match members.get(id) {
                Some(_) if members.is_voter(id) && !stale => return,
                Some(_) => TargetRole::Voter,
                None => TargetRole::Learner,
            };
            self.ask_for_change(&[(Place(place), wish)], false);
        }
        if tries < Self::REPAIRS {
            let tries = tries + 1;
            self.schedule(Self::REPAIR_EVERY, SimulationEvent::Repair { place, tries });
        }
    }

    /// A node changes its role: from here two of them may be elected.
    pub(super) fn role_changed(&mut self, at: usize, role: RoleKind, term: Term) {
        self.has_new_members = true;
        if role == RoleKind::Leader {
            self.judge_election(at, term);
        }
        if role == RoleKind::Leader && self.wanted_change.is_some() {
            self.schedule(Duration::ZERO, SimulationEvent::Elected);
        }
    }

    /// A node has been elected: a majority has to have voted for it.
    fn judge_election(&mut self, at: usize, term: Term) {
        let node = &self.machines[at];
        let leader = node.id();
        let voted = |id: NodeId| {
            let voter = &self.machines[self.place(id)];
            let state = voter.disk().hard_state();
            let has_voted =
                state.term > term || state.term == term && state.voted_for == Some(leader);
            // Nobody knows any more what a disk held that is gone.
            has_voted || voter.id() != id
        };
        let judged = election_quorum::check(leader, term, node.membership(), voted);
        if let Err(broken) = judged {
            self.fail(broken);
        }
    }

    /// Another configuration is in force at a node.
    pub(super) fn members_changed(&mut self, at: usize, index: Index, membership: Membership) {
        self.machines[at].members_changed(index, membership.clone());
        self.has_new_members = true;
        let seen = (index, membership);
        if index > self.committed_since && !self.pending_members.contains(&seen) {
            self.pending_members.push(seen);
        }
    }

    /// All configurations that are in force, or may come into force.
    fn configurations(&self) -> impl Iterator<Item = &Membership> {
        let nodes = self.machines.iter().map(|node| node.membership());
        let pending = self.pending_members.iter().map(|(_, members)| members);
        let all = nodes.chain(pending).chain([&self.committed_members]);
        // Who has yet to join knows of none.
        all.filter(|members| !members.is_empty())
    }

    /// Whether all configurations that may be in force have a majority without this one.
    pub(super) fn can_lose(&self, place: usize) -> bool {
        let id = self.machines[place].id();
        self.configurations()
            .all(|members| has_quorum(members, |other| other != id && self.counts(other)))
    }

    /// Whether a majority can be built on this node: its disk is there, and it knows that it votes.
    /// One that others take for a voter, but is none by its own log, may have the log that is most
    /// up to date: it then votes for nobody, and does not stand itself.
    fn counts(&self, id: NodeId) -> bool {
        let node = &self.machines[self.place(id)];
        node.id() == id && !self.lost.contains(&id) && node.membership().is_voter(id)
    }

    /// An entry has been committed, by the node in this place, that was not before: it has to be
    /// on the disks of a majority, and nobody may be able to lead without it. `members_since` tells
    /// which configuration was in force before the step.
    pub(super) fn judge_commit(&mut self, at: usize, members_since: Index) {
        let index = self.recorder.commit_index();
        self.judged = index;
        let Some(raft) = self.machines[at].raft() else {
            return;
        };
        let Some(term) = raft.term_at(index) else {
            return;
        };
        let node = &self.machines[at];
        let (leader, members) = (raft.id(), raft.membership());
        let entry = EntryId { index, term };
        let holds = |id: NodeId| {
            let node = &self.machines[self.place(id)];
            match node.id() == id {
                true if node.disk().holds(entry) => Holds::Yes,
                true => Holds::No,
                false => Holds::Lost,
            }
        };
        let has = |id: NodeId| {
            let node = &self.machines[self.place(id)];
            match node.raft() {
                Some(raft) => raft.log_base().index >= index || raft.term_at(index) == Some(term),
                None => node.disk().holds(entry),
            }
        };
        // A step may have appended another configuration before it committed, or after.
        let before = node.membership_at(members_since);
        let judged = durability::committed(entry, leader, members, holds)
            .or_else(|_| durability::committed(entry, leader, before, holds))
            .and_then(|()| electable::check(entry, leader, &self.views(), has));
        // A configuration that is not committed yet may come to nothing.
        let since = self.machines[at].members_since;
        if since <= index && since != self.committed_since {
            self.committed_members = members.clone();
            self.committed_since = since;
            self.pending_members.retain(|(index, _)| *index > since);
        }
        if let Err(broken) = judged {
            self.fail(broken);
        }
    }

    /// No two nodes may be able to win an election in the same term.
    pub(super) fn judge_members(&mut self) {
        self.has_new_members = false;
        if let Err(broken) = membership_safety::check(&self.views()) {
            self.fail(broken);
        }
    }

    /// All nodes, as they would vote and stand for election.
    fn views(&self) -> Vec<MemberView<'_>> {
        self.machines.iter().filter_map(view).collect()
    }

    /// Whether all configurations that may be in force have a majority of nodes that are not gone.
    pub(super) fn can_do_without(&self, gone: &[bool]) -> bool {
        self.configurations()
            .all(|members| has_quorum(members, |id| !gone[self.place(id)] && self.counts(id)))
    }
}

/// How a node would vote and stand for election; nothing if it never starts again.
fn view(node: &Machine) -> Option<MemberView<'_>> {
    (!node.faults.is_rotten).then(|| MemberView {
        node: node.id(),
        last_log: node.last_log(),
        stored: node.disk().last_id(),
        membership: Some(node.own_membership()),
    })
}
