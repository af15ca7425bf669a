//! Liveness: once all faults are over and a quorum has healed, the cluster recovers within a
//! bounded time. There is one leader, it commits what is proposed, and every client has its answer.
//! Every member that has healed has applied all that is committed, with the same result (section
//! 5.4.3, last paragraph: timing may affect availability, but must not do so for ever).

use crate::failure::Failure;
use crate::machine::Machine;
use crate::world::World;
use core::time::Duration;
use raft_proto::{Membership, Proposal, Raft, RoleKind};

/// How long a read may wait for its answer: longer than any election timeout.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// What a healthy cluster still lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing: it is live.
    Nothing,
    /// The last proposal: it was not made, or its leader was replaced.
    Probe {
        /// The place of the leader that can take it.
        leader: usize,
    },
    /// Something else.
    Other(String),
}

/// The machines that have healed, by their places.
fn healed(world: &World) -> impl Iterator<Item = (usize, &Machine)> {
    let machines = world.machines().iter().enumerate();
    machines.filter(|(place, _)| !world.is_gone(*place))
}

/// Whether a machine is a member, and not another disk under a member's number.
fn counts_in(membership: &Membership, machine: &Machine) -> bool {
    membership.get(machine.id()).is_some() && !machine.is_foreign_to(membership)
}

/// What the cluster lacks now.
pub fn missing(world: &World, probe: Option<Proposal>) -> Missing {
    let other = Missing::Other;
    if let Some((_, down)) = healed(world).find(|(_, node)| node.raft().is_none()) {
        return other(format!("{} runs", down.id()));
    }
    if let Some(id) = world.unanswered_read(READ_LIMIT) {
        return other(format!("an answer to {id}"));
    }
    let has_healed = |node| healed(world).any(|(_, machine)| machine.id() == node);
    let mut unanswered = world.operator().unanswered();
    if let Some((id, node)) = unanswered.find(|(_, node)| has_healed(*node)) {
        return other(format!("an answer of {node} to the operator's {id}"));
    }
    let leader = world.leader();
    let Some((at, leader)) = leader.and_then(|at| Some((at, world.machines()[at].raft()?))) else {
        return other("a leader".into());
    };
    if leader.membership().is_joint() {
        return other("the end of a change of the members".into());
    }
    let is_member = |id| leader.membership().get(id).is_some();
    let is_counted = |node: &Machine| counts_in(leader.membership(), node);
    let rafts = healed(world).filter_map(|(_, node)| node.raft());
    let leads = |raft: &&Raft| raft.role() == RoleKind::Leader && is_member(raft.id());
    if rafts.filter(leads).count() > 1 {
        return other("only one leader".into());
    }
    // A probe that is not in the leader's log as a whole is lost, unless a snapshot covers it. A
    // probe of an earlier term does not commit the entries that term left behind (section 5.4.2).
    let stands = |probe: &Proposal| {
        let (index, term) = (probe.last_index(), probe.first.term);
        let is_there = index < leader.log_base().index || leader.term_at(index) == Some(term);
        is_there && term == leader.term()
    };
    let Some(probe) = probe.filter(stands) else {
        return Missing::Probe { leader: at };
    };
    for (_, machine) in healed(world).filter(|(_, machine)| is_counted(machine)) {
        let id = machine.id();
        if machine.raft().and_then(Raft::leader) != Some(leader.id()) {
            return other(format!("{id} knows that {} leads", leader.id()));
        }
        let (applied, last) = (machine.service.last.index, leader.last_log().index);
        if applied < last || applied < probe.last_index() {
            return other(format!("{id} applies up to {last}; it is at {applied}"));
        }
    }
    if let Some(client) = world.clients().waiting() {
        return other(format!("an answer to client c{client}"));
    }
    Missing::Nothing
}

/// All members that have healed have the same state.
///
/// # Errors
///
/// [`Failure::StatesDiffer`].
pub fn same_states(world: &World) -> Result<(), Failure> {
    let leader = world.leader().and_then(|at| world.machines()[at].raft());
    let is_member =
        |node: &Machine| leader.is_some_and(|leader| counts_in(leader.membership(), node));
    let members = healed(world).map(|(_, node)| node);
    let members: Vec<&Machine> = members.filter(|node| is_member(node)).collect();
    for pair in members.windows(2) {
        let [first, second] = pair else { continue };
        if first.service != second.service {
            return Err(Failure::StatesDiffer {
                first: first.id(),
                second: second.id(),
            });
        }
    }
    Ok(())
}
