//! The input and the outcome of a search.

use super::bits::Bits;
use super::model::Model;

/// An operation of known outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a, M: Model> {
    pub(super) input: &'a M::Input,
    pub(super) output: &'a M::Output,
    pub(super) invoked: u64,
    pub(super) returned: u64,
    /// Whether it must be placed. Others may be placed; they show what will be needed later.
    pub(super) is_due: bool,
}

/// An operation of unknown outcome: it may take effect at any time after it began, or never.
#[derive(Clone, Debug)]
pub(super) struct Open<M: Model> {
    pub(super) id: u64,
    pub(super) client: u64,
    pub(super) invoked: u64,
    /// If it took effect, then not later than this.
    pub(super) until: Option<u64>,
    pub(super) input: M::Input,
    /// Whether it can matter to another operation of unknown outcome.
    pub(super) matters_to_open: bool,
}

/// Adds an operation of unknown outcome. It may matter to the others, and they to it.
pub(super) fn add_open<M: Model>(opens: &mut Vec<Open<M>>, mut new: Open<M>) {
    for other in opens.iter_mut() {
        new.matters_to_open |= M::matters(&new.input, &other.input, None);
        other.matters_to_open |= M::matters(&other.input, &new.input, None);
    }
    opens.push(new);
}

/// The input of a search: operations on one key.
#[derive(Debug)]
pub(super) struct Segment<'a, M: Model> {
    /// In the order in which they began.
    pub(super) known: Vec<Known<'a, M>>,
    pub(super) open: &'a [Open<M>],
    /// Operations that are not here began at this time or later. `None` if all are here.
    pub(super) horizon: Option<u64>,
    /// How many states may be explored.
    pub(super) limit: u64,
}

/// A point at which a search begins or ends.
#[derive(Clone, Debug)]
pub(super) struct Configuration<S> {
    pub(super) state: S,
    /// The operations of known outcome that have been placed. At an end, only those that did not
    /// have to be.
    pub(super) placed: Vec<usize>,
    /// The operations of unknown outcome that took effect.
    pub(super) used: Bits,
}

impl<S> Configuration<S> {
    pub(super) fn new(state: S) -> Configuration<S> {
        Configuration {
            state,
            placed: Vec::new(),
            used: Bits::default(),
        }
    }
}

/// An operation that was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Known(usize),
    Open(usize),
}

/// The longest order that was found, and why it does not go on.
#[derive(Clone, Debug)]
pub(super) struct Stuck<S> {
    /// How many operations of known outcome it holds.
    pub(super) placed: usize,
    /// Its last operations.
    pub(super) last: Vec<Step>,
    pub(super) state: S,
    /// The operations that may come next.
    pub(super) next: Vec<Step>,
}

impl<S> Stuck<S> {
    /// The operations of known outcome that may come next.
    pub(super) fn known(&self) -> impl Iterator<Item = &Step> {
        let next = self.next.iter();
        next.filter(|step| matches!(step, Step::Known(_)))
    }

    /// The operations of unknown outcome that may come next.
    pub(super) fn open(&self) -> impl Iterator<Item = &Step> {
        let next = self.next.iter();
        next.filter(|step| matches!(step, Step::Open(_)))
    }
}

/// The outcome of a search.
#[derive(Debug)]
pub(super) enum Outcome<S> {
    /// The ends that were reached, at least one.
    Ends {
        ends: Vec<Configuration<S>>,
        /// When the last of those operations began that must be placed and are never moved forward.
        /// An operation of unknown outcome that could take effect only before this time, and is
        /// used at no end, is not needed.
        begun: u64,
    },
    Stuck(Stuck<S>),
    /// There were too many states.
    GivenUp,
}

/// The ends that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Any one.
    One,
    /// All, except those that another one covers.
    All,
}
