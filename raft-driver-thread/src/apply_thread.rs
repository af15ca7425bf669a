//! The thread of the state machine: applies, answers, restores, and lets snapshots be made.
//! However slow it is, the core and its heartbeats go on.

use crate::bell::Bell;
use crate::error::{RequestError, Unknown};
use crate::mailbox::Letters;
use crate::options::SnapshotPolicy;
use crate::order::{Order, Orders};
use crate::state_machine::{Commands, StateMachine};
use crate::storage::Snapshots;
use crate::ticket::{Applied, Promise};
use crossbeam_channel::TryRecvError;
use raft_proto::{Entries, EntryId, EntryKind, Index, ProposeError, SnapshotMeta, Term};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufWriter, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A question to the state machine; told why not, if it is not asked.
pub(crate) type Query<M> = Box<dyn FnOnce(&M) + Send>;

pub(crate) type CommandPromise<M> = Promise<Applied<<M as StateMachine>::Answer>, ProposeError>;

/// What the core has for the state machine, in order.
pub(crate) enum ApplyOrder<M: StateMachine> {
    Apply(Entries),
    Restore(SnapshotMeta),
    /// Commands that were proposed here, which stand in the log from `first` on.
    Proposed {
        first: EntryId,
        promises: VecDeque<CommandPromise<M>>,
    },
    /// To be asked once everything up to the index is applied.
    Query {
        index: Index,
        query: Query<M>,
    },
    /// Make a snapshot now.
    Snapshot,
    /// The snapshot that was being made is done, or has failed.
    SnapshotMade,
}

/// For how long at most the core is not woken to hear what was applied. It looks in every turn, of
/// which a busy core has many.
const REPORT: Duration = Duration::from_millis(2);

/// Nor is it for fewer bytes than this: much less than what the core lets wait to be applied.
const UNREPORTED: u64 = 1 << 16;

/// How far the state machine is, for the core.
pub(crate) struct Progress {
    applied: AtomicU64,
    bell: Bell,
}

impl Progress {
    pub(crate) fn new(applied: Index, bell: Bell) -> Progress {
        Progress {
            applied: AtomicU64::new(applied.0),
            bell,
        }
    }

    /// The index of the last entry that is applied.
    pub(crate) fn applied(&self) -> Index {
        Index(self.applied.load(Ordering::Acquire))
    }

    fn set(&self, applied: Index) {
        self.applied.store(applied.0, Ordering::Release);
    }
}

pub(crate) struct Applier<M: StateMachine> {
    machine: M,
    snapshots: Arc<dyn Snapshots>,
    policy: SnapshotPolicy,
    core: Orders<M>,
    progress: Arc<Progress>,
    /// Bytes that were applied and that the core may not know of yet; `None` if it knows all.
    unreported: Option<u64>,
    /// Applied up to here (lastApplied); only commands and snapshots tell a term.
    last: EntryId,
    /// By where the first of them stands.
    proposed: BTreeMap<(Index, Term), VecDeque<CommandPromise<M>>>,
    queries: BTreeMap<Index, Vec<Query<M>>>,
    /// Since the last snapshot.
    entries: u64,
    bytes: u64,
    maker: Option<JoinHandle<()>>,
    making: bool,
    stopping: Arc<AtomicBool>,
    answers: Vec<M::Answer>,
}

/// Why the state machine's thread ends before its time.
struct MachineFailed(String);

impl<M: StateMachine> Applier<M> {
    pub(crate) fn new(
        machine: M,
        snapshots: Arc<dyn Snapshots>,
        policy: SnapshotPolicy,
        core: Orders<M>,
        progress: Arc<Progress>,
        last: EntryId,
    ) -> Applier<M> {
        Applier {
            machine,
            snapshots,
            policy,
            core,
            progress,
            unreported: None,
            last,
            proposed: BTreeMap::new(),
            queries: BTreeMap::new(),
            entries: 0,
            bytes: 0,
            maker: None,
            making: false,
            stopping: Arc::new(AtomicBool::new(false)),
            answers: Vec::new(),
        }
    }

    /// Runs until the core drops its end. What waits in `orders` is bounded by the core's limits
    /// on unapplied bytes and on what is outstanding.
    pub(crate) fn run(mut self, orders: &Letters<ApplyOrder<M>>) {
        while let Some(order) = self.next(orders) {
            if let Err(MachineFailed(reason)) = self.perform(order) {
                let _ = self.core.send(Order::MachineFailed(reason));
                break;
            }
        }
        self.stopping.store(true, Ordering::Relaxed);
        self.join_maker();
    }

    /// The next order; `None` at the end of all.
    fn next(&mut self, orders: &Letters<ApplyOrder<M>>) -> Option<ApplyOrder<M>> {
        if self.unreported.is_some() {
            match orders.next_within(REPORT) {
                Ok(order) => return Some(order),
                Err(TryRecvError::Empty) => self.wake_core(),
                Err(TryRecvError::Disconnected) => return None,
            }
        }
        orders.next()
    }

    fn perform(&mut self, order: ApplyOrder<M>) -> Result<(), MachineFailed> {
        match order {
            ApplyOrder::Apply(entries) => self.apply(&entries)?,
            ApplyOrder::Restore(meta) => self.restore(&meta)?,
            ApplyOrder::Proposed { first, promises } => {
                self.proposed.insert((first.index, first.term), promises);
            }
            ApplyOrder::Query { index, query } => {
                self.queries.entry(index).or_default().push(query);
            }
            ApplyOrder::Snapshot => self.begin_snapshot()?,
            ApplyOrder::SnapshotMade => {
                self.making = false;
                self.join_maker();
            }
        }
        self.ask()?;
        if !self.making && self.policy.is_due(self.entries, self.bytes) {
            self.begin_snapshot()?;
        }
        Ok(())
    }

    fn apply(&mut self, entries: &Entries) -> Result<(), MachineFailed> {
        let mut answers = std::mem::take(&mut self.answers);
        let machine = &mut self.machine;
        let _within = tracing::debug_span!("apply", entries = entries.len()).entered();
        guard(|| machine.apply(Commands::new(entries), &mut answers))?;
        let commands = Commands::new(entries).count();
        if answers.len() != commands {
            let given = answers.len();
            let what = format!("{given} answers were given to {commands} commands");
            return Err(MachineFailed(what));
        }
        let mut given = answers.drain(..);
        for entry in entries {
            let answer = match entry.kind() {
                EntryKind::Command => given.next(),
                EntryKind::Noop | EntryKind::Membership => None,
            };
            self.settle(entry.id(), answer);
        }
        drop(given);
        self.answers = answers;
        if let Some(last) = entries.last_id() {
            self.last = last;
        }
        self.entries += entries.len() as u64;
        self.bytes += entries.bytes();
        self.progress.set(self.last.index);
        let unreported = self.unreported.unwrap_or(0) + entries.bytes();
        self.unreported = Some(unreported);
        if unreported > UNREPORTED {
            self.wake_core();
        }
        Ok(())
    }

    /// The entry `id` is applied: the commands that were proposed at its index know their fate.
    fn settle(&mut self, id: EntryId, mut answer: Option<M::Answer>) {
        while let Some(mut first) = self.proposed.first_entry() {
            let (index, term) = *first.key();
            if index > id.index {
                return;
            }
            let Some(promise) = first.get_mut().pop_front() else {
                first.remove();
                continue;
            };
            // Those behind it stand one further on.
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

    /// A leader's snapshot takes the place of the state (section 7).
    fn restore(&mut self, meta: &SnapshotMeta) -> Result<(), MachineFailed> {
        let machine = &mut self.machine;
        let snapshots = &self.snapshots;
        let _within = tracing::info_span!("restore", last = %meta.id.last).entered();
        let restored = guard(|| load(machine, snapshots.as_ref(), meta))?;
        restored.map_err(|error| MachineFailed(format!("restore: {error}")))?;
        self.last = meta.id.last;
        (self.entries, self.bytes) = (0, 0);
        while let Some(first) = self.proposed.first_entry() {
            let (index, term) = *first.key();
            if index > self.last.index {
                break;
            }
            let mut promises = first.remove();
            let covered = self.last.index.since(index) + 1;
            // At most their number, which is a usize.
            let covered = covered.min(promises.len() as u64) as usize;
            for promise in promises.drain(..covered) {
                let unknown = RequestError::Unknown(Unknown::SnapshotInstalled);
                promise.end(Err(unknown));
            }
            if !promises.is_empty() {
                let next = index.plus(covered as u64);
                self.proposed.insert((next, term), promises);
            }
        }
        self.progress.set(self.last.index);
        self.wake_core();
        Ok(())
    }

    fn wake_core(&mut self) {
        self.unreported = None;
        self.progress.bell.ring();
    }

    /// Asks what waited for the entries that are applied now.
    fn ask(&mut self) -> Result<(), MachineFailed> {
        while let Some(first) = self.queries.first_entry() {
            if *first.key() > self.last.index {
                break;
            }
            for query in first.remove() {
                let machine = &self.machine;
                guard(|| query(machine))?;
            }
        }
        Ok(())
    }

    fn begin_snapshot(&mut self) -> Result<(), MachineFailed> {
        if self.making || self.entries == 0 {
            return Ok(());
        }
        let machine = &mut self.machine;
        let view = guard(|| machine.snapshot())?;
        (self.entries, self.bytes) = (0, 0);
        let (snapshots, core) = (self.snapshots.clone(), self.core.clone());
        let (last, stopping) = (self.last, self.stopping.clone());
        let span = tracing::info_span!("snapshot", %last);
        let make = move || {
            let _within = span.entered();
            let made = catch_unwind(AssertUnwindSafe(|| {
                write::<M>(view, snapshots.as_ref(), last, stopping)
            }));
            let order = match made {
                Ok(Ok(snapshot)) => Order::SnapshotMade(Some(snapshot)),
                Ok(Err(error)) => {
                    tracing::warn!(%last, %error, "no snapshot was made");
                    Order::SnapshotMade(None)
                }
                Err(panic) => Order::MachineFailed(panic_text(panic.as_ref())),
            };
            let _ = core.send(order);
        };
        let thread = std::thread::Builder::new().name("raft-snapshot".into());
        match thread.spawn(make) {
            Ok(maker) => (self.maker, self.making) = (Some(maker), true),
            Err(error) => tracing::warn!(%error, "no thread to make a snapshot in"),
        }
        Ok(())
    }

    fn join_maker(&mut self) {
        if let Some(maker) = self.maker.take() {
            // What it had to say of a panic it has said.
            let _ = maker.join();
        }
    }
}

/// Loads a stored snapshot, reading it to its end, where it is verified.
pub(crate) fn load<M: StateMachine>(
    machine: &mut M,
    snapshots: &dyn Snapshots,
    meta: &SnapshotMeta,
) -> io::Result<()> {
    let reader = snapshots.open(meta.id).map_err(io::Error::other)?;
    let mut reader = io::BufReader::new(reader);
    machine.restore(&mut reader)?;
    io::copy(&mut reader.by_ref(), &mut io::sink())?;
    Ok(())
}

fn write<M: StateMachine>(
    view: M::Snapshot,
    snapshots: &dyn Snapshots,
    last: EntryId,
    stopping: Arc<AtomicBool>,
) -> io::Result<raft_proto::SnapshotId> {
    let sink = snapshots.create().map_err(io::Error::other)?;
    let mut writer = BufWriter::with_capacity(1 << 16, Abortable { sink, stopping });
    M::write_snapshot(view, &mut writer)?;
    let inner = writer.into_inner().map_err(|error| error.into_error())?;
    inner.sink.finish(last).map_err(io::Error::other)
}

/// Lets a node stop while it makes a large snapshot.
struct Abortable {
    sink: Box<dyn crate::storage::SnapshotSink>,
    stopping: Arc<AtomicBool>,
}

impl io::Write for Abortable {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(io::Error::other("the node stops"));
        }
        self.sink.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// A panic in the user's code stops the node, not the process.
fn guard<T>(work: impl FnOnce() -> T) -> Result<T, MachineFailed> {
    let worked = catch_unwind(AssertUnwindSafe(work));
    worked.map_err(|panic| MachineFailed(panic_text(panic.as_ref())))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("of unknown reason"))
}
