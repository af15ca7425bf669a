//! Durability and Exactly Once: the checkers fire on histories that violate them, and stay silent
//! on others. The histories are written by hand.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use raft_proto::{EntryId, Index, Member, MemberRole, Membership, NodeId, Term};
use raft_sim::checker::{Durability, ExactlyOnce, Holds, Nodes, Property, Violation, durability};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

fn nodes(ids: &[u64]) -> Nodes {
    Nodes(ids.iter().copied().map(NodeId).collect())
}

/// The verdict of `committed` when the nodes `holders` hold the entry, and `lost` are lost.
fn committed(membership: &Membership, holders: &[u64], lost: &[u64]) -> Result<(), Violation> {
    durability::committed(EntryId::new(17, 3), N1, membership, |node| {
        match (holders.contains(&node.0), lost.contains(&node.0)) {
            (true, _) => Holds::Yes,
            (false, true) => Holds::Lost,
            (false, false) => Holds::No,
        }
    })
}

#[test]
fn durability_fires_on_an_entry_committed_without_a_majority_of_disks() {
    let three = Membership::new([N1, N2, N3]);
    let broken = committed(&three, &[1], &[]).expect_err("one of three");
    assert_eq!(
        broken,
        Violation::CommittedNotStored {
            entry: EntryId::new(17, 3),
            leader: N1,
            holders: nodes(&[1]),
            voters: nodes(&[1, 2, 3]),
        }
    );
    assert_eq!(broken.property(), Property::Durability);
    assert_eq!(
        broken.to_string(),
        "n1 committed entry 17@3, but of its voters n1 n2 n3 it is on the disks of n1 only"
    );
    let four = Membership::new([N1, N2, N3, NodeId(4)]);
    assert!(committed(&four, &[1, 2], &[]).is_err(), "half is none");
}

#[test]
fn durability_accepts_a_majority_of_disks_of_which_some_are_lost() {
    let three = Membership::new([N1, N2, N3]);
    assert_eq!(committed(&three, &[2, 3], &[]), Ok(())); // The leader need not be among them.
    assert_eq!(committed(&three, &[1], &[3]), Ok(()));
    assert_eq!(committed(&Membership::new([N1]), &[1], &[]), Ok(()));
}

#[test]
fn durability_does_not_count_learners() {
    let members = [Member::voter(N1), Member::voter(N2), Member::learner(N3)];
    let membership = Membership::of(members);
    assert!(committed(&membership, &[1, 3], &[]).is_err());
    assert_eq!(committed(&membership, &[1, 2], &[]), Ok(()));
}

#[test]
fn durability_needs_a_majority_of_each_half_of_a_joint_configuration() {
    // From 1 2 3 to 3 4 5.
    let joint = |id, role| Member::voter(NodeId(id)).with_role(role);
    let membership = Membership::of([
        joint(1, MemberRole::Outgoing),
        joint(2, MemberRole::Demoted),
        joint(3, MemberRole::Voter),
        joint(4, MemberRole::Incoming),
        joint(5, MemberRole::Incoming),
    ]);
    let lacking = |holders: &[u64]| match committed(&membership, holders, &[]) {
        Err(Violation::CommittedNotStored { voters, .. }) => Some(voters),
        Err(other) => panic!("{other}"),
        Ok(()) => None,
    };
    assert_eq!(lacking(&[1, 2, 3]), Some(nodes(&[3, 4, 5])));
    assert_eq!(lacking(&[3, 4, 5]), Some(nodes(&[1, 2, 3])));
    assert_eq!(lacking(&[1, 3, 5]), None);
    assert_eq!(lacking(&[1, 2, 4, 5]), None);
}

#[test]
fn durability_fires_on_an_acknowledged_entry_that_is_lost() {
    let mut durability = Durability::default();
    durability.acknowledged(EntryId::new(4, 1), N1);
    durability.acknowledged(EntryId::new(5, 2), N1);
    let shorter = |index: Index| (index.0 == 4).then_some(Term(1));
    let broken = durability.check_present(N2, Index::ZERO, shorter);
    let broken = broken.expect_err("it has nothing at 5");
    assert_eq!(
        broken,
        Violation::AcknowledgedLost {
            entry: EntryId::new(5, 2),
            at: N1,
            node: N2,
        }
    );
    assert_eq!(broken.property(), Property::Durability);
    let replaced = |index: Index| Some(Term(index.0 - 3 + u64::from(index.0 == 5)));
    assert!(durability.check_present(N2, Index(4), replaced).is_err());
}

#[test]
fn durability_accepts_entries_in_a_log_or_covered_by_a_snapshot() {
    let mut durability = Durability::default();
    durability.acknowledged(EntryId::new(4, 1), N1);
    durability.acknowledged(EntryId::new(5, 2), N1);
    let log = |index: Index| (index.0 == 5).then_some(Term(2));
    assert_eq!(durability.check_present(N2, Index(4), log), Ok(()));
    assert_eq!(durability.check_present(N2, Index(5), |_| None), Ok(()));
    assert!(durability.check_present(N2, Index(3), log).is_err());
}

#[test]
fn durability_remembers_the_last_entries() {
    let mut durability = Durability::default();
    let more = Durability::REMEMBERED as u64 + 1;
    for index in 1..=more {
        durability.acknowledged(EntryId::new(index, 1), N1);
    }
    let all_but = |lost: u64| move |index: Index| (index.0 != lost).then_some(Term(1));
    assert_eq!(
        durability.check_present(N2, Index::ZERO, all_but(1)),
        Ok(())
    );
    assert!(
        durability
            .check_present(N2, Index::ZERO, all_but(2))
            .is_err()
    );
    assert!(
        durability
            .check_present(N2, Index::ZERO, all_but(more))
            .is_err()
    );
}

#[test]
fn exactly_once_fires_on_a_command_that_ran_as_two_entries() {
    // On another node, and on the same one.
    for second in [N2, N1] {
        let mut once = ExactlyOnce::default();
        once.ran(N1, 7, 3, EntryId::new(10, 1)).expect("the first");
        let broken = once.ran(second, 7, 3, EntryId::new(12, 2));
        let broken = broken.expect_err("it ran before");
        assert_eq!(
            broken,
            Violation::RanTwice {
                session: 7,
                sequence: 3,
                first: N1,
                first_at: EntryId::new(10, 1),
                second,
                second_at: EntryId::new(12, 2),
            }
        );
        assert_eq!(broken.property(), Property::ExactlyOnce);
    }
}

#[test]
fn exactly_once_fires_in_any_order_and_with_gaps() {
    let mut once = ExactlyOnce::default();
    let sequences = [1, 2, 9, 5, 6, 40, 7];
    for (at, sequence) in sequences.into_iter().enumerate() {
        let at = EntryId::new(at as u64 + 1, 1);
        once.ran(N1, 7, sequence, at).expect("new");
    }
    for (at, sequence) in sequences.into_iter().enumerate() {
        let at = at as u64 + 1;
        assert_eq!(once.ran(N2, 7, sequence, EntryId::new(at, 1)), Ok(()));
        assert!(once.ran(N2, 7, sequence, EntryId::new(at + 50, 1)).is_err());
        assert_eq!(once.answered(7, sequence), Ok(()));
    }
    assert!(once.answered(7, 8).is_err());
}

#[test]
fn exactly_once_accepts_one_entry_on_all_nodes_and_again_after_a_restart() -> Result<(), Violation>
{
    let mut once = ExactlyOnce::default();
    for node in [N1, N2, N3, N1] {
        for sequence in 1..1000 {
            once.ran(node, 7, sequence, EntryId::new(sequence, 1))?;
            once.ran(node, 8, sequence, EntryId::new(sequence + 1000, 1))?;
        }
    }
    once.answered(7, 999)?;
    once.answered(8, 1) // Forgotten, and so accepted.
}

#[test]
fn exactly_once_fires_on_an_answer_to_a_command_that_never_ran() {
    let mut once = ExactlyOnce::default();
    once.ran(N1, 7, 3, EntryId::new(10, 1)).expect("the first");
    assert_eq!(once.answered(7, 3), Ok(()));
    let broken = once.answered(7, 4).expect_err("it did not run");
    assert_eq!(
        broken,
        Violation::AnsweredWithoutRunning {
            session: 7,
            sequence: 4,
        }
    );
    assert!(once.answered(8, 1).is_err(), "there is no such session");
}

#[test]
fn exactly_once_forgets_the_lowest_commands_and_sessions() {
    let mut once = ExactlyOnce::default();
    let commands = ExactlyOnce::COMMANDS as u64;
    for sequence in 1..=commands + 1 {
        once.ran(N1, 1, sequence, EntryId::new(sequence, 1))
            .expect("each once");
    }
    let elsewhere = EntryId::new(9999, 1);
    assert_eq!(once.ran(N2, 1, 1, elsewhere), Ok(()));
    assert!(once.ran(N2, 1, 2, elsewhere).is_err());
    for session in 2..=ExactlyOnce::SESSIONS as u64 + 1 {
        once.ran(N1, session, 1, EntryId::new(1000 + session, 1))
            .expect("each once");
    }
    assert_eq!(once.ran(N2, 1, 2, elsewhere), Ok(()));
    assert!(once.ran(N2, 2, 1, elsewhere).is_err());
}
