//! A node's life with its storage, drawn from a seed, and the states that it should have left.

use crate::disk::{Disk, Image};
use bytes::Bytes;
use raft_driver_thread::raft_proto::{
    Checksum, ClusterId, Compaction, Entries, EntriesBuilder, EntryId, EntryKind, GroupId,
    HardState, Identity, Index, Install, InstalledLog, Membership, NodeId, Recovered, SnapshotId,
    SnapshotMeta, Term, Write,
};
use raft_driver_thread::storage::disk::{DiskOptions, DiskStorage, OnDamage};
use raft_driver_thread::storage::{Storage, StorageError};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

pub(crate) const FOLDER: &str = "/data/raft";

/// Short, so that there are several.
pub(crate) const SEGMENT_BYTES: u64 = 24 << 10;

pub(crate) fn open(disk: &Disk) -> Result<DiskStorage, StorageError> {
    open_with(disk, OnDamage::Refuse)
}

pub(crate) fn open_with(disk: &Disk, on_damage: OnDamage) -> Result<DiskStorage, StorageError> {
    let options = DiskOptions {
        segment_bytes: SEGMENT_BYTES,
        incarnation: Some(0x1234_5678_9abc_def0_0fed_cba9_8765_4321),
        on_damage,
    };
    DiskStorage::open_with(Arc::new(disk.clone()), Path::new(FOLDER), options)
}

/// Reads everything that a node would.
pub(crate) fn load(disk: &Disk) -> Result<Recovered, StorageError> {
    load_with(disk, OnDamage::Refuse)
}

pub(crate) fn load_with(disk: &Disk, on_damage: OnDamage) -> Result<Recovered, StorageError> {
    let mut storage = open_with(disk, on_damage)?;
    let recovered = storage.recover()?;
    if let Some(meta) = &recovered.snapshot {
        let mut reader = storage.snapshots().open(meta.id)?;
        let read = std::io::copy(&mut reader, &mut std::io::sink());
        read.map_err(|error| StorageError::Damaged {
            path: FOLDER.into(),
            what: error.to_string(),
        })?;
    }
    Ok(recovered)
}

/// What was promised, and asked for, when so many calls were made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    calls: usize,
    /// Writes up to here were acknowledged.
    acknowledged: usize,
    /// Writes up to here were given to the storage.
    given: usize,
}

/// A life, and what is left of it.
pub(crate) struct Life {
    pub(crate) disk: Disk,
    /// What a restart recovers after so many writes.
    pub(crate) states: Vec<Recovered>,
    /// So many calls were made when it was recovered for the first time.
    pub(crate) started_at: usize,
    moments: Vec<Moment>,
    rng: ChaCha8Rng,
    storage: Option<DiskStorage>,
    term: u64,
    /// In this term: it stays for as long as the term does (section 5.2).
    voted_for: Option<NodeId>,
}

impl Life {
    pub(crate) fn new(disk: Disk, before: Recovered, seed: u64) -> Life {
        let HardState { term, voted_for } = before.hard_state;
        Life {
            disk,
            states: vec![before],
            started_at: usize::MAX,
            moments: vec![Moment {
                calls: 0,
                acknowledged: 0,
                given: 0,
            }],
            rng: ChaCha8Rng::seed_from_u64(seed),
            storage: None,
            term: term.0,
            voted_for,
        }
    }

    /// After so many calls: the writes that were acknowledged, and those that were given.
    pub(crate) fn bounds(&self, calls: usize) -> (usize, usize) {
        let mut moments = self.moments.iter().rev();
        let last = moments.find(|moment| moment.calls <= calls).unwrap();
        (last.acknowledged, last.given)
    }

    fn moment(&mut self, acknowledged: usize) {
        self.moments.push(Moment {
            calls: self.disk.call_count(),
            acknowledged,
            given: self.states.len() - 1,
        });
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.rng.next_u64() % below
    }

    fn now(&self) -> &Recovered {
        self.states.last().unwrap()
    }

    /// Starts the node, or restarts it. What is recovered is one of the states that may be.
    pub(crate) fn start(&mut self) -> Result<(), StorageError> {
        self.storage = None;
        let mut storage = open(&self.disk)?;
        let recovered = storage.recover()?;
        assert_eq!(&recovered, self.now(), "a restart");
        self.storage = Some(storage);
        self.started_at = self.started_at.min(self.disk.call_count());
        Ok(())
    }

    pub(crate) fn stop(&mut self) {
        self.storage = None;
    }

    /// Gives writes to the storage.
    fn write(&mut self, writes: &[Write]) -> Result<(), StorageError> {
        let acknowledged = self.states.len() - 1;
        for write in writes {
            let mut next = self.now().clone();
            apply(&mut next, write);
            self.states.push(next);
        }
        self.moment(acknowledged);
        self.storage.as_mut().unwrap().write(writes)?;
        self.moment(self.states.len() - 1);
        Ok(())
    }

    fn last(&self) -> EntryId {
        let snapshot = self.now().snapshot.as_ref().map(|meta| meta.id.last);
        let last = self.now().entries.last_id().or(snapshot);
        last.unwrap_or_default()
    }

    fn hard_state(&mut self) -> Option<HardState> {
        if self.draw(3) == 0 {
            self.begin_term();
        }
        if self.draw(2) == 0 {
            self.voted_for = Some(NodeId(1));
        }
        Some(HardState {
            term: Term(self.term.max(1)),
            voted_for: self.voted_for,
        })
    }

    fn begin_term(&mut self) {
        self.term += 1;
        self.voted_for = None;
    }

    /// Entries after `last`, some of which may replace those before.
    fn append(&mut self, last: Index) -> Write {
        let hard_state = self.hard_state();
        let floor = self
            .now()
            .snapshot
            .as_ref()
            .map_or(0, |meta| meta.id.last.index.0);
        let back = if self.draw(4) == 0 { self.draw(6) } else { 0 };
        let first = (last.0 + 1).saturating_sub(back).max(floor + 1);
        let mut entries = EntriesBuilder::new();
        let count = 1 + self.draw(5);
        for index in first..first + count {
            let length = match self.draw(12) {
                0 => 0,
                1 => 5000 + self.draw(3000),
                2 => 17_000, // Written from where it lies.
                _ => self.draw(600),
            };
            let byte = self.draw(4) as u8; // Zeros, too.
            let payload = Bytes::from(vec![byte; length as usize]);
            let id = EntryId {
                index: Index(index),
                term: Term(self.term.max(1)),
            };
            let kind = if self.draw(5) == 0 {
                EntryKind::Noop
            } else {
                EntryKind::Command
            };
            entries.push(id, kind, payload).unwrap();
        }
        Write {
            hard_state,
            entries: entries.finish(),
            ..Write::default()
        }
    }

    fn identity(&self) -> Option<Box<Identity>> {
        let is_new = self.now().identity.is_none();
        is_new.then(|| {
            Box::new(Identity {
                cluster_id: ClusterId(7),
                group_id: GroupId(3),
                node_id: NodeId(1),
                bootstrap: Membership::new([NodeId(1), NodeId(2)]),
                incarnation: None,
            })
        })
    }

    /// One call, with a write of one entry for each of these lengths.
    pub(crate) fn append_payload(&mut self, lengths: &[usize]) -> Result<(), StorageError> {
        let mut index = self.last().index;
        let mut writes = Vec::new();
        for length in lengths {
            index = index.next();
            let mut entries = EntriesBuilder::new();
            let term = Term(1);
            let payload = Bytes::from(vec![7; *length]);
            entries
                .push(EntryId { index, term }, EntryKind::Command, payload)
                .unwrap();
            writes.push(Write {
                identity: self.identity().filter(|_| writes.is_empty()),
                hard_state: Some(HardState {
                    term,
                    voted_for: None,
                }),
                entries: entries.finish(),
                ..Write::default()
            });
        }
        self.write(&writes)
    }

    /// One step: some writes, a snapshot made or received, or a restart.
    pub(crate) fn step(&mut self) -> Result<(), StorageError> {
        let identity = self.identity();
        match self.draw(12) {
            _ if identity.is_some() => {
                let mut write = self.append(Index(0));
                write.identity = identity;
                self.write(&[write])
            }
            0 => self.start(),
            1 | 2 => self.compact(),
            3 => self.install(),
            4 => {
                let hard_state = self.hard_state();
                self.write(&[Write {
                    hard_state,
                    ..Write::default()
                }])
            }
            number => {
                let mut writes = Vec::new();
                let mut last = self.last().index;
                for _ in 0..1 + number % 3 {
                    let write = self.append(last);
                    last = write.entries.last_id().unwrap().index;
                    writes.push(write);
                }
                self.write(&writes)
            }
        }
    }

    fn snapshot_bytes(&mut self) -> Vec<u8> {
        let length = 1 + self.draw(3000);
        (0..length).map(|at| (at * 7) as u8).collect()
    }

    fn compact(&mut self) -> Result<(), StorageError> {
        let entries = self.now().entries.clone();
        let covered = self
            .now()
            .snapshot
            .as_ref()
            .map_or(Index(0), |meta| meta.id.last.index);
        let above: Vec<EntryId> = entries.iter().map(|it| it.id()).collect();
        let above: Vec<EntryId> = above.into_iter().filter(|id| id.index > covered).collect();
        let Some(first) = entries.first_index() else {
            return Ok(());
        };
        if above.is_empty() {
            return Ok(());
        }
        let last = above[self.draw(above.len() as u64) as usize];
        let bytes = self.snapshot_bytes();
        let files = self.storage.as_ref().unwrap().snapshots();
        let mut sink = files.create()?;
        sink.write_all(&bytes).unwrap();
        let id = sink.finish(last)?;
        let kept = self.draw(6).min(last.index.0 + 1 - first.0);
        let before = self.now().snapshot.as_ref().map(|meta| meta.id);
        self.write(&[Write {
            compact: Some(Box::new(Compaction {
                snapshot: meta(id),
                drop_through: Index(last.index.0 - kept),
            })),
            ..Write::default()
        }])?;
        if let Some(before) = before.filter(|before| *before != id) {
            files.release(before);
        }
        Ok(())
    }

    fn install(&mut self) -> Result<(), StorageError> {
        let entries = self.now().entries.clone();
        let covered = self
            .now()
            .snapshot
            .as_ref()
            .map_or(Index(0), |meta| meta.id.last.index);
        let held: Vec<EntryId> = entries.iter().map(|it| it.id()).collect();
        let held: Vec<EntryId> = held.into_iter().filter(|id| id.index > covered).collect();
        let (last, log) = if self.draw(2) == 0 && !held.is_empty() {
            let at = self.draw(held.len() as u64) as usize;
            (held[at], InstalledLog::KeepsTail)
        } else {
            self.begin_term();
            let index = Index(self.last().index.0 + 3 + self.draw(9));
            let term = Term(self.term);
            (EntryId { index, term }, InstalledLog::IsDropped)
        };
        let bytes = self.snapshot_bytes();
        let id = SnapshotId {
            last,
            size: bytes.len() as u64,
            checksum: Checksum::of(&bytes),
        };
        let files = self.storage.as_ref().unwrap().snapshots();
        let half = bytes.len() / 2;
        files.write(id, 0, &bytes[..half]).unwrap();
        files.write(id, half as u64, &bytes[half..]).unwrap();
        let mut write = self.append(last.index);
        write.install = Some(Box::new(Install {
            snapshot: meta(id),
            log,
        }));
        if log == InstalledLog::KeepsTail || write.entries.first_index() != Some(last.index.next())
        {
            write.entries = Entries::EMPTY;
        }
        let before = self.now().snapshot.as_ref().map(|meta| meta.id);
        self.write(&[write])?;
        if let Some(before) = before.filter(|before| *before != id) {
            files.release(before);
        }
        Ok(())
    }
}

fn meta(id: SnapshotId) -> SnapshotMeta {
    let membership = Membership::new([NodeId(1), NodeId(id.last.index.0 + 1)]);
    SnapshotMeta { id, membership }
}

/// Applies a write to what a restart recovers, as the contract of writes says.
fn apply(state: &mut Recovered, write: &Write) {
    if let Some(identity) = &write.identity {
        state.identity = Some((**identity).clone());
    }
    state.hard_state = write.hard_state.unwrap_or(state.hard_state);
    let mut entries: Vec<_> = state.entries.iter().collect();
    if let Some(install) = &write.install {
        let last = install.snapshot.id.last.index;
        let keeps = install.log == InstalledLog::KeepsTail;
        entries.retain(|entry| keeps && entry.index() > last);
        state.snapshot = Some(install.snapshot.clone());
    }
    if let Some(compact) = &write.compact {
        entries.retain(|entry| entry.index() > compact.drop_through);
        state.snapshot = Some(compact.snapshot.clone());
    }
    if let Some(first) = write.entries.first_index() {
        entries.retain(|entry| entry.index() < first);
        entries.extend(&write.entries);
    }
    let mut builder = EntriesBuilder::new();
    for entry in entries {
        builder
            .push(entry.id(), entry.kind(), entry.share_payload())
            .unwrap();
    }
    state.entries = builder.finish();
}

/// A disk as the folder is made on: its parent exists.
pub(crate) fn empty_image() -> Image {
    Image::default()
}
