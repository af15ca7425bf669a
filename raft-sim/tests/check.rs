//! Model checking: the models pass, the search is what it claims to be, and it finds what is wrong.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::ops::ControlFlow;
use raft_proto::{ClusterId, Config, NodeId, PreVoting, Start};
use raft_sim::check::model::{Bounds, Form, Model, Reductions};
use raft_sim::check::models::{self, ALL};
use raft_sim::check::node::Disks;
use raft_sim::check::outcome::Mark;
use raft_sim::check::{Counterexample, Limits, Report, check};
use rayon::ThreadPoolBuilder;
use std::time::Duration;

fn search(model: &Model) -> Report {
    search_on(model, 2)
}

fn search_on(model: &Model, cores: usize) -> Report {
    let pool = ThreadPoolBuilder::new().num_threads(cores).build().unwrap();
    let limits = Limits::default();
    pool.install(|| check(model, limits, |_| ControlFlow::Continue(())))
        .unwrap()
}

fn model(name: &str) -> Model {
    (models::find(name).unwrap().make)(Form::Short)
}

/// What must not depend on how a model is searched.
fn verdict(report: &Report) -> (bool, Option<usize>, Vec<Mark>) {
    let steps = report.counterexample.as_ref().map(|it| it.steps.len());
    (report.passed(), steps, report.reached.clone())
}

#[test]
fn every_short_form_passes_and_has_as_many_states_as_it_says() {
    for entry in ALL {
        let model = (entry.make)(Form::Short);
        let report = search(&model);
        let name = entry.name;
        assert!(report.counterexample.is_none(), "{name}: {report:#?}");
        assert_eq!(report.missed, [], "{name}");
        assert!(report.is_complete, "{name}");
        assert_eq!(Some(report.progress.states), model.states, "{name}");
    }
}

#[test]
fn a_cluster_can_go_on_from_every_state() {
    for name in ["transfer", "impaired", "disk-identity"] {
        let limits = Limits {
            recovery: true,
            ..Limits::default()
        };
        let report = check(&model(name), limits, |_| ControlFlow::Continue(())).unwrap();
        assert!(report.counterexample.is_none(), "{name}: {report:#?}");
    }
}

#[test]
fn the_result_does_not_depend_on_how_many_cores_search() {
    for name in ["figure8", "transfer"] {
        let model = model(name);
        let (one, three) = (search_on(&model, 1), search_on(&model, 3));
        let numbers = |it: &Report| {
            let now = it.progress;
            (now.states, now.transitions, now.depth, it.sizes)
        };
        assert_eq!(numbers(&one), numbers(&three), "{name}");
        assert_eq!(verdict(&one), verdict(&three), "{name}");
    }
}

#[test]
fn a_model_that_does_not_reach_its_situations_fails() {
    let mut model = model("late-writes");
    model.bounds.timeouts = 0;
    let report = search(&model);
    assert!(report.is_complete);
    assert!(report.missed.contains(&Mark::Elected), "{report:#?}");
    assert!(!report.passed());
}

#[test]
fn a_search_ends_at_its_limits_and_says_so() {
    let limits = [
        Limits {
            states: Some(1_000),
            ..Limits::default()
        },
        Limits {
            time: Some(Duration::ZERO),
            ..Limits::default()
        },
    ];
    for limits in limits {
        let report = check(&model("elections"), limits, |_| ControlFlow::Continue(())).unwrap();
        assert!(!report.is_complete);
        assert!(report.passed());
    }
}

/// An operator's mistake: n1 was told that it is a cluster by itself. So it elects itself, while
/// the others elect one of them in the same term.
fn two_clusters() -> Model {
    let config = |node: u64| {
        let voters = if node == 1 { 1..=1 } else { 1..=3 };
        let start = Start::voters(voters.map(NodeId));
        let mut config = Config::new(ClusterId(1), NodeId(node), start, 0);
        config.election_timeout_max = config.election_timeout_min + Duration::from_nanos(1);
        config.pre_vote = PreVoting::Off;
        config
    };
    Model {
        name: "two-clusters",
        about: "founders that were given different lists",
        configs: (1..=3).map(config).collect(),
        disks: Disks::Immediate,
        opening: |_| {},
        bounds: Bounds {
            max_term: 1,
            timeouts: 2,
            ..Bounds::default()
        },
        operations: Vec::new(),
        reaches: &[Mark::Elected],
        reductions: Reductions::OF_NAMED,
        states: None,
    }
}

#[test]
fn a_violation_is_found_by_a_shortest_path_that_the_core_walks_again() {
    let model = two_clusters();
    let report = search(&model);
    assert!(!report.passed());
    let found = report.counterexample.unwrap();
    assert_eq!(found.violation.property, "Election Safety (section 5.2)");
    // n1 times out; n2 or n3 does; its request arrives at the third; the vote arrives.
    let what: Vec<&str> = found.steps.iter().map(|it| it.1.as_str()).collect();
    assert_eq!(what.len(), 4, "{what:#?}");
    let leads = |line: &&String| line.contains("becomes leader in term 1");
    assert_eq!(
        found.trace.iter().filter(leads).count(),
        2,
        "{:#?}",
        found.trace
    );
    let again = Counterexample::replay(&model, &found.steps).unwrap();
    assert_eq!(again, found);
}

#[test]
fn steps_that_cannot_happen_are_refused_when_they_are_walked_again() {
    let model = two_clusters();
    let found = search(&model).counterexample.unwrap();
    let mut other = found.steps.clone();
    other[1].1.push_str(" twice");
    let error = Counterexample::replay(&model, &other).unwrap_err();
    assert!(
        error.to_string().starts_with("step 2 cannot happen here"),
        "{error}"
    );
    let mut none = found.steps;
    none[2].0 = 999;
    let error = Counterexample::replay(&model, &none).unwrap_err();
    assert!(
        error.to_string().starts_with("step 3 cannot happen here"),
        "{error}"
    );
}

#[test]
fn each_reduction_leaves_the_verdict_and_what_is_reached() {
    let mut small = model("elections-bare");
    small.bounds.timeouts = 1;
    let mut figure8 = model("figure8");
    figure8.bounds.timeouts = 1;
    figure8.reaches = &[Mark::Elected, Mark::TwoLeaders];
    for full in [small, figure8, two_clusters()] {
        let verdict_with = |reductions| {
            let report = search(&Model {
                reductions,
                ..full.clone()
            });
            (verdict(&report), report.progress.states)
        };
        let (bare, states) = verdict_with(Reductions::NONE);
        let mut outlived = Reductions::NONE;
        outlived.outlived = true;
        let mut idle = Reductions::NONE;
        idle.idle = true;
        for reductions in [outlived, idle, full.reductions] {
            let (reduced, fewer) = verdict_with(reductions);
            assert_eq!(reduced, bare, "{}: {reductions:?}", full.name);
            // A search that finds something ends early.
            assert!(fewer <= states || !bare.0, "{}: {reductions:?}", full.name);
        }
    }
}

#[test]
fn nodes_that_exchange_their_names_are_the_same() {
    let mut model = model("elections");
    model.bounds.waits = 0;
    let renamed = search(&model);
    model.reductions.names = false;
    let named = search(&model);
    assert_eq!(verdict(&renamed), verdict(&named));
    let (few, many) = (renamed.progress.states, named.progress.states);
    // Of three nodes there are six orders; few states look alike in more than one.
    assert!(few * 5 < many && many <= few * 6, "{few} of {many}");
}
