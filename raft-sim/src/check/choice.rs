//! What can happen next in a state.

use super::envelope::Envelope;
use super::model::{Budget, Cost, Model, Operation};
use super::node::Facts;
use super::step::ModelEvent;
use raft_proto::{CheckQuorum, Message, RoleKind, Vote};
use serde::{Deserialize, Serialize};

/// Something that can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// To which node, counted from 0.
    pub(super) node: u8,
    pub(super) what: What,
    pub(super) cost: Option<Cost>,
}

/// What can happen to a node, without the contents of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum What {
    /// The message at this place in the network arrives. In the key of a step: the message of this
    /// number.
    Receives(u32),
    Wakes,
    TimesOut,
    Waits,
    Persists,
    Crashes(u8),
    Proposes(u8),
    Reads(u8),
    Compacts,
    Operates(u8),
}

/// A message in the network, as far as choices depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OnItsWay {
    pub(super) print: u64,
    /// The addressee, counted from 0.
    pub(super) to: u8,
}

/// Whether a message is a reply that its addressee has outlived: it answers a request of a term
/// before the one on the addressee's disk, or refuses a vote in that term. "If a server receives a
/// request with a stale term number, it rejects the request" (section 5.1), and a reply is of no
/// use to anybody.
///
/// The search forgets such a message once it has seen that the addressee makes nothing of it. The
/// addressee never falls below that term again, so it never will. That the core indeed makes
/// nothing of it is not assumed: in the first state in which the rule holds, the step is taken and
/// looked at. Requests stay, since they are answered with the newer term.
pub(super) fn is_outlived(message: &Message, addressee: &Facts) -> bool {
    let term = addressee.durable_term;
    match message {
        Message::RequestVoteReply(reply) => {
            reply.term < term || reply.term == term && reply.vote == Vote::Refused
        }
        Message::PreVoteReply(reply) => reply.term <= term && reply.asked <= term,
        Message::AppendEntriesReply(reply) => reply.term < term,
        Message::InstallSnapshotReply(reply) => reply.term < term,
        Message::RequestVote(_)
        | Message::AppendEntries(_)
        | Message::InstallSnapshot(_)
        | Message::PreVote(_)
        | Message::TimeoutNow(_)
        | Message::ReadIndex(_)
        | Message::ReadIndexReply(_) => false,
    }
}

/// All that can happen next, always in the same order. The network is sorted; of equal messages,
/// one is delivered.
///
/// Two things are not among them, since they lead nowhere new. A message is not lost: it is never
/// delivered. A node is not down: it restarts when it crashes, and nothing happens to it for as
/// long as it would have been down.
pub(super) fn choices(
    model: &Model,
    nodes: &[&Facts],
    network: impl Iterator<Item = OnItsWay>,
    budget: &Budget,
    all: &mut Vec<Choice>,
) {
    all.clear();
    let mut previous = None;
    for (at, message) in (0..).zip(network) {
        if previous.replace(message) == Some(message) {
            continue;
        }
        let mut receives = |cost| {
            all.push(Choice {
                node: message.to,
                what: What::Receives(at),
                cost,
            });
        };
        receives(None);
        if budget.left(Cost::Repeat) > 0 {
            receives(Some(Cost::Repeat));
        }
    }
    for (at, node) in (0..).zip(nodes) {
        let mut happens = |what, cost: Option<Cost>| {
            if cost.is_none_or(|cost| budget.left(cost) > 0) {
                all.push(Choice {
                    node: at,
                    what,
                    cost,
                });
            }
        };
        of_node(model, node, budget, &mut happens);
    }
}

fn of_node(
    model: &Model,
    node: &Facts,
    budget: &Budget,
    happens: &mut impl FnMut(What, Option<Cost>),
) {
    let bounds = &model.bounds;
    let is_leader = node.role == RoleKind::Leader;
    if node.pending > 0 {
        happens(What::Persists, None);
    }
    let checks = (model.configs.iter()).any(|it| it.check_quorum == CheckQuorum::On);
    if !is_leader && node.term < model.max_term() || is_leader && checks {
        happens(What::TimesOut, Some(Cost::Timeout));
    }
    if !is_leader {
        happens(What::Waits, Some(Cost::Wait));
    }
    if is_leader {
        happens(What::Wakes, Some(Cost::Wake));
    }
    for kept in 0..=node.pending as u8 {
        happens(What::Crashes(kept), Some(Cost::Crash));
    }
    if is_leader {
        let number = bounds.proposals - budget.left(Cost::Proposal);
        happens(What::Proposes(number), Some(Cost::Proposal));
    }
    let number = bounds.reads - budget.left(Cost::Read);
    happens(What::Reads(number), Some(Cost::Read));
    if node.can_compact {
        happens(What::Compacts, Some(Cost::Snapshot));
    }
    for (which, operation) in (0..).zip(&model.operations) {
        let is_possible = match operation {
            Operation::Transfer(_) | Operation::Change(_) => is_leader,
            Operation::Damage(after) => node.disk.last_index() > *after,
            Operation::Replace(replaced) => node.id == *replaced,
        };
        if is_possible {
            happens(What::Operates(which), Some(Cost::Operation(which)));
        }
    }
}

impl What {
    /// What happens, with all that belongs to it; `envelope` is the message of
    /// [`What::Receives`]. `None` if the model or the network has no such thing.
    pub(super) fn model_event(
        self,
        model: &Model,
        envelope: Option<&Envelope>,
    ) -> Option<ModelEvent> {
        Some(match self {
            What::Receives(_) => ModelEvent::Receives(envelope?.clone()),
            What::Wakes => ModelEvent::Wakes,
            What::TimesOut => ModelEvent::TimesOut,
            What::Waits => ModelEvent::Waits,
            What::Persists => ModelEvent::Persists,
            What::Crashes(kept) => ModelEvent::Crashes {
                kept: usize::from(kept),
            },
            What::Proposes(number) => ModelEvent::Proposes { number },
            What::Reads(number) => ModelEvent::Reads {
                number,
                mode: model.read_mode(),
            },
            What::Compacts => ModelEvent::Compacts,
            What::Operates(which) => match model.operations.get(usize::from(which))? {
                Operation::Transfer(target) => ModelEvent::Transfers(*target),
                Operation::Change(change) => ModelEvent::Changes(change.clone()),
                Operation::Damage(after) => ModelEvent::Damaged(*after),
                Operation::Replace(_) => ModelEvent::Replaced,
            },
        })
    }
}
