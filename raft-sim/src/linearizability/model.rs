//! The sequential specification that histories are checked against.

use core::fmt::Debug;
use core::hash::Hash;

/// The sequential specification of one key of a service.
///
/// Keys are independent of each other: no operation touches two of them. So each key can be checked
/// alone.
///
/// The service is deterministic: a state and an input determine the next state and the output.
pub trait Model: Clone + Debug + Eq {
    /// The parts of the service that are independent of each other.
    type Key: Clone + Debug + Ord;
    /// A request.
    type Input: Clone + Debug + Eq;
    /// An answer.
    type Output: Clone + Debug + Eq;
    /// The state under one key.
    type State: Clone + Debug + Eq + Hash;

    /// The state of a key before the first operation.
    fn initial() -> Self::State;

    /// The state after `input` was answered with `output`; `None` if `state` forbids that answer.
    /// If `output` is `None`, the answer is not known: the state after `input`, which is never
    /// forbidden.
    fn step(
        state: &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Self::State>;

    /// Whether `input`, answered with `output`, changes no state that allows that answer. `false`
    /// is always correct, but slow.
    fn is_read(input: &Self::Input, output: Option<&Self::Output>) -> bool {
        let _ = (input, output);
        false
    }

    /// Whether `input`, answered with `output`, is never forbidden, and leads to the same state
    /// from every state. `false` is always correct, but slow.
    fn overwrites(input: &Self::Input, output: Option<&Self::Output>) -> bool {
        let _ = (input, output);
        false
    }

    /// Whether it can matter to `then` that `before`, whatever its outcome, took effect right
    /// before it.
    ///
    /// `false` promises for every state that after `before` one of these holds: `then` is
    /// forbidden; or it leads to the same state as without `before`; or it is itself of unknown
    /// outcome and changes nothing. So `then` never needs `before` there. `true` is always correct,
    /// but slow.
    fn matters(before: &Self::Input, then: &Self::Input, output: Option<&Self::Output>) -> bool {
        let _ = (before, then, output);
        true
    }

    /// An operation in words, for explanations.
    fn describe(input: &Self::Input, output: Option<&Self::Output>) -> String {
        match output {
            Some(output) => format!("{input:?} -> {output:?}"),
            None => format!("{input:?} -> ?"),
        }
    }

    /// A state in words, for explanations.
    fn describe_state(state: &Self::State) -> String {
        format!("{state:?}")
    }
}
