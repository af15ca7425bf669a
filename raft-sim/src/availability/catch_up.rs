//! A member that needs a snapshot catches up.

use super::Condition;
use super::phase::Phase;
use super::stages::millis;
use super::verdict::{self, CatchUpView, Verdict};
use crate::duration::DurationRange;
use crate::failure::Failure;
use core::time::Duration;
use raft_proto::{PeerState, PeerStatus, Raft, Time};

/// How many chunks a snapshot has at least.
const SNAPSHOT_CHUNKS: u64 = 64;

impl Phase<'_> {
    /// A member that needs a snapshot gets it while commands and snapshots go on.
    pub(super) fn catch_up(&mut self) -> Result<(), Failure> {
        let Some(leader) = self.well_leader()? else {
            return Ok(());
        };
        self.world.make_snapshots_of_chunks(SNAPSHOT_CHUNKS);
        let Some(behind) = self.leave_behind(leader)? else {
            return Ok(());
        };
        if self.is(Condition::DecayedSnapshot) {
            // The newer snapshot needs commits: no majority may wait for the one that decays.
            // Nor may the leader's own service have yet to open it: no other one has its state.
            let limit = self.timeouts(10);
            let may_decay = |phase: &Phase<'_>| {
                phase.commits_without_snapshots(leader) && phase.world.has_opened_snapshot(leader)
            };
            if !self.wait(limit, may_decay)? {
                return Ok(());
            }
            self.world.decay_snapshots(leader);
        }
        let leader = self.world.machines()[leader].id();
        let node = self.world.machines()[behind].id();
        self.world.restart(behind);
        let (within, target, term) = match self.leader() {
            Some((_, raft)) if raft.id() == leader => {
                (self.transfer_bound(raft), raft.last_log(), raft.term())
            }
            Some(_) | None => return Ok(()),
        };
        // A leader that was sending it one when it crashed turns to each newer one.
        let availability = &self.world.recorder().availability;
        let sent_before = availability.snapshots_since_entries(leader, node, term);
        let (begun, mut snapshot_at) = (self.now(), Time::ZERO);
        loop {
            let Some((place, raft)) = self.leader() else {
                return Ok(()); // Another claim is about leaders.
            };
            if raft.id() != leader {
                return Ok(());
            }
            let (term, peers) = (raft.term(), raft.status().peers);
            let peer = peers.iter().find(|peer| peer.id == node);
            // Snapshot after snapshot raises matchIndex, too.
            let follows = |peer: &PeerStatus| {
                let replicates = matches!(peer.state, PeerState::Replicate { .. });
                replicates && peer.match_index >= target.index
            };
            let availability = &self.world.recorder().availability;
            let view = CatchUpView {
                node,
                follows: peer.is_none_or(follows),
                snapshots: availability
                    .snapshots_since_entries(leader, node, term)
                    .saturating_sub(sent_before),
                since: self.now().since(begun),
            };
            match verdict::catch_up(view, within) {
                Verdict::Holds => return Ok(()),
                Verdict::Broken(reason) => return Err(self.failure(reason)),
                Verdict::Open => {}
            }
            // The transfer of the first snapshot begins before the service makes another one.
            if view.snapshots > 0 && self.now() >= snapshot_at {
                self.world.snapshot_now(place);
                let pause = self.between(100, 400);
                snapshot_at = self.now().after(pause);
            }
            self.step()?;
        }
    }

    /// Crashes a member, and goes on without it until the leader has dropped the entries that the
    /// member needs. Returns its place.
    fn leave_behind(&mut self, leader: usize) -> Result<Option<usize>, Failure> {
        let Some(behind) = self.dispensable_voter(leader) else {
            return Ok(None);
        };
        self.world.crash_for(behind, None);
        let has = self.world.machines()[behind].disk().last_index();
        let ends = self.now().after(self.timeouts(10));
        while self.now() < ends {
            let Some((place, raft)) = self.leader() else {
                return Ok(None);
            };
            if place != leader {
                return Ok(None);
            }
            if raft.log_base().index > has {
                self.load(DurationRange::micros(10_000, 40_000), 16);
                return Ok(Some(behind));
            }
            self.world.give_commands(leader, 20, 16);
            self.world.snapshot_now(leader);
            self.run_for(millis(60))?;
        }
        Ok(None)
    }

    /// Whether the node in this place leads, and a majority needs no snapshot from it.
    fn commits_without_snapshots(&self, leader: usize) -> bool {
        let Some((place, raft)) = self.leader() else {
            return false;
        };
        let base = raft.log_base().index;
        place == leader && self.has_majority_but_for(raft, |peer| peer.match_index < base)
    }

    /// Whether the voters without the peers for which `lacks` holds have a majority.
    fn has_majority_but_for(&self, leader: &Raft, lacks: impl Fn(&PeerStatus) -> bool) -> bool {
        let mut without = vec![true; self.world.machines().len()];
        without[self.place(leader.id())] = false;
        for peer in leader.status().peers {
            let place = self.place(peer.id);
            let runs = self.world.machines()[place].raft().is_some();
            without[place] = !runs || lacks(&peer);
        }
        self.world.has_majority_without(&without)
    }

    /// The watch learns how long the leader's majority may wait for snapshots, if none can do
    /// without them.
    pub(super) fn note_transfers(&mut self) {
        let Some((_, leader)) = self.leader() else {
            return;
        };
        let lacks = |peer: &PeerStatus| matches!(peer.state, PeerState::Snapshot { .. });
        if leader.status().peers.iter().any(lacks) && !self.has_majority_but_for(leader, lacks) {
            let transfers = 2 * self.transfer_time(leader);
            self.watch.needs_snapshots(transfers);
        }
    }

    /// Four times what it takes to send a snapshot of the leader, and four election timeouts. The
    /// leader's next one may be longer than the one that it has now.
    fn transfer_bound(&self, leader: &Raft) -> Duration {
        self.timeouts(4) + 4 * self.transfer_time(leader)
    }

    /// What it takes to send a snapshot of the leader: one chunk after the other.
    fn transfer_time(&self, leader: &Raft) -> Duration {
        let settings = self.world.settings();
        let size = leader.snapshot().map_or(0, |snapshot| snapshot.id.size);
        let size = size.max(settings.service.snapshot_bytes);
        let chunks = size.div_ceil(settings.core.snapshot_chunk_bytes) + 2;
        let chunk = 2 * settings.network.delay.max + 2 * settings.disk.read.max + millis(1);
        let chunks = u32::try_from(chunks).unwrap_or(u32::MAX);
        chunk * chunks
    }
}
