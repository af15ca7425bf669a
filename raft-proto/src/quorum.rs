//! Majorities (section 5.2): any two of them share a member. In a joint configuration (section
//! 6) every decision needs a majority of the old voters and one of the new voters, each counted by
//! itself. A majority of both together would not do.
//!
//! Pure arithmetic, for votes, matchIndexes, rounds and times alike.

use crate::membership::{Half, Membership};
use crate::types::NodeId;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// How many voters fit without an allocation.
const INLINE_VOTERS: usize = 9;

/// The greatest value that a majority of the voters has reached, of both halves if joint.
/// `None` if there are no voters.
///
/// ```text
/// voters   a  b  c  d  e
/// reached  9  4  7  2  7      sorted 9 7 7 4 2: three have reached 7
///
/// old      a  b  c            sorted 9 7 4: two have reached 7
/// new            c  d  e      sorted 7 7 2: two have reached 7     joint: 7
/// ```
///
/// For a `bool`, `Some(true)` means that it is true of a majority.
pub(crate) fn reached<T: Ord + Copy + Default>(
    membership: &Membership,
    mut value: impl FnMut(NodeId) -> T,
) -> Option<T> {
    let new = of_majority(membership.half(Half::New).map(&mut value))?;
    if !membership.is_joint() {
        return Some(new);
    }
    let old = of_majority(membership.half(Half::Old).map(&mut value))?;
    Some(new.min(old))
}

/// Whether a majority of the voters has a value, of both halves if joint, where voters that have
/// the same value count as one.
///
/// ```text
/// voters   a  b  c  d  e
/// value    1  1  2  3  -      three different ones: a majority of five
/// value    1  1  2  2  2      two: none
/// ```
pub(crate) fn is_reached_by_distinct<T: Ord>(
    membership: &Membership,
    value: impl Fn(NodeId) -> Option<T>,
) -> bool {
    let is_reached = |half: Half| {
        let voters = membership.half(half).count();
        let distinct: BTreeSet<T> = membership.half(half).filter_map(&value).collect();
        distinct.len() > voters / 2
    };
    is_reached(Half::New) && (!membership.is_joint() || is_reached(Half::Old))
}

/// The greatest value that more than half of `values` have reached.
fn of_majority<T: Ord + Copy + Default>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut inline = [T::default(); INLINE_VOTERS];
    let mut spilled = Vec::new();
    let mut count = 0;
    for value in values {
        match inline.get_mut(count) {
            Some(slot) => *slot = value,
            None => {
                if spilled.is_empty() {
                    spilled.extend_from_slice(&inline);
                }
                spilled.push(value);
            }
        }
        count += 1;
    }
    let values = if spilled.is_empty() {
        inline.get_mut(..count)?
    } else {
        &mut spilled[..]
    };
    values.sort_unstable_by(|a, b| b.cmp(a));
    values.get(count / 2).copied()
}
