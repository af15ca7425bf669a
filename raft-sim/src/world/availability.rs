//! Conditions that stay: how they are made, and the commands that the cluster has to serve.

use super::World;
use super::event::{Phase, SimulationEvent};
use crate::duration::DurationRange;
use crate::random::Random;
use crate::service::{Command, Operation, SessionId};
use core::time::Duration;
use raft_proto::{Commands, Input, NodeId, RequestId, RoleKind, Time};
use std::collections::BTreeSet;

/// What stays as it is.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Links that carry nothing, by places, from and to.
    cut: BTreeSet<(usize, usize)>,
    /// By place: by how much each sync takes longer.
    syncs: Vec<Option<DurationRange>>,
    load: Option<Load>,
    /// The next leader is to transfer leadership as soon as it is elected.
    transfer_at_election: bool,
    transfers: Vec<Transfer>,
}

/// A transfer without a target that the operator has asked for.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// The request.
    pub id: RequestId,
    /// The leader that was asked.
    pub leader: NodeId,
    /// When.
    pub at: Time,
}

/// Commands that do not come from the script.
#[derive(Debug)]
struct Load {
    random: Random,
    pause: DurationRange,
    /// The longest value.
    bytes: u64,
}

/// A session that nobody opens: what is run in it changes nothing.
pub(super) const NO_SESSION: SessionId = SessionId(u64::MAX);

impl Standing {
    /// By how much a sync on this machine takes longer.
    pub(super) fn sync(&self, place: usize) -> Option<DurationRange> {
        *self.syncs.get(place)?
    }
}

impl World {
    /// The faults end, and a phase begins under conditions that stay. Clients finish what they have
    /// begun.
    pub fn begin_availability(&mut self, condition: impl core::fmt::Display) {
        self.phase = Phase::Availability;
        self.fact(format_args!("faults end, and this stays: {condition}"));
        self.recorder.availability.begin_phase();
        self.undo_reconfigurations();
        self.equalize_limits();
        self.end_faults();
    }

    /// The operator ends a change of the limits: servers that take less than others are stopped,
    /// and take as much as any when they start again. An entry that no majority takes can be in
    /// their logs.
    fn equalize_limits(&mut self) {
        let configs = || self.machines.iter().map(|machine| machine.config());
        let entry = configs().map(|config| config.max_entry_bytes).max();
        let append = configs().map(|config| config.max_append_bytes).max();
        let (Some(entry), Some(append)) = (entry, append) else {
            return;
        };
        for place in 0..self.machines.len() {
            let config = self.machines[place].config();
            if (config.max_entry_bytes, config.max_append_bytes) == (entry, append) {
                continue;
            }
            let id = config.node_id;
            self.fact(format_args!("{id} takes as much as any from now on"));
            self.crash(place);
            self.machines[place].reconfigure(|config| {
                config.max_entry_bytes = entry;
                config.max_append_bytes = append;
            });
        }
    }

    /// All that stayed ends, and with it the phase.
    pub fn end_availability(&mut self) {
        self.standing = Standing::default();
        self.recorder.availability.end_phase();
    }

    /// A link carries nothing from now on.
    pub fn cut_link(&mut self, from: usize, to: usize) {
        if from != to && self.standing.cut.insert((from, to)) {
            self.cut_until(from, to, Time::NEVER);
        }
    }

    /// All links carry what they are given.
    pub fn join_links(&mut self) {
        self.standing.cut.clear();
        self.observe_healing();
        self.network.heal();
    }

    /// Whether machines reach each other in both directions.
    pub fn are_linked(&self, one: usize, other: usize) -> bool {
        let cut = &self.standing.cut;
        !cut.contains(&(one, other)) && !cut.contains(&(other, one))
    }

    /// Each sync of a machine takes longer from now on.
    pub fn slow_syncs(&mut self, place: usize, by: DurationRange) {
        let id = self.machines[place].id();
        self.fact(format_args!("syncs of {id} take {by} longer"));
        self.standing.syncs.resize(self.machines.len(), None);
        self.standing.syncs[place] = Some(by);
    }

    /// The syncs of a machine that begin from now on are as fast as before.
    pub fn end_slow_syncs(&mut self, place: usize) {
        if let Some(by) = self.standing.syncs.get_mut(place) {
            *by = None;
        }
    }

    /// The leader is given a command after each of these pauses.
    pub fn begin_load(&mut self, random: Random, pause: DurationRange, bytes: u64) {
        let had_load = self.standing.load.is_some();
        self.standing.load = Some(Load {
            random,
            pause,
            bytes,
        });
        if !had_load {
            self.schedule(Duration::ZERO, SimulationEvent::Load);
        }
    }

    /// The next command of the load.
    pub(super) fn load(&mut self) {
        if self.phase != Phase::Availability {
            return;
        }
        let Some(load) = &mut self.standing.load else {
            return;
        };
        let pause = load.pause.draw(&mut load.random);
        let bytes = load.random.between(8, load.bytes.max(8));
        self.schedule(pause, SimulationEvent::Load);
        if let Some(leader) = self.leader() {
            self.give_commands(leader, 1, bytes);
        }
    }

    /// Proposes so many commands at a node. They change nothing: their session does not exist.
    pub fn give_commands(&mut self, place: usize, count: u64, bytes: u64) {
        let command = |sequence| {
            let operation = Operation::Set {
                key: 0,
                value: vec![b'.'; bytes as usize].into(), // A few hundred.
            };
            let command: Command = Command::Run {
                session: NO_SESSION,
                sequence,
                answered_below: 0,
                operation,
            };
            command.encode()
        };
        let payloads: Vec<_> = (0..count).map(command).collect();
        self.propose(place, Commands::from(payloads), &[]);
    }

    /// The operator asks a leader to transfer leadership to the best successor.
    pub fn transfer_to_the_best(&mut self, place: usize) {
        let (id, leader) = (self.new_request_id(), self.machines[place].id());
        self.operator.sent(id, leader);
        let at = self.now;
        self.standing.transfers.push(Transfer { id, leader, at });
        self.give(place, Input::TransferLeadership { id, target: None });
    }

    /// The operator asks a leader to transfer leadership to the node in another place.
    pub fn transfer_to(&mut self, leader: usize, target: usize) {
        let (id, node) = (self.new_request_id(), self.machines[leader].id());
        let target = Some(self.machines[target].id());
        self.operator.sent(id, node);
        self.give(leader, Input::TransferLeadership { id, target });
    }

    /// A machine takes messages that are longer by `factor` from its next start on.
    pub fn raise_limits(&mut self, place: usize, factor: u64) {
        let id = self.machines[place].id();
        self.fact(format_args!(
            "the limits of {id} are {factor} times as great"
        ));
        self.machines[place].reconfigure(|config| {
            config.max_entry_bytes *= factor;
            config.max_append_bytes *= factor;
            config.max_inflight_bytes *= factor;
            config.max_uncommitted_bytes *= factor;
            config.max_unapplied_bytes *= factor;
        });
    }

    /// As [`transfer_to_the_best`](World::transfer_to_the_best), as soon as a node is elected.
    pub fn transfer_at_election(&mut self) {
        self.standing.transfer_at_election = true;
    }

    /// A node has been elected, right now. If that was by a transfer, the leader that was asked for
    /// it does not know the outcome yet: it would hear of the second successor only.
    pub(super) fn elected_under_condition(&mut self) {
        let runs = |id: NodeId| {
            let mut machines = self.machines.iter();
            machines.any(|it| it.id() == id && it.raft().is_some())
        };
        let is_settled = !self.standing.transfers.iter().any(|it| runs(it.leader));
        if self.phase == Phase::Availability
            && is_settled
            && core::mem::take(&mut self.standing.transfer_at_election)
            && let Some(leader) = self.leader()
        {
            self.transfer_to_the_best(leader);
        }
    }

    /// Whether the next leader is to transfer leadership at once.
    pub(super) fn waits_for_election(&self) -> bool {
        self.standing.transfer_at_election
    }

    /// The transfers that were asked for since this was last called, and those that were kept.
    pub fn take_transfers(&mut self) -> Vec<Transfer> {
        core::mem::take(&mut self.standing.transfers)
    }

    /// A transfer is still to be answered.
    pub fn keep_transfer(&mut self, transfer: Transfer) {
        self.standing.transfers.push(transfer);
    }

    /// The machine loses power, and comes back after `outage`; never in this phase if there is
    /// none.
    pub fn crash_for(&mut self, place: usize, outage: Option<Duration>) {
        self.crash(place);
        if let Some(outage) = outage {
            self.schedule(outage, SimulationEvent::Restart { place });
        }
    }

    /// The machine's process starts now.
    pub fn restart(&mut self, place: usize) {
        self.start(place);
    }

    /// Whether every configuration that may be in force, or come into force by a promotion, has a
    /// majority without these machines.
    pub fn has_majority_without(&self, without: &[bool]) -> bool {
        self.can_do_without(without) && self.can_promote_without(without)
    }

    /// Whether the node in this place leads, has committed an entry of its term, and reaches a
    /// majority in both directions.
    pub fn leads_well(&self, place: usize) -> bool {
        let Some(raft) = self.machines[place].raft() else {
            return false;
        };
        let unreached = |other: usize| {
            other != place
                && (!self.are_linked(place, other) || self.machines[other].raft().is_none())
        };
        let unreached: Vec<bool> = (0..self.machines.len()).map(unreached).collect();
        raft.role() == RoleKind::Leader
            && raft.membership().is_voter(raft.id())
            && raft.term_at(raft.commit_index()) == Some(raft.term())
            && self.can_do_without(&unreached)
    }

    /// The service of a node makes a snapshot, if it has applied anything since the last one.
    pub fn snapshot_now(&mut self, place: usize) {
        self.make_snapshot(place, 1);
    }

    /// Snapshots that services make from now on have at least so many chunks.
    pub fn make_snapshots_of_chunks(&mut self, chunks: u64) {
        let chunk = self.settings.core.snapshot_chunk_bytes;
        let service = &mut self.settings.service;
        service.snapshot_bytes = service.snapshot_bytes.max(chunks * chunk);
    }

    /// Whether the service of the node in this place has all that the node's snapshot holds.
    pub fn has_opened_snapshot(&self, place: usize) -> bool {
        let machine = &self.machines[place];
        let snapshot = machine.raft().and_then(|raft| raft.snapshot());
        snapshot.is_none_or(|snapshot| machine.service.last.index >= snapshot.id.last.index)
    }

    /// The bytes of all snapshots that a machine holds decay.
    pub fn decay_snapshots(&mut self, place: usize) {
        let id = self.machines[place].id();
        self.fact(format_args!("the snapshots of {id} decay"));
        self.observe_decay(id);
        self.machines[place].decay_snapshots();
    }
}
