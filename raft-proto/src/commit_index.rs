//! commitIndex (Figure 2, volatile state on all servers), behind one door.

use crate::types::Index;
use serde::{Deserialize, Serialize};

/// commitIndex, which never falls. Three rules raise it: the leader's commit rule (`leader.rs`),
/// step 5 of AppendEntries (`rpc/append_entries.rs`), and a snapshot that is installed
/// (`rpc/install_snapshot.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct CommitIndex(Index);

impl CommitIndex {
    /// At the start: everything that the service holds is committed.
    pub(crate) fn recovered(applied: Index) -> CommitIndex {
        CommitIndex(applied)
    }

    pub(crate) fn get(self) -> Index {
        self.0
    }

    /// Everything up to `index` is committed.
    pub(crate) fn raise_to(&mut self, index: Index) {
        self.0 = self.0.max(index);
    }
}
