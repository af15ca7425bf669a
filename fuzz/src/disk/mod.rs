//! The storage on disk, on a file system in memory: what folders it accepts, and what it keeps of
//! what it is given.

mod files;
pub mod log;
pub mod storage;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use files::Memory;
use raft_driver_thread::storage::disk::{DiskOptions, DiskStorage, OnDamage};
use raft_driver_thread::storage::{Storage, StorageError};
use raft_proto::*;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

const FOLDER: &str = "/raft";

fn open(files: &Memory, on_damage: OnDamage) -> std::result::Result<DiskStorage, StorageError> {
    let options = DiskOptions {
        segment_bytes: DiskOptions::LEAST_SEGMENT_BYTES,
        incarnation: Some(0x1234_5678_9abc_def0_0fed_cba9_8765_4321),
        on_damage,
    };
    DiskStorage::open_with(Arc::new(files.clone()), Path::new(FOLDER), options)
}

/// Draws writes that a core may give a storage.
struct Writer {
    seq: u64,
    /// What all writes amount to.
    model: Recovered,
}

impl Writer {
    fn new() -> Writer {
        let model = Recovered::default();
        Writer { seq: 0, model }
    }

    fn last(&self) -> EntryId {
        let snapshot = self.model.snapshot.as_ref().map(|meta| meta.id.last);
        let last = self.model.entries.last_id().max(snapshot);
        last.unwrap_or(EntryId::ZERO)
    }

    /// Nothing up to here is replaced.
    fn fixed(&self) -> Index {
        let snapshot = self.model.snapshot.as_ref();
        snapshot.map_or(Index::ZERO, |meta| meta.id.last.index)
    }

    fn entries(&self, u: &mut Unstructured<'_>) -> Result<Entries> {
        let last = self.last();
        let mut first = last.index.next();
        if u.ratio(1, 8)? {
            let least = self.fixed().next();
            first = Index(u.int_in_range(least.0..=first.0)?);
        }
        let mut entries = EntriesBuilder::new();
        let (mut index, term) = (first, self.model.hard_state.term);
        for _ in 0..u.int_in_range(1..=4_u8)? {
            let length = match u.int_in_range(0..=7_u8)? {
                7 => 20_000,
                6 => 1_000,
                length => usize::from(length) * 7,
            };
            let payload = Bytes::from(vec![u.arbitrary()?; length]);
            let id = EntryId { index, term };
            if entries.push(id, EntryKind::Command, payload).is_err() {
                break;
            }
            index = index.next();
        }
        Ok(entries.finish())
    }

    /// Stores the bytes of a snapshot, if it is received or made.
    fn snapshot(&self, storage: &dyn Storage, last: EntryId, is_received: bool) -> SnapshotMeta {
        let bytes = vec![last.index.0 as u8; last.index.0 as usize % 700];
        let id = SnapshotId::of(last, &bytes);
        let snapshots = storage.snapshots();
        if is_received {
            let written = snapshots.write(id, 0, &bytes);
            assert!(written.is_ok());
        } else if let Ok(mut sink) = snapshots.create() {
            let written = sink.write_all(&bytes).is_ok();
            assert!(written && sink.finish(last).is_ok_and(|found| found == id));
        }
        let membership = Membership::new([NodeId(1), NodeId(2)]);
        SnapshotMeta { id, membership }
    }

    fn write(&mut self, u: &mut Unstructured<'_>, storage: &dyn Storage) -> Result<Write> {
        self.seq += 1;
        let mut write = Write {
            seq: Seq(self.seq),
            ..Write::default()
        };
        if self.model.identity.is_none() {
            write.identity = Some(Box::new(Identity {
                cluster_id: ClusterId(7),
                group_id: GroupId(3),
                node_id: NodeId(1),
                bootstrap: Membership::new([NodeId(1), NodeId(2)]),
                incarnation: None,
            }));
        }
        if self.model.hard_state.term == Term(0) || u.ratio(1, 8)? {
            let hard_state = HardState {
                term: Term(self.model.hard_state.term.0 + 1),
                voted_for: u.ratio(1, 2)?.then_some(NodeId(2)),
            };
            write.hard_state = Some(hard_state);
            self.model.hard_state = hard_state;
        }
        let last = self.last();
        match u.int_in_range(0..=9_u8)? {
            0 if last.index > self.fixed() && !self.model.entries.is_empty() => {
                let index = Index(u.int_in_range(self.fixed().0 + 1..=last.index.0)?);
                let entry = self.model.entries.part(index, index).last_id();
                let dropped = u.int_in_range(0..=index.0)?;
                if let Some(entry) = entry {
                    let snapshot = self.snapshot(storage, entry, false);
                    let drop_through = Index(dropped);
                    write.compact = Some(Box::new(Compaction {
                        snapshot,
                        drop_through,
                    }));
                }
            }
            1 => {
                let index = Index(last.index.0 + u.int_in_range(1..=5)?);
                let term = self.model.hard_state.term;
                let snapshot = self.snapshot(storage, EntryId { index, term }, true);
                let log = InstalledLog::IsDropped;
                write.install = Some(Box::new(Install { snapshot, log }));
            }
            _ => write.entries = self.entries(u)?,
        }
        self.model.apply(&write);
        Ok(write)
    }
}
