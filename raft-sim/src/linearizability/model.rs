//! What a service is said to do: the sequential specification that histories are held against.

use core::fmt::Debug;
use core::hash::Hash;

/// The sequential specification of one key of a service.
///
/// Keys are independent of each other: no operation touches two of them. That is what allows to
/// check each key alone.
///
/// The service is deterministic: from one state, one input leads to one next state and one output.
pub trait Model: Clone + Debug + Eq {
    /// What the service keeps apart.
    type Key: Clone + Debug + Ord;
    /// What a client asks for.
    type Input: Clone + Debug + Eq;
    /// What a client is told.
    type Output: Clone + Debug + Eq;
    /// What the service holds under one key.
    type State: Clone + Debug + Eq + Hash;

    /// The state of a key that nobody has touched.
    fn initial() -> Self::State;

    /// The state after `input` was answered with `output`; `None` if `state` forbids that answer.
    /// Where the answer is not known (`output` is `None`), the state after `input`; it is never
    /// forbidden then.
    fn step(
        state: &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Self::State>;

    /// Whether `input`, answered with `output`, leaves every state as it is that does not forbid
    /// that. `false` is always right, and slow.
    fn is_read(input: &Self::Input, output: Option<&Self::Output>) -> bool {
        let _ = (input, output);
        false
    }

    /// Whether `input`, answered with `output`, is never forbidden, and leads to the same state
    /// from every state. `false` is always right, and slow.
    fn overwrites(input: &Self::Input, output: Option<&Self::Output>) -> bool {
        let _ = (input, output);
        false
    }

    /// Whether it can matter to `then` that `before`, whatever its outcome, took effect right
    /// before it.
    ///
    /// `false` promises of every state: after `before` comes, `then` either is forbidden, or ends
    /// in the same state as if `before` had not come, or is itself of unknown outcome and changes
    /// nothing. So `then` never needs `before` there. `true` is always right, and slow.
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
