//! The model of a key/value store.

use super::DONE;
use super::drafts::{Input, Output};
use raft_sim::linearizability::{KeyValue, Model, Value};

/// What the key/value model says about its operations is true.
#[test]
fn the_hints_of_the_model_are_true() {
    let texts = [None, Some(""), Some("a"), Some("b"), Some("ab")];
    let values = texts.map(|text| text.map(Value::from));
    let mut inputs = vec![Input::Get, Input::Delete];
    for value in values.into_iter().flatten() {
        inputs.extend([Input::Set(value), Input::Append(value)]);
        inputs.extend(values.map(|expected| Input::CompareAndSet {
            expected,
            new: value,
        }));
    }
    let mut outputs = vec![None, Some(DONE)];
    outputs.extend([true, false].map(|swapped| Some(Output::Swapped(swapped))));
    outputs.extend(values.map(|value| Some(Output::Value(value))));
    let step = |state: &Option<Value>, input: &Input, output: &Option<Output>| {
        <KeyValue>::step(state, input, output.as_ref())
    };
    for then in &inputs {
        for output in &outputs {
            let after = values.map(|state| step(&state, then, output));
            if <KeyValue>::is_read(then, output.as_ref()) {
                let fits = after.iter().zip(&values);
                assert!(
                    fits.into_iter()
                        .all(|(after, state)| after.is_none_or(|after| after == *state))
                );
            }
            if <KeyValue>::overwrites(then, output.as_ref()) {
                assert!(after.iter().all(|to| to.is_some() && *to == after[0]));
            }
            assert!(output.is_some() || after.iter().all(Option::is_some));
            for before in &inputs {
                if <KeyValue>::matters(before, then, output.as_ref()) {
                    continue;
                }
                for state in &values {
                    let between = step(state, before, &None).expect("never forbidden");
                    let Some(end) = step(&between, then, output) else {
                        continue;
                    };
                    let changes_nothing = output.is_none() && end == between;
                    let is_same = step(state, then, output) == Some(end);
                    assert!(is_same || changes_nothing, "{before:?} {then:?} {output:?}");
                }
            }
        }
    }
}

#[test]
fn values_know_what_they_become_when_joined() {
    let texts = [
        "",
        "a",
        "b",
        "ab",
        "\0",
        "\0\0",
        "a longer one than is kept",
    ];
    for first in texts {
        for second in texts {
            let joined = format!("{first}{second}");
            let (whole, parts) = (Value::from(joined.as_str()), Value::from(first));
            let parts = parts.then(second.into());
            assert_eq!(whole, parts);
            assert_eq!(whole.to_string(), parts.to_string());
            assert_eq!(whole.length() as usize, joined.len());
            assert_eq!(first == second, Value::from(first) == Value::from(second));
        }
    }
    assert_eq!(Value::from(17).to_string(), "\"17\"");
    assert_eq!(Value::new(b"\x00\n").to_string(), "\"\\x00\\n\"");
    let long = Value::from("a longer one than is kept").to_string();
    assert!(long.starts_with("\"a longer one\"..(25 bytes, #"), "{long}");
}
