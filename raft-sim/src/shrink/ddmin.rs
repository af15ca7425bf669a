//! Delta debugging: leaves out ever smaller parts, as long as what is left still fails.

use core::ops::Range;

/// Leaves out ranges of items, from all of them down to single ones. `first` is given ranges, each
/// of which might go, and says which one went and how many items are left; none: all are needed.
/// Of a test that always answers the same nothing can be left out in the end.
///
/// Ranges are at least `floor` long, or as long as there are items.
pub fn minimize(
    mut len: usize,
    floor: usize,
    mut first: impl FnMut(&[Range<usize>]) -> Option<(usize, usize)>,
) {
    let floor = floor.max(1);
    let mut size = len;
    while len > 0 && size >= floor {
        let mut from = 0;
        while len > 0 {
            let ranges = ranges(len, size, from);
            let Some((which, left)) = first(&ranges) else {
                break;
            };
            from = ranges.get(which).map_or(0, |range| range.start);
            len = left;
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

/// A part of `items` that still `fails`, of which no single item can be left out. `items` itself
/// must fail.
///
/// ```
/// use raft_sim::shrink::ddmin::ddmin;
///
/// let fails = |items: &[u32]| items.contains(&3) && items.contains(&7);
/// assert_eq!(ddmin((0..100).collect(), fails), [3, 7]);
/// ```
pub fn ddmin<T: Clone>(mut items: Vec<T>, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    minimize(items.len(), 1, |ranges| {
        for (which, range) in ranges.iter().enumerate() {
            let mut rest = items.clone();
            rest.drain(range.clone());
            if fails(&rest) {
                items = rest;
                return Some((which, items.len()));
            }
        }
        None
    });
    items
}
