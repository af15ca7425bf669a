//! What is reported when a scenario's expectation does not hold.

use raft_proto::Time;

/// An expectation of a scenario that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected: {expected}\nfound:    {found}\nat:       {at} s of virtual time")]
pub struct Failure {
    /// The virtual time.
    pub at: Time,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
}

/// A failure before its time is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Violation {
    pub(crate) fn new(expected: impl Into<String>, found: impl Into<String>) -> Violation {
        Violation {
            expected: expected.into(),
            found: found.into(),
        }
    }
}
