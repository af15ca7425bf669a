//! What a follower's log has to be, in the plainest form.

use crate::support::storage::{Record, Storage};
use raft_proto::{EntryId, SnapshotId, SnapshotWriteFailed};

/// The list: entries with their indexes, after a base.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// The last entry dropped.
    base: EntryId,
    entries: Vec<(u64, Record)>,
    term: u64,
    commit: u64,
    handed_out: u64,
    /// The last index of the snapshot that a restart recovers.
    snapshot: u64,
    /// Between an installation and its `Restore`.
    restoring: bool,
    /// The last entry of the snapshot that is installed once it has been written.
    incoming: Option<EntryId>,
}

impl Model {
    /// What a restart makes of a disk, with a service that has applied up to `applied`.
    pub(crate) fn recovered(disk: &Storage, applied: u64) -> Model {
        let mut entries: Vec<(u64, Record)> = disk.log.clone().into_iter().collect();
        let snapshot = disk.snapshot.as_ref().map(|snapshot| snapshot.id.last);
        let snapshot = snapshot.unwrap_or(EntryId::ZERO);
        let base = match entries.first() {
            None => snapshot,
            Some((first, _)) if *first == snapshot.index.0 + 1 => snapshot,
            Some((1, _)) => EntryId::ZERO,
            // The term of the entry before the first is not known. The first becomes the base.
            Some((first, record)) => {
                let base = EntryId::new(*first, record.term);
                entries.remove(0);
                base
            }
        };
        Model {
            base,
            entries,
            term: disk.hard_state.term.0,
            commit: applied.max(snapshot.index.0),
            handed_out: applied.max(snapshot.index.0),
            snapshot: snapshot.index.0,
            ..Model::default()
        }
    }

    pub(crate) fn base(&self) -> EntryId {
        self.base
    }

    pub(crate) fn last(&self) -> EntryId {
        let last = self.entries.last();
        last.map_or(self.base, |(index, record)| {
            EntryId::new(*index, record.term)
        })
    }

    pub(crate) fn term(&self) -> u64 {
        self.term
    }

    pub(crate) fn commit(&self) -> u64 {
        self.commit
    }

    pub(crate) fn handed_out(&self) -> u64 {
        self.handed_out
    }

    pub(crate) fn is_restoring(&self) -> bool {
        self.restoring
    }

    pub(crate) fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.base.index.0 {
            return Some(self.base.term.0);
        }
        let mut entries = self.entries.iter();
        entries
            .find(|(at, _)| *at == index)
            .map(|(_, record)| record.term)
    }

    pub(crate) fn between(&self, from: u64, to: u64) -> Vec<(u64, Record)> {
        let inside = |(index, _): &&(u64, Record)| (from..=to).contains(index);
        self.entries.iter().filter(inside).cloned().collect()
    }

    /// Adopts a higher term. Returns whether `term` is the current one, and not an earlier one.
    fn adopts(&mut self, term: u64) -> bool {
        if term > self.term {
            self.term = term;
            self.incoming = None;
        }
        term == self.term
    }

    /// AppendEntries (Figure 2): `list` after `prev`.
    pub(crate) fn append(
        &mut self,
        term: u64,
        prev: EntryId,
        list: &[(u64, Record)],
        leader_commit: u64,
    ) {
        if !self.adopts(term) {
            return;
        }
        let (prev, prev_term) = (prev.index.0, prev.term.0);
        // All entries before the base are committed, and agree with the leader's.
        if prev >= self.base.index.0 && self.term_at(prev) != Some(prev_term) {
            assert!(
                prev > self.commit,
                "a correct leader holds what is committed"
            );
            return;
        }
        for (index, record) in list {
            if *index <= self.base.index.0 || self.term_at(*index) == Some(record.term) {
                continue;
            }
            assert!(
                *index > self.commit,
                "a correct leader holds what is committed"
            );
            self.entries.retain(|(at, _)| at < index);
            self.entries.push((*index, record.clone()));
        }
        let last_new = prev + list.len() as u64;
        self.commit = self.commit.max(leader_commit.min(last_new));
    }

    /// A whole snapshot arrives in one chunk, while the driver may still write another one.
    /// Returns whether the chunk is written.
    pub(crate) fn chunk(
        &mut self,
        term: u64,
        last: EntryId,
        under_way: Option<SnapshotId>,
    ) -> bool {
        if !self.adopts(term) {
            return false;
        }
        if last.index.0 <= self.commit {
            self.incoming = None;
            return false;
        }
        let taken = !self.restoring && under_way.is_none();
        if taken {
            self.incoming = Some(last);
        }
        taken
    }

    /// Figure 13, steps 6 to 8.
    pub(crate) fn chunk_written(&mut self, result: Result<(), SnapshotWriteFailed>) {
        let Some(last) = self.incoming.take().filter(|_| result.is_ok()) else {
            return;
        };
        let (index, term) = (last.index.0, last.term.0);
        // Meanwhile appends may have committed as much.
        if index <= self.commit {
            return;
        }
        if self.term_at(index) == Some(term) {
            self.entries.retain(|(at, _)| *at > index);
        } else {
            self.entries.clear();
        }
        self.base = last;
        self.commit = index;
        self.snapshot = index;
        self.restoring = true;
    }

    pub(crate) fn restored(&mut self, index: u64) {
        assert!(self.restoring, "a snapshot was installed");
        assert_eq!(self.snapshot, index);
        self.restoring = false;
        self.handed_out = index;
    }

    /// The service has made a snapshot that ends at `index`. Returns whether that is refused.
    pub(crate) fn compact(&mut self, index: u64, trailing: u64) -> bool {
        if index > self.handed_out {
            return true;
        }
        if index > self.snapshot {
            self.snapshot = index;
            let through = index.saturating_sub(trailing).max(self.base.index.0);
            let term = self.term_at(through).expect("the entry is in the log");
            self.base = EntryId::new(through, term);
            self.entries.retain(|(at, _)| *at > through);
        }
        false
    }

    /// The next entries are handed out to be applied.
    pub(crate) fn hand_out(&mut self, list: &[(u64, Record)]) {
        let last = self.handed_out + list.len() as u64;
        assert_eq!(
            list,
            self.between(self.handed_out + 1, last),
            "the entries to apply"
        );
        assert!(last <= self.commit, "{last} is not committed");
        assert!(!self.restoring, "the snapshot comes first");
        self.handed_out = last;
    }
}
