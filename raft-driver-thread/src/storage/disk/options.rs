//! How a storage on disk uses its folder.

#[cfg(doc)]
use raft_proto::{Recovered, mending};

/// How a [`DiskStorage`](super::DiskStorage) uses its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// How long a segment is, in bytes. At least [`LEAST_SEGMENT_BYTES`]. A write that is longer
    /// gets a longer segment of its own. Default 32 MiB.
    ///
    /// [`LEAST_SEGMENT_BYTES`]: DiskOptions::LEAST_SEGMENT_BYTES
    pub segment_bytes: u64,
    /// The incarnation that a new folder gets. `None`, the default: it is drawn.
    pub incarnation: Option<u128>,
    /// What is done with a folder that is damaged. Refused by default.
    pub on_damage: OnDamage,
}

/// What is done with a folder in which something that was acknowledged is not what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDamage {
    /// It is refused, and left as it is.
    #[default]
    Refuse,
    /// What is lost in the midst of the log is fetched from any peer, before the node takes part in the
    /// protocol, if the storage can tell what it was ([`mending`]). Otherwise the log is opened with
    /// what is whole, and the leader sends the rest: see [`Recovered::impaired`]. The damaged segments
    /// are moved to the folder `damaged`. Refused is only a folder of which it is not clear what was
    /// acknowledged.
    Mend,
}

impl DiskOptions {
    /// The least value of [`segment_bytes`](DiskOptions::segment_bytes). A lower one is raised.
    pub const LEAST_SEGMENT_BYTES: u64 = 8 << 10;
}

impl Default for DiskOptions {
    fn default() -> DiskOptions {
        DiskOptions {
            segment_bytes: 32 << 20,
            incarnation: None,
            on_damage: OnDamage::Refuse,
        }
    }
}
