//! The process of a simulated machine: the unchanged core, and the disk that it uses.

use crate::disk::{Disk, DiskError, ReadFault};
use crate::random::Random;
use bytes::Bytes;
use raft_proto::{
    Action, Config, Entries, EntryId, Event, Index, Input, Raft, Seq, SnapshotId,
    SnapshotReadFailed, SnapshotWriteFailed, StartError, Time,
};
use std::collections::VecDeque;

/// When a write becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskSyncs {
    /// At once: the core gets `Persisted` before any other input.
    Immediate,
    /// When the world calls [`Process::synced`].
    Scheduled,
}

/// When the disk answers the core's requests other than writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskReads {
    /// At once: the core gets the answer before any other input.
    Immediate,
    /// When the world takes the answers by [`Process::take_delayed_answers`] and gives them to the
    /// core.
    Scheduled,
}

/// Sees every event that goes into a core and every action that comes out: traces and checkers.
///
/// `()` observes nothing and costs nothing.
pub trait Observer {
    /// `raft` is about to take `event`.
    fn event(&mut self, raft: &Raft, event: &Event);
    /// `raft` has taken the last event and answered with `actions`, all of them, in order.
    fn actions(&mut self, raft: &Raft, actions: &[Action]);
}

impl Observer for () {
    fn event(&mut self, _: &Raft, _: &Event) {}
    fn actions(&mut self, _: &Raft, _: &[Action]) {}
}

/// Why a process could not start, or could not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProcessError {
    /// The core refused to start with what the disk held.
    #[error("start: {0}")]
    Start(#[from] StartError),
    /// The core broke the contract of its storage.
    #[error("disk: {0}")]
    Disk(#[from] DiskError),
    /// The core and its disk kept answering each other, and no time passed.
    #[error("the core and its disk answered each other {0} times in one instant")]
    Endless(u32),
}

/// A running process. It performs the actions that concern its disk and its timer; all other
/// actions go to the caller.
#[derive(Clone, Debug)]
pub struct Process {
    raft: Raft,
    disk: Disk,
    syncs: DiskSyncs,
    wake_at: Time,
    /// Empty between calls, as is `answers`: kept for their allocations.
    buffer: Vec<Action>,
    answers: VecDeque<Input>,
    reads: DiskReads,
    /// Answers of the disk that the caller gives to the core later.
    delayed_answers: Vec<Input>,
    /// Draws which reads of a flaky disk fail.
    random: Random,
}

impl Process {
    /// How many steps a core may take at once because its disk answers.
    const MOST_STEPS: u32 = 100_000;

    /// Starts a process with what `disk` holds. The caller loads the service from
    /// [`Disk::recovered_snapshot`] and gives an [`Input::Tick`] as the first event.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Start`] if the core refuses.
    pub fn start(config: Config, disk: Disk, syncs: DiskSyncs) -> Result<Process, ProcessError> {
        Process::start_after(config, disk, syncs, None)
    }

    /// As [`Process::start`]. If the service is durable by itself, it holds all up to `applied`.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Start`] if the core refuses.
    pub fn start_after(
        config: Config,
        disk: Disk,
        syncs: DiskSyncs,
        applied: Option<Index>,
    ) -> Result<Process, ProcessError> {
        let random = Random::new(config.seed ^ config.node_id.0, "flaky disk");
        let mut recovered = disk.recover();
        recovered.applied = applied;
        let raft = Raft::new(config, recovered)?;
        Ok(Process {
            raft,
            disk,
            syncs,
            wake_at: Time::ZERO,
            buffer: Vec::new(),
            answers: VecDeque::new(),
            reads: DiskReads::Immediate,
            delayed_answers: Vec::new(),
            random,
        })
    }

    /// The core, to look at.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The disk, to look at.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The disk, to make its reads fail.
    pub fn disk_mut(&mut self) -> &mut Disk {
        &mut self.disk
    }

    /// When the core wants its next [`Input::Tick`]: the newest `WakeAt`.
    pub fn wake_at(&self) -> Time {
        self.wake_at
    }

    /// The last write issued. When it rises, the world schedules the end of a sync.
    pub fn issued(&self) -> Seq {
        self.disk.issued()
    }

    /// Sets when the disk answers from now on.
    pub fn set_reads(&mut self, reads: DiskReads) {
        self.reads = reads;
    }

    /// Gives `input` to the core at `at`, and appends to `outputs` every action that is left for
    /// the caller: never `Persist`, `WakeAt`, or what concerns stored snapshots.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Disk`] if the core breaks the storage's contract: a defect of the core.
    pub fn handle<O: Observer>(
        &mut self,
        at: Time,
        input: Input,
        outputs: &mut Vec<Action>,
        observer: &mut O,
    ) -> Result<(), ProcessError> {
        let mut next = Some(input);
        let mut steps = 0;
        while let Some(input) = next {
            steps += 1;
            if steps > Self::MOST_STEPS {
                return Err(ProcessError::Endless(Self::MOST_STEPS));
            }
            let issued = self.disk.issued();
            // A tick has answered the deadline, whether the core sets another one or not.
            if matches!(input, Input::Tick) {
                self.wake_at = Time::NEVER;
            }
            let event = Event { at, input };
            observer.event(&self.raft, &event);
            let mut actions = core::mem::take(&mut self.buffer);
            self.raft.step_into(event, &mut actions);
            observer.actions(&self.raft, &actions);
            for action in actions.drain(..) {
                self.perform(action, outputs)?;
            }
            self.buffer = actions;
            let seq = self.disk.issued();
            if self.syncs == DiskSyncs::Immediate && seq > issued {
                self.disk.persist(seq)?;
                self.answers.push_back(Input::Persisted { seq });
            }
            next = self.answers.pop_front();
        }
        Ok(())
    }

    /// Performs an action if it concerns the disk or the timer. The core gets what the disk answers
    /// at once after the input that caused it.
    fn perform(&mut self, action: Action, outputs: &mut Vec<Action>) -> Result<(), ProcessError> {
        match action {
            Action::Persist(write) => self.disk.write(write)?,
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => {
                let result = self.read_snapshot(snapshot, offset, length);
                self.answer(Input::SnapshotRead {
                    peer,
                    snapshot,
                    offset,
                    result,
                });
            }
            Action::WriteSnapshot {
                snapshot,
                offset,
                data,
            } => {
                let result = self.write_snapshot(snapshot, offset, &data);
                self.answer(Input::SnapshotWritten {
                    snapshot,
                    offset,
                    result,
                });
            }
            Action::ReleaseSnapshot { snapshot } => self.disk.release_snapshot(snapshot),
            Action::ReadEntries {
                peer,
                from,
                to,
                max_bytes,
            } => {
                let entries = self.read_entries(from, to, max_bytes);
                self.answer(Input::EntriesRead {
                    peer,
                    from,
                    entries,
                });
            }
            Action::WakeAt(time) => self.wake_at = time,
            Action::Send { .. }
            | Action::Apply { .. }
            | Action::Restore { .. }
            | Action::Proposed { .. }
            | Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::Campaigning { .. }
            | Action::SteppedDown { .. }
            | Action::Reconfigured { .. }
            | Action::Overdue(_)
            | Action::MembershipChanged { .. }
            | Action::RoleChanged { .. }
            | Action::LeaderChanged { .. }
            | Action::Rejected { .. }
            | Action::Refused { .. }
            | Action::SnapshotDamaged { .. }
            | Action::LostState { .. }
            | Action::EntryRefused { .. }
            | Action::Removed { .. }
            | Action::ForeignIncarnation(_)
            | Action::Replaced { .. }
            | Action::Faulted { .. } => outputs.push(action),
        }
        Ok(())
    }

    fn read_entries(&mut self, from: EntryId, to: EntryId, max_bytes: u64) -> Option<Entries> {
        match self.disk.flaky.draw(&mut self.random) {
            None => self.disk.read_entries(from, to, max_bytes),
            Some(ReadFault::Failed | ReadFault::Gone) => None,
        }
    }

    fn read_snapshot(
        &mut self,
        snapshot: SnapshotId,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, SnapshotReadFailed> {
        match self.disk.flaky.draw(&mut self.random) {
            None => self.disk.read_snapshot(snapshot, offset, length),
            Some(ReadFault::Failed) => Err(SnapshotReadFailed::Failed),
            Some(ReadFault::Gone) => Err(SnapshotReadFailed::Gone),
        }
    }

    fn write_snapshot(
        &mut self,
        snapshot: SnapshotId,
        offset: u64,
        data: &Bytes,
    ) -> Result<(), SnapshotWriteFailed> {
        match self.disk.flaky.draw(&mut self.random) {
            Some(ReadFault::Failed) => Err(SnapshotWriteFailed),
            Some(ReadFault::Gone) | None => self.disk.write_snapshot(snapshot, offset, data),
        }
    }

    fn answer(&mut self, input: Input) {
        match self.reads {
            DiskReads::Immediate => self.answers.push_back(input),
            DiskReads::Scheduled => self.delayed_answers.push(input),
        }
    }

    /// Takes the disk's answers, which the caller gives to the core some time later.
    pub fn take_delayed_answers(&mut self) -> impl Iterator<Item = Input> + '_ {
        self.delayed_answers.drain(..)
    }

    /// A sync has ended that covered the writes up to `seq`; the rest is as in
    /// [`Process::handle`]. Only for [`DiskSyncs::Scheduled`].
    ///
    /// # Errors
    ///
    /// As in [`Process::handle`].
    pub fn synced<O: Observer>(
        &mut self,
        at: Time,
        seq: Seq,
        outputs: &mut Vec<Action>,
        observer: &mut O,
    ) -> Result<(), ProcessError> {
        if seq <= self.disk.persisted() {
            return Ok(()); // A later sync ended first and covered it.
        }
        self.disk.persist(seq)?;
        self.handle(at, Input::Persisted { seq }, outputs, observer)
    }

    /// Stores the bytes of a snapshot that the service has made, durable at once. The caller
    /// then gives [`Input::Compact`].
    pub fn store_snapshot(&mut self, id: SnapshotId, data: Bytes) {
        self.disk.store_snapshot(id, data);
    }

    /// Ends the process by a loss of power. The disk keeps all that was persisted, and of the rest
    /// any prefix, drawn from `random`.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Disk`] if a surviving write cannot take effect: a defect of the core.
    pub fn crash(mut self, random: &mut Random) -> Result<Disk, ProcessError> {
        self.disk.crash(random)?;
        Ok(self.disk)
    }

    /// Ends the process alone. The disk keeps all that was written, synced or not.
    pub fn kill(mut self) -> Disk {
        self.disk.kill();
        self.disk
    }
}
