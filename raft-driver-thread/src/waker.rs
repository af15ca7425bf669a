//! Wakes a thread that waits for work, or has the work done without waking it.

use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Instant;

/// Wakes one thread, the one that has [registered](Waker::register): called after something was
/// put where that thread looks for work. A thread that is woken while it is awake looks once more
/// before it sleeps, however often it was woken. To wake a thread that is awake costs next to
/// nothing.
#[derive(Clone, Default)]
pub(crate) struct Waker(Arc<Target>);

#[derive(Default)]
struct Target {
    thread: OnceLock<Thread>,
    inline: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waker").finish_non_exhaustive()
    }
}

impl Waker {
    /// From now on this thread is the one that is woken. It has to look for work once after this
    /// call. Only the first call counts.
    pub(crate) fn register(&self) {
        self.0.thread.get_or_init(thread::current);
    }

    /// The work can also be done by other threads, by calling `work`. Only the first call counts.
    pub(crate) fn set_inline(&self, work: impl Fn() + Send + Sync + 'static) {
        self.0.inline.get_or_init(|| Box::new(work));
    }

    pub(crate) fn wake(&self) {
        // A thread that has not registered yet looks for work when it does.
        if let Some(thread) = self.0.thread.get() {
            thread.unpark();
        }
    }

    /// Does the work in this thread where that was [set](Waker::set_inline), else wakes the
    /// registered thread. The caller must hold no lock that the work may take.
    pub(crate) fn run_or_wake(&self) {
        match self.0.inline.get() {
            Some(work) => work(),
            None => self.wake(),
        }
    }

    /// Sleeps until this thread is woken or the deadline has passed. Returns at once if it was
    /// woken since it slept last, and now and then for no reason.
    pub(crate) fn wait(&self, deadline: Option<Instant>) {
        match deadline {
            None => thread::park(),
            Some(deadline) => {
                thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
            }
        }
    }
}
