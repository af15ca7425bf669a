//! The state machine's thread: applies commands, answers them and queries, restores snapshots, and
//! lets them be made. However slow the state machine is, the core and its heartbeats go on.

mod aside;

use crate::comparing::Replica;
use crate::error::{RequestError, Unknown};
use crate::mailbox::Receiver;
use crate::options::SnapshotPolicy;
use crate::shared::Shared;
use crate::snapshot_thread::{SnapshotMaker, load};
use crate::state_machine::{Commands, StateMachine};
use crate::storage::Snapshots;
use crate::tasks::{ApplyTask, CommandPromise, CoreMailbox, CoreTask, Query, StateMachineFailed};
use crate::ticket::Applied;
use crate::timings::Timings;
use crate::waker::Waker;
use aside::Aside;
use crossbeam_channel::TryRecvError;
use raft_proto::{Entries, EntryId, EntryKind, Fate, Index, SnapshotId, SnapshotMeta, Term};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The core is told of applied entries after this time at the latest. A busy core looks by itself,
/// in every turn.
const REPORT_INTERVAL: Duration = Duration::from_millis(2);

/// The core is told earlier when more bytes than this were applied: much less than the core lets
/// wait to be applied.
const REPORT_BYTES: u64 = 1 << 16;

/// lastApplied, written by the apply thread and read by the core.
pub(crate) struct AppliedIndex {
    index: AtomicU64,
    core: Waker,
}

impl AppliedIndex {
    /// `core` wakes the core.
    pub(crate) fn new(index: Index, core: Waker) -> AppliedIndex {
        AppliedIndex {
            index: AtomicU64::new(index.0),
            core,
        }
    }

    pub(crate) fn get(&self) -> Index {
        Index(self.index.load(Ordering::Acquire))
    }

    fn set(&self, index: Index) {
        self.index.store(index.0, Ordering::Release);
    }
}

/// After a snapshot could not be made, none is begun by itself before so much more was applied, or
/// an eighth of what was applied before, if that is more: whatever the reason is, the next attempt
/// may cost as much, and fail, too.
const RETRY_BYTES: u64 = 1 << 16;

/// What was applied since the last snapshot.
#[derive(Clone, Copy, Default)]
struct SinceSnapshot {
    entries: u64,
    bytes: u64,
}

/// A snapshot that is being made.
#[derive(Clone, Copy, Default)]
struct Making {
    /// What it takes the place of.
    since: SinceSnapshot,
    /// It was [wanted](Applier::wants_snapshot).
    was_wanted: bool,
}

/// The snapshot that a state machine was restored from; nothing if there was none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Restored {
    /// The last entry that it holds.
    pub(crate) last: EntryId,
    pub(crate) bytes: u64,
}

pub(crate) struct Applier<M: StateMachine> {
    machine: M,
    snapshots: Arc<dyn Snapshots>,
    policy: SnapshotPolicy,
    maker: SnapshotMaker<M>,
    core: CoreMailbox<M>,
    applied: Arc<AppliedIndex>,
    /// Bytes that were applied and that the core may not know of yet; `None` if it knows of all.
    unreported_bytes: Option<u64>,
    /// The last entry that was applied.
    last: EntryId,
    /// The commands of this node that wait to be applied, each run by the index and term of its
    /// first.
    proposed: BTreeMap<(Index, Term), VecDeque<CommandPromise<M>>>,
    /// By the index that has to be applied first.
    queries: BTreeMap<Index, Vec<Query<M>>>,
    since_snapshot: SinceSnapshot,
    /// Of no use once the snapshot is made.
    making: Making,
    /// No snapshot is begun by itself before so many bytes were applied since the last one.
    retries_at: u64,
    /// The size of the last snapshot.
    last_snapshot_bytes: u64,
    /// Kept for its memory.
    answers: Vec<M::Answer>,
    replica: Replica,
    timings: Timings,
    /// The state is not that of the other nodes.
    aside: Option<Aside>,
    /// A snapshot is made as soon as anything is applied.
    wants_snapshot: bool,
}

impl<M: StateMachine> Applier<M> {
    /// `last` is what `machine` holds already.
    pub(crate) fn new(
        machine: M,
        policy: SnapshotPolicy,
        applied: Arc<AppliedIndex>,
        last: Restored,
        shared: &Shared<M>,
    ) -> Applier<M> {
        let Restored {
            last,
            bytes: last_snapshot_bytes,
        } = last;
        Applier {
            machine,
            maker: SnapshotMaker::new(shared),
            snapshots: shared.snapshots.clone(),
            policy,
            core: shared.core.clone(),
            applied,
            unreported_bytes: None,
            last,
            proposed: BTreeMap::new(),
            queries: BTreeMap::new(),
            since_snapshot: SinceSnapshot::default(),
            making: Making::default(),
            retries_at: 0,
            last_snapshot_bytes,
            answers: Vec::new(),
            replica: shared.replica.clone(),
            timings: shared.timings.clone(),
            aside: None,
            wants_snapshot: false,
        }
    }

    /// Runs until the core drops its end or the state machine fails. What waits in `tasks` is
    /// bounded by the core's limits on unapplied bytes and on outstanding requests.
    pub(crate) fn run(mut self, tasks: &Receiver<ApplyTask<M>>) {
        if let Err(failed) = self.work(tasks) {
            let _ = self.core.send(CoreTask::StateMachineFailed(failed));
        }
        self.maker.stop();
    }

    fn work(&mut self, tasks: &Receiver<ApplyTask<M>>) -> Result<(), StateMachineFailed> {
        // What it was restored from may be wrong, and it may be long before anything is applied.
        if self.last != EntryId::ZERO {
            self.digest()?;
        }
        while let Some(task) = self.next(tasks) {
            self.perform(task)?;
        }
        Ok(())
    }

    /// Waits for the next task, and reports to the core if none comes; `None` at the end.
    fn next(&mut self, tasks: &Receiver<ApplyTask<M>>) -> Option<ApplyTask<M>> {
        if self.unreported_bytes.is_some() {
            match tasks.recv_timeout(REPORT_INTERVAL) {
                Ok(task) => return Some(task),
                Err(TryRecvError::Empty) => self.wake_core(),
                Err(TryRecvError::Disconnected) => return None,
            }
        }
        tasks.recv()
    }

    fn perform(&mut self, task: ApplyTask<M>) -> Result<(), StateMachineFailed> {
        match task {
            ApplyTask::Apply(entries) if self.aside.is_some() => self.hold(entries)?,
            ApplyTask::Apply(entries) => self.apply_and_digest(&entries)?,
            ApplyTask::Restore(meta) => self.restore(&meta)?,
            ApplyTask::Proposed { first, promises } => {
                self.proposed.insert((first.index, first.term), promises);
            }
            ApplyTask::Query { index, query } => {
                self.queries.entry(index).or_default().push(query);
            }
            ApplyTask::MakeSnapshot => self.make_snapshot()?,
            ApplyTask::SetAside(task) => self.set_aside(&task),
            ApplyTask::Replace { snapshot, done } => self.replace(snapshot, done)?,
            ApplyTask::SnapshotMade(made) => {
                self.maker.finish();
                self.snapshot_made(made);
            }
        }
        self.run_due_queries()?;
        let SinceSnapshot { entries, bytes } = self.since_snapshot;
        let last = self.last_snapshot_bytes;
        let is_wanted = self.policy.is_due(entries, bytes, last) || self.wants_snapshot;
        if is_wanted && bytes >= self.retries_at {
            self.make_snapshot()?;
        }
        Ok(())
    }

    /// Applies entries, and notes digests of the state where one is due, and after the last.
    fn apply_and_digest(&mut self, entries: &Entries) -> Result<(), StateMachineFailed> {
        let Some(last) = entries.last_id() else {
            return Ok(());
        };
        let Some(mut next) = self.replica.next_after(self.last.index) else {
            return self.apply(entries);
        };
        if next > last.index {
            self.apply(entries)?;
            return self.digest();
        }
        let mut from = Index::ZERO;
        while from <= last.index {
            let part = entries.part(from, next);
            if !part.is_empty() {
                self.apply(&part)?;
                self.digest()?;
            }
            from = next.next();
            next = self.replica.next_after(next).unwrap_or(last.index);
        }
        Ok(())
    }

    fn digest(&self) -> Result<(), StateMachineFailed> {
        let machine = &self.machine;
        if let Some(digest) = StateMachineFailed::catch(|| machine.digest())? {
            self.replica.note(self.last, digest.kind, digest.value);
        }
        Ok(())
    }

    fn apply(&mut self, entries: &Entries) -> Result<(), StateMachineFailed> {
        let mut answers = std::mem::take(&mut self.answers);
        let begin = self.timings.now();
        let machine = &mut self.machine;
        let _within = tracing::debug_span!("apply", entries = entries.len()).entered();
        StateMachineFailed::catch(|| machine.apply(Commands::new(entries), &mut answers))?;
        if let Some(failure) = StateMachineFailed::catch(|| machine.failure())? {
            return Err(StateMachineFailed(failure));
        }
        let commands = Commands::new(entries).count();
        if answers.len() != commands {
            let given = answers.len();
            let what = format!("{given} answers were given to {commands} commands");
            return Err(StateMachineFailed(what));
        }
        let mut given = answers.drain(..);
        for entry in entries {
            let answer = match entry.kind() {
                EntryKind::Command => given.next(),
                EntryKind::Noop | EntryKind::Membership => None,
            };
            self.answer_proposals(entry.id(), answer);
        }
        drop(given);
        self.answers = answers;
        if let Some(last) = entries.last_id() {
            let before = std::mem::replace(&mut self.last, last);
            if before.term < last.term {
                // What an earlier leader of this node's had proposed behind it is lost.
                self.end_decided();
            }
        }
        self.since_snapshot.entries += entries.len() as u64;
        self.since_snapshot.bytes += entries.bytes();
        self.timings.applied(self.last.index, begin);
        self.applied.set(self.last.index);
        let unreported = self.unreported_bytes.unwrap_or(0) + entries.bytes();
        self.unreported_bytes = Some(unreported);
        if unreported > REPORT_BYTES {
            self.wake_core();
        }
        Ok(())
    }

    /// The entry `id` is applied. Ends the tickets of all commands that were proposed at its index:
    /// the one of its term with the answer, those of other terms as not applied.
    fn answer_proposals(&mut self, id: EntryId, mut answer: Option<M::Answer>) {
        while let Some(mut first) = self.proposed.first_entry() {
            let (index, term) = *first.key();
            if index > id.index {
                return;
            }
            let Some(promise) = first.get_mut().pop_front() else {
                first.remove();
                continue;
            };
            // The rest of the run begins one index later.
            let rest = first.remove();
            if !rest.is_empty() {
                self.proposed.insert((index.next(), term), rest);
            }
            let answered = answer.take_if(|_| term == id.term);
            promise.end(match answered {
                Some(answer) => Ok(Applied { id, answer }),
                None => Err(RequestError::NotApplied {
                    proposed: EntryId { index, term },
                }),
            });
        }
    }

    /// A leader's snapshot replaces the state (section 7).
    fn restore(&mut self, meta: &SnapshotMeta) -> Result<(), StateMachineFailed> {
        self.load(meta)?;
        // Whatever was set aside, it is gone; and what was to be applied to it comes before.
        if let Some(aside) = self.aside.take() {
            aside.end(&self.core);
            self.replica.replaced();
        }
        Ok(())
    }

    /// The state becomes that of this snapshot.
    fn load(&mut self, meta: &SnapshotMeta) -> Result<(), StateMachineFailed> {
        let machine = &mut self.machine;
        let snapshots = &self.snapshots;
        let _within = tracing::info_span!("restore", last = %meta.id.last).entered();
        let restored = StateMachineFailed::catch(|| load(machine, snapshots.as_ref(), meta))?;
        restored.map_err(|error| StateMachineFailed(format!("restore: {error}")))?;
        self.last = meta.id.last;
        self.last_snapshot_bytes = meta.id.size;
        self.since_snapshot = SinceSnapshot::default();
        self.making.since = SinceSnapshot::default();
        self.retries_at = 0;
        let origin = self.snapshots.origin(meta.id);
        self.replica.restored(meta.id, origin);
        self.digest()?;
        self.end_decided();
        self.applied.set(self.last.index);
        self.wake_core();
        Ok(())
    }

    /// Ends the tickets of all commands that `self.last`, which is committed, decides although they
    /// were not applied one by one.
    fn end_decided(&mut self) {
        let last = self.last;
        for ((index, term), mut promises) in std::mem::take(&mut self.proposed) {
            let mut proposed = EntryId { index, term };
            loop {
                let error = match Fate::of(proposed, last) {
                    Fate::Undecided => break,
                    Fate::Lost => RequestError::NotApplied { proposed },
                    Fate::Committed | Fate::Unknown => {
                        RequestError::Unknown(Unknown::SnapshotInstalled)
                    }
                };
                let Some(promise) = promises.pop_front() else {
                    break;
                };
                promise.end(Err(error));
                proposed.index = proposed.index.next();
            }
            if !promises.is_empty() {
                self.proposed.insert((proposed.index, term), promises);
            }
        }
    }

    fn wake_core(&mut self) {
        self.unreported_bytes = None;
        self.applied.core.wake();
    }

    fn run_due_queries(&mut self) -> Result<(), StateMachineFailed> {
        // Those that wait for no entry take the state as it is.
        let until = if self.aside.is_some() {
            Index::ZERO
        } else {
            self.last.index
        };
        while let Some(first) = self.queries.first_entry() {
            if *first.key() > until {
                break;
            }
            for query in first.remove() {
                let machine = &self.machine;
                StateMachineFailed::catch(|| query(machine))?;
            }
        }
        Ok(())
    }

    /// Starts a snapshot, unless one is being made or nothing was applied since the last one.
    fn make_snapshot(&mut self) -> Result<(), StateMachineFailed> {
        let is_needless = self.maker.is_busy() || self.since_snapshot.entries == 0;
        if is_needless || self.aside.is_some() {
            return Ok(());
        }
        let machine = &mut self.machine;
        let view = StateMachineFailed::catch(|| machine.snapshot())?;
        self.making = Making {
            since: std::mem::take(&mut self.since_snapshot),
            was_wanted: std::mem::take(&mut self.wants_snapshot),
        };
        if !self.maker.start(view, self.last) {
            self.snapshot_made(None);
        }
        Ok(())
    }

    /// The snapshot that was begun is stored, or could not be made: then what was applied before it
    /// counts on.
    fn snapshot_made(&mut self, made: Option<SnapshotId>) {
        let Making { since, was_wanted } = std::mem::take(&mut self.making);
        if let Some(snapshot) = made {
            self.last_snapshot_bytes = snapshot.size;
            self.retries_at = 0;
            return;
        }
        self.since_snapshot.entries += since.entries;
        self.since_snapshot.bytes += since.bytes;
        self.wants_snapshot |= was_wanted;
        let bytes = self.since_snapshot.bytes;
        self.retries_at = bytes.saturating_add(RETRY_BYTES.max(bytes / 8));
    }
}
