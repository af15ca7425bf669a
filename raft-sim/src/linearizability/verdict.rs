//! The result of a check.

use super::history::Operation;
use super::model::Model;
use core::fmt;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<M: Model> {
    /// An order explains the history.
    Linearizable,
    /// No order explains the history.
    NotLinearizable(Box<NotLinearizable<M>>),
    /// No violation was found, but the search was given up for these keys.
    Unknown(Vec<GivenUp<M>>),
}

impl<M: Model> Verdict<M> {
    /// Whether an order was found.
    pub fn is_linearizable(&self) -> bool {
        matches!(self, Verdict::Linearizable)
    }

    /// The violation, if one was found.
    pub fn violation(&self) -> Option<&NotLinearizable<M>> {
        match self {
            Verdict::NotLinearizable(violation) => Some(violation),
            Verdict::Linearizable | Verdict::Unknown(_) => None,
        }
    }
}

/// A key whose history was not checked to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp<M: Model> {
    /// The key.
    pub key: M::Key,
    /// The limit that was exceeded.
    pub exceeded: Exceeded,
}

/// A limit that a search exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// The number of states that it may explore.
    States,
    /// The number of operations of unknown outcome that it may remember.
    UnknownOutcomes,
}

impl<M: Model> fmt::Display for GivenUp<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exceeded = match self.exceeded {
            Exceeded::States => "too many states",
            Exceeded::UnknownOutcomes => "too many operations of unknown outcome",
        };
        write!(f, "key {:?}: given up: {exceeded}", self.key)
    }
}

/// No order of the operations on a key explains what clients saw.
///
/// The explanation is the longest attempt of the search: a valid order of a prefix of the history,
/// after which no operation fits. Other attempts may have failed elsewhere. So the explanation
/// shows where to look, and not always the one operation that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotLinearizable<M: Model> {
    /// The key.
    pub key: M::Key,
    /// How many operations the longest valid order holds.
    pub placed: u64,
    /// The last operations of that order, at most [`NotLinearizable::SHOWN`].
    pub prefix: Vec<Operation<M>>,
    /// The state after that order.
    pub state: M::State,
    /// The operations that may come next; none of them leads to an order of all. The first one
    /// shows the violation best: it does not fit, and nothing that may come before it helps. If
    /// there is no such operation, the first one is the one that ended first; what begins after its
    /// end cannot come before it. At most [`NotLinearizable::SHOWN`].
    pub stuck: Vec<Operation<M>>,
    /// The latest operations of unknown outcome that may come next, but do not help either. At most
    /// [`NotLinearizable::SHOWN`].
    pub unknown: Vec<Operation<M>>,
}

impl<M: Model> NotLinearizable<M> {
    /// The most operations in a list of an explanation.
    pub const SHOWN: usize = 16;
}

impl<M: Model> core::error::Error for NotLinearizable<M> {}

impl<M: Model> fmt::Display for NotLinearizable<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "key {:?}: not linearizable", self.key)?;
        let placed = self.placed;
        writeln!(f, "  longest valid order: {placed} operations, at its end:")?;
        lines(f, &self.prefix)?;
        let state = M::describe_state(&self.state);
        writeln!(f, "  the value is then: {state}")?;
        writeln!(f, "  none of these leads on:")?;
        lines(f, &self.stuck)?;
        if !self.unknown.is_empty() {
            writeln!(f, "  nor does one of these, whose outcome is unknown:")?;
            lines(f, &self.unknown)?;
        }
        Ok(())
    }
}

fn lines<M: Model>(f: &mut fmt::Formatter<'_>, operations: &[Operation<M>]) -> fmt::Result {
    for operation in operations {
        writeln!(f, "    {operation}")?;
    }
    Ok(())
}

impl<M: Model> fmt::Display for Verdict<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Linearizable => writeln!(f, "linearizable"),
            Verdict::NotLinearizable(violation) => fmt::Display::fmt(violation, f),
            Verdict::Unknown(keys) => {
                for key in keys {
                    writeln!(f, "{key}")?;
                }
                Ok(())
            }
        }
    }
}
