//! Damage, as the reason for which a folder is refused.

use super::folder::damaged;
use super::mark::Acknowledged;
use crate::storage::StorageError;

pub use crate::storage::damage::Damage;

impl Damage {
    /// As the reason for which the folder is refused.
    pub(super) fn into_error(self, acknowledged: &Acknowledged) -> StorageError {
        let Acknowledged { last, hard_state } = acknowledged;
        let term = hard_state.term;
        let what = self.describe();
        let what = format!("{what}; up to entry {last} and term {term} may have been acknowledged");
        damaged(&self.path, what)
    }
}
