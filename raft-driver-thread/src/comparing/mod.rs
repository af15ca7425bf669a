//! A node compares its state with those of the others, and replaces it if it is the one that is
//! wrong. The rules are those of [`raft_proto::comparison`]; here they get a thread and a
//! transport.
//!
//! The state machine's thread notes a digest of the state after some entries ([`Replica`]). Now and
//! then the thread `raft-compare` asks every member for what it has noted, and judges. If a
//! majority holds another state than this node:
//!
//! 1. The state is set aside: nothing more is applied to it, no linearizable read is answered from
//!    it, and no snapshot is made of it. A leader hands over leadership, also one that is elected
//!    meanwhile. Votes and the log do not depend on the state, so the node goes on to count in the
//!    protocol.
//! 2. A snapshot is fetched from one of the majority, of a state that is no older. That one makes
//!    it if it has none.
//! 3. The snapshot replaces the state, and the stored snapshot, which may hold the wrong state,
//!    too. What was committed behind it is applied.
//!
//! Whose work a state is (its origin, without which a copy would count as a second witness) goes
//! this way:
//!
//! 1. A state that begins empty is this node's own. The thread that makes a snapshot of it stores
//!    its origin beside the snapshot, before anything names that one ([`Snapshots::set_origin`]).
//! 2. A state that is restored has the origin that is stored beside the snapshot. A snapshot that
//!    the leader has sent comes without one: the protocol does not carry it. So the members are
//!    asked whose work that snapshot is, together with their digests, until one knows. Of one that
//!    is fetched it is asked before its bytes are.
//! 3. Until then, and if all have forgotten it, the origin is unknown, and the node is no witness.
//!    It becomes one when it agrees with the others ([`agreed`](raft_proto::comparison::agreed)).
//!
//! If the node stops before its state is replaced, it begins again with its own snapshot, and finds
//! the same again: a wrong state stays wrong until it is replaced. A digest is no part of any file.

mod replace;
mod replica;
mod thread;

pub(crate) use replace::{Fetched, fetch_snapshot, note_origin};
pub(crate) use replica::Replica;
pub(crate) use thread::{CompareGuard, CompareThread};

#[cfg(doc)]
use crate::storage::Snapshots;
use raft_proto::{EntryId, NodeId};

/// What a node knows of how its state compares with those of the others
/// ([`Options::compare`](crate::Options::compare)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The last entry after which the node was found to hold the state of all that answered, or of
    /// a majority.
    pub same_after: Option<EntryId>,
    /// The members that hold another state than this node, as of the last comparison. One that was
    /// removed since is none of them.
    pub differing: Vec<NodeId>,
    /// Those who have answered, this node included, and whose state is a copy of another node's, or
    /// of unknown origin, if the last comparison could not decide: they are no witnesses of their
    /// own ([`comparison`](raft_proto::comparison)).
    pub copies: Vec<NodeId>,
    /// A majority holds another state after this entry: this node's is not used until it is
    /// replaced by that of the majority.
    pub diverged_after: Option<EntryId>,
    /// How often the state was replaced since the start.
    pub replaced: u64,
}
