//! What is judged under one condition only, by what was seen of it.

use super::{MOST_SNAPSHOTS, Unavailable};
use core::time::Duration;
use raft_proto::{NodeId, Time, TransferError};

/// What was seen comes to this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The claim holds.
    Holds,
    /// It is too early to say.
    Open,
    /// It does not hold.
    Broken(Unavailable),
}

/// A transfer without a target in a healthy cluster, at `now`: it must succeed, and be answered
/// within `within`.
pub fn transfer(
    leader: NodeId,
    asked_at: Time,
    answer: Option<Result<NodeId, TransferError>>,
    now: Time,
    within: Duration,
) -> Verdict {
    match answer {
        // The leader may hand over of its own accord.
        Some(Ok(_) | Err(TransferError::InProgress { .. })) => Verdict::Holds,
        Some(Err(error)) => Verdict::Broken(Unavailable::TransferFailed { leader, error }),
        None if asked_at.after(within) <= now => {
            Verdict::Broken(Unavailable::TransferUnanswered { leader, within })
        }
        None => Verdict::Open,
    }
}

/// What is seen of a member that needs a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchUpView {
    /// The member.
    pub node: NodeId,
    /// It gets entries, and has all that the leader's log held when it came back.
    pub follows: bool,
    /// The snapshots that it has got since it last got entries.
    pub snapshots: u32,
    /// How long it has been back.
    pub since: Duration,
}

/// A member that needs a snapshot: it must follow within `within`, with [`MOST_SNAPSHOTS`] at most.
pub fn catch_up(view: CatchUpView, within: Duration) -> Verdict {
    let CatchUpView {
        node, snapshots, ..
    } = view;
    let most = MOST_SNAPSHOTS;
    if view.follows {
        Verdict::Holds
    } else if snapshots > most {
        Verdict::Broken(Unavailable::SnapshotAfterSnapshot {
            node,
            snapshots,
            most,
        })
    } else if view.since >= within {
        Verdict::Broken(Unavailable::NotCaughtUp { node, within })
    } else {
        Verdict::Open
    }
}
