//! The core's turn: receive, step, perform; everything that waits is drained in one.

use crate::apply_thread::{ApplyOrder, CommandPromise, Progress};
use crate::bell::Bell;
use crate::disk_thread::{DiskOrder, StorageFailed};
use crate::error::{RequestError, StopReason};
use crate::inbox::{Deliveries, Delivery};
use crate::mailbox::{Letters, Mailbox};
use crate::metrics::Metrics;
use crate::observed::{self, Observed};
use crate::order::{Order, PendingRead};
use crate::recorder::Recorder;
use crate::snapshot_thread::SnapshotOrder;
use crate::state_machine::StateMachine;
use crate::ticket::Promise;
use crate::timer::Clock;
use crate::transport::Transport;
use bytes::Bytes;
use crossbeam_channel::TryRecvError;
use raft_proto::{
    Action, ChangeError, Commands, EntryId, Event, Input, NodeId, ProposeError, Raft, RequestId,
    Time, TransferError,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// How many orders and deliveries are taken in one turn, so that what was sent leaves.
const MAX_TURN: usize = 1024;

pub(crate) struct Core<M: StateMachine, T> {
    pub(crate) raft: Raft,
    pub(crate) clock: Clock,
    pub(crate) transport: T,
    pub(crate) bell: Bell,
    pub(crate) orders: Letters<Order<M>>,
    pub(crate) deliveries: Deliveries,
    pub(crate) disk: Mailbox<DiskOrder>,
    pub(crate) snapshots: Mailbox<SnapshotOrder>,
    pub(crate) applier: Mailbox<ApplyOrder<M>>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) observed: Arc<Observed>,
    pub(crate) state: Turn<M>,
    pub(crate) recorder: Option<Recorder>,
    pub(crate) metrics: Metrics,
}

/// What is remembered between turns.
pub(crate) struct Turn<M: StateMachine> {
    wake: Time,
    /// When the core's own thread looks at the clock.
    sleeps_until: Time,
    requests: u64,
    /// Commands that came one after another: one proposal.
    gathered: (Vec<Bytes>, VecDeque<CommandPromise<M>>, u64),
    reads: BTreeMap<RequestId, PendingRead<M>>,
    transfers: BTreeMap<RequestId, Promise<NodeId, TransferError>>,
    changes: BTreeMap<RequestId, Promise<EntryId, ChangeError>>,
    /// The transfer that a shutdown waits for.
    handing_over: Option<RequestId>,
    stop: Option<StopReason>,
    actions: Vec<Action>,
    /// For the applier, in order; and whether there is anything to do for it.
    applier: (Vec<ApplyOrder<M>>, bool),
    /// What the disk is told when the turn's messages have left: followers wait for those.
    disk: Vec<DiskOrder>,
}

impl<M: StateMachine> Turn<M> {
    pub(crate) fn new() -> Turn<M> {
        Turn {
            wake: Time::ZERO,
            sleeps_until: Time::ZERO,
            requests: 0,
            gathered: (Vec::new(), VecDeque::new(), 0),
            reads: BTreeMap::new(),
            transfers: BTreeMap::new(),
            changes: BTreeMap::new(),
            handing_over: None,
            stop: None,
            actions: Vec::new(),
            applier: (Vec::new(), false),
            disk: Vec::new(),
        }
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }
}

impl<M: StateMachine, T: Transport> Core<M, T> {
    /// Before the first turn.
    pub(crate) fn begin(&mut self) {
        self.transport.members(self.raft.membership());
        self.step(Input::Tick);
        self.leave();
    }

    /// Takes all that waits, and does what follows from it.
    pub(crate) fn turn(&mut self) {
        let mut is_idle = !self.take();
        self.propose();
        if self.state.wake <= self.clock.now() {
            // A deadline that a tick answers is over, whether another one follows or not.
            self.state.wake = Time::NEVER;
            self.step(Input::Tick);
            is_idle = false;
        }
        if is_idle {
            return;
        }
        self.leave();
        let recorder = self.recorder.as_mut();
        if let Some(Err(error)) = recorder.map(|recorder| recorder.flush(&self.raft)) {
            tracing::error!(%error, "the recorder failed: nothing is recorded any more");
            self.recorder = None;
        }
        self.observed.update(&self.raft);
        self.metrics.turn(&self.raft);
    }

    /// Until when the core's own thread may sleep.
    pub(crate) fn sleep(&mut self) -> Option<Instant> {
        self.state.sleeps_until = self.state.wake;
        self.clock.instant(self.state.wake)
    }

    /// Whether the core's own thread sleeps for too long.
    pub(crate) fn wakes_earlier(&self) -> bool {
        self.state.wake < self.state.sleeps_until
    }

    /// There are no more turns. The first reason stays.
    pub(crate) fn stop(&mut self, reason: StopReason) {
        self.state.stop.get_or_insert(reason);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state.stop.is_some()
    }

    /// After the last turn.
    pub(crate) fn end(self) {
        // First the inbox: a thread of the transport that waits for room in it ends then.
        let Core {
            deliveries,
            mut transport,
            observed,
            state,
            ..
        } = self;
        drop(deliveries);
        transport.stop();
        observed.stopped(state.stop.unwrap_or(StopReason::Defect));
    }

    /// What the turn has for others leaves: for the peers first, as those wait longest, and last what is to
    /// be applied, for which nothing else waits.
    fn leave(&mut self) {
        self.transport.flush();
        // A thread that does not listen has failed, and said why in an order that is on its way.
        for order in self.state.disk.drain(..) {
            let _ = self.disk.send(order);
        }
        let (orders, is_due) = &mut self.state.applier;
        if std::mem::take(is_due) {
            let _ = self.applier.send_all(orders.drain(..));
        }
    }

    /// Takes what waits, or much of it; whether there was something.
    fn take(&mut self) -> bool {
        let index = self.progress.applied();
        let is_further = index > self.raft.applied_index();
        if is_further {
            self.step(Input::Applied { index });
        }
        for turn in 0..MAX_TURN {
            if self.state.stop.is_some() {
                break;
            }
            let order = self.orders.try_next();
            let delivery = self.deliveries.take();
            if delivery.is_none() && matches!(order, Err(TryRecvError::Empty)) {
                return turn > 0 || is_further;
            }
            if let Some(delivery) = delivery {
                self.delivery(delivery);
            }
            match order {
                Ok(order) => self.order(order),
                Err(TryRecvError::Empty) => {}
                // Without a caller, and without threads, there is nobody left to work for.
                Err(TryRecvError::Disconnected) => self.stop(StopReason::Shutdown),
            }
        }
        self.bell.ring(); // There may be more.
        true
    }

    fn delivery(&mut self, delivery: Delivery) {
        self.step(match delivery {
            Delivery::Message { from, message } => Input::Receive { from, message },
            Delivery::Unreachable { peer } => Input::Unreachable { peer },
        });
    }

    fn order(&mut self, order: Order<M>) {
        if let Order::Propose(command, promise) = order {
            self.gather(command, promise);
            return;
        }
        if !matches!(order, Order::Input(_)) {
            self.propose(); // What one caller asks for happens in the order in which it was asked.
        }
        match order {
            Order::Propose(..) => {} // Above.
            Order::Read(mode, read) => {
                let id = self.state.request();
                self.state.reads.insert(id, read);
                self.step(Input::Read { id, mode });
            }
            Order::Transfer(target, promise) => {
                let id = self.state.request();
                self.state.transfers.insert(id, promise);
                self.step(Input::TransferLeadership { id, target });
            }
            Order::Change(change, promise) => {
                let id = self.state.request();
                self.state.changes.insert(id, promise);
                self.step(Input::ChangeMembership { id, change });
            }
            Order::Status(promise) => promise.end(Ok(self.raft.status())),
            Order::Inspect(query) => {
                let index = raft_proto::Index::ZERO;
                self.tell_applier(ApplyOrder::Query { index, query });
            }
            Order::Snapshot => self.tell_applier(ApplyOrder::Snapshot),
            Order::Input(input) => self.step(input),
            Order::SnapshotMade(made) => {
                if let Some(snapshot) = made {
                    self.step(Input::Compact { snapshot });
                }
                self.tell_applier(ApplyOrder::SnapshotMade);
            }
            Order::StorageFailed(failed) => self.storage_failed(&failed),
            Order::MachineFailed(reason) => {
                tracing::error!(%reason, "the state machine failed: the node stops");
                self.state.stop = Some(StopReason::StateMachine(reason));
            }
            Order::ThreadPanicked(name) => {
                tracing::error!(name, "a thread panicked: the node stops");
                self.state.stop = Some(StopReason::Defect);
            }
            Order::Shutdown => self.shut_down(),
            Order::Kill => self.state.stop = Some(StopReason::Shutdown),
        }
    }

    /// Commands that wait together become one proposal, which is one run in the log. One that is
    /// too long goes alone, so that its refusal hits nobody else.
    fn gather(&mut self, command: Bytes, promise: CommandPromise<M>) {
        let length = command.len() as u64;
        let config = self.raft.config();
        let too_long = length > config.max_entry_bytes;
        let (_, _, bytes) = &self.state.gathered;
        if too_long || bytes + length > config.max_append_bytes {
            self.propose();
        }
        let (commands, promises, bytes) = &mut self.state.gathered;
        commands.push(command);
        promises.push_back(promise);
        *bytes += length;
        if too_long {
            self.propose();
        }
    }

    fn propose(&mut self) {
        if self.state.gathered.0.is_empty() {
            return;
        }
        let commands = std::mem::take(&mut self.state.gathered.0);
        self.state.gathered.2 = 0;
        self.metrics.proposed(commands.len());
        let id = self.state.request();
        let commands = Commands::from(commands);
        self.step(Input::Propose { id, commands });
    }

    /// The lead goes to the best prepared voter first, so that nobody waits for a timeout.
    fn shut_down(&mut self) {
        if self.raft.leader() != Some(self.raft.id()) {
            self.state.stop = Some(StopReason::Shutdown);
            return;
        }
        let id = self.state.request();
        self.state.handing_over = Some(id);
        // Answered within an election timeout.
        self.step(Input::TransferLeadership { id, target: None });
    }

    fn storage_failed(&mut self, failed: &StorageFailed) {
        tracing::error!(error = %failed.error, "the storage failed: the node stops");
        if let Some(seq) = failed.seq {
            // A leader steps down; nothing that depends on the write ever leaves.
            self.step(Input::PersistFailed { seq });
        }
        self.state.stop = Some(StopReason::Storage(failed.error.to_string()));
    }

    fn step(&mut self, input: Input) {
        let _within = tracing::trace_span!("step", term = %self.raft.term()).entered();
        let at = self.clock.now();
        let mut actions = std::mem::take(&mut self.state.actions);
        let event = Event { at, input };
        if let Some(recorder) = &mut self.recorder {
            recorder.event(&event);
        }
        self.raft.step_into(event, &mut actions);
        if let Some(recorder) = &mut self.recorder {
            recorder.actions(&actions);
        }
        for action in actions.drain(..) {
            self.perform(action);
        }
        self.state.actions = actions;
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Send { to, message } => self.transport.send(to, message),
            Action::Persist(write) => self.state.disk.push(DiskOrder::Write(write)),
            Action::ReadEntries {
                peer,
                from,
                to,
                max_bytes,
            } => self.state.disk.push(DiskOrder::Read {
                peer,
                from,
                to,
                max_bytes,
            }),
            Action::Apply { entries } => self.tell_applier(ApplyOrder::Apply(entries)),
            Action::Restore { snapshot } => self.tell_applier(ApplyOrder::Restore(snapshot)),
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => self.tell_snapshots(SnapshotOrder::Read {
                peer,
                snapshot,
                offset,
                length,
            }),
            Action::WriteSnapshot {
                snapshot,
                offset,
                data,
            } => self.tell_snapshots(SnapshotOrder::Write {
                snapshot,
                offset,
                data,
            }),
            Action::ReleaseSnapshot { snapshot } => {
                self.tell_snapshots(SnapshotOrder::Release(snapshot));
            }
            Action::WakeAt(time) => self.state.wake = time,
            outcome @ (Action::Proposed { .. }
            | Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }) => self.outcome(outcome),
            news @ (Action::MembershipChanged { .. }
            | Action::RoleChanged { .. }
            | Action::LeaderChanged { .. }
            | Action::Rejected { .. }
            | Action::Refused { .. }
            | Action::LostState { .. }
            | Action::Faulted { .. }) => self.news(news),
        }
    }

    /// Tells callers what became of their requests.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all kinds are listed in `perform`"
    )]
    fn outcome(&mut self, action: Action) {
        match action {
            Action::Proposed { outcome, .. } => {
                let promises = std::mem::take(&mut self.state.gathered.1);
                self.proposed(outcome.map(|proposal| proposal.first), promises);
            }
            Action::Read { id, outcome } => {
                let Some(read) = self.state.reads.remove(&id) else {
                    return;
                };
                match outcome {
                    Ok(index) => self.tell_applier(ApplyOrder::Query {
                        index,
                        query: read.query,
                    }),
                    Err(error) => (read.refuse)(RequestError::Refused(error)),
                }
            }
            Action::Transferred { id, outcome } => {
                if self.state.handing_over == Some(id) {
                    self.state.stop = Some(StopReason::Shutdown);
                }
                if let Some(promise) = self.state.transfers.remove(&id) {
                    promise.end(outcome.map_err(RequestError::Refused));
                }
            }
            Action::ChangeProposed { id, outcome } => {
                if let Some(promise) = self.state.changes.remove(&id) {
                    promise.end(outcome.map_err(RequestError::Refused));
                }
            }
            _ => {} // Only outcomes come here.
        }
    }

    fn proposed(
        &mut self,
        outcome: Result<EntryId, ProposeError>,
        promises: VecDeque<CommandPromise<M>>,
    ) {
        match outcome {
            Ok(first) => {
                let mut id = first;
                for promise in &promises {
                    promise.accept(id);
                    id.index = id.index.next();
                }
                self.tell_applier(ApplyOrder::Proposed { first, promises });
            }
            Err(error) => {
                for promise in promises {
                    promise.end(Err(RequestError::Refused(error)));
                }
            }
        }
    }

    /// What an operator or a subscriber wants to know.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all kinds are listed in `perform`"
    )]
    fn news(&mut self, action: Action) {
        let node = self.raft.id();
        match &action {
            Action::MembershipChanged { index, membership } => {
                tracing::info!(%node, %index, %membership, "the members changed");
                self.transport.members(membership);
            }
            Action::RoleChanged { role, term } => {
                tracing::info!(%node, ?role, %term, "the role changed");
                self.metrics.role(*role);
            }
            Action::LeaderChanged { leader, term } => {
                tracing::info!(%node, ?leader, %term, "the leader changed");
            }
            Action::Rejected { from, reason } => {
                tracing::warn!(%node, %from, %reason, "a message was rejected");
                self.metrics.rejected();
            }
            Action::Refused { reason } => {
                tracing::error!(%node, %reason, "an input was refused: a defect of the driver");
            }
            Action::LostState {
                peer,
                match_index,
                last,
            } => {
                tracing::error!(%node, %peer, %match_index, %last,
                    "a follower lost what it had acknowledged: remove it, let it join anew");
            }
            Action::Faulted { reason } => {
                tracing::error!(%node, %reason, "the core stopped");
                let stop = StopReason::Faulted(reason.to_string());
                self.state.stop.get_or_insert(stop);
            }
            _ => {} // Only news come here.
        }
        if let Some(news) = observed::news(&action) {
            self.observed.publish(news);
        }
    }

    // A thread that does not listen has failed, and said why in an order that is on its way.

    fn tell_snapshots(&self, order: SnapshotOrder) {
        let _ = self.snapshots.send(order);
    }

    fn tell_applier(&mut self, order: ApplyOrder<M>) {
        let (orders, is_due) = &mut self.state.applier;
        // Who waits for what is needed when that is applied.
        *is_due |= !matches!(order, ApplyOrder::Proposed { .. });
        orders.push(order);
    }
}
