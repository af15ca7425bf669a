//! Two other checkers: one that tries all orders, and the crate `porcupine-rs`.

use super::drafts::{Answer, Ask, Event, execute};
use std::collections::BTreeMap;

/// Tries every order of all operations, of all keys together, that respects real time.
pub(crate) fn any_order(events: &[Event]) -> bool {
    let mut left: Vec<&Event> = events.iter().collect();
    extend(&mut left, &BTreeMap::new())
}

fn end(event: &Event) -> u64 {
    match (&event.answer, event.returned) {
        (Some(_), Some(returned)) => returned,
        (Some(_), None) | (None, _) => u64::MAX,
    }
}

fn extend(left: &mut Vec<&Event>, states: &BTreeMap<u64, Option<String>>) -> bool {
    if left.iter().all(|event| event.answer.is_none()) {
        return true;
    }
    for at in 0..left.len() {
        let event = left[at];
        if left.iter().any(|other| end(other) < event.invoked) {
            continue;
        }
        let mut states = states.clone();
        let answer = execute(states.entry(event.key).or_default(), &event.ask);
        if event.answer.as_ref().is_some_and(|said| *said != answer) {
            continue;
        }
        left.remove(at);
        let found = extend(left, &states);
        left.insert(at, event);
        if found {
            return true;
        }
    }
    false
}

/// The store as a model of `porcupine-rs`.
#[derive(Clone, Debug)]
struct Store;

impl porcupine_rs::Model for Store {
    type State = Option<String>;
    type Op = (u64, Ask, Option<Answer>);
    type Metadata = ();

    fn partition_operations(
        history: &[porcupine_rs::Operation<Store>],
    ) -> Vec<Vec<porcupine_rs::Operation<Store>>> {
        let mut keys: BTreeMap<u64, Vec<porcupine_rs::Operation<Store>>> = BTreeMap::new();
        for operation in history {
            keys.entry(operation.op.0)
                .or_default()
                .push(operation.clone());
        }
        keys.into_values().collect()
    }

    fn init() -> Option<String> {
        None
    }

    fn step(state: &Option<String>, op: &Self::Op) -> (bool, Option<String>) {
        let (_, ask, said) = op;
        let mut next = state.clone();
        let answer = execute(&mut next, ask);
        (said.as_ref().is_none_or(|said| *said == answer), next)
    }
}

/// The verdict of Porcupine. There an operation of unknown outcome ends after all others: to take
/// effect at the very end is the same as to take no effect.
pub(crate) fn porcupine(events: &[Event]) -> bool {
    let operations = events.iter().map(|event| porcupine_rs::Operation {
        client_id: None,
        call_time: event.invoked as i64,
        return_time: i64::try_from(end(event)).unwrap_or(i64::MAX),
        op: (event.key, event.ask.clone(), event.answer.clone()),
        metadata: None,
    });
    porcupine_rs::check_operations::<Store>(&operations.collect::<Vec<_>>())
}
