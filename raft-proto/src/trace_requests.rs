//! How a trace writes what operators ask for.

use crate::action::{Action, Proposal};
use crate::event::{MembershipChange, NodeChange, Readiness};
use crate::membership::MemberRole;
use crate::types::{RequestId, Term};
use core::fmt::{self, Display, Formatter};

/// The changes of each node.
pub(crate) struct Changes<'a>(pub(crate) &'a MembershipChange);

impl Display for Changes<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for change in &self.0.nodes {
            let what = match change {
                NodeChange::Set(member) => match member.role {
                    MemberRole::Voter => "voter",
                    MemberRole::Staging => "staging",
                    MemberRole::Learner
                    | MemberRole::Incoming
                    | MemberRole::Outgoing
                    | MemberRole::Demoted => "learner",
                },
                NodeChange::Promote(_) => "promote",
                NodeChange::Demote(_) => "demote",
                NodeChange::Remove(_) => "remove",
                NodeChange::Update { .. } => "update",
            };
            write!(f, " {what}={}", change.node())?;
            if let NodeChange::Update {
                priority, context, ..
            } = change
            {
                if let Some(priority) = priority {
                    write!(f, " priority={priority}")?;
                }
                if let Some(context) = context {
                    write!(f, " context={}B", context.len())?;
                }
            }
        }
        match self.0.readiness {
            Readiness::Checked => Ok(()),
            Readiness::Forced => f.write_str(" forced"),
        }
    }
}

/// The outcome of a request.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all kinds are listed where the trace writes an action"
)]
pub(crate) fn outcome(f: &mut Formatter<'_>, action: &Action) -> fmt::Result {
    match action {
        Action::Proposed { id, outcome } => answer(f, "proposed", *id, outcome, proposal),
        Action::Read { id, outcome } => answer(f, "read", *id, outcome, |f, index| {
            write!(f, "ready at {index}")
        }),
        Action::Transferred { id, outcome } => {
            answer(f, "transferred", *id, outcome, |f, to| write!(f, "to {to}"))
        }
        Action::ChangeProposed { id, outcome } => {
            answer(f, "change", *id, outcome, |f, at| write!(f, "at {at}"))
        }
        Action::Campaigning { id, outcome } => answer(f, "campaign", *id, outcome, in_term),
        Action::Reconfigured { id, outcome } => {
            answer(f, "reconfigure", *id, outcome, |f, ()| f.write_str("done"))
        }
        Action::SteppedDown { id, outcome } => answer(f, "step down", *id, outcome, in_term),
        _ => Ok(()), // Only outcomes come here.
    }
}

/// The answer to a request.
fn answer<T, E: Display>(
    f: &mut Formatter<'_>,
    what: &str,
    id: RequestId,
    outcome: &Result<T, E>,
    done: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    write!(f, "{what} {id} ")?;
    match outcome {
        Ok(value) => done(f, value),
        Err(error) => write!(f, "refused: {error}"),
    }
}

fn in_term(f: &mut Formatter<'_>, term: &Term) -> fmt::Result {
    write!(f, "in term {term}")
}

fn proposal(f: &mut Formatter<'_>, proposal: &Proposal) -> fmt::Result {
    match proposal.count {
        1 => write!(f, "at {}", proposal.first),
        count => write!(f, "at {} x{count}", proposal.first),
    }
}

/// What was asked of the service or the disk has been done, or why it has not.
pub(crate) fn done_or_failed<T, E: Display>(
    f: &mut Formatter<'_>,
    result: &Result<T, E>,
    done: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    match result {
        Ok(value) => done(f, value),
        Err(error) => write!(f, " failed: {error}"),
    }
}
