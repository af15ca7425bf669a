//! Operations of unknown outcome that can no longer take effect, and refused ones.

use super::drafts::{Event, Input, Op, Output, Shape, events, operation};
use super::{DONE, NOTHING, saw, set};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use raft_sim::linearizability::{
    Checker, CheckerError, KeyValue, Limits, OperationId, Verdict, check,
};

fn checker(stretch: usize) -> Checker<KeyValue> {
    Checker::new(Limits {
        stretch,
        ..Limits::default()
    })
}

fn begin(checker: &mut Checker<KeyValue>, now: u64, input: Input) -> OperationId {
    checker.invoke(now, 1, input, now).expect("fine so far")
}

/// A read that is answered with `output` and takes one unit of time from `now` on. Whether the
/// history is linearizable so far.
fn reads(checker: &mut Checker<KeyValue>, now: u64, output: Output) -> bool {
    match checker.invoke(now, 1, Input::Get, now) {
        Ok(id) => checker.complete(id, output, now + 1).is_ok(),
        Err(_) => false,
    }
}

/// An operation of known outcome that takes one unit of time.
type Then = (u64, Input, Output);

fn get(now: u64, value: u64) -> Then {
    (now, Input::Get, saw(value))
}

fn put(now: u64, value: u64) -> Then {
    (now, set(value), DONE)
}

/// 1 is written, then 2 with unknown outcome, which expires at 10. Whether the history is
/// linearizable with all that follows.
fn explained(expires: bool, then: &[Then]) -> bool {
    let mut checker = checker(1);
    let first = begin(&mut checker, 0, set(1));
    checker.complete(first, DONE, 1).expect("a write");
    let second = begin(&mut checker, 2, set(2));
    checker.unknown(second).expect("no outcome");
    if expires {
        checker.expire(second, 10);
    }
    for (now, input, output) in then.iter().cloned() {
        let Ok(id) = checker.invoke(now, 1, input, now) else {
            return false;
        };
        if checker.complete(id, output, now + 1).is_err() {
            return false;
        }
    }
    checker.finish() == Verdict::Linearizable
}

#[test]
fn a_write_explains_nothing_after_one_that_it_came_too_late_for() {
    let late = [put(12, 3), get(14, 3), get(16, 3), get(18, 3), get(20, 2)];
    assert!(explained(false, &late), "it comes late");
    assert!(!explained(true, &late), "it cannot come after 12");
}

#[test]
fn a_write_that_expired_explains_what_overlapped_it_and_what_followed() {
    for expires in [false, true] {
        let explained = |then: &[Then]| explained(expires, then);
        // Seen before it expires, and ever after.
        assert!(explained(&[
            get(4, 1),
            get(6, 1),
            get(8, 2),
            get(20, 2),
            get(30, 2)
        ]));
        // It took effect, and was first read after it had expired.
        assert!(explained(&[get(20, 2), get(22, 2), get(24, 2), get(26, 2)]));
        assert!(explained(&[
            put(4, 3),
            get(6, 3),
            get(20, 2),
            get(22, 2),
            get(24, 2)
        ]));
        // An operation that begins when it expires is concurrent with it.
        assert!(explained(&[
            put(8, 3),
            put(10, 4),
            get(12, 2),
            get(20, 2),
            get(22, 2)
        ]));
        // It never took effect.
        assert!(explained(&[
            put(6, 3),
            get(20, 3),
            get(22, 3),
            put(24, 4),
            get(26, 4)
        ]));
        // It does not take effect twice, and does not vanish.
        assert!(!explained(&[get(6, 1), get(8, 2), get(20, 1), get(22, 1)]));
    }
}

/// The compare-and-set fails on 1 and on 2, so 2 need not have been written before it.
#[test]
fn an_operation_that_fits_before_and_after_a_write_rules_that_write_not_out() {
    let exchange = |now| {
        let nothing = Input::CompareAndSet {
            expected: None,
            new: 7.into(),
        };
        (now, nothing, Output::Swapped(false))
    };
    let then = [
        exchange(12),
        exchange(14),
        exchange(16),
        get(20, 2),
        get(22, 2),
    ];
    assert!(explained(true, &then));
}

/// Nobody sees 3, so it is placed as early as possible: before the read of 2, which overlaps with
/// it and belongs to a later stretch.
#[test]
fn a_write_that_nobody_sees_rules_none_out_that_came_before_it() {
    let mut checker = checker(5);
    let first = begin(&mut checker, 0, set(1));
    checker.complete(first, DONE, 1).expect("a write");
    let second = begin(&mut checker, 2, set(2));
    checker.unknown(second).expect("no outcome");
    let read = begin(&mut checker, 9, Input::Get);
    checker.expire(second, 10);
    let unseen = begin(&mut checker, 12, set(3));
    checker.complete(unseen, DONE, 13).expect("a write");
    checker.complete(read, saw(2), 14).expect("a read");
    let fourth = begin(&mut checker, 16, set(4));
    checker.complete(fourth, DONE, 17).expect("a write");
    assert!(reads(&mut checker, 18, saw(4)));
    assert_eq!(checker.finish(), Verdict::Linearizable);
}

#[test]
fn only_what_is_of_unknown_outcome_expires() {
    let mut checker = checker(1);
    let first = begin(&mut checker, 0, set(1));
    checker.expire(first, 0);
    for now in 1..9 {
        assert!(reads(&mut checker, 2 * now, NOTHING), "it goes on");
    }
    checker.complete(first, DONE, 30).expect("it came at last");
    checker.expire(first, 30);
    for now in 20..29 {
        assert!(reads(&mut checker, 2 * now, saw(1)));
    }
    assert_eq!(checker.finish(), Verdict::Linearizable);
}

#[test]
fn a_refused_operation_explains_nothing() {
    for is_refused in [false, true] {
        let mut checker = checker(1);
        let id = begin(&mut checker, 0, set(1));
        let told = if is_refused {
            checker.refused(id)
        } else {
            checker.unknown(id)
        };
        told.expect("it is outstanding");
        let is_explained = reads(&mut checker, 2, saw(1));
        let verdict = checker.finish();
        assert_eq!(is_explained && verdict.is_linearizable(), !is_refused);
    }
    let mut checker = checker(1);
    let id = begin(&mut checker, 0, set(1));
    assert_eq!(checker.refused(id), Ok(()));
    assert_eq!(checker.remembered(), 0);
    let twice = Err(CheckerError::NotOutstanding(id));
    assert_eq!(checker.refused(id), twice);
    assert_eq!(checker.unknown(id), twice);
    assert!(reads(&mut checker, 2, NOTHING));
    assert_eq!(checker.finish(), Verdict::Linearizable);
}

/// Each write is followed by a write of unknown outcome, which later expires.
#[test]
fn what_has_expired_is_forgotten() {
    let mut checker = Checker::<KeyValue>::default();
    let mut doubtful = Vec::new();
    for at in 0..5_000 {
        let now = 10 * at;
        let id = begin(&mut checker, now, set(at));
        checker.complete(id, DONE, now + 1).expect("a write");
        let lost = begin(&mut checker, now + 2, set(1_000_000 + at));
        checker.unknown(lost).expect("no outcome");
        doubtful.push(lost);
        if at % 10 == 9 {
            for lost in doubtful.drain(..) {
                checker.expire(lost, now + 3);
            }
        }
        assert!(reads(&mut checker, now + 4, saw(at)));
        let remembered = checker.remembered();
        assert!(remembered <= 300, "{remembered} at {at}");
    }
    assert_eq!(checker.finish(), Verdict::Linearizable);
}

const DOUBTFUL: Shape = Shape {
    operations: (6, 24),
    keys: 1,
    values: 4,
    length: 4,
    lies: 60,
    unknown: 80,
};

/// What an operation of unknown outcome does if it takes effect; `None` if that cannot matter.
fn effect(input: &Input) -> Option<Output> {
    match input {
        Input::Get => None,
        Input::Set(_) | Input::Append(_) | Input::Delete => Some(DONE),
        Input::CompareAndSet { .. } => Some(Output::Swapped(true)),
    }
}

/// Whether the history is linearizable for some choice of the operations of unknown outcome that
/// take effect. Each takes effect before it expires, `expires` after its end.
fn any_choice_explains(events: &[Event], expires: u64) -> bool {
    let operations = events.iter().map(|event| operation(0, event));
    let (known, unknown): (Vec<Op>, Vec<Op>) = operations.partition(|op| op.output.is_some());
    let unknown: Vec<Op> = unknown
        .into_iter()
        .filter_map(|op| {
            Some(Op {
                output: Some(effect(&op.input)?),
                returned: op.returned.map(|end| end + expires),
                ..op
            })
        })
        .collect();
    (0..1_u32 << unknown.len()).any(|choice| {
        let chosen = unknown.iter().enumerate();
        let chosen = chosen.filter(|(at, _)| choice >> at & 1 == 1);
        let chosen = chosen.map(|(_, op)| op.clone());
        check(&known.iter().cloned().chain(chosen).collect()).is_ok()
    })
}

/// Checks event by event. Operations of unknown outcome are given up when they end, and expire some
/// time later.
fn step_by_step(events: &[Event], expires: Option<u64>, stretch: usize) -> bool {
    let mut order = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let end = event.returned.expect("all end");
        order.push((event.invoked, 0, at));
        order.push((end, 1, at));
        if let (None, Some(expires)) = (&event.answer, expires) {
            order.push((end + expires, 2, at));
        }
    }
    order.sort_unstable();
    let mut checker = checker(stretch);
    let mut ids = vec![None; events.len()];
    for (now, what, at) in order {
        let Op { input, output, .. } = operation(0, &events[at]);
        let result = match (ids[at], what, output) {
            (Some(id), 2, _) => {
                checker.expire(id, now);
                Ok(())
            }
            (Some(id), _, Some(output)) => checker.complete(id, output, now),
            (Some(id), _, None) => checker.unknown(id),
            (None, ..) => checker
                .invoke(0, 1, input, now)
                .map(|id| ids[at] = Some(id)),
        };
        match result {
            Ok(()) => {}
            Err(CheckerError::NotLinearizable(_)) => return false,
            Err(error) => panic!("{error}"),
        }
    }
    checker.finish().is_linearizable()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    /// A violation is a violation for every choice of those that took effect. Nothing is accepted
    /// that would be refused if nothing expired.
    #[test]
    fn what_expires_makes_no_violation_that_is_none(
        events in events(DOUBTFUL),
        expires in 0..12_u64,
    ) {
        let is_explained = any_choice_explains(&events, expires);
        let without = step_by_step(&events, None, 1);
        for stretch in [1, 3, 64] {
            let verdict = step_by_step(&events, Some(expires), stretch);
            prop_assert!(verdict || !is_explained);
            prop_assert!(without || !verdict);
        }
    }
}

/// Some of the random histories are violations only because an operation expired. Most of those are
/// found.
#[test]
fn random_histories_show_what_expires() {
    let mut runner = TestRunner::deterministic();
    let (mut wrong, mut found) = (0, 0);
    for _ in 0..3000 {
        let tree = events(DOUBTFUL).new_tree(&mut runner).expect("a history");
        let events = tree.current();
        if step_by_step(&events, None, 1) && !any_choice_explains(&events, 0) {
            wrong += 1;
            found += u32::from(!step_by_step(&events, Some(0), 1));
        }
    }
    assert!(wrong >= 20, "{wrong} violations");
    assert!(found >= wrong / 2, "{found} of {wrong} are found");
}
