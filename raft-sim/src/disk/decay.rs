//! Bytes that change by themselves while the storage does not notice.

use super::Disk;
use bytes::{Bytes, BytesMut};

impl Disk {
    /// One byte of each stored snapshot changes. Whoever receives such a snapshot knows by its
    /// checksum.
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
}
