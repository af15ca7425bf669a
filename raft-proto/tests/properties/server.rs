//! One server: its core, its disk and snapshot files, its service, and the tasks of its driver.

use crate::support::storage::Storage;
use bytes::Bytes;
use raft_proto::*;
use std::collections::{BTreeMap, VecDeque};

/// The state machine: the last index that it has applied, and a digest of all entries in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub index: u64,
    pub digest: u64,
}

impl State {
    pub fn apply(self, index: u64, term: u64, payload: &[u8]) -> State {
        assert_eq!(index, self.index + 1, "entries are applied without a gap");
        let mut digest = self.digest ^ index.rotate_left(32) ^ term;
        for byte in payload {
            digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        State { index, digest }
    }

    /// A snapshot: the state, and padding so that the snapshots differ in length.
    pub fn encode(self) -> Bytes {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.index.to_le_bytes());
        bytes.extend_from_slice(&self.digest.to_le_bytes());
        bytes.extend((0..self.index % 7).map(|at| at as u8));
        bytes.into()
    }

    pub fn decode(bytes: &[u8]) -> State {
        let number = |at: usize| {
            let part = bytes[at..at + 8].try_into().expect("eight bytes");
            u64::from_le_bytes(part)
        };
        State {
            index: number(0),
            digest: number(8),
        }
    }
}

/// What the core has asked its driver for, and the driver has not answered yet.
#[derive(Clone, Debug)]
pub enum DriverTask {
    ReportApplied(Index),
    ReadChunk {
        peer: NodeId,
        snapshot: SnapshotId,
        offset: u64,
        length: u64,
    },
    ReportWritten {
        snapshot: SnapshotId,
        offset: u64,
    },
}

/// One server: its core if it runs, and all that surrounds the core.
pub struct Server {
    pub id: u64,
    pub config: Config,
    pub raft: Option<Raft>,
    pub clock: Time,
    pub wake_at: Time,
    /// With the writes that are synced.
    pub disk: Storage,
    /// The writes that the core asked for and that are not synced, oldest first.
    pub waiting: VecDeque<Write>,
    pub tasks: VecDeque<DriverTask>,
    pub state: State,
    /// The states since this instance started, by index. A snapshot can be made of each.
    pub states: BTreeMap<u64, State>,
    pub files: BTreeMap<SnapshotId, Bytes>,
    pub released: Vec<ReleasedFile>,
    pub partial: Option<PartialFile>,
    /// Complete files that a write will install.
    pub complete: BTreeMap<SnapshotId, Bytes>,
    /// The seq of the last write that the core asked for.
    pub issued: Seq,
}

/// A snapshot that the core has released.
pub struct ReleasedFile {
    pub snapshot: SnapshotId,
    /// The last write before the release: a restart may need the file until it is synced.
    pub needed_until: Seq,
}

/// The chunks received so far of a snapshot.
pub struct PartialFile {
    pub snapshot: SnapshotId,
    pub bytes: Vec<u8>,
}

impl Server {
    /// Before its first start, with an empty disk.
    pub fn new(id: u64, config: Config) -> Server {
        Server {
            id,
            config,
            raft: None,
            clock: Time::ZERO,
            wake_at: Time::NEVER,
            disk: Storage::default(),
            waiting: VecDeque::new(),
            tasks: VecDeque::new(),
            state: State::default(),
            states: BTreeMap::new(),
            files: BTreeMap::new(),
            released: Vec::new(),
            partial: None,
            complete: BTreeMap::new(),
            issued: Seq(0),
        }
    }

    /// Queues a write until the disk syncs.
    pub fn queue(&mut self, write: Write) {
        assert_eq!(
            write.seq,
            self.issued.next(),
            "the seqs of writes are consecutive"
        );
        self.issued = write.seq;
        if let Some(install) = &write.install {
            self.complete_file(install.snapshot.id);
        }
        self.waiting.push_back(write);
    }

    /// The effect of a write that is synced.
    pub fn store(&mut self, write: &Write) {
        if let Some(install) = &write.install {
            let id = install.snapshot.id;
            let bytes = self.complete.remove(&id).expect("a complete file");
            self.files.insert(id, bytes);
        }
        self.disk.write(write);
    }

    /// The service applies entries, and the driver owes the report.
    pub fn apply(&mut self, entries: &Entries) {
        for entry in entries {
            let (index, term) = (entry.index().0, entry.term().0);
            assert!(
                self.disk.holds(index, term),
                "an applied entry is on this node's disk"
            );
            self.state = self.state.apply(index, term, entry.payload());
            self.states.insert(index, self.state);
        }
        let last = entries.last_id().expect("at least one entry");
        self.tasks.push_back(DriverTask::ReportApplied(last.index));
    }

    /// The service loads an installed snapshot, and the driver owes the report.
    pub fn restore(&mut self, snapshot: &SnapshotMeta) {
        assert_eq!(
            self.disk.snapshot.as_ref(),
            Some(snapshot),
            "a restored snapshot is on this node's disk"
        );
        let state = State::decode(&self.files[&snapshot.id]);
        assert!(state.index > self.state.index, "a restore goes forward");
        self.state = state;
        self.states.insert(state.index, state);
        let last = snapshot.id.last.index;
        self.tasks.push_back(DriverTask::ReportApplied(last));
    }

    /// Sets the complete file aside, so that another may begin while this one waits for its write.
    pub fn complete_file(&mut self, id: SnapshotId) {
        let PartialFile { snapshot, bytes } = self.partial.take().expect("a partial file");
        assert_eq!(snapshot, id, "the file is that of the snapshot");
        assert_eq!(bytes.len() as u64, id.size, "the file is complete");
        assert_eq!(Checksum::of(&bytes), id.checksum, "the file is verified");
        self.complete.insert(id, bytes.into());
    }

    pub fn write_chunk(&mut self, snapshot: SnapshotId, offset: u64, data: &[u8]) {
        if offset == 0 {
            self.partial = Some(PartialFile {
                snapshot,
                bytes: Vec::new(),
            });
        }
        let partial = self.partial.as_mut().expect("a file begins at offset 0");
        assert_eq!(partial.snapshot, snapshot, "the chunk is of this file");
        assert_eq!(partial.bytes.len() as u64, offset, "chunks come in order");
        partial.bytes.extend_from_slice(data);
    }

    pub fn read(
        &self,
        snapshot: &SnapshotId,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, SnapshotReadFailed> {
        let file = self.files.get(snapshot).ok_or(SnapshotReadFailed::Gone)?;
        let range = offset as usize..(offset + length) as usize;
        Ok(file.slice(range))
    }

    /// Whether the core may still read a snapshot.
    pub fn is_readable(&self, snapshot: SnapshotId) -> bool {
        let is_it = |released: &ReleasedFile| released.snapshot == snapshot;
        self.files.contains_key(&snapshot) && !self.released.iter().any(is_it)
    }

    /// The core has released a snapshot.
    pub fn release(&mut self, snapshot: SnapshotId) {
        self.released.push(ReleasedFile {
            snapshot,
            needed_until: self.issued,
        });
        self.delete_released(Seq(self.issued.0 - self.waiting.len() as u64));
    }

    /// Deletes the released files that no restart needs once `persisted` is synced.
    pub fn delete_released(&mut self, persisted: Seq) {
        let (files, disk) = (&mut self.files, &self.disk);
        self.released.retain(|released| {
            let is_due = released.needed_until <= persisted;
            if is_due {
                let id = released.snapshot;
                let current = disk.snapshot.as_ref().map(|snapshot| snapshot.id);
                assert_ne!(current, Some(id), "the snapshot in use is not released");
                files.remove(&id);
            }
            !is_due
        });
    }
}
