//! How a node's threads start and end.
//!
//! Each worker (disk, chunks, apply) receives tasks from a mailbox and ends when the core drops the
//! other end of it. The core's thread ends last: it joins the workers, and a caller that stops the
//! node joins the core's thread.

use crate::error::StartError;
use crate::mailbox::{Mailbox, Receiver, mailbox};
use crate::state_machine::StateMachine;
use crate::tasks::{CoreMailbox, CoreTask};
use crate::waker::Waker;
use raft_proto::NodeId;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};

thread_local! {
    static IS_NODE_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread does a node's work now. Such a thread must not wait for a node's end.
pub(crate) fn is_node_thread() -> bool {
    IS_NODE_THREAD.get()
}

/// Does a node's work in a thread that is not one of the node's own.
pub(crate) fn run_as_node_thread(work: impl FnOnce()) {
    let before = IS_NODE_THREAD.replace(true);
    work();
    IS_NODE_THREAD.set(before);
}

/// The workers of one node.
pub(crate) struct Threads<M: StateMachine> {
    node: NodeId,
    core: CoreMailbox<M>,
    workers: Vec<JoinHandle<()>>,
}

impl<M: StateMachine> Threads<M> {
    pub(crate) fn new(node: NodeId, core: CoreMailbox<M>) -> Threads<M> {
        Threads {
            node,
            core,
            workers: Vec::new(),
        }
    }

    /// Starts a worker, and returns the mailbox that it takes its tasks from. Should the worker
    /// panic, the core is told.
    pub(crate) fn start_worker<T: Send + 'static>(
        &mut self,
        name: &'static str,
        run: impl FnOnce(&Receiver<T>, &CoreMailbox<M>) + Send + 'static,
    ) -> Result<Mailbox<T>, StartError> {
        let (mailbox, tasks) = mailbox(Waker::default());
        let core = self.core.clone();
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| run(&tasks, &core))).is_err() {
                let _ = core.send(CoreTask::ThreadPanicked { thread: name });
            }
        };
        self.workers.push(spawn(self.node, name, run)?);
        Ok(mailbox)
    }

    /// Starts the core's thread, which joins all workers when `run` has returned.
    pub(crate) fn start_core(
        self,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<JoinHandle<()>, StartError> {
        spawn(self.node, "raft-core", move || {
            run();
            for worker in self.workers {
                let _ = worker.join(); // It catches its panics.
            }
        })
    }
}

/// Starts a thread. All that is traced in it is within a span that names the node and the thread.
fn spawn(
    node: NodeId,
    name: &'static str,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let thread = Builder::new().name(name.into());
    let run = move || {
        IS_NODE_THREAD.set(true);
        let _within = tracing::info_span!("raft", %node, thread = name).entered();
        run();
    };
    thread.spawn(run).map_err(StartError::Thread)
}
