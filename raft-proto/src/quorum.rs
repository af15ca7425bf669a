//! Majorities (section 5.2): any two of them share a member.
//!
//! Pure arithmetic, apart from everything that acts on it.

use crate::types::Index;

/// How many of `voters` make a majority: more than half.
pub(crate) fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The greatest index that a majority has reached. `reached` holds one element a voter, and is
/// sorted by this. Index 0 if there are no voters.
///
/// ```text
/// voters   a  b  c  d  e
/// reached  9  4  7  2  7      sorted 9 7 7 4 2: three have reached 7
/// ```
pub(crate) fn majority_index(reached: &mut [Index]) -> Index {
    reached.sort_unstable_by(|a, b| b.cmp(a));
    match majority(reached.len()).checked_sub(1) {
        Some(at) => reached.get(at).copied().unwrap_or(Index::ZERO),
        None => Index::ZERO,
    }
}
