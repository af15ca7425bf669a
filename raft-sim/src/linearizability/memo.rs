//! The points that a search has visited.

use super::bits::is_subset;
use core::hash::{Hash, Hasher};
use core::ops::Range;
use rustc_hash::{FxHashMap, FxHasher};

/// A point of a search: which operations have been placed, and the state after them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point<'a, S> {
    /// One more than the greatest number of an operation of known outcome that is placed.
    pub(super) end: usize,
    /// The operations with smaller numbers that are not placed.
    pub(super) missing: &'a [u64],
    pub(super) state: &'a S,
    /// The operations of unknown outcome that are assumed to have taken effect.
    pub(super) used: &'a [u64],
}

/// The points that a search has visited (Lowe's memoization).
///
/// Let two points differ only in the operations of unknown outcome that they have used, and let one
/// have used a part of what the other has used. Then it leads to everything that the other leads
/// to: the remaining ones may still take effect, or never. So a point counts as visited if such a
/// point was visited.
///
/// Only membership is asked, so the order of a hash decides nothing.
#[derive(Debug)]
pub(super) struct Memo<S> {
    /// The latest visit, by the hash of all but `used`.
    latest: FxHashMap<u64, usize>,
    visits: Vec<Visit<S>>,
    /// The sets of all visits, one after the other.
    words: Vec<u64>,
}

#[derive(Debug)]
struct Visit<S> {
    /// An earlier visit with the same hash.
    earlier: Option<usize>,
    end: usize,
    state: S,
    missing: Range<usize>,
    used: Range<usize>,
}

impl<S: Clone + Eq + Hash> Memo<S> {
    pub(super) fn new() -> Memo<S> {
        Memo {
            latest: FxHashMap::default(),
            visits: Vec::new(),
            words: Vec::new(),
        }
    }

    /// Visits a point. Whether it is new.
    pub(super) fn visit(&mut self, point: Point<'_, S>) -> bool {
        let hash = hash(&point);
        let earlier = self.latest.get(&hash).copied();
        let mut at = earlier;
        while let Some(visit) = at.and_then(|at| self.visits.get(at)) {
            if self.covers(visit, &point) {
                return false;
            }
            at = visit.earlier;
        }
        let missing = self.keep(point.missing);
        let used = self.keep(point.used);
        self.latest.insert(hash, self.visits.len());
        self.visits.push(Visit {
            earlier,
            end: point.end,
            state: point.state.clone(),
            missing,
            used,
        });
        true
    }

    fn covers(&self, visit: &Visit<S>, point: &Point<'_, S>) -> bool {
        visit.end == point.end
            && self.words[visit.missing.clone()] == *point.missing
            && visit.state == *point.state
            && is_subset(&self.words[visit.used.clone()], point.used)
    }

    fn keep(&mut self, words: &[u64]) -> Range<usize> {
        let begin = self.words.len();
        self.words.extend_from_slice(words);
        begin..self.words.len()
    }
}

fn hash<S: Hash>(point: &Point<'_, S>) -> u64 {
    let mut hasher = FxHasher::default();
    point.end.hash(&mut hasher);
    point.missing.hash(&mut hasher);
    point.state.hash(&mut hasher);
    hasher.finish()
}
