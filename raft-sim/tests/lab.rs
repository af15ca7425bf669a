//! The 28 scenarios of Lab 3 at several seeds, and how they are named, shown and compared.
#![allow(clippy::expect_used)] // A test may.

use raft_proto::Time;
use raft_sim::features::Features;

use raft_sim::lab::{Comparison, Failure, Figures, Part, Scenario, TraceLevel, scenarios, select};

const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;

#[test]
fn every_scenario_passes_at_every_seed_and_its_median_is_within_the_figures_of_the_labs_page() {
    for scenario in scenarios() {
        // Scenarios with thousands of messages need few seeds: their medians vary little.
        let seeds = match scenario.number {
            19 | 20 => 1,
            _ => 15,
        };
        let mut comparison = Comparison::new();
        for seed in 1..=seeds {
            let report = scenario.run(seed, TraceLevel::Off);
            assert!(report.outcome.is_ok(), "{report}");
            comparison.add(&report);
        }
        let median = comparison.median(scenario.number).expect("it was added");
        assert_within_page(scenario, &median);
    }
}

#[test]
fn every_scenario_passes_with_everything_beyond_figure_2_as_well() {
    for scenario in scenarios() {
        let scenario = scenario.with_features(Features::All);
        let seeds = if matches!(scenario.number, 19 | 20) {
            1
        } else {
            3
        };
        for seed in 1..=seeds {
            let report = scenario.run(seed, TraceLevel::Off);
            assert!(report.outcome.is_ok(), "{report}");
        }
    }
}

fn assert_within_page(scenario: &Scenario, ours: &Figures) {
    let Some(page) = scenario.page else { return };
    assert_eq!(ours.peers, page.peers);
    // Clients of the churn scenarios propose as fast as they are served.
    let scale = if scenario.is_paced_by_service() {
        ours.commits as f64 / page.commits as f64
    } else {
        1.0
    };
    let share = match scenario.number {
        12 | 18..=21 => 0.5,
        _ => 1.0,
    };
    let (rpcs, bytes) = (page.rpcs as f64 * scale, page.bytes as f64 * scale * share);
    let name = scenario.name;
    assert!(ours.rpcs as f64 <= rpcs, "{name}: {ours}, not {rpcs} RPCs");
    assert!(
        ours.bytes as f64 <= bytes,
        "{name}: {ours}, not {bytes} bytes"
    );
}

#[test]
fn commits_are_exactly_those_that_the_scripts_ask_for() {
    for (number, commits) in [
        (4, 3),
        (5, 11),
        (10, 6),
        (13, 12),
        (14, 6),
        (15, 16),
        (16, 4),
    ] {
        let scenario = &scenarios()[number - 1];
        for seed in SEEDS {
            let figures = scenario.run(seed, TraceLevel::Off).figures;
            assert_eq!(figures.commits, commits, "{} at seed {seed}", scenario.name);
        }
    }
}

#[test]
fn a_seed_makes_the_same_run_again_and_another_seed_another_one() {
    let scenario = &scenarios()[18];
    let first = scenario.run(7, TraceLevel::All);
    let again = scenario.run(7, TraceLevel::All);
    let other = scenario.run(8, TraceLevel::All);
    assert!(first.trace.len() > 1000);
    assert!(first.trace == again.trace, "two runs of seed 7 differ");
    assert!(
        first.trace != other.trace,
        "seeds 7 and 8 make the same run"
    );
}

#[test]
fn a_trace_changes_nothing_but_itself() {
    for scenario in select(Some("figure 8")).expect("there are two") {
        let quiet = scenario.run(3, TraceLevel::Off);
        let last = scenario.run(3, TraceLevel::Last(5));
        let all = scenario.run(3, TraceLevel::All);
        assert_eq!(quiet.figures, all.figures);
        assert_eq!(quiet.figures, last.figures);
        assert!(quiet.trace.is_empty());
        assert_eq!(last.trace, all.trace[all.trace.len() - 5..]);
    }
}

#[test]
fn scenarios_are_found_by_part_number_and_name() {
    let numbers = |filter: &str| -> Vec<u8> {
        let found = select(Some(filter)).expect(filter);
        found.iter().map(|scenario| scenario.number).collect()
    };
    assert_eq!(numbers("3A"), [1, 2, 3]);
    assert_eq!(numbers("3d"), [22, 23, 24, 25, 26, 27, 28]);
    assert_eq!(numbers("17"), [17]);
    // A whole name means that scenario alone, a part of a name all that contain it.
    assert_eq!(numbers("Figure 8"), [17]);
    assert_eq!(numbers("figure"), [17, 19]);
    assert_eq!(numbers("CHURN"), [20]);
    assert_eq!(numbers("reconnects"), [8]);
    assert_eq!(select(None).map(|all| all.len()), Ok(28));
    for (at, scenario) in scenarios().iter().enumerate() {
        assert_eq!(usize::from(scenario.number), at + 1);
    }
    assert_eq!(scenarios()[21].part, Part::D);
}

#[test]
fn an_unknown_scenario_is_refused_with_what_to_write_instead() {
    for unknown in ["nosuch", "29", "", " "] {
        let error = select(Some(unknown)).expect_err(unknown).to_string();
        assert!(error.contains(&format!("{unknown:?}")), "{error}");
        assert!(error.contains("3A, 3B, 3C, 3D"), "{error}");
    }
}

#[test]
fn a_passed_run_prints_the_labs_two_lines() {
    let report = scenarios()[3].run(1, TraceLevel::Off);
    let figures = report.figures;
    let text = format!(
        "Test (3B): basic agreement ...\n  ... Passed -- {:.1} 3 {} {} 3\n",
        figures.time.as_secs_f64(),
        figures.rpcs,
        figures.bytes,
    );
    assert_eq!(report.to_string(), text);
}

#[test]
fn a_failed_run_says_what_was_expected_and_how_to_repeat_it() {
    let mut report = scenarios()[16].run(42, TraceLevel::Last(3));
    report.outcome = Err(Failure {
        at: Time(2_500_000_000),
        expected: "one leader".to_owned(),
        found: "none in 5 s".to_owned(),
    });
    let text = report.to_string();
    for part in [
        "Test (3C): Figure 8 ...\n  ... FAILED -- ",
        "expected: one leader\n",
        "found:    none in 5 s\n",
        "at:       2.500000 s of virtual time\n",
        "seed:     42\n",
        "repeat:   cargo run --release -p raft-sim -- lab 17 --seed 42\n",
        "the last 3 lines of the trace:\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert!(text.ends_with(&format!("  {}\n", report.trace[2])));
}
