//! Comparing the states of replicas: pure, as all of this crate.
//!
//! Raft keeps the logs equal. That equal logs lead to equal states is the service's part, and a
//! defect there, or in a processor or in memory, shows nowhere in the protocol. So every replica
//! notes what its state was after some entries ([`StateDigest`]), at the same indexes on all of
//! them ([`Digests`]), and asks the others for what they have noted. State Machine Safety (section
//! 5.4.3) says that the entries up to an index are the same on all; two different digests of one
//! kind after the same entry are proof that two states differ.
//!
//! # Who is right
//!
//! One digest alone accuses nobody, not even a leader's: were a follower to believe it, a leader
//! with a damaged state would make all others throw the right one away. [`compare`] decides only by
//! a majority of the voters (of both halves if joint) that hold *the same* state as each other
//! after one entry:
//!
//! * A node that holds another one is at fault ([`Verdict::Diverged`]). It stops using its state,
//!   and takes that of one of the majority. Each node judges itself alone, and from digests that it
//!   has from their owners.
//! * A node that holds the same goes on, and names those that differ ([`Verdict::OthersDiffer`]).
//! * If no majority agrees, nobody is told to be at fault, and nobody throws anything away
//!   ([`Verdict::Undecided`]): an operator has to look.
//!
//! Two majorities of one configuration share a voter, which has one state after an entry. So the
//! nodes that find themselves at fault after an entry are all outside of one majority: a majority
//! that holds one state is left whatever happens, and with it a source for the others.
//!
//! What this cannot find is a majority that is wrong in the same way. Besides a defect that they
//! share, a *copy* makes one: a node that is behind and is sent a snapshot by a leader whose state
//! is wrong holds that state, too, and is counted as if it had come to it by itself. Of three
//! nodes, those two then tell the right one that it is at fault. Nothing in a digest says where a
//! state came from. A node does not decide while fewer agree, so there is time: while a difference
//! is undecided (`Undecided`), no node that needs a snapshot should join.
//!
//! Nothing of that is in the log. The index at which replicas compare is given by counting, which
//! needs no entry: so there is none that an older release would have to understand, and a replica
//! whose release, or whose service, notes nothing simply does not count as having answered.

use crate::membership::Membership;
use crate::quorum::reached;
use crate::types::{EntryId, Index, NodeId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What the state of a replica was after an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateDigest {
    /// The last entry that was applied.
    pub after: EntryId,
    /// What was digested, and how. Digests of different kinds say nothing about each other.
    pub kind: u64,
    /// The digest: equal for equal states, and different ones for different states, but for chance.
    pub value: u128,
}

/// The digests that a replica keeps: more of the last entries, fewer of those long before.
///
/// Replicas are never asked at one moment, and one lags behind another by any number of entries. So
/// of each power of two times the distance the first and the last two multiples are kept: however
/// far one lags behind, there is an index that both have. That is some hundred digests, whatever
/// was applied.
///
/// ```
/// use raft_proto::comparison::{Digests, StateDigest};
/// use raft_proto::{EntryId, Index};
///
/// let mut digests = Digests::new(10);
/// assert_eq!(digests.next_after(Index(7)), Index(10));
/// for index in (10..=1000).step_by(10) {
///     let after = EntryId::new(index, 1);
///     digests.note(StateDigest { after, kind: 1, value: index.into() });
/// }
/// let kept: Vec<u64> = digests.all().iter().map(|it| it.after.index.0).collect();
/// assert_eq!(kept[..7], [10, 20, 40, 80, 160, 320, 640]);
/// assert_eq!(kept[7..], [800, 880, 960, 980, 990, 1000]);
/// ```
#[derive(Clone, Debug)]
pub struct Digests {
    distance: u64,
    noted: BTreeMap<Index, StateDigest>,
    latest: Option<StateDigest>,
}

impl Digests {
    /// Digests are noted after the entries whose index is a multiple of this; at least of 1.
    pub fn new(distance: u64) -> Digests {
        Digests {
            distance: distance.max(1),
            noted: BTreeMap::new(),
            latest: None,
        }
    }

    /// The first index at which a digest is to be noted, of those behind this one.
    pub fn next_after(&self, index: Index) -> Index {
        let next = (index.0 / self.distance).saturating_add(1);
        Index(next.saturating_mul(self.distance))
    }

    /// Notes a digest. One that is not at a [distance](Digests::new) is kept until the next one:
    /// when nothing more is applied, all replicas come to the same last entry.
    pub fn note(&mut self, digest: StateDigest) {
        let index = digest.after.index;
        self.latest = Some(digest);
        if index.0 == 0 || !index.0.is_multiple_of(self.distance) {
            return;
        }
        self.noted.insert(index, digest);
        let newest = index.0 / self.distance;
        let distance = self.distance;
        self.noted.retain(|index, _| {
            let number = index.0 / distance;
            let power = number.trailing_zeros();
            number.is_power_of_two() || (newest >> power).saturating_sub(number >> power) < 2
        });
    }

    /// The state was replaced: what it was before says nothing about it.
    pub fn clear(&mut self) {
        self.noted.clear();
        self.latest = None;
    }

    /// All that are kept, in order.
    pub fn all(&self) -> Vec<StateDigest> {
        let mut all: Vec<StateDigest> = self.noted.values().copied().collect();
        let newest = all.last().map(|it| it.after.index);
        all.extend(self.latest.filter(|it| Some(it.after.index) > newest));
        all
    }
}

/// What a node finds when it compares its state with those of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No other replica has noted anything that this one has noted, too.
    Nothing,
    /// After this entry, all that have noted it hold the same.
    Same {
        /// The entry.
        after: EntryId,
    },
    /// This node holds the state of a majority, and others do not.
    OthersDiffer {
        /// After this entry.
        after: EntryId,
        /// Those that hold another one.
        differing: Vec<NodeId>,
    },
    /// A majority of the voters holds one state, and this node another one.
    Diverged {
        /// After this entry.
        after: EntryId,
        /// Those that hold the state of the majority.
        majority: Vec<NodeId>,
    },
    /// States differ, and there is no majority that holds the same.
    Undecided {
        /// After this entry.
        after: EntryId,
        /// Those that hold another state than this node.
        differing: Vec<NodeId>,
    },
}

/// Those that have noted one entry, and what they hold.
struct Ballot<'a> {
    own: StateDigest,
    node: NodeId,
    peers: Vec<(NodeId, &'a StateDigest)>,
}

impl Ballot<'_> {
    fn holders(&self, value: u128) -> Vec<NodeId> {
        let peers = self.peers.iter().filter(|(_, it)| it.value == value);
        let peers = peers.map(|(node, _)| *node);
        let own = (self.own.value == value).then_some(self.node);
        own.into_iter().chain(peers).collect()
    }

    fn is_majority(membership: &Membership, nodes: &[NodeId]) -> bool {
        reached(membership, |voter| nodes.contains(&voter)) == Some(true)
    }

    /// What these say together.
    fn verdict(&self, membership: &Membership) -> Verdict {
        let after = self.own.after;
        if self.peers.is_empty() {
            return Verdict::Nothing;
        }
        let other = |(_, it): &&(NodeId, &StateDigest)| it.value != self.own.value;
        let differing = self.peers.iter().filter(other);
        let differing: Vec<NodeId> = differing.map(|(node, _)| *node).collect();
        if differing.is_empty() {
            return Verdict::Same { after };
        }
        if Self::is_majority(membership, &self.holders(self.own.value)) {
            return Verdict::OthersDiffer { after, differing };
        }
        let values = self.peers.iter().map(|(_, it)| it.value);
        let mut groups = values.map(|value| self.holders(value));
        match groups.find(|group| Self::is_majority(membership, group)) {
            Some(majority) => Verdict::Diverged { after, majority },
            None => Verdict::Undecided { after, differing },
        }
    }
}

/// Compares what `node` has noted with what the others have. The newest entry after which a
/// majority decides counts; of older ones only that, if states differ after a newer one.
pub fn compare(
    membership: &Membership,
    node: NodeId,
    own: &[StateDigest],
    peers: &[(NodeId, Vec<StateDigest>)],
) -> Verdict {
    let mut found = Verdict::Nothing;
    for own in own.iter().rev() {
        let is_alike = |it: &&StateDigest| it.after == own.after && it.kind == own.kind;
        let others = peers.iter().filter(|(peer, _)| *peer != node);
        let peers = others.filter_map(|(peer, all)| Some((*peer, all.iter().find(is_alike)?)));
        let ballot = Ballot {
            own: *own,
            node,
            peers: peers.collect(),
        };
        let verdict = ballot.verdict(membership);
        let is_undecided = matches!(found, Verdict::Undecided { .. });
        match verdict {
            Verdict::OthersDiffer { .. } | Verdict::Diverged { .. } => return verdict,
            Verdict::Same { .. } if found == Verdict::Nothing => {
                let all = ballot.holders(own.value);
                if Ballot::is_majority(membership, &all) {
                    return verdict;
                }
                found = verdict;
            }
            Verdict::Undecided { .. } if !is_undecided => found = verdict,
            Verdict::Nothing | Verdict::Same { .. } | Verdict::Undecided { .. } => {}
        }
    }
    found
}
