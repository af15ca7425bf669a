//! Each check of Figure 3 fires on a history that breaks its property, and stays silent on one
//! that does not. No correct core makes such histories, so they are written by hand.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use raft_proto::{
    Action, Entries, EntriesBuilder, EntryId, EntryKind, Index, NodeId, RoleKind, Seq, Term, Write,
};
use raft_sim::checker::{Figure3Checker, Observation, Property, Started, Violation};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

/// A node of a history. Each step changes something and is then observed.
struct Node {
    id: NodeId,
    term: u64,
    role: RoleKind,
    commit: u64,
    base: EntryId,
    last: EntryId,
}

impl Node {
    fn start(checker: &mut Figure3Checker, id: NodeId) -> Node {
        Node::start_with(checker, id, &[])
    }

    fn start_with(
        checker: &mut Figure3Checker,
        id: NodeId,
        entries: &[(u64, u64, &'static str)],
    ) -> Node {
        let entries = log(entries);
        let last = entries.last_id().unwrap_or(EntryId::ZERO);
        checker
            .started(&Started {
                node: id,
                term: Term(0),
                log_base: EntryId::ZERO,
                entries,
                applied: Index::ZERO,
            })
            .expect("a log without history breaks nothing");
        Node {
            id,
            term: 0,
            role: RoleKind::Follower,
            commit: 0,
            base: EntryId::ZERO,
            last,
        }
    }

    fn observe(&self, checker: &mut Figure3Checker, actions: &[Action]) -> Result<(), Violation> {
        checker.observe(&Observation {
            node: self.id,
            term: Term(self.term),
            role: self.role,
            commit_index: Index(self.commit),
            log_base: self.base,
            last_log: self.last,
            actions,
        })
    }

    fn lead(&mut self, checker: &mut Figure3Checker, term: u64) -> Result<(), Violation> {
        (self.role, self.term) = (RoleKind::Leader, term);
        self.observe(checker, &[])
    }

    fn follow(&mut self, checker: &mut Figure3Checker, term: u64) -> Result<(), Violation> {
        (self.role, self.term) = (RoleKind::Follower, term);
        self.observe(checker, &[])
    }

    /// Entries replace everything from their first index on.
    fn write(
        &mut self,
        checker: &mut Figure3Checker,
        entries: &[(u64, u64, &'static str)],
    ) -> Result<(), Violation> {
        let entries = log(entries);
        self.last = entries.last_id().expect("something is written");
        let write = Write {
            seq: Seq(1),
            entries,
            ..Write::default()
        };
        self.observe(checker, &[Action::Persist(write)])
    }

    fn commit(&mut self, checker: &mut Figure3Checker, index: u64) -> Result<(), Violation> {
        self.commit = index;
        self.observe(checker, &[])
    }

    fn apply(
        &mut self,
        checker: &mut Figure3Checker,
        entries: &[(u64, u64, &'static str)],
    ) -> Result<(), Violation> {
        let entries = log(entries);
        self.observe(checker, &[Action::Apply { entries }])
    }
}

/// Entries from index, term and payload.
fn log(entries: &[(u64, u64, &'static str)]) -> Entries {
    let mut builder = EntriesBuilder::new();
    for (index, term, payload) in entries {
        let payload = Bytes::from_static(payload.as_bytes());
        builder
            .push(EntryId::new(*index, *term), EntryKind::Command, payload)
            .expect("the history is written in order");
    }
    builder.finish()
}

#[test]
fn a_history_of_a_correct_cluster_breaks_nothing() -> Result<(), Violation> {
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    let mut n2 = Node::start(&mut checker, N2);
    let mut n3 = Node::start(&mut checker, N3);
    n1.lead(&mut checker, 1)?;
    n1.write(&mut checker, &[(1, 1, "a"), (2, 1, "b")])?;
    n2.follow(&mut checker, 1)?;
    n2.write(&mut checker, &[(1, 1, "a")])?;
    n1.commit(&mut checker, 1)?;
    n1.apply(&mut checker, &[(1, 1, "a")])?;
    // n2 is elected without the second entry, which was never committed, and replaces it.
    n2.lead(&mut checker, 2)?;
    n2.write(&mut checker, &[(2, 2, "c")])?;
    n3.follow(&mut checker, 2)?;
    n3.write(&mut checker, &[(1, 1, "a"), (2, 2, "c")])?;
    n2.commit(&mut checker, 2)?;
    n2.apply(&mut checker, &[(1, 1, "a"), (2, 2, "c")])?;
    n1.follow(&mut checker, 2)?;
    n1.write(&mut checker, &[(2, 2, "c")])?;
    n1.commit(&mut checker, 2)?;
    n1.apply(&mut checker, &[(2, 2, "c")])?;
    assert_eq!(checker.commit_index(), Index(2));
    Ok(())
}

#[test]
fn election_safety_fires_on_two_leaders_of_a_term() -> Result<(), Violation> {
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    let mut n2 = Node::start(&mut checker, N2);
    n1.lead(&mut checker, 4)?;
    n2.lead(&mut checker, 5)?;
    let broken = n2.lead(&mut checker, 4).expect_err("n1 led in term 4");
    assert_eq!(
        broken,
        Violation::TwoLeaders {
            term: Term(4),
            first: N1,
            second: N2
        }
    );
    assert_eq!(broken.property(), Property::ElectionSafety);
    assert_eq!(broken.to_string(), "n1 and n2 both lead in term 4");
    Ok(())
}

#[test]
fn leader_append_only_fires_on_a_leader_that_replaces_its_entries() -> Result<(), Violation> {
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    n1.lead(&mut checker, 1)?;
    n1.write(&mut checker, &[(1, 1, "a"), (2, 1, "b")])?;
    n1.write(&mut checker, &[(3, 1, "c")])?;
    let broken = n1.write(&mut checker, &[(3, 1, "c")]);
    let broken = broken.expect_err("written twice");
    assert_eq!(
        broken,
        Violation::LeaderRewroteLog {
            leader: N1,
            term: Term(1),
            last_before: EntryId::new(3, 1),
            from: Index(3)
        }
    );
    assert_eq!(broken.property(), Property::LeaderAppendOnly);
    Ok(())
}

#[test]
fn a_follower_may_replace_its_entries() -> Result<(), Violation> {
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    n1.lead(&mut checker, 1)?;
    n1.write(&mut checker, &[(1, 1, "a"), (2, 1, "b")])?;
    n1.follow(&mut checker, 2)?;
    n1.write(&mut checker, &[(1, 2, "c")])
}

#[test]
fn log_matching_fires_on_one_entry_with_two_contents() -> Result<(), Violation> {
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    let mut n2 = Node::start(&mut checker, N2);
    n1.write(&mut checker, &[(1, 1, "a"), (2, 1, "b")])?;
    n2.write(&mut checker, &[(1, 1, "a")])?;
    let broken = n2.write(&mut checker, &[(2, 1, "x")]);
    let broken = broken.expect_err("entry 2@1 is another one");
    assert_eq!(
        broken,
        Violation::DifferentEntries {
            entry: EntryId::new(2, 1),
            first: N1,
            second: N2
        }
    );
    assert_eq!(broken.property(), Property::LogMatching);
    Ok(())
}

#[test]
fn log_matching_fires_on_one_entry_with_two_predecessors() -> Result<(), Violation> {
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    let mut n2 = Node::start(&mut checker, N2);
    n1.write(&mut checker, &[(1, 1, "a"), (2, 3, "b")])?;
    n2.write(&mut checker, &[(1, 2, "x")])?;
    let broken = n2.write(&mut checker, &[(2, 3, "b")]);
    assert_eq!(
        broken.expect_err("it follows 1@2 here and 1@1 there"),
        Violation::DifferentPredecessors {
            entry: EntryId::new(2, 3),
            first: N1,
            first_term: Term(1),
            second: N2,
            second_term: Term(2)
        }
    );
    Ok(())
}

#[test]
fn log_matching_fires_on_a_log_found_at_a_start() -> Result<(), Violation> {
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    n1.write(&mut checker, &[(1, 1, "a")])?;
    let started = Started {
        node: N2,
        term: Term(1),
        log_base: EntryId::ZERO,
        entries: log(&[(1, 1, "x")]),
        applied: Index::ZERO,
    };
    let broken = checker.started(&started).expect_err("1@1 is \"a\"");
    assert_eq!(broken.property(), Property::LogMatching);
    Ok(())
}

#[test]
fn leader_completeness_fires_on_a_leader_elected_without_a_committed_entry() -> Result<(), Violation>
{
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    let mut n2 = Node::start(&mut checker, N2);
    n1.lead(&mut checker, 1)?;
    n1.write(&mut checker, &[(1, 1, "a"), (2, 1, "b")])?;
    n2.write(&mut checker, &[(1, 1, "a")])?;
    n1.commit(&mut checker, 2)?;
    let broken = n2.lead(&mut checker, 2).expect_err("it has only 1@1");
    assert_eq!(
        broken,
        Violation::CommittedEntryMissing {
            entry: EntryId::new(2, 1),
            committed_in: Term(1),
            leader: N2,
            term: Term(2),
            last_log: EntryId::new(1, 1)
        }
    );
    assert_eq!(broken.property(), Property::LeaderCompleteness);
    Ok(())
}

/// Figure 8, (c) to (d): an entry of an earlier term is on a majority and counted as committed,
/// while the next leader does not have it.
#[test]
fn leader_completeness_fires_on_a_commit_that_a_newer_leader_does_not_have() -> Result<(), Violation>
{
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    let mut n2 = Node::start(&mut checker, N2);
    n1.lead(&mut checker, 2)?;
    n1.write(&mut checker, &[(1, 2, "a")])?;
    n2.lead(&mut checker, 3)?;
    let broken = n1.commit(&mut checker, 1).expect_err("n2 has nothing");
    assert!(matches!(
        broken,
        Violation::CommittedEntryMissing { leader: N2, .. }
    ));
    Ok(())
}

/// A candidate may learn late that it was elected, when its term is long over.
#[test]
fn leader_completeness_does_not_check_a_leader_of_an_earlier_term() -> Result<(), Violation> {
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    let mut n2 = Node::start(&mut checker, N2);
    n1.lead(&mut checker, 5)?;
    n1.write(&mut checker, &[(1, 5, "a")])?;
    n1.commit(&mut checker, 1)?;
    n2.lead(&mut checker, 4)
}

#[test]
fn leader_completeness_fires_on_a_commit_index_beyond_the_log() -> Result<(), Violation> {
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    let broken = n1.commit(&mut checker, 1).expect_err("there is no entry");
    assert!(matches!(
        broken,
        Violation::CommittedBeyondLog { node: N1, .. }
    ));
    Ok(())
}

#[test]
fn state_machine_safety_fires_on_two_commands_applied_at_one_index() -> Result<(), Violation> {
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    let mut n2 = Node::start(&mut checker, N2);
    n1.write(&mut checker, &[(1, 1, "a")])?;
    n1.commit(&mut checker, 1)?;
    n1.apply(&mut checker, &[(1, 1, "a")])?;
    n2.write(&mut checker, &[(1, 2, "b")])?;
    n2.commit(&mut checker, 1)?;
    let broken = n2.apply(&mut checker, &[(1, 2, "b")]);
    let broken = broken.expect_err("n1 applied 1@1");
    assert_eq!(
        broken,
        Violation::AppliedDifferently {
            entry: EntryId::new(1, 2),
            first: N1,
            first_term: Term(1),
            second: N2
        }
    );
    assert_eq!(broken.property(), Property::StateMachineSafety);
    Ok(())
}

#[test]
fn state_machine_safety_fires_on_an_index_left_out_or_repeated() -> Result<(), Violation> {
    let entries = [(1, 1, "a"), (2, 1, "b")];
    for second in [&entries[..1], &[(3, 1, "c")]] {
        let mut checker = Figure3Checker::new();
        let mut n1 = Node::start(&mut checker, N1);
        n1.write(&mut checker, &[(1, 1, "a"), (2, 1, "b"), (3, 1, "c")])?;
        n1.commit(&mut checker, 3)?;
        n1.apply(&mut checker, &entries[..1])?;
        let broken = n1.apply(&mut checker, second).expect_err("2 comes next");
        assert!(matches!(
            broken,
            Violation::AppliedOutOfOrder {
                expected: Index(2),
                ..
            }
        ));
    }
    Ok(())
}

#[test]
fn state_machine_safety_fires_on_an_entry_that_is_not_committed() -> Result<(), Violation> {
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    n1.write(&mut checker, &[(1, 1, "a")])?;
    let broken = n1.apply(&mut checker, &[(1, 1, "a")]);
    let broken = broken.expect_err("commitIndex is 0");
    assert!(matches!(broken, Violation::AppliedUncommitted { .. }));
    Ok(())
}

#[test]
fn state_machine_safety_fires_on_a_committed_entry_that_is_removed() -> Result<(), Violation> {
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    n1.write(&mut checker, &[(1, 1, "a"), (2, 1, "b")])?;
    n1.commit(&mut checker, 2)?;
    let broken = n1.write(&mut checker, &[(2, 2, "x")]);
    assert_eq!(
        broken.expect_err("2@1 was committed"),
        Violation::CommitTakenBack {
            node: N1,
            commit_index: Index(2),
            taken_back: Index(2)
        }
    );
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    n1.write(&mut checker, &[(1, 1, "a"), (2, 1, "b")])?;
    n1.commit(&mut checker, 2)?;
    let broken = n1.commit(&mut checker, 1).expect_err("commitIndex fell");
    assert_eq!(broken.property(), Property::StateMachineSafety);
    Ok(())
}

#[test]
fn a_log_that_changes_without_a_write_is_noticed() -> Result<(), Violation> {
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start_with(&mut checker, N1, &[(1, 1, "a")]);
    n1.last = EntryId::new(2, 1);
    let broken = n1.observe(&mut checker, &[]).expect_err("not written");
    assert_eq!(broken.property(), Property::Durability);
    Ok(())
}

#[test]
fn a_leader_that_crashed_is_not_checked() -> Result<(), Violation> {
    let mut checker = Figure3Checker::new();
    let mut n1 = Node::start(&mut checker, N1);
    let mut n2 = Node::start(&mut checker, N2);
    n2.lead(&mut checker, 3)?;
    checker.stopped(N2);
    n1.lead(&mut checker, 2)?;
    n1.write(&mut checker, &[(1, 2, "a")])?;
    n1.commit(&mut checker, 1)
}
