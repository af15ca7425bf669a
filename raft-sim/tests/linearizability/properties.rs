//! The checker on random histories, compared with other checkers and with itself.

use super::drafts::{Event, Op, Shape, events, history};
use super::{holds, rivals, step_by_step};
use proptest::prelude::*;
use raft_sim::linearizability::check;

const SMALL: Shape = Shape {
    operations: (1, 7),
    keys: 2,
    values: 2,
    length: 6,
    lies: 250,
    unknown: 100,
};

/// Parameters with many values, most of them written once: many writes that nobody sees.
const UNIQUE: Shape = Shape {
    operations: (2, 7),
    keys: 1,
    values: 50,
    length: 8,
    lies: 250,
    unknown: 60,
};

const MIDDLE: Shape = Shape {
    operations: (10, 60),
    keys: 2,
    values: 3,
    length: 12,
    lies: 15,
    unknown: 20,
};

const LONG: Shape = Shape {
    operations: (200, 500),
    keys: 2,
    values: 20,
    length: 8,
    lies: 2,
    unknown: 15,
};

fn operations(events: &[Event]) -> Vec<Op> {
    history(events).operations().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn agrees_with_trying_all_orders(events in events(SMALL)) {
        prop_assert_eq!(holds(operations(&events)), rivals::any_order(&events));
    }

    #[test]
    fn agrees_with_trying_all_orders_of_unique_values(events in events(UNIQUE)) {
        prop_assert_eq!(holds(operations(&events)), rivals::any_order(&events));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn agrees_with_porcupine(events in events(MIDDLE)) {
        prop_assert_eq!(holds(operations(&events)), rivals::porcupine(&events));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn piece_by_piece_is_as_good_as_whole(events in events(LONG)) {
        let operations = operations(&events);
        let whole = check(&history(&events)).is_ok();
        for stretch in [1, 20, 64] {
            let verdict = step_by_step(&operations, stretch);
            prop_assert_eq!(verdict.is_linearizable(), whole);
            prop_assert_eq!(verdict.violation().is_none(), whole);
        }
    }
}

/// The random histories are a good test: enough of them are linearizable, and enough are not.
#[test]
fn random_histories_are_of_both_kinds() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    for shape in [SMALL, UNIQUE, MIDDLE, LONG] {
        let good = (0..100).filter(|_| {
            let tree = events(shape).new_tree(&mut runner).expect("a history");
            check(&history(&tree.current())).is_ok()
        });
        let good = good.count();
        assert!((15..=85).contains(&good), "{good} of 100: {shape:?}");
    }
}
