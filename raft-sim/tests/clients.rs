//! Clients: commands that they repeat run once, operations that they give up stay open in the
//! history, and in the end every client has its answer.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::Time;
use raft_sim::coverage::CoverageMark;
use raft_sim::draw::Draft;
use raft_sim::features::Features;
use raft_sim::intensity::{FaultKind, Override};
use raft_sim::report::Report;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use raft_sim::schedule::Schedule;
use raft_sim::trace::Trace;
use raft_sim::world::World;

/// A schedule with these faults at their worst and no others, and busy clients.
fn schedule(seed: u64, kinds: &[FaultKind]) -> Schedule {
    let all = FaultKind::ALL.map(|kind| Override {
        kind,
        intensity: 100 * u8::from(kinds.contains(&kind)),
    });
    let request = Request {
        features: Features::None,
        rate: Some(100),
        overrides: all.into_iter().collect(),
        ..Request::new(seed, 3, Duration::from_secs(8), Faults::Wild)
    };
    let mut schedule = Draft::new(request).schedule();
    // Without it, reads wait until some client proposes.
    schedule.settings.core.leader_noop = true;
    schedule
}

fn passes(schedule: &Schedule) -> Report {
    let report = run::try_schedule(schedule);
    assert!(report.passed(), "{report}");
    report
}

#[test]
fn commands_that_are_repeated_run_once() {
    let (mut retries, mut repeated) = (0, 0);
    for seed in 0..6 {
        let mut schedule = schedule(seed, &[FaultKind::Crash, FaultKind::Loss]);
        schedule.settings.service.max_sessions = 100;
        // A second run of a command would end the run: Exactly Once watches all services.
        let report = passes(&schedule);
        retries += report.clients.retries;
        repeated += report.coverage.count(CoverageMark::CommandRepeated);
        assert_eq!(report.clients.evicted, 0, "{report}");
    }
    assert!(retries > 0 && repeated > 0, "{retries}, {repeated}");
}

#[test]
fn sessions_that_are_evicted_are_noticed_and_opened_again() {
    for seed in 0..4 {
        let mut schedule = schedule(seed, &[]);
        schedule.settings.clients.clients = 6;
        schedule.settings.service.max_sessions = 2;
        for (at, (_, operation)) in schedule.operations.iter_mut().enumerate() {
            operation.client = at as u32 % 6;
        }
        let report = passes(&schedule);
        assert!(report.clients.evicted > 0, "{report}");
        assert!(report.clients.sessions > 6, "{report}");
        assert!(report.coverage.count(CoverageMark::SessionEvicted) > 0);
        assert!(report.coverage.count(CoverageMark::CommandRefused) > 0);
        // With room for all sessions, no client loses its session.
        schedule.settings.service.max_sessions = 100;
        let report = passes(&schedule);
        assert_eq!(report.clients.evicted, 0, "{report}");
        assert_eq!(report.clients.unknown, 0, "{report}");
    }
}

#[test]
fn operations_that_are_given_up_are_left_open_and_all_others_are_answered() {
    let mut unknown = 0;
    for seed in 0..6 {
        let mut schedule = schedule(seed, &[FaultKind::CrashAll, FaultKind::Split]);
        schedule.settings.clients.give_up_after.0 = Duration::from_millis(400);
        let counts = passes(&schedule).clients;
        assert!(counts.answered > 0);
        assert_eq!(
            counts.begun,
            counts.answered + counts.unknown,
            "seed {seed}"
        );
        unknown += counts.unknown;
    }
    assert!(unknown > 0);
}

#[test]
fn once_the_faults_are_over_no_client_gives_up_or_waits_for_ever() {
    let mut waited = 0;
    for seed in 0..6 {
        let schedule = schedule(seed, &[FaultKind::CrashAll, FaultKind::Split]);
        let script = schedule.script();
        let (settings, seed) = (schedule.settings.clone(), schedule.seed);
        let mut world = World::new(settings, seed, script, Trace::of_times());
        world.run_until(Time::from_epoch(schedule.time)).unwrap();
        world.heal();
        waited += u32::from(world.clients().waiting().is_some());
        let before = world.clients().counts;
        world
            .run_until(world.now().after(run::RECOVERY_TIME))
            .unwrap();
        let after = world.clients().counts;
        assert_eq!(world.clients().waiting(), None);
        assert_eq!(after.begun, before.begun, "no client begins anything new");
        // A client whose session is closed does not know either.
        assert!(after.unknown - before.unknown <= 32 * (after.evicted - before.evicted));
        assert_eq!(after.begun, after.answered + after.unknown);
    }
    assert!(waited > 0);
}
