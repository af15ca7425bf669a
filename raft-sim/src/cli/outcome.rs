//! How a command ends.

use std::io;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    /// The command line made no sense. The mutant that was to run the command has said why.
    Usage,
    /// The command did not come to its end.
    Interrupted,
}

impl Outcome {
    /// Whether all that was checked is right.
    pub(super) fn of(passed: bool) -> Outcome {
        if passed {
            Outcome::Passed
        } else {
            Outcome::Failed
        }
    }
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The command line made no sense, or named what is not there.
    #[error("{0}")]
    Usage(String),
    /// A file, or the output, could not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a command comes to.
pub(super) type CommandResult = Result<Outcome, CliError>;

/// A [`CliError::Usage`].
pub(super) fn usage(error: impl ToString) -> CliError {
    CliError::Usage(error.to_string())
}
