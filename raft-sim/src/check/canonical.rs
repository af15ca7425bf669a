//! The canonical form of a state: what two states have in common if nothing can tell them apart.
//!
//! A model checker ends only if it recognises a state that it has seen. Three things in a node's
//! state differ between states that behave alike, so they are left out or rewritten here. The core
//! knows nothing of this: its state is serialisable, and a [`serde::Serializer`] that recognises
//! the types [`Time`], [`Seq`] and [`NodeId`](raft_proto::NodeId) does it all.
//!
//! # Times
//!
//! Every node has a clock of its own, and [`raft_proto`] promises never to compare instants of two
//! nodes. Within a node, an instant is only compared with the node's present time or with another
//! of its instants, after a duration is added to either. So a node whose instants are all later by
//! the same amount behaves alike: instants are written relative to the node's clock.
//!
//! An instant that is longer ago than every duration that the core ever adds to one
//! ([`Canonical::OLD`]) has run out in every sense. Only the order among such instants can still
//! matter, so they are written as their rank among them. The epoch, which stands for "never yet" in
//! some fields, is such an instant: the clocks of models start much later.
//!
//! # Numbers of writes
//!
//! The core compares the number of a write only with the last one reported as persisted, or with
//! the number of another write. They are written relative to the last one reported; all that are
//! reported are one.
//!
//! # What is left out
//!
//! * `Config`: constant in a model, apart from what makes nodes differ (their ids).
//! * `Timeouts`, the counter of the random stream: in models, the range of election timeouts is a
//!   nanosecond, so every draw has the same result.
//! * `Overdue`, and since when the service makes no progress: read by nothing but the action
//!   `Overdue`, which models ignore.
//! * `Raft::wake_at`: it decides whether a deadline is told once more. Models let deadlines come
//!   when they like.
//! * `VoteRetry`: when a request for votes is sent once more. Models lose such copies, which is
//!   allowed, and have bounds of their own for messages that come twice (`step.rs`). Only founders
//!   of clusters with incarnations learn from it; models of those start with a founded cluster.
//! * `Raft::now`: the next event is at the node's clock or later, and sets it before it is read.
//! * `Window`'s measured latencies and byte counts: entries in models are a few bytes long, and the
//!   least window is 64 KiB. What a latency decides is only how long a leader waits before it sends
//!   something again.
//!
//! # Lists by node
//!
//! The core keeps lists with an element for each node (`peers`, `granted`, `votes_requested`), and
//! looks into them by id. Their order never matters, so they count as sets.

use super::encoder::Encoder;
use raft_proto::{Seq, Time};
use serde::Serialize;
use std::time::Duration;

/// Which instants can matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// All.
    All,
    /// Those of leaders: when they send something again. With Pre-Vote, CheckQuorum and leases off,
    /// nothing else but the election timer depends on time, and in models it always runs out when
    /// an election timeout passes: its length is always the same.
    OfLeaders,
}

/// Whether nodes serve reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// They do.
    Served,
    /// They do not: where a node's numbers of reads begin (it is drawn), and which term it has
    /// recovered, which tells its reads from those before a restart, do not matter.
    None,
}

/// What instants and numbers of writes are relative to, and what matters of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The node's clock.
    pub clock: Time,
    /// The last write reported as persisted.
    pub persisted: Seq,
    /// Which instants matter.
    pub times: Times,
    /// Whether reads do.
    pub reads: Reads,
}

impl Origin {
    /// For what holds no instants: messages, histories.
    pub const NONE: Origin = Origin {
        clock: Time::ZERO,
        persisted: Seq(0),
        times: Times::All,
        reads: Reads::Served,
    };
}

/// A state as a sequence of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Canonical {
    pub(super) tokens: Vec<u64>,
    /// Where node ids are, in order.
    pub(super) ids: Vec<u32>,
    /// Sets, in the order in which they begin.
    pub(super) sets: Vec<Set>,
}

/// A list whose order means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) start: u32,
    /// The ends of its elements.
    pub(super) ends: Vec<u32>,
}

impl Canonical {
    /// An instant that is longer ago than this is only compared with other instants. The longest
    /// duration that the core adds to an instant is the back-off of a handover: 10 greatest election
    /// timeouts, doubled five times. With the timeouts of models, that is 160 s.
    pub const OLD: Duration = Duration::from_secs(200);

    /// The canonical form of `value`.
    pub fn of(value: &impl Serialize, origin: Origin) -> Canonical {
        let mut encoder = Encoder::new(origin);
        // Every type of the state can be serialised, and writing to memory cannot fail.
        let written = value.serialize(&mut encoder);
        debug_assert!(written.is_ok(), "{written:?}");
        encoder.finish()
    }

    /// Its fingerprint, after every node's id was replaced as `rename` says.
    pub fn fingerprint(&self, rename: &Renaming) -> u64 {
        let mut hasher = Hasher::NEW;
        let (mut id, mut set) = (0, 0);
        self.hash(
            0,
            self.tokens.len(),
            rename,
            (&mut id, &mut set),
            &mut hasher,
        );
        hasher.finish()
    }

    fn hash(
        &self,
        from: usize,
        to: usize,
        rename: &Renaming,
        (id, set): (&mut usize, &mut usize),
        hasher: &mut Hasher,
    ) {
        let mut at = from;
        while at < to {
            if let Some(found) = self.sets.get(*set).filter(|it| it.start as usize == at) {
                *set += 1;
                let mut sum = 0u64;
                for end in found.ends.iter().map(|end| *end as usize) {
                    let mut element = Hasher::NEW;
                    self.hash(at, end, rename, (&mut *id, &mut *set), &mut element);
                    sum = sum.wrapping_add(element.finish());
                    at = end;
                }
                hasher.add(sum);
                continue;
            }
            let token = self.tokens.get(at).copied().unwrap_or_default();
            if self.ids.get(*id).is_some_and(|it| *it as usize == at) {
                *id += 1;
                hasher.add(rename.of(token));
            } else {
                hasher.add(token);
            }
            at += 1;
        }
    }
}

/// A permutation of the nodes `1..=n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renaming(Vec<u64>);

impl Renaming {
    /// Nobody changes its name.
    pub fn identity() -> Renaming {
        Renaming(Vec::new())
    }

    /// All permutations of `nodes` nodes, the identity first.
    pub fn all(nodes: usize) -> Vec<Renaming> {
        let mut all = vec![Vec::new()];
        for next in 1..=nodes as u64 {
            let insert = |names: &Vec<u64>| -> Vec<Vec<u64>> {
                let longer = |at: usize| {
                    let mut longer = names.clone();
                    longer.insert(at, next);
                    longer
                };
                (0..=names.len()).rev().map(longer).collect()
            };
            all = all.iter().flat_map(insert).collect();
        }
        all.into_iter().map(Renaming).collect()
    }

    fn of(&self, id: u64) -> u64 {
        let at = id.wrapping_sub(1);
        let name = usize::try_from(at).ok().and_then(|at| self.0.get(at));
        name.copied().unwrap_or(id)
    }
}

/// A hash of 64 bits, by folded multiplication.
#[derive(Clone, Copy)]
pub(super) struct Hasher(u64);

impl Hasher {
    pub(super) const NEW: Hasher = Hasher(0x243f_6a88_85a3_08d3);

    pub(super) fn add(&mut self, token: u64) {
        self.0 = fold(self.0 ^ token, 0x9e37_79b9_7f4a_7c15).wrapping_add(0x1319_8a2e_0370_7344);
    }

    pub(super) fn finish(self) -> u64 {
        scatter(self.0)
    }
}

/// Spreads a hash over all bits, so that sums of such hashes are as good as hashes.
pub(super) fn scatter(hash: u64) -> u64 {
    fold(hash ^ 0xa409_3822_299f_31d0, 0xbf58_476d_1ce4_e5b9)
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}
