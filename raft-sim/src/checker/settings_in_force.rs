//! What a node answers to a change of its settings is true: accepted ones are in force from that
//! step on, and refused ones have changed nothing. What other nodes or the disk rely on does not
//! change while the node runs: the least election timeout and the lease's promise, on which leases
//! of other nodes rest (thesis 6.4.1), the features that they have seen, and its names.
//!
//! The table of what is fixed stands here once more, so that a mistake in the core's own is found.
//!
//! Sound: a node answers in the step that asks, and nothing else changes its settings.
//!
//! Cost: a comparison for each change that is asked for.

use super::violation::Violation;
use raft_proto::wire::Limits;
use raft_proto::{Action, Config, Event, Input, NodeId, Raft, ReconfigureError};

/// A node's answer is not what it did with its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsBroken {
    /// It has accepted them and has others.
    #[error("{node} has accepted other settings, and does not use them")]
    AcceptedNotInForce {
        /// The node.
        node: NodeId,
    },
    /// It has refused them and does not have those from before.
    #[error("{node} has refused other settings ({error}), and its own have changed")]
    RefusedInForce {
        /// The node.
        node: NodeId,
        /// Why it refused them.
        error: ReconfigureError,
    },
    /// It has accepted a change of what cannot change.
    #[error("{node} has changed its {what} while it runs; others rely on that")]
    FixedChanged {
        /// The node.
        node: NodeId,
        /// What has changed.
        what: &'static str,
    },
    /// It has accepted settings that contradict each other.
    #[error("{node} has accepted settings that are not valid")]
    InvalidAccepted {
        /// The node.
        node: NodeId,
    },
    /// It has refused settings that are valid and may change.
    #[error("{node} has refused settings that may change: {error}")]
    RefusedForNoReason {
        /// The node.
        node: NodeId,
        /// Why it refused them.
        error: ReconfigureError,
    },
}

/// The settings that the present step asks for, and those before it.
#[derive(Debug)]
struct Asked {
    before: Config,
    next: Config,
}

/// Compares settings with what nodes answer.
#[derive(Debug, Default)]
pub struct SettingsInForce {
    asked: Option<Box<Asked>>,
}

/// What differs and cannot change while a node runs.
fn fixed(before: &Config, next: &Config) -> Option<&'static str> {
    let differs = [
        (before.cluster_id != next.cluster_id, "cluster"),
        (before.group_id != next.group_id, "group"),
        (before.node_id != next.node_id, "number"),
        (before.start != next.start, "founders"),
        (before.incarnation != next.incarnation, "incarnation"),
        (before.seed != next.seed, "seed"),
        (
            before.election_timeout_min != next.election_timeout_min,
            "least election timeout",
        ),
        (before.check_quorum != next.check_quorum, "CheckQuorum"),
        (before.lease != next.lease, "leases"),
        (before.lease_promise != next.lease_promise, "lease promise"),
        (before.pre_vote != next.pre_vote, "Pre-Vote"),
        (before.leader_noop != next.leader_noop, "leader no-op"),
        (
            Limits::for_config(before) != Limits::for_config(next),
            "longest frame",
        ),
    ];
    let found = differs.into_iter().find(|(differs, _)| *differs);
    found.map(|(_, what)| what)
}

impl SettingsInForce {
    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        let Input::Reconfigure { config, .. } = &event.input else {
            return;
        };
        let (before, next) = (raft.config().clone(), config.as_ref().clone());
        self.asked = Some(Box::new(Asked { before, next }));
    }

    /// `raft` has taken the last event and answered with `actions`.
    ///
    /// # Errors
    ///
    /// [`Violation::Settings`].
    pub fn actions(&mut self, raft: &Raft, actions: &[Action]) -> Result<(), Violation> {
        let Some(asked) = self.asked.take() else {
            return Ok(()); // Nearly always.
        };
        for action in actions {
            if let Action::Reconfigured { outcome, .. } = action {
                judge(raft.id(), &asked, raft.config(), *outcome)?;
            }
        }
        Ok(())
    }
}

fn judge(
    node: NodeId,
    asked: &Asked,
    now: &Config,
    outcome: Result<(), ReconfigureError>,
) -> Result<(), SettingsBroken> {
    let fixed = fixed(&asked.before, &asked.next);
    let is_valid = asked.next.validate().is_ok();
    match (outcome, fixed) {
        (Ok(()), Some(what)) => Err(SettingsBroken::FixedChanged { node, what }),
        (Ok(()), None) if !is_valid => Err(SettingsBroken::InvalidAccepted { node }),
        (Ok(()), None) if *now != asked.next => Err(SettingsBroken::AcceptedNotInForce { node }),
        (Err(error), _) if *now != asked.before => {
            Err(SettingsBroken::RefusedInForce { node, error })
        }
        (Err(error @ (ReconfigureError::Fixed(_) | ReconfigureError::Invalid)), None)
            if is_valid =>
        {
            Err(SettingsBroken::RefusedForNoReason { node, error })
        }
        (Ok(()), None) | (Err(_), _) => Ok(()),
    }
}
