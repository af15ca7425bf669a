//! The torture test compares raft-kv with a model. The model answers as the server does, and the
//! checker finds histories that are not linearizable.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "../examples/torture/model.rs"]
mod model;

use bytes::Bytes;
use model::{Input, Output};
use raft_kv::state::{Command, Condition, Expiry, Reply, Set, SetReply, Store};
use raft_sim::linearizability::{History, Model, Operation, Verdict, check_within};

const STATES: [Option<u64>; 4] = [None, Some(0), Some(1), Some(2)];

fn inputs() -> Vec<Input> {
    let mut all = vec![Input::Get, Input::Increment, Input::Delete];
    for new in 0..3 {
        all.extend([Input::Set(new), Input::Swap(new)]);
        all.extend(STATES.map(|old| Input::Cas { old, new }));
    }
    all
}

fn outputs() -> Vec<Option<Output>> {
    let numbers = [None, Some(0), Some(1), Some(2), Some(3)].map(Output::Number);
    let whether = [true, false].map(Output::Whether);
    let known = numbers.into_iter().chain(whether).chain([Output::Done]);
    known.map(Some).chain([None]).collect()
}

#[test]
fn the_shortcuts_of_the_model_are_true_in_every_state() {
    for (input, output) in inputs()
        .iter()
        .flat_map(|input| outputs().into_iter().map(move |it| (input, it)))
    {
        let output = output.as_ref();
        let steps = STATES.map(|state| (state, model::Store::step(&state, input, output)));
        if model::Store::is_read(input, output) {
            let unchanged = |(state, next): &(_, Option<_>)| next.is_none_or(|next| next == *state);
            assert!(steps.iter().all(unchanged), "{input:?} {output:?}");
        }
        if model::Store::overwrites(input, output) {
            let first = steps[0].1;
            assert!(
                first.is_some() && steps.iter().all(|(_, next)| *next == first),
                "{input:?} {output:?}"
            );
        }
        for before in inputs()
            .iter()
            .filter(|before| !model::Store::matters(before, input, output))
        {
            for (state, alone) in steps {
                let between = model::Store::step(&state, before, None).unwrap();
                let then = model::Store::step(&between, input, output);
                let changes_nothing = output.is_none() && then == Some(between);
                let is_the_same = then.is_none() || then == alone;
                assert!(
                    is_the_same || changes_nothing,
                    "{state:?}: {before:?}, then {input:?} {output:?}"
                );
            }
        }
    }
}

/// The command that a client of the torture test sends, and how it reads the reply.
fn ask(keys: &mut Store, input: &Input) -> Output {
    let key = Bytes::from_static(b"k");
    let bytes = |number: u64| Bytes::from(number.to_string());
    let set = |new, condition| {
        Command::Set(Set {
            key: key.clone(),
            value: bytes(new),
            condition,
            expiry: Expiry::Never,
            reply: SetReply::Ok,
        })
    };
    let command = match input {
        Input::Get => Command::Get(key.clone()),
        Input::Set(new) => set(*new, Condition::Always),
        Input::Swap(new) => Command::GetSet {
            key: key.clone(),
            value: bytes(*new),
        },
        Input::Cas { old: None, new } => set(*new, Condition::Absent),
        Input::Cas { old, new } => Command::CompareAndSet {
            key: key.clone(),
            old: old.map(bytes),
            new: bytes(*new),
        },
        Input::Increment => Command::Increment {
            key: key.clone(),
            by: 1,
        },
        Input::Delete => Command::Delete(vec![key.clone()]),
    };
    let text = |bytes: &Bytes| std::str::from_utf8(bytes).unwrap().parse().unwrap();
    match (input, keys.execute(command)) {
        (Input::Set(_), Reply::Ok) => Output::Done,
        (Input::Cas { .. }, Reply::Ok) => Output::Whether(true),
        (Input::Cas { .. }, Reply::Nil) => Output::Whether(false),
        (Input::Cas { .. } | Input::Delete, Reply::Integer(count)) => Output::Whether(count == 1),
        (Input::Increment, Reply::Integer(number)) => Output::Number(Some(number as u64)),
        (_, Reply::Bulk(bytes)) => Output::Number(Some(text(&bytes))),
        (_, Reply::Nil) => Output::Number(None),
        (input, reply) => panic!("{input:?} was answered {reply:?}"),
    }
}

#[test]
fn the_model_answers_as_the_server_does() {
    for state in STATES {
        for input in inputs() {
            let mut keys = Store::new();
            if let Some(number) = state {
                ask(&mut keys, &Input::Set(number));
            }
            let output = ask(&mut keys, &input);
            let next = model::Store::step(&state, &input, Some(&output));
            let Output::Number(found) = ask(&mut keys, &Input::Get) else {
                panic!("no number");
            };
            assert_eq!(
                next,
                Some(found),
                "{state:?}: {input:?} was answered {output:?}"
            );
        }
    }
}

/// One request of a history. Its client sends no other.
#[derive(Clone, Debug)]
struct Sent {
    invoked: u64,
    /// `None`: its outcome is unknown.
    returned: Option<u64>,
    input: Input,
    output: Option<Output>,
}

/// A request that was answered at once.
fn answered(invoked: u64, input: Input, output: Output) -> Sent {
    Sent {
        invoked,
        returned: Some(invoked + 1),
        input,
        output: Some(output),
    }
}

fn verdict(operations: &[Sent]) -> Verdict<model::Store> {
    let operation = |(client, sent): (usize, &Sent)| Operation {
        client: client as u64,
        key: "k".to_owned(),
        invoked: sent.invoked,
        returned: sent.returned,
        input: sent.input.clone(),
        output: sent.output.clone(),
    };
    let history: History<model::Store> = operations.iter().enumerate().map(operation).collect();
    check_within(&history, 1_000_000)
}

#[test]
fn lost_writes_stale_reads_and_repeated_commands_are_found() {
    let set = answered(0, Input::Set(1), Output::Done);
    let read = |invoked, number| answered(invoked, Input::Get, Output::Number(number));
    let unknown = Sent {
        invoked: 0,
        returned: None,
        input: Input::Set(7),
        output: None,
    };
    let linearizable = [
        vec![set.clone(), read(2, Some(1))],
        // A request with an unknown outcome may take effect at any time, or never.
        vec![unknown.clone(), read(2, None), read(4, Some(7))],
        vec![unknown.clone(), read(2, None)],
    ];
    for history in linearizable {
        let found = verdict(&history);
        assert!(
            matches!(found, Verdict::Linearizable),
            "{history:?}: {found}"
        );
    }
    let increment =
        |invoked, number| answered(invoked, Input::Increment, Output::Number(Some(number)));
    let cas = Input::Cas {
        old: Some(1),
        new: 2,
    };
    let violations = [
        vec![set.clone(), read(2, None)],
        vec![
            set.clone(),
            answered(2, Input::Set(2), Output::Done),
            read(4, Some(1)),
        ],
        vec![increment(0, 1), increment(2, 3)],
        // The write took effect, and then did not.
        vec![unknown, read(2, Some(7)), read(4, None)],
        vec![set, answered(2, cas, Output::Whether(false))],
    ];
    for history in violations {
        let found = verdict(&history);
        assert!(found.violation().is_some(), "{history:?}: {found}");
    }
}
