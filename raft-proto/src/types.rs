//! The small types of the protocol: ids, terms, indexes, entries' ids and kinds, times.
//!
//! Node ids, times and numbers of writes are newtypes to a serializer, too: one that compares
//! states can tell them from other numbers. Formats write them as the number alone.

use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The number of one server, unique in its cluster.
///
/// A server that lost its disk no longer has the votes and entries that it acknowledged. It may
/// come back under its number only by a change of the membership that names its new
/// [`Incarnation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// The identity of one server's storage: which disk speaks under a [`NodeId`].
///
/// The driver draws it at random when a storage is made, and the first write stores it. A server
/// whose storage was lost and made anew has the same id and another incarnation: it no longer has
/// the votes and entries that it acknowledged, so the other members do not count it. See
/// [`Config::incarnation`](crate::Config::incarnation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A storage that speaks under a member's number and is not the one that the configuration names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ForeignIncarnation {
    /// The number.
    pub node: NodeId,
    /// The incarnation of the member.
    pub named: Incarnation,
    /// The one that speaks, or `None` if its messages carry none.
    pub spoken: Option<Incarnation>,
}

impl fmt::Display for ForeignIncarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ForeignIncarnation { node, named, .. } = self;
        match self.spoken {
            Some(spoken) => write!(f, "{node} is {named}, not the storage {spoken} that speaks"),
            None => write!(f, "{node} is {named}, not the unnamed storage that speaks"),
        }
    }
}

/// The identity of a replicated log: which founding it began with. Two logs of one cluster id can
/// hold different entries at equal indexes and terms, if all servers were made anew and one old
/// disk comes back. Their histories differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HistoryId(pub u64);

impl fmt::Display for HistoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// The identity of a cluster. Zero is not valid. Draw it at random when the cluster is made, so
/// that nodes of two clusters refuse each other's messages if they are connected by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub u64);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The identity of one Raft group among those that share a process and its connections.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct GroupId(pub u64);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

/// A term: Raft's logical clock (section 5.1). At most one leader is elected in each.
///
/// Term 0 is the term of a node that has never heard of an election.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Term(pub u64);

impl Term {
    /// How far above this node's own term a message's term may be: 2^32. A correct cluster gains
    /// one term for each election, so no peer gets there. A forged or corrupt term beyond it would
    /// use up the numbers of the whole cluster.
    pub const MAX_AHEAD: u64 = 1 << 32;
    /// The greatest term: 2^62. A node in that term no longer campaigns, and messages and storages
    /// beyond it are refused. No correct cluster comes near it.
    pub const MAX: Term = Term(1 << 62);

    /// The next term, that of a new election.
    #[must_use]
    pub fn next(self) -> Term {
        Term(self.0.saturating_add(1))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A position in the log. The first entry has index 1; 0 is the position before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Index(pub u64);

impl Index {
    /// The position before the first entry.
    pub const ZERO: Index = Index(0);
    /// The greatest index that a log may reach: 2^62. Messages with a greater index are rejected,
    /// so that sums of an index and a length cannot overflow.
    pub const MAX: Index = Index(1 << 62);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Index {
        Index(self.0.saturating_add(1))
    }

    /// The position before this one; that of 0 is 0.
    #[must_use]
    pub fn previous(self) -> Index {
        Index(self.0.saturating_sub(1))
    }

    /// The position `count` entries after this one.
    #[must_use]
    pub fn plus(self, count: u64) -> Index {
        Index(self.0.saturating_add(count))
    }

    /// The number of entries after `earlier` up to and including this one; 0 if there are none.
    #[must_use]
    pub fn since(self, earlier: Index) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The identity of an entry. If two logs hold an entry with the same index and term, the logs
/// are identical up to and including it (Log Matching, section 5.3).
///
/// Orders by index, then by term. For "which log is more up to date" (section 5.4.1) compare
/// terms first: see [`EntryId::is_at_least_as_up_to_date_as`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct EntryId {
    /// The entry's position in the log.
    pub index: Index,
    /// The term of the leader that created the entry.
    pub term: Term,
}

impl EntryId {
    /// The position before the first entry of every log: index 0, term 0.
    pub const ZERO: EntryId = EntryId {
        index: Index(0),
        term: Term(0),
    };

    /// The entry `index` of `term`.
    #[must_use]
    pub const fn new(index: u64, term: u64) -> EntryId {
        EntryId {
            index: Index(index),
            term: Term(term),
        }
    }

    /// The election restriction (section 5.4.1), on the last entries of two logs: the later
    /// term is more up to date; in equal terms, the longer log.
    #[must_use]
    pub fn is_at_least_as_up_to_date_as(self, other: EntryId) -> bool {
        (self.term, self.index) >= (other.term, other.index)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EntryKind {
    /// A command for the state machine.
    Command,
    /// The empty entry with which a new leader begins its term (section 8): it commits what
    /// earlier terms left. A driver does not apply it, and reports `Applied` past it.
    Noop,
    /// A configuration (section 6), as [`Membership::decode`](crate::Membership::decode) reads it.
    /// In force from when it is appended. A driver does not apply it.
    Membership,
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EntryKind::Command => "command",
            EntryKind::Noop => "noop",
            EntryKind::Membership => "membership",
        })
    }
}

/// An instant on the driver's monotonic clock, in nanoseconds since an epoch of its own choice.
///
/// Instants of different nodes are never compared.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time(pub u64);

impl Time {
    /// The epoch.
    pub const ZERO: Time = Time(0);
    /// An instant that never comes (584 years after the epoch).
    pub const NEVER: Time = Time(u64::MAX);

    /// The instant `duration` after the epoch.
    #[must_use]
    pub fn from_epoch(duration: Duration) -> Time {
        Time::ZERO.after(duration)
    }

    /// The instant `duration` after this one, at most [`Time::NEVER`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Time {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(nanos))
    }

    /// The instant `duration` before this one; `None` if that is before the epoch.
    pub(crate) fn before(self, duration: Duration) -> Option<Time> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_sub(nanos).map(Time)
    }

    /// The time from `earlier` to this instant; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Time {
    /// Seconds with microseconds: `1.250000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0 / 1_000;
        write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

/// The number of a write: the first is 1, each next one greater by 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Seq(pub u64);

impl Seq {
    /// The number of the next write.
    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A number by which the driver recognises the outcome of a request. The core only hands it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}
