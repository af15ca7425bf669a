//! Delta debugging: leaves out smaller and smaller parts, as long as the rest still fails.

use core::ops::Range;

/// A range of items that was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its number among the ranges that were offered.
    pub range: usize,
    /// How many items are left.
    pub items: usize,
}

/// Leaves out ranges of `len` items, from all of them down to single ones. `first` is offered
/// ranges and leaves out the first one without which the rest still fails; `None` if there is none.
/// If `first` always answers the same for the same items, no single range can be left out in the
/// end.
///
/// Ranges are at least `floor` long, or as long as there are items.
pub fn minimize(
    mut len: usize,
    floor: usize,
    mut first: impl FnMut(&[Range<usize>]) -> Option<LeftOut>,
) {
    let floor = floor.max(1);
    let mut size = len;
    while len > 0 && size >= floor {
        let mut from = 0;
        while len > 0 {
            let ranges = ranges(len, size, from);
            let Some(left_out) = first(&ranges) else {
                break;
            };
            from = ranges.get(left_out.range).map_or(0, |range| range.start);
            len = left_out.items;
        }
        size = size.min(len) / 2;
    }
}

/// All ranges of this size, beginning with the one at `from`.
fn ranges(len: usize, size: usize, from: usize) -> Vec<Range<usize>> {
    let starts = (0..len).step_by(size.max(1));
    let mut ranges: Vec<_> = starts.map(|at| at..len.min(at + size)).collect();
    let at = ranges.partition_point(|range| range.start < from);
    let at = at % ranges.len().max(1);
    ranges.rotate_left(at);
    ranges
}

/// A part of `items` that still `fails`, and from which no single item can be left out. `items`
/// itself must fail.
///
/// ```
/// use raft_sim::shrink::ddmin::ddmin;
///
/// let fails = |items: &[u32]| items.contains(&3) && items.contains(&7);
/// assert_eq!(ddmin((0..100).collect(), fails), [3, 7]);
/// ```
pub fn ddmin<T: Clone>(mut items: Vec<T>, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    minimize(items.len(), 1, |ranges| {
        for (at, range) in ranges.iter().enumerate() {
            let mut rest = items.clone();
            rest.drain(range.clone());
            if fails(&rest) {
                items = rest;
                return Some(LeftOut {
                    range: at,
                    items: items.len(),
                });
            }
        }
        None
    });
    items
}
