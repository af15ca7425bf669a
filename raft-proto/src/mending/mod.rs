//! Fetching entries that a disk has lost in the midst of its log, from any peer: pure, as all of
//! this crate.
//!
//! This is no part of the consensus, and [`Raft::step`](crate::Raft::step) knows nothing of it. A
//! storage that has kept a digest of what was damaged can tell whether entries are exactly those
//! that it had. Once it has them again, its log is what it was: the node has lost nothing, and no
//! rule of the protocol is touched. So it does not matter who sends the entries, in which term, and
//! whether anybody leads. It even works when each node has lost something else.
//!
//! A driver does that before it makes its [`Raft`](crate::Raft): until the log is whole, the node
//! says nothing in the protocol. It answers peers that fetch entries, however, with what it has
//! whole ([`serve`]). Otherwise two damaged nodes would wait for each other. If nobody has what is
//! missing, or nobody answers in time, the rule for an impaired node takes over
//! ([`Recovered::impaired`](crate::Recovered::impaired)).
//!
//! ```
//! use raft_proto::mending::{Fetch, FetchReply, Mending, MendingStep, Missing, serve};
//! use raft_proto::{EntriesBuilder, EntryId, EntryKind, Index, NodeId, Time};
//!
//! let mut builder = EntriesBuilder::new();
//! for index in 1..=9 {
//!     builder.push(EntryId::new(index, 1), EntryKind::Command, "x".into())?;
//! }
//! let peer = [builder.finish()];
//! let missing = vec![Missing { parts: vec![(Index(3), Index(5))] }];
//! let mut mending = Mending::new(missing, vec![NodeId(2)], Time::ZERO);
//! let MendingStep::Ask { peer: node, fetch } = mending.next_step(Time::ZERO) else { panic!() };
//! let reply = serve(&peer, &fetch);
//! // The storage compares the entries with its digest.
//! mending.replied(node, &fetch, reply, &mut |_, parts| parts[0].len() == 3);
//! assert_eq!(mending.next_step(Time::ZERO), MendingStep::Mended);
//! # Ok::<(), raft_proto::NotConsecutive>(())
//! ```

pub mod codec;
mod offers;

pub use offers::Offers;

use crate::comparison::{Noted, StateDigest};
use crate::entries::{Entries, EntriesBuilder};
use crate::message::{SnapshotId, SnapshotMeta};
use crate::run::ENTRY_OVERHEAD;
use crate::types::{Index, NodeId, Time};
use alloc::vec::Vec;
use bytes::Bytes;

/// The most bytes of entries that one answer holds, unless the first of them is longer.
pub const MAX_FETCH_BYTES: u64 = 1 << 20;

/// Entries that are missing, and that can only be compared with what they were all together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The first and the last index of each part, in order. Between them are entries that are there.
    pub parts: Vec<(Index, Index)>,
}

/// Asks a peer for entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The first entry that is wanted.
    pub first: Index,
    /// The last one.
    pub last: Index,
    /// How many bytes of them at most, but at least one entry.
    pub max_bytes: u64,
}

/// What a node asks a peer for beside the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Entries that it has lost.
    Entries(Fetch),
    /// What the peer's state was after some entries, without its origins: the question of earlier
    /// releases. The reply holds no digest of a copy, since they would count it as a witness.
    Digests,
    /// What the peer's state was after some entries, and whose work it is
    /// ([`comparison`](crate::comparison)).
    Noted,
    /// Which snapshot the peer has, of its state after this entry or a later one.
    Snapshot {
        /// The entry's index.
        at_least: Index,
    },
    /// Bytes of a snapshot that the peer has named.
    Chunk {
        /// Which one.
        snapshot: SnapshotId,
        /// Where they begin.
        offset: u64,
        /// How many; at most [`MAX_FETCH_BYTES`].
        length: u64,
    },
}

/// What becomes of a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchReply {
    /// The peer has these, from the first that was asked for on.
    Entries(Entries),
    /// The peer has noted these. Nothing is said of their origins.
    Digests(Vec<StateDigest>),
    /// The peer has noted this.
    Noted(Noted),
    /// The peer has this snapshot.
    Snapshot(SnapshotMeta),
    /// The bytes that were asked for.
    Chunk(Bytes),
    /// The peer has not got it: it never had it, has compacted it, or has lost it, too. Of entries
    /// that is said of the first. A peer of an earlier release says so of all that it does not know.
    HaveNot,
    /// The peer was not reached, or could not answer now. It may be asked again.
    Unreachable,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MendingStep {
    /// Ask this peer, and give the reply to [`Mending::replied`].
    Ask {
        /// The peer.
        peer: NodeId,
        /// What it is asked for.
        fetch: Fetch,
    },
    /// Those who may have what is missing were not reached: wait a little, and ask again.
    Wait,
    /// All that was missing was accepted.
    Mended,
    /// What is missing cannot be had.
    GaveUp(GaveUp),
}

/// Why what is missing cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    /// All peers have answered, and none has this entry.
    NobodyHas(Index),
    /// What the peers have is not what was lost: the entries from this one on.
    Other(Index),
    /// The time is over.
    Time,
}

impl core::fmt::Display for GaveUp {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            GaveUp::NobodyHas(index) => write!(f, "no peer has entry {index}"),
            GaveUp::Other(index) => {
                write!(
                    f,
                    "what the peers have from entry {index} on is not what was lost"
                )
            }
            GaveUp::Time => f.write_str("those who may have what is lost were not reached in time"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Not asked yet for the entry that is wanted now.
    None,
    HasNot,
    Unreachable,
}

#[derive(Clone, Debug)]
struct Peer {
    node: NodeId,
    answer: Answer,
}

/// Fetches what is missing, one part after another, until all of it is accepted.
#[derive(Debug)]
pub struct Mending {
    missing: Vec<Missing>,
    peers: Vec<Peer>,
    deadline: Time,
    /// The one of `missing` that is fetched now.
    at: usize,
    /// How often that one was fetched, and was not what was lost.
    refused: usize,
    /// The parts of it that are complete, and the beginning of the next.
    parts: Vec<Entries>,
    part: EntriesBuilder,
    /// The next entry of that part.
    next: Option<Index>,
    gave_up: Option<GaveUp>,
}

impl Mending {
    /// Fetches these from these peers. From `deadline` on, it waits for no peer that is not reached;
    /// one that goes on replying with what is wanted is asked on.
    pub fn new(missing: Vec<Missing>, peers: Vec<NodeId>, deadline: Time) -> Mending {
        let answer = Answer::None;
        let peers = peers.into_iter().map(|node| Peer { node, answer });
        Mending {
            missing,
            peers: peers.collect(),
            deadline,
            at: 0,
            refused: 0,
            parts: Vec::new(),
            part: EntriesBuilder::new(),
            next: None,
            gave_up: None,
        }
    }

    /// The entries that are wanted now.
    fn wanted(&self) -> Option<(Index, Index)> {
        let missing = self.missing.get(self.at)?;
        let (first, last) = missing.parts.get(self.parts.len())?;
        Some((self.next.unwrap_or(*first), *last))
    }

    /// What is to be done next.
    pub fn next_step(&self, now: Time) -> MendingStep {
        if let Some(reason) = self.gave_up {
            return MendingStep::GaveUp(reason);
        }
        let Some((first, last)) = self.wanted() else {
            return MendingStep::Mended;
        };
        // After entries that were not those that were lost, another peer is asked first.
        let begin = self.refused % self.peers.len().max(1);
        let mut order = self.peers.iter().cycle().skip(begin).take(self.peers.len());
        if let Some(peer) = order.find(|peer| peer.answer == Answer::None) {
            let fetch = Fetch {
                first,
                last,
                max_bytes: MAX_FETCH_BYTES,
            };
            let peer = peer.node;
            return MendingStep::Ask { peer, fetch };
        }
        if self.peers.iter().all(|peer| peer.answer == Answer::HasNot) {
            return MendingStep::GaveUp(GaveUp::NobodyHas(first));
        }
        if now >= self.deadline {
            return MendingStep::GaveUp(GaveUp::Time);
        }
        MendingStep::Wait
    }

    /// The peers that have answered, and have not got the entries that are wanted now.
    pub fn lacking(&self) -> impl Iterator<Item = NodeId> + '_ {
        let lacking = |peer: &&Peer| peer.answer == Answer::HasNot;
        self.peers.iter().filter(lacking).map(|peer| peer.node)
    }

    /// Some time has passed: those that were not reached may be asked again.
    pub fn waited(&mut self) {
        for peer in &mut self.peers {
            if peer.answer == Answer::Unreachable {
                peer.answer = Answer::None;
            }
        }
    }

    /// A peer has replied, or was not reached. `accept` is given the number of one of
    /// [`missing`](Mending::new) and the entries of its parts, and tells whether they are what was
    /// lost.
    pub fn replied(
        &mut self,
        peer: NodeId,
        fetch: &Fetch,
        reply: FetchReply,
        accept: &mut dyn FnMut(usize, &[Entries]) -> bool,
    ) {
        let Some((first, last)) = self.wanted() else {
            return;
        };
        if (fetch.first, fetch.last) != (first, last) {
            return; // It comes late.
        }
        let answer = match reply {
            FetchReply::Entries(entries) => {
                if self.take(&entries, first, last) {
                    return self.took(accept);
                }
                Answer::HasNot
            }
            FetchReply::Digests(_)
            | FetchReply::Noted(_)
            | FetchReply::Snapshot(_)
            | FetchReply::Chunk(_)
            | FetchReply::HaveNot => Answer::HasNot,
            FetchReply::Unreachable => Answer::Unreachable,
        };
        if let Some(found) = self.peers.iter_mut().find(|it| it.node == peer) {
            found.answer = answer;
        }
        let is_begun = self.next.is_some() || !self.parts.is_empty();
        if is_begun && self.peers.iter().all(|it| it.answer == Answer::HasNot) {
            // The beginning may be of a peer that had something else there.
            self.begin_again(GaveUp::NobodyHas(first));
        }
    }

    /// Nothing of what was fetched of this one counts.
    fn begin_again(&mut self, reason: GaveUp) {
        self.refused += 1;
        self.next = None;
        self.part = EntriesBuilder::new();
        self.parts.clear();
        self.ask_again();
        if self.refused < self.peers.len() {
            return;
        }
        let mut answers = self.peers.iter().map(|peer| peer.answer);
        if !answers.any(|answer| answer == Answer::Unreachable) {
            self.gave_up = Some(reason);
            return;
        }
        // A peer that is not reached yet may have what was lost.
        self.refused = 0;
        for peer in &mut self.peers {
            if peer.answer == Answer::None {
                peer.answer = Answer::HasNot;
            }
        }
    }

    /// All peers may be asked again, but those that were not reached: they get some time.
    fn ask_again(&mut self) {
        for peer in &mut self.peers {
            if peer.answer != Answer::Unreachable {
                peer.answer = Answer::None;
            }
        }
    }

    /// Returns whether any of these entries are wanted.
    fn take(&mut self, entries: &Entries, first: Index, last: Index) -> bool {
        if entries.first_index() != Some(first) {
            return false;
        }
        for entry in entries.iter().take_while(|entry| entry.index() <= last) {
            let pushed = self
                .part
                .push(entry.id(), entry.kind(), entry.share_payload());
            if pushed.is_err() {
                break; // Its term is lower than that of the entry before, which another peer sent.
            }
            self.next = Some(entry.index().next());
        }
        self.next > Some(first)
    }

    /// Goes on after entries were taken.
    fn took(&mut self, accept: &mut dyn FnMut(usize, &[Entries]) -> bool) {
        self.ask_again();
        let Some((next, last)) = self.wanted() else {
            return;
        };
        if next <= last {
            return;
        }
        self.next = None;
        self.parts.push(core::mem::take(&mut self.part).finish());
        if self.wanted().is_some() {
            return; // The next part follows.
        }
        if accept(self.at, &self.parts) {
            self.at += 1;
            self.refused = 0;
            self.parts.clear();
        } else {
            let first = self.parts.first().and_then(Entries::first_index);
            self.begin_again(GaveUp::Other(first.unwrap_or_default()));
        }
    }
}

/// The answer of a node that has these entries whole, in order and with gaps.
pub fn serve(whole: &[Entries], fetch: &Fetch) -> FetchReply {
    let holds = |entries: &&Entries| {
        let (first, last) = (entries.first_index(), entries.last_id());
        first.is_some_and(|first| first <= fetch.first)
            && last.is_some_and(|last| last.index >= fetch.first)
    };
    let Some(entries) = whole.iter().find(holds) else {
        return FetchReply::HaveNot;
    };
    let mut found = EntriesBuilder::new();
    let (mut bytes, mut is_empty) = (0, true);
    let wanted = entries.iter().skip_while(|it| it.index() < fetch.first);
    for entry in wanted.take_while(|it| it.index() <= fetch.last) {
        bytes += entry.payload().len() as u64 + ENTRY_OVERHEAD;
        if bytes > fetch.max_bytes && !is_empty {
            break;
        }
        is_empty = false;
        // They follow one another, as they do there.
        let _ = found.push(entry.id(), entry.kind(), entry.share_payload());
    }
    if is_empty {
        return FetchReply::HaveNot;
    }
    FetchReply::Entries(found.finish())
}
