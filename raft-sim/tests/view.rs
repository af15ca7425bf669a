//! A run that is recorded for a page is the run itself, and its tables say what happened; the page
//! needs nothing but itself.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_sim::draw::Draft;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use raft_sim::schedule::Schedule;
use raft_sim::view::{EventKind, Film, MessageFate, NONE, NOWHERE, SeedSource, Source, film};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn request(seed: u64) -> Request {
    Request::new(seed, 5, Duration::from_secs(5), Faults::Wild)
}

fn film_of(seed: u64) -> Film {
    film(&Draft::new(request(seed)).schedule(), &|_| {})
}

fn raft_sim(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_raft-sim"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary was built with this test")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_recorded_run_has_the_digest_of_the_run() {
    for seed in 1..5 {
        let plain = run::run(request(seed), None);
        let film = film_of(seed);
        assert_eq!(film.report.digest, plain.digest, "seed {seed}");
        assert_eq!(film.report.trace_lines, plain.trace_lines, "seed {seed}");
        let lines = film.trace.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines as u64, plain.trace_lines, "seed {seed}");
    }
}

#[test]
fn each_line_of_the_trace_is_an_event_in_order() {
    let film = film_of(1);
    let events = &film.timeline.events;
    let texts: Vec<u32> = events
        .text
        .iter()
        .copied()
        .filter(|text| *text != NONE)
        .collect();
    assert_eq!(texts.len() as u64, film.report.trace_lines);
    assert!(texts.is_sorted_by(|one, other| one < other));
    let begins_line = |text: &u32| *text == 0 || film.trace[*text as usize - 1] == b'\n';
    assert!(texts.iter().all(begins_line));
    assert!(events.at.is_sorted());
}

#[test]
fn causes_come_first_and_messages_are_received_where_they_were_sent_to() {
    let film = film_of(2);
    let (events, messages) = (&film.timeline.events, &film.timeline.messages);
    for (event, cause) in events.cause.iter().enumerate() {
        assert!(*cause == NONE || (*cause as usize) < event, "event {event}");
    }
    let mut received = 0;
    for at in 0..messages.len() as usize {
        let sent = messages.sent[at] as usize;
        assert_eq!(events.kind[sent], EventKind::Send as u8);
        assert_eq!(events.place[sent], messages.from[at]);
        let taken = messages.received[at];
        if taken == NONE {
            continue;
        }
        received += 1;
        let taken = taken as usize;
        assert_eq!(events.kind[taken], EventKind::Receive as u8);
        assert_eq!(events.place[taken], messages.to[at]);
        assert_eq!(events.cause[taken], messages.sent[at]);
        assert_ne!(messages.fate[at], MessageFate::Lost as u8);
    }
    assert!(received > 100, "{received} messages");
}

#[test]
fn logs_in_the_tables_are_the_logs_of_the_nodes() {
    for seed in 1..8 {
        let film = film_of(seed);
        assert!(film.report.passed(), "seed {seed}");
        let (states, entries) = (&film.timeline.states, &film.timeline.entries);
        // All rows in their order leave what the logs hold in the end.
        let mut logs = vec![std::collections::BTreeMap::new(); 32];
        for row in 0..entries.len() as usize {
            let log = &mut logs[entries.place[row] as usize];
            log.insert(entries.index[row], entries.term[row]);
        }
        let last = |place: u8| (0..states.len() as usize).rfind(|row| states.place[*row] == place);
        let running: Vec<usize> = (0..32)
            .filter_map(last)
            .filter(|row| states.role[*row] > 0)
            .collect();
        assert!(!running.is_empty());
        for row in &running {
            let log = &logs[states.place[*row] as usize];
            let held = (states.base[*row] + 1)..=states.last[*row];
            for index in held {
                assert_ne!(
                    log.get(&index).copied().unwrap_or(0),
                    0,
                    "seed {seed}, index {index}"
                );
            }
            let beyond = log
                .range(states.last[*row] + 1..)
                .filter(|(_, term)| **term != 0);
            assert_eq!(beyond.count(), 0, "seed {seed}");
        }
        // Committed entries are the same in all logs that hold them.
        for (one, other) in running.iter().zip(running.iter().skip(1)) {
            let from = states.base[*one].max(states.base[*other]) + 1;
            let to = states.commit[*one].min(states.commit[*other]);
            for index in from..=to {
                let term = |row: usize| logs[states.place[row] as usize].get(&index);
                assert_eq!(term(*one), term(*other), "seed {seed}, index {index}");
            }
        }
    }
}

#[test]
fn a_process_that_ends_is_shown_as_down_until_it_starts() {
    let film = film_of(3);
    let (events, states) = (&film.timeline.events, &film.timeline.states);
    let stops = events
        .kind
        .iter()
        .filter(|kind| **kind == EventKind::Stop as u8);
    let downs = states.role.iter().filter(|role| **role == 0);
    let (stops, downs) = (stops.count(), downs.count());
    assert!(stops > 0);
    assert_eq!(stops, downs);
    for row in 0..states.len() as usize {
        let kind = events.kind[states.event[row] as usize];
        assert_eq!(
            states.role[row] == 0,
            kind == EventKind::Stop as u8,
            "row {row}"
        );
        assert_ne!(states.place[row], NOWHERE);
    }
}

#[test]
fn what_is_done_by_hand_is_a_schedule_that_makes_the_same_run() {
    let source = Source::Seed(SeedSource::from(&request(4)));
    let added = [
        "1.500000 kill leader for 500ms",
        "2.000000 cut n1->n2 for 1s",
        "2.000000 c0 set k0",
    ];
    let added = added.map(String::from);
    let schedule = source
        .schedule(&added)
        .expect("the lines are those of a schedule");
    let by_hand = film(&schedule, &|_| {});
    let read = Schedule::parse(&schedule.to_text()).expect("it was just written");
    let replayed = run::run_schedule(&read, None);
    assert_eq!(by_hand.report.digest, replayed.digest);
    assert_ne!(by_hand.report.digest, film_of(4).report.digest);
    let texts = &by_hand.timeline.fault_texts;
    assert!(
        texts.iter().any(|text| text == "kill leader for 500ms"),
        "{texts:?}"
    );
    // What was before is as it was: all happens at its time.
    let (one, other) = (film_of(4).timeline.events, by_hand.timeline.events);
    let before = one.at.iter().filter(|at| **at < 1.5e9).count();
    assert!(before > 100);
    assert_eq!(one.at[..before], other.at[..before]);
    assert_eq!(one.kind[..before], other.kind[..before]);
}

#[test]
fn what_cannot_be_done_is_refused_with_what_can() {
    let source = Source::Seed(SeedSource::from(&request(4)));
    let refused = |line: &str| source.schedule(&[line.into()]).expect_err(line).to_string();
    assert!(refused("1.0 kill n99 for 1s").contains("a server from n1 to"));
    assert!(refused("soon kill n1 for 1s").contains("a time in seconds"));
    assert!(refused("1.0 c999 set k0").contains("a client from c0 to"));
    let wrong = Source::Seed(SeedSource {
        seed: "forty-two".into(),
        ..SeedSource::from(&request(4))
    });
    let error = wrong.schedule(&[]).expect_err("it is no seed").to_string();
    assert!(error.contains("a seed is a whole number"), "{error}");
}

#[test]
fn a_page_needs_no_network_and_holds_the_simulator_and_what_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "view",
        "--seed",
        "0xfeed",
        "--time",
        "2s",
        "-o",
        "page.html",
    ];
    let output = raft_sim(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    for reference in ["http://", "https://", "src=\"", "@import", "url("] {
        assert!(!page.contains(reference), "the page says {reference}");
    }
    assert!(
        page.contains("\"seed\":\"65261\""),
        "the seed is in the page"
    );
    let digest = run::run(
        Request::new(0xfeed, 5, Duration::from_secs(2), Faults::Mild),
        None,
    )
    .digest;
    assert!(
        page.contains(&format!("\"digest\":\"{digest}\"")),
        "the digest is in the page"
    );
    // gzip, in base64.
    let module = page
        .split("<script id=\"wasm\" type=\"text/plain\">")
        .nth(1)
        .expect("a module");
    let module = module.split('<').next().unwrap_or_default();
    assert!(
        module.starts_with("H4sI") && module.len() > 100_000,
        "{} bytes",
        module.len()
    );
    assert!(!page.contains("/*REQUEST*/"));
}

#[test]
fn a_schedule_is_shown_and_cannot_end_the_script_that_it_stands_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut schedule = Draft::new(request(5)).schedule();
    schedule.failure = Some("</script><script>alert(1)</script>".into());
    fs::write(folder.path().join("odd.toml"), schedule.to_text()).unwrap();
    let output = raft_sim(folder.path(), &["view", "--schedule", "odd.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = fs::read_to_string(folder.path().join("odd.html")).unwrap();
    assert!(page.contains("\\u003c/script>"));
    assert!(!page.contains("alert(1)</script>"));
}

#[test]
fn what_cannot_be_shown_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut schedule = Draft::new(request(5)).schedule();
    schedule.mutant = Some("figure-8".into());
    fs::write(folder.path().join("mutant.toml"), schedule.to_text()).unwrap();
    fs::write(folder.path().join("broken.toml"), "version = 1\nseed = ").unwrap();
    fs::write(folder.path().join("node.raftrec"), b"RAFTREC\0\xff").unwrap();
    let refused = |arguments: &[&str], reason: &str| {
        let output = raft_sim(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = stderr(&output);
        assert!(said.contains(reason), "{arguments:?}: {said}");
    };
    refused(
        &["view", "--schedule", "mutant.toml"],
        "remove its line `mutant`",
    );
    refused(
        &["view", "--schedule", "broken.toml"],
        "broken.toml: the schedule cannot be read",
    );
    refused(
        &["view", "--schedule", "node.raftrec"],
        "a recording of a node",
    );
    refused(&["view", "--schedule", "missing.toml"], "missing.toml");
    refused(&["view", "--seed", "many"], "a seed is a whole number");
    refused(&["view"], "--seed");
    let output = raft_sim(
        folder.path(),
        &["view", "--seed", "1", "--time", "1s", "-o", "no/where.html"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("no/where.html"),
        "{}",
        stderr(&output)
    );
}
