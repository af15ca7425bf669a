//! A node, and the handle to it.

use crate::apply_thread::{AppliedIndex, Applier};
use crate::chunk_thread;
use crate::disk_thread::DiskThread;
use crate::error::{RequestError, StartError, StopReason};
use crate::inbox::inbox_with;
use crate::mailbox::mailbox;
use crate::metrics::Metrics;
use crate::observed::{NodeEvent, NodeState, Observed};
use crate::options::Options;
use crate::recorder::Recorder;
use crate::shared_core::SharedCore;
use crate::snapshot_thread::load;
use crate::state_machine::StateMachine;
use crate::storage::{Snapshots, Storage, StorageError};
use crate::tasks::{CoreMailbox, CoreTask, PendingRead};
use crate::threads::{Threads, is_node_thread};
use crate::ticket::{Applied, Permit, Promise, Proposed, Ticket, ticket};
use crate::timer::Clock;
use crate::transport::Transport;
use crate::turn::{Core, TurnState};
use crate::waker::Waker;
use bytes::Bytes;
use crossbeam_channel::{Receiver, SendError};
use raft_proto::{
    ChangeError, EntryId, Input, MembershipChange, NodeId, ProposeError, Raft, ReadError, ReadMode,
    Recovered, Status, TransferError,
};
use std::error::Error;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running node. Clones are handles to the same node. When the last handle is dropped the node is
/// killed, which is safe at any moment. The [crate's page](crate#example) has an example.
///
/// Requests return a [`Ticket`] at once; the methods that wait say so. Do not wait in the state
/// machine's own thread (in [`apply`](StateMachine::apply), or in the query of a read): the work that is
/// waited for is done in that thread.
#[derive(Debug)]
pub struct Node<M: StateMachine> {
    inner: Arc<Inner<M>>,
}

impl<M: StateMachine> Clone for Node<M> {
    fn clone(&self) -> Node<M> {
        Node {
            inner: self.inner.clone(),
        }
    }
}

struct Inner<M: StateMachine> {
    id: NodeId,
    snapshots: Arc<dyn Snapshots>,
    core: CoreMailbox<M>,
    observed: Arc<Observed>,
    /// How many requests are outstanding.
    outstanding: Arc<AtomicUsize>,
    max_outstanding: usize,
    /// The core's, which ends last. `None` once it was joined.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<M: StateMachine> std::fmt::Debug for Inner<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Inner");
        debug.field("id", &self.id);
        debug.field("observed", &self.observed);
        debug.finish_non_exhaustive()
    }
}

impl<M: StateMachine> Node<M> {
    /// Starts a node (the lab's `Make`): recovers the storage, loads the recovered snapshot into
    /// `machine`, starts the transport and the threads.
    ///
    /// # Errors
    ///
    /// [`StartError`]: nothing runs then.
    pub fn start<S: Storage, T: Transport>(
        options: Options,
        mut storage: S,
        mut transport: T,
        mut machine: M,
    ) -> Result<Node<M>, StartError> {
        let recovered = storage.recover()?;
        let snapshots = storage.snapshots();
        let last = restore(&mut machine, snapshots.as_ref(), &recovered)?;
        let raft = Raft::new(options.config.clone(), recovered)?;
        let id = raft.id();
        let recorder = options.recorder;
        let recorder = recorder.map(|options| Recorder::start(options, &raft));
        let recorder = recorder.transpose().map_err(StartError::Recorder)?;
        let observed = Arc::new(Observed::new(&raft));
        let waker = Waker::default();
        let (inbox, deliveries) = inbox_with(options.max_inbox_bytes, waker.clone());
        // Bounded by the requests that may be outstanding, and by what the core has asked of its
        // threads. This kind of queue drops its messages with its receiver, and so ends the tickets.
        let (core_mailbox, tasks) = mailbox(waker.clone());
        transport.start(&options.config, inbox)?;
        let metrics = Metrics::new(id);
        let applied = Arc::new(AppliedIndex::new(last.index, waker.clone()));
        let mut threads = Threads::new(id, core_mailbox.clone());
        let sync_metrics = metrics.clone();
        let disk = threads.start_worker("raft-disk", move |tasks, core| {
            DiskThread::new(storage, tasks, core, sync_metrics).run();
        })?;
        let files = snapshots.clone();
        let chunks = threads.start_worker("raft-chunks", move |tasks, core| {
            chunk_thread::run(files.as_ref(), tasks, core);
        })?;
        let (files, policy) = (snapshots.clone(), options.snapshots);
        let (index, core) = (applied.clone(), core_mailbox.clone());
        let apply = Applier::new(machine, files, policy, core, index, last);
        let applier = threads.start_worker("raft-apply", move |tasks, _| apply.run(tasks))?;
        let core = SharedCore::new(Core {
            raft,
            clock: Clock::new(),
            transport,
            waker,
            tasks,
            deliveries,
            disk,
            chunks,
            applier,
            applied,
            observed: observed.clone(),
            state: TurnState::new(),
            recorder,
            metrics,
        });
        let seen = observed.clone();
        let thread = threads.start_core(move || {
            if catch_unwind(AssertUnwindSafe(|| core.run())).is_err() {
                seen.set_stopped(StopReason::Defect);
            }
        })?;
        Ok(Node {
            inner: Arc::new(Inner {
                id,
                snapshots,
                core: core_mailbox,
                observed,
                outstanding: Arc::new(AtomicUsize::new(0)),
                max_outstanding: options.max_outstanding,
                thread: Mutex::new(Some(thread)),
            }),
        })
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.inner.id
    }

    /// Asks for a command to be replicated; never waits. The ticket ends with the state machine's
    /// answer; see [`RequestError`] for what else.
    pub fn submit(&self, command: impl Into<Bytes>) -> Proposed<M::Answer> {
        let command = command.into();
        self.request(|promise| CoreTask::Propose { command, promise })
    }

    /// Asks for a command to be replicated (the lab's `Start`): waits only until the core has taken
    /// it, and returns its index and term, and the ticket to wait on. Many commands are best
    /// [submitted](Node::submit), so that they travel together.
    ///
    /// # Errors
    ///
    /// [`RequestError::Refused`] if this node does not lead: the reason names who does.
    pub fn propose(
        &self,
        command: impl Into<Bytes>,
    ) -> Result<(EntryId, Proposed<M::Answer>), RequestError<ProposeError>> {
        let ticket = self.submit(command);
        match ticket.accepted() {
            Some(id) => Ok((id, ticket)),
            None => match ticket.wait() {
                Err(error) => Err(error),
                // A command that was applied had been accepted.
                Ok(_) => Err(RequestError::Stopped),
            },
        }
    }

    /// Asks for a command to be replicated and waits until it is applied, but not longer than
    /// `timeout`.
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub fn execute(
        &self,
        command: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<Applied<M::Answer>, RequestError<ProposeError>> {
        self.submit(command).wait_timeout(timeout)
    }

    /// Asks the state machine a question whose answer is linearizable (thesis 6.4), on whichever
    /// node this is: `query` runs in the state machine's thread once this node has applied all that
    /// was committed anywhere when the question was asked. Never waits.
    pub fn read<A: Send + 'static>(
        &self,
        mode: ReadMode,
        query: impl FnOnce(&M) -> A + Send + 'static,
    ) -> Ticket<A, ReadError> {
        self.request(|promise| CoreTask::Read {
            mode,
            read: PendingRead::new(query, promise),
        })
    }

    /// Asks the state machine of this node as it is, whether it leads or is far behind: the answer may
    /// be stale. Never waits.
    pub fn inspect<A: Send + 'static>(
        &self,
        query: impl FnOnce(&M) -> A + Send + 'static,
    ) -> Ticket<A, std::convert::Infallible> {
        self.request(|promise: Promise<A, _>| {
            CoreTask::Inspect(Box::new(move |machine: &M| promise.end(Ok(query(machine)))))
        })
    }

    /// The node as it was a moment ago (the lab's `GetState`); never waits.
    pub fn state(&self) -> NodeState {
        self.inner.observed.state()
    }

    /// All that the core says of itself and its peers. Waits for the core's turn.
    ///
    /// # Errors
    ///
    /// [`RequestError::Stopped`] if the node has stopped.
    pub fn status(&self) -> Result<Status, RequestError<std::convert::Infallible>> {
        self.request(CoreTask::Status).wait()
    }

    /// Lets the state machine make a snapshot soon, whatever the policy says; nothing if one is
    /// being made. Never waits.
    pub fn snapshot(&self) {
        // A node that has stopped makes none.
        let _ = self.inner.core.send(CoreTask::MakeSnapshot);
    }

    /// Gives the node a snapshot that the service made by itself, of its state after `last`: an entry
    /// that it has applied. Waits until it is on disk.
    pub(crate) fn store_snapshot(
        &self,
        last: EntryId,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), StorageError> {
        let mut sink = self.inner.snapshots.create()?;
        write(&mut sink).map_err(|error| StorageError::io("write a snapshot", error))?;
        let snapshot = sink.finish(last)?;
        // A node that has stopped needs none; its next start deletes the file.
        let compact = CoreTask::Input(Input::Compact { snapshot });
        let _ = self.inner.core.send(compact);
        Ok(())
    }

    /// Hands the lead to `target`, or to the voter that is best prepared (thesis 3.10). The ticket
    /// ends with the new leader.
    pub fn transfer_leadership(&self, target: Option<NodeId>) -> Ticket<NodeId, TransferError> {
        self.request(|promise| CoreTask::TransferLeadership { target, promise })
    }

    /// Changes the members (section 6). The ticket ends as soon as the change stands in the
    /// leader's log; [`NodeEvent::Membership`] tells when it is in force, and complete.
    pub fn change_membership(&self, change: MembershipChange) -> Ticket<EntryId, ChangeError> {
        self.request(|promise| CoreTask::ChangeMembership { change, promise })
    }

    /// Changes of role, leader and members from now on. Who leaves a thousand unread hears no
    /// more.
    pub fn subscribe(&self) -> Receiver<NodeEvent> {
        self.inner.observed.subscribe()
    }

    /// Why the node stopped, if it did.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.inner.observed.stop_reason()
    }

    /// Stops the node: hands over the lead, finishes the writes that wait, and returns when all
    /// threads have ended. All tickets end.
    pub fn shutdown(&self) -> StopReason {
        self.inner.stop(CoreTask::Shutdown);
        self.stop_reason().unwrap_or(StopReason::Defect)
    }

    /// Stops the node at once, as dropping its last handle does (the lab's `Kill`), and returns when
    /// all threads have ended. All tickets end.
    pub fn kill(&self) {
        self.inner.stop(CoreTask::Kill);
    }

    /// As [`submit`](Node::submit), but the core does not hear of it before [`help`](Node::help).
    pub(crate) fn submit_later(&self, command: Bytes) -> Proposed<M::Answer> {
        self.request_with(
            |promise| CoreTask::Propose { command, promise },
            CoreMailbox::enqueue,
        )
    }

    /// As [`read`](Node::read), but the core does not hear of it before [`help`](Node::help).
    pub(crate) fn read_later<A: Send + 'static>(
        &self,
        mode: ReadMode,
        query: impl FnOnce(&M) -> A + Send + 'static,
    ) -> Ticket<A, ReadError> {
        let task = |promise| CoreTask::Read {
            mode,
            read: PendingRead::new(query, promise),
        };
        self.request_with(task, CoreMailbox::enqueue)
    }

    /// Takes the core's turn in this thread, if no other is at it.
    pub(crate) fn help(&self) {
        self.inner.core.help();
    }

    fn request<A, R: Error>(
        &self,
        task: impl FnOnce(Promise<A, R>) -> CoreTask<M>,
    ) -> Ticket<A, R> {
        self.request_with(task, CoreMailbox::send)
    }

    fn request_with<A, R: Error>(
        &self,
        task: impl FnOnce(Promise<A, R>) -> CoreTask<M>,
        send: impl FnOnce(&CoreMailbox<M>, CoreTask<M>) -> Result<(), SendError<CoreTask<M>>>,
    ) -> Ticket<A, R> {
        let inner = &self.inner;
        let Some(permit) = Permit::acquire(&inner.outstanding, inner.max_outstanding) else {
            return Ticket::ended(RequestError::Overloaded);
        };
        let (promise, ticket) = ticket(permit);
        match send(&inner.core, task(promise)) {
            Ok(()) => ticket,
            Err(_) => Ticket::ended(RequestError::Stopped),
        }
    }
}

impl<M: StateMachine> Inner<M> {
    fn stop(&self, task: CoreTask<M>) {
        let _ = self.core.send(task); // It has stopped already, or does now.
        if is_node_thread() {
            return; // The thread that is waited for would be this one.
        }
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = thread.take() else { return };
        if thread.join().is_err() {
            self.observed.set_stopped(StopReason::Defect);
        }
    }
}

impl<M: StateMachine> Drop for Inner<M> {
    /// The lab's `Kill`.
    fn drop(&mut self) {
        self.stop(CoreTask::Kill);
    }
}

/// Loads the recovered snapshot; says how far the state machine is then.
fn restore<M: StateMachine>(
    machine: &mut M,
    snapshots: &dyn Snapshots,
    recovered: &Recovered,
) -> Result<EntryId, StartError> {
    let Some(meta) = &recovered.snapshot else {
        return Ok(EntryId::default());
    };
    let last = meta.id.last;
    let loaded = load(machine, snapshots, meta);
    loaded.map_err(|error| StartError::Restore {
        last,
        reason: error.to_string(),
    })?;
    Ok(last)
}
