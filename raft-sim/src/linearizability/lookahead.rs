//! What is known of operations before the search.

use super::model::Model;
use super::problem::{Known, Segment};

/// The operations that may come right after an operation of known outcome, and to which it can
/// matter.
#[derive(Clone, Debug, Default)]
pub(super) struct Followers {
    /// Whether it is a write that can matter to no operation: nobody ever sees its value.
    pub(super) is_idle: bool,
    /// Those of known outcome. If there are many, only some of them.
    pub(super) known: Vec<usize>,
}

/// For each operation at most so many others are looked at.
const REACH: usize = 4096;

/// So many followers are remembered of each operation.
const REMEMBERED: usize = 8;

/// The followers of each operation of known outcome.
pub(super) fn followers<M: Model>(segment: &Segment<'_, M>) -> Vec<Followers> {
    let known = &segment.known;
    let mut first_end: Vec<u64> = known.iter().map(|known| known.returned).collect();
    let mut last_end = first_end.clone();
    for at in (1..known.len()).rev() {
        first_end[at - 1] = first_end[at - 1].min(first_end[at]);
    }
    for at in 1..known.len() {
        last_end[at] = last_end[at].max(last_end[at - 1]);
    }
    let find = |at: usize| {
        // Let another operation begin after the end of this one. What begins after the end of that
        // operation cannot come right after this one.
        let this = &known[at];
        if M::is_read(this.input, Some(this.output)) {
            return Followers::default();
        }
        let after = known.partition_point(|other| other.invoked <= this.returned);
        let until = first_end.get(after).copied().unwrap_or(u64::MAX);
        let end = known.partition_point(|other| other.invoked <= until);
        let begin = last_end.partition_point(|last| *last < this.invoked);
        let is_in_sight = segment.horizon.is_none_or(|horizon| until < horizon);
        if end - begin > REACH {
            return Followers::default();
        }
        let followers = (begin..end).filter(|other| *other != at);
        let followers = followers.filter(|other| can_follow(this, &known[*other]));
        let mut followers = followers.take(REMEMBERED).peekable();
        let is_idle = is_in_sight
            && followers.peek().is_none()
            && M::overwrites(this.input, Some(this.output))
            && !is_seen_by_open(segment, this, until);
        Followers {
            is_idle,
            known: followers.collect(),
        }
    };
    (0..known.len()).map(find).collect()
}

/// Whether `next` may come after `this`, which can matter to it.
fn can_follow<M: Model>(this: &Known<'_, M>, next: &Known<'_, M>) -> bool {
    next.returned >= this.invoked && M::matters(this.input, next.input, Some(next.output))
}

fn is_seen_by_open<M: Model>(segment: &Segment<'_, M>, this: &Known<'_, M>, until: u64) -> bool {
    let mut open = segment.open.iter();
    open.any(|open| open.invoked <= until && M::matters(this.input, &open.input, None))
}
