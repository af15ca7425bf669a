//! What a leader says of a change of the members is true: one that is accepted is in force at once
//! (section 6: "a server always uses the latest configuration in its log"), and one that is refused
//! has changed nothing.
//!
//! A change may name the configuration that it was made for (compare-and-change). It is accepted
//! only if that one is in force, and refused for its sake only if another one is.
//!
//! Sound: the leader answers in the step that asks, and appends no other configuration in it.
//!
//! Cost: a comparison for each change that is asked for.

use super::configuration_in_force::ConfigurationsInForce;
use super::violation::Violation;
use raft_proto::{
    Action, ChangeError, Event, Index, Input, Member, MemberRole, Membership, MembershipChange,
    NodeChange, NodeId, Raft, RequestId,
};

/// A leader's answer is not what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeBroken {
    /// A change for another configuration than the one in force was accepted.
    #[error("{node} accepted a change that was made for the configuration at {expected}")]
    AcceptedForAnother {
        /// The leader.
        node: NodeId,
        /// The configuration that the change was made for.
        expected: Index,
    },
    /// A change was accepted and is not in force.
    #[error("{node} accepted a change, and its configuration at {index} does not show it")]
    AcceptedNotInForce {
        /// The leader.
        node: NodeId,
        /// Where the change is to stand.
        index: Index,
    },
    /// A change was refused, and the configuration is another one.
    #[error("{node} refused a change ({error}), and its configuration has changed")]
    RefusedInForce {
        /// The leader.
        node: NodeId,
        /// Why it was refused.
        error: ChangeError,
    },
    /// A change was refused as made for another configuration, and was made for the one in force.
    #[error("{node} took the configuration in force for another one than that at {expected:?}")]
    RefusedForNoReason {
        /// The leader.
        node: NodeId,
        /// The configuration that the change was made for.
        expected: Option<Index>,
    },
}

/// The change that the present step asks for.
#[derive(Debug)]
struct Asked {
    id: RequestId,
    change: MembershipChange,
    in_force: Option<Index>,
}

/// Compares each answer with the configuration before and after.
#[derive(Debug, Default)]
pub struct MembershipChanges {
    asked: Option<Asked>,
}

impl MembershipChanges {
    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event, configurations: &ConfigurationsInForce) {
        self.asked = if let Input::ChangeMembership { id, change } = &event.input {
            Some(Asked {
                id: *id,
                change: change.clone(),
                in_force: configurations.latest_index(raft.id()),
            })
        } else {
            None
        };
    }

    /// `raft` has taken the last event and answered with `actions`, after which it has these
    /// configurations.
    ///
    /// # Errors
    ///
    /// [`ChangeBroken`].
    pub fn actions(
        &mut self,
        raft: &Raft,
        actions: &[Action],
        configurations: &ConfigurationsInForce,
    ) -> Result<(), Violation> {
        let Some(asked) = self.asked.take() else {
            return Ok(());
        };
        let outcome = actions.iter().find_map(|action| {
            if let Action::ChangeProposed { id, outcome } = action {
                (*id == asked.id).then_some(outcome)
            } else {
                None
            }
        });
        let (node, expected) = (raft.id(), asked.change.expected);
        let latest = configurations.latest_index(node);
        let differs = expected.is_some() && expected != asked.in_force;
        let broken = match outcome {
            None => return Ok(()), // The operator waits for it.
            Some(Ok(entry)) => {
                let is_in_force =
                    latest == Some(entry.index) && shows(raft.membership(), &asked.change);
                match expected.filter(|_| differs) {
                    Some(expected) => ChangeBroken::AcceptedForAnother { node, expected },
                    None if is_in_force => return Ok(()),
                    None => ChangeBroken::AcceptedNotInForce {
                        node,
                        index: entry.index,
                    },
                }
            }
            Some(Err(error)) if latest != asked.in_force => ChangeBroken::RefusedInForce {
                node,
                error: *error,
            },
            Some(Err(ChangeError::Changed { .. })) if !differs => {
                ChangeBroken::RefusedForNoReason { node, expected }
            }
            Some(Err(_)) => return Ok(()),
        };
        Err(broken.into())
    }
}

/// Whether the members are what the change wanted, or on the way to it.
fn shows(membership: &Membership, change: &MembershipChange) -> bool {
    change.nodes.iter().all(|wanted| {
        let member = membership.get(wanted.node());
        match wanted {
            NodeChange::Set(set) => member.is_some_and(|member| votes(member) == votes(set)),
            NodeChange::Promote(_) => member.is_some_and(votes),
            NodeChange::Demote(_) => member.is_some_and(|member| !votes(member)),
            NodeChange::Remove(_) => {
                member.is_none_or(|member| member.role == MemberRole::Outgoing)
            }
            NodeChange::Update {
                priority, context, ..
            } => member.is_some_and(|member| {
                priority.is_none_or(|priority| member.priority == priority)
                    && context
                        .as_ref()
                        .is_none_or(|context| member.context == *context)
            }),
        }
    })
}

/// Whether it votes once the change is complete.
fn votes(member: &Member) -> bool {
    match member.role {
        MemberRole::Voter | MemberRole::Incoming => true,
        MemberRole::Learner | MemberRole::Staging | MemberRole::Demoted | MemberRole::Outgoing => {
            false
        }
    }
}
