//! The core, shared by the node's threads: a thread that has work for the core takes the turn
//! itself.
//!
//! To wake a thread takes longer than most turns. So a thread that brings a message, a durable
//! write or a command takes the turn, unless another thread is taking one. In that case the other
//! thread takes one turn more. The technique is flat combining (Hendler, Incze, Shavit, Tzafrir,
//! SPAA 2010): one thread holds the lock and does the work of all that published some meanwhile.
//!
//! The core's own thread takes the turns that deadlines ask for, those for which it was only woken,
//! and the last one.

use crate::error::StopReason;
use crate::state_machine::StateMachine;
use crate::threads::run_as_node_thread;
use crate::transport::Transport;
use crate::turn::Core;
use crate::waker::Waker;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// How many turns a thread takes for others before it leaves the rest to the core's own thread.
const MAX_TURNS: usize = 2;

/// See the [module](self).
pub(crate) struct SharedCore<M: StateMachine, T: Transport> {
    /// `None` once the node has stopped.
    core: Mutex<Option<Core<M, T>>>,
    /// Work came while another thread held the lock.
    has_work: AtomicBool,
    waker: Waker,
}

impl<M: StateMachine, T: Transport> SharedCore<M, T> {
    pub(crate) fn new(core: Core<M, T>) -> Arc<SharedCore<M, T>> {
        let waker = core.waker.clone();
        let core = Mutex::new(Some(core));
        let has_work = AtomicBool::new(false);
        Arc::new(SharedCore {
            core,
            has_work,
            waker,
        })
    }

    /// The core's own thread: runs until the node stops.
    pub(crate) fn run(self: &Arc<Self>) {
        self.waker.register();
        if let Some(core) = self.lock().as_mut() {
            unless_stopped(core, Core::begin);
        }
        // Weak: the waker is part of the core, and must not keep it alive.
        let weak = Arc::downgrade(self);
        let span = tracing::Span::current();
        self.waker.set_inline(move || {
            if let Some(shared) = weak.upgrade() {
                span.in_scope(|| run_as_node_thread(|| shared.help()));
            }
        });
        loop {
            let mut guard = self.lock();
            let Some(core) = guard.as_mut() else {
                return; // Only this thread takes it away.
            };
            self.has_work.store(false, Ordering::SeqCst);
            unless_stopped(core, Core::turn);
            if core.is_stopped() {
                // Ended without the lock: the transport's threads, which this joins, may be about
                // to help.
                let core = guard.take();
                drop(guard);
                if let Some(core) = core {
                    core.end();
                }
                return;
            }
            let deadline = core.plan_sleep();
            drop(guard);
            if !self.has_work() {
                self.waker.wait(deadline);
            }
        }
    }

    /// Any other thread: takes a turn, or leaves it to the thread that holds the lock.
    fn help(&self) {
        for _ in 0..MAX_TURNS {
            // Set before the lock is tried: the holder checks this flag after it has released the
            // lock.
            self.has_work.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            let mut guard = match self.core.try_lock() {
                Ok(guard) => guard,
                Err(TryLockError::WouldBlock) => return,
                Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            };
            let Some(core) = guard.as_mut() else {
                return;
            };
            self.has_work.store(false, Ordering::SeqCst);
            unless_stopped(core, Core::turn);
            let needs_own_thread = core.is_stopped() || core.oversleeps();
            drop(guard);
            if needs_own_thread {
                self.waker.wake();
            }
            if !self.has_work() {
                return;
            }
        }
        self.waker.wake();
    }

    /// Whether work came while the lock was held. To be called after the lock was released.
    fn has_work(&self) -> bool {
        fence(Ordering::SeqCst);
        self.has_work.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Core<M, T>>> {
        // Panics under the lock are caught under it.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A panic stops the core. A stopped core does nothing more: its state may be half changed.
fn unless_stopped<M: StateMachine, T: Transport>(
    core: &mut Core<M, T>,
    work: impl FnOnce(&mut Core<M, T>),
) {
    if core.is_stopped() {
        return;
    }
    if catch_unwind(AssertUnwindSafe(|| work(core))).is_err() {
        core.stop(StopReason::Defect);
    }
}
