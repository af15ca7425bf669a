//! Majorities, as the checkers count them: apart from how the core does.

use raft_proto::{MemberRole, Membership, NodeId};

/// Whether `counts` holds for a majority of the voters, of both halves if they are joint (section
/// 6). Nobody is no majority.
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
    let (mut old, mut new) = (Half::default(), Half::default());
    for member in membership.members() {
        let (votes_in_old, votes_in_new) = match member.role {
            MemberRole::Voter => (true, true),
            MemberRole::Outgoing | MemberRole::Demoted => (true, false),
            MemberRole::Incoming => (false, true),
            MemberRole::Learner => continue,
        };
        let counts = counts(member.id);
        old.add(votes_in_old, counts);
        new.add(votes_in_new, counts);
    }
    old.is_majority() && new.is_majority()
}

#[derive(Default)]
struct Half {
    voters: usize,
    counted: usize,
}

impl Half {
    fn add(&mut self, votes: bool, counts: bool) {
        self.voters += usize::from(votes);
        self.counted += usize::from(votes && counts);
    }

    fn is_majority(&self) -> bool {
        self.counted * 2 > self.voters
    }
}
