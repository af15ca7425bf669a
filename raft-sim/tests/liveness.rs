//! Liveness: the check distinguishes a cluster that recovers from one that does not.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::Time;
use raft_sim::draw::Draft;
use raft_sim::failure::Failure;
use raft_sim::features::Features;
use raft_sim::liveness::{Missing, missing, same_states};
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use raft_sim::schedule::Schedule;
use raft_sim::settings::Heal;
use raft_sim::trace::Trace;
use raft_sim::world::World;

fn schedule() -> Schedule {
    let request = Request {
        features: Features::None,
        ..Request::new(3, 3, Duration::from_secs(2), Faults::None)
    };
    Draft::new(request).schedule()
}

fn world(schedule: &Schedule) -> World {
    let (settings, script) = (schedule.settings.clone(), schedule.script());
    World::new(settings, schedule.seed, script, Trace::of_times())
}

fn other(world: &World) -> String {
    match missing(world, None) {
        Missing::Other(what) => what,
        found @ (Missing::Nothing | Missing::Probe { .. }) => panic!("{found:?}"),
    }
}

#[test]
fn a_cluster_that_has_only_begun_lacks_a_leader() {
    let mut world = world(&schedule());
    world.heal();
    assert_eq!(other(&world), "a leader");
}

#[test]
fn a_node_that_is_down_is_missing() {
    let mut schedule = schedule();
    let crash = "crash n2 for 1h".parse().unwrap();
    schedule.nemesis = vec![(Time::from_epoch(Duration::from_secs(1)), crash)];
    let mut world = world(&schedule);
    world.run_until(Time::from_epoch(schedule.time)).unwrap();
    assert_eq!(other(&world), "n2 runs");
}

#[test]
fn a_healthy_cluster_lacks_a_proposal_and_then_nothing() {
    let schedule = schedule();
    let mut world = world(&schedule);
    world.run_until(Time::from_epoch(schedule.time)).unwrap();
    world.heal();
    world
        .run_until(world.now().after(Duration::from_secs(1)))
        .unwrap();
    let Missing::Probe { leader } = missing(&world, None) else {
        panic!("a leader takes proposals");
    };
    let probe = world.probe(leader).unwrap().unwrap();
    let found = missing(&world, Some(probe));
    assert!(
        matches!(found, Missing::Other(_)),
        "it is not applied: {found:?}"
    );
    world
        .run_until(world.now().after(Duration::from_secs(1)))
        .unwrap();
    assert_eq!(missing(&world, Some(probe)), Missing::Nothing);
    same_states(&world).unwrap();
}

/// Messages take ten times as long as any election timeout.
#[test]
fn a_cluster_whose_network_is_too_slow_for_elections_is_not_live() {
    let mut schedule = schedule();
    schedule.settings.network.delay = "5s..6s".parse().unwrap();
    schedule.settings.heal = Heal::All;
    let report = run::try_schedule(&schedule);
    let Some(Failure::NotLive { within, missing }) = report.failure else {
        panic!("{report}");
    };
    assert_eq!(within, run::RECOVERY_TIME);
    assert!(!missing.is_empty());
}
