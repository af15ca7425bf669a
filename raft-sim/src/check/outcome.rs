//! What a step of one node comes to, as far as others see it.

use super::envelope::Envelope;
use super::node::Node;
use crate::checker::Fingerprint;
use raft_proto::{EntryId, Index, NodeId, RequestId, Term};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The result of a step of one node.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The node after it.
    pub node: Node,
    /// What it sends.
    pub sent: Vec<Envelope>,
    /// What counts for the properties of the whole cluster.
    pub observed: Vec<Observed>,
    /// Rare situations that the step reached.
    pub marks: Marks,
    /// What it does that no node ever may.
    pub violation: Option<Violation>,
}

/// A fact that the history keeps, or that is compared with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Observed {
    /// The node leads.
    Leads {
        /// The node.
        node: NodeId,
        /// Its term.
        term: Term,
    },
    /// The node takes these entries for committed, or applies them.
    Commits {
        /// The index of the first one.
        first: Index,
        /// The entries.
        entries: Vec<Fingerprint>,
        /// The node's term.
        term: Term,
    },
    /// The node's service takes over a snapshot.
    Restores {
        /// The snapshot's last entry.
        last: EntryId,
        /// The digest of all entries up to there, as the snapshot holds it.
        digest: u64,
    },
    /// A client begins to read.
    ReadBegins(RequestId),
    /// A read is answered: everything up to `index` is in the answer.
    ReadEnds {
        /// Which.
        id: RequestId,
        /// `None` if it is refused.
        index: Option<Index>,
    },
}

/// What must never happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{property} is violated: {what}")]
pub struct Violation {
    /// Which property, and where it is stated.
    pub property: &'static str,
    /// Who broke it and how.
    pub what: String,
}

impl Violation {
    /// Something breaks `property`.
    pub fn new(property: &'static str, what: impl fmt::Display) -> Violation {
        let what = what.to_string();
        Violation { property, what }
    }
}

/// A set of [`Mark`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Marks(u32);

macro_rules! marks {
    ($($(#[$doc:meta])* $mark:ident = $text:literal,)*) => {
        /// A situation that a model has to reach, so that one which explores nothing fails.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mark {
            $($(#[$doc])* $mark,)*
        }

        impl Mark {
            /// All of them.
            pub const ALL: &[Mark] = &[$(Mark::$mark),*];

            /// The situation as a sentence.
            pub fn text(self) -> &'static str {
                match self {
                    $(Mark::$mark => $text,)*
                }
            }
        }
    };
}

marks! {
    /// A node becomes leader.
    Elected = "a leader is elected",
    /// Two nodes lead at once, in different terms.
    TwoLeaders = "two leaders of different terms exist at once",
    /// A leader gives up its leadership in its own term.
    StepsDown = "a leader steps down in its own term",
    /// A pre-vote is refused by a node that hears a leader, or has the better log.
    PreVoteRefused = "a pre-vote is refused",
    /// A candidate is refused by a voter.
    VoteRefused = "a vote is refused",
    /// A command is committed.
    Committed = "a command is committed",
    /// Entries are removed from a log.
    Truncated = "a log is truncated",
    /// An entry of an earlier term is committed by a later entry.
    EarlierCommitted = "an entry of an earlier term is committed",
    /// A restart finds less than was written.
    LostWrites = "a crash loses writes that were not reported",
    /// A snapshot is installed.
    Installed = "a snapshot is installed",
    /// A read is served.
    ReadServed = "a read is served",
    /// A read is refused.
    ReadRefused = "a read is refused",
    /// A joint configuration is in force.
    Joint = "a joint configuration is in force",
    /// A change of the members is committed.
    Changed = "a change of the members is committed",
    /// A leader hands over.
    Transferred = "leadership is transferred",
    /// A node waits for what its disk has lost.
    Impaired = "a node runs impaired",
    /// An impaired node has caught up.
    Mended = "an impaired node has caught up",
    /// A late completion of an overwritten write.
    LateWrite = "a write of entries that were overwritten since is reported",
    /// A storage that is no member was noticed.
    Foreign = "another storage under a member's number is noticed",
}

impl Marks {
    /// None.
    pub const NONE: Marks = Marks(0);

    /// Adds one.
    pub fn add(&mut self, mark: Mark) {
        self.0 |= 1 << mark as u32;
    }

    /// Adds one if this holds.
    pub fn add_if(&mut self, holds: bool, mark: Mark) {
        if holds {
            self.add(mark);
        }
    }

    /// Adds all of these.
    pub fn extend(&mut self, marks: Marks) {
        self.0 |= marks.0;
    }

    /// Whether it is among them.
    pub fn contains(self, mark: Mark) -> bool {
        self.0 & 1 << mark as u32 != 0
    }
}
