//! The phase: what every condition has in common.

use super::watch::{Bounds, Claims, LeaderView, View, Watch};
use super::{COMMIT_BOUND, Condition, DOWNTIME_BOUND, Unavailable};
use crate::duration::DurationRange;
use crate::failure::Failure;
use crate::random::Random;
use crate::world::World;
use core::time::Duration;
use raft_proto::{Index, NodeId, Raft, Time};

/// How often the cluster is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Judges a cluster under the condition that its settings name; does nothing if they name none, or
/// if a disk still lacks entries: its node starts when the peers have sent them, and what stays
/// broken may keep it from those.
///
/// # Errors
///
/// The first failure, of any kind.
pub fn judge(world: &mut World, seed: u64) -> Result<(), Failure> {
    let condition = world.settings().condition;
    if condition == Condition::None || world.is_any_incomplete() {
        return Ok(());
    }
    world.begin_availability(condition);
    let begun = world.now();
    let mut phase = Phase::begin(world, seed, condition);
    let result = phase.run();
    let (longest, deposed) = (phase.watch.longest_without_commit(), phase.watch.deposed());
    let length = world.now().since(begun);
    let figures = &mut world.recorder_mut().availability.figures;
    figures.phases += 1;
    figures.phase_micros += length.as_micros() as u64; // Some seconds.
    figures.without_commit_for(longest);
    figures.deposed_while_well += deposed;
    world.end_availability();
    result
}

/// A cluster that is judged under a condition.
pub(super) struct Phase<'a> {
    pub(super) world: &'a mut World,
    pub(super) random: Random,
    condition: Condition,
    pub(super) bounds: Bounds,
    pub(super) watch: Watch,
}

/// The claims that are judged under a condition all the time.
fn claims(condition: Condition, world: &World) -> Claims {
    let core = &world.settings().core;
    let holds = |claims| Claims {
        commits: claims,
        quiet: claims,
        leader_stays: claims && core.pre_vote && core.check_quorum,
    };
    match condition {
        // Its disk is beyond the bound: only the first leader is promised.
        Condition::SlowCandidate => holds(false),
        // The leader is told to hand over, again and again, and its disk may stall.
        Condition::Transfers => Claims {
            commits: true,
            ..holds(false)
        },
        // Without Pre-Vote the removed node raises its own term, again and again.
        Condition::Removed => Claims {
            commits: true,
            ..holds(core.pre_vote)
        },
        Condition::None
        | Condition::Failover
        | Condition::Load
        | Condition::SlowSyncs
        | Condition::Partial
        | Condition::OneWay
        | Condition::Priorities
        | Condition::BusyLeader
        | Condition::CatchUp
        | Condition::DeafLeader
        | Condition::DecayedSnapshot
        | Condition::Limits => holds(true),
    }
}

impl<'a> Phase<'a> {
    fn begin(world: &'a mut World, seed: u64, condition: Condition) -> Phase<'a> {
        let machines = world.machines().iter();
        let timeouts = machines.map(|machine| machine.config().election_timeout_max);
        let bounds = Bounds {
            timeout: timeouts.max().unwrap_or_default(),
        };
        let (now, commit_index) = (world.now(), world.judge().commit_index());
        let claims = claims(condition, world);
        Phase {
            world,
            random: Random::new(seed, "availability"),
            condition,
            bounds,
            watch: Watch::new(bounds, claims, now, commit_index),
        }
    }

    /// The phase ends with a leader that is well, however early its stages end: the time that a
    /// cluster has for commits may be longer than they are.
    fn run(&mut self) -> Result<(), Failure> {
        self.load(DurationRange::micros(50_000, 250_000), 100);
        self.stages()?;
        if claims(self.condition, self.world).commits {
            self.well_leader()?;
        }
        Ok(())
    }

    fn stages(&mut self) -> Result<(), Failure> {
        match self.condition {
            Condition::None => Ok(()),
            Condition::Failover => self.failover(),
            Condition::Load => self.busy(),
            Condition::SlowSyncs => self.slow_syncs(),
            Condition::Partial | Condition::OneWay => self.partition(),
            Condition::SlowCandidate => self.slow_candidate(),
            Condition::Priorities => self.priorities(),
            Condition::BusyLeader => self.busy_leader(),
            Condition::Transfers => self.transfers(),
            Condition::CatchUp | Condition::DecayedSnapshot => self.catch_up(),
            Condition::DeafLeader => self.deaf_leader(),
            Condition::Limits => self.limits(),
            Condition::Removed => self.removed(),
        }
    }

    pub(super) fn is(&self, condition: Condition) -> bool {
        self.condition == condition
    }

    pub(super) fn load(&mut self, pause: DurationRange, bytes: u64) {
        let random = self.random.fork("load");
        let bytes = bytes.min(self.world.settings().clients.max_value);
        self.world.begin_load(random, pause, bytes);
    }

    pub(super) fn failure(&self, reason: Unavailable) -> Failure {
        let condition = self.condition;
        Failure::Unavailable { condition, reason }
    }

    /// So many times the election timeout.
    pub(super) fn timeouts(&self, count: u32) -> Duration {
        self.bounds.timeouts(count)
    }

    fn view(&self) -> View {
        let world = &self.world;
        let rafts = world.machines().iter().filter_map(|machine| machine.raft());
        let leader = self.leader().map(|(place, leader)| LeaderView {
            id: leader.id(),
            term: leader.term(),
            is_well: world.leads_well(place),
        });
        View {
            at: world.now(),
            commit_index: world.judge().commit_index(),
            term: rafts.map(Raft::term).max().unwrap_or_default(),
            leader,
        }
    }

    /// The leader of the greatest term, and its place.
    pub(super) fn leader(&self) -> Option<(usize, &Raft)> {
        let place = self.world.leader()?;
        Some((place, self.world.machines()[place].raft()?))
    }

    /// Lets the world go on for a moment, and looks at it.
    pub(super) fn step(&mut self) -> Result<(), Failure> {
        self.world.run_until(self.world.now().after(LOOK_EVERY))?;
        self.note_transfers();
        let view = self.view();
        let availability = &self.world.recorder().availability;
        let has_handed_over = |leader, term| availability.has_handed_over(leader, term);
        let looked = self.watch.look(&view, has_handed_over);
        looked.map_err(|reason| self.failure(reason))
    }

    /// Lets the world go on for so long.
    pub(super) fn run_for(&mut self, time: Duration) -> Result<(), Failure> {
        let ends = self.world.now().after(time);
        while self.world.now() < ends {
            self.step()?;
        }
        Ok(())
    }

    /// Waits until something is true, but not longer than `limit`. Returns whether it is.
    pub(super) fn wait(
        &mut self,
        limit: Duration,
        is_true: impl Fn(&Phase<'_>) -> bool,
    ) -> Result<bool, Failure> {
        let ends = self.world.now().after(limit);
        while !is_true(self) {
            if self.world.now() >= ends {
                return Ok(false);
            }
            self.step()?;
        }
        Ok(true)
    }

    /// Waits for a leader that is well, and returns its place. The watch fails first if there is
    /// none in time.
    pub(super) fn well_leader(&mut self) -> Result<Option<usize>, Failure> {
        let limit = self.timeouts(2 * COMMIT_BOUND);
        let is_led = |phase: &Phase<'_>| {
            let leader = phase.world.leader();
            leader.is_some_and(|place| phase.world.leads_well(place))
        };
        let is_led = self.wait(limit, is_led)?;
        Ok(self.world.leader().filter(|_| is_led))
    }

    /// All places, in an order of their own.
    pub(super) fn shuffled(&mut self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.world.machines().len()).collect();
        for at in (1..order.len()).rev() {
            let other = self.random.below(at as u64 + 1) as usize;
            order.swap(at, other);
        }
        order
    }

    /// Machines that the cluster can do without, all at once: at least one, if there is one, and at
    /// most `most`. Those that stand first in `order` are preferred.
    pub(super) fn outsiders(&self, order: &[usize], most: usize) -> Vec<usize> {
        let mut without = vec![false; order.len()];
        let mut outsiders = Vec::new();
        for place in order.iter().copied() {
            without[place] = outsiders.len() < most;
            without[place] &= self.world.has_majority_without(&without);
            if without[place] {
                outsiders.push(place);
            }
        }
        outsiders
    }

    /// Whether the cluster can do without this machine.
    pub(super) fn can_lose(&self, place: usize) -> bool {
        let machines = self.world.machines();
        let is_away = |other: usize| other == place || machines[other].raft().is_none();
        let without: Vec<bool> = (0..machines.len()).map(is_away).collect();
        self.world.has_majority_without(&without)
    }

    /// The machine in this place, which leads, crashes. Waits until its successor commits.
    pub(super) fn crash_leader(
        &mut self,
        place: usize,
        outage: Option<Duration>,
    ) -> Result<(), Failure> {
        let crashed = self.world.machines()[place].id();
        let (at, commit_index) = (self.world.now(), self.world.judge().commit_index());
        self.watch.leader_crashes(at);
        self.world.crash_for(place, outage);
        let within = self.timeouts(DOWNTIME_BOUND);
        let commits = |phase: &Phase<'_>| phase.world.judge().commit_index() > commit_index;
        let commits_in_time = self.wait(within, commits)?;
        let transfers = self.watch.transfers();
        if !commits_in_time && !self.wait(transfers, commits)? {
            let within = within + transfers;
            return Err(self.failure(Unavailable::Downtime { crashed, within }));
        }
        let downtime = self.world.now().since(at);
        let figures = &mut self.world.recorder_mut().availability.figures;
        figures.recovered_after(downtime);
        Ok(())
    }

    /// The place of a node.
    pub(super) fn place(&self, id: NodeId) -> usize {
        crate::settings::place_of(id, self.world.machines().len())
    }

    /// Whether a machine runs a node whose disk holds all of the node's log.
    pub(super) fn has_written(&self, place: usize, last: Index) -> bool {
        let machine = &self.world.machines()[place];
        machine.raft().is_some() && machine.disk().last_index() >= last
    }

    pub(super) fn now(&self) -> Time {
        self.world.now()
    }
}
