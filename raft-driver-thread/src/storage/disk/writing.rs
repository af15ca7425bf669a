//! What a write does: to the log, to its index, and to the files that are not needed any more.

use super::DiskStorage;
use super::record::{Appended, WriteExtra};
use crate::storage::StorageError;
use raft_proto::Write;

impl DiskStorage {
    /// Where each write goes, and what it does to the index.
    fn index(&mut self, writes: &[Write], segment: u64, begin: u64) -> Result<(), StorageError> {
        let mut begin = begin;
        for (at, write) in writes.iter().enumerate() {
            let length = self.log.lengths().get(at).copied().unwrap_or_default();
            let appended = Appended::of(write);
            let extra = WriteExtra::of(write);
            let hard_state = write.hard_state.unwrap_or(self.state.hard_state);
            let (effect, continues) = self.state.apply(hard_state, &extra, appended);
            continues.map_err(|gap| {
                let what = format!("entry {} after {}", gap.found, gap.expected.previous());
                StorageError::Contract(what)
            })?;
            self.spans.apply(effect);
            self.log.describer.apply(effect);
            self.log.describer.append(&write.entries);
            if let Some(appended) = appended {
                self.spans.append(appended, segment, begin, begin + length);
            }
            begin += length;
        }
        Ok(())
    }

    pub(super) fn write_all(&mut self, writes: &[Write]) -> Result<(), StorageError> {
        for install in writes.iter().filter_map(|write| write.install.as_ref()) {
            self.snapshots.install(install.snapshot.id)?;
        }
        let before = self.state.hard_state;
        let due = self.log.describer.due();
        let (segment, begin) = self.log.stage(&self.state, |batch, chain| {
            let (mut hard_state, mut described) = (before, due.clone());
            for write in writes {
                hard_state = write.hard_state.unwrap_or(hard_state);
                if let Some(identity) = &write.identity {
                    chain.group = identity.group_id;
                }
                let described = std::mem::take(&mut described);
                batch.push_write(chain, hard_state, write, described)?;
            }
            Ok(())
        })?;
        if !due.is_empty() {
            self.log.describer.close();
        }
        self.index(writes, segment, begin)?;
        self.log.commit(&self.state)?;
        let drops = |write: &Write| write.install.is_some() || write.compact.is_some();
        if writes.iter().any(drops) {
            self.log.drop_before(self.spans.first_segment())?;
        }
        Ok(())
    }
}
