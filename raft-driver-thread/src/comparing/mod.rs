//! A node compares its state with those of the others, and replaces it if it is the one that is
//! wrong. The rules are those of [`raft_proto::comparison`]; here they get a thread and a
//! transport.
//!
//! The state machine's thread notes a digest of the state after some entries ([`Replica`]). Now and
//! then the thread `raft-compare` asks every member for what it has noted, and judges. If a
//! majority holds another state than this node:
//!
//! 1. The state is set aside: nothing more is applied to it, no linearizable read is answered from
//!    it, and no snapshot is made of it. A leader hands over leadership. Votes and the log do not
//!    depend on the state, so the node goes on to count in the protocol.
//! 2. A snapshot is fetched from one of the majority, of a state that is no older. That one makes
//!    it if it has none.
//! 3. The snapshot replaces the state, and the stored snapshot, which may hold the wrong state,
//!    too. What was committed behind it is applied.
//!
//! If the node stops before that, it begins again with its own snapshot, and finds the same
//! again: a wrong state stays wrong until it is replaced. A digest is no part of any file.

mod replace;
mod replica;
mod thread;

pub(crate) use replace::{Fetched, fetch_snapshot};
pub(crate) use replica::Replica;
pub(crate) use thread::{CompareGuard, CompareThread};

use raft_proto::{EntryId, NodeId};

/// What a node knows of how its state compares with those of the others
/// ([`Options::compare`](crate::Options::compare)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The last entry after which the node was found to hold the state of all that answered, or of
    /// a majority.
    pub same_after: Option<EntryId>,
    /// The members that hold another state than this node, as of the last comparison.
    pub differing: Vec<NodeId>,
    /// A majority holds another state after this entry: this node's is not used until it is
    /// replaced by that of the majority.
    pub diverged_after: Option<EntryId>,
    /// How often the state was replaced since the start.
    pub replaced: u64,
}
