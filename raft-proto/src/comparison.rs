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
//! What this cannot find is a majority that is wrong in the same way, by a defect that they share.
//!
//! # What a copy counts
//!
//! A node that is behind and is sent a snapshot by a leader whose state is wrong holds that state,
//! too. It is no second witness: it has not come to that state by itself. So each digest has an
//! *origin*, the node whose work the state is ([`StateDigest::origin`]):
//!
//! * A node that has applied every entry itself, from the empty state on, is the origin of its
//!   state.
//! * A snapshot has the origin of the state that it was made of, and a state that is restored from
//!   a snapshot has the origin of that snapshot. So a copy of a copy has the origin of the first.
//!   What a node applies behind a snapshot does not change that: if the snapshot is wrong, what
//!   follows is wrong, too.
//! * The origin of a snapshot is stored beside it, and told to those that are given it. Where
//!   nobody has said it, as with a snapshot that an earlier release has stored, it is unknown.
//!
//! In a majority, all voters whose digests have the same origin count as one, and those of unknown
//! origin count for nothing. So a wrong state that one node has come to is one witness, however
//! often it was copied, and of three nodes it convicts nobody. Nobody is convicted who would not be
//! if copies counted: the argument above holds unchanged. The price is that fewer comparisons are
//! decided. If a majority holds a copy of one state, no majority can be reached against or for it;
//! the verdict is [`Undecided`](Verdict::Undecided), names those that hold copies, and an operator
//! decides.
//!
//! A copy does not stay one for ever ([`agreed`]). A node becomes the origin of its state as of an
//! entry after which it holds the same as
//!
//! * a majority, counted as above: whoever differs after that entry is found at fault without this
//!   node; or
//! * all voters, while no learner that has answered differs: nobody is left against whom it could
//!   be a judge. So a cluster all of whose snapshots are of unknown origin, or of one, gets its
//!   witnesses back.
//!
//! Either way the copy has decided nothing about what came before that entry, and what comes behind
//! it the node applies by itself. A voter that was not asked, or has not answered, keeps the second
//! from happening. But one that the configuration does not name is not asked: an operator who
//! removes a node while states differ has decided against its state.
//!
//! Nothing of that is in the log. The index at which replicas compare is given by counting, which
//! needs no entry: so there is none that an older release would have to understand, and a replica
//! whose release, or whose service, notes nothing simply does not count as having answered.

use crate::membership::{Half, Membership};
use crate::message::SnapshotId;
use crate::quorum::is_reached_by_distinct;
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
    /// The node whose work the state is: this one, or the one whose state was copied to it. `None`
    /// if that is not known.
    pub origin: Option<NodeId>,
}

/// Whose work a stored snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotOrigin {
    /// The snapshot. Its id says what its bytes are, so the same holds for whoever stores it.
    pub snapshot: SnapshotId,
    /// The [origin](StateDigest::origin) of the state that it was made of.
    pub origin: NodeId,
}

/// What a replica tells others of its states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// What its state was after some entries, in order.
    pub digests: Vec<StateDigest>,
    /// The origins of the last snapshots that it has stored, as far as it knows them.
    pub snapshots: Vec<SnapshotOrigin>,
}

/// The digests that a replica keeps: more of the last entries, fewer of those long before.
///
/// Replicas are never asked at one moment, and one lags behind another by any number of entries. So
/// of each power of two times the distance the first and the last two multiples are kept: however
/// far one lags behind, there is an index that both have. That is some hundred digests, whatever
/// was applied.
///
/// ```
/// use raft_proto::comparison::Digests;
/// use raft_proto::{EntryId, Index, NodeId};
///
/// let mut digests = Digests::new(10, Some(NodeId(1)));
/// assert_eq!(digests.next_after(Index(7)), Index(10));
/// for index in (10..=1000).step_by(10) {
///     digests.note(EntryId::new(index, 1), 1, index.into());
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
    origin: Option<NodeId>,
    replacements: u64,
}

impl Digests {
    /// Digests are noted after the entries whose index is a multiple of `distance`; at least of 1.
    /// `origin` is that of the state ([`StateDigest::origin`]).
    pub fn new(distance: u64, origin: Option<NodeId>) -> Digests {
        Digests {
            distance: distance.max(1),
            noted: BTreeMap::new(),
            latest: None,
            origin,
            replacements: 0,
        }
    }

    /// The first index at which a digest is to be noted, of those behind this one.
    pub fn next_after(&self, index: Index) -> Index {
        let next = (index.0 / self.distance).saturating_add(1);
        Index(next.saturating_mul(self.distance))
    }

    /// Notes the digest `value` of the kind `kind`. One that is not at a [distance](Digests::new)
    /// is kept until the next one: when nothing more is applied, all replicas come to the same last
    /// entry.
    pub fn note(&mut self, after: EntryId, kind: u64, value: u128) {
        let index = after.index;
        let digest = StateDigest {
            after,
            kind,
            value,
            origin: self.origin,
        };
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

    /// Another state takes the place of the one before, which says nothing about it. `origin` is
    /// that of the new one.
    pub fn replace(&mut self, origin: Option<NodeId>) {
        self.noted.clear();
        self.latest = None;
        self.origin = origin;
        self.replacements = self.replacements.wrapping_add(1);
    }

    /// How often the state was [replaced](Digests::replace).
    pub fn replacements(&self) -> u64 {
        self.replacements
    }

    /// The origin of the state as it is now.
    pub fn origin(&self) -> Option<NodeId> {
        self.origin
    }

    /// What was [unknown](StateDigest::origin) of the state is known now. A known origin stays.
    pub fn set_unknown_origin(&mut self, origin: NodeId) {
        if self.origin.is_none() {
            self.origin = Some(origin);
            let all = self.noted.values_mut().chain(&mut self.latest);
            all.for_each(|digest| digest.origin = digest.origin.or(Some(origin)));
        }
    }

    /// Behind this entry, `node` is the origin of its own state: it was found to be the same as
    /// others after it ([`agreed`]). This is void if the state was replaced since `replacements` was
    /// [read](Digests::replacements).
    pub fn begin_own_origin(&mut self, node: NodeId, after: Index, replacements: u64) {
        if self.replacements != replacements {
            return;
        }
        self.origin = Some(node);
        let all = self.noted.values_mut().chain(&mut self.latest);
        let behind = all.filter(|digest| digest.after.index > after);
        behind.for_each(|digest| digest.origin = Some(node));
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
    /// States differ, and there is no majority that holds the same, or it is one only if copies
    /// count.
    Undecided {
        /// After this entry.
        after: EntryId,
        /// Those that hold another state than this node.
        differing: Vec<NodeId>,
        /// Those whose state is a copy, or of unknown origin, this node included. They are no
        /// witnesses of their own.
        copies: Vec<NodeId>,
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

    /// All that have noted the entry.
    fn all(&self) -> impl Iterator<Item = (NodeId, &StateDigest)> {
        let peers = self.peers.iter().map(|(node, digest)| (*node, *digest));
        core::iter::once((self.node, &self.own)).chain(peers)
    }

    /// Whether those that hold this are a majority, if each origin counts once.
    fn is_majority(&self, membership: &Membership, value: u128) -> bool {
        is_reached_by_distinct(membership, |voter| {
            let mut holders = self.all().filter(|(_, it)| it.value == value);
            let found = holders.find(|(node, _)| *node == voter);
            found.and_then(|(_, it)| it.origin)
        })
    }

    fn copies(&self) -> Vec<NodeId> {
        let copies = self.all().filter(|(node, it)| it.origin != Some(*node));
        copies.map(|(node, _)| node).collect()
    }

    /// Whether all voters have noted the entry, and all that have noted it hold the same.
    fn is_unanimous(&self, membership: &Membership) -> bool {
        let has_noted = |voter: NodeId| self.all().any(|(node, _)| node == voter);
        let mut voters = [Half::New, Half::Old]
            .into_iter()
            .flat_map(|half| membership.half(half));
        let has_other = |it: &StateDigest| it.value != self.own.value;
        voters.all(has_noted) && !self.all().any(|(_, it)| has_other(it))
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
        if self.is_majority(membership, self.own.value) {
            return Verdict::OthersDiffer { after, differing };
        }
        let mut values = self.peers.iter().map(|(_, it)| it.value);
        match values.find(|value| self.is_majority(membership, *value)) {
            Some(value) => Verdict::Diverged {
                after,
                majority: self.holders(value),
            },
            None => Verdict::Undecided {
                after,
                differing,
                copies: self.copies(),
            },
        }
    }
}

/// Those that have noted the same entries as `node`, the newest first.
fn ballots<'a>(
    node: NodeId,
    own: &'a [StateDigest],
    peers: &'a [(NodeId, Vec<StateDigest>)],
) -> impl Iterator<Item = Ballot<'a>> {
    own.iter().rev().map(move |own| {
        let is_alike = |it: &&StateDigest| it.after == own.after && it.kind == own.kind;
        let others = peers.iter().filter(|(peer, _)| *peer != node);
        let peers = others.filter_map(|(peer, all)| Some((*peer, all.iter().find(is_alike)?)));
        Ballot {
            own: *own,
            node,
            peers: peers.collect(),
        }
    })
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
    for ballot in ballots(node, own, peers) {
        let verdict = ballot.verdict(membership);
        let is_undecided = matches!(found, Verdict::Undecided { .. });
        match verdict {
            Verdict::OthersDiffer { .. } | Verdict::Diverged { .. } => return verdict,
            Verdict::Same { .. } if found == Verdict::Nothing => {
                if ballot.is_majority(membership, ballot.own.value) {
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

/// The last entry after which `node` holds what a majority does, or what all voters do: behind it,
/// the node is a witness of its own, also if its state is a copy (see [above](self)).
pub fn agreed(
    membership: &Membership,
    node: NodeId,
    own: &[StateDigest],
    peers: &[(NodeId, Vec<StateDigest>)],
) -> Option<EntryId> {
    let mut ballots = ballots(node, own, peers);
    let found = ballots.find(|ballot| {
        let is_of_majority = ballot.is_majority(membership, ballot.own.value);
        is_of_majority || ballot.is_unanimous(membership)
    });
    found.map(|ballot| ballot.own.after)
}
