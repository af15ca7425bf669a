//! Bytes that change by themselves: the storage does not notice, or it does and says what is lost.

use super::{Disk, Image};
use bytes::{Bytes, BytesMut};
use raft_proto::{EntryId, Index};

/// What a disk has lost, until its node has it again.
#[derive(Clone, Debug, Default)]
pub(super) struct Damage {
    /// The last entry that was there: [`Recovered::impaired`](raft_proto::Recovered::impaired).
    pub(super) lost: Option<EntryId>,
    /// What the disk held before each time that it was damaged.
    before: Vec<Image>,
}

impl Disk {
    /// One byte of each stored snapshot changes. A node that receives such a snapshot knows by
    /// its checksum.
    pub fn decay_snapshots(&mut self) {
        for data in self.snapshots.values_mut() {
            let mut decayed = BytesMut::from(&data[..]);
            let middle = decayed.len() / 2;
            if let Some(byte) = decayed.get_mut(middle) {
                *byte ^= 1;
            }
            *data = Bytes::from(decayed);
        }
    }

    /// Records of the log decay, and the storage notices that when it is opened: it starts with the
    /// entries before them, about `kept` of a thousand, and says so. Returns whether any are lost.
    pub fn damage(&mut self, kept: u32) -> bool {
        let kept = Index(self.last_id().index.0 * u64::from(kept) / 1000);
        !self.is_incomplete() && self.lose_after(kept)
    }

    /// Of the log, what comes after `kept` is lost. Returns whether that is anything.
    pub(super) fn lose_after(&mut self, kept: Index) -> bool {
        let last = self.last_id();
        if kept >= last.index {
            return false;
        }
        self.damage.before.push(self.image.clone());
        self.damage.lost.get_or_insert(last);
        let ends_later = self.image.snapshot.take_if(|it| it.id.last.index > kept);
        let image = &mut self.image;
        if ends_later.is_some() && image.log.first_index() != Some(Index(1)) {
            image.log.clear(Index::ZERO);
        } else {
            image.log.drop_after(kept);
        }
        true
    }

    /// Whether entries are lost that the node does not have again.
    pub fn is_impaired(&self) -> bool {
        self.damage.lost.is_some()
    }

    /// Whether an entry was here before the disk was damaged.
    pub fn has_lost(&self, entry: EntryId) -> bool {
        self.damage.before.iter().any(|image| image.holds(entry))
    }

    /// The log may have caught up with what was lost.
    pub(super) fn end_damage(&mut self) {
        let last = self.last_id();
        let lost = self.damage.lost;
        if lost.is_some_and(|lost| last.is_at_least_as_up_to_date_as(lost)) {
            self.damage = Damage::default();
        }
    }
}
