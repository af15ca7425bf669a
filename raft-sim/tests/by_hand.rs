//! What an operator asks of single nodes: each operation is drawn, does what it says, and breaks
//! nothing.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::Time;
use raft_sim::draw::Draft;
use raft_sim::features::Features;
use raft_sim::intensity::{FaultKind, Override};
use raft_sim::report::Report;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use raft_sim::schedule::Schedule;
use raft_sim::schedule::nemesis::NodeSetting;
use raft_sim::settings::Heal;

/// What a seed draws with this kind of faults alone, at its worst; in the end all machines heal.
fn drawn(kind: FaultKind, seed: u64) -> Schedule {
    let all = FaultKind::ALL.map(|other| Override {
        kind: other,
        intensity: 100 * u8::from(other == kind),
    });
    let request = Request {
        features: Features::None,
        rate: Some(50),
        overrides: all.into_iter().collect(),
        ..Request::new(seed, 3, Duration::from_secs(6), Faults::Wild)
    };
    let mut schedule = Draft::new(request).schedule();
    schedule.settings.heal = Heal::All;
    schedule
}

/// A quiet run with these operations, of a cluster in which all features of elections are on.
fn with_operations(operations: &[(u64, &str)]) -> Schedule {
    let mut schedule = drawn(FaultKind::Loss, 1);
    let operations = operations.iter().map(|(millis, text)| {
        let at = Time::from_epoch(Duration::from_millis(*millis));
        (at, text.parse().unwrap())
    });
    schedule.nemesis = operations.collect();
    schedule.settings.core.pre_vote = true;
    schedule
}

fn passes(schedule: &Schedule) -> Report {
    let read = Schedule::parse(&schedule.to_text()).unwrap();
    assert_eq!(read, *schedule);
    let report = run::try_schedule(schedule);
    assert!(report.passed(), "{report}\n{}", schedule.to_text());
    report
}

#[test]
fn a_leader_that_is_asked_to_steps_down_and_another_is_elected() {
    let report = passes(&with_operations(&[(3_000, "step-down leader")]));
    assert_eq!(report.features.step_downs, 1, "{report}");
    assert!(report.counts.leaders >= 2, "{report}");
}

#[test]
fn a_node_campaigns_if_it_hears_no_leader_and_does_not_where_leases_rest_on_it() {
    let asked = |has_check_quorum| {
        let mut schedule = with_operations(&[(3_000, "campaign n1"), (3_000, "campaign n2")]);
        schedule.settings.core.check_quorum = has_check_quorum;
        passes(&schedule).features.campaigns
    };
    assert!(asked(false) > 0);
    assert_eq!(asked(true), 0);
}

#[test]
fn a_staging_member_is_promoted_by_the_leader() {
    let mut schedule = with_operations(&[(2_000, "change n4=staging")]);
    schedule.settings.spares = 1;
    schedule.settings.core.max_promotion_lag = 200;
    let report = passes(&schedule);
    assert_eq!(report.features.promotions, 1, "{report}");
    assert_eq!(report.features.simple_changes, 1, "{report}");
}

// The one who asked is gone, and so is the leader that he had asked.
#[test]
fn the_promotion_survives_the_loss_of_the_leader() {
    let mut schedule = with_operations(&[
        (1_900, "isolate n4 for 1500ms"),
        (2_000, "change n4=staging"),
        (2_600, "crash leader for 500ms"),
    ]);
    schedule.settings.spares = 1;
    schedule.settings.core.max_promotion_lag = 200;
    let report = passes(&schedule);
    assert_eq!(report.features.promotions, 1, "{report}");
    assert_eq!(report.features.simple_changes, 1, "{report}");
}

#[test]
fn an_address_and_a_priority_change_while_the_member_votes() {
    let report = passes(&with_operations(&[
        (2_000, "update n2 priority=3"),
        (2_500, "update n3 priority=1"),
    ]));
    assert_eq!(report.features.simple_changes, 2, "{report}");
    assert_eq!(report.features.changes_refused, 0, "{report}");
}

#[test]
fn each_operation_is_drawn_where_its_kind_is_on() {
    let text = |kind, seed: u64| drawn(kind, seed).to_text();
    for what in ["campaign n", "step-down leader", "=staging", "update n"] {
        let has = |kind| (0..20).any(|seed| text(kind, seed).contains(what));
        assert!(has(FaultKind::ByHand), "{what}");
        assert!(!has(FaultKind::Change), "{what}");
    }
}

#[test]
fn settings_change_while_a_node_runs_unless_others_rely_on_them() {
    let report = passes(&with_operations(&[
        (2_000, "reconfigure leader max-inflight-appends=1"),
        (2_000, "reconfigure n1 heartbeat-interval=40"),
        (2_100, "reconfigure n2 election-timeout-max=1700"),
        (2_200, "reconfigure n3 election-timeout-min=300"),
        (2_300, "reconfigure n3 pre-vote=0"),
        // More than a third of the least election timeout: the settings contradict each other.
        (2_400, "reconfigure n3 heartbeat-interval=400"),
    ]));
    // Those three, and the way back.
    assert_eq!(report.features.reconfigurations, 6, "{report}");
    assert_eq!(report.features.reconfigurations_refused, 3, "{report}");
}

#[test]
fn changes_of_settings_are_drawn_where_their_kind_is_on() {
    let has = |kind, what: &str| (0..40).any(|seed| drawn(kind, seed).to_text().contains(what));
    for setting in NodeSetting::ALL {
        let what = format!("{setting}=");
        assert!(has(FaultKind::Reconfigure, &what), "{what}");
        assert!(!has(FaultKind::ByHand, &what), "{what}");
    }
}

#[test]
fn drawn_operations_break_nothing() {
    for seed in 0..12 {
        passes(&drawn(FaultKind::ByHand, seed));
        passes(&drawn(FaultKind::Reconfigure, seed));
    }
}
