//! A node that was removed, and knows it, asks nobody for votes: "servers not in C_new [...] can
//! disrupt the cluster" (section 6).
//!
//! A voter tells a node that asks for a pre-vote as of which committed index it is no member. From
//! the next step on, a node whose own last configuration is not later than that sends no requests
//! for votes or pre-votes, until it has a later one.
//!
//! That a removed node is told at all is judged under a condition that stays
//! ([`Removed`](crate::availability::Condition::Removed)).
//!
//! Sound: what another disk than the voter's tells is heard only if its log has the same history.
//! What a process was told is forgotten with the process. What it held back for its disk leaves
//! only as long as its candidacy goes on.
//!
//! Cost: a comparison a message.

use super::configuration_in_force::ConfigurationsInForce;
use super::violation::Violation;
use raft_proto::{Action, Dismissal, Event, Index, Input, Lineage, Message, NodeId, Raft};

/// What each node was told. Nodes are few, so a linear search is fastest.
#[derive(Debug, Default)]
pub struct Removed {
    /// The nodes that were told, and the greatest index.
    told: Vec<(NodeId, Index)>,
    /// What the present step hears.
    heard: Option<Index>,
}

impl Removed {
    /// A node has stopped.
    pub fn stopped(&mut self, node: NodeId) {
        self.told.retain(|(other, _)| *other != node);
    }

    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        self.heard = if let Input::Receive {
            from,
            incarnation,
            message,
        } = &event.input
            && let Message::PreVoteReply(reply) = message
            && let Some(voter) = raft.membership().get(*from)
            && raft.membership().is_voter(*from)
            && (voter.incarnation.is_none()
                || voter.incarnation == *incarnation
                || is_of_history(raft, reply.lineage))
        {
            match reply.dismissal {
                // The answer to an earlier disk under this number.
                Some(Dismissal::OtherIncarnation { named, .. })
                    if Some(named) == raft.incarnation() =>
                {
                    None
                }
                Some(Dismissal::Removed { index } | Dismissal::OtherIncarnation { index, .. }) => {
                    Some(index)
                }
                Some(Dismissal::OtherFounders) | None => None,
            }
        } else {
            None
        };
    }

    /// `raft` has taken the last event and answered with `actions`, after which it has these
    /// configurations.
    ///
    /// # Errors
    ///
    /// [`Violation::RemovedCampaigns`].
    pub fn actions(
        &mut self,
        raft: &Raft,
        actions: &[Action],
        configurations: &ConfigurationsInForce,
    ) -> Result<(), Violation> {
        let node = raft.id();
        let at = self.told.iter().position(|(other, _)| *other == node);
        let told = at.map_or(Index::ZERO, |at| self.told[at].1); // a position found
        if told > Index::ZERO
            && actions.iter().any(asks_for_votes)
            && configurations.latest_index(node) <= Some(told)
        {
            return Err(Violation::RemovedCampaigns {
                node,
                removed_at: told,
            });
        }
        if let Some(index) = self.heard.take().filter(|index| *index > told) {
            self.told.retain(|(other, _)| *other != node);
            self.told.push((node, index));
        }
        Ok(())
    }
}

/// Whether a log of this lineage is of the node's own history.
fn is_of_history(raft: &Raft, lineage: Lineage) -> bool {
    let history = raft.membership().history();
    history.is_some_and(|history| lineage == Lineage::Of(history))
}

fn asks_for_votes(action: &Action) -> bool {
    matches!(
        action,
        Action::Send {
            message: Message::PreVote(_) | Message::RequestVote(_),
            ..
        }
    )
}
