//! The thread that reads what the disk holds, slowly and again and again, to find what has decayed.
//!
//! It writes nothing. What it finds is told, and a snapshot is asked for: it replaces one that has
//! decayed, and the part of the log that it covers is not needed any more, and is deleted in the
//! usual way once the followers' tail has moved on. The log itself is not rewritten while it is in
//! use: what takes the place of a decayed record is understood first, and that is done when the
//! storage is opened.

use crate::clock::stopwatch;
use crate::error::StartError;
use crate::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::options::ScrubOptions;
use crate::shared::Shared;
use crate::state_machine::StateMachine;
use crate::storage::{Damage, Decay, Pace, Rate, Scrub};
use crate::tasks::CoreTask;
use crate::threads::Threads;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// As long as it exists, the thread runs.
pub(crate) type ScrubGuard = Sender<Infallible>;

/// What has decayed, as of the last pass and of what this pass has found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decayed(Arc<Mutex<Vec<Damage>>>);

impl Decayed {
    pub(crate) fn all(&self) -> Vec<Damage> {
        self.lock().clone()
    }

    /// Returns whether it was not known.
    fn insert(&self, damage: &Damage) -> bool {
        let mut known = self.lock();
        let is_new = !known.contains(damage);
        if is_new {
            known.push(damage.clone());
        }
        is_new
    }

    fn retain(&self, found: &[Damage]) {
        self.lock().retain(|damage| found.contains(damage));
    }

    /// How many files.
    fn files(&self) -> usize {
        let known = self.lock();
        let mut paths: Vec<_> = known.iter().map(|damage| &damage.path).collect();
        paths.sort_unstable();
        paths.dedup();
        paths.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Damage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct ScrubThread<M: StateMachine> {
    scrub: Arc<dyn Scrub>,
    options: ScrubOptions,
    /// Disconnected when the node ends.
    until: Receiver<Infallible>,
    decayed: Decayed,
    shared: Shared<M>,
}

impl<M: StateMachine> ScrubThread<M> {
    /// Starts the thread. It runs until the guard is dropped.
    pub(crate) fn start(
        threads: &mut Threads<M>,
        options: ScrubOptions,
        scrub: Arc<dyn Scrub>,
        decayed: Decayed,
        shared: Shared<M>,
    ) -> Result<ScrubGuard, StartError> {
        let (guard, until) = bounded(0);
        let thread = ScrubThread {
            scrub,
            options,
            until,
            decayed,
            shared,
        };
        let _: Mailbox<Infallible> = threads.start_worker("raft-scrub", |_, _| thread.run())?;
        Ok(guard)
    }

    /// Runs until the node ends.
    fn run(self) {
        let pace = Arc::new(RatePace {
            rate: Mutex::new(Rate::new(self.options.bytes_per_second)),
            clock: Box::new(stopwatch()),
            until: self.until.clone(),
            metrics: self.shared.metrics.clone(),
        });
        loop {
            self.pass(pace.clone());
            if !has_waited(&self.until, self.options.pause) {
                return;
            }
        }
    }

    fn pass(&self, pace: Arc<RatePace>) {
        let mut found = Vec::new();
        let passed = self.scrub.pass(pace.clone(), &mut |decay| {
            self.tell(&decay);
            found.push(decay.damage);
            // Nothing happens if one is being made, or if nothing was applied since the last one.
            let _ = self.shared.core.send(CoreTask::MakeSnapshot);
        });
        match passed {
            Ok(()) if has_waited(&self.until, Duration::ZERO) => self.decayed.retain(&found),
            Ok(()) => {} // It has ended before it had seen all.
            Err(error) => tracing::warn!(%error, "the disk could not be looked at for decay"),
        }
        self.shared.metrics.decayed(self.decayed.files());
    }

    /// Once for each.
    fn tell(&self, decay: &Decay) {
        if !self.decayed.insert(&decay.damage) {
            return;
        }
        self.shared.metrics.decayed(self.decayed.files());
        let damage = &decay.damage;
        if decay.snapshot.is_some() {
            tracing::error!(%damage, "a snapshot has decayed on the disk: a new one is made");
        } else if decay.is_readable {
            tracing::error!(%damage,
                "the log has decayed on the disk, and the node runs on. A snapshot is made that \
                 replaces this part in time. To have it mended from the peers at once, restart this \
                 node with OnDamage::Mend while they are well; do not restart several together");
        } else {
            tracing::error!(%damage,
                "the disk does not return a part of the log, and the node runs on. A snapshot is \
                 made that replaces this part in time. The node may not start from this disk again: \
                 replace the disk");
        }
    }
}

/// Waits so long. Returns whether the node still runs.
fn has_waited(until: &Receiver<Infallible>, time: Duration) -> bool {
    match until.recv_timeout(time) {
        Err(RecvTimeoutError::Timeout) => true,
        Err(RecvTimeoutError::Disconnected) => false,
        Ok(never) => match never {},
    }
}

/// Keeps the rate.
struct RatePace {
    rate: Mutex<Rate>,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
    until: Receiver<Infallible>,
    metrics: Metrics,
}

impl Pace for RatePace {
    fn allows(&self, bytes: u64) -> bool {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = rate.wait((self.clock)(), bytes);
        drop(rate);
        let is_allowed = has_waited(&self.until, wait);
        if is_allowed {
            self.metrics.scrubbed(bytes);
        }
        is_allowed
    }
}
