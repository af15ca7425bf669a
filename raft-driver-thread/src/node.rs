//! A node: the core, its threads, and the handle to it.

use crate::apply_thread::{Applier, Progress, load};
use crate::bell::Bell;
use crate::core_turn::{Core, Turn};
use crate::error::{RequestError, StartError, StopReason};
use crate::inbox::inbox_with;
use crate::mailbox::mailbox;
use crate::metrics::Metrics;
use crate::observed::{NodeEvent, NodeState, Observed};
use crate::options::Options;
use crate::order::{Order, Orders, PendingRead};
use crate::recorder::Recorder;
use crate::shared_core::SharedCore;
use crate::state_machine::StateMachine;
use crate::storage::{Snapshots, Storage, StorageError};
use crate::ticket::{Applied, Outstanding, Promise, Proposed, Ticket, ticket};
use crate::timer::Clock;
use crate::transport::Transport;
use crate::{disk_thread, snapshot_thread};
use bytes::Bytes;
use crossbeam_channel::{Receiver, SendError};
use raft_proto::{
    ChangeError, EntryId, Input, MembershipChange, NodeId, ProposeError, Raft, ReadError, ReadMode,
    Recovered, Status, TransferError,
};
use std::cell::Cell;
use std::error::Error;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// A running node. Clones are handles to the same one; when the last is dropped it is killed, which
/// is safe at any moment. See the [crate] for an example.
///
/// Requests return tickets at once; the methods that wait say so. Do not wait in the state machine's
/// own thread (in `apply`, or in the query of a read): what is waited for happens there.
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

/// Where snapshots lie.
struct Files(Arc<dyn Snapshots>);

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Snapshots")
    }
}

#[derive(Debug)]
struct Inner<M: StateMachine> {
    id: NodeId,
    snapshots: Files,
    orders: Orders<M>,
    observed: Arc<Observed>,
    outstanding: Arc<AtomicUsize>,
    max_outstanding: usize,
    /// Ends last, after it has joined all others.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<M: StateMachine> Node<M> {
    /// Starts a node (the lab's `Make`): recovers the storage, loads its snapshot into `machine`,
    /// and begins the threads.
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
        let recorder = options
            .recorder
            .map(|options| Recorder::start(options, &raft));
        let recorder = recorder.transpose().map_err(StartError::Recorder)?;
        let observed = Arc::new(Observed::new(&raft));
        let bell = Bell::default();
        let (ear, deliveries) = inbox_with(options.max_inbox_bytes, bell.clone());
        // Bounded by what may be outstanding, and by what the core has asked of its threads. This
        // kind of queue drops what it holds with its receiver, and so ends the tickets.
        let (orders, core_orders) = mailbox(bell.clone());
        let mut threads = Threads {
            node: id,
            core: orders.clone(),
            running: Vec::new(),
        };
        let (disk, disk_orders) = mailbox(Bell::default());
        let (chunks, snapshot_orders) = mailbox(Bell::default());
        let (applier, apply_orders) = mailbox(Bell::default());
        transport.start(&options.config, ear)?;
        let metrics = Metrics::new(id);
        let (core, measured) = (orders.clone(), metrics.clone());
        threads.begin("raft-disk", move || {
            disk_thread::run(storage, &disk_orders, &core, &measured);
        })?;
        let (core, files) = (orders.clone(), snapshots.clone());
        threads.begin("raft-chunks", move || {
            snapshot_thread::run(files.as_ref(), &snapshot_orders, &core);
        })?;
        let files = Files(snapshots.clone());
        let progress = Arc::new(Progress::new(last.index, bell.clone()));
        let policy = options.snapshots;
        let (applying, core) = (progress.clone(), orders.clone());
        let apply = Applier::new(machine, snapshots, policy, core, applying, last);
        threads.begin("raft-apply", move || apply.run(&apply_orders))?;
        let core = Core {
            raft,
            clock: Clock::new(),
            transport,
            bell,
            orders: core_orders,
            deliveries,
            disk,
            snapshots: chunks,
            applier,
            progress,
            observed: observed.clone(),
            state: Turn::new(),
            recorder,
            metrics,
        };
        let core = SharedCore::new(core);
        let seen = observed.clone();
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| core.run())).is_err() {
                seen.stopped(StopReason::Defect);
            }
            threads.join();
        };
        let thread = spawn(id, "raft-core", run)?;
        Ok(Node {
            inner: Arc::new(Inner {
                id,
                snapshots: files,
                orders,
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
        self.request(|promise| Order::Propose(command, promise))
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
        self.request(|promise| Order::Read(mode, PendingRead::new(query, promise)))
    }

    /// Asks the state machine of this node as it is, whether it leads or is far behind: the answer may
    /// be stale. Never waits.
    pub fn inspect<A: Send + 'static>(
        &self,
        query: impl FnOnce(&M) -> A + Send + 'static,
    ) -> Ticket<A, std::convert::Infallible> {
        self.request(|promise: Promise<A, _>| {
            Order::Inspect(Box::new(move |machine: &M| promise.end(Ok(query(machine)))))
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
        self.request(Order::Status).wait()
    }

    /// Lets the state machine make a snapshot soon, whatever the policy says; nothing if one is
    /// being made. Never waits.
    pub fn snapshot(&self) {
        // A node that has stopped makes none.
        let _ = self.inner.orders.send(Order::Snapshot);
    }

    /// Gives the node a snapshot that the service made by itself, of its state after `last`: an entry
    /// that it has applied. Waits until it is on disk.
    pub(crate) fn store_snapshot(
        &self,
        last: EntryId,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), StorageError> {
        let mut sink = self.inner.snapshots.0.create()?;
        write(&mut sink).map_err(|error| StorageError::io("write a snapshot", error))?;
        let snapshot = sink.finish(last)?;
        // A node that has stopped needs none; its next start deletes the file.
        let compact = Order::Input(Input::Compact { snapshot });
        let _ = self.inner.orders.send(compact);
        Ok(())
    }

    /// Hands the lead to `target`, or to the voter that is best prepared (thesis 3.10). The ticket
    /// ends with the new leader.
    pub fn transfer_leadership(&self, target: Option<NodeId>) -> Ticket<NodeId, TransferError> {
        self.request(|promise| Order::Transfer(target, promise))
    }

    /// Changes the members (section 6). The ticket ends as soon as the change stands in the
    /// leader's log; [`NodeEvent::Membership`] tells when it is in force, and complete.
    pub fn change_membership(&self, change: MembershipChange) -> Ticket<EntryId, ChangeError> {
        self.request(|promise| Order::Change(change, promise))
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
        self.inner.stop(Order::Shutdown);
        self.stop_reason().unwrap_or(StopReason::Defect)
    }

    /// Stops the node at once, as dropping its last handle does (the lab's `Kill`), and returns when
    /// all threads have ended. All tickets end.
    pub fn kill(&self) {
        self.inner.stop(Order::Kill);
    }

    /// As [`submit`](Node::submit), but the core does not hear of it before [`help`](Node::help).
    pub(crate) fn submit_later(&self, command: Bytes) -> Proposed<M::Answer> {
        self.request_by(|promise| Order::Propose(command, promise), Orders::put)
    }

    /// As [`read`](Node::read), but the core does not hear of it before [`help`](Node::help).
    pub(crate) fn read_later<A: Send + 'static>(
        &self,
        mode: ReadMode,
        query: impl FnOnce(&M) -> A + Send + 'static,
    ) -> Ticket<A, ReadError> {
        let order = |promise| Order::Read(mode, PendingRead::new(query, promise));
        self.request_by(order, Orders::put)
    }

    /// Takes the core's turn in this thread, if no other is at it.
    pub(crate) fn help(&self) {
        self.inner.orders.help();
    }

    fn request<A, R: Error>(&self, order: impl FnOnce(Promise<A, R>) -> Order<M>) -> Ticket<A, R> {
        self.request_by(order, Orders::send)
    }

    fn request_by<A, R: Error>(
        &self,
        order: impl FnOnce(Promise<A, R>) -> Order<M>,
        send: impl FnOnce(&Orders<M>, Order<M>) -> Result<(), SendError<Order<M>>>,
    ) -> Ticket<A, R> {
        let inner = &self.inner;
        let Some(place) = Outstanding::enter(&inner.outstanding, inner.max_outstanding) else {
            return Ticket::ended(RequestError::Overloaded);
        };
        let (promise, ticket) = ticket(place);
        match send(&inner.orders, order(promise)) {
            Ok(()) => ticket,
            Err(_) => Ticket::ended(RequestError::Stopped),
        }
    }
}

impl<M: StateMachine> Inner<M> {
    fn stop(&self, order: Order<M>) {
        let _ = self.orders.send(order); // It has stopped already, or does now.
        if IS_OWN.get() {
            return; // The thread that is waited for would be this one.
        }
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = thread.take() else { return };
        if thread.join().is_err() {
            self.observed.stopped(StopReason::Defect);
        }
    }
}

impl<M: StateMachine> Drop for Inner<M> {
    /// The lab's `Kill`.
    fn drop(&mut self) {
        self.stop(Order::Kill);
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

thread_local! {
    /// Whether this is a thread of a node's, which must not wait for a node's end.
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// Does a node's work in a thread that is not its own.
pub(crate) fn as_own(work: impl FnOnce()) {
    let before = IS_OWN.replace(true);
    work();
    IS_OWN.set(before);
}

/// The threads that the core's thread waits for when it ends.
struct Threads<M: StateMachine> {
    node: NodeId,
    core: Orders<M>,
    running: Vec<JoinHandle<()>>,
}

impl<M: StateMachine> Threads<M> {
    /// Should it panic, the node stops.
    fn begin(
        &mut self,
        name: &'static str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), StartError> {
        let core = self.core.clone();
        let guarded = move || {
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                let _ = core.send(Order::ThreadPanicked(name));
            }
        };
        self.running.push(spawn(self.node, name, guarded)?);
        Ok(())
    }

    fn join(self) {
        for thread in self.running {
            let _ = thread.join(); // It catches its panics.
        }
    }
}

/// A thread of the node's; all that is traced in it is within a span that names both.
fn spawn(
    node: NodeId,
    name: &'static str,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let thread = Builder::new().name(name.into());
    let own = move || {
        IS_OWN.set(true);
        let _within = tracing::info_span!("raft", %node, thread = name).entered();
        run();
    };
    thread.spawn(own).map_err(StartError::Thread)
}
