//! Changes of the members, and leadership transfers: what the operator asks of the leader.

use super::World;
use super::event::{MachineEvent, Phase, SimulationEvent};
use crate::operator::{Inventory, MembershipRequest, OperatorRequest, update_of};
use crate::schedule::Place;
use crate::schedule::nemesis::TargetRole;
use core::time::Duration;
use raft_proto::{Incarnation, Index, Input, NodeChange, NodeId, Readiness, RequestId};

impl World {
    /// How often the operator sees to a machine that came back under a new identity.
    pub(super) const REPAIR_EVERY: Duration = Duration::from_millis(400);
    /// How many times at most.
    const REPAIRS: u32 = 25;

    /// The operator asks the leader, if there is one. A leader that stands still hears it later.
    pub(super) fn ask_leader(&mut self, request: OperatorRequest) {
        if let Some(place) = self.leader() {
            self.ask_node(place, request);
        }
    }

    /// The operator asks one node. One that stands still hears it later.
    pub(super) fn ask_node(&mut self, place: usize, request: OperatorRequest) {
        let event = MachineEvent::OperatorRequest(Box::new(request));
        self.happen(SimulationEvent::Machine { place, event });
    }

    /// As [`ask_leader`](World::ask_leader), or as soon as there is a leader.
    pub(super) fn ask_leader_or_next(&mut self, request: OperatorRequest) {
        if self.leader().is_none() {
            self.change_for_next_leader = Some(request);
        } else {
            self.ask_leader(request);
        }
    }

    /// The operator's request arrives. Which change it comes to is found out only now: disks may
    /// have been lost since it was sent.
    pub(super) fn operator_request(&mut self, place: usize, request: &OperatorRequest) {
        if self.machines[place].raft().is_none() || self.phase != Phase::Safety {
            return;
        }
        match request {
            OperatorRequest::Transfer(to) => {
                let target = to.and_then(|place| self.machines.get(place.0));
                let target = target.map(|machine| machine.id());
                let id = self.new_operator_request(place);
                self.give(place, Input::TransferLeadership { id, target });
            }
            OperatorRequest::Update { of, priority } => {
                if let Some(machine) = self.machines.get(of.0) {
                    let change = update_of(machine.id(), *priority);
                    let id = self.new_operator_request(place);
                    self.give(place, Input::ChangeMembership { id, change });
                }
            }
            OperatorRequest::Campaign => {
                let id = self.new_operator_request(place);
                self.give(place, Input::Campaign { id });
            }
            OperatorRequest::Reconfigure { setting, value } => {
                self.reconfigure(place, *setting, *value);
            }
            OperatorRequest::StepDown => {
                let id = self.new_operator_request(place);
                self.give(place, Input::StepDown { id });
            }
            OperatorRequest::Change(request) => {
                let ids: Vec<NodeId> = self.machines.iter().map(|machine| machine.id()).collect();
                let disks = self.machines.iter().map(|it| it.disk().incarnation());
                let disks: Vec<Option<Incarnation>> = disks.collect();
                let impaired = self.machines.iter().filter(|it| it.disk().is_impaired());
                let impaired: Vec<NodeId> = impaired.map(|machine| machine.id()).collect();
                let inventory = Inventory {
                    ids: &ids,
                    disks: &disks,
                    lost: &self.lost,
                    impaired: &impaired,
                };
                let current = self.machines[place].membership();
                let change = inventory.change(current, &request.roles, request.readiness);
                if let Some(mut change) = change {
                    change.expected = request.seen_by.and_then(|place| self.seen_by(place));
                    let id = self.new_operator_request(place);
                    self.give(place, Input::ChangeMembership { id, change });
                }
            }
        }
    }

    /// The configuration that the node in this place knows, if it runs.
    fn seen_by(&self, place: Place) -> Option<Index> {
        let raft = self.machines.get(place.0)?.raft()?;
        self.judge.latest_configuration(raft.id())
    }

    /// The operator asks a leader to remove a member.
    pub fn remove_member(&mut self, leader: usize, node: NodeId) {
        let id = self.new_operator_request(leader);
        let change = NodeChange::Remove(node).into();
        self.give(leader, Input::ChangeMembership { id, change });
    }

    pub(super) fn new_operator_request(&mut self, place: usize) -> RequestId {
        let id = self.new_request_id();
        self.operator.sent(id, self.machines[place].id());
        id
    }

    /// A leader has been elected: the change of the members that waits for one is asked for, right
    /// after this step.
    pub(super) fn schedule_change_for_next_leader(&mut self) {
        if self.change_for_next_leader.is_some() || self.waits_for_election() {
            self.schedule(Duration::ZERO, SimulationEvent::LeaderElected);
        }
    }

    /// Asks the new leader for the change that has waited. Mistakes show in what a leader does
    /// before it has committed anything.
    pub(super) fn leader_elected(&mut self) {
        if let Some(request) = self.change_for_next_leader.take()
            && self.phase == Phase::Safety
        {
            self.ask_leader(request);
        }
        self.elected_under_condition();
    }

    /// The operator removes the node that is gone. The node in its place becomes a learner first,
    /// and then a voter. So does another disk under the number of a member.
    pub(super) fn repair(&mut self, place: usize, tries: u32) {
        if self.phase != Phase::Safety {
            return;
        }
        let id = self.machines[place].id();
        if let Some(leader) = self.leader() {
            let members = self.machines[leader].membership();
            let is_lost = |id: &NodeId| self.lost.contains(id);
            let has_lost = members.members().iter().any(|member| is_lost(&member.id));
            let is_foreign = self.machines[place].is_foreign_to(members);
            let role = match members.get(id) {
                Some(_) if members.is_voter(id) && !has_lost && !is_foreign => return,
                Some(_) => TargetRole::Voter,
                None => TargetRole::Learner,
            };
            self.ask_leader(OperatorRequest::Change(MembershipRequest {
                roles: vec![(Place(place), role)],
                readiness: Readiness::Checked,
                seen_by: None,
            }));
        }
        if tries < Self::REPAIRS {
            let tries = tries + 1;
            self.schedule(Self::REPAIR_EVERY, SimulationEvent::Repair { place, tries });
        }
    }
}
