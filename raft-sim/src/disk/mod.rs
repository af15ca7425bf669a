//! The simulated disk of one machine.
//!
//! It does what [`raft_proto::Write`] promises for every storage, and nothing better. Writes wait
//! until they are synced, and take effect in the order of their seq, each one whole or not at all.
//! A crash keeps any prefix of them that is not shorter than what was reported as persisted.

mod decay;
mod error;
mod log;
mod mending;

pub use error::DiskError;

use crate::checker::StoredConfigurations;
use crate::random::Random;
use bytes::{Bytes, BytesMut};
use decay::Damage;
use log::{Piece, StoredLog};
use raft_proto::{
    Compaction, Entries, EntriesBuilder, EntryId, HardState, Identity, Incarnation, Index, Install,
    InstalledLog, Membership, Recovered, Seq, SnapshotId, SnapshotMeta, SnapshotReadFailed,
    SnapshotWriteFailed, Write,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The disk of one machine: it survives crashes.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    image: Image,
    /// Issued and not yet durable, in the order of seq.
    pending: VecDeque<Write>,
    issued: Seq,
    persisted: Seq,
    /// Whole snapshots by their ids. After a crash only the recovered one is left.
    snapshots: BTreeMap<SnapshotId, Bytes>,
    /// The snapshot being received.
    partial: Option<(SnapshotId, BytesMut)>,
    /// Reads fail: the device does not answer, or a checksum shows that bytes have decayed.
    pub reads_fail: bool,
    /// How many of a thousand reads fail, besides.
    pub flaky: FaultRates,
    /// Reads of this snapshot return other bytes than were written. No checksum is compared: that
    /// is left to its receiver. The next process finds it whole.
    decayed: Option<SnapshotId>,
    damage: Damage,
    /// Whether a configuration was ever written here that a release of level 0 does not read. It
    /// may be overwritten since, but not yet on the disk, or in the memory of the node only.
    pub level_was_raised: bool,
    /// Entries that have decayed, and that the storage will know again.
    missing: BTreeSet<Index>,
}

/// Of a thousand reads of entries, and reads and writes of chunks of snapshots, how many fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultRates {
    /// The device does not answer.
    pub failed: u32,
    /// A read finds no such snapshot, or no such entries.
    pub gone: u32,
}

/// What goes wrong with one read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// It fails.
    Failed,
    /// What is to be read is gone.
    Gone,
}

impl FaultRates {
    /// Whether a read goes wrong now. Without faults, nothing is drawn.
    pub fn draw(&self, random: &mut Random) -> Option<ReadFault> {
        if *self == FaultRates::default() {
            return None;
        }
        let draw = random.below(1000) as u32; // below 1000
        if draw < self.failed {
            return Some(ReadFault::Failed);
        }
        (draw < self.failed.saturating_add(self.gone)).then_some(ReadFault::Gone)
    }
}

/// The state that the durable writes add up to.
#[derive(Clone, Debug, Default)]
struct Image {
    identity: Option<Identity>,
    hard_state: HardState,
    snapshot: Option<SnapshotMeta>,
    log: StoredLog,
}

impl Image {
    fn holds(&self, entry: EntryId) -> bool {
        let snapshot = self.snapshot.as_ref();
        let covers = |meta: &SnapshotMeta| meta.id.last.index >= entry.index;
        snapshot.is_some_and(covers) || self.log.term_at(entry.index) == Some(entry.term)
    }
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Disk {
        Disk::default()
    }

    /// Takes a write. It is not durable before [`Disk::persist`].
    ///
    /// # Errors
    ///
    /// [`DiskError::SeqOutOfOrder`], [`DiskError::NoSuchSnapshot`]; other breaches show when the
    /// write takes effect.
    pub fn write(&mut self, write: Write) -> Result<(), DiskError> {
        if write.seq != self.issued.next() {
            return Err(DiskError::SeqOutOfOrder {
                last: self.issued,
                found: write.seq,
            });
        }
        self.issued = write.seq;
        if let Some(install) = &write.install {
            self.complete_partial(install.snapshot.id)?;
        }
        self.pending.push_back(write);
        Ok(())
    }

    /// The snapshot being received is whole. Another transfer, which may begin before the write is
    /// durable, must not overwrite it.
    fn complete_partial(&mut self, id: SnapshotId) -> Result<(), DiskError> {
        match self.partial.take() {
            Some((of, data)) if of == id && data.len() as u64 == id.size => {
                self.store_snapshot(id, data.freeze());
                Ok(())
            }
            Some(_) | None => Err(DiskError::NoSuchSnapshot(id)),
        }
    }

    /// The last write issued: what a sync that begins now would cover.
    pub fn issued(&self) -> Seq {
        self.issued
    }

    /// The last write that is durable.
    pub fn persisted(&self) -> Seq {
        self.persisted
    }

    /// A sync has ended that covered the writes up to `seq`: they are durable. A sync that covers
    /// nothing new changes nothing.
    ///
    /// # Errors
    ///
    /// A [`DiskError`] if a write cannot take effect.
    pub fn persist(&mut self, seq: Seq) -> Result<(), DiskError> {
        if seq > self.issued {
            let last = self.issued;
            return Err(DiskError::NeverIssued { seq, last });
        }
        while self.persisted < seq {
            let Some(write) = self.pending.pop_front() else {
                break; // Unreachable: `pending` holds persisted+1 ..= issued.
            };
            self.persisted = write.seq;
            self.take_effect(write)?;
        }
        Ok(())
    }

    /// Folds one write into the image, its parts in the order of the fields of [`Write`].
    fn take_effect(&mut self, write: Write) -> Result<(), DiskError> {
        if let Some(identity) = write.identity {
            self.image.identity = Some(*identity);
        }
        if let Some(hard_state) = write.hard_state {
            self.image.hard_state = hard_state;
        }
        if let Some(install) = write.install {
            self.install(*install)?;
        }
        if let Some(compaction) = write.compact {
            self.compact(*compaction)?;
        }
        self.image.log.replace_from(write.entries)?;
        self.end_damage();
        Ok(())
    }

    fn install(&mut self, install: Install) -> Result<(), DiskError> {
        let id = install.snapshot.id;
        if !self.snapshots.contains_key(&id) {
            return Err(DiskError::NoSuchSnapshot(id));
        }
        match install.log {
            InstalledLog::KeepsTail => self.image.log.drop_through(id.last.index),
            InstalledLog::IsDropped => self.image.log.clear(id.last.index),
        }
        self.image.snapshot = Some(install.snapshot);
        Ok(())
    }

    fn compact(&mut self, compaction: Compaction) -> Result<(), DiskError> {
        let id = compaction.snapshot.id;
        if !self.snapshots.contains_key(&id) {
            return Err(DiskError::NoSuchSnapshot(id));
        }
        self.image.log.drop_through(compaction.drop_through);
        self.image.snapshot = Some(compaction.snapshot);
        Ok(())
    }

    /// The machine loses power, and the storage is opened again. How many of the writes that are
    /// not yet durable are lost is drawn from `random`: from all of them to none.
    ///
    /// # Errors
    ///
    /// A [`DiskError`] if a write that survives cannot take effect.
    pub fn crash(&mut self, random: &mut Random) -> Result<(), DiskError> {
        self.lose_power(random);
        self.open()
    }

    /// The process ends, and the machine goes on. All that was written can still be read, but it is
    /// not durable before the storage is opened again and syncs it.
    pub fn kill(&mut self) {
        self.partial = None;
        self.decayed = None;
    }

    /// Reads of this snapshot return other bytes from now on, until the process ends.
    pub fn decay(&mut self, id: SnapshotId) {
        self.decayed = Some(id);
    }

    /// A copy of what is durable: what is left if the machine loses power now.
    ///
    /// # Errors
    ///
    /// A [`DiskError`] as [`Disk::crash`] returns it.
    pub fn durable_copy(&self) -> Result<Disk, DiskError> {
        let mut copy = self.clone();
        copy.kill();
        copy.crash_after(self.persisted)?;
        Ok(copy)
    }

    /// The machine loses power. Of the writes that were not synced, a prefix is left, drawn from
    /// `random`. Returns whether the first lost write left a part of itself. Storage knows by its
    /// checksum that such a part is no write.
    pub fn lose_power(&mut self, random: &mut Random) -> bool {
        self.kill();
        let survivors = random.between(0, self.pending.len() as u64) as usize;
        let is_torn = survivors < self.pending.len() && random.chance(300);
        self.pending.truncate(survivors);
        is_torn
    }

    /// A new process opens the storage, which syncs what it finds.
    ///
    /// # Errors
    ///
    /// A [`DiskError`] if a write cannot take effect.
    pub fn open(&mut self) -> Result<(), DiskError> {
        self.crash_after(Seq(self.persisted.0 + self.pending.len() as u64))
    }

    /// The machine loses power, and the writes up to `last` survive.
    ///
    /// # Errors
    ///
    /// A [`DiskError`] if a write that survives cannot take effect.
    pub fn crash_after(&mut self, last: Seq) -> Result<(), DiskError> {
        self.persist(last)?;
        self.pending.clear();
        self.issued = Seq(0); // The next instance counts from 1 again.
        self.persisted = Seq(0);
        self.partial = None;
        let recovered = self.image.snapshot.as_ref().map(|snapshot| snapshot.id);
        self.snapshots.retain(|id, _| Some(*id) == recovered);
        Ok(())
    }

    /// The state that a process finds if it starts now.
    pub fn recover(&self) -> Recovered {
        Recovered {
            identity: self.image.identity.clone(),
            hard_state: self.image.hard_state,
            snapshot: self.image.snapshot.clone(),
            entries: self.image.log.to_entries(),
            applied: None,
            impaired: self.damage.lost,
        }
    }

    /// The snapshot that a restart would recover, and its bytes.
    pub fn recovered_snapshot(&self) -> Option<(&SnapshotMeta, &Bytes)> {
        let meta = self.image.snapshot.as_ref()?;
        Some((meta, self.snapshots.get(&meta.id)?))
    }

    /// Stores a snapshot that the service has made; durable at once.
    pub fn store_snapshot(&mut self, id: SnapshotId, data: Bytes) {
        self.snapshots.insert(id, data);
    }

    /// The bytes of a snapshot that was stored, or whose install has been issued.
    pub fn snapshot(&self, id: SnapshotId) -> Option<&Bytes> {
        self.snapshots.get(&id)
    }

    /// Performs [`ReadEntries`](raft_proto::Action::ReadEntries): returns durable entries from
    /// `from` to `to`, as many as fit into `max_bytes` but at least one. `None` if the first one is
    /// not there.
    pub fn read_entries(&self, from: EntryId, to: EntryId, max_bytes: u64) -> Option<Entries> {
        if self.reads_fail {
            return None;
        }
        let mut builder = EntriesBuilder::new();
        let mut bytes = 0;
        let wanted = from.index..=to.index;
        let pieces = self.image.log.pieces.iter();
        let reaching = pieces.skip_while(|piece| piece.last < from.index);
        let entries = reaching.flat_map(Piece::iter);
        for entry in entries.skip_while(|entry| entry.index() < from.index) {
            bytes += entry.payload().len() as u64 + raft_proto::ENTRY_OVERHEAD;
            let first = entry.index() == from.index;
            if !wanted.contains(&entry.index()) || (bytes > max_bytes && !first) {
                break;
            }
            let (id, kind) = (entry.id(), entry.kind());
            builder.push(id, kind, entry.share_payload()).ok()?;
        }
        let entries = builder.finish();
        (entries.first_index() == Some(from.index)).then_some(entries)
    }

    /// Performs [`ReadSnapshot`](raft_proto::Action::ReadSnapshot).
    ///
    /// # Errors
    ///
    /// [`SnapshotReadFailed::Gone`] if the snapshot, or that part of it, does not exist.
    pub fn read_snapshot(
        &self,
        id: SnapshotId,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, SnapshotReadFailed> {
        if self.reads_fail {
            return Err(SnapshotReadFailed::Failed);
        }
        let data = self.snapshots.get(&id).ok_or(SnapshotReadFailed::Gone)?;
        let end = offset.checked_add(length).ok_or(SnapshotReadFailed::Gone)?;
        if end > data.len() as u64 {
            return Err(SnapshotReadFailed::Gone);
        }
        let chunk = data.slice(offset as usize..end as usize);
        // One bit in the middle of the snapshot.
        let bad = (id.size / 2).checked_sub(offset).filter(|at| *at < length);
        match bad {
            Some(at) if self.decayed == Some(id) => {
                let mut other = chunk.to_vec();
                if let Some(byte) = other.get_mut(at as usize) {
                    *byte ^= 1;
                }
                Ok(other.into())
            }
            Some(_) | None => Ok(chunk),
        }
    }

    /// Performs [`WriteSnapshot`](raft_proto::Action::WriteSnapshot).
    ///
    /// # Errors
    ///
    /// [`SnapshotWriteFailed`] if the chunk does not continue the one before.
    pub fn write_snapshot(
        &mut self,
        id: SnapshotId,
        offset: u64,
        data: &Bytes,
    ) -> Result<(), SnapshotWriteFailed> {
        if self.reads_fail {
            return Err(SnapshotWriteFailed);
        }
        if offset == 0 {
            self.partial = Some((id, BytesMut::from(&data[..])));
            return Ok(());
        }
        match &mut self.partial {
            Some((of, partial)) if *of == id && partial.len() as u64 == offset => {
                partial.extend_from_slice(data);
                Ok(())
            }
            Some(_) | None => Err(SnapshotWriteFailed),
        }
    }

    /// Performs [`ReleaseSnapshot`](raft_proto::Action::ReleaseSnapshot) at once: the core asks for
    /// it when the replacement of the snapshot is durable.
    pub fn release_snapshot(&mut self, id: SnapshotId) {
        self.snapshots.remove(&id);
    }

    /// Whether a restart would recover a snapshot whose bytes are not there.
    pub fn has_lost_its_snapshot(&self) -> bool {
        self.image.snapshot.is_some() && self.recovered_snapshot().is_none()
    }

    /// The size of the durable Raft state in bytes: log entries, currentTerm and votedFor, and the
    /// meta data of the snapshot, without the snapshot's own bytes.
    pub fn state_bytes(&self) -> u64 {
        /// Two numbers of eight bytes.
        const HARD_STATE: u64 = 16;
        /// Index, term, size and checksum.
        const SNAPSHOT: u64 = 28;
        let snapshot = self.image.snapshot.as_ref().map_or(0, |meta| {
            SNAPSHOT + 8 * meta.membership.voters().count() as u64
        });
        HARD_STATE + snapshot + self.image.log.bytes
    }

    /// The index of the last entry of the durable log, or of its beginning if it is empty.
    pub fn last_index(&self) -> Index {
        self.image.log.last
    }

    /// The last entry of the durable log, or of the snapshot if the log is empty.
    pub fn last_id(&self) -> EntryId {
        let snapshot = self.image.snapshot.as_ref();
        let base = snapshot.map_or(EntryId::default(), |meta| meta.id.last);
        self.image.log.last_id().unwrap_or(base)
    }

    /// Whether the entry is on stable storage, in the log or in a snapshot.
    pub fn holds(&self, entry: EntryId) -> bool {
        self.image.holds(entry)
    }

    /// The configuration that a restart would recover: the last one in the log, or that of the
    /// snapshot, or that of the bootstrap.
    pub fn membership(&self) -> Membership {
        if let Some(last) = self.image.log.last_membership() {
            return last;
        }
        let snapshot = self.image.snapshot.as_ref();
        let snapshot = snapshot.map(|meta| meta.membership.clone());
        let bootstrap = || self.image.identity.as_ref().map(|it| it.bootstrap.clone());
        snapshot.or_else(bootstrap).unwrap_or_default()
    }

    /// The first configuration and the last; `None` if the disk is empty.
    pub fn configurations(&self) -> Option<StoredConfigurations> {
        let identity = self.image.identity.as_ref()?;
        Some(StoredConfigurations {
            bootstrap: identity.bootstrap.clone(),
            last: self.membership(),
        })
    }

    /// Which disk it is, once that is on stable storage.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.image.identity.as_ref()?.incarnation
    }

    /// currentTerm and votedFor as they are on stable storage.
    pub fn hard_state(&self) -> HardState {
        self.image.hard_state
    }
}
