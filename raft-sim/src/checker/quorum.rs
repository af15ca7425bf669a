//! Majorities, counted independently of the core.

use raft_proto::{MemberRole, Membership, NodeId};

/// Whether `counts` holds for a majority of the voters, of both halves if they are joint (section
/// 6). An empty configuration has no majority.
///
/// ```
/// use raft_proto::{Membership, NodeId};
/// use raft_sim::checker::quorum::has_quorum;
///
/// let four = Membership::new([1, 2, 3, 4].map(NodeId));
/// assert!(!has_quorum(&four, |id| id.0 <= 2));
/// assert!(has_quorum(&four, |id| id.0 <= 3));
/// ```
pub fn has_quorum(membership: &Membership, counts: impl Fn(NodeId) -> bool) -> bool {
    let (mut old, mut new) = (Tally::default(), Tally::default());
    for member in membership.members() {
        let votes = Votes::of(member.role);
        if votes.in_old || votes.in_new {
            let counts = counts(member.id);
            old.add(votes.in_old, counts);
            new.add(votes.in_new, counts);
        }
    }
    old.is_majority() && new.is_majority()
}

/// In which halves of a configuration a member votes. The halves are the same if it is not joint.
#[derive(Clone, Copy)]
pub(super) struct Votes {
    pub(super) in_old: bool,
    pub(super) in_new: bool,
}

impl Votes {
    pub(super) fn of(role: MemberRole) -> Votes {
        let (in_old, in_new) = match role {
            MemberRole::Voter => (true, true),
            MemberRole::Outgoing | MemberRole::Demoted => (true, false),
            MemberRole::Incoming => (false, true),
            MemberRole::Learner | MemberRole::Staging => (false, false),
        };
        Votes { in_old, in_new }
    }
}

/// The voters of one half, and how many of them count.
#[derive(Default)]
struct Tally {
    voters: usize,
    counted: usize,
}

impl Tally {
    fn add(&mut self, votes: bool, counts: bool) {
        self.voters += usize::from(votes);
        self.counted += usize::from(votes && counts);
    }

    fn is_majority(&self) -> bool {
        self.counted * 2 > self.voters
    }
}
