//! Random histories: the answers of a store that does one operation at a time, and sometimes a
//! wrong answer.

use proptest::prelude::*;
use raft_sim::linearizability::{History, KeyValue, KeyValueInput, KeyValueOutput, Operation};
use std::collections::BTreeMap;

pub(crate) type Input = KeyValueInput;
pub(crate) type Output = KeyValueOutput;
pub(crate) type Op = Operation<KeyValue>;

/// A value. Here values are texts; the checker sees only their fingerprints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Get,
    Set(String),
    Append(String),
    Cas(Option<String>, String),
    Delete,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Value(Option<String>),
    Done,
    Swapped(bool),
}

/// The store, implemented a second time.
pub(crate) fn execute(state: &mut Option<String>, ask: &Ask) -> Answer {
    match ask {
        Ask::Get => Answer::Value(state.clone()),
        Ask::Set(value) => {
            *state = Some(value.clone());
            Answer::Done
        }
        Ask::Append(value) => {
            state.get_or_insert_default().push_str(value);
            Answer::Done
        }
        Ask::Cas(expected, new) => {
            let swaps = state == expected;
            if swaps {
                *state = Some(new.clone());
            }
            Answer::Swapped(swaps)
        }
        Ask::Delete => {
            *state = None;
            Answer::Done
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Known,
    /// A wrong answer, if one is possible.
    Lie,
    /// No answer. The operation takes effect, perhaps late.
    Late(u64),
    /// No answer and no effect.
    Lost,
}

/// One operation before it has happened.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    key: u64,
    /// The time since the operation before it began.
    gap: u64,
    length: u64,
    /// When it takes effect, in per cent of its length.
    point: u64,
    ask: Ask,
    fate: Fate,
}

/// An operation that has happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) key: u64,
    pub(crate) invoked: u64,
    pub(crate) returned: Option<u64>,
    pub(crate) ask: Ask,
    pub(crate) answer: Option<Answer>,
}

/// The parameters of a random history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) operations: (usize, usize),
    pub(crate) keys: u64,
    pub(crate) values: u64,
    /// The greatest length of an operation. Operations begin at most 4 apart.
    pub(crate) length: u64,
    /// Out of a thousand operations.
    pub(crate) lies: u32,
    pub(crate) unknown: u32,
}

fn ask(values: u64) -> impl Strategy<Value = Ask> {
    let value = move || (0..values).prop_map(|value| format!("value {value}"));
    prop_oneof![
        4 => Just(Ask::Get),
        3 => value().prop_map(Ask::Set),
        1 => "[ab]".prop_map(Ask::Append),
        2 => (proptest::option::weighted(0.8, value()), value())
            .prop_map(|(expected, new)| Ask::Cas(expected, new)),
        1 => Just(Ask::Delete),
    ]
}

fn draft(shape: Shape) -> impl Strategy<Value = Draft> {
    let fate = prop_oneof![
        1000 - shape.lies - 2 * shape.unknown => Just(Fate::Known),
        shape.lies => Just(Fate::Lie),
        shape.unknown => (0..40u64).prop_map(Fate::Late),
        shape.unknown => Just(Fate::Lost),
    ];
    let times = (0..4u64, 0..=shape.length, 0..=100u64);
    (0..shape.keys, times, ask(shape.values), fate).prop_map(
        |(key, (gap, length, point), ask, fate)| Draft {
            key,
            gap,
            length,
            point,
            ask,
            fate,
        },
    )
}

/// Random events, in the order in which they begin.
pub(crate) fn events(shape: Shape) -> impl Strategy<Value = Vec<Event>> {
    let (least, most) = shape.operations;
    proptest::collection::vec(draft(shape), least..=most).prop_map(|drafts| happen(&drafts))
}

fn happen(drafts: &[Draft]) -> Vec<Event> {
    let mut now = 0;
    let mut events = Vec::new();
    let mut order = Vec::new();
    for (at, draft) in drafts.iter().enumerate() {
        now += draft.gap;
        let late = match draft.fate {
            Fate::Late(late) => late,
            Fate::Known | Fate::Lie | Fate::Lost => 0,
        };
        order.push((now * 100 + draft.length * draft.point + late * 100, at));
        events.push(Event {
            key: draft.key,
            invoked: now,
            returned: Some(now + draft.length),
            ask: draft.ask.clone(),
            answer: None,
        });
    }
    order.sort_unstable();
    let mut states: BTreeMap<u64, Option<String>> = BTreeMap::new();
    for (_, at) in order {
        let fate = drafts[at].fate;
        if fate == Fate::Lost {
            continue;
        }
        let event = &mut events[at];
        let answer = execute(states.entry(event.key).or_default(), &event.ask);
        event.answer = match fate {
            Fate::Known => Some(answer),
            Fate::Lie => Some(lie(answer)),
            Fate::Late(_) | Fate::Lost => None,
        };
    }
    events
}

fn lie(answer: Answer) -> Answer {
    match answer {
        Answer::Value(Some(_)) => Answer::Value(None),
        Answer::Value(None) => Answer::Value(Some(String::from("value 0"))),
        Answer::Done => Answer::Done,
        Answer::Swapped(swapped) => Answer::Swapped(!swapped),
    }
}

/// In the terms of the checker.
pub(crate) fn operation(client: u64, event: &Event) -> Op {
    let input = match &event.ask {
        Ask::Get => Input::Get,
        Ask::Set(value) => Input::Set(value.as_str().into()),
        Ask::Append(value) => Input::Append(value.as_str().into()),
        Ask::Cas(expected, new) => Input::CompareAndSet {
            expected: expected.as_deref().map(Into::into),
            new: new.as_str().into(),
        },
        Ask::Delete => Input::Delete,
    };
    let output = event.answer.as_ref().map(|answer| match answer {
        Answer::Value(value) => Output::Value(value.as_deref().map(Into::into)),
        Answer::Done => Output::Done,
        Answer::Swapped(swapped) => Output::Swapped(*swapped),
    });
    Operation {
        client,
        key: event.key,
        invoked: event.invoked,
        returned: event.returned,
        input,
        output,
    }
}

/// In the terms of the checker.
pub(crate) fn history(events: &[Event]) -> History<KeyValue> {
    let operations = events.iter().enumerate();
    operations
        .map(|(at, event)| operation(at as u64, event))
        .collect()
}
