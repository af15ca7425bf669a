//! What a follower's log has to be, as plainly as it can be said.

use crate::support::storage::{Record, Storage};
use raft_proto::EntryId;

/// The list: entries with their indexes, behind a base.
#[derive(Debug, Default)]
pub(crate) struct Model {
    base: Base,
    entries: Vec<(u64, Record)>,
    term: u64,
    commit: u64,
    handed_out: u64,
    /// The last index of the snapshot that a restart recovers.
    snapshot: u64,
    /// Between an installation and its `Restore`.
    restoring: bool,
    /// What is being received, and will be installed when it has been written.
    incoming: Option<EntryId>,
}

/// (index, term) of the last entry dropped.
type Base = (u64, u64);

fn id((index, term): Base) -> EntryId {
    EntryId::new(index, term)
}

impl Model {
    /// What a restart makes of a disk, with a service that has applied up to `applied`.
    pub(crate) fn recovered(disk: &Storage, applied: u64) -> Model {
        let mut entries: Vec<(u64, Record)> = disk.log.clone().into_iter().collect();
        let last = disk.snapshot.as_ref().map(|snapshot| snapshot.id.last);
        let snapshot = last.map_or((0, 0), |last| (last.index.0, last.term.0));
        let base = match entries.first() {
            None => snapshot,
            Some((first, _)) if *first == snapshot.0 + 1 => snapshot,
            Some((1, _)) => (0, 0),
            // Nobody knows the term of the entry before the first: the first stands for it.
            Some((first, record)) => {
                let base = (*first, record.term);
                entries.remove(0);
                base
            }
        };
        Model {
            base,
            entries,
            term: disk.hard_state.term.0,
            commit: applied.max(snapshot.0),
            handed_out: applied.max(snapshot.0),
            snapshot: snapshot.0,
            ..Model::default()
        }
    }

    pub(crate) fn base(&self) -> EntryId {
        id(self.base)
    }

    pub(crate) fn last(&self) -> EntryId {
        let last = self
            .entries
            .last()
            .map(|(index, record)| (*index, record.term));
        id(last.unwrap_or(self.base))
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
        if index == self.base.0 {
            return Some(self.base.1);
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

    /// Whether a leader of `term` is heard; an earlier one is not.
    fn hears(&mut self, term: u64) -> bool {
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
        if !self.hears(term) {
            return;
        }
        let (prev, prev_term) = (prev.index.0, prev.term.0);
        // What lies before the base is committed, and agrees.
        if prev >= self.base.0 && self.term_at(prev) != Some(prev_term) {
            assert!(
                prev > self.commit,
                "a correct leader holds what is committed"
            );
            return;
        }
        for (index, record) in list {
            if *index <= self.base.0 || self.term_at(*index) == Some(record.term) {
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

    /// The whole of a snapshot arrives in one chunk. Returns whether it is to be written.
    pub(crate) fn chunk(&mut self, term: u64, last: EntryId, another_under_way: bool) -> bool {
        if !self.hears(term) {
            return false;
        }
        if last.index.0 <= self.commit {
            self.incoming = None;
            return false;
        }
        let taken = !self.restoring && !another_under_way;
        if taken {
            self.incoming = Some(last);
        }
        taken
    }

    /// Figure 13, steps 6 to 8.
    pub(crate) fn chunk_written(&mut self, succeeded: bool) {
        let Some(last) = self.incoming.take().filter(|_| succeeded) else {
            return;
        };
        let (index, term) = (last.index.0, last.term.0);
        // Appends may have brought as much meanwhile.
        if index <= self.commit {
            return;
        }
        match self.term_at(index) == Some(term) {
            true => self.entries.retain(|(at, _)| *at > index),
            false => self.entries.clear(),
        }
        self.base = (index, term);
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

    /// The service's snapshot ends at `index`. Returns whether that is refused.
    pub(crate) fn compact(&mut self, index: u64, trailing: u64) -> bool {
        if index > self.handed_out {
            return true;
        }
        if index > self.snapshot {
            self.snapshot = index;
            let through = index.saturating_sub(trailing).max(self.base.0);
            let term = self.term_at(through).expect("it is in the log");
            self.base = (through, term);
            self.entries.retain(|(at, _)| *at > through);
        }
        false
    }

    /// These entries, which follow those handed out before, are to be applied.
    pub(crate) fn hand_out(&mut self, list: &[(u64, Record)]) {
        let last = self.handed_out + list.len() as u64;
        assert_eq!(list, self.between(self.handed_out + 1, last), "to apply");
        assert!(last <= self.commit, "{last} is not committed");
        assert!(!self.restoring, "the snapshot comes first");
        self.handed_out = last;
    }
}
