//! One simulated server: the unchanged core and its disk.

use crate::disk::{Disk, DiskError};
use crate::random::Random;
use bytes::Bytes;
use raft_proto::{Action, Config, Event, Input, Raft, Seq, SnapshotId, StartError, Time};
use std::collections::VecDeque;

/// When a write becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskSyncs {
    /// In the instant in which it was issued: `Persisted` is fed back before anything else.
    Immediate,
    /// When the world says so, by [`Process::sync_done`].
    Scheduled,
}

/// When the disk answers what the core asks of it beside writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskReads {
    /// Before anything else happens.
    Immediate,
    /// When the world says so: [`Process::take_late`] tells what the answers are.
    Scheduled,
}

/// Sees everything that goes into and comes out of a core: traces and checkers.
///
/// `()` watches nothing and costs nothing.
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

/// Why a process could not be started or could not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProcessError {
    /// The core refused to start with what the disk held.
    #[error("start: {0}")]
    Start(#[from] StartError),
    /// The core asked of its disk what it must not ask.
    #[error("disk: {0}")]
    Disk(#[from] DiskError),
    /// The core and its disk went on asking and answering each other, and no time passed.
    #[error("the core asked its disk {0} times in one instant, and again")]
    Endless(u32),
}

/// A running node. It performs what concerns its disk and its timer; all other actions go to
/// the caller.
#[derive(Clone, Debug)]
pub struct Process {
    raft: Raft,
    disk: Disk,
    sync: DiskSyncs,
    wake: Time,
    /// Empty between calls, as is `answers`: kept for their allocations.
    buffer: Vec<Action>,
    answers: VecDeque<Input>,
    /// When the disk answers reads and chunks of snapshots, and what the caller has to give to the
    /// core later.
    reads: DiskReads,
    late: Vec<Input>,
}

impl Process {
    /// How many answers of its disk a core may be given at once.
    const MOST_STEPS: u32 = 100_000;

    /// Starts a node with what `disk` holds. The caller loads the service from
    /// [`Disk::recovered_snapshot`] and gives a [`Input::Tick`] as the first event.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Start`] if the core refuses.
    pub fn start(config: Config, disk: Disk, sync: DiskSyncs) -> Result<Process, ProcessError> {
        let raft = Raft::new(config, disk.recover())?;
        Ok(Process {
            raft,
            disk,
            sync,
            wake: Time::ZERO,
            buffer: Vec::new(),
            answers: VecDeque::new(),
            reads: DiskReads::Immediate,
            late: Vec::new(),
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

    /// When the core wants its next [`Input::Tick`]: the newest `WakeAt`.
    pub fn wake_at(&self) -> Time {
        self.wake
    }

    /// The last write issued. When the world sees it rise it schedules the end of a sync.
    pub fn issued(&self) -> Seq {
        self.disk.issued()
    }

    /// Gives `input` to the core at `at`, and appends to `outputs` all that is left for the
    /// caller to do: never `Persist`, `WakeAt`, or what concerns stored snapshots.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Disk`] if the core breaks the storage's contract: a defect of the core.
    pub fn handle<W: Observer>(
        &mut self,
        at: Time,
        input: Input,
        outputs: &mut Vec<Action>,
        watch: &mut W,
    ) -> Result<(), ProcessError> {
        let mut next = Some(input);
        let mut steps = 0;
        while let Some(input) = next {
            steps += 1;
            if steps > Self::MOST_STEPS {
                return Err(ProcessError::Endless(Self::MOST_STEPS));
            }
            let issued = self.disk.issued();
            // A deadline that a tick answered is over, whether another one follows or not.
            if matches!(input, Input::Tick) {
                self.wake = Time::NEVER;
            }
            let event = Event { at, input };
            watch.event(&self.raft, &event);
            let mut actions = core::mem::take(&mut self.buffer);
            self.raft.step_into(event, &mut actions);
            watch.actions(&self.raft, &actions);
            for action in actions.drain(..) {
                self.perform(action, outputs)?;
            }
            self.buffer = actions;
            let seq = self.disk.issued();
            if self.sync == DiskSyncs::Immediate && seq > issued {
                self.disk.persist(seq)?;
                self.answers.push_back(Input::Persisted { seq });
            }
            next = self.answers.pop_front();
        }
        Ok(())
    }

    /// What the disk answers at once is given to the core after the input that caused it.
    fn perform(&mut self, action: Action, outputs: &mut Vec<Action>) -> Result<(), ProcessError> {
        match action {
            Action::Persist(write) => self.disk.write(write)?,
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => self.answer(Input::SnapshotRead {
                peer,
                snapshot,
                offset,
                result: self.disk.read_snapshot(snapshot, offset, length),
            }),
            Action::WriteSnapshot {
                snapshot,
                offset,
                data,
            } => {
                let result = self.disk.write_snapshot(snapshot, offset, &data);
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
            } => self.answer(Input::EntriesRead {
                peer,
                from,
                entries: self.disk.read_entries(from, to, max_bytes),
            }),
            Action::WakeAt(time) => self.wake = time,
            Action::Send { .. }
            | Action::Apply { .. }
            | Action::Restore { .. }
            | Action::Proposed { .. }
            | Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::MembershipChanged { .. }
            | Action::RoleChanged { .. }
            | Action::LeaderChanged { .. }
            | Action::Rejected { .. }
            | Action::Refused { .. }
            | Action::LostState { .. }
            | Action::Faulted { .. } => outputs.push(action),
        }
        Ok(())
    }

    fn answer(&mut self, input: Input) {
        match self.reads {
            DiskReads::Immediate => self.answers.push_back(input),
            DiskReads::Scheduled => self.late.push(input),
        }
    }

    /// From now on the disk answers then.
    pub fn set_reads(&mut self, reads: DiskReads) {
        self.reads = reads;
    }

    /// What the disk has answered, to be given to the core some time later.
    pub fn take_late(&mut self) -> impl Iterator<Item = Input> + '_ {
        self.late.drain(..)
    }

    /// A sync has ended that covered the writes up to `seq`; the rest is as in
    /// [`Process::handle`]. Only for [`DiskSyncs::Scheduled`].
    ///
    /// # Errors
    ///
    /// As in [`Process::handle`].
    pub fn sync_done<W: Observer>(
        &mut self,
        at: Time,
        seq: Seq,
        outputs: &mut Vec<Action>,
        watch: &mut W,
    ) -> Result<(), ProcessError> {
        if seq <= self.disk.persisted() {
            return Ok(()); // A later sync ended first and covered it.
        }
        self.disk.persist(seq)?;
        self.handle(at, Input::Persisted { seq }, outputs, watch)
    }

    /// Stores the bytes of a snapshot that the service has made, durable at once. The caller
    /// then gives [`Input::Compact`].
    pub fn store_snapshot(&mut self, id: SnapshotId, data: Bytes) {
        self.disk.store_snapshot(id, data);
    }

    /// Kills the node. The disk survives with what `random` draws: all that was persisted, and
    /// any prefix of the rest.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Disk`] if a surviving write cannot take effect: a defect of the core.
    pub fn crash(mut self, random: &mut Random) -> Result<Disk, ProcessError> {
        self.disk.crash(random)?;
        Ok(self.disk)
    }

    /// The disk, to make its reads fail.
    pub fn disk_mut(&mut self) -> &mut Disk {
        &mut self.disk
    }

    /// Ends the process. The disk is left as it is: what was written and not synced is in it.
    pub fn kill(mut self) -> Disk {
        self.disk.kill();
        self.disk
    }
}
