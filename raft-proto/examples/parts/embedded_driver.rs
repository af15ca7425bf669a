//! A driver that needs `core`, a heap, a clock, a radio and two areas of flash memory.
//!
//! It takes a damaged frame for what a crash tore and nobody had relied on. That holds for a memory
//! that loses nothing else; see `Recovered::impaired` for one that may.
//!
//! `tests/no_std` links it without the standard library.

extern crate alloc;

use super::frame;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use raft_proto::wire::{self, Envelope, Receiver};
use raft_proto::*;
use serde::{Deserialize, Serialize};

/// A counter that never goes back, also not while the processor sleeps.
pub(crate) trait Clock {
    fn now(&mut self) -> Time;
}

/// Datagrams, which may be lost, late, repeated and damaged.
pub(crate) trait Radio {
    fn send(&mut self, to: NodeId, datagram: &[u8]);
    fn receive(&mut self) -> Option<Vec<u8>>;
}

/// One of the two areas of the flash memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Area {
    A,
    B,
}

/// Flash memory in two areas, each of which is erased as a whole and written from its beginning.
pub(crate) trait Flash {
    type Error;
    /// The bytes of an area.
    const CAPACITY: usize;
    /// What was appended since the area was erased. What was not synced may be missing or damaged.
    fn read(&mut self, area: Area) -> Result<Vec<u8>, Self::Error>;
    fn erase(&mut self, area: Area) -> Result<(), Self::Error>;
    fn append(&mut self, area: Area, bytes: &[u8]) -> Result<(), Self::Error>;
    /// Returns when everything appended survives a loss of power.
    fn sync(&mut self) -> Result<(), Self::Error>;
}

/// The replicated state machine.
pub(crate) trait Machine: Default {
    fn apply(&mut self, entries: &Entries);
    fn snapshot(&self) -> Vec<u8>;
    /// Replaces the state by that of a snapshot, whose checksum was verified.
    fn restore(&mut self, snapshot: &[u8]);
}

/// Why a driver has ended. A new one may begin with the same flash memory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended<E> {
    #[error("the flash memory failed: {0:?}")]
    Flash(E),
    /// The log and the snapshots do not fit an area: the machine's state is too large for it.
    #[error("the log and the snapshots do not fit an area")]
    FlashFull,
    /// The flash memory holds frames that this program does not read, or a write does not encode.
    #[error("a record: {0}")]
    Unreadable(postcard::Error),
    #[error(transparent)]
    Start(StartError),
    #[error(transparent)]
    Faulted(Fault),
    /// This driver, or its configuration, has a defect.
    #[error("the driver has a defect")]
    Defect,
}

/// What an area holds: one frame each. The first is a `Base`, which is whole or not there.
#[derive(Serialize, Deserialize)]
enum Record {
    /// Everything up to here. Of two areas, that with the greater generation counts.
    Base {
        generation: u64,
        stored: Box<Recovered>,
        snapshots: BTreeMap<SnapshotId, Bytes>,
    },
    /// A snapshot that was received. The write that installs it follows.
    Snapshot {
        id: SnapshotId,
        bytes: Bytes,
    },
    Write(Write),
}

/// What was found in an area.
struct Found {
    area: Area,
    generation: u64,
    stored: Recovered,
    snapshots: BTreeMap<SnapshotId, Bytes>,
}

impl Found {
    /// Applies the whole frames of an area, up to the first that is torn. `None` if there is no
    /// base.
    fn read(area: Area, bytes: &[u8]) -> Result<Option<Found>, postcard::Error> {
        let mut found: Option<Found> = None;
        let mut at = 0;
        while let Ok(Some(body)) = frame::first(&bytes[at..], u64::MAX) {
            at += frame::HEADER + body.len();
            match (postcard::from_bytes(body)?, &mut found) {
                (
                    Record::Base {
                        generation,
                        stored,
                        snapshots,
                    },
                    _,
                ) => {
                    found = Some(Found {
                        area,
                        generation,
                        stored: *stored,
                        snapshots,
                    });
                }
                (Record::Snapshot { id, bytes }, Some(found)) => {
                    found.snapshots.insert(id, bytes);
                }
                (Record::Write(write), Some(found)) => found.stored.apply(&write),
                (Record::Snapshot { .. } | Record::Write(_), None) => return Ok(None),
            }
        }
        Ok(found)
    }
}

/// One node.
pub(crate) struct Driver<C, R, F, M> {
    raft: Raft,
    receiver: Receiver,
    clock: C,
    radio: R,
    flash: F,
    pub(crate) machine: M,
    area: Area,
    generation: u64,
    /// The bytes of the area that are in use.
    used: usize,
    /// What a restart finds. Payloads are shared with the core's log.
    stored: Recovered,
    snapshots: BTreeMap<SnapshotId, Bytes>,
    /// A snapshot that is being received.
    partial: Vec<u8>,
    inputs: VecDeque<Input>,
    /// Appended, but not synced.
    unsynced: Option<Seq>,
    wake_at: Time,
}

impl<C: Clock, R: Radio, F: Flash, M: Machine> Driver<C, R, F, M> {
    /// Settings for datagrams of `length` bytes, for a cluster that writes little.
    pub(crate) fn fit_datagrams(config: &mut Config, length: u64) {
        // The rest is for the envelope, the header and, in a chunk of a snapshot, the members.
        let payload = length.saturating_sub(400);
        config.max_append_bytes = payload;
        config.max_entry_bytes = payload.saturating_sub(ENTRY_OVERHEAD);
        config.snapshot_chunk_bytes = payload;
        config.max_inflight_bytes = 8 * payload;
        config.trailing_entries = 8;
    }

    /// Recovers what the flash memory holds.
    pub(crate) fn start(
        config: Config,
        clock: C,
        radio: R,
        mut flash: F,
    ) -> Result<Self, Ended<F::Error>> {
        let mut newest = Found {
            area: Area::A,
            generation: 0,
            stored: Recovered::default(),
            snapshots: BTreeMap::new(),
        };
        for area in [Area::A, Area::B] {
            let bytes = flash.read(area).map_err(Ended::Flash)?;
            let found = Found::read(area, &bytes).map_err(Ended::Unreadable)?;
            if let Some(found) = found.filter(|it| it.generation > newest.generation) {
                newest = found;
            }
        }
        let Found {
            area,
            generation,
            stored,
            mut snapshots,
        } = newest;
        // Other snapshots were being received, or were made and not used.
        let recovered = stored.snapshot.as_ref().map(|snapshot| snapshot.id);
        snapshots.retain(|id, _| Some(*id) == recovered);
        // The service begins with the recovered snapshot; the core then hands out what follows.
        let mut machine = M::default();
        if let Some(bytes) = snapshots.values().next() {
            machine.restore(bytes);
        }
        let mut driver = Driver {
            receiver: Receiver::new(&config),
            raft: Raft::new(config, stored.clone()).map_err(Ended::Start)?,
            clock,
            radio,
            flash,
            machine,
            area,
            generation,
            used: 0,
            stored,
            snapshots,
            partial: Vec::new(),
            inputs: VecDeque::new(),
            unsynced: None,
            wake_at: Time::NEVER,
        };
        // What a crash tore is left behind. What was found is synced before anything relies on it.
        driver.rewrite()?;
        driver.step(Input::Tick)?;
        Ok(driver)
    }

    /// Does all there is to do, and returns when to do so again if no datagram comes before.
    pub(crate) fn poll(&mut self) -> Result<Time, Ended<F::Error>> {
        loop {
            while let Some(datagram) = self.radio.receive() {
                // Whatever is no sound message for this node is as good as lost.
                let limit = self.receiver.limits().max_frame_bytes;
                let body = frame::first(&datagram, limit).ok().flatten();
                let body = body.map(Bytes::copy_from_slice);
                let received = body.and_then(|body| self.receiver.accept(body).ok());
                self.inputs.extend(received.map(Input::from));
            }
            while let Some(input) = self.inputs.pop_front() {
                self.step(input)?;
            }
            if let Some(seq) = self.unsynced.take() {
                // All writes since the last time share this sync.
                self.flash.sync().map_err(Ended::Flash)?;
                self.step(Input::Persisted { seq })?;
            } else if self.clock.now() >= self.wake_at {
                self.step(Input::Tick)?;
            } else if self.inputs.is_empty() {
                return Ok(self.wake_at);
            }
        }
    }

    pub(crate) fn raft(&self) -> &Raft {
        &self.raft
    }

    /// Gives the node a command. `poll` does the rest.
    pub(crate) fn propose(&mut self, command: Bytes) {
        let (id, commands) = (RequestId(0), command.into());
        self.inputs.push_back(Input::Propose { id, commands });
    }

    fn step(&mut self, input: Input) -> Result<(), Ended<F::Error>> {
        if input == Input::Tick {
            // A tick ends the deadline, and its step names the next one.
            self.wake_at = Time::NEVER;
        }
        let at = self.clock.now();
        let actions = self.raft.step(Event { at, input });
        actions
            .into_iter()
            .try_for_each(|action| self.perform(action))
    }

    fn perform(&mut self, action: Action) -> Result<(), Ended<F::Error>> {
        match action {
            Action::WakeAt(time) => self.wake_at = time,
            Action::Send { to, message } => self.send(to, &message),
            Action::Persist(write) => self.persist(write)?,
            Action::Apply { entries } => {
                self.machine.apply(&entries);
                if let Some(last) = entries.last_id() {
                    self.applied(last)?;
                }
            }
            Action::Restore { snapshot } => {
                let bytes = self.snapshots.get(&snapshot.id).ok_or(Ended::Defect)?;
                self.machine.restore(bytes);
                self.inputs.push_back(Input::Applied {
                    index: snapshot.id.last.index,
                });
            }
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => {
                // The snapshot has these bytes, and its length is one of this memory.
                let range = offset as usize..(offset + length) as usize;
                let bytes = self.snapshots.get(&snapshot);
                let result = bytes.map(|bytes| bytes.slice(range));
                let result = result.ok_or(SnapshotReadFailed::Gone);
                self.inputs.push_back(Input::SnapshotRead {
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
            } => self.write_chunk(snapshot, offset, &data),
            Action::ReleaseSnapshot { snapshot } => drop(self.snapshots.remove(&snapshot)),
            Action::Faulted { reason } => return Err(Ended::Faulted(reason)),
            // `max_resident_bytes` is not set.
            Action::Refused { .. } | Action::ReadEntries { .. } => return Err(Ended::Defect),
            // The client gives its command again until it is applied. Nobody makes other
            // requests, and there is no operator here.
            Action::Proposed { .. }
            | Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::Campaigning { .. }
            | Action::SteppedDown { .. }
            | Action::Reconfigured { .. }
            | Action::MembershipChanged { .. }
            | Action::LeaderChanged { .. }
            | Action::RoleChanged { .. }
            | Action::SnapshotDamaged { .. }
            | Action::Rejected { .. }
            | Action::LostState { .. }
            | Action::EntryRefused { .. }
            | Action::Removed { .. }
            | Action::ForeignIncarnation(_)
            | Action::Replaced { .. }
            | Action::Overdue(_) => {}
        }
        Ok(())
    }

    fn write_chunk(&mut self, snapshot: SnapshotId, offset: u64, data: &[u8]) {
        // At offset 0 that discards any other partial snapshot.
        self.partial.truncate(offset as usize);
        self.partial.extend_from_slice(data);
        let result = Ok(());
        self.inputs.push_back(Input::SnapshotWritten {
            snapshot,
            offset,
            result,
        });
    }

    fn send(&mut self, to: NodeId, message: &Message) {
        let mut datagram = Vec::new();
        let envelope = Envelope::new(self.raft.config(), to);
        frame::append(&mut datagram, &wire::encode(&envelope, message));
        self.radio.send(to, &datagram);
    }

    /// Entries up to `last` are applied. If the area is filling, a snapshot replaces them.
    fn applied(&mut self, last: EntryId) -> Result<(), Ended<F::Error>> {
        self.inputs.push_back(Input::Applied { index: last.index });
        if self.used > F::CAPACITY / 2 && self.snapshots.len() < 2 {
            let bytes = Bytes::from(self.machine.snapshot());
            let snapshot = SnapshotId::of(last, &bytes);
            // Its bytes are durable before the core hears of it.
            self.snapshots.insert(snapshot, bytes);
            self.rewrite()?;
            self.inputs.push_back(Input::Compact { snapshot });
        }
        Ok(())
    }

    /// Takes a write. `poll` syncs it, and then says so.
    fn persist(&mut self, write: Write) -> Result<(), Ended<F::Error>> {
        let mut frames = Vec::new();
        if let Some(install) = &write.install {
            let id = install.snapshot.id;
            let bytes = Bytes::from(core::mem::take(&mut self.partial));
            self.snapshots.insert(id, bytes.clone());
            append_record(&mut frames, &Record::Snapshot { id, bytes })?;
        }
        self.stored.apply(&write);
        self.unsynced = Some(write.seq);
        append_record(&mut frames, &Record::Write(write))?;
        if self.used + frames.len() > F::CAPACITY {
            return self.rewrite();
        }
        self.used += frames.len();
        self.flash.append(self.area, &frames).map_err(Ended::Flash)
    }

    /// Writes what is stored into the other area, which counts once it is there as a whole.
    fn rewrite(&mut self) -> Result<(), Ended<F::Error>> {
        let mut frames = Vec::new();
        let generation = self.generation + 1;
        let stored = Box::new(self.stored.clone());
        let snapshots = self.snapshots.clone();
        append_record(
            &mut frames,
            &Record::Base {
                generation,
                stored,
                snapshots,
            },
        )?;
        if frames.len() > F::CAPACITY {
            return Err(Ended::FlashFull);
        }
        let other = match self.area {
            Area::A => Area::B,
            Area::B => Area::A,
        };
        self.flash.erase(other).map_err(Ended::Flash)?;
        self.flash.append(other, &frames).map_err(Ended::Flash)?;
        self.flash.sync().map_err(Ended::Flash)?;
        (self.area, self.generation, self.used) = (other, generation, frames.len());
        Ok(())
    }
}

fn append_record<E>(frames: &mut Vec<u8>, record: &Record) -> Result<(), Ended<E>> {
    let body = postcard::to_allocvec(record).map_err(Ended::Unreadable)?;
    frame::append(frames, &body);
    Ok(())
}
