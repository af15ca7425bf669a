//! Aligns the clocks of the instances.
//!
//! Each instance has a clock of its own, and nothing tells how far it is from another one but this:
//! a message is received after it was sent. Each message gives a lower bound on the difference of
//! two clocks, and messages in both directions bound it from both sides. The difference is taken in
//! the middle; half of the width, which is half of the shortest round trip seen, is its
//! uncertainty. Bounds are passed on: two nodes that never spoke with each other are aligned
//! through a third. An instance begins after the one before it of the same node has ended.
//!
//! Clocks that run at different rates make bounds contradict each other in a long recording. By
//! how much is said; what is told of the time between two nodes is then uncertain by that.

use super::instance::Instance;
use raft_proto::{NodeId, Time};
use rustc_hash::FxHashMap;

/// No bound.
const NONE: i64 = i64::MIN;

/// How the clocks of the instances lie to each other.
#[derive(Debug)]
pub(super) struct Clocks {
    /// What is added to a time of an instance. The earliest event of all is at 0.
    offsets: Vec<i64>,
    /// `bounds[a][b]`: the offset of b is at least so much above that of a.
    bounds: Vec<Vec<i64>>,
    /// By how much bounds contradict each other at most; 0 if they do not.
    pub(super) contradiction: u64,
}

fn local(time: Time) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn plus(one: i64, other: i64) -> i64 {
    if one == NONE || other == NONE {
        NONE
    } else {
        one.saturating_add(other)
    }
}

impl Clocks {
    /// Aligns the clocks by what the instances have sent and received.
    pub(super) fn align(instances: &[Instance]) -> Clocks {
        let mut bounds = bounds(instances);
        let contradiction = reconcile(&mut bounds);
        close(&mut bounds);
        let mut offsets = place(&bounds);
        let firsts = instances.iter().zip(&offsets);
        let begin = firsts
            .map(|(instance, offset)| local(instance.first).saturating_add(*offset))
            .min();
        for offset in &mut offsets {
            *offset = offset.saturating_sub(begin.unwrap_or(0));
        }
        Clocks {
            offsets,
            bounds,
            contradiction,
        }
    }

    /// A time of an instance on the common axis, in nanoseconds.
    pub(super) fn common(&self, instance: usize, time: Time) -> i64 {
        let offset = self.offsets.get(instance).copied().unwrap_or(0);
        local(time).saturating_add(offset)
    }

    /// A time of the common axis on the clock of an instance; 0 if that is before its epoch.
    pub(super) fn local(&self, instance: usize, common: i64) -> Time {
        let offset = self.offsets.get(instance).copied().unwrap_or(0);
        Time(u64::try_from(common.saturating_sub(offset)).unwrap_or(0))
    }

    /// By how much the difference of two clocks may be wrong, either way; `None` if there are no
    /// messages in both directions to tell.
    pub(super) fn uncertainty(&self, one: usize, other: usize) -> Option<u64> {
        let bound = |a: usize, b: usize| {
            let bound = self.bounds.get(a)?.get(b)?;
            (*bound != NONE).then_some(*bound)
        };
        let width = bound(one, other)?.saturating_add(bound(other, one)?);
        Some(width.min(0).unsigned_abs() / 2)
    }
}

/// The bounds that single messages and restarts give.
fn bounds(instances: &[Instance]) -> Vec<Vec<i64>> {
    let mut bounds = vec![vec![NONE; instances.len()]; instances.len()];
    let mut by_node: FxHashMap<NodeId, Vec<usize>> = FxHashMap::default();
    for (at, instance) in instances.iter().enumerate() {
        by_node.entry(instance.node).or_default().push(at);
    }
    let mut raise = |from: usize, to: usize, bound: i64| {
        if let Some(known) = bounds.get_mut(from).and_then(|row| row.get_mut(to)) {
            *known = (*known).max(bound);
        }
    };
    for (to, receiver) in instances.iter().enumerate() {
        for message in &receiver.received {
            let senders = by_node.get(&message.peer).map_or(&[][..], Vec::as_slice);
            let sent = senders.iter().filter_map(|from| {
                let sender = instances.get(*from)?;
                let first = sender
                    .sent_as
                    .get(&(receiver.node, message.digest))?
                    .first()?;
                Some((*from, sender.sent.get(*first)?.at))
            });
            // Equal messages of two instances: nothing tells which of them this is.
            let mut sent = sent;
            if let (Some((from, at)), None) = (sent.next(), sent.next()) {
                // The first of equal messages: the bound holds whichever of them arrived.
                raise(from, to, local(at).saturating_sub(local(message.at)));
            }
        }
    }
    for starts in by_node.values() {
        for pair in starts.windows(2) {
            if let [before, after] = pair
                && let (Some(one), Some(other)) = (instances.get(*before), instances.get(*after))
            {
                raise(
                    *before,
                    *after,
                    local(one.last).saturating_sub(local(other.first)),
                );
            }
        }
    }
    bounds
}

/// Bounds of two instances that contradict each other meet in the middle. Returns the greatest
/// contradiction.
fn reconcile(bounds: &mut [Vec<i64>]) -> u64 {
    let mut greatest = 0;
    for one in 0..bounds.len() {
        for other in 0..one {
            let (there, back) = (get(bounds, one, other), get(bounds, other, one));
            let excess = plus(there, back);
            if excess <= 0 {
                continue;
            }
            greatest = greatest.max(excess.unsigned_abs());
            let half = excess / 2;
            set(bounds, one, other, there.saturating_sub(half));
            set(bounds, other, one, back.saturating_sub(excess - half));
        }
    }
    greatest
}

fn get(bounds: &[Vec<i64>], from: usize, to: usize) -> i64 {
    let row = bounds.get(from);
    row.and_then(|row| row.get(to)).copied().unwrap_or(NONE)
}

fn set(bounds: &mut [Vec<i64>], from: usize, to: usize, bound: i64) {
    if let Some(known) = bounds.get_mut(from).and_then(|row| row.get_mut(to)) {
        *known = bound;
    }
}

/// Passes bounds on (Floyd and Warshall).
fn close(bounds: &mut [Vec<i64>]) {
    let count = bounds.len();
    for via in 0..count {
        for from in 0..count {
            for to in 0..count {
                let bound = plus(get(bounds, from, via), get(bounds, via, to));
                if from != to && bound > get(bounds, from, to) {
                    set(bounds, from, to, bound);
                }
            }
        }
    }
}

/// Chooses an offset for each instance. Those that bound each other from both sides are a group,
/// and lie in the middle of their bounds to its first member. A group comes as soon after another
/// as its bounds let it.
fn place(bounds: &[Vec<i64>]) -> Vec<i64> {
    let count = bounds.len();
    let is_bound = |a: usize, b: usize| get(bounds, a, b) != NONE && get(bounds, b, a) != NONE;
    let mut root: Vec<usize> = (0..count).collect();
    let mut offsets = vec![0; count];
    for at in 0..count {
        if let Some(first) = (0..at).find(|first| is_bound(*first, at)) {
            let first = root.get(first).copied().unwrap_or(first);
            let (least, most) = (get(bounds, first, at), -get(bounds, at, first));
            if let (Some(root), Some(offset)) = (root.get_mut(at), offsets.get_mut(at)) {
                (*root, *offset) = (first, least + (most - least) / 2);
            }
        }
    }
    // As many rounds as there can be groups one behind the other.
    for _ in 0..count {
        for at in 0..count {
            let of = |it: usize| offsets.get(it).copied().unwrap_or(0);
            let behind = (0..count).filter(|from| !is_bound(*from, at) && *from != at);
            let shifts = behind.map(|from| {
                let bound = get(bounds, from, at);
                plus(bound, of(from)).saturating_sub(of(at))
            });
            let shift = shifts.max().unwrap_or(0);
            if shift <= 0 {
                continue;
            }
            let group = root.get(at).copied();
            for (offset, root) in offsets.iter_mut().zip(&root) {
                if Some(*root) == group {
                    *offset += shift;
                }
            }
        }
    }
    offsets
}
