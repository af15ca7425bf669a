//! Each rule of the refinement is needed: a history breaks only it, and passes without it. No
//! correct core makes such histories, so they are written by hand.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

mod cluster;

use cluster::{Cluster, Content, members};
use raft_proto::{
    Action, Compaction, EntryId, Index, Member, MemberRole, Membership, NodeId, SnapshotId,
    SnapshotMeta, Vote, Write,
};
use raft_sim::refinement::{Refinement, Rule};

/// Three founders, of which n1 leads in term 1 by the vote of n3, and has appended `1@1`.
fn led(cluster: &mut Cluster) {
    for id in 1..=3 {
        cluster.start(id, &[1, 2, 3]);
    }
    cluster.elect(1, 1, &[3]);
    cluster.append(1, "x = 1");
}

/// n2 holds `1@1` besides, on its disk.
fn replicated(cluster: &mut Cluster) {
    led(cluster);
    cluster.take(2, 1, 1, 1, 1);
    cluster.sync(2);
}

/// n1 is alone, leads in term 1 and has committed `1@1`.
fn alone(cluster: &mut Cluster) {
    cluster.start(1, &[1]);
    cluster.elect(1, 1, &[]);
    cluster.append(1, "x = 1");
    cluster.sync(1);
    cluster.commit(1, 1);
}

/// The history that breaks a rule in its last step.
fn history(rule: Rule, it: &mut Cluster) {
    match rule {
        Rule::TermsGrow => {
            it.start(1, &[1]);
            for term in [5, 4] {
                it.step(1, |node| {
                    node.term = term;
                    vec![node.write(None)]
                });
            }
        }
        Rule::OneVote => {
            for id in 1..=3 {
                it.start(id, &[1, 2, 3]);
            }
            it.campaign(1, 1);
            it.campaign(2, 1);
            it.vote(3, 1, 1);
            it.decide(3, 2, 1);
        }
        Rule::ElectionRestriction => {
            replicated(it);
            it.campaign(3, 2);
            it.decide(2, 3, 2);
        }
        Rule::LossEndsVotes => {
            replicated(it);
            it.restart(2, Some(EntryId::new(1, 1)), |node| node.log.clear());
            it.campaign(3, 2);
            it.decide(2, 3, 2);
        }
        Rule::CandidateIsVoter => {
            it.start(4, &[]);
            it.stand(4, 1);
        }
        Rule::TermAboveLog => {
            replicated(it);
            it.stand(2, 1);
        }
        Rule::ElectedByQuorum => {
            it.start(1, &[1, 2, 3]);
            it.elect(1, 1, &[]);
        }
        // The founders were given different lists.
        Rule::OneLeaderPerTerm => {
            it.start(1, &[1]);
            it.start(2, &[2]);
            it.elect(1, 1, &[]);
            it.elect(2, 1, &[]);
        }
        Rule::LeaderAppendOnly => {
            alone(it);
            it.append(1, "x = 2");
            it.step(1, |node| {
                node.log[1].1 = Content::Command("x = 3");
                vec![node.write(Some(2))]
            });
        }
        Rule::LogMatching => {
            led(it);
            it.step(2, |node| {
                node.term = 1;
                node.log.push((1, Content::Command("x = 2")));
                vec![node.write(Some(1))]
            });
        }
        // An append of an earlier term is taken.
        Rule::CopiesLeader => {
            led(it);
            it.take(2, 1, 1, 1, 2);
        }
        Rule::DeletesConflicts => {
            led(it);
            it.append(1, "x = 2");
            it.take(2, 1, 1, 2, 1);
            it.take(2, 1, 1, 1, 1);
        }
        Rule::AllIsWritten => {
            it.start(1, &[1]);
            it.step(1, |node| {
                node.term = 1;
                Vec::new()
            });
        }
        Rule::DurableIsStored => {
            led(it);
            it.step(1, |node| {
                node.durable = 1;
                Vec::new()
            });
        }
        Rule::VoteIsStored => {
            it.start(1, &[1, 2, 3]);
            it.start(2, &[1, 2, 3]);
            it.campaign(1, 1);
            it.decide(2, 1, 1);
            it.say_vote(2, 1, Vote::Granted);
        }
        Rule::AcknowledgedIsStored => {
            led(it);
            it.take(2, 1, 1, 1, 1);
            it.acknowledge(2, 1);
        }
        _ => history_of_commits(rule, it),
    }
}

fn history_of_commits(rule: Rule, it: &mut Cluster) {
    match rule {
        Rule::AppliedIsStored => {
            replicated(it);
            it.acknowledge(2, 1);
            it.take(3, 1, 1, 1, 1);
            it.sync(3);
            it.acknowledge(3, 1);
            it.commit(1, 1);
            it.step(1, |node| {
                let entries = node.entries(1);
                vec![Action::Apply { entries }]
            });
        }
        Rule::DiskKeeps => {
            replicated(it);
            it.restart(2, None, |node| node.log.clear());
        }
        Rule::NamedBeforeHeard => {
            it.start_on(1, Some(7), &[1]);
            it.say_vote(1, 2, Vote::Refused);
        }
        // Figure 8.
        Rule::CommitsOwnTerm => {
            led(it);
            it.sync(1);
            it.elect(1, 2, &[2]);
            it.take(2, 1, 1, 1, 2);
            it.sync(2);
            it.acknowledge(2, 1);
            it.commit(1, 1);
        }
        Rule::CommitsByQuorum => {
            led(it);
            it.sync(1);
            it.commit(1, 1);
        }
        // The founders were given different lists.
        Rule::LeaderCompleteness => {
            alone(it);
            it.start(2, &[2]);
            it.elect(2, 2, &[]);
        }
        Rule::OneCommittedLog => {
            replicated(it);
            it.commit(2, 1);
        }
        Rule::CommitsStay => {
            replicated(it);
            it.acknowledge(2, 1);
            it.sync(1);
            it.commit(1, 1);
            it.commit(2, 1);
            it.commit(2, 0);
        }
        Rule::ChangesOneByOne => {
            for id in 1..=3 {
                it.start(id, &[1, 2, 3]);
            }
            it.elect(1, 1, &[3]);
            it.change(1, &members(&[1, 2]), &members(&[1, 2]));
        }
        Rule::MajoritiesOverlap => {
            alone(it);
            it.change(1, &members(&[1, 2, 3]), &members(&[1, 2, 3]));
        }
        Rule::LatestInForce => {
            alone(it);
            it.change(1, &members(&[1, 2]), &members(&[1]));
        }
        Rule::SnapshotIsPrefix => {
            alone(it);
            it.step(1, |node| {
                node.seq += 1;
                let compaction = Compaction {
                    snapshot: SnapshotMeta {
                        id: SnapshotId::of(EntryId::new(1, 1), b"x = 1"),
                        membership: members(&[1, 2]),
                    },
                    drop_through: Index(1),
                };
                vec![Action::Persist(Write {
                    seq: raft_proto::Seq(node.seq),
                    compact: Some(Box::new(compaction)),
                    ..Write::default()
                })]
            });
        }
        _ => unreachable!("{rule} has no history"),
    }
}

fn played(rule: Rule, refinement: Refinement) -> Cluster {
    let mut cluster = Cluster::new(refinement);
    history(rule, &mut cluster);
    cluster
}

#[test]
fn each_rule_is_broken_by_a_history_that_breaks_no_other_one() {
    for rule in Rule::ALL {
        let cluster = played(rule, Refinement::new());
        let broken = cluster.broken.as_ref().map(|broken| broken.rule);
        assert_eq!(broken, Some(rule), "{:?}", cluster.broken);
        assert!(!cluster.went_on, "{rule} is broken before the last step");
        let without = played(rule, Refinement::without(rule));
        assert_eq!(without.broken, None, "the history of {rule} breaks another");
    }
}

#[test]
fn a_broken_rule_is_told_with_the_transition_and_what_is_wrong() {
    let broken = played(Rule::CommitsOwnTerm, Refinement::new())
        .broken
        .unwrap();
    let text = "AdvanceCommit of n1 breaks CommitsOwnTerm: it commits 1@1, and leads in term 2";
    assert_eq!((broken.node, broken.to_string()), (NodeId(1), text.into()));
}

/// n1 to n3 make room for n4 to n6, by a joint configuration that is committed.
fn joint(it: &mut Cluster) {
    let member = |id, role| Member::voter(NodeId(id)).with_role(role);
    let old = (1..=3).map(|id| member(id, MemberRole::Outgoing));
    let new = (4..=6).map(|id| member(id, MemberRole::Incoming));
    let joint = Membership::of(old.chain(new));
    for id in 1..=3 {
        it.start(id, &[1, 2, 3]);
    }
    for id in 4..=6 {
        it.start(id, &[]);
    }
    it.elect(1, 1, &[2, 3]);
    it.append(1, "x = 1");
    it.sync(1);
    it.take(2, 1, 1, 1, 1);
    it.sync(2);
    it.acknowledge(2, 1);
    it.commit(1, 1);
    it.change(1, &joint, &joint);
    it.sync(1);
    for (id, first) in [(2, 2), (4, 1), (5, 1)] {
        it.node(id).membership = joint.clone();
        it.take(id, 1, first, 2, 1);
        it.sync(id);
        it.acknowledge(id, 2);
    }
    it.commit(1, 2);
    assert_eq!(it.broken, None);
}

/// Two leaders could leave it for one half each, whose majorities share nobody.
#[test]
fn a_joint_configuration_is_left_for_the_new_one_and_no_other() {
    let leave_for = |ids: &[u64]| {
        let mut cluster = Cluster::new(Refinement::new());
        joint(&mut cluster);
        cluster.change(1, &members(ids), &members(ids));
        cluster.broken.map(|broken| broken.rule)
    };
    assert_eq!(leave_for(&[4, 5, 6]), None);
    for other in [&[1, 2, 3][..], &[4, 5], &[1, 2, 3, 7], &[4, 5, 6, 7]] {
        let broken = leave_for(other);
        assert_eq!(broken, Some(Rule::MajoritiesOverlap), "{other:?}");
    }
}
