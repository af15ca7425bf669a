//! Leases depend on clocks, and on nothing else. Within the configured bound, clocks may be wrong.
//! Beyond it, a leader that was replaced gives stale answers, and the checkers show it.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::Time;
use raft_sim::draw::Draft;
use raft_sim::failure::Failure;
use raft_sim::features::Features;
use raft_sim::intensity::{FaultKind, Override};
use raft_sim::report::Report;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use raft_sim::schedule::{LinkOperation, Links, MachineOperation, NemesisOperation, Target};

/// Runs with these kinds of faults at their worst and no others.
fn reports(features: Features, kinds: &[FaultKind], seeds: u64) -> impl Iterator<Item = Report> {
    let all = FaultKind::ALL.map(|kind| Override {
        kind,
        intensity: 100 * u8::from(kinds.contains(&kind)),
    });
    (0..seeds).map(move |seed| {
        run::search(Request {
            features,
            rate: Some(200),
            overrides: all.into_iter().collect(),
            ..Request::new(seed, 3, Duration::from_secs(10), Faults::Wild)
        })
    })
}

fn is_stale(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::StaleRead { .. } | Failure::NotLinearizable(_)
    )
}

/// A leader that is cut off while its clock stands still.
fn frozen(seed: u64, features: Features) -> Report {
    let request = Request {
        features,
        rate: Some(100),
        ..Request::new(seed, 3, Duration::from_secs(6), Faults::None)
    };
    let mut schedule = Draft::new(request).schedule();
    let (of, time) = (Target::Leader, Duration::from_secs(3));
    let at = |millis| Time::from_epoch(Duration::from_millis(millis));
    let links = Links::Around(of);
    schedule.nemesis = vec![
        (
            at(2_000),
            NemesisOperation::at(of, MachineOperation::Freeze { time }),
        ),
        (
            at(2_001),
            NemesisOperation::AtLinks(LinkOperation::Cut { links, time }),
        ),
    ];
    run::try_schedule(&schedule)
}

#[test]
fn clocks_that_stand_still_break_leases_and_the_checkers_show_it() {
    let reports = (0..16).map(|seed| frozen(seed, Features::All));
    let failures: Vec<Failure> = reports.filter_map(|report| report.failure).collect();
    assert!(!failures.is_empty());
    assert!(failures.iter().all(is_stale), "{failures:?}");
}

#[test]
fn clocks_that_stand_still_break_nothing_where_there_are_no_leases() {
    for seed in 0..16 {
        let report = frozen(seed, Features::None);
        assert!(report.passed(), "{report}");
        assert_eq!(report.features.lease_reads, 0);
    }
}

#[test]
fn clocks_that_drift_within_the_bound_break_no_lease() {
    let (mut leases, mut expired) = (0, 0);
    for report in reports(Features::All, &[FaultKind::Drift, FaultKind::Split], 40) {
        assert!(report.passed(), "{report}");
        leases += report.features.lease_reads;
        expired += report
            .coverage
            .count(raft_sim::coverage::CoverageMark::LeaseExpired);
    }
    assert!(leases > 100 && expired > 0, "{leases}, {expired}");
}

#[test]
fn clocks_that_jump_break_nothing_where_there_are_no_leases() {
    for report in reports(Features::None, &[FaultKind::Jump, FaultKind::Split], 12) {
        assert!(report.passed(), "{report}");
        assert_eq!(report.features.lease_reads, 0);
    }
}
