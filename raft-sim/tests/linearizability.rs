//! The linearizability checker on histories written by hand. `properties` has random histories, on
//! which it is compared with other checkers and with itself.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

#[path = "linearizability/drafts.rs"]
mod drafts;
#[path = "linearizability/expired.rs"]
mod expired;
#[path = "linearizability/model.rs"]
mod model;
#[path = "linearizability/properties.rs"]
mod properties;
#[path = "linearizability/rivals.rs"]
mod rivals;

#[path = "linearizability/speed.rs"]
mod speed;

use drafts::{Input, Op, Output};
use raft_sim::linearizability::{
    Checker, CheckerError, Exceeded, History, KeyValue, Limits, Model, Operation, Value, Verdict,
    check, check_within,
};

fn set(value: u64) -> Input {
    Input::Set(value.into())
}

fn cas(expected: u64, new: u64) -> Input {
    Input::CompareAndSet {
        expected: Some(expected.into()),
        new: new.into(),
    }
}

fn saw(value: u64) -> Output {
    Output::Value(Some(value.into()))
}

const NOTHING: Output = Output::Value(None);
const DONE: Output = Output::Done;

/// An operation on key 1 with a known outcome.
fn known(invoked: u64, returned: u64, input: Input, output: Output) -> Op {
    Operation {
        client: invoked,
        key: 1,
        invoked,
        returned: Some(returned),
        input,
        output: Some(output),
    }
}

/// An operation on key 1 with an unknown outcome.
fn unknown(invoked: u64, input: Input) -> Op {
    Operation {
        client: invoked,
        key: 1,
        invoked,
        returned: None,
        input,
        output: None,
    }
}

/// Whether the operations are linearizable. All ways to check must agree.
fn holds(operations: Vec<Op>) -> bool {
    let whole = check(&operations.iter().cloned().collect());
    let plain = check(&operations.iter().cloned().map(plain).collect());
    assert_eq!(plain.is_ok(), whole.is_ok(), "without the model's hints");
    for stretch in [1, 3, 64] {
        let verdict = step_by_step(&operations, stretch);
        assert_eq!(verdict.is_linearizable(), whole.is_ok(), "{stretch}");
        assert_eq!(verdict.violation().is_none(), whole.is_ok(), "{stretch}");
    }
    whole.is_ok()
}

/// The key/value model without its hints.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plain;

impl Model for Plain {
    type Key = u64;
    type Input = Input;
    type Output = Output;
    type State = Option<Value>;

    fn initial() -> Option<Value> {
        <KeyValue>::initial()
    }

    fn step(
        state: &Option<Value>,
        input: &Input,
        output: Option<&Output>,
    ) -> Option<Option<Value>> {
        <KeyValue>::step(state, input, output)
    }
}

fn plain(operation: Op) -> Operation<Plain> {
    Operation {
        client: operation.client,
        key: operation.key,
        invoked: operation.invoked,
        returned: operation.returned,
        input: operation.input,
        output: operation.output,
    }
}

/// Reports all operations to a checker in the order of time. Operations of unknown outcome are
/// given up some time after they began, or stay outstanding.
fn step_by_step(operations: &[Op], stretch: usize) -> Verdict<KeyValue> {
    let mut checker = Checker::new(Limits {
        stretch,
        ..Limits::default()
    });
    let mut order = Vec::new();
    for (at, operation) in operations.iter().enumerate() {
        order.push((operation.invoked, false, at));
        let end = operation.returned.unwrap_or(operation.invoked + 5);
        order.push((end, true, at));
    }
    order.sort_unstable();
    let mut ids = vec![None; operations.len()];
    for (now, is_end, at) in order {
        let Operation {
            client,
            key,
            input,
            output,
            ..
        } = operations[at].clone();
        let result = match (ids[at], output) {
            (None, _) => checker.invoke(client, key, input, now).map(|id| {
                ids[at] = Some(id);
            }),
            (Some(id), Some(output)) => checker.complete(id, output, now),
            (Some(id), None) if is_end && at % 2 == 0 => checker.unknown(id),
            (Some(_), None) => Ok(()),
        };
        match result {
            Ok(()) => {}
            Err(CheckerError::NotLinearizable(violation)) => {
                assert_eq!(
                    checker.finish(),
                    Verdict::NotLinearizable(violation.clone())
                );
                return Verdict::NotLinearizable(violation);
            }
            Err(error) => panic!("{error}"),
        }
    }
    checker.finish()
}

#[test]
fn reads_see_the_last_write_or_one_under_way() {
    assert!(holds(vec![]));
    assert!(holds(vec![known(0, 1, Input::Get, NOTHING)]));
    assert!(!holds(vec![known(0, 1, Input::Get, saw(1))]));
    let written = known(0, 1, set(1), DONE);
    assert!(holds(vec![
        written.clone(),
        known(2, 3, Input::Get, saw(1))
    ]));
    // A write that is under way may be seen or not. Once it was seen, it has taken effect.
    let slow = known(2, 9, set(2), DONE);
    let old = known(3, 4, Input::Get, saw(1));
    let new = known(5, 6, Input::Get, saw(2));
    assert!(holds(vec![
        written.clone(),
        slow.clone(),
        old.clone(),
        new.clone()
    ]));
    let back = known(7, 8, Input::Get, saw(1));
    assert!(!holds(vec![written, slow, old, new, back]));
}

#[test]
fn a_stale_read_is_found() {
    let first = known(0, 1, set(1), DONE);
    let second = known(2, 3, set(2), DONE);
    let stale = |invoked| known(invoked, 6, Input::Get, saw(1));
    assert!(!holds(vec![first.clone(), second.clone(), stale(4)]));
    // An operation that begins when another ends is concurrent with it.
    assert!(holds(vec![first, second, stale(3)]));
}

#[test]
fn a_lost_update_is_found() {
    let mut operations = vec![
        known(0, 9, Input::Append("a".into()), DONE),
        known(0, 9, Input::Append("b".into()), DONE),
    ];
    let read = |text: &str| {
        known(
            10,
            11,
            Input::Get,
            Output::Value(Some(text.as_bytes().into())),
        )
    };
    for (text, is_possible) in [("ab", true), ("ba", true), ("a", false), ("abb", false)] {
        operations.push(read(text));
        assert_eq!(holds(operations.clone()), is_possible, "{text}");
        operations.pop();
    }
}

#[test]
fn of_two_exchanges_of_one_value_one_succeeds() {
    let both = |first, second| {
        vec![
            known(0, 1, set(1), DONE),
            known(2, 9, cas(1, 2), Output::Swapped(first)),
            known(3, 8, cas(1, 3), Output::Swapped(second)),
        ]
    };
    assert!(holds(both(true, false)));
    assert!(holds(both(false, true)));
    assert!(!holds(both(true, true)));
    assert!(!holds(both(false, false)));
}

#[test]
fn a_write_of_unknown_outcome_may_come_late_or_never_but_once() {
    let mut operations = vec![known(0, 1, set(1), DONE), unknown(2, set(2))];
    assert!(holds(operations.clone()));
    for (at, seen) in [(10, 1), (20, 1), (30, 2)] {
        operations.push(known(at, at + 1, Input::Get, saw(seen)));
        assert!(holds(operations.clone()), "at {at}");
    }
    // It took effect, and was overwritten. It cannot come back.
    operations.push(known(40, 41, set(3), DONE));
    assert!(holds(operations.clone()));
    operations.push(known(50, 51, Input::Get, saw(2)));
    assert!(!holds(operations.clone()));
    // Unless there is another write of the same value.
    operations.push(unknown(45, set(2)));
    assert!(holds(operations.clone()));
    // It cannot take effect before it began.
    let early = vec![known(0, 1, Input::Get, saw(2)), unknown(2, set(2))];
    assert!(!holds(early));
}

#[test]
fn an_unseen_write_of_unknown_outcome_explains_a_failed_exchange() {
    let failed = known(10, 11, cas(1, 2), Output::Swapped(false));
    let written = known(0, 1, set(1), DONE);
    assert!(!holds(vec![written.clone(), failed.clone()]));
    assert!(holds(vec![
        written.clone(),
        unknown(2, set(7)),
        failed.clone()
    ]));
    assert!(holds(vec![
        written.clone(),
        unknown(2, Input::Delete),
        failed.clone()
    ]));
    // Both must take effect, one after the other. Each alone explains nothing.
    let chain = vec![
        written,
        unknown(2, cas(7, 8)),
        unknown(3, set(7)),
        known(20, 21, Input::Get, saw(8)),
    ];
    assert!(holds(chain));
}

#[test]
fn keys_are_independent_and_the_violation_is_on_one() {
    let mut operations = vec![
        known(0, 1, set(1), DONE),
        known(2, 3, Input::Get, saw(1)),
        known(4, 5, set(2), DONE),
        known(6, 9, set(3), DONE),
        unknown(6, set(4)),
        known(7, 8, Input::Get, saw(1)),
    ];
    let mut others = operations.clone();
    others.pop();
    for other in &mut others {
        other.key = 0;
    }
    operations.extend(others);
    let violation = check(&operations.into_iter().collect()).expect_err("a stale read");
    assert_eq!(violation.key, 1);
    assert_eq!(
        violation.to_string(),
        "key 1: not linearizable\n\
        \x20 longest valid order: 4 operations, at its end:\n\
        \x20   [0 .. 1] client 0: set \"1\" -> ok\n\
        \x20   [2 .. 3] client 2: get -> \"1\"\n\
        \x20   [4 .. 5] client 4: set \"2\" -> ok\n\
        \x20   [6 .. 9] client 6: set \"3\" -> ok\n\
        \x20 the value is then: \"3\"\n\
        \x20 none of these leads on:\n\
        \x20   [7 .. 8] client 7: get -> \"1\"\n"
    );
}

/// Each write doubles the work of a search without memory.
#[test]
fn many_writes_of_unknown_outcome_cost_little() {
    let mut operations: Vec<Op> = (0..500).map(|at| unknown(at, set(1000 + at))).collect();
    for at in 500..1000 {
        operations.push(known(2 * at, 2 * at + 1, set(at), DONE));
        operations.push(known(2 * at, 2 * at + 1, Input::Get, saw(at)));
    }
    operations.push(known(5000, 5001, Input::Get, saw(1123)));
    let whole = operations.iter().cloned().collect();
    assert_eq!(check_within(&whole, 10_000), Verdict::Linearizable);
    assert_eq!(step_by_step(&operations, 64), Verdict::Linearizable);
    operations.push(known(5002, 5003, Input::Get, saw(999)));
    let whole = operations.iter().cloned().collect();
    assert!(check_within(&whole, 10_000).violation().is_some());
    assert!(step_by_step(&operations, 64).violation().is_some());
}

#[test]
fn a_search_that_is_too_long_is_given_up() {
    // No order explains the read, and there are 2^20 sets of appends to try before it.
    let append = |at| known(at, 100, Input::Append(at.into()), DONE);
    let mut operations: Vec<Op> = (0..20).map(append).collect();
    operations.push(known(0, 100, Input::Get, saw(77)));
    let whole: History<KeyValue> = operations.iter().cloned().collect();
    let Verdict::Unknown(keys) = check_within(&whole, 1000) else {
        panic!("no limit is kept");
    };
    assert_eq!(
        (keys.len(), keys[0].key, keys[0].exceeded),
        (1, 1, Exceeded::States)
    );
    operations.drain(..16);
    assert!(!holds(operations));

    let mut checker = Checker::<KeyValue>::new(Limits {
        unknown: 3,
        ..Limits::default()
    });
    for at in 0..4 {
        let id = checker.invoke(at, 1, set(at), at).expect("a beginning");
        checker.unknown(id).expect("no outcome");
    }
    let lie = checker.invoke(9, 1, Input::Get, 9).expect("a beginning");
    checker.complete(lie, saw(9), 9).expect("not looked at");
    let Verdict::Unknown(keys) = checker.finish() else {
        panic!("no limit is kept");
    };
    assert_eq!(keys[0].exceeded, Exceeded::UnknownOutcomes);
}

#[test]
fn a_checker_refuses_what_makes_no_sense() {
    let mut checker = Checker::<KeyValue>::default();
    let id = checker.invoke(1, 1, set(1), 5).expect("a beginning");
    let back = checker.invoke(1, 1, set(1), 4);
    assert_eq!(back, Err(CheckerError::TimeGoesBack { from: 5, to: 4 }));
    assert_eq!(checker.complete(id, DONE, 6), Ok(()));
    let twice = Err(CheckerError::NotOutstanding(id));
    assert_eq!(checker.complete(id, DONE, 6), twice);
    assert_eq!(checker.unknown(id), twice);
    assert_eq!(checker.finish(), Verdict::Linearizable);
    // An end before the beginning counts as an end at the beginning.
    assert!(holds(vec![known(5, 5, set(1), DONE)]));
    let odd = vec![known(5, 2, set(1), DONE), known(6, 3, Input::Get, NOTHING)];
    assert!(check(&odd.into_iter().collect()).is_err());
}

/// A long history on one key, where an operation is always outstanding: the checker remembers
/// little.
#[test]
fn memory_is_bounded() {
    let mut checker = Checker::<KeyValue>::default();
    let mut last = checker.invoke(0, 1, set(0), 0).expect("a beginning");
    for at in 1..5000 {
        let next = checker.invoke(at, 1, set(at), 2 * at).expect("in time");
        checker.complete(last, DONE, 2 * at + 1).expect("fine");
        last = next;
        assert!(checker.remembered() <= 150);
    }
    assert_eq!(checker.finish(), Verdict::Linearizable);
}

/// Its end is unknown, so it may take effect late. Because its answer is known, it did take effect.
#[test]
fn an_answer_without_an_end_has_to_be_explained() {
    let endless = |output| Op {
        returned: None,
        ..known(0, 0, Input::Get, output)
    };
    let mut operations = vec![known(10, 11, set(1), DONE), endless(saw(2))];
    assert!(check(&operations.iter().cloned().collect()).is_err());
    // It is placed at the end. What is remembered of each state on the way must not grow meanwhile.
    operations.extend((20..5_000).map(|at| known(at, at, set(at), DONE)));
    operations.push(known(30_000, 30_001, set(2), DONE));
    let whole = operations.iter().cloned().collect();
    assert_eq!(check_within(&whole, 100_000), Verdict::Linearizable);
}
