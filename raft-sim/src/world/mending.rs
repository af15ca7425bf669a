//! Disks that decay in different places at once, and nodes that fetch what they lack before they
//! take part in the protocol: the same pure machine as a driver runs ([`raft_proto::mending`]).

use super::World;
use super::event::{Phase, SimulationEvent};
use crate::coverage::CoverageMark;
use core::time::Duration;
use raft_proto::mending::{Fetch, FetchReply, Mending, MendingStep, serve};
use raft_proto::{EntryId, Index, NodeId};
use std::collections::BTreeMap;

/// How long a node tries before it falls back.
const LIMIT: Duration = Duration::from_secs(30);
/// The pause before peers are asked again that were not reached.
const PAUSE: Duration = Duration::from_millis(50);
/// A request and its reply take so long at most.
const MOST: Duration = Duration::from_millis(5);

impl World {
    /// All machines lose power, and on each some records decay: entries that another disk has whole,
    /// about `lost` of a thousand of them. Each entry decays on one disk at most, and only if another
    /// one keeps it until it is fetched ([`keeps_its_log`](World::keeps_its_log)). Entries that are
    /// not committed may be overwritten on the others before they are fetched: only one disk loses
    /// such ones, and only if the cluster can do without it.
    pub(super) fn damage_all(&mut self, lost: u32, time: Duration) {
        let is_left = |place: &usize| !self.gone[*place] && !self.machines[*place].faults.is_rotten;
        let left: Vec<usize> = (0..self.machines.len()).filter(is_left).collect();
        if left
            .iter()
            .any(|place| self.machines[*place].disk().is_impaired())
        {
            return;
        }
        let can_lose = |place: &usize| self.can_lose(*place);
        let dispensable = left.iter().copied().find(can_lose);
        let committed = self
            .judge
            .last_committed()
            .map_or(Index::ZERO, |it| it.index);
        let mut holders: BTreeMap<EntryId, Vec<usize>> = BTreeMap::new();
        for &place in &left {
            self.crash(place);
            let disk = match self.machines[place].idle_disk() {
                Ok(Some(disk)) => disk,
                Ok(None) => continue,
                Err(failure) => return self.fail(failure),
            };
            for run in disk.whole() {
                for entry in &run {
                    holders.entry(entry.id()).or_default().push(place);
                }
            }
        }
        let keeps: Vec<bool> = (0..self.machines.len())
            .map(|place| self.keeps_its_log(place))
            .collect();
        let mut losses: BTreeMap<usize, Vec<Index>> = BTreeMap::new();
        for (entry, places) in holders {
            if places.len() > 1 && self.input_random.chance(lost.into()) {
                let at = self.input_random.below(places.len() as u64) as usize; // Of so many.
                let place = places[at];
                let is_kept = places.iter().any(|other| *other != place && keeps[*other]);
                if is_kept && (entry.index <= committed || dispensable == Some(place)) {
                    losses.entry(place).or_default().push(entry.index);
                }
            }
        }
        for (place, entries) in losses {
            if let Ok(Some(disk)) = self.machines[place].idle_disk() {
                disk.lose(entries);
                self.recorder.coverage.hit(CoverageMark::DisksDamagedAtOnce);
            }
        }
        self.observe_power_loss();
        for place in left {
            let after = time + self.input_random.duration(Duration::ZERO, time);
            self.schedule(after, SimulationEvent::Restart { place });
        }
    }

    /// Whether the log of the machine in this place stays whole while other disks lack entries. It
    /// holds the last entry of every snapshot, and services make no new ones meanwhile
    /// ([`is_any_incomplete`](World::is_any_incomplete)): so no leader sends it one in place of
    /// entries (section 7), by which it would drop its log.
    fn keeps_its_log(&self, place: usize) -> bool {
        let snapshots = self
            .machines
            .iter()
            .enumerate()
            .filter_map(|(at, machine)| {
                let (meta, _) = machine.disk().recovered_snapshot()?;
                (!self.gone[at]).then_some(meta.id.last)
            });
        let newest = snapshots.max_by_key(|last| last.index);
        newest.is_none_or(|last| self.machines[place].disk().holds(last))
    }

    /// Whether a disk lacks entries, of a machine that is not gone for ever. No service makes a
    /// snapshot meanwhile, by which entries would be dropped: if only snapshots hold what a majority
    /// of the disks lack, no node can fetch it, and no leader can be elected who sends it.
    pub fn is_any_incomplete(&self) -> bool {
        let left = self.machines.iter().zip(&self.gone);
        left.filter(|(_, is_gone)| !**is_gone)
            .any(|(machine, _)| machine.disk().is_incomplete())
    }

    /// A node whose disk is incomplete begins to fetch what it lacks.
    pub(super) fn begin_mending(&mut self, place: usize) {
        let missing = self.machines[place].disk().missing();
        let (id, parts) = (self.machines[place].id(), missing.len());
        self.fact(format_args!(
            "{id} fetches {parts} parts that its disk has lost"
        ));
        let others = (0..self.machines.len()).filter(|other| *other != place);
        let peers: Vec<NodeId> = others.map(|other| self.machines[other].id()).collect();
        let mending = Mending::new(missing, peers, self.now.after(LIMIT));
        self.mending[place] = Some(mending);
        self.schedule(Duration::ZERO, SimulationEvent::Mend { place });
    }

    /// The next step of a node that fetches what it lacks.
    pub(super) fn mend(&mut self, place: usize) {
        let Some(mut mending) = self.mending[place].take() else {
            return;
        };
        let machine = &self.machines[place];
        if machine.raft().is_some() || self.gone[place] || !machine.disk().is_incomplete() {
            return;
        }
        let mut after = PAUSE;
        match mending.next_step(self.now) {
            MendingStep::Ask { peer, fetch } => {
                let reply = self.fetch(place, peer, &fetch);
                let disk = self.machines[place].disk();
                mending.replied(peer, &fetch, reply, &mut |_, parts| {
                    parts.iter().all(|part| disk.knows(part))
                });
                after = self.input_random.duration(Duration::ZERO, MOST);
            }
            MendingStep::Wait => mending.waited(),
            MendingStep::Mended => {
                if let Ok(Some(disk)) = self.machines[place].idle_disk() {
                    disk.mended();
                }
                self.recorder.coverage.hit(CoverageMark::MendedFromPeers);
                return self.start(place);
            }
            MendingStep::GaveUp(reason) => {
                let id = self.machines[place].id();
                self.fact(format_args!("{id} is not mended: {reason}"));
                // An operator tries again, while faults may leave no majority otherwise, and while
                // what is whole on this disk may be what another one lacks.
                let machines = self.machines.iter();
                let incomplete = machines.filter(|it| it.disk().is_incomplete()).count();
                let can_do_without = incomplete <= 1 && self.has_sound_majority_without(place);
                if can_do_without || self.phase == Phase::Liveness {
                    self.machines[place].give_up_mending();
                    self.observe_power_loss();
                }
                return self.schedule(PAUSE, SimulationEvent::Restart { place });
            }
        }
        self.mending[place] = Some(mending);
        self.schedule(after, SimulationEvent::Mend { place });
    }

    /// What a peer replies, if it is reached: one that runs, or that is incomplete itself.
    fn fetch(&self, from: usize, peer: NodeId, fetch: &Fetch) -> FetchReply {
        let mut places = 0..self.machines.len();
        let Some(place) = places.find(|place| self.machines[*place].id() == peer) else {
            return FetchReply::HaveNot;
        };
        let machine = &self.machines[place];
        let is_cut = [(from, place), (place, from)].iter().any(|(one, other)| {
            self.network.is_cut(self.now, *one, *other) || !self.are_linked(*one, *other)
        });
        let is_there = machine.raft().is_some() || self.mending[place].is_some();
        if is_cut || !is_there || self.gone[place] {
            return FetchReply::Unreachable;
        }
        serve(&machine.disk().whole(), fetch)
    }
}
