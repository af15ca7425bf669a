//! The rarer inputs of the core: each is drawn, reaches the situation that it is for, and breaks
//! nothing alone.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::Time;
use raft_sim::coverage::CoverageMark;
use raft_sim::draw::Draft;
use raft_sim::duration::HumanDuration;
use raft_sim::features::Features;
use raft_sim::intensity::{FaultKind, Override};
use raft_sim::report::Report;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use raft_sim::schedule::{NemesisOperation, Schedule};
use raft_sim::settings::{Heal, Settings};

const SEEDS: u64 = 6;

/// A run with only these kinds of faults, at their worst.
fn only(kinds: &[FaultKind], seed: u64) -> Request {
    let all = FaultKind::ALL.map(|kind| Override {
        kind,
        intensity: 100 * u8::from(kinds.contains(&kind)),
    });
    Request {
        features: Features::None,
        rate: Some(50),
        overrides: all.into_iter().collect(),
        ..Request::new(seed, 3, Duration::from_secs(6), Faults::Wild)
    }
}

/// The schedule that the seed draws for it; in the end all machines heal.
fn schedule(kinds: &[FaultKind], seed: u64) -> Schedule {
    let mut schedule = Draft::new(only(kinds, seed)).schedule();
    schedule.settings.heal = Heal::All;
    schedule
}

/// Runs with only `kinds`, changed by `change`. All pass; returns how often `mark` was hit.
fn hits_with(kinds: &[FaultKind], mark: CoverageMark, change: impl Fn(&mut Schedule)) -> u64 {
    let runs = (0..SEEDS).map(|seed| {
        let mut schedule = schedule(kinds, seed);
        change(&mut schedule);
        passes(&schedule).coverage.count(mark)
    });
    runs.sum()
}

fn hits(kinds: &[FaultKind], mark: CoverageMark) -> u64 {
    hits_with(kinds, mark, |_| {})
}

/// The run is the same when it is read from its file, and it passes.
fn passes(schedule: &Schedule) -> Report {
    let read = Schedule::parse(&schedule.to_text()).unwrap();
    assert_eq!(read, *schedule);
    let report = run::try_schedule(schedule);
    assert!(report.passed(), "{report}\n{}", schedule.to_text());
    report
}

/// A quiet run of seed 1 with these operations of the nemesis.
fn with_operations(operations: &[(u64, &str)]) -> Schedule {
    let mut schedule = schedule(&[], 1);
    let operations = operations.iter().map(|(millis, text)| {
        let at = Time::from_epoch(Duration::from_millis(*millis));
        (at, text.parse().unwrap())
    });
    schedule.nemesis = operations.collect();
    schedule
}

#[test]
fn peers_are_reported_unreachable_when_messages_are_lost_and_when_they_are_not() {
    let kinds = [FaultKind::Unreachable, FaultKind::Loss];
    assert!(hits(&kinds, CoverageMark::UnreachableReported) > 0);
    let alone = [FaultKind::Unreachable];
    assert!(hits(&alone, CoverageMark::UnreachableWrongly) > 0);
    assert_eq!(
        hits(&[FaultKind::Loss], CoverageMark::UnreachableReported),
        0
    );
    let lost = |schedule: &mut Schedule| {
        schedule
            .nemesis
            .retain(|(_, it)| !is_claim(&it.to_string()))
    };
    assert!(hits_with(&kinds, CoverageMark::UnreachableReported, lost) > 0);
}

fn is_claim(operation: &str) -> bool {
    operation.starts_with("unreachable")
}

#[test]
fn reads_from_disk_outlast_elections_and_what_they_were_for() {
    let behind = [FaultKind::Split, FaultKind::Snapshot];
    assert_eq!(hits(&behind, CoverageMark::ReadOverdue), 0);
    let slow = [FaultKind::SlowRead, FaultKind::Split, FaultKind::Snapshot];
    assert!(hits(&slow, CoverageMark::ReadOverdue) > 0);
    let lags = [
        "1.0 slow-read leader by 3s for 5s",
        "1.0 split n2 for 500ms",
        "1.6 unreachable n1->n2 times=20 for 3s",
        "1.6 unreachable n3->n2 times=20 for 3s",
    ];
    let outlived = hits_with(&[], CoverageMark::ReadOutlivedFlow, |schedule| {
        schedule.nemesis = lags.map(operation).into();
        schedule.settings.core.max_resident_bytes = Some(0);
        schedule.settings.core.trailing_entries = 500;
    });
    assert!(outlived > 0);
}

/// A time in seconds, and an operation.
fn operation(line: &str) -> (Time, NemesisOperation) {
    let (seconds, operation) = line.split_once(' ').unwrap();
    let at = Duration::from_secs_f64(seconds.parse().unwrap());
    (Time::from_epoch(at), operation.parse().unwrap())
}

#[test]
fn chunks_are_not_written_and_snapshots_are_gone_when_they_are_read() {
    let behind = [
        operation("1.0 split n2 for 1s"),
        operation("3.0 split n3 for 1s"),
    ];
    let flaky = ["n1", "n2", "n3"]
        .map(|node| operation(&format!("1.0 flaky-disk {node} failed=300 gone=300 for 5s")));
    let many_chunks = |schedule: &mut Schedule| {
        schedule.nemesis = behind.to_vec();
        schedule.settings.core.trailing_entries = 0;
        schedule.settings.core.snapshot_chunk_bytes = 64;
        schedule.settings.service.snapshot_every = 5;
    };
    for mark in [
        CoverageMark::ChunkWriteFailed,
        CoverageMark::SnapshotGone,
        CoverageMark::ReadError,
    ] {
        assert_eq!(hits_with(&[], mark, many_chunks), 0, "{mark}");
        let fails = hits_with(&[], mark, |schedule| {
            many_chunks(schedule);
            schedule.nemesis.splice(1..1, flaky.clone());
        });
        assert!(fails > 0, "{mark}");
    }
    let drawn = |seed| schedule_text(&[FaultKind::FlakyDisk], seed).contains("flaky-disk");
    assert!((0..SEEDS).any(drawn));
}

#[test]
fn a_service_that_is_durable_by_itself_starts_with_what_it_has_saved() {
    for kind in [FaultKind::Crash, FaultKind::Kill] {
        for every in [1, 3] {
            let ahead = hits_with(&[kind], CoverageMark::ServiceAhead, |schedule| {
                schedule.settings.service.saves_every = Some(every);
            });
            assert!(ahead > 0, "{kind}, every {every}");
        }
        let ahead = hits_with(&[kind], CoverageMark::ServiceAhead, |schedule| {
            schedule.settings.service.saves_every = None;
        });
        assert_eq!(ahead, 0, "{kind}");
    }
    let saves = |seed| Draft::new(only(&[], seed)).settings.service.saves_every;
    assert!((0..20).any(|seed| saves(seed).is_some()));
    assert!((0..20).any(|seed| saves(seed).is_none()));
}

#[test]
fn a_slow_service_lets_the_bound_of_unapplied_bytes_be_reached() {
    let applies = hits_with(
        &[FaultKind::SlowService],
        CoverageMark::ApplyBoundReached,
        |schedule| {
            let core = &mut schedule.settings.core;
            core.max_unapplied_bytes = core.max_entry_bytes + raft_proto::ENTRY_OVERHEAD;
        },
    );
    assert!(applies > 0);
}

#[test]
fn a_service_may_take_long_to_open_a_snapshot() {
    let mut restores = 0;
    for seed in 0..SEEDS {
        let mut schedule = schedule(&[FaultKind::Split, FaultKind::Snapshot], seed);
        schedule.settings.service.restore_time = "100ms..200ms".parse().unwrap();
        restores += passes(&schedule).counts.restores;
    }
    assert!(restores > 0);
    let request = |kinds: &[FaultKind]| Draft::new(only(kinds, 1)).settings.service.restore_time;
    assert!(request(&[FaultKind::SlowRestore]).max > request(&[]).max);
}

#[test]
fn clients_reach_the_bounds_of_waiting_reads_and_of_uncommitted_bytes_and_come_through() {
    let split = [FaultKind::Split];
    let reads = hits_with(&split, CoverageMark::ReadBoundReached, |schedule| {
        schedule.settings.core.max_waiting_reads = 1;
    });
    assert!(reads > 0);
    let proposals = hits_with(&split, CoverageMark::ProposalBoundReached, |schedule| {
        let (core, clients) = (&mut schedule.settings.core, &schedule.settings.clients);
        core.max_entry_bytes = clients.max_value + Settings::BESIDE_VALUE;
        core.max_uncommitted_bytes = core.max_entry_bytes + raft_proto::ENTRY_OVERHEAD;
    });
    assert!(proposals > 0);
}

#[test]
fn commands_that_are_too_many_for_one_proposal_go_into_several() {
    let mut schedule = with_operations(&[]);
    let core = &mut schedule.settings.core;
    core.max_entry_bytes = 1_024;
    core.max_append_bytes = 1_024 + raft_proto::ENTRY_OVERHEAD;
    core.max_uncommitted_bytes = 1_024 + raft_proto::ENTRY_OVERHEAD;
    schedule.settings.clients.max_value = 200;
    schedule.settings.clients.clients = 1;
    let at = Time::from_epoch(Duration::from_secs(2));
    schedule.operations = vec![(at, "c0 batch 32".parse().unwrap())];
    let report = passes(&schedule);
    assert_eq!(report.clients.answered, 32, "{report}");
}

#[test]
fn a_command_that_is_too_large_for_a_node_is_given_up() {
    let mut schedule = schedule(&[FaultKind::Limits], 1);
    schedule.nemesis.clear();
    let servers = schedule.settings.servers() as usize;
    assert_eq!(schedule.settings.limits.len(), servers);
    // All alike, and too small for some of the values.
    for limits in &mut schedule.settings.limits {
        limits.max_entry_bytes = 120;
    }
    schedule.settings.clients.max_value = 200;
    let report = passes(&schedule);
    assert!(report.clients.unknown > 0, "{report}");
    assert!(report.clients.answered > 0, "{report}");
    let limits = |kinds: &[FaultKind], seed| Draft::new(only(kinds, seed)).settings.limits;
    assert!((0..SEEDS).all(|seed| limits(&[], seed).is_empty()));
    let differ = |seed| {
        let limits = limits(&[FaultKind::Limits], seed);
        limits.iter().any(|other| *other != limits[0])
    };
    assert!((0..SEEDS).any(differ));
}

#[test]
fn timeouts_are_drawn_within_the_rules_of_the_config() {
    let usual = Draft::new(only(&[], 0)).settings;
    let (mut heartbeats, mut slow) = (0, 0);
    for seed in 0..300 {
        for faults in [Faults::None, Faults::Mild, Faults::Wild] {
            let request = Request::new(seed, 3, Duration::from_secs(1), faults);
            let settings = Draft::new(request).settings;
            assert_eq!(settings.validate(), Ok(()), "seed {seed}");
            let core = &settings.core;
            heartbeats += u32::from(core.heartbeat_interval != usual.core.heartbeat_interval);
            slow += u32::from(core.heartbeat_interval.0 < 2 * settings.network.delay.max);
        }
    }
    assert!(heartbeats > 300 && slow > 30, "{heartbeats}, {slow}");
}

#[test]
fn logs_are_compacted_while_snapshots_are_sent() {
    let kinds = [FaultKind::Compact, FaultKind::Split, FaultKind::SlowRead];
    let compactions = hits_with(&kinds, CoverageMark::CompactionInTransfer, |schedule| {
        schedule.settings.core.trailing_entries = 0;
        schedule.settings.core.snapshot_chunk_bytes = 32;
    });
    assert!(compactions > 0);
}

#[test]
fn processes_restart_with_the_seed_of_the_start_before() {
    let kinds = [FaultKind::Seeds, FaultKind::Crash];
    assert!(hits(&kinds, CoverageMark::SeedRepeated) > 0);
    assert_eq!(hits(&[FaultKind::Crash], CoverageMark::SeedRepeated), 0);
}

#[test]
fn a_node_reaches_only_one_other_for_long() {
    assert!(hits(&[FaultKind::Partial], CoverageMark::PartialPartition) > 0);
    assert_eq!(hits(&[FaultKind::Split], CoverageMark::PartialPartition), 0);
}

#[test]
fn removed_nodes_come_back_under_their_own_numbers_with_empty_disks_or_old_copies() {
    let marks = [
        CoverageMark::EmptyDiskUnderOwnNumber,
        CoverageMark::OldCopyUnderOwnNumber,
    ];
    for mark in marks {
        let returned: u64 = (0..10 * SEEDS)
            .map(|seed| passes(&schedule(&[FaultKind::Return], seed)))
            .map(|report| report.coverage.count(mark))
            .sum();
        assert!(returned > 0, "{mark}");
    }
}

#[test]
fn a_node_that_was_removed_is_added_again_with_an_empty_disk() {
    let operations = [
        (1_000, "change n3=out"),
        (2_000, "replace n3 with empty-disk for 100ms"),
        (3_000, "change n3=learner"),
        (4_500, "change n3=voter"),
    ];
    let mut schedule = with_operations(&operations);
    schedule.settings.core.pre_vote = true;
    schedule.settings.core.max_promotion_lag = 200;
    let report = passes(&schedule);
    let count = |mark| report.coverage.count(mark);
    assert_eq!(count(CoverageMark::EmptyDiskUnderOwnNumber), 1, "{report}");
    assert_eq!(report.features.promotions, 1, "{report}");
}

#[test]
fn a_voter_does_not_come_back_under_its_own_number() {
    let operations = [
        (1_000, "backup n3"),
        (2_000, "replace n3 with empty-disk for 100ms"),
        (2_500, "replace n3 with old-copy for 100ms"),
    ];
    let report = passes(&with_operations(&operations));
    assert_eq!(report.counts.crashes, 0, "{report}");
}

#[test]
fn a_snapshot_that_decays_is_replaced_by_a_newer_one() {
    let mut schedule = with_operations(&[(2_900, "decay leader for 500ms")]);
    schedule.settings.service.snapshot_every = 20;
    schedule.settings.clients.attempt = HumanDuration(Duration::from_millis(500));
    let report = passes(&schedule);
    assert_eq!(
        report.coverage.count(CoverageMark::SnapshotDecayed),
        1,
        "{report}"
    );
    let nemesis = |kinds: &[FaultKind], seed| schedule_text(kinds, seed).contains("decay");
    assert!((0..SEEDS).any(|seed| nemesis(&[FaultKind::Decay], seed)));
    assert!((0..SEEDS).all(|seed| !nemesis(&[FaultKind::SlowRead], seed)));
}

fn schedule_text(kinds: &[FaultKind], seed: u64) -> String {
    let schedule = schedule(kinds, seed);
    schedule
        .nemesis
        .iter()
        .map(|(_, it)| it.to_string())
        .collect()
}
