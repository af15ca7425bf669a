//! The end of all faults.

use super::World;
use super::event::Phase;
use crate::checker::quorum::has_quorum;
use crate::coverage::CoverageMark;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::service::Command;
use crate::settings::Heal;
use raft_proto::{Commands, NodeId, Proposal, ProposeError, Raft, Time};

impl World {
    /// Ends all faults: links work, crashed processes restart, disks are fast, clocks run, and
    /// clients begin no new operations. If the settings say so, only a quorum heals: of the other
    /// machines some stay down, and some stay cut off.
    pub fn heal(&mut self) {
        self.phase = Phase::Liveness;
        self.fact(format_args!("all faults end"));
        self.clients.drain();
        self.undo_reconfigurations();
        self.end_faults();
        // What a disk lacks may be on any of the others: none of these may stay away.
        if self.settings.heal == Heal::Quorum && !self.is_any_incomplete() {
            self.leave_some_broken();
        }
    }

    /// Links work, crashed processes restart, disks are as fast as the settings say, clocks run.
    pub(super) fn end_faults(&mut self) {
        self.observe_healing();
        self.network.heal();
        self.recorder.coverage.links_healed();
        for place in 0..self.machines.len() {
            self.stalls[place].heal();
            self.machines[place].faults.heal();
            self.resume(place);
            self.thaw(place);
            self.start(place);
        }
    }

    /// Draws machines that do not heal, as long as a quorum does.
    fn leave_some_broken(&mut self) {
        let mut gone = self.gone.clone();
        let mut order: Vec<usize> = (0..self.machines.len()).collect();
        for at in (1..order.len()).rev() {
            let other = self.random.below(at as u64 + 1) as usize;
            order.swap(at, other);
        }
        for place in order {
            gone[place] = self.random.chance(800);
            gone[place] &= self.can_do_without(&gone) && self.can_promote_without(&gone);
        }
        let gone: Vec<usize> = (0..gone.len()).filter(|place| gone[*place]).collect();
        if !gone.is_empty() {
            self.recorder.coverage.hit(CoverageMark::QuorumOnlyHealed);
        }
        for place in gone {
            self.gone[place] = true;
            let id = self.machines[place].id();
            if self.random.chance(500) {
                self.crash(place);
            } else {
                self.fact(format_args!("{id} stays cut off"));
                self.cut_off(&[place], Time::NEVER);
            }
        }
    }

    /// Whether the machine in this place never heals.
    pub fn is_gone(&self, place: usize) -> bool {
        self.gone[place]
    }

    /// Proposes a command at the node in this place. Returns the outcome; `None` if the node does
    /// not run.
    pub fn probe(&mut self, place: usize) -> Option<Result<Proposal, ProposeError>> {
        let command: Command = Command::Open { nonce: 0 };
        self.propose(place, Commands::from(command.encode()), &[])
    }

    /// The run is over, and all machines that have healed have caught up. The leader must have all
    /// that clients were told is committed, and what clients saw must be linearizable.
    ///
    /// # Errors
    ///
    /// The first failure.
    pub fn finish(&mut self) -> Result<(), Failure> {
        if let Some(leader) = self.leader()
            && let Some(raft) = self.machines[leader].raft()
        {
            self.judge.check_acknowledged(raft)?;
        }
        self.clients.counts.unchecked_keys += self.judge.finish_client_history()?;
        Ok(())
    }

    /// The same, for a cluster that has lost more disks than it can do without: it owes to say so,
    /// and what clients saw must be linearizable. What was acknowledged may be lost; a server that
    /// led before still takes itself for the leader where CheckQuorum is off.
    ///
    /// # Errors
    ///
    /// The first failure.
    pub fn finish_without_majority(&mut self) -> Result<(), Failure> {
        if let Some(node) = self.silent_node() {
            return Err(Failure::LossUnsaid { node });
        }
        self.clients.counts.unchecked_keys += self.judge.finish_client_history()?;
        Ok(())
    }

    /// A node that does not say that disks are lost, neither by itself nor by its leader or the
    /// candidate that it votes for, although no majority is left.
    ///
    /// A node learns of other disks from answers to its requests for votes, and so only a node that
    /// campaigns owes to know. A node that was told that it is removed is no voter, whatever its own
    /// configuration says. One whose disk has lost entries does not campaign either: it is one of
    /// the disks that are lost, as long as nobody leads, and says that of itself.
    fn silent_node(&self) -> Option<NodeId> {
        let has_majority =
            |raft: &Raft| has_quorum(raft.membership(), |id| self.is_sound(raft.membership(), id));
        let says = |raft: &Raft| {
            let knows_nobody = raft.membership().is_empty();
            !raft.foreign_incarnations().is_empty()
                || raft.replaced_by().is_some()
                || raft.is_impaired()
                || raft.missing_founders().next().is_some()
                || self.judge.is_refused_founder(raft.id())
                || knows_nobody
        };
        // A voter that another one always asks first hears nobody else.
        let by_another = |raft: &Raft| {
            let other = raft.leader().or(raft.voted_for());
            let other = other.filter(|id| *id != raft.id());
            let other = other.and_then(|id| self.machines[self.place(id)].raft());
            other.is_some_and(|other| says(other) || has_majority(other))
        };
        let is_silent = |raft: &&Raft| {
            let counts = raft.membership().is_voter(raft.id()) && raft.removed_at().is_none();
            counts && !says(raft) && !by_another(raft) && !has_majority(raft)
        };
        let mut rafts = self.machines.iter().filter_map(Machine::raft);
        rafts.find(is_silent).map(Raft::id)
    }
}
