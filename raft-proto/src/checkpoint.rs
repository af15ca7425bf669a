//! The whole state of a node as bytes, for recordings that begin in the middle.
//!
//! Layout: a version byte, the state in postcard's encoding, and the CRC-32 of both, little
//! endian. A checkpoint is no storage: only the version of this crate that wrote it reads it.

use crate::checksum::Checksum;
use crate::raft::Raft;
use alloc::vec::Vec;

/// The version of the layout.
const VERSION: u8 = 3;

/// Why this version cannot continue from these bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// They are too short.
    #[error("the checkpoint is cut off")]
    CutOff,
    /// Another version wrote it.
    #[error("the checkpoint has version {found}; this release reads version {VERSION}")]
    Version {
        /// Its version.
        found: u8,
    },
    /// They have changed since they were written.
    #[error("the checkpoint is damaged: its checksum does not match")]
    Checksum,
    /// The checksum matches, but they do not decode: [`Raft::checkpoint`] did not make them.
    #[error("the checkpoint does not decode")]
    Undecodable,
}

impl Raft {
    /// The whole state. [`Raft::from_checkpoint`] continues from it with equal actions.
    pub fn checkpoint(&self) -> Vec<u8> {
        let bytes = Vec::from([VERSION]);
        // Writing to memory cannot fail, and every type of the state has a known length.
        #[allow(clippy::expect_used)]
        let mut bytes = postcard::to_extend(self, bytes).expect("the state can be encoded");
        let checksum = Checksum::of(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// A node in the state that `bytes` describe. They must come from [`Raft::checkpoint`]: the
    /// checksum shows damage, but no forgery.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if they are cut off, damaged, or another version's.
    pub fn from_checkpoint(bytes: &[u8]) -> Result<Raft, CheckpointError> {
        let (body, checksum) = bytes
            .split_last_chunk::<4>()
            .ok_or(CheckpointError::CutOff)?;
        let (version, state) = body.split_first().ok_or(CheckpointError::CutOff)?;
        if *version != VERSION {
            return Err(CheckpointError::Version { found: *version });
        }
        if Checksum::of(body) != u32::from_le_bytes(*checksum) {
            return Err(CheckpointError::Checksum);
        }
        let raft: Raft = postcard::from_bytes(state).map_err(|_| CheckpointError::Undecodable)?;
        match raft.config.validate() {
            Ok(()) => Ok(raft),
            Err(_) => Err(CheckpointError::Undecodable),
        }
    }
}
