//! Why a request failed, and what is known then.

use crate::state::{Answer, Reply};
use raft_driver_thread::RequestError;
use raft_driver_thread::raft_proto::ProposeError;

/// Why a command was not executed, or may not have been. Its text is the error that clients get.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    /// The command was not executed, and will not be.
    #[error("CLUSTERDOWN nothing was done: {0}")]
    Unavailable(String),
    /// The command may have been executed, or may be executed later.
    #[error("UNKNOWN it is not known whether it was done: {0}")]
    Unknown(String),
    /// The command cannot be executed, now or later.
    #[error("ERR {0}")]
    Refused(String),
    /// The session does not exist.
    #[error(
        "NOSESSION there is no such session: it was never opened, was closed, or was evicted \
         because too many others were used since; open one"
    )]
    NoSession,
    /// The session has executed a later request.
    #[error(
        "FORGOTTEN a later request of this session was executed, and the answer to this one was \
         forgotten"
    )]
    Forgotten,
}

impl From<CommandError> for Reply {
    fn from(error: CommandError) -> Reply {
        Reply::Error(error.to_string())
    }
}

/// Why one attempt has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AttemptError {
    /// Nothing was done. Another attempt may succeed.
    NotDone(String),
    /// It may have been done, or may be done later.
    Unknown(String),
    /// Nothing was done, and no other attempt can succeed.
    Never(String),
}

impl AttemptError {
    /// Reads the error of another server's reply, if it is one of these.
    pub(crate) fn parse(error: &str) -> Option<AttemptError> {
        let (code, reason) = error.split_once(' ')?;
        match code {
            "NOTDONE" => Some(AttemptError::NotDone(reason.into())),
            "UNKNOWN" => Some(AttemptError::Unknown(reason.into())),
            "NEVER" => Some(AttemptError::Never(reason.into())),
            _ => None,
        }
    }
}

/// The reply to another server, which [parses](AttemptError::parse) it.
impl From<AttemptError> for Reply {
    fn from(error: AttemptError) -> Reply {
        match error {
            AttemptError::NotDone(reason) => Reply::error("NOTDONE", reason),
            AttemptError::Unknown(reason) => Reply::error("UNKNOWN", reason),
            AttemptError::Never(reason) => Reply::error("NEVER", reason),
        }
    }
}

impl From<RequestError<ProposeError>> for AttemptError {
    fn from(error: RequestError<ProposeError>) -> AttemptError {
        let reason = error.to_string();
        match error {
            RequestError::Refused(refusal) => match refusal {
                ProposeError::NotLeader { .. }
                | ProposeError::Transferring { .. }
                | ProposeError::TooManyUncommitted { .. }
                | ProposeError::TooManyUnapplied { .. }
                | ProposeError::Faulted(_) => AttemptError::NotDone(reason),
                ProposeError::Empty
                | ProposeError::TooLarge { .. }
                | ProposeError::TooLargeFor { .. }
                | ProposeError::BatchTooLarge { .. }
                | ProposeError::LogFull => AttemptError::Never(reason),
                // A reason that this release does not know: nothing was done.
                _ => AttemptError::NotDone(reason),
            },
            RequestError::NotApplied { .. } | RequestError::Overloaded | RequestError::Stopped => {
                AttemptError::NotDone(reason)
            }
            RequestError::Unknown(why) => AttemptError::Unknown(why.to_string()),
        }
    }
}

/// The replies that an entry of commands was answered with.
pub(crate) fn replies(answer: Answer) -> Result<Vec<Reply>, CommandError> {
    match answer {
        Answer::Replies(replies) => Ok(replies),
        Answer::NoSession
        | Answer::Forgotten
        | Answer::Unreadable
        | Answer::Session(_)
        | Answer::Done => Err(unexpected(&answer)),
    }
}

/// The error for an answer that does not fit the request.
pub(crate) fn unexpected(answer: &Answer) -> CommandError {
    match answer {
        Answer::NoSession => CommandError::NoSession,
        Answer::Forgotten => CommandError::Forgotten,
        Answer::Unreadable => {
            CommandError::Refused("the cluster's servers run different releases".into())
        }
        Answer::Replies(_) | Answer::Session(_) | Answer::Done => {
            CommandError::Unknown(format!("the cluster gave an unexpected answer: {answer:?}"))
        }
    }
}

/// A number as a reply.
pub(crate) fn integer(number: u64) -> Reply {
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
