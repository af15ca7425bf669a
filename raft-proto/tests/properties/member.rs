//! One server: its core, its disk and snapshot files, its service, and what its driver owes it.

use crate::support::storage::Storage;
use bytes::Bytes;
use raft_proto::*;
use std::collections::{BTreeMap, VecDeque};

/// The state machine: how much it has applied, and a digest of all of it in order.
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

    /// A snapshot: the state, and filling so that it is more than one chunk.
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

/// What the core asked its driver for, and the driver has not answered yet.
#[derive(Clone, Debug)]
pub enum Job {
    Applied(Index),
    Read {
        peer: NodeId,
        snapshot: SnapshotId,
        offset: u64,
        length: u64,
    },
    Written {
        snapshot: SnapshotId,
        offset: u64,
    },
}

/// One server: its core if it is up, and everything around it.
pub struct Member {
    pub id: u64,
    pub config: Config,
    pub raft: Option<Raft>,
    pub clock: Time,
    pub wake_at: Time,
    /// What is on stable storage for certain.
    pub disk: Storage,
    /// Writes asked for and not synced, in order.
    pub waiting: VecDeque<Write>,
    pub jobs: VecDeque<Job>,
    pub state: State,
    /// The states that a snapshot can be made of: those of this instance since its start.
    pub states: BTreeMap<u64, State>,
    /// Snapshot files, and the last write that still may need one that was released.
    pub files: BTreeMap<SnapshotId, Bytes>,
    pub released: Vec<(Seq, SnapshotId)>,
    pub partial: Option<(SnapshotId, Vec<u8>)>,
    /// Complete files that a write will install.
    pub complete: BTreeMap<SnapshotId, Bytes>,
    pub issued: Seq,
}

impl Member {
    /// Before its first start, with an empty disk.
    pub fn new(id: u64, config: Config) -> Member {
        Member {
            id,
            config,
            raft: None,
            clock: Time::ZERO,
            wake_at: Time::NEVER,
            disk: Storage::default(),
            waiting: VecDeque::new(),
            jobs: VecDeque::new(),
            state: State::default(),
            states: BTreeMap::new(),
            files: BTreeMap::new(),
            released: Vec::new(),
            partial: None,
            complete: BTreeMap::new(),
            issued: Seq(0),
        }
    }

    pub fn store(&mut self, write: &Write) {
        if let Some(install) = &write.install {
            let id = install.snapshot.id;
            let bytes = self.complete.remove(&id).expect("a complete file");
            self.files.insert(id, bytes);
        }
        self.disk.write(write);
    }

    /// Sets the partial file aside, so that another may begin while it waits for its write.
    pub fn complete_file(&mut self, id: SnapshotId) {
        let (partial, bytes) = self.partial.take().expect("a partial file");
        assert_eq!(partial, id, "the file is the snapshot's");
        assert_eq!(bytes.len() as u64, id.size, "it is complete");
        assert_eq!(Checksum::of(&bytes), id.checksum, "it is verified");
        self.complete.insert(id, bytes.into());
    }

    pub fn write_chunk(&mut self, snapshot: SnapshotId, offset: u64, data: &[u8]) {
        if offset == 0 {
            self.partial = Some((snapshot, Vec::new()));
        }
        let (id, bytes) = self.partial.as_mut().expect("a file begins at 0");
        assert_eq!((*id, bytes.len() as u64), (snapshot, offset), "in order");
        bytes.extend_from_slice(data);
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

    /// Deletes what was released before the writes up to `persisted`.
    pub fn delete_released(&mut self, persisted: Seq) {
        let (files, disk) = (&mut self.files, &self.disk);
        self.released.retain(|(until, id)| {
            let due = *until <= persisted;
            if due {
                let current = disk.snapshot.as_ref().map(|snapshot| snapshot.id);
                assert_ne!(current, Some(*id), "the snapshot in use is not released");
                files.remove(id);
            }
            !due
        });
    }
}
