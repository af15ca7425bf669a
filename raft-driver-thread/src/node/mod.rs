//! A node, and the handle to it.

mod start;

use crate::comparing::{Comparison, note_origin};
use crate::error::{RequestError, StopReason};
use crate::mending::Mended;
use crate::observed::{NodeEvent, NodeState};
use crate::scrub_thread::Decayed;
use crate::shared::Shared;
use crate::state_machine::StateMachine;
use crate::storage::{Damage, StorageError};
use crate::tasks::{CoreMailbox, CoreTask, PendingRead};
use crate::threads::is_node_thread;
use crate::ticket::{Applied, Permit, Promise, Proposed, Ticket, ticket};
use bytes::Bytes;
use crossbeam_channel::{Receiver, SendError};
use raft_proto::{
    CampaignError, ChangeError, Config, EntryId, Input, MembershipChange, NodeId, ProposeError,
    ReadError, ReadMode, ReconfigureError, Status, StepDownError, Term, TransferError,
};
use std::error::Error;
use std::io::{self, Write};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running node. Clones are handles to the same node. When the last handle is dropped the node is
/// killed, which is safe at any moment. The [crate's page](crate#example) has an example.
///
/// Requests return a [`Ticket`] at once; the methods that wait say so. Do not wait in the state
/// machine's own thread (in [`apply`](StateMachine::apply), or in the query of a read): the work
/// that is waited for is done in that thread.
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
    shared: Shared<M>,
    mended: Mended,
    decayed: Decayed,
    /// How many requests are outstanding.
    outstanding: Arc<AtomicUsize>,
    max_outstanding: usize,
    /// The core's, which ends last. `None` once it was joined.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<M: StateMachine> std::fmt::Debug for Inner<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Inner");
        debug.field("id", &self.shared.id);
        debug.field("observed", &self.shared.observed);
        debug.finish_non_exhaustive()
    }
}

impl<M: StateMachine> Node<M> {
    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.inner.shared.id
    }

    /// How many entries its disk had lost when it was started, and were fetched from its peers: its
    /// log is again what it was. 0 if nothing was lost, or if it could not be fetched: then
    /// [`Status::impaired`] tells.
    pub fn mended_entries(&self) -> u64 {
        self.inner.mended.entries
    }

    /// The last entry of the snapshot that was fetched from a peer in place of what its disk had lost
    /// when it was started. `None` if none was needed, or could be had.
    pub fn mended_snapshot(&self) -> Option<EntryId> {
        self.inner.mended.snapshot
    }

    /// What on its disk has decayed, as far as is known
    /// ([`Options::scrub`](crate::Options::scrub)): not what was written, and not replaced yet.
    pub fn decayed(&self) -> Vec<Damage> {
        self.inner.decayed.all()
    }

    /// How its state compares with those of the other members, as far as is known
    /// ([`Options::compare`](crate::Options::compare)). Never waits.
    pub fn comparison(&self) -> Comparison {
        self.inner.shared.replica.found()
    }

    /// Proposes a command; never waits. The ticket ends with the state machine's answer when this
    /// node has applied the command, or with a [`RequestError`]. Only a leader accepts commands:
    /// another node refuses with a reason that names the leader, if it knows one.
    pub fn submit(&self, command: impl Into<Bytes>) -> Proposed<M::Answer> {
        let command = command.into();
        let given = self.inner.shared.timings.now();
        self.request(|promise| CoreTask::Propose {
            command,
            promise,
            given,
        })
    }

    /// Proposes a command (the lab's `Start`). Waits only until the core has appended it to the
    /// log, and returns its index and term, and the ticket. [Submit](Node::submit) many commands,
    /// so that they are proposed together.
    ///
    /// # Errors
    ///
    /// [`RequestError::Refused`] if this node does not lead: the reason names the leader, if the
    /// node knows one. [`RequestError::Overloaded`] and [`RequestError::Stopped`].
    pub fn propose(
        &self,
        command: impl Into<Bytes>,
    ) -> Result<(EntryId, Proposed<M::Answer>), RequestError<ProposeError>> {
        let ticket = self.submit(command);
        match ticket.accepted() {
            Some(id) => Ok((id, ticket)),
            None => match ticket.wait() {
                Err(error) => Err(error),
                // Impossible: a command is accepted before it is applied.
                Ok(_) => Err(RequestError::Stopped),
            },
        }
    }

    /// Proposes a command and waits until it is applied, but not longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`RequestError`]. After [`RequestError::Unknown`], as when the time has passed, the command
    /// may still be applied.
    pub fn execute(
        &self,
        command: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<Applied<M::Answer>, RequestError<ProposeError>> {
        self.submit(command).wait_timeout(timeout)
    }

    /// Reads from the state machine, linearizably (thesis 6.4), on a leader or a follower. `query`
    /// runs in the state machine's thread, as soon as this node has applied everything that was
    /// committed in the cluster when the read was made. Never waits.
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

    /// Reads from the state machine of this node as it is. The answer may be stale: the node may be
    /// far behind. `query` runs in the state machine's thread. Never waits.
    pub fn inspect<A: Send + 'static>(
        &self,
        query: impl FnOnce(&M) -> A + Send + 'static,
    ) -> Ticket<A, std::convert::Infallible> {
        self.request(|promise: Promise<A, _>| {
            CoreTask::Inspect(Box::new(move |machine: &M| promise.end(Ok(query(machine)))))
        })
    }

    /// The node's state at the end of the core's last turn (the lab's `GetState`). Never waits.
    pub fn state(&self) -> NodeState {
        self.inner.shared.observed.state()
    }

    /// The core's status, with that of its peers. Waits for the core's turn.
    ///
    /// # Errors
    ///
    /// [`RequestError::Stopped`] and [`RequestError::Unknown`] if the node has stopped,
    /// [`RequestError::Overloaded`] if too many requests are outstanding.
    pub fn status(&self) -> Result<Status, RequestError<std::convert::Infallible>> {
        self.request(CoreTask::Status).wait()
    }

    /// Lets the state machine make a snapshot soon, whatever the policy says. Does nothing if one
    /// is being made, or if nothing was applied since the last one. Never waits.
    pub fn snapshot(&self) {
        // A node that has stopped makes no snapshot.
        let _ = self.inner.shared.core.send(CoreTask::MakeSnapshot);
    }

    /// Stores a snapshot that the service made by itself, of its state after `last`: an entry that
    /// it has applied. Waits until the snapshot is durable.
    pub(crate) fn store_snapshot(
        &self,
        last: EntryId,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), StorageError> {
        let mut sink = self.inner.shared.snapshots.create()?;
        write(&mut sink).map_err(|error| StorageError::io("write a snapshot", error))?;
        let snapshot = sink.finish(last)?;
        let origin = self.inner.shared.replica.origin();
        note_origin(snapshot, origin, &*self.inner.shared.snapshots);
        // A node that has stopped does not need the file: its next start deletes it.
        let compact = CoreTask::Input(Input::Compact { snapshot });
        let _ = self.inner.shared.core.send(compact);
        Ok(())
    }

    /// Transfers leadership to `target` (thesis 3.10), or to the voter that is best prepared: of
    /// those heard from recently the one with the greatest priority, then with the longest log. The
    /// ticket ends with the new leader.
    pub fn transfer_leadership(&self, target: Option<NodeId>) -> Ticket<NodeId, TransferError> {
        self.request(|promise| CoreTask::TransferLeadership { target, promise })
    }

    /// Changes the members (section 6). The ticket ends as soon as the change stands in the
    /// leader's log. [`NodeEvent::Membership`] tells when it is in force, and when it is complete.
    pub fn change_membership(&self, change: MembershipChange) -> Ticket<EntryId, ChangeError> {
        self.request(|promise| CoreTask::ChangeMembership { change, promise })
    }

    /// Has this node begin an election at once (section 5.2), by way of Pre-Vote if that is on. The
    /// ticket ends with the election's term as soon as it has begun. Refused while the node hears a
    /// leader: then [transfer leadership](Node::transfer_leadership) there.
    pub fn campaign(&self) -> Ticket<Term, CampaignError> {
        self.request(CoreTask::Campaign)
    }

    /// Has this leader give up its leadership at once. The ticket ends with the term in which it led.
    /// Nobody leads before the next election; [`transfer_leadership`](Node::transfer_leadership)
    /// needs no such pause.
    pub fn step_down(&self) -> Ticket<Term, StepDownError> {
        self.request(CoreTask::StepDown)
    }

    /// Changes the core's settings while the node runs: its limits, and all times but
    /// `election_timeout_min`. `config` holds all of them; begin with what the node was started with.
    pub fn reconfigure(&self, config: Config) -> Ticket<(), ReconfigureError> {
        let config = Box::new(config);
        self.request(|promise| CoreTask::Reconfigure { config, promise })
    }

    /// The node's events from now on. A subscriber that leaves 1,024 events unread gets no more,
    /// and its channel is disconnected.
    pub fn subscribe(&self) -> Receiver<NodeEvent> {
        self.inner.shared.observed.subscribe()
    }

    /// Why the node stopped; `None` while it runs.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.inner.shared.observed.stop_reason()
    }

    /// Stops the node: a leader hands over leadership first, and the writes that wait are finished.
    /// Returns when all threads have ended. All tickets end.
    pub fn shutdown(&self) -> StopReason {
        self.inner.stop(CoreTask::Shutdown);
        self.stop_reason().unwrap_or(StopReason::Defect)
    }

    /// Stops the node at once, as dropping its last handle does (the lab's `Kill`), and returns
    /// when all threads have ended. All tickets end.
    pub fn kill(&self) {
        self.inner.stop(CoreTask::Kill);
    }

    /// As [`submit`](Node::submit), but does not wake the core: [`help`](Node::help) has to follow.
    pub(crate) fn submit_later(&self, command: Bytes) -> Proposed<M::Answer> {
        let given = self.inner.shared.timings.now();
        self.request_with(
            |promise| CoreTask::Propose {
                command,
                promise,
                given,
            },
            CoreMailbox::enqueue,
        )
    }

    /// As [`read`](Node::read), but does not wake the core: [`help`](Node::help) has to follow.
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

    /// Takes the core's turn in this thread, unless another thread takes one.
    pub(crate) fn help(&self) {
        self.inner.shared.core.help();
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
        match send(&inner.shared.core, task(promise)) {
            Ok(()) => ticket,
            Err(_) => Ticket::ended(RequestError::Stopped),
        }
    }
}

impl<M: StateMachine> Inner<M> {
    fn stop(&self, task: CoreTask<M>) {
        let _ = self.shared.core.send(task); // An error says that it has stopped already.
        if is_node_thread() {
            return; // The thread would wait for its own end.
        }
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = thread.take() else { return };
        if thread.join().is_err() {
            self.shared.observed.set_stopped(StopReason::Defect);
        }
    }
}

impl<M: StateMachine> Drop for Inner<M> {
    /// The lab's `Kill`.
    fn drop(&mut self) {
        self.stop(CoreTask::Kill);
    }
}
