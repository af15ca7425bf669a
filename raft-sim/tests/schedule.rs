//! Schedules: a drawn schedule can be written, read again, and run with the same result.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::fmt::Display;
use core::str::FromStr;
use core::time::Duration;
use proptest::prelude::*;
use raft_proto::Time;
use raft_sim::draw::Draft;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use raft_sim::schedule::nemesis::{NodeSetting, TargetRole};
use raft_sim::schedule::{
    ClientOperation, FileError, LinkOperation, Links, MachineOperation, NemesisOperation,
    OperationKind, Place, ReadKind, ReplacementDisk, Schedule, Target, Unreadable,
};

fn request(seed: u64) -> Request {
    Request::new(seed, 3, Duration::from_secs(3), Faults::Wild)
}

fn place() -> impl Strategy<Value = Place> {
    (0_usize..17).prop_map(Place)
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![Just(Target::Leader), place().prop_map(Target::Node)]
}

fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0_u64..10_000_000).prop_map(Duration::from_micros),
        (0..=Request::MAX_TIME.as_nanos() as u64).prop_map(Duration::from_nanos),
    ]
}

fn role() -> impl Strategy<Value = (Place, TargetRole)> {
    let role = prop_oneof![
        Just(TargetRole::Voter),
        Just(TargetRole::Learner),
        Just(TargetRole::Staging),
        Just(TargetRole::NonMember)
    ];
    (place(), role)
}

fn about_links() -> impl Strategy<Value = NemesisOperation> {
    let noise = (0_u32..=1000, 0_u32..=1000, 0_u32..=1000, 0_u32..=1000);
    let links = prop_oneof![
        target().prop_map(Links::Around),
        proptest::collection::vec(place(), 1..5).prop_map(Links::Between),
        (place(), place()).prop_map(|(from, to)| Links::One(from, to)),
        (place(), place()).prop_map(|(from, to)| Links::AllBut(from, to)),
    ];
    prop_oneof![
        (noise, time(), time()).prop_map(|((loss, duplicate, late, corrupt), by, time)| {
            NemesisOperation::AtLinks(LinkOperation::Noise {
                loss,
                duplicate,
                late,
                corrupt,
                by,
                time,
            })
        }),
        (links, time()).prop_map(
            |(links, time)| NemesisOperation::AtLinks(LinkOperation::Cut { links, time })
        ),
        (place(), place(), 0_u32..=1000, time()).prop_map(|(from, to, loss, time)| {
            NemesisOperation::AtLinks(LinkOperation::Flaky {
                from,
                to,
                loss,
                time,
            })
        }),
        (place(), place(), time(), time()).prop_map(|(from, to, by, time)| {
            NemesisOperation::AtLinks(LinkOperation::SlowLink { from, to, by, time })
        }),
    ]
}

fn disk() -> impl Strategy<Value = ReplacementDisk> {
    prop_oneof![
        Just(ReplacementDisk::NewNode),
        Just(ReplacementDisk::Empty),
        Just(ReplacementDisk::OldCopy)
    ]
}

fn setting() -> impl Strategy<Value = NodeSetting> {
    proptest::sample::select(NodeSetting::ALL.to_vec())
}

fn about_inputs() -> impl Strategy<Value = NemesisOperation> {
    prop_oneof![
        (place(), place(), 0_u32..=1000, time()).prop_map(|(from, to, times, time)| {
            NemesisOperation::AtLinks(LinkOperation::Unreachable {
                from,
                to,
                times,
                time,
            })
        }),
        (target(), time(), time()).prop_map(|(of, by, time)| NemesisOperation::at(
            of,
            MachineOperation::SlowRead { by, time }
        )),
        (target(), 0_u32..=1000, 0_u32..=1000, time()).prop_map(|(of, failed, gone, time)| {
            NemesisOperation::at(of, MachineOperation::FlakyDisk { failed, gone, time })
        }),
        (target(), time(), time()).prop_map(|(of, by, time)| NemesisOperation::at(
            of,
            MachineOperation::SlowService { by, time }
        )),
        (target(), time(), time()).prop_map(|(of, every, time)| NemesisOperation::at(
            of,
            MachineOperation::Compact { every, time }
        )),
        (target(), time())
            .prop_map(|(of, time)| NemesisOperation::at(of, MachineOperation::Decay { time })),
    ]
}

fn about_nodes() -> impl Strategy<Value = NemesisOperation> {
    prop_oneof![
        (target(), time())
            .prop_map(|(of, time)| NemesisOperation::at(of, MachineOperation::Crash { time })),
        (target(), time())
            .prop_map(|(of, time)| NemesisOperation::at(of, MachineOperation::Kill { time })),
        (target(), time())
            .prop_map(|(of, time)| NemesisOperation::at(of, MachineOperation::Pause { time })),
        (target(), time(), time()).prop_map(|(of, by, time)| NemesisOperation::at(
            of,
            MachineOperation::SlowNode { by, time }
        )),
        (target(), time(), time()).prop_map(|(of, by, time)| NemesisOperation::at(
            of,
            MachineOperation::SlowDisk { by, time }
        )),
        (target(), time())
            .prop_map(|(of, time)| NemesisOperation::at(of, MachineOperation::FailWrite { time })),
        (target(), time())
            .prop_map(|(of, time)| NemesisOperation::at(of, MachineOperation::FailRead { time })),
        target().prop_map(|of| NemesisOperation::at(of, MachineOperation::Rot)),
        (0..=1000_u32, time()).prop_map(|(lost, time)| NemesisOperation::DamageAll { lost, time }),
        (target(), disk(), time()).prop_map(|(of, with, time)| NemesisOperation::at(
            of,
            MachineOperation::Replace { with, time }
        )),
        target().prop_map(|of| NemesisOperation::at(of, MachineOperation::Backup)),
        (target(), time())
            .prop_map(|(of, by)| NemesisOperation::at(of, MachineOperation::Jump { by })),
        (target(), time())
            .prop_map(|(of, time)| NemesisOperation::at(of, MachineOperation::Freeze { time })),
        proptest::option::of(place()).prop_map(|to| NemesisOperation::Transfer { to }),
        (
            proptest::collection::vec(role(), 0..4),
            any::<bool>(),
            any::<bool>(),
            proptest::option::of(place()),
        )
            .prop_map(|(roles, is_forced, is_for_next, seen_by)| {
                NemesisOperation::Change {
                    roles,
                    is_forced,
                    is_for_next,
                    seen_by,
                }
            }),
        target().prop_map(|of| NemesisOperation::at(of, MachineOperation::Snapshot)),
        target().prop_map(|of| NemesisOperation::at(of, MachineOperation::Campaign)),
        target().prop_map(|of| NemesisOperation::at(of, MachineOperation::StepDown)),
        (target(), setting(), any::<u64>()).prop_map(|(of, setting, value)| {
            NemesisOperation::at(of, MachineOperation::Reconfigure { setting, value })
        }),
        (place(), any::<u8>()).prop_map(|(of, priority)| NemesisOperation::Update { of, priority }),
    ]
}

fn operation() -> impl Strategy<Value = ClientOperation> {
    let kind = prop_oneof![
        Just(ReadKind::Quorum),
        Just(ReadKind::Lease),
        Just(ReadKind::Follower)
    ];
    let kind = prop_oneof![
        (any::<u64>(), kind).prop_map(|(key, kind)| OperationKind::Read { key, kind }),
        any::<u64>().prop_map(OperationKind::Get),
        any::<u64>().prop_map(OperationKind::Set),
        any::<u64>().prop_map(OperationKind::Append),
        any::<u64>().prop_map(OperationKind::CompareAndSet),
        any::<u64>().prop_map(OperationKind::Delete),
        (1_u32..=32).prop_map(OperationKind::Batch),
    ];
    (any::<u32>(), kind).prop_map(|(client, kind)| ClientOperation { client, kind })
}

fn again<T: Display + FromStr<Err = Unreadable>>(what: &T) -> T {
    let text = what.to_string();
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

proptest! {
    #[test]
    fn every_nemesis_operation_is_read_as_it_is_written(
        operation in prop_oneof![about_links(), about_nodes(), about_inputs()]
    ) {
        prop_assert_eq!(again(&operation), operation);
    }

    #[test]
    fn every_client_operation_is_read_as_it_is_written(operation in operation()) {
        prop_assert_eq!(again(&operation), operation);
    }
}

#[test]
fn what_a_seed_draws_is_read_from_a_file_as_it_was_written() {
    for faults in [Faults::None, Faults::Mild, Faults::Wild] {
        for seed in 0..60 {
            let schedule = Draft::new(Request {
                faults,
                ..request(seed)
            });
            let schedule = schedule.schedule();
            assert_eq!(Schedule::parse(&schedule.to_text()), Ok(schedule));
        }
    }
}

#[test]
fn what_a_seed_draws_is_in_the_order_of_time_and_ends_with_the_faults() {
    for seed in 0..60 {
        let schedule = Draft::new(request(seed)).schedule();
        let nemesis: Vec<Time> = schedule.nemesis.iter().map(|(at, _)| *at).collect();
        let operations: Vec<Time> = schedule.operations.iter().map(|(at, _)| *at).collect();
        for times in [nemesis, operations] {
            assert!(times.is_sorted(), "seed {seed}");
            let ends = Time::from_epoch(schedule.time);
            assert!(times.iter().all(|at| *at < ends), "seed {seed}");
            assert!(times.iter().all(|at| at.0 % 1_000 == 0), "seed {seed}");
        }
    }
}

#[test]
fn a_file_makes_the_run_that_its_seed_makes() {
    for seed in 0..16 {
        let schedule = Draft::new(request(seed)).schedule();
        let schedule = Schedule::parse(&schedule.to_text()).unwrap();
        let (drawn, read) = (run::search(request(seed)), run::try_schedule(&schedule));
        assert_eq!(drawn.digest, read.digest, "seed {seed}");
        assert_eq!(drawn.counts, read.counts, "seed {seed}");
        if seed < 3 {
            let written = run::run_schedule(&schedule, None);
            assert_eq!(run::run(request(seed), None).digest, written.digest);
        }
    }
}

#[test]
fn operations_come_as_often_as_they_are_asked_for_however_often_that_is() {
    for rate in [10, 1_000, 100_000, 2_000_000] {
        let request = Request {
            time: Duration::from_micros(40_000_000_000 / u64::from(rate)),
            rate: Some(rate),
            ..request(1)
        };
        // 40,000 are expected, and hardly ever 3% more or less come.
        let count = Draft::new(request).script().operations.count();
        assert!((38_800..41_200).contains(&count), "{rate}: {count}");
    }
}

#[test]
fn a_seed_beyond_the_numbers_of_toml_is_written_in_quotes() {
    for seed in [1 << 63, u64::MAX] {
        let schedule = Draft::new(request(seed)).schedule();
        let text = schedule.to_text();
        assert!(text.contains(&format!("seed = \"{seed}\"")), "{text}");
        assert_eq!(Schedule::parse(&text).unwrap().seed, seed);
    }
}

/// A file with these lines in place of those that were drawn.
fn file(nemesis: &[&str], operations: &[&str]) -> String {
    let mut schedule = Draft::new(request(1)).schedule();
    schedule.settings.spares = 0;
    schedule.settings.clients.clients = 4;
    schedule.nemesis.clear();
    schedule.operations.clear();
    let text = schedule.to_text();
    let text = text.replacen("nemesis = []", &format!("nemesis = {nemesis:?}"), 1);
    text.replacen(
        "operations = []",
        &format!("operations = {operations:?}"),
        1,
    )
}

fn error(text: &str) -> String {
    Schedule::parse(text).expect_err("it is wrong").to_string()
}

#[test]
fn lines_out_of_order_are_sorted() {
    let text = file(&["2.5 rot n2", "0.000001 crash n1 for 1s"], &[]);
    let schedule = Schedule::parse(&text).unwrap();
    let times: Vec<u64> = schedule.nemesis.iter().map(|(at, _)| at.0).collect();
    assert_eq!(times, [1_000, 2_500_000_000]);
}

#[test]
fn a_line_that_is_wrong_is_named_with_what_is_expected_there() {
    let known = "a time in seconds such as 1.250000";
    let cases = [
        ("crash n1 for 1s", known),
        ("1.0000001 rot n1", known),
        ("-1 rot n1", known),
        ("1.0 explode n1", "noise, split, isolate,"),
        ("1.0", "noise, split, isolate,"),
        ("1.0 crash n1 for", "a time such as 250ms"),
        (
            "1.0 crash n1 for ever",
            "says \"ever\", where a time such as 250ms",
        ),
        ("1.0 crash n1 for 9days", "at most 7 days"),
        (
            "1.0 crash n1 during 1s",
            "says \"during\", where \"for\" is expected",
        ),
        ("1.0 crash them for 1s", "a server such as n2, or leader"),
        ("1.0 crash n0 for 1s", "a server such as n2, or leader"),
        ("1.0 rot n1 twice", "the end of the line"),
        ("1.0 isolate n1 and n2 for 1s", "for, or but and a server"),
        ("1.0 isolate n1 but for 1s", "a server such as n2"),
        ("1.0 isolate leader but n2 for 1s", "where for is expected"),
        ("1.0 replace n1 soon", "for, or with and a disk"),
        (
            "1.0 replace n1 with care for 1s",
            "empty-disk, empty-disk-anyway or old-copy",
        ),
        ("1.0 flaky-disk n1 for 1s", "failed=0 to failed=1000"),
        ("1.0 unreachable n1 times=2 for 1s", "a link such as n1->n2"),
        ("1.0 isolate n1 but n7 for 1s", "it names n7"),
        ("1.0 cut n1 n2 for 1s", "a link such as n1->n2"),
        ("1.0 split for 1s", "servers such as n1 n3"),
        ("1.0 flaky n1->n2 loss=1001 for 1s", "loss=0 to loss=1000"),
        ("1.0 transfer n1", "to, or the end of the line"),
        (
            "1.0 change n1=king",
            "n3=voter, n3=learner, n3=staging or n3=out",
        ),
        (
            "1.0 crash n4 for 1s",
            "it names n4, where a server from n1 to n3",
        ),
        ("1.0 split n1 n9 for 1s", "it names n9"),
        ("1.0 transfer to n4", "it names n4"),
        ("1.0 change n5=out", "it names n5"),
    ];
    for (line, expected) in cases {
        // It is the third line, though the first by its time.
        let text = error(&file(&["9 rot n1", "8 rot n1", line], &[]));
        assert!(text.contains(expected), "{line}: {text}");
        assert!(text.starts_with("nemesis, line 3:"), "{line}: {text}");
    }
    let cases = [
        ("1.0 c1 read k1 from n1", "\"by\""),
        ("1.0 c1 read k1 by luck", "quorum, lease or follower"),
        ("1.0 c1 set 1", "a key such as k3"),
        (
            "1.0 c1 swap k1",
            "read, get, set, append, cas, delete, batch or call",
        ),
        ("1.0 c1 batch 33", "a number from 1 to 32"),
        ("1.0 set k1", "a client such as c2"),
        ("1.0 c4 set k1", "it names c4, where a client from c0 to c3"),
    ];
    for (line, expected) in cases {
        let text = error(&file(&[], &["2 c0 set k0", line]));
        assert!(text.contains(expected), "{line}: {text}");
        assert!(text.starts_with("operations, line 2:"), "{line}: {text}");
    }
}

#[test]
fn a_file_that_is_wrong_as_a_whole_is_explained() {
    let good = file(&[], &[]);
    assert!(Schedule::parse(&good).is_ok());
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        error(&good.replacen(from, to, 1))
    };
    let begin = good.find("version").unwrap();
    let settings = good.find("[settings]").unwrap();
    assert!(error("seed = ").contains("line 1"));
    assert!(error(&good[..settings]).contains("missing field `settings`"));
    assert!(with("[settings]\n", "[settings]\nknots = 3\n").contains("unknown field `knots`"));
    let unknown = error(&format!("colour = 1\n{}", &good[begin..]));
    assert!(unknown.contains("unknown field `colour`"), "{unknown}");
    let version = good.replacen("version = 1", "version = 2", 1);
    assert_eq!(Schedule::parse(&version), Err(FileError::Version(2)));
    assert!(with("seed = 1", "seed = \"one\"").contains("\"one\" is no seed"));
    assert!(with("time = \"3s\"", "time = \"soon\"").contains("\"soon\" is no time"));
    for time in ["0s", "8days"] {
        let error = with("time = \"3s\"", &format!("time = {time:?}"));
        assert!(error.contains("at most 7 days"), "{error}");
    }
    for nodes in ["0", "16", "4294967295"] {
        let error = with("nodes = 3", &format!("nodes = {nodes}"));
        assert!(error.contains("nodes: from 1 to 15"), "{error}");
    }
    let error = with("clients = 4", "clients = 4000000000");
    assert!(error.contains("clients: from 1 to 1000"), "{error}");
}
