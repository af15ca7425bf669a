//! The core, shared by the node's threads: whoever has something for it takes its turn.
//!
//! To wake a thread takes longer than most turns. So a thread that brings a message, a write that is
//! durable or a command takes the turn itself, unless another one is at it, which then takes one more. The
//! core's own thread takes the turns that deadlines ask for, those for which others only ring, and the last.

use crate::bell::Bell;
use crate::core_turn::Core;
use crate::error::StopReason;
use crate::node;
use crate::state_machine::StateMachine;
use crate::transport::Transport;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// How many turns a thread takes for others until the core's own goes on.
const MAX_TURNS: usize = 2;

/// See the [module](self).
pub(crate) struct SharedCore<M: StateMachine, T: Transport> {
    /// `None` at its end.
    core: Mutex<Option<Core<M, T>>>,
    /// Somebody could not take a turn, as another one was at it.
    has_news: AtomicBool,
    bell: Bell,
}

impl<M: StateMachine, T: Transport> SharedCore<M, T> {
    pub(crate) fn new(core: Core<M, T>) -> Arc<SharedCore<M, T>> {
        let bell = core.bell.clone();
        let core = Mutex::new(Some(core));
        let has_news = AtomicBool::new(false);
        Arc::new(SharedCore {
            core,
            has_news,
            bell,
        })
    }

    /// The core's own thread: runs until the node stops.
    pub(crate) fn run(self: &Arc<Self>) {
        self.bell.hang();
        if let Some(core) = self.lock().as_mut() {
            guarded(core, Core::begin);
        }
        // The bell is part of the core: it must not keep it.
        let weak = Arc::downgrade(self);
        let span = tracing::Span::current();
        self.bell.share(move || {
            if let Some(shared) = weak.upgrade() {
                span.in_scope(|| node::as_own(|| shared.help()));
            }
        });
        loop {
            let mut place = self.lock();
            let Some(core) = place.as_mut() else {
                return; // Only this thread takes it away.
            };
            self.has_news.store(false, Ordering::SeqCst);
            guarded(core, Core::turn);
            if core.is_stopped() {
                // The transport's threads, which are waited for now, may be about to help.
                let core = place.take();
                drop(place);
                if let Some(core) = core {
                    core.end();
                }
                return;
            }
            let deadline = core.sleep();
            drop(place);
            if !self.has_news() {
                self.bell.wait(deadline);
            }
        }
    }

    /// Any other thread: takes a turn, or leaves it to who is at it.
    fn help(&self) {
        for _ in 0..MAX_TURNS {
            // Before the lock is tried: who has it looks here once he has not.
            self.has_news.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            let mut place = match self.core.try_lock() {
                Ok(place) => place,
                Err(TryLockError::WouldBlock) => return,
                Err(TryLockError::Poisoned(place)) => place.into_inner(),
            };
            let Some(core) = place.as_mut() else {
                return;
            };
            self.has_news.store(false, Ordering::SeqCst);
            guarded(core, Core::turn);
            let needs_its_own = core.is_stopped() || core.wakes_earlier();
            drop(place);
            if needs_its_own {
                self.bell.ring();
            }
            if !self.has_news() {
                return;
            }
        }
        self.bell.ring();
    }

    /// To be asked after the lock was given back.
    fn has_news(&self) -> bool {
        fence(Ordering::SeqCst);
        self.has_news.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Core<M, T>>> {
        // Whatever panics under the lock is caught there.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A panic stops the node. One that has stopped does nothing more: what it holds may be half done.
fn guarded<M: StateMachine, T: Transport>(
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
