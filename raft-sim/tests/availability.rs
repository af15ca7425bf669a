//! Availability: each bound fails on an observation that breaks it, and on no other.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::{
    AppendEntries, EntriesBuilder, EntryId, EntryKind, Index, InstallSnapshot, Membership, Message,
    NodeId, SnapshotId, SnapshotMeta, Term, Time, TransferError,
};
use raft_sim::availability::verdict::{self, CatchUpView, Verdict};
use raft_sim::availability::{
    Availability, Bounds, COMMIT_BOUND, Claims, Condition, LeaderView, SETTLING, SPARE_TERMS,
    Unavailable, View, Watch, draw,
};
use raft_sim::draw::Draft;
use raft_sim::duration::HumanDuration;
use raft_sim::failure::Failure;
use raft_sim::request::{Faults, Request};
use raft_sim::run;

const BOUNDS: Bounds = Bounds {
    timeout: Duration::from_secs(1),
};
const ALL: Claims = Claims {
    commits: true,
    quiet: true,
    leader_stays: true,
};

fn seconds(seconds: u64) -> Time {
    Time::from_epoch(Duration::from_secs(seconds))
}

fn watch(claims: Claims) -> Watch {
    Watch::new(BOUNDS, claims, Time::ZERO, Index::ZERO)
}

/// A second in which an entry is committed by the leader of this term.
fn led(at: u64, leader: u64, term: u64) -> View {
    View {
        at: seconds(at),
        commit_index: Index(at),
        term: Term(term),
        leader: Some(LeaderView {
            id: NodeId(leader),
            term: Term(term),
            is_well: true,
        }),
    }
}

fn none(_: NodeId, _: Term) -> bool {
    false
}

#[test]
fn a_leader_that_commits_and_stays_breaks_no_claim() {
    let mut watch = watch(ALL);
    for at in 0..100 {
        watch.look(&led(at, 1, 3), none).unwrap();
    }
    assert!(watch.has_settled());
    assert_eq!(watch.deposed(), 0);
    assert_eq!(watch.longest_without_commit(), Duration::from_secs(1));
}

#[test]
fn a_cluster_that_commits_nothing_is_not_available() {
    let mut watch = watch(ALL);
    let idle = |at| View {
        commit_index: Index(1),
        ..led(at, 1, 3)
    };
    let last = 1 + u64::from(COMMIT_BOUND);
    for at in 1..=last {
        watch.look(&idle(at), none).unwrap();
    }
    let found = watch.look(&idle(last + 1), none).unwrap_err();
    let within = BOUNDS.timeouts(COMMIT_BOUND);
    let leader = Some(NodeId(1));
    assert_eq!(found, Unavailable::NoCommit { within, leader });
}

/// Section 7: what the log does not hold any more comes in a snapshot, and a commit may wait for
/// it.
#[test]
fn a_commit_may_wait_for_a_snapshot_as_long_as_its_transfer_takes() {
    let mut watch = watch(ALL);
    let idle = |at| View {
        commit_index: Index(1),
        ..led(at, 1, 3)
    };
    watch.look(&idle(1), none).unwrap();
    watch.needs_snapshots(Duration::from_secs(7));
    let last = 1 + u64::from(COMMIT_BOUND) + 7;
    for at in 2..=last {
        watch.look(&idle(at), none).unwrap();
    }
    let mut committed = watch.clone();
    let found = watch.look(&idle(last + 1), none).unwrap_err();
    assert!(matches!(found, Unavailable::NoCommit { .. }), "{found}");
    // The next commit ends the wait.
    let next = |at| View {
        commit_index: Index(2),
        ..led(at, 1, 3)
    };
    committed.look(&next(last + 1), none).unwrap();
    let end = last + 1 + u64::from(COMMIT_BOUND);
    committed.look(&next(end), none).unwrap();
    committed.look(&next(end + 1), none).unwrap_err();
}

/// Section 9.3: without Pre-Vote, the others learn of a candidate when its vote is on its disk. If
/// that takes as long as the range of election timeouts, each round is split.
#[test]
fn without_pre_votes_elections_are_owed_where_timeouts_have_room_for_a_sync() {
    let mut settings = Draft::new(request(1, Some(Condition::None))).settings;
    let millis = |millis| HumanDuration(Duration::from_millis(millis));
    settings.core.election_timeout_min = millis(1_000);
    settings.network.delay = "2ms..6ms".parse().unwrap();
    settings.disk.sync = "1ms..11ms".parse().unwrap();
    settings.core.pre_vote = false;
    for (range, fits) in [(79, false), (80, true), (200, true)] {
        settings.core.election_timeout_max = millis(1_000 + range);
        for condition in [Condition::SlowSyncs, Condition::Failover, Condition::Load] {
            assert_eq!(condition.fits(&settings), fits, "{condition}, {range} ms");
        }
        assert!(Condition::None.fits(&settings));
    }
    settings.core.pre_vote = true;
    settings.core.election_timeout_max = millis(1_001);
    assert!(Condition::SlowSyncs.fits(&settings));
}

#[test]
fn term_after_term_is_not_quiet() {
    let mut watch = watch(ALL);
    let settled = u64::from(SETTLING);
    for at in 0..=settled {
        watch.look(&led(at, 1, 3), none).unwrap();
    }
    for term in 1..=SPARE_TERMS {
        // Each leader hands over.
        watch
            .look(&led(settled + term, 1, 3 + term), |_, _| true)
            .unwrap();
    }
    let next = SPARE_TERMS + 1;
    let found = watch.look(&led(settled + next, 1, 3 + next), |_, _| true);
    let within = Duration::from_secs(next);
    let (terms, most) = (next, SPARE_TERMS);
    assert_eq!(
        found,
        Err(Unavailable::Restless {
            terms,
            most,
            within
        })
    );
}

#[test]
fn a_term_in_ten_timeouts_is_quiet_enough() {
    let mut watch = watch(ALL);
    for at in 0..200 {
        watch.look(&led(at, 1, 3 + at / 10), |_, _| true).unwrap();
    }
}

#[test]
fn terms_that_somebody_asked_for_are_excused() {
    let mut watch = watch(ALL);
    let settled = u64::from(SETTLING);
    for at in 0..=settled {
        watch.look(&led(at, 1, 3), none).unwrap();
    }
    watch.excuse(2);
    let term = 3 + SPARE_TERMS + 2;
    watch.look(&led(settled + 1, 1, term), |_, _| true).unwrap();
    let found = watch.look(&led(settled + 2, 1, term + 1), |_, _| true);
    assert!(
        matches!(found, Err(Unavailable::Restless { .. })),
        "{found:?}"
    );
}

#[test]
fn a_leader_that_is_well_is_not_deposed() {
    let mut watch = watch(ALL);
    let settled = u64::from(SETTLING);
    for at in 0..=settled + 1 {
        watch.look(&led(at, 1, 3), none).unwrap();
    }
    let found = watch.look(&led(settled + 2, 2, 4), none).unwrap_err();
    let (leader, term) = (NodeId(1), Term(3));
    assert_eq!(found, Unavailable::Deposed { leader, term });
}

#[test]
fn a_leader_may_hand_over_or_crash_or_lose_its_majority() {
    let settled = u64::from(SETTLING);
    let begin = || {
        let mut watch = watch(ALL);
        for at in 0..=settled + 1 {
            watch.look(&led(at, 1, 3), none).unwrap();
        }
        watch
    };
    let next = led(settled + 3, 2, 4);
    let mut hands_over = begin();
    let asked = |leader, term| leader == NodeId(1) && term == Term(3);
    hands_over.look(&next, asked).unwrap();
    let mut crashes = begin();
    crashes.leader_crashes(seconds(settled + 2));
    crashes.look(&next, none).unwrap();
    let mut is_cut_off = begin();
    let mut before = led(settled + 2, 1, 3);
    before.leader.as_mut().unwrap().is_well = false;
    is_cut_off.look(&before, none).unwrap();
    is_cut_off.look(&next, none).unwrap();
}

#[test]
fn claims_that_are_not_made_are_not_judged() {
    let mut watch = watch(Claims {
        commits: false,
        quiet: false,
        leader_stays: false,
    });
    for at in 0..100 {
        let view = View {
            commit_index: Index::ZERO,
            ..led(at, at % 3 + 1, at)
        };
        watch.look(&view, none).unwrap();
    }
    assert!(watch.longest_without_commit() > Duration::from_secs(90));
}

#[test]
fn a_transfer_succeeds_or_is_a_failure() {
    let (leader, within) = (NodeId(1), Duration::from_secs(2));
    let judge = |answer, now| verdict::transfer(leader, seconds(5), answer, seconds(now), within);
    let target = NodeId(2);
    assert_eq!(judge(Some(Ok(target)), 6), Verdict::Holds);
    assert_eq!(
        judge(Some(Err(TransferError::InProgress { target })), 6),
        Verdict::Holds
    );
    assert_eq!(judge(None, 6), Verdict::Open);
    let unanswered = Unavailable::TransferUnanswered { leader, within };
    assert_eq!(judge(None, 7), Verdict::Broken(unanswered));
    for error in [TransferError::NoTarget, TransferError::TimedOut { target }] {
        let failed = Unavailable::TransferFailed { leader, error };
        assert_eq!(judge(Some(Err(error)), 6), Verdict::Broken(failed));
    }
}

#[test]
fn a_member_catches_up_in_time_and_with_few_snapshots() {
    let (node, within) = (NodeId(3), Duration::from_secs(8));
    let view = |follows, snapshots, since| CatchUpView {
        node,
        follows,
        snapshots,
        since: Duration::from_secs(since),
    };
    let judge = |view| verdict::catch_up(view, within);
    assert_eq!(judge(view(false, 4, 7)), Verdict::Open);
    assert_eq!(judge(view(true, 9, 9)), Verdict::Holds);
    let late = Unavailable::NotCaughtUp { node, within };
    assert_eq!(judge(view(false, 1, 8)), Verdict::Broken(late));
    let (snapshots, most) = (5, 4);
    let again = Unavailable::SnapshotAfterSnapshot {
        node,
        snapshots,
        most,
    };
    assert_eq!(judge(view(false, 5, 1)), Verdict::Broken(again));
}

fn append(term: u64, from: u64, to: u64) -> Message {
    let mut entries = EntriesBuilder::new();
    for index in from..=to {
        let id = EntryId::new(index, term);
        entries.push(id, EntryKind::Command, "1234".into()).unwrap();
    }
    Message::AppendEntries(AppendEntries {
        term: Term(term),
        prev_log: EntryId::new(from - 1, if from == 1 { 0 } else { term }),
        leader_commit: Index::ZERO,
        entries: entries.finish(),
        round: 0,
        revoked: 0,
        promise_millis: 0,
        lineage: raft_proto::Lineage::Unknown,
    })
}

#[test]
fn entries_that_are_sent_again_are_counted() {
    let mut availability = Availability::default();
    let (leader, one, other) = (NodeId(1), NodeId(2), NodeId(3));
    availability.sent(leader, one, &append(1, 1, 4));
    availability.sent(leader, other, &append(1, 1, 4));
    assert_eq!(availability.figures.entries_sent_again, 0);
    availability.sent(leader, one, &append(1, 3, 6));
    let figures = availability.figures;
    assert_eq!((figures.entries_sent, figures.entries_sent_again), (12, 2));
    assert_eq!(figures.entry_bytes_sent_again, 2 * (4 + 16));
    // Another leader knows nothing of what was sent before.
    availability.sent(leader, one, &append(2, 1, 6));
    assert_eq!(availability.figures.entries_sent_again, 2);
}

fn chunk(last: u64, offset: u64) -> Message {
    Message::InstallSnapshot(Box::new(InstallSnapshot {
        term: Term(1),
        snapshot: SnapshotMeta {
            id: SnapshotId {
                last: EntryId::new(last, 1),
                size: 20,
                checksum: 0,
            },
            membership: Membership::new([NodeId(1)]),
        },
        offset,
        data: vec![0; 10].into(),
    }))
}

#[test]
fn chunks_and_snapshots_that_follow_each_other_are_counted() {
    let mut availability = Availability::default();
    let (leader, member) = (NodeId(1), NodeId(2));
    for (last, offset) in [(5, 0), (5, 0), (5, 10), (9, 0), (9, 10), (12, 0)] {
        availability.sent(leader, member, &chunk(last, offset));
    }
    let figures = availability.figures;
    assert_eq!(figures.snapshot_bytes_sent, 60);
    assert_eq!(figures.snapshot_bytes_sent_again, 10);
    assert_eq!((figures.catch_ups, figures.most_snapshots_for_one), (1, 3));
    availability.sent(leader, member, &append(1, 13, 13));
    availability.sent(leader, member, &chunk(20, 0));
    let figures = availability.figures;
    assert_eq!((figures.catch_ups, figures.most_snapshots_for_one), (2, 3));
    assert_eq!(figures.snapshots_for_catch_ups, 4);
}

fn request(seed: u64, condition: Option<Condition>) -> Request {
    Request {
        condition,
        ..Request::new(seed, 5, Duration::from_secs(3), Faults::Mild)
    }
}

#[test]
fn a_condition_is_named_drawn_or_left_out() {
    let drawn = |seed| Draft::new(request(seed, None)).settings.condition;
    let conditions: Vec<Condition> = (0..200).map(drawn).collect();
    let none = conditions.iter().filter(|it| **it == Condition::None);
    assert!((80..160).contains(&none.count()));
    assert!(conditions.contains(&Condition::Load));
    assert!(conditions.contains(&Condition::Failover));
    for seed in 0..20 {
        let draft = Draft::new(request(seed, Some(Condition::SlowSyncs)));
        assert_eq!(draft.settings.condition, Condition::SlowSyncs);
        let mut alone = draft.settings.clone();
        alone.nodes = 1;
        assert_eq!(draw(&draft.request, &alone), Condition::None);
        let quiet = Draft::new(request(seed, Some(Condition::None)));
        assert_eq!(quiet.settings.condition, Condition::None);
        assert!(quiet.settings.condition.fits(&alone));
    }
}

#[test]
fn what_is_drawn_before_does_not_depend_on_the_condition() {
    for seed in 0..20 {
        let with = Draft::new(request(seed, Some(Condition::SlowSyncs)));
        let without = Draft::new(request(seed, Some(Condition::None)));
        assert_eq!(with.schedule().nemesis, without.schedule().nemesis);
        assert_eq!(with.schedule().operations, without.schedule().operations);
        assert_eq!(with.intensities, without.intensities);
    }
}

#[test]
fn every_condition_that_seeds_draw_is_passed_and_shown() {
    for condition in [
        Condition::Failover,
        Condition::Load,
        Condition::SlowSyncs,
        Condition::Partial,
        Condition::OneWay,
        Condition::Removed,
    ] {
        let mut phases = 0;
        for seed in 0..4 {
            let report = run::search(request(seed, Some(condition)));
            assert!(report.passed(), "{report}");
            phases += report.availability.phases;
        }
        assert!(phases > 0, "{condition} fits no seed");
    }
    let report = run::search(request(1, Some(Condition::Failover)));
    let figures = report.availability;
    assert!(
        figures.leader_crashes > 0 && figures.downtime_micros > 0,
        "{figures:?}"
    );
    assert!(
        report.to_string().contains("crashes of the leader"),
        "{report}"
    );
}

/// A disk that is slower than the claim allows: nobody is elected, and the judge says so.
#[test]
fn a_cluster_that_cannot_elect_is_found() {
    let mut schedule = Draft::new(request(1, Some(Condition::Load))).schedule();
    schedule.settings.network.delay = "5s..6s".parse().unwrap();
    let report = run::try_schedule(&schedule);
    let Some(Failure::Unavailable { condition, reason }) = report.failure else {
        panic!("{report}");
    };
    assert_eq!(condition, Condition::Load);
    assert!(matches!(reason, Unavailable::NoCommit { .. }), "{reason}");
}

#[test]
fn a_condition_is_written_to_a_schedule_and_read_back() {
    let schedule = Draft::new(request(1, Some(Condition::SlowSyncs))).schedule();
    let text = schedule.to_text();
    assert!(text.contains("condition = \"slow-syncs\""), "{text}");
    let read = raft_sim::schedule::Schedule::parse(&text).unwrap();
    assert_eq!(read.settings, schedule.settings);
    let without = Draft::new(request(1, Some(Condition::None))).schedule();
    assert!(!without.to_text().contains("condition"));
    let names = Condition::ALL.map(Condition::name);
    assert!(names.contains(&"slow-candidate"));
}
