//! Why a message was rejected.

use crate::message::Lineage;
use crate::types::{EntryId, HistoryId, Index, NodeId, Term};
use serde::{Deserialize, Serialize};

/// Why a message was rejected. No correct peer sends such a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// It claims to come from this node.
    #[error("sent under this node's own id")]
    FromSelf,
    /// Terms begin with elections, and the first election is that of term 1.
    #[error("term 0")]
    NoTerm,
    /// More than [`Term::MAX_AHEAD`] above this node's, or above [`Term::MAX`].
    #[error("term {theirs} is too far above {ours}")]
    TermTooFarAhead {
        /// currentTerm.
        ours: Term,
        /// The message's.
        theirs: Term,
    },
    /// An index beyond [`Index::MAX`].
    #[error("index {0} is out of range")]
    IndexOutOfRange(Index),
    /// An index and a term that do not fit together: only index 0 has term 0, and no entry is of a
    /// later term than the message that names it.
    #[error("there can be no entry {entry} in a message of term {term}")]
    ImpossibleEntry {
        /// The entry.
        entry: EntryId,
        /// The message's term.
        term: Term,
    },
    /// The terms of the entries fall, or rise above the message's.
    #[error("entry {entry} follows {previous} in a message of term {term}")]
    EntryTerms {
        /// The offending entry.
        entry: EntryId,
        /// The one before it.
        previous: EntryId,
        /// The message's term.
        term: Term,
    },
    /// The entries do not begin at prevLogIndex + 1.
    #[error("entries begin at {first}, but follow {prev}")]
    EntriesMisplaced {
        /// Their first index.
        first: Index,
        /// prevLogIndex.
        prev: Index,
    },
    /// **Safety violation.** The sender's log contradicts an entry that this node knows to be
    /// committed (State Machine Safety, section 5.4.3).
    #[error("{entry} conflicts with the log at or below commitIndex {commit_index}")]
    ConflictBelowCommit {
        /// The sender's entry.
        entry: EntryId,
        /// commitIndex.
        commit_index: Index,
    },
    /// **Safety violation.** Two leaders in one term (Election Safety, section 5.2).
    #[error("leads in term {term}, but so does {leader}")]
    SecondLeader {
        /// The term.
        term: Term,
        /// The known leader of that term.
        leader: NodeId,
    },
    /// The sender contradicted a committed entry earlier in this term, and is not followed in it.
    #[error("committed a safety violation earlier in term {term}")]
    NotFollowed {
        /// The term.
        term: Term,
    },
    /// A vote that this node did not request: it did not campaign in that term, or did not ask the
    /// sender.
    #[error("a vote in term {term} that was never asked for")]
    UnsolicitedVote {
        /// The vote's term.
        term: Term,
    },
    /// A reply from a node that was sent no request.
    #[error("a reply in term {term} to a request that was never sent")]
    UnsolicitedReply {
        /// The reply's term.
        term: Term,
    },
    /// An acknowledgement of entries that the leader does not have.
    #[error("acknowledges entries up to {acknowledged}, but the log ends at {last}")]
    MatchBeyondLog {
        /// The reply's index.
        acknowledged: Index,
        /// The leader's last index.
        last: Index,
    },
    /// A reply that contradicts itself.
    #[error("a reply that contradicts itself")]
    Inconsistent,
    /// A chunk that does not fit its snapshot.
    #[error("a chunk of {length} bytes at {offset} in a snapshot of {size}")]
    ChunkOutOfPlace {
        /// Where it begins.
        offset: u64,
        /// How long it is.
        length: u64,
        /// The snapshot's size.
        size: u64,
    },
    /// The bytes received are not those that the sender described.
    #[error("the snapshot's checksum is {found:#010x}, not {expected:#010x}")]
    WrongChecksum {
        /// As described.
        expected: u32,
        /// As received.
        found: u32,
    },
    /// The membership of a snapshot, or of a membership entry, is empty, out of order or without
    /// voters.
    #[error("a membership that is damaged")]
    DamagedMembership,
    /// An answer to a round (thesis 6.4) that the leader never began.
    #[error("answers round {round}, but the last one is {last}")]
    RoundNeverBegun {
        /// The reply's round.
        round: u64,
        /// The leader's last round.
        last: u64,
    },
    /// The sender's log began with another founding of the cluster than this node's, or with none
    /// that it can name. Entries of the two may differ at equal indexes and terms. Somebody has made
    /// all storages anew, or continued the cluster by force, and one old storage has come back.
    /// Decide which history is to live, and make the storages of the other one anew.
    #[error("its log is of another history ({theirs:?}) than this node's ({ours})")]
    OtherHistory {
        /// The history in this node's configuration.
        ours: HistoryId,
        /// The sender's.
        theirs: Lineage,
    },
    /// The sender was given another list of founders under the same cluster id, or was started to
    /// join. Give all founders the same list, and make the storage of the one that has another list
    /// anew. If the cluster was founded before, start the storages that were made anew to join it.
    #[error("was given another list of founders under the same cluster id, or none")]
    OtherFounders,
    /// A leadership transfer (thesis 3.10) without a number: a leader counts its transfers from 1.
    #[error("a leadership transfer without a number")]
    NoTransfer,
}

impl Rejection {
    /// Whether it is evidence that a safety property of Figure 3 is broken.
    pub fn is_safety_violation(&self) -> bool {
        matches!(
            self,
            Rejection::ConflictBelowCommit { .. } | Rejection::SecondLeader { .. }
        )
    }
}
