//! What happens under each condition.

use super::condition::{longest_notice, usual_notice};
use super::phase::Phase;
use super::verdict::{self, Verdict};
use super::{Condition, FIRST_LEADER_BOUND, PRIORITY_BOUND, SYNC_PART, Unavailable};
use crate::duration::DurationRange;
use crate::failure::Failure;
use crate::world::Transfer;
use core::time::Duration;
use raft_proto::{NodeId, Raft};

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Phase<'_> {
    pub(super) fn between(&mut self, least: u64, most: u64) -> Duration {
        millis(self.random.between(least, most))
    }

    pub(super) fn failover(&mut self) -> Result<(), Failure> {
        for _ in 0..3 {
            let Some(leader) = self.well_leader()? else {
                return Ok(());
            };
            let (outage, pause) = (self.between(200, 2_000), self.between(500, 2_000));
            if self.can_lose(leader) {
                self.crash_leader(leader, Some(outage))?;
            }
            self.run_for(outage + pause)?;
        }
        Ok(())
    }

    pub(super) fn busy(&mut self) -> Result<(), Failure> {
        let (least, most) = (self.random.between(5, 15), self.random.between(20, 50));
        self.load(DurationRange::micros(least * 1_000, most * 1_000), 200);
        let ends = self.now().after(self.timeouts(10));
        while self.now() < ends {
            let pause = self.between(20, 500);
            self.run_for(pause)?;
            let place = self.random.below(self.world.machines().len() as u64);
            self.world.snapshot_now(place as usize); // Below the number of machines.
        }
        Ok(())
    }

    /// Each disk as slow as the claim allows, or faster. The leader crashes once.
    pub(super) fn slow_syncs(&mut self) -> Result<(), Failure> {
        let settings = self.world.settings();
        let (usual, notice) = (usual_notice(settings), longest_notice(settings));
        let notice = notice.map(|longest| longest.saturating_sub(usual));
        for place in 0..self.world.machines().len() {
            let timeout = self.world.machines()[place].config().election_timeout_min;
            let most = (timeout / SYNC_PART).saturating_sub(self.world.settings().disk.sync.max);
            let most = notice.map_or(most, |longest| longest.min(most));
            let least = self.random.duration(Duration::ZERO, most);
            let by = DurationRange {
                min: least,
                max: most,
            };
            self.world.slow_syncs(place, by);
        }
        let Some(leader) = self.well_leader()? else {
            return Ok(());
        };
        if self.can_lose(leader) {
            let outage = self.between(200, 4_000);
            let now = self.now();
            self.watch.leader_crashes(now);
            self.world.crash_for(leader, Some(outage));
        }
        self.run_for(self.timeouts(12))
    }

    /// Some machines are outside of the majority; nobody knows which of their links work.
    pub(super) fn partition(&mut self) -> Result<(), Failure> {
        let mut order = self.shuffled();
        if let Some(leader) = self.world.leader()
            && self.random.chance(500)
        {
            order.retain(|place| *place != leader);
            order.insert(0, leader);
        }
        let most = self.random.between(1, order.len() as u64) as usize;
        let is_one_way = self.is(Condition::OneWay);
        for outsider in self.outsiders(&order, most) {
            let style = self.random.below(3);
            for other in order.iter().copied() {
                let (out, into) = (self.random.chance(500), self.random.chance(500));
                let (out, into) = match (is_one_way, style) {
                    (false, _) => (out, out),
                    (true, 0) => (true, false),
                    (true, 1) => (false, true),
                    (true, _) => (out, into),
                };
                if out {
                    self.world.cut_link(outsider, other);
                }
                if into {
                    self.world.cut_link(other, outsider);
                }
            }
        }
        self.run_for(self.timeouts(16))
    }

    /// The leader of a moment ago has an entry that no other machine has, and a disk that is slower
    /// than any election timeout. As many others run as a majority needs.
    pub(super) fn slow_candidate(&mut self) -> Result<(), Failure> {
        let Some(slow) = self.well_leader()? else {
            return Ok(());
        };
        let machines = self.world.machines().len();
        for other in 0..machines {
            self.world.cut_link(slow, other);
        }
        self.world.give_commands(slow, 1, 8);
        self.run_for(millis(200))?;
        let last = self.world.machines()[slow].last_log();
        if !self.has_written(slow, last.index)
            || self.world.machines()[slow].disk().last_id() != last
        {
            return Ok(()); // Its disk was slow.
        }
        for place in 0..machines {
            self.world.crash_for(place, None);
        }
        let is_better = |place: usize| {
            let other = self.world.machines()[place].disk().last_id();
            place == slow || !other.is_at_least_as_up_to_date_as(last)
        };
        if !(0..machines).all(is_better) {
            return Ok(());
        }
        let mut order = self.shuffled();
        order.retain(|place| *place != slow);
        order.push(slow);
        let down = self.outsiders(&order, machines);
        if down.contains(&slow) {
            return Ok(());
        }
        self.world.join_links();
        let timeout = self.timeouts(1);
        let by = DurationRange {
            min: timeout + timeout / 2,
            max: timeout * 2,
        };
        self.world.slow_syncs(slow, by);
        for place in (0..machines).filter(|place| !down.contains(place)) {
            self.world.restart(place);
        }
        let within = self.timeouts(FIRST_LEADER_BOUND);
        if self.wait(within, |phase| phase.world.leader().is_some())? {
            return Ok(());
        }
        let candidate = self.world.machines()[slow].id();
        Err(self.failure(Unavailable::NoLeader { within, candidate }))
    }

    /// The voters that the leader knows and that a machine runs, each with its priority, the
    /// greatest first. One whose machine was replaced is a member until a change removes it.
    fn by_priority(&self, leader: usize) -> Vec<(u8, NodeId)> {
        let membership = self.world.machines()[leader].membership();
        let voters = membership.members().iter();
        let machines = self.world.machines();
        let runs = |id: NodeId| {
            let machine = &machines[self.place(id)];
            machine.id() == id && !machine.is_foreign_to(membership)
        };
        let voters = voters.filter(|member| membership.is_voter(member.id) && runs(member.id));
        let mut voters: Vec<(u8, NodeId)> =
            voters.map(|member| (member.priority, member.id)).collect();
        voters.sort_unstable();
        voters.reverse();
        voters
    }

    /// The voter of the greatest priority keeps its links to the one that comes next, and loses all
    /// others.
    pub(super) fn priorities(&mut self) -> Result<(), Failure> {
        let Some(leader) = self.well_leader()? else {
            return Ok(());
        };
        let [(greatest, first), (next, second), ..] = self.by_priority(leader)[..] else {
            return Ok(());
        };
        let (first, second) = (self.place(first), self.place(second));
        if greatest == next || !self.can_lose(first) {
            return Ok(());
        }
        for other in (0..self.world.machines().len()).filter(|other| *other != second) {
            self.world.cut_link(first, other);
            self.world.cut_link(other, first);
        }
        // With pauses: a leader that is never idle is a condition of its own.
        self.load(DurationRange::micros(150_000, 400_000), 100);
        self.run_for(self.timeouts(20))
    }

    /// The voter of the greatest priority crashes and comes back, and its successor has no time.
    /// All servers are started anew before that, as the back-off after the handovers of the phase
    /// of faults may be hundreds of election timeouts.
    pub(super) fn busy_leader(&mut self) -> Result<(), Failure> {
        let now = self.now();
        self.watch.leader_crashes(now);
        for place in 0..self.world.machines().len() {
            self.world.crash_for(place, Some(Duration::ZERO));
        }
        self.step()?;
        let Some(leader) = self.well_leader()? else {
            return Ok(());
        };
        let [(greatest, first), (next, _), ..] = self.by_priority(leader)[..] else {
            return Ok(());
        };
        let waiting = self.place(first);
        if greatest == next || !self.can_lose(waiting) {
            return Ok(());
        }
        self.load(DurationRange::micros(20_000, 90_000), 100);
        self.watch.excuse(4);
        if waiting == leader {
            self.crash_leader(waiting, None)?;
        } else {
            self.world.crash_for(waiting, None);
        }
        let outage = self.between(0, 1_000);
        self.run_for(outage)?;
        self.world.restart(waiting);
        let within = self.timeouts(PRIORITY_BOUND);
        let leads = |phase: &Phase<'_>| phase.world.leader() == Some(waiting);
        if self.wait(within, leads)? {
            return Ok(());
        }
        let Some((_, leader)) = self.leader() else {
            return Ok(());
        };
        if self.may_never_catch_up(leader, first) {
            return Ok(());
        }
        let reason = Unavailable::PriorityIgnored {
            leader: leader.id(),
            waiting: first,
            within,
        };
        Err(self.failure(reason))
    }

    /// Whether `node` needs a snapshot of a leader that keeps no log for a transfer: under load it
    /// may need the next snapshot when it has the first (section 7).
    fn may_never_catch_up(&self, leader: &Raft, node: NodeId) -> bool {
        let peers = leader.status().peers;
        let base = leader.log_base().index;
        let needs_snapshot = peers
            .iter()
            .any(|peer| peer.id == node && peer.match_index < base);
        self.world.settings().core.max_transfer_log_bytes == 0 && needs_snapshot
    }

    /// A voter's disk may stall, and the operator transfers leadership all the same.
    pub(super) fn transfers(&mut self) -> Result<(), Failure> {
        let Some(leader) = self.well_leader()? else {
            return Ok(());
        };
        let voters = self.by_priority(leader);
        let first = self.random.chance(500);
        let stalled = if first {
            voters.first().copied()
        } else {
            self.random.choose(&voters).copied()
        };
        let stalls = self.random.chance(700);
        let stalled = stalled.map(|(_, id)| self.place(id));
        let stalled = stalled.filter(|place| stalls && self.can_lose(*place));
        if let Some(place) = stalled {
            let hour = Duration::from_secs(3_600);
            let by = DurationRange {
                min: hour,
                max: hour,
            };
            self.world.slow_syncs(place, by);
        }
        self.run_for(self.timeouts(5))?;
        self.transfer_rounds()?;
        if let Some(place) = stalled {
            // Its next syncs are fast. Those that run, and one that it begins when it starts, would
            // not end.
            self.world.end_slow_syncs(place);
            self.world.crash_for(place, Some(Duration::ZERO));
        }
        Ok(())
    }

    /// Transfers without a target, one after the other: in the middle of a term, and at once after
    /// an election.
    fn transfer_rounds(&mut self) -> Result<(), Failure> {
        for round in 0..6 {
            let Some(leader) = self.well_leader()? else {
                return Ok(());
            };
            if self.by_priority(leader).len() < 2 {
                return Ok(()); // A single voter leads: there is nobody to transfer to.
            }
            self.world.transfer_to_the_best(leader);
            if round % 2 == 0 {
                self.world.transfer_at_election();
            }
            let pause = self.between(1_200, 2_200);
            self.run_for(pause)?;
            self.judge_transfers()?;
        }
        Ok(())
    }

    fn judge_transfers(&mut self) -> Result<(), Failure> {
        let within = self.timeouts(2);
        for transfer in self.world.take_transfers() {
            let Transfer { id, leader, at } = transfer;
            let answers = &self.world.recorder().availability.transfers;
            let answer = answers.iter().find(|(of, _)| *of == id);
            let answer = answer.map(|(_, outcome)| *outcome);
            let verdict = verdict::transfer(leader, at, answer, self.now(), within);
            let figures = &mut self.world.recorder_mut().availability.figures;
            match verdict {
                Verdict::Open => self.world.keep_transfer(transfer),
                Verdict::Holds => figures.handovers += 1,
                Verdict::Broken(reason) => {
                    figures.handovers += 1;
                    figures.handovers_failed += 1;
                    return Err(self.failure(reason));
                }
            }
        }
        Ok(())
    }

    /// The leader is heard, and hears nobody. Without CheckQuorum it may hear one voter, with which it
    /// has no majority, and one voter may not hear it: neither is what the others rely on.
    pub(super) fn deaf_leader(&mut self) -> Result<(), Failure> {
        let Some(leader) = self.well_leader()? else {
            return Ok(());
        };
        if !self.can_lose(leader) {
            return Ok(());
        }
        let now = self.now();
        self.watch.leader_crashes(now);
        let checks_quorum = self.world.settings().core.check_quorum;
        let voters = self.by_priority(leader);
        let others = voters.iter().map(|(_, id)| self.place(*id));
        let others: Vec<usize> = others.filter(|place| *place != leader).collect();
        let one = self.random.choose(&others).copied();
        let is_heard = !checks_quorum && others.len() >= 3 && self.random.chance(300);
        for other in 0..self.world.machines().len() {
            if !(is_heard && one == Some(other)) {
                self.world.cut_link(other, leader);
            }
        }
        if let Some(one) = one
            && !checks_quorum
            && !is_heard
            && self.random.chance(500)
        {
            self.world.cut_link(leader, one);
        }
        self.run_for(self.timeouts(20))
    }

    /// The place of a voter other than the leader that the cluster can do without, if there is one.
    pub(super) fn dispensable_voter(&mut self, leader: usize) -> Option<usize> {
        let mut order = self.shuffled();
        let membership = self.world.machines()[leader].membership();
        order.retain(|place| {
            let machine = &self.world.machines()[*place];
            let votes = membership.is_voter(machine.id()) && !machine.is_foreign_to(membership);
            *place != leader && votes
        });
        order.into_iter().find(|place| self.can_lose(*place))
    }

    /// A node that takes longer entries than the others is to lead, and is given such entries.
    pub(super) fn limits(&mut self) -> Result<(), Failure> {
        let Some(leader) = self.well_leader()? else {
            return Ok(());
        };
        let Some(greater) = self.dispensable_voter(leader) else {
            return Ok(());
        };
        let limit = self.world.settings().core.max_entry_bytes;
        self.world.crash_for(greater, None);
        self.world.raise_limits(greater, 2);
        self.world.restart(greater);
        self.run_for(self.timeouts(3))?;
        self.watch.excuse(2);
        self.world.transfer_to(leader, greater);
        let ends = self.now().after(self.timeouts(10));
        while self.now() < ends {
            let pause = self.between(100, 1_000);
            self.run_for(pause)?;
            if let Some(leader) = self.world.leader() {
                self.world.give_commands(leader, 1, limit);
            }
        }
        Ok(())
    }
}
