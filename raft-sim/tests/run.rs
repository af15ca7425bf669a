//! Runs: the same seed makes the same run, and clusters survive their faults.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_sim::draw::Draft;
use raft_sim::features::Features;
use raft_sim::request::{Faults, Request};
use raft_sim::run::{run, search};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

fn request(seed: u64, faults: Faults) -> Request {
    Request::new(seed, 5, Duration::from_secs(5), faults)
}

/// A trace's output that the test can read.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_same_seed_makes_the_same_run_whether_or_not_it_is_traced() {
    let shared = Shared::default();
    let traced = run(request(7, Faults::Mild), Some(Box::new(shared.clone())));
    let silent = run(request(7, Faults::Mild), None);
    assert_eq!(traced.digest, silent.digest);
    assert_eq!(traced.counts, silent.counts);
    let trace = shared.0.lock().expect("nobody panicked");
    let lines = trace.split(|byte| *byte == b'\n').count() as u64 - 1;
    assert_eq!(lines, traced.trace_lines);
    assert!(trace.is_ascii());
}

#[test]
fn a_search_without_text_is_the_same_run_and_the_same_each_time() {
    for seed in 1..=6 {
        let request = request(seed, Faults::Wild);
        let (one, two, full) = (search(request), search(request), run(request, None));
        assert_eq!(one.digest, two.digest);
        assert_eq!(
            (&one.counts, one.trace_lines),
            (&full.counts, full.trace_lines)
        );
        assert_eq!((one.clients, one.features), (full.clients, full.features));
    }
}

#[test]
fn another_seed_makes_another_run() {
    let (one, two) = (
        run(request(1, Faults::Mild), None),
        run(request(2, Faults::Mild), None),
    );
    assert_ne!(one.digest, two.digest);
    let drawn = |seed| Draft::new(request(seed, Faults::Mild)).settings.network;
    assert_ne!(drawn(1), drawn(2));
}

#[test]
fn clusters_of_every_size_survive_mild_faults() {
    for nodes in [1, 2, 3, 4, 7] {
        let report = run(
            Request {
                nodes,
                ..request(11, Faults::Mild)
            },
            None,
        );
        assert!(report.passed(), "{report}");
        assert!(report.committed > 0, "{report}");
    }
}

#[test]
fn wild_faults_break_nothing_and_everything_strange_happens() {
    let mut strange = [0; 6];
    for seed in 1..=48 {
        let report = run(request(seed, Faults::Wild), None);
        assert!(report.passed(), "{report}");
        let counts = &report.counts;
        let happened = [
            counts.crashes,
            counts.cuts,
            counts.restores,
            counts.dropped,
            counts.duplicated,
            counts.replaced,
        ];
        for (sum, count) in strange.iter_mut().zip(happened) {
            *sum += count;
        }
    }
    assert!(strange.iter().all(|count| *count > 0), "{strange:?}");
}

#[test]
fn without_faults_nothing_is_lost_and_one_leader_lasts() {
    let request = Request {
        features: Features::None, // No leadership transfers.
        ..request(3, Faults::None)
    };
    let report = run(request, None);
    assert!(report.passed(), "{report}");
    assert_eq!(report.counts.leaders, 1, "{report}");
    assert_eq!(report.counts.dropped, 0, "{report}");
    assert_eq!(report.counts.replaced, 0, "{report}");
    // No client waits for the last command, which shows that the cluster goes on.
    let answered = report.counts.acknowledged + 1;
    assert_eq!(report.counts.accepted, answered, "{report}");
}

/// Seeds that once showed a defect of the core, with the time that it took.
#[test]
fn seeds_that_found_defects_stay_repaired() {
    let found = [
        // A late answer set a snapshot transfer back, and it never went on.
        (1, 60, Faults::Wild),
        (17, 60, Faults::Wild),
        // A restarted leader rejected an answer to a chunk of its earlier term.
        (270, 10, Faults::Wild),
    ];
    for (seed, seconds, faults) in found {
        let report = run(
            Request {
                time: Duration::from_secs(seconds),
                ..request(seed, faults)
            },
            None,
        );
        assert!(report.passed(), "{report}");
    }
}
