//! A storage in memory, for tests, and for services whose state may end with the process.

use super::{SnapshotSink, Snapshots, Storage, StorageError};
use bytes::Bytes;
use raft_proto::{
    Checksum, ENTRY_OVERHEAD, Entries, EntriesBuilder, EntryId, EntryKind, HardState, Identity,
    Index, InstalledLog, NodeId, Recovered, SnapshotId, SnapshotMeta, SnapshotReadFailed,
    SnapshotWriteFailed, Term, Write,
};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A storage in memory. Clones are handles to the same storage. To restart a node without loss,
/// keep a clone, drop the node, and start it with the clone.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    log: Arc<Mutex<Log>>,
    snapshots: MemorySnapshots,
}

#[derive(Debug, Default)]
struct Log {
    identity: Option<Identity>,
    hard_state: HardState,
    snapshot: Option<SnapshotMeta>,
    entries: BTreeMap<Index, StoredEntry>,
}

#[derive(Clone, Debug)]
struct StoredEntry {
    term: Term,
    kind: EntryKind,
    payload: Bytes,
}

/// Cheap to clone: every sink has a clone.
#[derive(Clone, Debug, Default)]
struct MemorySnapshots {
    files: Arc<Mutex<Files>>,
}

#[derive(Debug, Default)]
struct Files {
    complete: BTreeMap<SnapshotId, Bytes>,
    origins: BTreeMap<SnapshotId, NodeId>,
    partial: Option<PartialFile>,
}

/// A snapshot that is being received.
#[derive(Debug)]
struct PartialFile {
    id: SnapshotId,
    data: Vec<u8>,
}

/// Locks, also if an earlier holder has panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> MemoryStorage {
        MemoryStorage::default()
    }
}

impl Storage for MemoryStorage {
    fn recover(&mut self) -> Result<Recovered, StorageError> {
        let log = lock(&self.log);
        let mut builder = EntriesBuilder::new();
        for (index, entry) in &log.entries {
            push(&mut builder, *index, entry)?;
        }
        let current = log.snapshot.as_ref().map(|meta| meta.id);
        let mut files = lock(&self.snapshots.files);
        files.partial = None;
        files.complete.retain(|id, _| Some(*id) == current);
        files.origins.retain(|id, _| Some(*id) == current);
        Ok(Recovered {
            identity: log.identity.clone(),
            hard_state: log.hard_state,
            snapshot: log.snapshot.clone(),
            entries: builder.finish(),
            applied: None,
            impaired: None,
        })
    }

    fn write(&mut self, writes: &[Write]) -> Result<(), StorageError> {
        let mut log = lock(&self.log);
        for write in writes {
            log.write(write, &self.snapshots)?;
        }
        Ok(())
    }

    fn read_entries(
        &mut self,
        from: EntryId,
        to: EntryId,
        max_bytes: u64,
    ) -> Result<Option<Entries>, StorageError> {
        let log = lock(&self.log);
        let mut builder = EntriesBuilder::new();
        let mut bytes = 0;
        for (index, entry) in log.entries.range(from.index..=to.index) {
            bytes += entry.payload.len() as u64 + ENTRY_OVERHEAD;
            let is_first = *index == from.index;
            if is_first && entry.term != from.term {
                return Ok(None);
            }
            if !is_first && bytes > max_bytes {
                break;
            }
            push(&mut builder, *index, entry)?;
        }
        let entries = builder.finish();
        let is_found = entries.first_index() == Some(from.index);
        Ok(is_found.then_some(entries))
    }

    fn snapshots(&self) -> Arc<dyn Snapshots> {
        Arc::new(self.snapshots.clone())
    }

    fn fetch(
        &mut self,
        first: Index,
        last: Index,
        max_bytes: u64,
    ) -> Result<Option<Entries>, StorageError> {
        let entry = |index| lock(&self.log).entries.get(&index).map(|entry| entry.term);
        let Some(term) = entry(first) else {
            return Ok(None);
        };
        let from = EntryId { index: first, term };
        // The term of the last one does not matter.
        self.read_entries(from, EntryId { index: last, term }, max_bytes)
    }
}

fn push(
    builder: &mut EntriesBuilder,
    index: Index,
    entry: &StoredEntry,
) -> Result<(), StorageError> {
    let StoredEntry {
        term,
        kind,
        payload,
    } = entry.clone();
    let pushed = builder.push(EntryId { index, term }, kind, payload);
    pushed.map_err(|error| StorageError::Contract(error.to_string()))
}

impl Log {
    fn write(&mut self, write: &Write, snapshots: &MemorySnapshots) -> Result<(), StorageError> {
        if let Some(identity) = &write.identity {
            self.identity = Some((**identity).clone());
        }
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(install) = &write.install {
            snapshots.install(install.snapshot.id)?;
            match install.log {
                InstalledLog::KeepsTail => self.drop_through(install.snapshot.id.last.index),
                InstalledLog::IsDropped => self.entries.clear(),
            }
            self.snapshot = Some(install.snapshot.clone());
        }
        if let Some(compact) = &write.compact {
            self.drop_through(compact.drop_through);
            self.snapshot = Some(compact.snapshot.clone());
        }
        if let Some(first) = write.entries.first_index() {
            self.entries.split_off(&first);
        }
        for entry in &write.entries {
            let stored = StoredEntry {
                term: entry.term(),
                kind: entry.kind(),
                payload: entry.share_payload(),
            };
            self.entries.insert(entry.index(), stored);
        }
        Ok(())
    }

    fn drop_through(&mut self, index: Index) {
        self.entries = self.entries.split_off(&index.next());
    }
}

impl MemorySnapshots {
    /// Turns the partial file into a complete one.
    fn install(&self, id: SnapshotId) -> Result<(), StorageError> {
        let mut files = lock(&self.files);
        match files.partial.take() {
            Some(partial) if partial.id == id => {
                check(id, &partial.data)?;
                files.complete.insert(id, partial.data.into());
                Ok(())
            }
            other => {
                files.partial = other;
                let what = format!("install of {id:?}, which was not received");
                Err(StorageError::Contract(what))
            }
        }
    }
}

fn check(id: SnapshotId, data: &[u8]) -> Result<(), StorageError> {
    if data.len() as u64 == id.size && Checksum::of(data) == id.checksum {
        return Ok(());
    }
    let what = format!("the bytes that were received are not those of {id:?}");
    Err(StorageError::Contract(what))
}

impl Snapshots for MemorySnapshots {
    fn create(&self) -> Result<Box<dyn SnapshotSink>, StorageError> {
        Ok(Box::new(MemorySink {
            snapshots: self.clone(),
            data: Vec::new(),
        }))
    }

    fn open(&self, snapshot: SnapshotId) -> Result<Box<dyn io::Read + Send>, StorageError> {
        let data = lock(&self.files).complete.get(&snapshot).cloned();
        match data {
            Some(data) => Ok(Box::new(io::Cursor::new(data))),
            None => {
                let source = io::Error::from(io::ErrorKind::NotFound);
                Err(StorageError::io(format!("open {snapshot:?}"), source))
            }
        }
    }

    fn read(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, SnapshotReadFailed> {
        let data = lock(&self.files).complete.get(&snapshot).cloned();
        let data = data.ok_or(SnapshotReadFailed::Gone)?;
        let end = offset.checked_add(length);
        match end.filter(|end| *end <= data.len() as u64) {
            // Within the data, whose length is a usize.
            Some(end) => Ok(data.slice(offset as usize..end as usize)),
            None => Err(SnapshotReadFailed::Failed),
        }
    }

    fn write(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        data: &[u8],
    ) -> Result<(), SnapshotWriteFailed> {
        let mut files = lock(&self.files);
        if offset == 0 {
            files.partial = Some(PartialFile {
                id: snapshot,
                data: data.to_vec(),
            });
            return Ok(());
        }
        match &mut files.partial {
            Some(partial) if partial.id == snapshot && partial.data.len() as u64 == offset => {
                partial.data.extend_from_slice(data);
                Ok(())
            }
            Some(_) | None => Err(SnapshotWriteFailed),
        }
    }

    fn release(&self, snapshot: SnapshotId) {
        let mut files = lock(&self.files);
        files.complete.remove(&snapshot);
        files.origins.remove(&snapshot);
    }

    fn set_origin(&self, snapshot: SnapshotId, origin: NodeId) -> Result<(), StorageError> {
        lock(&self.files).origins.insert(snapshot, origin);
        Ok(())
    }

    fn origin(&self, snapshot: SnapshotId) -> Option<NodeId> {
        lock(&self.files).origins.get(&snapshot).copied()
    }
}

struct MemorySink {
    snapshots: MemorySnapshots,
    data: Vec<u8>,
}

impl io::Write for MemorySink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.data.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SnapshotSink for MemorySink {
    fn finish(self: Box<Self>, last: EntryId) -> Result<SnapshotId, StorageError> {
        let id = SnapshotId {
            last,
            size: self.data.len() as u64,
            checksum: Checksum::of(&self.data),
        };
        let mut files = lock(&self.snapshots.files);
        files.complete.insert(id, self.data.into());
        Ok(id)
    }
}
