//! How a trace writes what operators ask for.

use crate::event::{MembershipChange, NodeChange, Readiness};
use crate::membership::MemberRole;
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
