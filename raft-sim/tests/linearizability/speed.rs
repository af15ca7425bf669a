//! How fast histories are checked: `cargo test --release -p raft-sim --test linearizability --
//! --ignored --nocapture speed`.

use super::drafts::{Input, Op, Output};
use super::step_by_step;
use raft_sim::linearizability::{KeyValue, Model, Operation, Value, Verdict, check};
use raft_sim::random::Random;
use std::collections::BTreeMap;
use std::time::Instant;

/// How clients behave.
struct Load {
    name: &'static str,
    keys: u64,
    /// Out of a thousand operations.
    reads: u64,
    appends: u64,
    unknown: u64,
}

/// A history of 8 clients that never rest. Each operation takes effect at a random time between its
/// beginning and its end. Every value is written once.
fn history(load: &Load, length: u64) -> Vec<Op> {
    let mut random = Random::new(7, "speed");
    let mut free = [0u64; 8];
    let mut operations = Vec::new();
    let mut order = Vec::new();
    for at in 0..length {
        let client = (0..free.len()).min_by_key(|client| free[*client]);
        let client = client.unwrap_or(0);
        let invoked = free[client] + random.between(1, 10);
        let returned = invoked + random.between(1, 1000);
        free[client] = returned;
        let input = if random.chance(load.reads) {
            Input::Get
        } else if random.chance(load.appends) {
            Input::Append(Value::from("x"))
        } else {
            Input::Set(Value::from(at))
        };
        order.push((random.between(invoked, returned), operations.len()));
        operations.push(Operation {
            client: client as u64,
            key: random.below(load.keys),
            invoked,
            returned: Some(returned),
            input,
            output: None,
        });
    }
    order.sort_unstable();
    let mut states: BTreeMap<u64, Option<Value>> = BTreeMap::new();
    for (_, at) in order {
        let Operation { key, input, .. } = operations[at].clone();
        let state = states.entry(key).or_default();
        let answer = match &input {
            Input::Get => Output::Value(*state),
            Input::Set(_) | Input::Append(_) | Input::CompareAndSet { .. } | Input::Delete => {
                Output::Done
            }
        };
        let is_unknown = random.chance(load.unknown);
        if !is_unknown || random.chance(500) {
            *state = <KeyValue>::step(state, &input, None).unwrap_or(*state);
        }
        operations[at].output = (!is_unknown).then_some(answer);
    }
    operations
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    let load = |name, keys, reads, appends, unknown| Load {
        name,
        keys,
        reads,
        appends,
        unknown,
    };
    let loads = [
        load("1 key, half reads", 1, 500, 0, 0),
        load("16 keys, half reads", 16, 500, 0, 0),
        load("1 key, a tenth reads", 1, 100, 0, 0),
        load("1 key, no reads", 1, 0, 0, 0),
        load("1 key, a tenth appends", 1, 500, 100, 0),
        load("16 keys, half appends", 16, 500, 500, 0),
        load("1 key, 0.5 % unknown", 1, 500, 0, 5),
        load("16 keys, 5 % unknown", 16, 500, 0, 50),
    ];
    for load in loads {
        let length = 200_000;
        let operations = history(&load, length);
        let whole = operations.iter().cloned().collect();
        let begin = Instant::now();
        assert_eq!(check(&whole), Ok(()));
        let whole = length as f64 / begin.elapsed().as_secs_f64();
        let begin = Instant::now();
        let verdict = step_by_step(&operations, 64);
        let pieces = length as f64 / begin.elapsed().as_secs_f64();
        let verdict = match verdict {
            Verdict::Linearizable => String::from("linearizable"),
            other @ (Verdict::NotLinearizable(_) | Verdict::Unknown(_)) => format!("{other}"),
        };
        println!(
            "{:23} whole: {whole:9.0}/s, piece by piece: {pieces:9.0}/s {verdict}",
            load.name
        );
    }
}
