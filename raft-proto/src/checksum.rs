//! The checksum of a snapshot's bytes.

use crc32fast::Hasher;
use serde::{Deserialize, Serialize};

/// A CRC-32 (IEEE) over bytes that come in pieces.
///
/// ```
/// use raft_proto::Checksum;
///
/// let mut checksum = Checksum::new();
/// checksum.update(b"1234");
/// checksum.update(b"56789");
/// assert_eq!(checksum.value(), 0xcbf4_3926);
/// assert_eq!(Checksum::of(b"123456789"), checksum.value());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checksum(u32);

impl Checksum {
    /// The checksum of no bytes.
    pub fn new() -> Checksum {
        Checksum::default()
    }

    /// The checksum of `bytes`, all at once.
    pub fn of(bytes: &[u8]) -> u32 {
        crc32fast::hash(bytes)
    }

    /// Continues with `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut hasher = Hasher::new_with_initial(self.0);
        hasher.update(bytes);
        self.0 = hasher.finalize();
    }

    /// The checksum of all bytes so far.
    pub fn value(self) -> u32 {
        self.0
    }
}
