//! What wakes a thread, or has its work done without waking it.

use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Instant;

/// Rung after something was put where one thread, and only that, looks for it: however often it is
/// rung while that thread is awake, it looks once more before it sleeps, and one that is awake
/// costs who rings next to nothing.
#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<Hung>);

#[derive(Default)]
struct Hung {
    thread: OnceLock<Thread>,
    work: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for Bell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}

impl Bell {
    /// From now on it wakes this thread, which has to look around once afterwards. Once only.
    pub(crate) fn hang(&self) {
        self.0.thread.get_or_init(thread::current);
    }

    /// What it is rung for can be done by other threads, too, in this way. Once only.
    pub(crate) fn share(&self, work: impl Fn() + Send + Sync + 'static) {
        self.0.work.get_or_init(|| Box::new(work));
    }

    pub(crate) fn ring(&self) {
        // Who has not begun yet looks around when it does.
        if let Some(thread) = self.0.thread.get() {
            thread.unpark();
        }
    }

    /// Likewise, but does what it is rung for in this thread, if that can be and no other is at it. Not to
    /// be called with locks held that the work may take.
    pub(crate) fn answer(&self) {
        match self.0.work.get() {
            Some(work) => work(),
            None => self.ring(),
        }
    }

    /// Sleeps until it is rung, or was since this thread slept last, or until the deadline; also for
    /// no reason at times.
    pub(crate) fn wait(&self, deadline: Option<Instant>) {
        match deadline {
            None => thread::park(),
            Some(deadline) => {
                thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
            }
        }
    }
}
