//! The end of all faults.

use super::World;
use super::event::Phase;
use crate::coverage::CoverageMark;
use crate::failure::Failure;
use crate::service::Command;
use crate::settings::Heal;
use raft_proto::{Commands, Proposal, ProposeError, Time};

impl World {
    /// Ends all faults: links work, crashed nodes restart, disks are fast, clocks run, clients ask
    /// for nothing new. If the settings say so, only a quorum gets better: of the others some are
    /// gone, and some are cut off.
    pub fn heal(&mut self) {
        self.phase = Phase::Liveness;
        self.fact(format_args!("all faults end"));
        self.network.heal();
        self.recorder.coverage.links_mended();
        self.clients.rest();
        for place in 0..self.machines.len() {
            let hold = &mut self.holds[place];
            hold.paused_until = Time::ZERO;
            hold.busy_until = Time::ZERO;
            hold.slow = Default::default();
            let faults = &mut self.machines[place].faults;
            faults.slow_disk = Default::default();
            faults.reads_fail = Time::ZERO;
            faults.next_write_fails = None;
            self.resume(place);
            self.thaw(place);
            self.start(place);
        }
        if self.settings.heal == Heal::Quorum {
            self.leave_some();
        }
    }

    /// Whoever is chosen does not get better, as long as a quorum does.
    fn leave_some(&mut self) {
        let mut gone = self.gone.clone();
        let mut order: Vec<usize> = (0..self.machines.len()).collect();
        for at in (1..order.len()).rev() {
            let other = self.random.below(at as u64 + 1) as usize;
            order.swap(at, other);
        }
        for place in order {
            gone[place] = self.random.chance(800);
            gone[place] &= self.can_do_without(&gone);
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

    /// Whether the node in this place never gets better.
    pub fn is_gone(&self, place: usize) -> bool {
        self.gone[place]
    }

    /// Proposes a command at the server in this place. Returns the outcome; `None` if it does not
    /// run.
    pub fn probe(&mut self, place: usize) -> Option<Result<Proposal, ProposeError>> {
        let command: Command = Command::Open { nonce: 0 };
        self.propose(place, Commands::from(command.encode()), &[])
    }

    /// The run is over, and all that is well has caught up: what clients were told is there, and
    /// what they saw can be explained.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn finish(&mut self) -> Result<(), Failure> {
        if let Some(leader) = self.leader()
            && let Some(raft) = self.machines[leader].raft()
        {
            let snapshot = raft.log_base().index;
            let term_at = |index| raft.term_at(index);
            self.durability.present(raft.id(), snapshot, term_at)?;
        }
        self.clients.finish()
    }
}
