//! Disks that are lost and made anew under the numbers of members: nothing acknowledged is lost,
//! and the cluster takes the new disk back by a change of the members. Without disk identity, each
//! of these runs fails.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::Time;
use raft_sim::coverage::CoverageMark;
use raft_sim::draw::Draft;
use raft_sim::features::Features;
use raft_sim::intensity::{FaultKind, Override, Overrides};
use raft_sim::report::Report;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use raft_sim::schedule::Schedule;
use raft_sim::settings::Heal;

/// Three servers whose disks have incarnations, under these operations alone, at these times in
/// milliseconds.
fn with_operations(seed: u64, operations: &[(u64, &str)]) -> Schedule {
    let none = FaultKind::ALL.map(|kind| Override { kind, intensity: 0 });
    let request = Request {
        features: Features::None,
        rate: Some(50),
        overrides: none.into_iter().collect(),
        ..Request::new(seed, 3, Duration::from_secs(8), Faults::Wild)
    };
    let mut schedule = Draft::new(request).schedule();
    schedule.settings.heal = Heal::All;
    schedule.settings.core.incarnations = true;
    schedule.settings.core.pre_vote = true;
    schedule.settings.core.max_promotion_lag = 200;
    schedule.nemesis = operations
        .iter()
        .map(|(millis, text)| {
            let at = Time::from_epoch(Duration::from_millis(*millis));
            (at, text.parse().unwrap())
        })
        .collect();
    schedule
}

fn passes(schedule: &Schedule) -> Report {
    let read = Schedule::parse(&schedule.to_text()).unwrap();
    assert_eq!(read, *schedule);
    let report = run::try_schedule(schedule);
    assert!(report.passed(), "{report}\n{}", schedule.to_text());
    report
}

fn made_anew(report: &Report) -> u64 {
    report.coverage.count(CoverageMark::EmptyDiskUnderOwnNumber)
}

/// n3 lacks entries, and the disk of n2, which has them, is lost. Then the leader is cut off: with
/// the vote of the new disk, n3 would be elected.
#[test]
fn a_voter_made_anew_elects_no_node_without_the_acknowledged_entries() {
    for seed in 0..20 {
        let operations = [
            (2_000, "isolate n3 for 1500ms"),
            (3_300, "replace n2 with empty-disk for 50ms"),
            (3_360, "isolate leader for 2s"),
        ];
        let report = passes(&with_operations(seed, &operations));
        assert!(made_anew(&report) <= 1, "{report}");
    }
}

#[test]
fn a_lost_disk_is_replaced_under_its_own_number() {
    let mut promoted = 0;
    for seed in 0..20 {
        let operations = [(2_500, "replace n3 with empty-disk for 100ms")];
        let report = passes(&with_operations(seed, &operations));
        promoted += report.features.promotions * made_anew(&report);
    }
    assert!(promoted >= 15, "{promoted}");
}

/// The number leaves, and comes back with another disk while messages of the first may be under
/// way.
#[test]
fn a_number_is_used_again_after_it_left() {
    let mut promoted = 0;
    for seed in 0..20 {
        let operations = [
            (2_000, "change n3=out"),
            (3_000, "replace n3 with empty-disk for 100ms"),
            (4_000, "change n3=learner"),
            (5_000, "change n3=voter"),
        ];
        let report = passes(&with_operations(seed, &operations));
        promoted += report.features.promotions;
    }
    assert!(promoted >= 15, "{promoted}");
}

/// The survivor holds what was acknowledged. The two others must neither found another cluster nor
/// make it follow them.
#[test]
fn two_of_three_made_anew_elect_nobody() {
    for seed in 0..20 {
        for pair in [["n1", "n2"], ["n2", "n3"], ["n1", "n3"]] {
            let lost = pair.map(|it| format!("replace {it} with empty-disk-anyway for 100ms"));
            let operations = [(3_000, lost[0].as_str()), (3_001, lost[1].as_str())];
            let report = passes(&with_operations(seed, &operations));
            assert_eq!(made_anew(&report), 2, "{report}");
        }
    }
}

/// All kinds of faults, and one release: many disks are made anew, and some of them before they
/// were named.
#[test]
fn disks_are_made_anew_under_all_faults() {
    let mut anew = 0;
    for seed in 0..40 {
        let request = Request {
            features: Features::All,
            overrides: Overrides::from_iter(["upgrade=0".parse().unwrap()]),
            ..Request::new(seed, 5, Duration::from_secs(20), Faults::Wild)
        };
        let report = run::try_schedule(&Draft::new(request).schedule());
        assert!(report.passed(), "{report}");
        anew += made_anew(&report);
    }
    assert!(anew > 20, "{anew}");
}
