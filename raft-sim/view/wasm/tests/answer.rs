//! What the page is answered is the run, or a reason in words.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use raft_sim_view::answer;
use serde_json::{Value, json};
use std::cell::RefCell;

fn ask(question: &Value) -> Value {
    let answer = answer(question.to_string().as_bytes(), &|_| {});
    serde_json::from_str(&answer.json).expect("an answer is JSON")
}

fn seed(seed: &str) -> Value {
    json!({ "source": { "seed": {
        "seed": seed, "nodes": 3, "time": "3s", "faults": "wild", "features": "drawn",
    } } })
}

#[test]
fn an_answer_is_the_run_that_the_command_makes() {
    for number in 1..4_u64 {
        let request = Request::new(number, 3, Duration::from_secs(3), Faults::Wild);
        let report = run::run(request, None);
        let said = ask(&seed(&number.to_string()));
        assert_eq!(said["digest"], report.digest, "seed {number}");
        assert_eq!(said["passed"], report.passed());
        // The schedule that the page saves makes the same run.
        let again = ask(&json!({ "source": { "schedule": said["schedule"] } }));
        assert_eq!(again["digest"], report.digest, "seed {number}");
    }
}

#[test]
fn columns_of_a_table_have_one_length_and_an_address() {
    let said = ask(&seed("7"));
    let tables = said["tables"].as_object().expect("tables");
    assert_eq!(tables.len(), 7);
    for (name, table) in tables {
        let columns: Vec<&Value> = table.as_object().expect("columns").values().collect();
        let lengths: Vec<u64> = columns
            .iter()
            .filter_map(|it| it["length"].as_u64())
            .collect();
        assert_eq!(lengths.len(), columns.len(), "{name}");
        assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "{name}");
        assert!(columns.iter().all(|it| it["address"].is_u64()), "{name}");
    }
    let events = said["tables"]["events"]["at"]["length"].as_u64();
    assert!(events > Some(100), "{events:?} events");
}

#[test]
fn progress_is_told_by_the_second() {
    let seconds = RefCell::new(Vec::new());
    answer(seed("7").to_string().as_bytes(), &|second| {
        seconds.borrow_mut().push(second)
    });
    assert_eq!(*seconds.borrow(), [1, 2, 3]);
}

#[test]
fn what_cannot_be_run_is_refused_in_words() {
    let refused = |question: &Value, reason: &str| {
        let said = ask(question);
        let error = said["error"].as_str().expect("an error");
        assert!(error.contains(reason), "{error}");
    };
    refused(&seed("-1"), "a seed is a whole number");
    refused(
        &json!({ "source": { "schedule": "version = 9\n" } }),
        "version 9",
    );
    refused(
        &json!({ "source": { "schedule": "hello" } }),
        "the schedule cannot be read",
    );
    refused(&json!({ "sauce": 1 }), "makes no sense");
    let mut with_line = seed("1");
    with_line["added"] = json!(["1.0 kill n77 for 1s"]);
    refused(&with_line, "a server from n1 to");
}
