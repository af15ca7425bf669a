//! A storage that does what [`Write`] says, in the plainest way. It is the reference that tests
//! recover nodes from.

use bytes::Bytes;
use raft_proto::*;
use std::collections::BTreeMap;

/// An entry without its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub term: u64,
    pub kind: EntryKind,
    pub payload: Bytes,
}

/// The records of `entries`, by index.
pub fn records(entries: &Entries) -> impl Iterator<Item = (u64, Record)> + '_ {
    entries.iter().map(|entry| {
        let record = Record {
            term: entry.term().0,
            kind: entry.kind(),
            payload: entry.share_payload(),
        };
        (entry.index().0, record)
    })
}

/// The entries of `records`, whose indexes are consecutive.
pub fn entries<'a>(records: impl IntoIterator<Item = (u64, &'a Record)>) -> Entries {
    let mut builder = EntriesBuilder::new();
    for (index, record) in records {
        builder
            .push(
                EntryId::new(index, record.term),
                record.kind,
                record.payload.clone(),
            )
            .expect("the records are consecutive");
    }
    builder.finish()
}

/// Whether a service survives a crash by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Durable,
    Volatile,
}

/// What a disk holds.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    pub identity: Option<Identity>,
    pub hard_state: HardState,
    pub snapshot: Option<SnapshotMeta>,
    pub log: BTreeMap<u64, Record>,
    /// What it has lost, until it has it again.
    pub impaired: Option<EntryId>,
}

/// The effect of a write on what a restart finds.
pub fn store(stored: &mut Recovered, write: &Write) {
    let mut storage = Storage::holding(stored);
    storage.write(write);
    let recovered = storage.recovered(stored.applied);
    stored.apply(write);
    assert_eq!(*stored, recovered, "the core says the same of a write");
}

impl Storage {
    /// The storage that a restart recovers `recovered` from.
    pub fn holding(recovered: &Recovered) -> Storage {
        Storage {
            identity: recovered.identity.clone(),
            hard_state: recovered.hard_state,
            snapshot: recovered.snapshot.clone(),
            log: records(&recovered.entries).collect(),
            impaired: recovered.impaired,
        }
    }

    /// The effect of one write.
    pub fn write(&mut self, write: &Write) {
        if let Some(identity) = &write.identity {
            assert!(self.identity.is_none(), "an identity is written once");
            self.identity = Some((**identity).clone());
        }
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(install) = &write.install {
            match install.log {
                InstalledLog::KeepsTail => self.drop_through(install.snapshot.id.last.index),
                InstalledLog::IsDropped => self.log.clear(),
            }
            self.snapshot = Some(install.snapshot.clone());
        }
        if let Some(compact) = &write.compact {
            self.drop_through(compact.drop_through);
            self.snapshot = Some(compact.snapshot.clone());
        }
        if let Some(first) = write.entries.first_index() {
            self.log.split_off(&first.0);
            self.log.extend(records(&write.entries));
        }
        let snapshot = self.snapshot.as_ref().map(|snapshot| snapshot.id.last);
        let last = self.log.last_key_value();
        let last = last.map(|(index, record)| EntryId::new(*index, record.term));
        let last = last.max(snapshot).unwrap_or(EntryId::ZERO);
        self.impaired = self
            .impaired
            .filter(|lost| !last.is_at_least_as_up_to_date_as(*lost));
    }

    fn drop_through(&mut self, index: Index) {
        self.log = self.log.split_off(&(index.0 + 1));
    }

    /// What a restart finds, beside a service that has applied up to `applied`.
    pub fn recovered(&self, applied: Option<Index>) -> Recovered {
        Recovered {
            identity: self.identity.clone(),
            hard_state: self.hard_state,
            snapshot: self.snapshot.clone(),
            entries: entries(self.log.iter().map(|(index, record)| (*index, record))),
            applied,
            impaired: self.impaired,
        }
    }

    /// The entries from `from` to `to`: as many as fit within `max_bytes`, but at least one.
    pub fn read(&self, from: Index, to: Index, max_bytes: u64) -> Option<Entries> {
        let mut bytes = 0;
        let fits = |record: &Record| {
            bytes += record.payload.len() as u64 + ENTRY_OVERHEAD;
            bytes <= max_bytes
        };
        let records = self.log.range(from.0..=to.0);
        let count = records
            .clone()
            .map(|(_, record)| record)
            .map(fits)
            .take_while(|fits| *fits);
        let count = count.count().max(1);
        let records = records.take(count).map(|(index, record)| (*index, record));
        let entries = entries(records);
        (entries.first_index() == Some(from)).then_some(entries)
    }

    /// The last index that the snapshot covers.
    pub fn snapshot_index(&self) -> u64 {
        let last = self.snapshot.as_ref().map(|snapshot| snapshot.id.last);
        last.map_or(0, |last| last.index.0)
    }

    /// Whether the log holds `index` with this term, or the snapshot covers it.
    pub fn holds(&self, index: u64, term: u64) -> bool {
        match self.log.get(&index) {
            Some(record) => record.term == term,
            None => index <= self.snapshot_index(),
        }
    }
}
