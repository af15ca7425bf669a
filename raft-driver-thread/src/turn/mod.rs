//! The core's turn: receive, step, perform. One turn takes everything that waits.
//!
//! | file | what |
//! |---|---|
//! | here | what a turn takes, and in which order things leave |
//! | `batch` | commands that are proposed together |
//! | `compared` | a state that is not that of the other nodes |
//! | `pending` | requests that wait for the core's outcome |
//! | `perform` | what becomes of each action |
//! | `rejections` | how often rejected messages are told of |
//! | `report` | what operators and subscribers are told |

mod batch;
mod compared;
mod pending;
mod perform;
mod rejections;
mod report;

use crate::apply_thread::AppliedIndex;
use crate::clock::Clock;
use crate::comparing::{CompareGuard, Replica};
use crate::error::StopReason;
use crate::inbox::{Deliveries, Delivery};
use crate::mailbox::{Mailbox, Receiver};
use crate::metrics::Metrics;
use crate::observed::Observed;
use crate::offers::Offers;
use crate::recorder::Recorder;
use crate::scrub_thread::ScrubGuard;
use crate::state_machine::StateMachine;
use crate::tasks::{
    ApplyTask, ChunkTask, CommandPromise, CoreTask, DiskTask, StateMachineFailed, StorageFailed,
};
use crate::transport::Transport;
use crate::waker::Waker;
use batch::ProposalBatch;
use bytes::Bytes;
use crossbeam_channel::TryRecvError;
use pending::PendingRequests;
use raft_proto::{Action, Commands, Event, Index, Input, Raft, SnapshotId, Time};
use rejections::Rejections;
use std::sync::Arc;
use std::time::Instant;

/// How many tasks and deliveries one turn takes at most, so that what was sent leaves.
const MAX_TAKEN: usize = 1024;

/// The core, and everything that it works with. Whichever thread takes the turn uses it alone.
pub(crate) struct Core<M: StateMachine, T> {
    pub(crate) raft: Raft,
    pub(crate) clock: Clock,
    pub(crate) transport: T,
    pub(crate) waker: Waker,
    pub(crate) tasks: Receiver<CoreTask<M>>,
    pub(crate) deliveries: Deliveries,
    pub(crate) disk: Mailbox<DiskTask>,
    pub(crate) chunks: Mailbox<ChunkTask>,
    pub(crate) applier: Mailbox<ApplyTask<M>>,
    pub(crate) applied: Arc<AppliedIndex>,
    pub(crate) observed: Arc<Observed>,
    pub(crate) offers: Offers,
    pub(crate) replica: Replica,
    pub(crate) state: TurnState<M>,
    pub(crate) recorder: Option<Recorder>,
    pub(crate) metrics: Metrics,
    /// Dropped with the core: the thread ends then.
    pub(crate) _scrub: Option<ScrubGuard>,
    /// Likewise.
    pub(crate) _compare: Option<CompareGuard>,
}

/// What is remembered between turns.
pub(crate) struct TurnState<M: StateMachine> {
    /// When the core next needs a tick.
    deadline: Time,
    /// The deadline that the core's own thread sleeps until.
    sleeps_until: Time,
    batch: ProposalBatch<M>,
    pending: PendingRequests<M>,
    stop_reason: Option<StopReason>,
    /// Kept for its memory.
    actions: Vec<Action>,
    /// Sent at the end of the turn.
    apply_queue: ApplyQueue<M>,
    /// Sent at the end of the turn, after its messages: followers wait for those.
    disk_queue: Vec<DiskTask>,
    rejections: Rejections,
    /// Stored, and maybe of the wrong state: it is given to nobody who asks for a right one.
    doubtful_snapshot: Option<SnapshotId>,
    /// Before, a leader does not look again whether its state is set aside.
    retreats_at: Time,
}

/// Tasks for the applier, in order.
struct ApplyQueue<M: StateMachine> {
    tasks: Vec<ApplyTask<M>>,
    /// Whether there is anything to do among them. Promises alone can wait until their entries are
    /// applied.
    is_due: bool,
}

impl<M: StateMachine> TurnState<M> {
    pub(crate) fn new() -> TurnState<M> {
        TurnState {
            deadline: Time::ZERO,
            sleeps_until: Time::ZERO,
            batch: ProposalBatch::new(),
            pending: PendingRequests::new(),
            stop_reason: None,
            actions: Vec::new(),
            apply_queue: ApplyQueue {
                tasks: Vec::new(),
                is_due: false,
            },
            disk_queue: Vec::new(),
            rejections: Rejections::default(),
            doubtful_snapshot: None,
            retreats_at: Time::ZERO,
        }
    }
}

impl<M: StateMachine, T: Transport> Core<M, T> {
    /// What has to be done before the first turn.
    pub(crate) fn begin(&mut self) {
        self.transport.set_members(self.raft.membership());
        self.step(Input::Tick);
        self.send_queued();
    }

    /// One turn: takes all that waits, and does what follows from it.
    pub(crate) fn turn(&mut self) {
        let mut is_idle = !self.take_waiting();
        self.propose_batch();
        if self.state.deadline <= self.clock.now() {
            // The tick answers this deadline, whether the core sets another one or not.
            self.state.deadline = Time::NEVER;
            self.step(Input::Tick);
            is_idle = false;
        }
        if is_idle {
            return;
        }
        self.retreat();
        self.send_queued();
        let recorder = self.recorder.as_mut();
        if let Some(Err(error)) = recorder.map(|recorder| recorder.flush(&self.raft)) {
            tracing::error!(%error, "the recorder failed: nothing is recorded any more");
            self.recorder = None;
        }
        self.observed.update(&self.raft);
        self.metrics.turn(&self.raft);
    }

    /// Until when the core's own thread may sleep; `None` for as long as it is not woken.
    pub(crate) fn plan_sleep(&mut self) -> Option<Instant> {
        self.state.sleeps_until = self.state.deadline;
        self.clock.instant(self.state.deadline)
    }

    /// Whether the core's own thread sleeps beyond the deadline, which has come forward since.
    pub(crate) fn oversleeps(&self) -> bool {
        self.state.deadline < self.state.sleeps_until
    }

    /// This is the last turn. The first reason stays.
    pub(crate) fn stop(&mut self, reason: StopReason) {
        self.state.stop_reason.get_or_insert(reason);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state.stop_reason.is_some()
    }

    /// What has to be done after the last turn.
    pub(crate) fn end(self) {
        let Core {
            deliveries,
            mut transport,
            observed,
            state,
            ..
        } = self;
        // The inbox first: it ends a thread of the transport that waits for room in it.
        drop(deliveries);
        transport.stop();
        observed.set_stopped(state.stop_reason.unwrap_or(StopReason::Defect));
    }

    /// Sends what the turn has for others. Peers come first, as they wait longest; the state
    /// machine comes last, as nothing else waits for it.
    fn send_queued(&mut self) {
        self.transport.flush();
        // A thread that receives no more has failed, and its report is on its way to the core.
        for task in self.state.disk_queue.drain(..) {
            let _ = self.disk.send(task);
        }
        let queue = &mut self.state.apply_queue;
        if std::mem::take(&mut queue.is_due) {
            let _ = self.applier.send_all(queue.tasks.drain(..));
        }
    }

    /// Takes what waits, up to [`MAX_TAKEN`]. Returns whether there was anything.
    fn take_waiting(&mut self) -> bool {
        let index = self.applied.get();
        let has_applied = index > self.raft.applied_index();
        if has_applied {
            self.step(Input::Applied { index });
        }
        for taken in 0..MAX_TAKEN {
            if self.state.stop_reason.is_some() {
                break;
            }
            let task = self.tasks.try_recv();
            let delivery = self.deliveries.take();
            if delivery.is_none() && matches!(task, Err(TryRecvError::Empty)) {
                return taken > 0 || has_applied;
            }
            if let Some(delivery) = delivery {
                self.receive(delivery);
            }
            match task {
                Ok(task) => self.perform_task(task),
                Err(TryRecvError::Empty) => {}
                // Neither a caller nor a thread is left to work for.
                Err(TryRecvError::Disconnected) => self.stop(StopReason::Shutdown),
            }
        }
        self.waker.wake(); // There may be more.
        true
    }

    fn receive(&mut self, delivery: Delivery) {
        self.step(match delivery {
            Delivery::Message(received) => Input::from(received),
            Delivery::Unreachable { peer } => Input::Unreachable { peer },
        });
    }

    fn perform_task(&mut self, task: CoreTask<M>) {
        if !matches!(task, CoreTask::Propose { .. } | CoreTask::Input(_)) {
            self.propose_batch(); // One caller's requests are taken in the order they were made.
        }
        match task {
            CoreTask::Propose {
                command,
                promise,
                given,
            } => self.batch(command, promise, given),
            CoreTask::Read { mode, read } => {
                let id = self.state.pending.insert_read(read);
                self.step(Input::Read { id, mode });
            }
            CoreTask::TransferLeadership { target, promise } => {
                let id = self.state.pending.insert_transfer(promise);
                self.step(Input::TransferLeadership { id, target });
            }
            CoreTask::ChangeMembership { change, promise } => {
                let id = self.state.pending.insert_change(promise);
                self.step(Input::ChangeMembership { id, change });
            }
            CoreTask::Campaign(promise) => {
                let id = self.state.pending.set_campaign(promise);
                self.step(Input::Campaign { id });
            }
            CoreTask::StepDown(promise) => {
                let id = self.state.pending.set_step_down(promise);
                self.step(Input::StepDown { id });
            }
            CoreTask::Reconfigure { config, promise } => {
                let id = self.state.pending.set_reconfigure(promise);
                self.step(Input::Reconfigure { id, config });
            }
            CoreTask::Status(promise) => promise.end(Ok(self.raft.status())),
            CoreTask::Inspect(query) => {
                let index = Index::ZERO;
                self.queue_apply(ApplyTask::Query { index, query });
            }
            CoreTask::MakeSnapshot => self.queue_apply(ApplyTask::MakeSnapshot),
            CoreTask::FetchEntries(lost) => self.state.disk_queue.push(DiskTask::Fetch(lost)),
            CoreTask::OfferSnapshot { at_least, reply } => {
                // The peer may not wait any more.
                let _ = reply.send(self.offer_snapshot(at_least));
            }
            CoreTask::Membership(reply) => {
                let _ = reply.send(self.raft.membership().clone());
            }
            CoreTask::SetStateAside(task) => self.set_state_aside(task),
            CoreTask::ReplaceState { snapshot, done } => {
                self.queue_apply(ApplyTask::Replace { snapshot, done });
            }
            CoreTask::StateReplaced(snapshot) => self.state_replaced(snapshot),
            CoreTask::ReplacementUnused(snapshot) => self.replacement_unused(snapshot),
            CoreTask::Input(input) => self.step(input),
            CoreTask::SnapshotMade(made) => {
                if let Some(snapshot) = made {
                    self.step(Input::Compact { snapshot });
                }
                self.queue_apply(ApplyTask::SnapshotMade(made));
            }
            CoreTask::StorageFailed(failed) => self.storage_failed(&failed),
            CoreTask::StateMachineFailed(failed) => self.state_machine_failed(failed),
            CoreTask::ThreadPanicked { thread } => self.thread_panicked(thread),
            CoreTask::Shutdown => self.shut_down(),
            CoreTask::Kill => self.state.stop_reason = Some(StopReason::Shutdown),
        }
    }

    fn thread_panicked(&mut self, thread: &'static str) {
        tracing::error!(thread, "a thread panicked: the node stops");
        self.state.stop_reason = Some(StopReason::Defect);
    }

    /// Adds a command to the batch. A command that is too long for any entry is proposed alone, so
    /// that its refusal hits no other.
    fn batch(&mut self, command: Bytes, promise: CommandPromise<M>, given: Option<Time>) {
        let length = command.len() as u64;
        let config = self.raft.config();
        let (max_batch_bytes, max_entry_bytes) = (config.max_append_bytes, config.max_entry_bytes);
        let is_too_long = length > max_entry_bytes;
        if is_too_long || self.state.batch.bytes() + length > max_batch_bytes {
            self.propose_batch();
        }
        self.state.batch.push(command, promise, given);
        if is_too_long {
            self.propose_batch();
        }
    }

    fn propose_batch(&mut self) {
        if self.state.batch.is_empty() {
            return;
        }
        let batch = std::mem::replace(&mut self.state.batch, ProposalBatch::new());
        self.metrics.proposed(batch.commands.len());
        let commands = Commands::from(batch.commands);
        let id = self.state.pending.set_proposal(batch.promises);
        if let (Some(recorder), Some(given)) = (&mut self.recorder, batch.given) {
            recorder.proposal(id, given);
        }
        self.step(Input::Propose { id, commands });
    }

    /// A leader hands over leadership first, so that nobody waits for an election timeout.
    fn shut_down(&mut self) {
        if self.raft.leader() != Some(self.raft.id()) {
            self.state.stop_reason = Some(StopReason::Shutdown);
            return;
        }
        let id = self.state.pending.begin_shutdown();
        // The outcome comes within an election timeout.
        self.step(Input::TransferLeadership { id, target: None });
    }

    fn storage_failed(&mut self, failed: &StorageFailed) {
        tracing::error!(error = %failed.error, "the storage failed: the node stops");
        if let Some(seq) = failed.seq {
            // A leader steps down. Nothing that depends on the write is ever sent.
            self.step(Input::PersistFailed { seq });
        }
        self.state.stop_reason = Some(StopReason::Storage(failed.error.to_string()));
    }

    fn state_machine_failed(&mut self, failed: StateMachineFailed) {
        let reason = failed.0;
        tracing::error!(%reason, "the state machine failed: the node stops");
        self.state.stop_reason = Some(StopReason::StateMachine(reason));
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
}
