//! A disk that keeps the contract: writes take effect in order, each as a whole.

use bytes::Bytes;
use raft_proto::{
    Checksum, Entries, EntriesBuilder, Entry, EntryId, Index, InstalledLog, Recovered, Seq,
    SnapshotId, SnapshotWriteFailed, Write,
};
use std::collections::{BTreeMap, VecDeque};

/// What is stored, and the writes that have not taken effect yet.
#[derive(Default)]
pub(super) struct Disk {
    /// The effect of all writes so far.
    pub(super) stored: Recovered,
    /// Writes that were issued and have not taken effect.
    pub(super) waiting: VecDeque<Write>,
    pub(super) last_seq: Seq,
    /// The bytes of all snapshots, also of released ones.
    pub(super) snapshots: BTreeMap<SnapshotId, Bytes>,
    partial: Option<PartialFile>,
}

/// The chunks received so far of a snapshot.
struct PartialFile {
    snapshot: SnapshotId,
    bytes: Vec<u8>,
}

impl Disk {
    /// Queues a write, and checks what it must follow.
    pub(super) fn issue(&mut self, write: Write) {
        assert_eq!(write.seq, self.last_seq.next(), "seqs are consecutive");
        self.last_seq = write.seq;
        if let Some(install) = &write.install {
            let id = install.snapshot.id;
            let partial = self.partial.take().expect("an install has a partial file");
            assert_eq!(
                partial.snapshot, id,
                "the partial file is that of the snapshot installed"
            );
            let bytes = Bytes::from(partial.bytes);
            assert_eq!(bytes.len() as u64, id.size, "the file is complete");
            assert_eq!(Checksum::of(&bytes), id.checksum, "the file is verified");
            self.snapshots.insert(id, bytes);
        }
        if let Some(compact) = &write.compact {
            let known = self.snapshots.contains_key(&compact.snapshot.id);
            assert!(known, "compacted to a snapshot that the disk does not hold");
            assert!(compact.drop_through <= compact.snapshot.id.last.index);
        }
        self.waiting.push_back(write);
    }

    /// The oldest write takes effect. Returns its seq.
    pub(super) fn write_oldest(&mut self) -> Option<Seq> {
        let write = self.waiting.pop_front()?;
        let stored = &mut self.stored;
        match (&stored.identity, write.identity) {
            (None, Some(identity)) => stored.identity = Some(*identity),
            (None, None) => panic!("the first write stores the identity"),
            (Some(_), None) => {}
            (Some(_), Some(_)) => panic!("the identity is stored once"),
        }
        if let Some(hard_state) = write.hard_state {
            assert!(
                hard_state.term >= stored.hard_state.term,
                "stored term fell"
            );
            stored.hard_state = hard_state;
        }
        if let Some(install) = write.install {
            let last = install.snapshot.id.last;
            let before = stored
                .snapshot
                .as_ref()
                .map(|snapshot| snapshot.id.last.index);
            assert!(before < Some(last.index), "an install goes forward");
            let holds = self.term_at(last.index) == Some(last.term);
            match install.log {
                InstalledLog::KeepsTail => {
                    assert!(holds, "kept a tail that does not follow the snapshot");
                    self.keep(|entry| entry.index() > last.index);
                }
                InstalledLog::IsDropped => self.keep(|_| false),
            }
            self.stored.snapshot = Some(install.snapshot);
        }
        if let Some(compact) = write.compact {
            self.keep(|entry| entry.index() > compact.drop_through);
            self.stored.snapshot = Some(compact.snapshot);
        }
        if let Some(first) = write.entries.first_index() {
            let end = self.last_index();
            assert!(first <= end.next(), "a gap after {end} before {first}");
            let mut builder = self.kept(|entry| entry.index() < first);
            for entry in &write.entries {
                push(&mut builder, entry);
            }
            self.stored.entries = builder.finish();
        }
        Some(write.seq)
    }

    /// The stored entries that pass.
    fn kept(&self, test: impl Fn(&Entry<'_>) -> bool) -> EntriesBuilder {
        let mut builder = EntriesBuilder::new();
        for entry in self.stored.entries.iter().filter(test) {
            push(&mut builder, entry);
        }
        builder
    }

    fn keep(&mut self, test: impl Fn(&Entry<'_>) -> bool) {
        self.stored.entries = self.kept(test).finish();
    }

    /// The last index of the log or the snapshot.
    pub(super) fn last_index(&self) -> Index {
        let last = self.stored.entries.last_id().unwrap_or_default().index;
        last.max(self.snapshot_end().index)
    }

    pub(super) fn snapshot_end(&self) -> EntryId {
        let snapshot = self.stored.snapshot.as_ref();
        snapshot.map_or(EntryId::ZERO, |snapshot| snapshot.id.last)
    }

    /// The stored entries `from ..= to`.
    pub(super) fn read(&self, from: Index, to: Index) -> Option<Entries> {
        let builder = self.kept(|entry| entry.index() >= from && entry.index() <= to);
        let entries = builder.finish();
        (entries.first_index() == Some(from)).then_some(entries)
    }

    /// The term of the stored entry at `index`.
    pub(super) fn term_at(&self, index: Index) -> Option<raft_proto::Term> {
        let entries = &self.stored.entries;
        let at = index.0.checked_sub(entries.first_index()?.0)?;
        let entry = entries.iter().nth(usize::try_from(at).ok()?);
        entry.map(|entry| entry.term())
    }

    /// A chunk of the partial file is not written. Those after it cannot be, either.
    pub(super) fn lose_chunk(&mut self) {
        self.partial = None;
    }

    /// Writes a chunk to the partial file, unless one before it was lost.
    pub(super) fn write_chunk(
        &mut self,
        id: SnapshotId,
        offset: u64,
        data: &[u8],
    ) -> Result<(), SnapshotWriteFailed> {
        if offset == 0 {
            self.partial = Some(PartialFile {
                snapshot: id,
                bytes: Vec::new(),
            });
        }
        let Some(partial) = &mut self.partial else {
            return Err(SnapshotWriteFailed);
        };
        assert_eq!(
            partial.snapshot, id,
            "the chunk belongs to the partial file"
        );
        assert_eq!(
            partial.bytes.len() as u64,
            offset,
            "the chunk continues the partial file"
        );
        partial.bytes.extend_from_slice(data);
        Ok(())
    }

    /// A crash: the writes that have not taken effect are lost.
    pub(super) fn crash(&mut self) -> Recovered {
        self.waiting.clear();
        self.partial = None;
        self.last_seq = Seq(0);
        self.stored.clone()
    }
}

fn push(builder: &mut EntriesBuilder, entry: Entry<'_>) {
    let pushed = builder.push(entry.id(), entry.kind(), entry.share_payload());
    pushed.expect("stored entries are consecutive and their terms never fall");
}
