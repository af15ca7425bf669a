//! How a node starts: what is recovered, in which order, and which threads run then.

use super::{Inner, Node};
use crate::apply_thread::{AppliedIndex, Applier, Restored};
use crate::chunk_thread::ChunkThread;
use crate::clock::Clock;
use crate::comparing::{CompareGuard, CompareThread, Replica};
use crate::disk_thread::DiskThread;
use crate::error::{StartError, StopReason};
use crate::inbox::inbox_with;
use crate::mailbox::{Mailbox, mailbox};
use crate::mending::{Source, mend};
use crate::metrics::Metrics;
use crate::observed::Observed;
use crate::offers::Offers;
use crate::options::{CompareOptions, Options, ScrubOptions, SnapshotSending};
use crate::recorder::Recorder;
use crate::scrub_thread::{Decayed, ScrubGuard, ScrubThread};
use crate::shared::Shared;
use crate::shared_core::SharedCore;
use crate::snapshot_thread::load;
use crate::state_machine::StateMachine;
use crate::storage::{Scrub, Snapshots, Storage};
use crate::tasks::{ApplyTask, ChunkTask, CoreMailbox, DiskTask};
use crate::threads::Threads;
use crate::timings::Timings;
use crate::transport::{Fetcher, Transport};
use crate::turn::{Core, TurnState};
use crate::waker::Waker;
use raft_proto::{Raft, Recovered};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

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
        let waker = Waker::default();
        let (inbox, deliveries) = inbox_with(options.max_inbox_bytes, waker.clone());
        let source = Arc::new(Source::default());
        transport.serve_entries(source.clone());
        let mended = mend(&options, &mut storage, &mut transport, &source, &inbox)?;
        let recovered = storage.recover()?;
        let snapshots = storage.snapshots();
        let restored = restore(&mut machine, snapshots.as_ref(), &recovered)?;
        let raft = Raft::new(options.config.clone(), recovered)?;
        let clock = Clock::new();
        let recorded = options.recorder.as_ref();
        let timings = recorded.map_or_else(Timings::default, |_| Timings::new(clock));
        let start = |options| Recorder::start(options, &raft, timings.clone());
        let recorder = options.recorder.map(start).transpose()?;
        let (core, tasks) = mailbox(waker.clone());
        let compare = options.compare.filter(|_| machine.digest().is_some());
        let shared = share(&raft, core, snapshots, compare.as_ref(), timings);
        source.run(shared.clone());
        if !mended.has_started {
            transport.start(raft.config(), inbox)?;
        }
        shared.metrics.mended(mended.entries);
        let applied = Arc::new(AppliedIndex::new(restored.last.index, waker.clone()));
        let policy = options.snapshots;
        let applier = Applier::new(machine, policy, applied.clone(), restored, &shared);
        let mut threads = Threads::new(shared.id, shared.core.clone());
        let decayed = Decayed::default();
        let scrub = options.scrub.zip(storage.scrub());
        let scrub = start_scrub(&mut threads, scrub, &decayed, &shared)?;
        let compare = compare.zip(transport.fetcher());
        let compare = start_compare(&mut threads, compare, &shared)?;
        let sending = options.snapshot_sending;
        let workers = Workers::start(&mut threads, storage, applier, sending, &shared)?;
        let core = Core {
            raft,
            clock,
            transport,
            waker,
            tasks,
            deliveries,
            disk: workers.disk,
            chunks: workers.chunks,
            applier: workers.applier,
            applied,
            observed: shared.observed.clone(),
            offers: shared.offers.clone(),
            replica: shared.replica.clone(),
            state: TurnState::new(),
            recorder,
            metrics: shared.metrics.clone(),
            _scrub: scrub,
            _compare: compare,
        };
        let inner = Arc::new(Inner {
            shared,
            mended,
            decayed,
            outstanding: Arc::new(AtomicUsize::new(0)),
            max_outstanding: options.max_outstanding,
            thread: Mutex::new(Some(start_core(threads, core)?)),
        });
        Ok(Node { inner })
    }
}

/// The handles that the threads share. The state is that of the recovered snapshot, if there is
/// one.
fn share<M: StateMachine>(
    raft: &Raft,
    core: CoreMailbox<M>,
    snapshots: Arc<dyn Snapshots>,
    compare: Option<&CompareOptions>,
    timings: Timings,
) -> Shared<M> {
    let replica = Replica::new(raft.id(), compare);
    if let Some(meta) = raft.snapshot() {
        replica.restored(meta.id, snapshots.origin(meta.id));
    }
    Shared {
        id: raft.id(),
        core,
        snapshots,
        offers: Offers::new(),
        replica,
        observed: Arc::new(Observed::new(raft)),
        metrics: Metrics::new(raft.id()),
        timings,
    }
}

/// Starts the scrubber, if it is asked for and the storage has one.
fn start_scrub<M: StateMachine>(
    threads: &mut Threads<M>,
    scrub: Option<(ScrubOptions, Arc<dyn Scrub>)>,
    decayed: &Decayed,
    shared: &Shared<M>,
) -> Result<Option<ScrubGuard>, StartError> {
    let Some((options, scrub)) = scrub else {
        return Ok(None);
    };
    ScrubThread::start(threads, options, scrub, decayed.clone(), shared.clone()).map(Some)
}

/// Starts the comparison of the replicas, if it is asked for, and the state machine and the
/// transport can take part in it.
fn start_compare<M: StateMachine>(
    threads: &mut Threads<M>,
    compare: Option<(CompareOptions, Arc<dyn Fetcher>)>,
    shared: &Shared<M>,
) -> Result<Option<CompareGuard>, StartError> {
    let Some((options, fetcher)) = compare else {
        return Ok(None);
    };
    let thread = CompareThread {
        options,
        fetcher,
        shared: shared.clone(),
    };
    thread.start(threads).map(Some)
}

/// Starts the core's thread.
fn start_core<M: StateMachine, T: Transport>(
    threads: Threads<M>,
    core: Core<M, T>,
) -> Result<JoinHandle<()>, StartError> {
    let observed = core.observed.clone();
    let core = SharedCore::new(core);
    threads.start_core(move || {
        if catch_unwind(AssertUnwindSafe(|| core.run())).is_err() {
            observed.set_stopped(StopReason::Defect);
        }
    })
}

/// The mailboxes of the worker threads.
struct Workers<M: StateMachine> {
    disk: Mailbox<DiskTask>,
    chunks: Mailbox<ChunkTask>,
    applier: Mailbox<ApplyTask<M>>,
}

impl<M: StateMachine> Workers<M> {
    fn start(
        threads: &mut Threads<M>,
        storage: impl Storage,
        applier: Applier<M>,
        sending: SnapshotSending,
        shared: &Shared<M>,
    ) -> Result<Workers<M>, StartError> {
        let (metrics, timings) = (shared.metrics.clone(), shared.timings.clone());
        let disk = threads.start_worker("raft-disk", move |tasks, core| {
            DiskThread::new(storage, tasks, core, metrics, timings).run();
        })?;
        let of_chunks = shared.clone();
        let chunks = threads.start_worker("raft-chunks", move |tasks, _| {
            ChunkThread::new(sending, &of_chunks).run(tasks);
        })?;
        let applier = threads.start_worker("raft-apply", move |tasks, _| applier.run(tasks))?;
        Ok(Workers {
            disk,
            chunks,
            applier,
        })
    }
}

/// Loads the recovered snapshot, if there is one. Returns the last entry that the state machine
/// holds.
fn restore<M: StateMachine>(
    machine: &mut M,
    snapshots: &dyn Snapshots,
    recovered: &Recovered,
) -> Result<Restored, StartError> {
    let Some(meta) = &recovered.snapshot else {
        return Ok(Restored::default());
    };
    let last = meta.id.last;
    let loaded = load(machine, snapshots, meta);
    loaded.map_err(|error| StartError::Restore {
        last,
        reason: error.to_string(),
    })?;
    let bytes = meta.id.size;
    Ok(Restored { last, bytes })
}
