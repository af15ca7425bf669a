//! How requests end that did not simply succeed.

use crate::state::{Answer, Reply};
use raft_driver_thread::RequestError;
use raft_driver_thread::raft_proto::ProposeError;

/// Why a request was not, or may not have been, done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GatewayError {
    /// Nothing was done, and nothing will be.
    #[error("CLUSTERDOWN nothing was done: {0}")]
    Unavailable(String),
    /// It may have been done, or may yet be.
    #[error("UNKNOWN it is not known whether it was done: {0}")]
    Unknown(String),
    /// It cannot be done.
    #[error("ERR {0}")]
    Refused(String),
    /// The session is not there.
    #[error(
        "NOSESSION there is no such session: it was never opened, was closed, or too many others were used since; open one"
    )]
    NoSession,
    /// The session has gone on.
    #[error(
        "FORGOTTEN the request was left behind by a later one of its session, and its answer is forgotten"
    )]
    Forgotten,
}

impl From<GatewayError> for Reply {
    fn from(error: GatewayError) -> Reply {
        Reply::Error(error.to_string())
    }
}

/// How one try ended without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// Nothing was done.
    NotDone(String),
    /// It may have been.
    Unknown(String),
    /// It never can be.
    Never(String),
}

impl Miss {
    /// What another server answers to have said so, if that is what it says.
    pub(crate) fn of(error: &str) -> Option<Miss> {
        let (code, reason) = error.split_once(' ')?;
        match code {
            "NOTDONE" => Some(Miss::NotDone(reason.into())),
            "UNKNOWN" => Some(Miss::Unknown(reason.into())),
            "NEVER" => Some(Miss::Never(reason.into())),
            _ => None,
        }
    }
}

/// For another server, which [reads](Miss::of) it.
impl From<Miss> for Reply {
    fn from(miss: Miss) -> Reply {
        match miss {
            Miss::NotDone(reason) => Reply::error("NOTDONE", reason),
            Miss::Unknown(reason) => Reply::error("UNKNOWN", reason),
            Miss::Never(reason) => Reply::error("NEVER", reason),
        }
    }
}

pub(crate) fn replies(answer: Answer) -> Result<Vec<Reply>, GatewayError> {
    match answer {
        Answer::Replies(replies) => Ok(replies),
        Answer::NoSession
        | Answer::Forgotten
        | Answer::Unreadable
        | Answer::Session(_)
        | Answer::Done => Err(unexpected(&answer)),
    }
}

/// The replies to a batch of this server's own session.
pub(crate) fn own_replies(answer: Answer, commands: usize) -> Result<Vec<Reply>, GatewayError> {
    if answer == Answer::Forgotten {
        let what = "it was done, and its answer was too long to be kept".into();
        return Err(GatewayError::Unknown(what));
    }
    let replies = replies(answer)?;
    if replies.len() != commands {
        let what = "the cluster answered something else".into();
        return Err(GatewayError::Unknown(what));
    }
    Ok(replies)
}

pub(crate) fn unexpected(answer: &Answer) -> GatewayError {
    match answer {
        Answer::NoSession => GatewayError::NoSession,
        Answer::Forgotten => GatewayError::Forgotten,
        Answer::Unreadable => GatewayError::Refused("the entry is of another release".into()),
        Answer::Replies(_) | Answer::Session(_) | Answer::Done => {
            GatewayError::Unknown(format!("the cluster answered {answer:?}"))
        }
    }
}

impl From<RequestError<ProposeError>> for Miss {
    fn from(error: RequestError<ProposeError>) -> Miss {
        let reason = error.to_string();
        match error {
            RequestError::Refused(refusal) => match refusal {
                ProposeError::NotLeader { .. }
                | ProposeError::Transferring { .. }
                | ProposeError::TooManyUncommitted { .. }
                | ProposeError::Faulted(_) => Miss::NotDone(reason),
                ProposeError::Empty
                | ProposeError::TooLarge { .. }
                | ProposeError::BatchTooLarge { .. }
                | ProposeError::LogFull => Miss::Never(reason),
            },
            RequestError::NotApplied { .. } | RequestError::Overloaded | RequestError::Stopped => {
                Miss::NotDone(reason)
            }
            RequestError::Unknown(_) => Miss::Unknown(reason),
        }
    }
}
