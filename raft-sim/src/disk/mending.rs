//! Entries in the midst of the log that have decayed, and that the storage has descriptions of: it
//! knows them again when it sees them ([`raft_proto::mending`]).

use super::Disk;
use raft_proto::mending::Missing;
use raft_proto::{Entries, EntriesBuilder, Index};

impl Disk {
    /// These entries decay, which are part of the log. Until they are supplied, no process starts.
    pub fn lose(&mut self, entries: impl IntoIterator<Item = Index>) {
        self.missing.extend(entries);
    }

    /// Whether entries have decayed.
    pub fn is_incomplete(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Whether this entry has decayed.
    pub fn lacks(&self, index: Index) -> bool {
        self.missing.contains(&index)
    }

    /// The first and the last of each part that has decayed, each of them described by itself.
    pub fn missing(&self) -> Vec<Missing> {
        let mut parts: Vec<(Index, Index)> = Vec::new();
        for index in &self.missing {
            match parts.last_mut() {
                Some((_, last)) if last.next() == *index => *last = *index,
                Some(_) | None => parts.push((*index, *index)),
            }
        }
        let parts = parts.into_iter().map(|part| Missing { parts: vec![part] });
        parts.collect()
    }

    /// The entries that are whole, in order and with gaps.
    pub fn whole(&self) -> Vec<Entries> {
        let mut runs = Vec::new();
        let mut run = EntriesBuilder::new();
        for entry in &self.image.log.to_entries() {
            if self.lacks(entry.index()) {
                runs.push(std::mem::take(&mut run).finish());
                continue;
            }
            // They follow one another in the log.
            let _ = run.push(entry.id(), entry.kind(), entry.share_payload());
        }
        runs.push(run.finish());
        runs.retain(|run| !run.is_empty());
        runs
    }

    /// Whether these are the entries that have decayed. The digest is taken to tell that for certain.
    pub fn knows(&self, entries: &Entries) -> bool {
        let log = self.image.log.to_entries();
        entries.iter().all(|entry| {
            let mut held = log.iter().skip_while(|it| it.index() < entry.index());
            held.next().is_some_and(|it| {
                it.id() == entry.id()
                    && it.kind() == entry.kind()
                    && it.payload() == entry.payload()
            })
        })
    }

    /// All that had decayed is there again.
    pub fn mended(&mut self) {
        self.missing.clear();
    }

    /// What has decayed cannot be had: the storage starts with the entries before it.
    pub fn give_up(&mut self) {
        let first = self.missing.first().copied();
        self.missing.clear();
        if let Some(first) = first {
            self.lose_after(first.previous());
        }
    }
}
