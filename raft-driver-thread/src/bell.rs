//! What wakes the core's thread.

use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Instant;

/// Rung after something was put where one thread, and only that, looks for it: however often it is
/// rung while that thread is awake, it looks once more before it sleeps, and one that is awake
/// costs who rings next to nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bell(Arc<OnceLock<Thread>>);

impl Bell {
    /// From now on it wakes this thread, which has to look around once afterwards. Once only.
    pub(crate) fn hang(&self) {
        self.0.get_or_init(thread::current);
    }

    pub(crate) fn ring(&self) {
        // Who has not begun yet looks around when it does.
        if let Some(thread) = self.0.get() {
            thread.unpark();
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
