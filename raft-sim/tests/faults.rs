//! Each kind of fault happens in a run that has it, breaks nothing alone, and does not happen in
//! runs without it.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::Time;
use raft_sim::availability::Condition;
use raft_sim::coverage::CoverageMark;
use raft_sim::draw::Draft;
use raft_sim::features::Features;
use raft_sim::intensity::{FaultKind, Override, OverrideError, Overrides};
use raft_sim::release::Releases;
use raft_sim::report::Report;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use raft_sim::schedule::{LinkOperation, Links, MachineOperation, NemesisOperation, Schedule};
use raft_sim::settings::Heal;

const SEEDS: u64 = 4;

/// An operation that changes nothing.
const NOTHING: &str = "noise loss=0 duplicate=0 late=0 corrupt=0 by 0s for 0s";

/// A run with only these kinds of faults, at their worst.
fn only(kinds: &[FaultKind], seed: u64) -> Request {
    let intensity = |kind| 100 * u8::from(kinds.contains(&kind));
    let all = FaultKind::ALL.map(|kind| Override {
        kind,
        intensity: intensity(kind),
    });
    Request {
        features: Features::None,
        rate: Some(50),
        overrides: all.into_iter().collect(),
        condition: Some(Condition::None), // What stays there cuts links, and crashes leaders.
        ..Request::new(seed, 3, Duration::from_secs(5), Faults::Wild)
    }
}

/// The schedule that the seed draws for it; in the end all machines heal.
fn schedule(kinds: &[FaultKind], seed: u64) -> Schedule {
    let mut schedule = Draft::new(only(kinds, seed)).schedule();
    schedule.settings.heal = Heal::All;
    schedule
}

/// How often something happened in all runs with only `kinds`, all of which pass.
fn happens(kinds: &[FaultKind], count: impl Fn(&Report) -> u64) -> u64 {
    let runs = (0..SEEDS).map(|seed| {
        let report = run::try_schedule(&schedule(kinds, seed));
        assert!(report.passed(), "{kinds:?}: {report}");
        count(&report)
    });
    runs.sum()
}

/// As above; and it does not happen without this kind.
fn happens_alone(kind: FaultKind, count: impl Fn(&Report) -> u64) {
    assert!(happens(&[kind], &count) > 0, "{kind}");
    assert_eq!(happens(&[], &count), 0, "{kind}");
}

fn hits(mark: CoverageMark) -> impl Fn(&Report) -> u64 {
    move |report| report.coverage.count(mark)
}

/// Checks that operations of a kind are drawn, and that they change the run.
fn changes(kind: FaultKind, is: impl Fn(&NemesisOperation) -> bool) {
    let nothing: NemesisOperation = NOTHING.parse().unwrap();
    let (mut drawn, mut changed) = (0, 0);
    for seed in 0..SEEDS {
        let with = schedule(&[kind], seed);
        assert!(
            with.nemesis.iter().all(|(_, operation)| is(operation)),
            "{kind}"
        );
        drawn += with.nemesis.len() as u64;
        // Lines at the same times: the digest of a run without text is made of nothing else.
        let mut without = with.clone();
        for (_, operation) in &mut without.nemesis {
            *operation = nothing.clone();
        }
        let (with, without) = (run::try_schedule(&with), run::try_schedule(&without));
        assert!(with.passed(), "{kind}: {with}");
        assert!(without.passed(), "{kind}: {without}");
        changed += u64::from(with.digest != without.digest);
    }
    assert!(
        drawn >= SEEDS && changed >= SEEDS - 1,
        "{kind}: {drawn}, {changed}"
    );
}

/// The same, of operations on one machine.
fn changes_machine(kind: FaultKind, is: impl Fn(&MachineOperation) -> bool) {
    changes(
        kind,
        |operation| matches!(operation, NemesisOperation::AtMachine { operation, .. } if is(operation)),
    );
}

#[test]
fn messages_are_lost() {
    happens_alone(FaultKind::Loss, |report| report.counts.dropped);
}

#[test]
fn messages_arrive_twice() {
    happens_alone(FaultKind::Duplicate, |report| report.counts.duplicated);
}

#[test]
fn messages_are_delayed() {
    changes(FaultKind::Late, |operation| {
        matches!(
            operation,
            NemesisOperation::AtLinks(LinkOperation::Noise {
                late: 300,
                loss: 0,
                ..
            })
        )
    });
}

#[test]
fn every_frame_that_is_damaged_is_caught() {
    happens_alone(FaultKind::Corrupt, |report| report.counts.corrupted);
    happens_alone(FaultKind::Corrupt, hits(CoverageMark::FrameCorrupted));
    let (mut by_decoding, mut by_checksum) = (0, 0);
    happens(&[FaultKind::Corrupt], |report| {
        let counts = &report.counts;
        let caught = counts.caught_by_decoding + counts.caught_by_checksum;
        assert_eq!(counts.corrupted, caught, "{report}");
        caught
    });
    for seed in 0..SEEDS {
        let report = run::try_schedule(&schedule(&[FaultKind::Corrupt], seed));
        by_decoding += report.counts.caught_by_decoding;
        by_checksum += report.counts.caught_by_checksum;
    }
    assert!(
        by_decoding > 0 && by_checksum > 0,
        "{by_decoding}, {by_checksum}"
    );
}

#[test]
fn the_cluster_is_split() {
    happens_alone(FaultKind::Split, |report| report.counts.cuts);
    happens_alone(FaultKind::Split, |report| report.counts.dropped);
}

#[test]
fn links_are_cut_in_one_direction() {
    changes(
        FaultKind::OneWay,
        |operation| matches!(operation, NemesisOperation::AtLinks(LinkOperation::Cut { links: Links::One(from, to), .. }) if from != to),
    );
    happens_alone(FaultKind::OneWay, |report| report.counts.dropped);
}

#[test]
fn links_are_flaky_or_slow() {
    changes(
        FaultKind::Flaky,
        |operation| matches!(operation, NemesisOperation::AtLinks(LinkOperation::Flaky { from, to, .. }) if from != to),
    );
    happens_alone(FaultKind::Flaky, |report| report.counts.dropped);
    changes(
        FaultKind::SlowLink,
        |operation| matches!(operation, NemesisOperation::AtLinks(LinkOperation::SlowLink { from, to, .. }) if from != to),
    );
}

#[test]
fn nodes_stand_still_or_are_slow() {
    happens_alone(FaultKind::Pause, hits(CoverageMark::NodePaused));
    changes_machine(FaultKind::Pause, |operation| {
        matches!(operation, MachineOperation::Pause { .. })
    });
    changes_machine(FaultKind::SlowNode, |operation| {
        matches!(operation, MachineOperation::SlowNode { .. })
    });
}

#[test]
fn nodes_lose_power_one_by_one_and_all_at_once() {
    happens_alone(FaultKind::Crash, |report| report.counts.crashes);
    let torn = (0..6 * SEEDS).map(|seed| {
        let mut schedule = schedule(&[FaultKind::Crash], seed);
        schedule.settings.disk.sync = "20ms..60ms".parse().unwrap(); // Most crashes hit one.
        let report = run::try_schedule(&schedule);
        assert!(report.passed(), "{report}");
        report.coverage.count(CoverageMark::TornWrite)
    });
    assert!(torn.sum::<u64>() > 0);
    happens_alone(FaultKind::CrashAll, hits(CoverageMark::AllDown));
}

#[test]
fn processes_are_killed_and_power_is_lost_while_they_are_down() {
    happens_alone(FaultKind::Kill, hits(CoverageMark::ProcessKilled));
    happens_alone(FaultKind::Kill, hits(CoverageMark::PowerLostWhileDown));
}

#[test]
fn disks_are_slow_and_fail() {
    changes_machine(FaultKind::SlowDisk, |operation| {
        matches!(operation, MachineOperation::SlowDisk { .. })
    });
    happens_alone(FaultKind::FailWrite, |report| report.counts.failed_writes);
    // A node that falls behind gets a snapshot, which is read from disk.
    let behind = [FaultKind::Split, FaultKind::Snapshot];
    let read_error = hits(CoverageMark::ReadError);
    assert_eq!(happens(&behind, &read_error), 0);
    let with = [FaultKind::FailRead, FaultKind::Split, FaultKind::Snapshot];
    assert!(happens(&with, &read_error) > 0);
    assert!(happens(&[FaultKind::FailRead], |report| report.committed) > 0);
}

#[test]
fn disks_decay_and_are_replaced() {
    happens_alone(FaultKind::Rot, hits(CoverageMark::BitRot));
    happens_alone(FaultKind::Replace, hits(CoverageMark::NewIdentity));
    // Bytes that have decayed are noticed at the next start.
    let both = [FaultKind::Rot, FaultKind::Crash];
    assert!(happens(&both, hits(CoverageMark::NewIdentity)) > 0);
}

#[test]
fn disks_are_damaged_in_different_places_at_once_and_mended_before_a_leader_is_there() {
    happens_alone(FaultKind::Damage, hits(CoverageMark::DisksDamagedAtOnce));
    happens_alone(FaultKind::Damage, hits(CoverageMark::MendedFromPeers));
}

#[test]
fn clocks_drift_and_jump() {
    happens_alone(FaultKind::Jump, hits(CoverageMark::ClockJumped));
    changes_machine(FaultKind::Jump, |operation| {
        matches!(
            operation,
            MachineOperation::Jump { .. } | MachineOperation::Freeze { .. }
        )
    });
    for seed in 0..SEEDS {
        let drift = |kinds: &[FaultKind]| Draft::new(only(kinds, seed)).settings.drift_ppm;
        assert!(drift(&[]).iter().all(|ppm| *ppm == 0));
        assert!(drift(&[FaultKind::Drift]).iter().any(|ppm| *ppm != 0));
    }
    assert!(happens(&[FaultKind::Drift], |report| report.committed) > 0);
}

#[test]
fn members_change_and_leadership_is_transferred() {
    let changes = |report: &Report| report.features.simple_changes + report.features.joint_changes;
    happens_alone(FaultKind::Change, changes);
    happens_alone(FaultKind::Transfer, |report| report.features.transfers);
    // A learner that has caught up is promoted; two changes at once go through a joint
    // configuration.
    let mut schedule = schedule(&[], 1);
    schedule.settings.spares = 1;
    // One leader, whose log is short enough for the learner, and which may change members at once.
    schedule.settings.priorities.clear();
    schedule.settings.core.leader_noop = true;
    schedule.settings.core.max_promotion_lag = 200;
    let at = |seconds| Time::from_epoch(Duration::from_secs(seconds));
    let operations = ["change n4=learner", "change n4=voter n3=out"];
    schedule.nemesis = vec![
        (at(1), operations[0].parse().unwrap()),
        (at(3), operations[1].parse().unwrap()),
    ];
    let report = run::try_schedule(&schedule);
    assert!(report.passed(), "{report}");
    let counts = report.features;
    assert_eq!(
        (counts.simple_changes, counts.joint_changes),
        (1, 1),
        "{report}"
    );
    assert_eq!(counts.promotions, 1, "{report}");
}

#[test]
fn snapshots_are_made_at_any_time() {
    changes_machine(FaultKind::Snapshot, |operation| {
        matches!(operation, MachineOperation::Snapshot)
    });
}

#[test]
fn nothing_happens_in_a_run_without_faults() {
    for seed in 0..SEEDS {
        let draft = Draft::new(only(&[], seed));
        assert_eq!(draft.schedule().nemesis, []);
        assert_eq!(draft.script().nemesis.count(), 0);
    }
}

#[test]
fn servers_of_two_releases_run_together() {
    happens_alone(FaultKind::Upgrade, hits(CoverageMark::NewerMessage));
    // Three servers of these releases, whose processes are killed.
    let marked = |first: &[u32], changes: u32, mark: CoverageMark| {
        let runs = (0..SEEDS).map(|seed| {
            let mut schedule = schedule(&[FaultKind::Kill], seed);
            let first = first.to_vec();
            schedule.settings.releases = Releases { first, changes };
            let report = run::try_schedule(&schedule);
            assert!(report.passed(), "{report}");
            report.coverage.count(mark)
        });
        runs.sum::<u64>()
    };
    assert!(marked(&[1, 1, 1], 0, CoverageMark::LevelRaised) > 0);
    assert_eq!(marked(&[0, 1, 1], 0, CoverageMark::LevelRaised), 0);
    assert!(marked(&[0, 0, 1], 1_000, CoverageMark::Upgraded) > 0);
    assert!(marked(&[0, 0, 1], 1_000, CoverageMark::Downgraded) > 0);
    assert_eq!(marked(&[0, 0, 1], 0, CoverageMark::Upgraded), 0);
}

#[test]
fn intensities_that_are_given_stand_in_the_command_that_repeats_the_run() {
    let given = ["loss=40", "slow-link=0", "jump=100"].map(|text| text.parse().unwrap());
    let request = Request {
        overrides: Overrides::from_iter(given),
        ..Request::new(7, 5, Duration::from_secs(5), Faults::Wild)
    };
    let command = request.command();
    assert!(command.starts_with("raft-sim run --seed 7 "), "{command}");
    let mut read = Overrides::default();
    let mut words = command.split(' ');
    while let Some(word) = words.next() {
        if word == "--fault" {
            read = read.with(words.next().unwrap().parse().unwrap());
        }
    }
    assert_eq!(read, request.overrides, "{command}");
    let draft = Draft::new(request);
    assert_eq!(draft.intensities.get(FaultKind::Loss), 40);
    assert_eq!(draft.intensities.get(FaultKind::SlowLink), 0);
    assert_eq!(draft.intensities.get(FaultKind::Jump), 100);
}

#[test]
fn an_intensity_that_cannot_be_is_explained() {
    let error = |text: &str| text.parse::<Override>().unwrap_err();
    for text in ["loss", "loss=", "loss=101", "loss=-1", "loss=much"] {
        assert_eq!(error(text), OverrideError::NotAnIntensity, "{text}");
    }
    let unknown = error("lost=40");
    assert_eq!(unknown, OverrideError::Unknown("lost".into()));
    for kind in FaultKind::ALL {
        assert!(unknown.to_string().contains(kind.name()), "{unknown}");
        let text = format!("{kind}=1");
        assert_eq!(text.parse::<Override>().unwrap().kind, kind);
    }
}
