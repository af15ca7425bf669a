//! A test of the contract of storages, for implementations of one's own.

use super::{SnapshotSink, Storage, StorageError};
use bytes::Bytes;
use raft_proto::{
    Checksum, ClusterId, Compaction, ENTRY_OVERHEAD, Entries, EntriesBuilder, EntryId, EntryKind,
    GroupId, HardState, Identity, Index, Install, InstalledLog, Membership, NodeId, Recovered, Seq,
    SnapshotId, SnapshotMeta, SnapshotReadFailed, Term, Write,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::io::{Read, Write as _};

/// How many random steps the test takes.
const RANDOM_STEPS: u64 = 250;

/// What a storage does against the contract.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    /// It returned an error.
    #[error("{doing}: {source}")]
    Failed {
        /// What the storage was asked to do.
        doing: String,
        /// Its error.
        source: StorageError,
    },
    /// It did something other than the contract says.
    #[error("{doing}: expected {expected}, found {found}")]
    Differs {
        /// What the storage was asked to do.
        doing: String,
        /// What the contract says.
        expected: String,
        /// What the storage did.
        found: String,
    },
}

type Checked = Result<(), ConformanceError>;

/// Tests everything that [`Storage`] and [`Snapshots`](super::Snapshots) promise, and compares the
/// storage with a model after each step. `open` opens the same storage anew; it has to be empty the
/// first time. The instance before has been dropped by then, as by a process that was killed.
///
/// This test cannot see whether a write is durable when it returns: that takes a power failure.
///
/// # Errors
///
/// [`ConformanceError`]: the first difference from the contract.
///
/// ```
/// use raft_driver_thread::storage::{MemoryStorage, conformance};
/// let storage = MemoryStorage::new();
/// conformance(|| Ok(storage.clone()))?;
/// # Ok::<(), raft_driver_thread::storage::ConformanceError>(())
/// ```
pub fn conformance<S: Storage>(open: impl FnMut() -> Result<S, StorageError>) -> Checked {
    let mut subject = Subject {
        open,
        storage: None,
        model: Recovered::default(),
        seq: 0,
        random: ChaCha8Rng::seed_from_u64(1),
    };
    subject.reopen("an empty storage")?;
    subject.first_write()?;
    subject.suffixes_are_replaced()?;
    subject.prefixes_are_compacted()?;
    subject.snapshots_are_received()?;
    for _ in 0..RANDOM_STEPS {
        subject.random_step()?;
    }
    subject.reopen("the end")
}

struct Subject<S, F> {
    open: F,
    storage: Option<S>,
    model: Recovered,
    seq: u64,
    random: ChaCha8Rng,
}

fn failed(doing: &str) -> impl FnOnce(StorageError) -> ConformanceError {
    let doing = doing.to_owned();
    move |source| ConformanceError::Failed { doing, source }
}

fn same<T: PartialEq + std::fmt::Debug>(doing: &str, expected: &T, found: &T) -> Checked {
    if expected == found {
        return Ok(());
    }
    Err(ConformanceError::Differs {
        doing: doing.to_owned(),
        expected: format!("{expected:?}"),
        found: format!("{found:?}"),
    })
}

impl<S: Storage, F: FnMut() -> Result<S, StorageError>> Subject<S, F> {
    /// Drops the storage and opens it anew: it has to hold what the model holds.
    fn reopen(&mut self, when: &str) -> Checked {
        let doing = format!("recover {when}");
        self.storage = None;
        let mut storage = (self.open)().map_err(failed(&doing))?;
        let recovered = storage.recover().map_err(failed(&doing))?;
        self.storage = Some(storage);
        same(&doing, &self.model, &recovered)
    }

    fn storage(&mut self) -> Result<&mut S, ConformanceError> {
        let none = || StorageError::Contract("it was not opened".into());
        let storage = self.storage.as_mut().ok_or_else(none);
        storage.map_err(failed("use the storage"))
    }

    fn write(&mut self, mut writes: Vec<Write>) -> Checked {
        for write in &mut writes {
            self.seq += 1;
            write.seq = Seq(self.seq);
            model(&mut self.model, write);
        }
        let written = self.storage()?.write(&writes);
        written.map_err(failed("write"))
    }

    fn append(&mut self, from: u64, term: u64, count: u64) -> Write {
        let mut entries = EntriesBuilder::new();
        for index in from..from + count {
            let length = self.random.next_u32() % 200;
            let payload: Vec<u8> = (0..length).map(|_| self.random.next_u32() as u8).collect();
            // Never refused: indexes rise by one, and the term is the same.
            let _ = entries.push(id(index, term), EntryKind::Command, Bytes::from(payload));
        }
        Write {
            hard_state: Some(HardState {
                term: Term(term),
                voted_for: Some(NodeId(1)),
            }),
            entries: entries.finish(),
            ..Write::default()
        }
    }

    fn first_write(&mut self) -> Checked {
        let mut write = self.append(1, 1, 10);
        write.identity = Some(Box::new(Identity {
            cluster_id: ClusterId(7),
            group_id: GroupId(0),
            node_id: NodeId(1),
            bootstrap: Membership::new([NodeId(1), NodeId(2)]),
            incarnation: None,
        }));
        self.write(vec![write])?;
        self.reopen("the first write")?;
        self.entries_are_read()
    }

    fn suffixes_are_replaced(&mut self) -> Checked {
        // In the middle of a record, at its end, and twice within one call.
        for from in [6, 6, 3] {
            let term = self.model.hard_state.term.0 + 1;
            let write = self.append(from, term, 4);
            self.write(vec![write])?;
            self.reopen("a suffix replaced")?;
        }
        let (first, second) = (self.append(5, 7, 5), self.append(7, 8, 5));
        self.write(vec![first, second])?;
        self.reopen("two suffixes replaced in one call")?;
        self.entries_are_read()
    }

    /// Reads some entries by their index and term, within limits.
    fn entries_are_read(&mut self) -> Checked {
        let log = self.model.entries.clone();
        let (Some(first), Some(last)) = (log.iter().next().map(|entry| entry.id()), log.last_id())
        else {
            return Ok(());
        };
        for (skipped, entry) in log.iter().enumerate().step_by(1 + log.len() / 16) {
            let two = entry.payload().len() as u64 + 2 * ENTRY_OVERHEAD;
            for max_bytes in [0, two, u64::MAX] {
                let expected = bounded(&log, skipped, max_bytes);
                let read = self.storage()?.read_entries(entry.id(), last, max_bytes);
                let read = read.map_err(failed("read entries"))?;
                same("read entries", &Some(expected), &read)?;
            }
        }
        let wrong = id(last.index.0, last.term.0 + 1);
        let before = id(first.index.0 - 1, first.term.0);
        let beyond = id(last.index.0 + 1, last.term.0);
        for absent in [wrong, before, beyond] {
            let read = self.storage()?.read_entries(absent, absent, u64::MAX);
            let read = read.map_err(failed("read absent entries"))?;
            same("read absent entries", &None, &read)?;
        }
        Ok(())
    }

    /// Makes a snapshot of the node's own, which ends at `last`.
    fn make(&mut self, last: EntryId) -> Result<SnapshotMeta, ConformanceError> {
        let doing = "make a snapshot";
        let data: Vec<u8> = (0..last.index.0 * 10).map(|byte| byte as u8).collect();
        let files = self.storage()?.snapshots();
        let mut sink: Box<dyn SnapshotSink> = files.create().map_err(failed(doing))?;
        let written = sink.write_all(&data);
        written.map_err(|error| failed(doing)(StorageError::io(doing, error)))?;
        drop(files.create().map_err(failed(doing))?); // Dropped unfinished.
        let id = sink.finish(last).map_err(failed(doing))?;
        same(doing, &snapshot_of(last, &data), &id)?;
        self.snapshot_is_read(id, &data)?;
        Ok(meta(id))
    }

    fn snapshot_is_read(&mut self, id: SnapshotId, data: &[u8]) -> Checked {
        let files = self.storage()?.snapshots();
        let mut whole = Vec::new();
        let mut reader = files.open(id).map_err(failed("open a snapshot"))?;
        let read = reader.read_to_end(&mut whole);
        let doing = "read a whole snapshot";
        read.map_err(|error| failed(doing)(StorageError::io(doing, error)))?;
        same(doing, &data, &&whole[..])?;
        let middle = id.size / 2;
        let chunk = files.read(id, middle, id.size - middle);
        let expected = Ok(Bytes::copy_from_slice(&data[middle as usize..]));
        same("read a chunk of a snapshot", &expected, &chunk)?;
        let beyond = files.read(id, middle, id.size);
        let expected = Err(SnapshotReadFailed::Failed);
        same("read beyond a snapshot's end", &expected, &beyond)?;
        let none = SnapshotId {
            checksum: !id.checksum,
            ..id
        };
        let gone = files.read(none, 0, 1);
        let expected = Err(SnapshotReadFailed::Gone);
        same("read a snapshot that is not there", &expected, &gone)
    }

    fn prefixes_are_compacted(&mut self) -> Checked {
        for (snapshot, drop_through) in [(6, 4), (9, 9), (11, 9)] {
            let log = self.model.entries.clone();
            let Some(last) = log.iter().find(|entry| entry.index().0 == snapshot) else {
                continue;
            };
            let before = self.model.snapshot.clone();
            let snapshot = self.make(last.id())?;
            self.write(vec![compaction(snapshot.clone(), Index(drop_through))])?;
            if let Some(before) = before {
                let files = self.storage()?.snapshots();
                files.release(before.id);
                let gone = files.read(before.id, 0, 1);
                let expected = Err(SnapshotReadFailed::Gone);
                same("read a released snapshot", &expected, &gone)?;
            }
            self.reopen("a compaction")?;
            self.entries_are_read()?;
        }
        Ok(())
    }

    fn snapshots_are_received(&mut self) -> Checked {
        let data: Vec<u8> = (0..1000_u32).map(|byte| (byte * 7) as u8).collect();
        for (last, log) in [
            (id(11, 8), InstalledLog::KeepsTail),
            (id(50, 9), InstalledLog::IsDropped),
        ] {
            let snapshot = snapshot_of(last, &data);
            let other = snapshot_of(id(40, 9), &data);
            let files = self.storage()?.snapshots();
            let write = |id, offset: usize, end: usize| {
                files.write(id, offset as u64, &data[offset..end]).is_ok()
            };
            let wrote = [
                write(other, 0, 500), // Discarded by the next one.
                write(snapshot, 0, 300),
                write(snapshot, 400, 500), // A gap.
                write(other, 300, 500),    // Of another one.
                write(snapshot, 300, 1000),
            ];
            let doing = "write chunks of a snapshot";
            same(doing, &[true, true, false, false, true], &wrote)?;
            self.reopen("half of a snapshot received")?;
            // It was not installed: the partial file is gone, and the transfer begins anew.
            let files = self.storage()?.snapshots();
            let again = files.write(snapshot, 0, &data).is_ok();
            same("write a snapshot again", &true, &again)?;
            let term = last.term.0;
            let mut write = self.append(last.index.0 + 1, term, 3);
            write.install = Some(Box::new(Install {
                snapshot: meta(snapshot),
                log,
            }));
            if log == InstalledLog::KeepsTail {
                write.entries = Entries::default();
            }
            self.write(vec![write])?;
            self.snapshot_is_read(snapshot, &data)?;
            self.reopen("a snapshot installed")?;
            self.snapshot_is_read(snapshot, &data)?;
            self.entries_are_read()?;
        }
        Ok(())
    }

    /// Takes one step at random: one to three writes, a compaction, a read, or opening the storage
    /// anew.
    fn random_step(&mut self) -> Checked {
        let log = self.model.entries.clone();
        let last = log.last_id().map_or(Index::ZERO, |id| id.index).0;
        let first = log.first_index().map_or(last + 1, |index| index.0);
        let floor = self.model.snapshot.as_ref();
        let floor = floor.map_or(Index::ZERO, |meta| meta.id.last.index).0;
        let ids: Vec<EntryId> = log.iter().map(|entry| entry.id()).collect();
        let drawn = self.random.next_u64();
        let eligible = ids.iter().find(|id| id.index.0 > floor + drawn % 20);
        match (drawn >> 8) % 8 {
            0 => self.reopen("random writes")?,
            1 => {
                if let Some(id) = eligible {
                    let snapshot = self.make(*id)?;
                    let through = first - 1 + (drawn >> 16) % (id.index.0 + 2 - first);
                    self.write(vec![compaction(snapshot, Index(through))])?;
                }
            }
            2 => self.entries_are_read()?,
            number => {
                let mut writes = Vec::new();
                let mut end = last;
                for _ in 0..number % 3 + 1 {
                    let back = self.random.next_u64() % 8;
                    let from = (end + 1)
                        .saturating_sub(back / 2 * (back % 2))
                        .max(floor + 1);
                    let term = self.model.hard_state.term.0 + writes.len() as u64 + 1;
                    let count = 1 + self.random.next_u64() % 9;
                    writes.push(self.append(from, term, count));
                    end = from + count - 1;
                }
                self.write(writes)?;
            }
        }
        Ok(())
    }
}

fn id(index: u64, term: u64) -> EntryId {
    EntryId {
        index: Index(index),
        term: Term(term),
    }
}

fn snapshot_of(last: EntryId, data: &[u8]) -> SnapshotId {
    SnapshotId {
        last,
        size: data.len() as u64,
        checksum: Checksum::of(data),
    }
}

fn meta(id: SnapshotId) -> SnapshotMeta {
    let membership = Membership::new([NodeId(1), NodeId(id.last.index.0 + 1)]);
    SnapshotMeta { id, membership }
}

fn compaction(snapshot: SnapshotMeta, drop_through: Index) -> Write {
    Write {
        compact: Some(Box::new(Compaction {
            snapshot,
            drop_through,
        })),
        ..Write::default()
    }
}

/// The entries of `log` after the first `skipped` ones, within `max_bytes`.
fn bounded(log: &Entries, skipped: usize, max_bytes: u64) -> Entries {
    let mut bytes = 0;
    let mut is_first = true;
    filter(log, |entry| {
        let before =
            entry.index().0 < log.first_index().map_or(0, |first| first.0) + skipped as u64;
        if !before {
            bytes += entry.payload().len() as u64 + ENTRY_OVERHEAD;
        }
        !before && (std::mem::take(&mut is_first) || bytes <= max_bytes)
    })
}

fn filter(log: &Entries, mut keep: impl FnMut(&raft_proto::Entry<'_>) -> bool) -> Entries {
    let mut kept = EntriesBuilder::new();
    for entry in log.iter().filter(|entry| keep(entry)) {
        // Never refused: a range of a log is a log.
        let _ = kept.push(entry.id(), entry.kind(), entry.share_payload());
    }
    kept.finish()
}

/// Applies the effects of a write to the model, as the contract states them.
fn model(model: &mut Recovered, write: &Write) {
    if let Some(identity) = &write.identity {
        model.identity = Some((**identity).clone());
    }
    if let Some(hard_state) = write.hard_state {
        model.hard_state = hard_state;
    }
    if let Some(install) = &write.install {
        let last = install.snapshot.id.last.index;
        let keeps = install.log == InstalledLog::KeepsTail;
        model.entries = filter(&model.entries, |entry| keeps && entry.index() > last);
        model.snapshot = Some(install.snapshot.clone());
    }
    if let Some(compact) = &write.compact {
        model.entries = filter(&model.entries, |entry| entry.index() > compact.drop_through);
        model.snapshot = Some(compact.snapshot.clone());
    }
    let Some(first) = write.entries.first_index() else {
        return;
    };
    let mut log = EntriesBuilder::new();
    let kept = model.entries.iter().filter(|entry| entry.index() < first);
    for entry in kept.chain(&write.entries) {
        let _ = log.push(entry.id(), entry.kind(), entry.share_payload());
    }
    model.entries = log.finish();
}
