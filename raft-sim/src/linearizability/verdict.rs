//! What a check found.

use super::history::Operation;
use super::model::Model;
use core::fmt;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<M: Model> {
    /// There is an order that explains the history.
    Linearizable,
    /// There is none.
    NotLinearizable(Box<NotLinearizable<M>>),
    /// None was excluded, but for these keys the search was given up.
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
    /// Which one.
    pub key: M::Key,
    /// Why.
    pub why: Why,
}

/// Why a search was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It explored as many states as it was allowed to.
    States,
    /// There were more operations of unknown outcome than it was allowed to carry along.
    UnknownOutcomes,
}

impl<M: Model> fmt::Display for GivenUp<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::States => "too many states",
            Why::UnknownOutcomes => "too many operations of unknown outcome",
        };
        write!(f, "key {:?}: given up: {why}", self.key)
    }
}

/// No order of the operations on a key explains what clients saw.
///
/// The explanation is the search's longest attempt: an order of a beginning of the history after
/// which there is no way on. Other attempts may have failed elsewhere, so what is shown is where
/// to look, not always the one operation to blame.
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
    /// The operations that may come next; none of them leads to an order of all. The first one is
    /// the one that shows it best: it does not fit, and nothing that may come before it helps.
    /// If there is none like that, it is the one that ended first, for which all that began later
    /// would have to wait. At most [`NotLinearizable::SHOWN`].
    pub stuck: Vec<Operation<M>>,
    /// The latest operations of unknown outcome that might have come, but do not help either. At
    /// most [`NotLinearizable::SHOWN`].
    pub unknown: Vec<Operation<M>>,
}

impl<M: Model> NotLinearizable<M> {
    /// How many operations each list of an explanation holds at most.
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
