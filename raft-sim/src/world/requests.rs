//! What clients ask of servers, and what they are told.

use super::World;
use super::event::{MachineEvent, Phase, SimulationEvent};
use crate::clients::{Patience, Request, What};
use crate::coverage::CoverageMark;
use crate::failure::Failure;
use crate::pending_commands::ClientCommand;
use core::time::Duration;
use raft_proto::{
    Commands, Index, Input, NodeId, Proposal, ProposeError, ReadError, ReadMode, RequestId,
    RoleKind, Time,
};
use std::collections::BTreeMap;

/// A read that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Read {
    client: u32,
    attempt: u64,
    key: u64,
    place: usize,
    mode: ReadMode,
    since: Time,
    /// What was committed somewhere when the server was asked: the answer must not be older.
    floor: Index,
    /// The core has answered.
    is_allowed: bool,
}

/// PendingReads that wait.
#[derive(Debug, Default)]
pub(super) struct PendingReads(BTreeMap<RequestId, Read>);

impl PendingReads {
    /// A server is down: it will answer nothing.
    pub(super) fn stopped(&mut self, place: usize) {
        self.0.retain(|_, read| read.place != place);
    }
}

impl World {
    pub(super) fn schedule_operation(&mut self) {
        if let Some((at, operation)) = self.script.operations.next() {
            self.next_operation = Some(operation);
            self.queue
                .push(at.max(self.now), SimulationEvent::ClientOperation);
        }
    }

    pub(super) fn operation(&mut self) {
        if self.phase == Phase::Liveness {
            return;
        }
        if let Some(operation) = self.next_operation.take() {
            let client = operation.client;
            if let Some(attempt) = self.clients.wants(operation) {
                self.act(client, attempt);
            }
        }
        self.schedule_operation();
    }

    /// A client makes an attempt: what it asks is on its way.
    pub(super) fn act(&mut self, client: u32, attempt: u64) {
        match self.clients.act(self.now, client, attempt) {
            Ok(Some(request)) => {
                let place = request.place;
                let on_the_way = self.settings.network.delay.draw(&mut self.random);
                let what = MachineEvent::Request(Box::new(request));
                self.schedule(on_the_way, SimulationEvent::At { place, what });
                if let Some(deadline) = self.clients.set_timer(self.now, client) {
                    self.queue
                        .push(deadline, SimulationEvent::Impatient { client });
                }
            }
            Ok(None) => {}
            Err(failure) => self.fail(failure),
        }
    }

    /// Timers are lazy, as those of nodes are.
    pub(super) fn impatient(&mut self, client: u32) {
        match self.clients.timer(self.now, client) {
            Patience::Waits(deadline) => self
                .queue
                .push(deadline, SimulationEvent::Impatient { client }),
            Patience::IsOver(attempt) => self.act(client, attempt),
            Patience::HasNothingToWaitFor => {}
        }
    }

    /// A server is asked.
    pub(super) fn request(&mut self, request: Request) {
        let Request {
            client,
            attempt,
            place,
            what,
        } = request;
        if self.machines[place].raft().is_none() {
            return self.send_elsewhere(client, attempt, None);
        }
        match what {
            What::Commands(commands) => {
                let asked = |(sequence, _): &(u64, _)| ClientCommand {
                    client,
                    attempt,
                    sequence: *sequence,
                };
                let asked: Vec<ClientCommand> = commands.iter().map(asked).collect();
                let commands = commands.into_iter().map(|(_, command)| command);
                let commands: Vec<_> = commands.collect();
                self.propose(place, Commands::from(commands), &asked);
            }
            What::Read(key, mode) => self.ask_to_read(place, client, attempt, key, mode),
        }
    }

    fn new_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    /// Proposes commands at a server that runs.
    pub(super) fn propose(
        &mut self,
        place: usize,
        commands: Commands,
        asked: &[ClientCommand],
    ) -> Option<Result<Proposal, ProposeError>> {
        let id = self.new_request();
        self.outcome = None;
        self.give(place, Input::Propose { id, commands });
        let outcome = self.outcome.take()?;
        let first = asked.first().copied();
        match outcome {
            Ok(proposal) => {
                self.recorder.counts.accepted += proposal.count;
                let mut learnt = core::mem::take(&mut self.learnt);
                let outstanding = &mut self.machines[place].outstanding;
                outstanding.accepted(proposal, asked, &mut learnt);
                self.learnt = learnt;
                let node = self.machines[place].id();
                self.tell_clients(node);
            }
            Err(ProposeError::NotLeader { leader }) => {
                self.recorder.counts.refused += 1;
                if let Some(asked) = first {
                    self.send_elsewhere(asked.client, asked.attempt, leader);
                }
            }
            // Tried again when the attempt's time is over, elsewhere.
            Err(
                ProposeError::Transferring { .. }
                | ProposeError::Empty
                | ProposeError::TooLarge { .. }
                | ProposeError::BatchTooLarge { .. }
                | ProposeError::TooManyUncommitted { .. }
                | ProposeError::LogFull
                | ProposeError::Faulted(_),
            ) => self.recorder.counts.refused += 1,
        }
        Some(outcome)
    }

    /// The client turns to the leader if one is named, and else to the next server.
    fn send_elsewhere(&mut self, client: u32, attempt: u64, leader: Option<NodeId>) {
        let leader = leader.map(|id| self.place(id));
        if let Some(after) = self.clients.sent_elsewhere(client, attempt, leader) {
            self.schedule(after, SimulationEvent::Client { client, attempt });
        }
    }

    /// Clients are told what has been gathered for them, by the node with this id.
    pub(super) fn tell_clients(&mut self, node: NodeId) {
        let mut learnt = core::mem::take(&mut self.learnt);
        for one in learnt.drain(..) {
            match &one.answer {
                Some(_) => self.recorder.counts.acknowledged += 1,
                None => self.recorder.counts.replaced += 1,
            }
            let learned = match self.clients.learns(self.now, &one) {
                Ok(learned) => learned,
                Err(failure) => {
                    self.fail(failure);
                    continue;
                }
            };
            if let Some((session, sequence, entry)) = learned.answered {
                self.durability.acknowledged(entry, node);
                if let Err(broken) = self.exactly_once.answered(session.0, sequence) {
                    self.fail(broken);
                }
            }
            self.go_on(one.asked.client, learned.go_on);
        }
        self.learnt = learnt;
    }

    fn go_on(&mut self, client: u32, attempt: Option<u64>) {
        if let Some(attempt) = attempt {
            // Not within this step of a core: the next one may be its own.
            self.schedule(Duration::ZERO, SimulationEvent::Client { client, attempt });
        }
    }

    fn ask_to_read(&mut self, place: usize, client: u32, attempt: u64, key: u64, mode: ReadMode) {
        let id = self.new_request();
        let read = Read {
            client,
            attempt,
            key,
            place,
            mode,
            since: self.now,
            floor: self.recorder.commit_index(),
            is_allowed: false,
        };
        self.reads.0.insert(id, read);
        self.give(place, Input::Read { id, mode });
    }

    /// A core answers a read.
    pub(super) fn read_outcome(
        &mut self,
        at: usize,
        id: RequestId,
        outcome: Result<Index, ReadError>,
    ) {
        let node = self.machines[at].id();
        let role = self.machines[at].raft().map(|raft| raft.role());
        let Some(read) = self.reads.0.get_mut(&id).filter(|read| !read.is_allowed) else {
            return self.fail(Failure::Unasked { node });
        };
        let counts = &mut self.operator.counts;
        match outcome {
            Ok(index) => {
                read.is_allowed = true;
                let floor = read.floor;
                match read.mode {
                    ReadMode::Lease => counts.lease_reads += 1,
                    ReadMode::Quorum if role == Some(RoleKind::Leader) => counts.quorum_reads += 1,
                    ReadMode::Quorum => counts.follower_reads += 1,
                }
                if index < floor {
                    return self.fail(Failure::StaleRead { node, index, floor });
                }
                self.machines[at].allowed.push((index, id));
                let applied = self.machines[at].service.last.index;
                self.answer_reads(at, applied);
            }
            Err(reason) => {
                counts.reads_refused += 1;
                let (client, attempt) = (read.client, read.attempt);
                self.reads.0.remove(&id);
                let leader = match reason {
                    ReadError::NotLeader { leader } => leader,
                    ReadError::NoLease => {
                        self.recorder.coverage.hit(CoverageMark::LeaseExpired);
                        Some(node)
                    }
                    ReadError::LeaseOff => Some(node),
                    ReadError::NoLeader
                    | ReadError::LeaderChanged
                    | ReadError::TimedOut
                    | ReadError::NoCommitInTerm
                    | ReadError::TooManyReads { .. }
                    | ReadError::Faulted(_) => None,
                };
                self.send_elsewhere(client, attempt, leader);
            }
        }
    }

    /// The service of a server is at this index: it answers the reads that waited for that.
    pub(super) fn answer_reads(&mut self, at: usize, applied: Index) {
        let mut next = 0;
        while let Some((index, id)) = self.machines[at].allowed.get(next).copied() {
            if index > applied {
                next += 1;
                continue;
            }
            self.machines[at].allowed.swap_remove(next);
            let Some(read) = self.reads.0.remove(&id) else {
                continue;
            };
            let value = self.machines[at].service.get(read.key);
            let told = self
                .clients
                .reads(self.now, read.client, read.attempt, value);
            match told {
                Ok(attempt) => self.go_on(read.client, attempt),
                Err(failure) => self.fail(failure),
            }
        }
    }

    /// A read that a core which runs has not answered, though it has had the time.
    pub fn unanswered(&self, patience: Duration) -> Option<RequestId> {
        let late = |read: &Read| !read.is_allowed && read.since.after(patience) < self.now;
        let mut reads = self.reads.0.iter();
        let read = reads.find(|(_, read)| late(read) && !self.gone[read.place]);
        read.map(|(id, _)| *id)
    }
}
