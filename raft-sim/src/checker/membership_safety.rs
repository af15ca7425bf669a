//! Membership Safety: no two disjoint sets of voters can each elect a leader in one term (section
//! 6; thesis 4.1; Ongaro's note of 2015 on the change of single servers).
//!
//! While the members change, nodes count votes by different configurations. Election Safety shows
//! a mistake there only if two leaders really are elected in one term, which needs rare timing.
//! This check looks at a state and asks whether that could happen from here. Are there two nodes,
//! each a voter of its own configuration, and two disjoint sets of nodes, such that one set could
//! elect the first node and the other set the second? A set can elect a node if
//!
//! - it holds a majority of the voters that this node counts, of each half if its configuration is
//!   joint,
//! - no log in it is more up to date than the node's (section 5.4.1),
//! - and the other candidate, which votes for itself, is not in it.
//!
//! A correct core never reaches such a state, so there are no false alarms. Votes bind only within
//! their term, and messages may be lost or arrive at any time. So from such a state the following
//! run is possible: all other messages are lost, leaders step down, and both nodes time out until
//! they start elections in the same term, greater than any that is known. Each request reaches only
//! its own set, and all voters grant it: two leaders in one term. Raft excludes that in every run,
//! so it excludes the state. Logs do not change on the way: an election appends nothing, and waits
//! until the candidate's log is on disk. A node that is down takes part when it is back, with what
//! its disk holds.
//!
//! The paper's argument: configurations that follow each other have no disjoint majorities. One
//! follows another only once that is committed, on a majority whose logs are then more up to date
//! than the log of any node that lacks it.
//!
//! Cost: two configurations nearly always share so many voters that their majorities must meet,
//! which counting shows. Only pairs that are two changes apart are searched, by all ways to divide
//! the voters that both need and that would vote for both.

use super::quorum::Votes;
use super::violation::{Nodes, Violation};
use raft_proto::{EntryId, Incarnation, Membership, NodeId};

/// How a node would vote and stand in an election.
#[derive(Clone, Copy, Debug)]
pub struct MemberView<'a> {
    /// Which node.
    pub node: NodeId,
    /// The last entry of its log, or of what its disk holds of it if it is down.
    pub last_log: EntryId,
    /// The last entry that its disk holds: the end of its log if it loses power now. Equal to
    /// `last_log` if the node is down, or could not start again.
    pub stored: EntryId,
    /// The configuration that it uses; `None` if it is down, so that it votes but starts no
    /// election, and if it has no vote there because that names another disk. A founder of a
    /// cluster that is not founded yet has none either: it would need every founder's vote.
    pub membership: Option<&'a Membership>,
    /// Which disk it has, where disks have incarnations.
    pub incarnation: Option<Incarnation>,
}

impl MemberView<'_> {
    /// Whether `membership`, which has it as a member, does not name another disk.
    pub(super) fn counts_in(&self, membership: &Membership) -> bool {
        let member = membership.get(self.node);
        let named = member.and_then(|member| member.incarnation);
        named.is_none() || named == self.incarnation
    }

    /// Whether it would vote for a candidate whose log ends there (section 5.4.1), now or after
    /// losing power.
    pub(super) fn would_vote_for(&self, last_log: EntryId) -> bool {
        last_log.is_at_least_as_up_to_date_as(self.last_log)
            || last_log.is_at_least_as_up_to_date_as(self.stored)
    }
}

/// A set of nodes: one bit for each position in a sorted list.
type Set = u128;

/// The voters of the two halves of a configuration, which are equal if it is not joint.
#[derive(Clone, Copy)]
struct Voters {
    old: Set,
    new: Set,
}

impl Voters {
    fn of(membership: &Membership, ids: &[NodeId]) -> Voters {
        let mut voters = Voters { old: 0, new: 0 };
        for member in membership.members() {
            let place = ids.binary_search(&member.id);
            let one = place.map_or(0, |place| 1 << place);
            let votes = Votes::of(member.role);
            voters.old |= if votes.in_old { one } else { 0 };
            voters.new |= if votes.in_new { one } else { 0 };
        }
        voters
    }

    fn all(self) -> Set {
        self.old | self.new
    }

    /// Whether `set` holds a majority of each half.
    fn have_quorum_in(self, set: Set) -> bool {
        [self.old, self.new].iter().all(|half| {
            let majority = half.count_ones() / 2 + 1;
            (half & set).count_ones() >= majority
        })
    }

    /// Whether every majority of one of these halves meets every majority of one of the other's
    /// halves: together they have more members than there are voters.
    fn always_meet(self, other: Voters) -> bool {
        let halves = [self.old, self.new];
        let others = [other.old, other.new];
        let meet = |a: Set, b: Set| {
            let majorities = a.count_ones() / 2 + 1 + b.count_ones() / 2 + 1;
            majorities > (a | b).count_ones()
        };
        halves.iter().any(|a| others.iter().any(|b| meet(*a, *b)))
    }
}

/// A node that could be elected.
#[derive(Clone, Copy)]
struct Candidate {
    node: NodeId,
    itself: Set,
    voters: Voters,
    /// The nodes that would vote for it.
    grants: Set,
}

/// Whether two nodes could both be elected in one term, from this state. `views` holds each node
/// that can still take part, once. Voters without a view are lost for ever and vote for nobody.
/// With more than 128 nodes nothing is checked.
///
/// # Errors
///
/// [`Violation::DisjointQuorums`].
pub fn check(views: &[MemberView<'_>]) -> Result<(), Violation> {
    // Most of the time all voters use the same configuration.
    let mut memberships = views.iter().filter_map(|view| {
        let membership = view.membership?;
        membership.is_voter(view.node).then_some(membership)
    });
    let Some(first) = memberships.next() else {
        return Ok(());
    };
    if memberships.all(|other| other == first) {
        return Ok(());
    }
    let ids = all_ids(views);
    if ids.len() > Set::BITS as usize {
        return Ok(());
    }
    let candidates = candidates(views, &ids);
    for (at, first) in candidates.iter().enumerate() {
        for second in candidates.iter().skip(at + 1) {
            if first.voters.always_meet(second.voters) {
                continue;
            }
            if let Some((first_quorum, second_quorum)) = both_elected(first, second) {
                return Err(Violation::DisjointQuorums {
                    first: first.node,
                    first_quorum: named(first_quorum, &ids),
                    second: second.node,
                    second_quorum: named(second_quorum, &ids),
                });
            }
        }
    }
    Ok(())
}

/// Every node that has a view or is a member, in order.
fn all_ids(views: &[MemberView<'_>]) -> Vec<NodeId> {
    let members = views.iter().filter_map(|view| view.membership);
    let members = members.flat_map(|membership| membership.members());
    let members = members.map(|member| member.id);
    let mut ids: Vec<NodeId> = views.iter().map(|view| view.node).chain(members).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn named(set: Set, ids: &[NodeId]) -> Nodes {
    let places = ids.iter().enumerate();
    let within = places.filter(|(place, _)| set >> place & 1 == 1);
    Nodes(within.map(|(_, id)| *id).collect())
}

/// The nodes that a quorum of their own configuration would vote for.
fn candidates(views: &[MemberView<'_>], ids: &[NodeId]) -> Vec<Candidate> {
    let place = |node: NodeId| -> Set { ids.binary_search(&node).map_or(0, |place| 1 << place) };
    let candidate = |view: &MemberView<'_>| {
        let membership = view.membership?;
        let voters = Voters::of(membership, ids);
        let votes = |voter: &&MemberView<'_>| {
            let grants = voter.node == view.node || voter.would_vote_for(view.last_log);
            grants && voter.counts_in(membership)
        };
        let grants = views.iter().filter(votes);
        let grants = grants.fold(0, |set, voter| set | place(voter.node));
        let itself = place(view.node);
        let stands = voters.all() & itself != 0 && voters.have_quorum_in(grants);
        stands.then_some(Candidate {
            node: view.node,
            itself,
            voters,
            grants,
        })
    };
    views.iter().filter_map(candidate).collect()
}

/// Two disjoint quorums, one for each.
fn both_elected(first: &Candidate, second: &Candidate) -> Option<(Set, Set)> {
    let for_first = first.grants & first.voters.all() & !second.itself;
    let for_second = second.grants & second.voters.all() & !first.itself;
    let contested = for_first & for_second;
    let (only_first, only_second) = (for_first & !contested, for_second & !contested);
    // Every way to divide the contested voters: `given` runs through all subsets.
    let mut given = contested;
    loop {
        let (one, other) = (only_first | given, only_second | (contested & !given));
        if first.voters.have_quorum_in(one) {
            if second.voters.have_quorum_in(other) {
                return Some((one, other));
            }
        } else if given == contested {
            return None; // The first lacks a quorum even with all of them.
        }
        if given == 0 {
            return None;
        }
        given = (given - 1) & contested;
    }
}
