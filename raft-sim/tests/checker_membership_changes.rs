//! The checker of what a leader says of a change of the members fires on answers that are not what
//! the leader did, and on nothing else.
#![allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm)]

use core::time::Duration;
use raft_proto::{
    Action, ChangeError, ClusterId, Config, EntryId, Event, Index, Input, Member, MembershipChange,
    NodeChange, NodeId, Raft, Recovered, RequestId, Start, Term, Time,
};
use raft_sim::checker::{
    ChangeBroken, ConfigurationsInForce, MembershipChanges, Property, Violation,
};

const N1: NodeId = NodeId(1);
const ID: RequestId = RequestId(7);
type Outcome = Result<EntryId, ChangeError>;

/// n1, which leads itself, and the configurations of its log.
struct Leader {
    raft: Raft,
    configurations: ConfigurationsInForce,
}

impl Leader {
    fn new() -> Leader {
        let config = Config::new(ClusterId(7), N1, Start::voters([N1]), 1);
        let raft = Raft::new(config, Recovered::default()).unwrap();
        let mut configurations = ConfigurationsInForce::default();
        configurations.started(&raft, None).unwrap();
        let mut leader = Leader {
            raft,
            configurations,
        };
        leader.take(Time::ZERO, Input::Tick);
        leader.settle(Input::Tick);
        leader
    }

    fn take(&mut self, at: Time, input: Input) -> Vec<Action> {
        let event = Event { at, input };
        self.configurations.event(&event);
        let actions = self.raft.step(event);
        self.configurations.actions(&self.raft, &actions).unwrap();
        actions
    }

    /// Takes the input, and reports every write as durable.
    fn settle(&mut self, input: Input) -> Vec<Action> {
        let at = Time::from_epoch(Duration::from_secs(9));
        let first = self.take(at, input);
        let mut seqs = persists(&first);
        while let Some(seq) = seqs.pop() {
            let more = self.take(at, Input::Persisted { seq });
            seqs.extend(persists(&more));
        }
        first
    }

    fn in_force(&self) -> Index {
        self.configurations.latest_index(N1).unwrap()
    }

    /// What the checker says if the leader is asked for `change`, is given `taken` instead, and
    /// answers by `told`, which is made of the true answer.
    fn verdict(
        &mut self,
        change: &MembershipChange,
        taken: Option<&MembershipChange>,
        told: impl Fn(Outcome) -> Outcome,
    ) -> Result<(), Violation> {
        let mut checker = MembershipChanges::default();
        let at = Time::from_epoch(Duration::from_secs(9));
        let asks = |change: &MembershipChange| Input::ChangeMembership {
            id: ID,
            change: change.clone(),
        };
        let input = asks(change);
        checker.event(&self.raft, &Event { at, input }, &self.configurations);
        let actions = match taken {
            Some(taken) => self.settle(asks(taken)),
            None => vec![Action::ChangeProposed {
                id: ID,
                outcome: Err(ChangeError::NothingChanges),
            }],
        };
        let told = actions.into_iter().map(|action| match action {
            Action::ChangeProposed { id, outcome } => Action::ChangeProposed {
                id,
                outcome: told(outcome),
            },
            other => other,
        });
        let told: Vec<Action> = told.collect();
        checker.actions(&self.raft, &told, &self.configurations)
    }
}

fn persists(actions: &[Action]) -> Vec<raft_proto::Seq> {
    let seq = |action: &Action| match action {
        Action::Persist(write) => Some(write.seq),
        _ => None,
    };
    actions.iter().filter_map(seq).collect()
}

/// n2 becomes a learner, if the configuration at `expected` is in force.
fn added(expected: Option<Index>) -> MembershipChange {
    MembershipChange {
        expected,
        ..NodeChange::Set(Member::learner(NodeId(2))).into()
    }
}

fn refused(index: Index) -> Outcome {
    Err(ChangeError::Changed { index })
}

#[test]
fn passes_a_correct_leader_whether_it_accepts_or_refuses() {
    let mut leader = Leader::new();
    let first = leader.in_force();
    for (expected, is_accepted) in [
        (Some(Index(first.0 + 9)), false),
        (Some(first), true),
        (Some(first), false),
    ] {
        let before = leader.in_force();
        let change = added(expected);
        let result = leader.verdict(&change, Some(&change), |outcome| {
            assert_eq!(outcome.is_ok(), is_accepted, "{expected:?}: {outcome:?}");
            outcome
        });
        assert_eq!(result, Ok(()));
        assert_eq!(leader.in_force() > before, is_accepted);
    }
    let removed = MembershipChange::from(NodeChange::Remove(NodeId(2)));
    assert_eq!(leader.verdict(&removed, Some(&removed), |it| it), Ok(()));
}

#[test]
fn fires_on_a_change_that_is_accepted_for_another_configuration() {
    let mut leader = Leader::new();
    let (node, expected) = (N1, Index(leader.in_force().0 + 9));
    // The leader does not compare.
    let result = leader.verdict(&added(Some(expected)), Some(&added(None)), |it| it);
    let broken = ChangeBroken::AcceptedForAnother { node, expected };
    assert_eq!(result, Err(Violation::Change(broken)));
    let property = result.unwrap_err().property();
    assert_eq!(property, Property::ChangesAsAnswered);
}

#[test]
fn fires_on_a_change_that_is_refused_and_in_force() {
    let mut leader = Leader::new();
    let (node, index) = (N1, leader.in_force());
    let error = ChangeError::Changed { index };
    let result = leader.verdict(&added(None), Some(&added(None)), |_| refused(index));
    let broken = ChangeBroken::RefusedInForce { node, error };
    assert_eq!(result, Err(Violation::Change(broken)));
}

#[test]
fn fires_on_a_change_that_is_accepted_and_not_in_force() {
    let entry = EntryId {
        index: Index(5),
        term: Term(1),
    };
    let broken = ChangeBroken::AcceptedNotInForce {
        node: N1,
        index: entry.index,
    };
    let result = Leader::new().verdict(&added(None), None, |_| Ok(entry));
    assert_eq!(result, Err(Violation::Change(broken)));
    // Another change is in force in its place.
    let mut leader = Leader::new();
    let other = NodeChange::Set(Member::learner(NodeId(3))).into();
    let result = leader.verdict(&added(None), Some(&other), |it| it);
    let index = leader.in_force();
    let broken = ChangeBroken::AcceptedNotInForce { node: N1, index };
    assert_eq!(result, Err(Violation::Change(broken)));
}

#[test]
fn fires_on_a_refusal_for_the_sake_of_a_configuration_that_is_the_expected_one() {
    let mut leader = Leader::new();
    let index = leader.in_force();
    for expected in [Some(index), None] {
        let result = leader.verdict(&added(expected), None, |_| refused(index));
        let broken = ChangeBroken::RefusedForNoReason { node: N1, expected };
        assert_eq!(result, Err(Violation::Change(broken)));
    }
}
