//! Shrinking: what is left out, and what a schedule file brings back.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use proptest::prelude::*;
use raft_sim::draw::Draft;
use raft_sim::features::Features;
use raft_sim::intensity::{FaultKind, Override};
use raft_sim::request::{Faults, Request};
use raft_sim::run::run_schedule;
use raft_sim::schedule::Schedule;
use raft_sim::shrink::ddmin::{ddmin, minimize};
use raft_sim::shrink::{Options, Passes, Shrunk, shrink};
use std::collections::BTreeSet;

/// A run whose clocks jump by more than leases allow: a stale read is expected.
fn stale_read() -> Schedule {
    let jump = Override {
        kind: FaultKind::Jump,
        intensity: 100,
    };
    let request = Request {
        features: Features::All,
        overrides: [jump].into_iter().collect(),
        ..Request::new(8034, 5, Duration::from_secs(10), Faults::Wild)
    };
    Draft::new(request).schedule()
}

fn limited(runs: u64, threads: usize) -> Shrunk {
    let options = Options {
        runs,
        ..Options::default()
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let pool = pool.build().unwrap();
    pool.install(|| shrink(&stale_read(), options, &|_| {}).unwrap())
}

proptest! {
    #[test]
    fn just_what_is_needed_is_left_of_any_list(
        needed in prop::collection::btree_set(0_usize..200, 0..8),
    ) {
        let fails = |items: &[usize]| {
            let items: BTreeSet<usize> = items.iter().copied().collect();
            needed.is_subset(&items)
        };
        let left = ddmin((0..200).collect(), fails);
        prop_assert_eq!(left, needed.iter().copied().collect::<Vec<_>>());
    }

    #[test]
    fn no_single_item_more_can_go_whatever_fails(salt: u64) {
        // A condition that is not monotone.
        let fails = |items: &[u64]| {
            let sum = items.iter().filter(|item| (**item ^ (salt % 3)) > 2).count();
            sum >= 3 && items.len() % 5 != 1
        };
        let all: Vec<u64> = (0..50).collect();
        prop_assume!(fails(&all));
        let left = ddmin(all, fails);
        prop_assert!(fails(&left));
        for at in 0..left.len() {
            let mut fewer = left.clone();
            fewer.remove(at);
            prop_assert!(!fails(&fewer), "{left:?} without {at}");
        }
    }
}

#[test]
fn halves_go_before_quarters_and_a_rare_need_costs_few_tries() {
    let mut tries = 0;
    let left = ddmin((0..1024).collect(), |items: &[u32]| {
        tries += 1;
        items.contains(&700)
    });
    assert_eq!(left, [700]);
    assert!(tries < 60, "{tries} tries");
}

#[test]
fn no_part_is_smaller_than_the_floor() {
    let mut least = usize::MAX;
    minimize(64, 8, |ranges| {
        least = ranges
            .iter()
            .map(|range| range.len())
            .min()
            .unwrap()
            .min(least);
        None
    });
    assert_eq!(least, 8);
}

#[test]
fn a_stale_read_becomes_a_few_lines_that_fail_alike() {
    let before = stale_read();
    let shrunk = limited(4_000, 2);
    assert!(shrunk.before.faults + shrunk.before.operations > 100);
    assert!(shrunk.schedule.len() <= 20, "{}", shrunk.schedule.to_text());
    assert!(shrunk.schedule.time < before.time);
    let read = Schedule::parse(&shrunk.schedule.to_text()).unwrap();
    assert_eq!(read, shrunk.schedule);
    let again = run_schedule(&read, None).failure.expect("it fails");
    assert_eq!(again.kind(), shrunk.failure.kind());
    assert_eq!(Some(again.to_string()), read.failure);
}

#[test]
fn the_result_depends_on_the_number_of_runs_and_not_on_threads() {
    let (one, four) = (limited(500, 1), limited(500, 4));
    assert_eq!(one.schedule, four.schedule);
    assert_eq!(one.runs, four.runs);
    assert!(one.runs <= 500 && one.is_stopped, "{} runs", one.runs);
}

#[test]
fn a_run_that_passes_is_not_shrunk() {
    let request = Request::new(3, 3, Duration::from_secs(2), Faults::Mild);
    let schedule = Draft::new(request).schedule();
    let refused = shrink(&schedule, Options::default(), &|_| {});
    assert_eq!(refused.err(), Some(Passes));
}
