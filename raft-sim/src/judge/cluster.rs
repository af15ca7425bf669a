//! The judge looks at all machines together: elections, commits, and which nodes could be elected.

use super::Judge;
use crate::checker::durability::{self, Holds};
use crate::checker::membership_safety::{self, MemberView};
use crate::checker::{disk_identity, electable, election_quorum, own_disk};
use crate::machine::Machine;
use crate::settings::place_of;
use raft_proto::{EntryId, Index, Membership, NodeId, Term};

/// The machine in the place of `id`; another node may have taken over that place.
fn machine_of(machines: &[Machine], id: NodeId) -> &Machine {
    &machines[place_of(id, machines.len())] // One for each place.
}

/// How a node would vote and stand for election; `None` if it never starts again.
fn view(machine: &Machine) -> Option<MemberView<'_>> {
    // One whose disk has lost entries has no part in an election until it has them again.
    let takes_part = !machine.faults.is_rotten && !machine.disk().is_impaired();
    takes_part.then(|| MemberView {
        node: machine.id(),
        last_log: machine.last_log(),
        stored: machine.disk().last_id(),
        membership: Some(machine.own_membership()).filter(|it| stands_by(machine, it)),
        incarnation: machine.disk().incarnation(),
    })
}

/// Whether the node in this place can be elected by a majority of `membership`, its own.
fn stands_by(machine: &Machine, membership: &Membership) -> bool {
    let is_founding = membership.history().is_none() && machine.last_log() == EntryId::ZERO;
    machine.is_named_in(membership) && !(is_founding && machine.config().incarnation.is_some())
}

fn views(machines: &[Machine]) -> Vec<MemberView<'_>> {
    machines.iter().filter_map(view).collect()
}

impl Judge {
    /// Roles, members or disks have changed.
    pub fn cluster_changed(&mut self) {
        self.has_cluster_changed = true;
    }

    /// The node in the place `at` leads in `term`: a majority must have voted for it.
    pub fn check_election(&mut self, machines: &[Machine], at: usize, term: Term) {
        let machine = &machines[at];
        let leader = machine.id();
        let voted = |id: NodeId| {
            let voter = machine_of(machines, id);
            let state = voter.disk().hard_state();
            let may_have_voted =
                state.term > term || state.term == term && state.voted_for == Some(leader);
            // What a lost disk held is not known any more.
            may_have_voted || voter.id() != id || voter.is_foreign_to(machine.membership())
        };
        let result = election_quorum::check(leader, term, machine.membership(), voted);
        self.require(result);
    }

    /// A process has taken a step: what it takes for durable must be on its disk.
    pub fn check_durable(&mut self, machine: &Machine) {
        let Some(raft) = machine.raft() else {
            return;
        };
        let (index, last) = (raft.durable_index(), raft.last_log());
        let term = match raft.term_at(index) {
            Some(term) => term,
            None if index > last.index => last.term, // No disk holds it.
            None => return,                          // It is compacted, and its term forgotten.
        };
        let holds = |entry| machine.disk().holds(entry);
        let entry = EntryId { index, term };
        let result = self.own_disk.durable(raft.id(), entry, holds);
        self.require(result);
    }

    /// A process sends a message: the disk must be known by the name that the message carries.
    pub fn check_said(&mut self, machine: &Machine) {
        if let Some(raft) = machine.raft() {
            let (spoken, stored) = (raft.incarnation(), machine.disk().incarnation());
            let result = disk_identity::said(raft.id(), spoken, stored);
            self.require(result);
        }
    }

    /// A process hands out entries, or a snapshot, up to `entry`: they must be on its disk.
    pub fn check_handed_out(&mut self, machine: &Machine, entry: EntryId) {
        let holds = |entry| machine.disk().holds(entry);
        let result = own_disk::handed_out(machine.id(), entry, holds);
        self.require(result);
    }

    /// Whether an entry has been committed that was not checked yet.
    pub fn has_new_commit(&self) -> bool {
        self.commit_index() > self.checked_commit
    }

    /// The node in the place `at` has committed an entry: a majority must have it on disk, and no
    /// node that lacks it may be electable. `members_since` tells which configuration the node used
    /// before the step. Returns the index of the entry, if the node's log still tells its term.
    pub fn check_commit(
        &mut self,
        machines: &[Machine],
        at: usize,
        members_since: Index,
    ) -> Option<Index> {
        let index = self.commit_index();
        self.checked_commit = index;
        let machine = &machines[at];
        let raft = machine.raft()?;
        let term = raft.term_at(index)?;
        let entry = EntryId { index, term };
        let in_force = raft.membership();
        let holds = |id: NodeId| {
            let machine = machine_of(machines, id);
            if machine.id() != id || machine.is_foreign_to(in_force) {
                Holds::Lost
            } else if machine.disk().has_lost(entry) {
                // It held the entry when it acknowledged it.
                Holds::Lost
            } else if !machine.disk().holds(entry) {
                Holds::No
            } else if machine.disk().hard_state().term < raft.term() {
                Holds::WithoutTerm
            } else {
                Holds::Yes
            }
        };
        let has_entry = |id: NodeId| {
            let machine = machine_of(machines, id);
            match machine.raft() {
                Some(raft) => raft.log_base().index >= index || raft.term_at(index) == Some(term),
                None => machine.disk().holds(entry),
            }
        };
        // A step may have appended another configuration before it committed, or after.
        let (after, before) = (raft.membership(), machine.membership_at(members_since));
        let result = durability::committed(entry, raft.id(), after, holds)
            .or_else(|_| durability::committed(entry, raft.id(), before, holds))
            .and_then(|()| electable::check(entry, raft.id(), &views(machines), has_entry));
        self.require(result);
        Some(index)
    }

    /// If something has changed: no two nodes may be able to win an election in the same term.
    pub fn check_quorums(&mut self, machines: &[Machine]) {
        if core::mem::take(&mut self.has_cluster_changed) {
            let result = membership_safety::check(&views(machines));
            self.require(result);
        }
    }
}
