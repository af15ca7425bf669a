//! Requests of clients, and their results.

use super::World;
use super::event::{MachineEvent, Phase, SimulationEvent};
use crate::clients::{ClientRequest, RequestBody, Resized, TimerOutcome};
use crate::coverage::CoverageMark;
use crate::pending_commands::{ClientCommand, CommandResult};
use core::time::Duration;
use raft_proto::{Commands, Input, NodeId, Proposal, ProposeError};

impl World {
    pub(super) fn schedule_client_operation(&mut self) {
        if let Some((at, operation)) = self.script.operations.next() {
            self.next_client_operation = Some(operation);
            self.queue
                .push(at.max(self.now), SimulationEvent::ClientOperation);
        }
    }

    pub(super) fn client_operation(&mut self) {
        if self.phase != Phase::Safety {
            return;
        }
        if let Some(operation) = self.next_client_operation.take() {
            let client = operation.client;
            if let Some(attempt) = self.clients.enqueue(operation) {
                self.client_attempt(client, attempt);
            }
        }
        self.schedule_client_operation();
    }

    /// A client makes an attempt: its request is on its way.
    pub(super) fn client_attempt(&mut self, client: u32, attempt: u64) {
        let history = self.judge.client_history();
        match self.clients.attempt(self.now, client, attempt, history) {
            Ok(Some(request)) => {
                let place = request.place;
                self.observe_request();
                let after = self.settings.network.delay.draw(&mut self.random);
                let event = MachineEvent::ClientRequest(Box::new(request));
                self.schedule(after, SimulationEvent::Machine { place, event });
                if let Some(deadline) = self.clients.set_timer(self.now, client) {
                    self.queue
                        .push(deadline, SimulationEvent::ClientTimer { client });
                }
            }
            Ok(None) => {}
            Err(failure) => self.fail(failure),
        }
    }

    /// Clients' timers are lazy, as those of nodes are.
    pub(super) fn client_timer(&mut self, client: u32) {
        match self.clients.timer(self.now, client) {
            TimerOutcome::Wait(deadline) => {
                self.queue
                    .push(deadline, SimulationEvent::ClientTimer { client });
            }
            TimerOutcome::Retry { attempt } => self.client_attempt(client, attempt),
            TimerOutcome::Idle => {}
        }
    }

    /// A client's request arrives at a machine.
    pub(super) fn client_request(&mut self, request: ClientRequest) {
        let ClientRequest {
            client,
            attempt,
            place,
            body,
        } = request;
        if self.machines[place].raft().is_none() {
            return self.redirect(client, attempt, None);
        }
        match body {
            RequestBody::Commands(commands) => {
                let origin = |command: &crate::clients::NumberedCommand| ClientCommand {
                    client,
                    attempt,
                    sequence: command.sequence,
                };
                let origins: Vec<ClientCommand> = commands.iter().map(origin).collect();
                let payloads = commands.into_iter().map(|command| command.payload);
                let payloads: Vec<_> = payloads.collect();
                self.propose(place, Commands::from(payloads), &origins);
            }
            RequestBody::Read { key, mode } => self.begin_read(place, client, attempt, key, mode),
        }
    }

    /// Proposes commands at a node that runs.
    pub(super) fn propose(
        &mut self,
        place: usize,
        commands: Commands,
        origins: &[ClientCommand],
    ) -> Option<Result<Proposal, ProposeError>> {
        let id = self.new_request_id();
        let commands = self.in_layout(place, commands);
        self.proposal_outcome = None;
        self.give(place, Input::Propose { id, commands });
        let outcome = self.proposal_outcome.take()?;
        let first = origins.first().copied();
        match outcome {
            Ok(proposal) => {
                self.recorder.counts.accepted += proposal.count;
                let mut outcomes = core::mem::take(&mut self.outcomes);
                let pending = &mut self.machines[place].pending_commands;
                pending.accepted(proposal, origins, &mut outcomes);
                self.outcomes = outcomes;
                let node = self.machines[place].id();
                self.tell_clients(node);
            }
            Err(reason) => {
                self.recorder.counts.refused += 1;
                if let Some(origin) = first {
                    self.commands_refused(place, origin, reason);
                }
            }
        }
        Some(outcome)
    }

    /// A node that may lead refuses commands, and says why.
    fn commands_refused(&mut self, place: usize, origin: ClientCommand, reason: ProposeError) {
        let ClientCommand {
            client, attempt, ..
        } = origin;
        let node = self.machines[place].id();
        match reason {
            ProposeError::NotLeader { leader } => self.redirect(client, attempt, leader),
            ProposeError::TooManyUncommitted { .. } | ProposeError::TooManyUnapplied { .. } => {
                self.recorder
                    .coverage
                    .hit(CoverageMark::ProposalBoundReached);
                // Any node: without CheckQuorum, a leader that is cut off waits for ever.
                self.redirect(client, attempt, None);
            }
            ProposeError::TooLarge { .. }
            | ProposeError::TooLargeFor { .. }
            | ProposeError::BatchTooLarge { .. } => {
                let history = self.judge.client_history();
                match self
                    .clients
                    .commands_too_large(self.now, client, attempt, history)
                {
                    Ok(Resized::Smaller) => self.redirect(client, attempt, Some(node)),
                    Ok(Resized::GivenUp { next_attempt }) => {
                        self.schedule_next_attempt(client, next_attempt);
                    }
                    Err(failure) => self.fail(failure),
                }
            }
            // The client tries another node when this attempt's time is over.
            ProposeError::Transferring { .. }
            | ProposeError::Empty
            | ProposeError::LogFull
            | ProposeError::Faulted(_) => {}
            _ => {} // A reason that is newer than this simulator.
        }
    }

    /// The client turns to the leader if one is named, and otherwise to any node.
    pub(super) fn redirect(&mut self, client: u32, attempt: u64, leader: Option<NodeId>) {
        let leader = leader.map(|id| self.place(id));
        if let Some(after) = self.clients.redirect(client, attempt, leader) {
            self.schedule(after, SimulationEvent::ClientAttempt { client, attempt });
        }
    }

    /// `node` tells clients the outcomes that have been gathered for them.
    pub(super) fn tell_clients(&mut self, node: NodeId) {
        let mut outcomes = core::mem::take(&mut self.outcomes);
        for outcome in outcomes.drain(..) {
            match outcome.result {
                CommandResult::Applied { .. } => self.recorder.counts.acknowledged += 1,
                CommandResult::Replaced => self.recorder.counts.replaced += 1,
            }
            let history = self.judge.client_history();
            let reaction = match self.clients.command_outcome(self.now, &outcome, history) {
                Ok(reaction) => reaction,
                Err(failure) => {
                    self.fail(failure);
                    continue;
                }
            };
            if let Some(command) = &reaction.answered {
                self.observe_answer(node, command);
            }
            self.schedule_next_attempt(outcome.command.client, reaction.next_attempt);
        }
        self.outcomes = outcomes;
    }

    /// The client goes on at once, if it has a next attempt.
    pub(super) fn schedule_next_attempt(&mut self, client: u32, attempt: Option<u64>) {
        if let Some(attempt) = attempt {
            // Not within this step of a core: the request may be to the same core.
            let event = SimulationEvent::ClientAttempt { client, attempt };
            self.schedule(Duration::ZERO, event);
        }
    }
}
