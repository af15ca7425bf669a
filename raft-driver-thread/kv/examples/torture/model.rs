//! The model that the history is checked against: a store of numbers, with one operation at a time.

use raft_sim::linearizability::Model;

/// An operation on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Reads the number. Returns [`Output::Number`].
    Get,
    /// Writes this number. Returns [`Output::Done`].
    Set(u64),
    /// Writes this number. Returns the one before, [`Output::Number`].
    Swap(u64),
    /// Writes `new` if the key holds `old`. Returns [`Output::Whether`].
    Cas { old: Option<u64>, new: u64 },
    /// Adds one; no number counts as 0. Returns the sum, [`Output::Number`].
    Increment,
    /// Removes the number. Returns whether there was one, [`Output::Whether`].
    Delete,
}

/// The result of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Done,
    Number(Option<u64>),
    Whether(bool),
}

/// The store: each key holds a number, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Store;

impl Model for Store {
    type Key = String;
    type Input = Input;
    type Output = Output;
    type State = Option<u64>;

    fn initial() -> Option<u64> {
        None
    }

    fn step(state: &Option<u64>, input: &Input, output: Option<&Output>) -> Option<Option<u64>> {
        let (answer, next) = match input {
            Input::Get => (Output::Number(*state), *state),
            Input::Set(new) => (Output::Done, Some(*new)),
            Input::Swap(new) => (Output::Number(*state), Some(*new)),
            Input::Cas { old, new } if state == old => (Output::Whether(true), Some(*new)),
            Input::Cas { .. } => (Output::Whether(false), *state),
            Input::Increment => {
                let next = Some(state.unwrap_or(0) + 1);
                (Output::Number(next), next)
            }
            Input::Delete => (Output::Whether(state.is_some()), None),
        };
        output
            .is_none_or(|output| *output == answer)
            .then_some(next)
    }

    fn is_read(input: &Input, output: Option<&Output>) -> bool {
        match input {
            Input::Get => true,
            // Without a match, or without a number, they change nothing.
            Input::Cas { .. } | Input::Delete => output == Some(&Output::Whether(false)),
            Input::Set(_) | Input::Swap(_) | Input::Increment => false,
        }
    }

    fn overwrites(input: &Input, output: Option<&Output>) -> bool {
        match input {
            Input::Set(_) => output.is_none_or(|output| *output == Output::Done),
            // Their results depend on the number before.
            Input::Swap(_) | Input::Delete => output.is_none(),
            Input::Get | Input::Cas { .. } | Input::Increment => false,
        }
    }

    fn matters(before: &Input, then: &Input, output: Option<&Output>) -> bool {
        // The number that `before` leaves, if it changes anything; `None` if that depends on the
        // state.
        let left = match before {
            Input::Get => return false,
            Input::Set(new) | Input::Swap(new) | Input::Cas { new, .. } => Some(Some(*new)),
            Input::Delete => Some(None),
            Input::Increment => None,
        };
        let may_leave = |wanted: &dyn Fn(Option<u64>) -> bool| left.is_none_or(wanted);
        match (then, output) {
            // They have the same effect in every state, so nothing has to come before them.
            (Input::Set(_), _) | (Input::Get | Input::Swap(_) | Input::Delete, None) => false,
            (Input::Cas { old, .. }, None) => may_leave(&|left| left == *old),
            (Input::Increment, None) => true,
            (_, Some(output)) => {
                may_leave(&|left| Store::step(&left, then, Some(output)).is_some())
            }
        }
    }

    fn describe(input: &Input, output: Option<&Output>) -> String {
        let number = |number: &Option<u64>| number.map_or("none".into(), |it| it.to_string());
        let asked = match input {
            Input::Get => "get".into(),
            Input::Set(new) => format!("set {new}"),
            Input::Swap(new) => format!("getset {new}"),
            Input::Cas { old, new } => format!("cas {} {new}", number(old)),
            Input::Increment => "incr".into(),
            Input::Delete => "del".into(),
        };
        let answer = match output {
            None => "?".into(),
            Some(Output::Done) => "done".into(),
            Some(Output::Number(it)) => number(it),
            Some(Output::Whether(it)) => it.to_string(),
        };
        format!("{asked} -> {answer}")
    }

    fn describe_state(state: &Option<u64>) -> String {
        state.map_or_else(|| "none".into(), |it| it.to_string())
    }
}
