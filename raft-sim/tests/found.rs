//! Schedules of runs that failed once, shrunk, pass.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use raft_sim::run;
use raft_sim::schedule::Schedule;

fn passes(text: &str) {
    let schedule = Schedule::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let report = run::try_schedule(&schedule);
    assert!(report.passed(), "{report}");
}

/// The core: a node on an empty disk drew the number that it had drawn on the lost one.
#[test]
fn an_answer_to_a_lost_disk_serves_no_read_of_its_successor() {
    passes(include_str!(
        "schedules/read-answered-on-an-earlier-disk.toml"
    ));
}

/// The simulator: the operator made a voter of the copy of a disk that lacked entries.
#[test]
fn no_voter_is_made_of_the_copy_of_a_damaged_disk() {
    passes(include_str!("schedules/copy-of-a-damaged-disk.toml"));
}

/// The core: after a hint that a follower is unreachable, its leader sent it the whole log again,
/// although the follower had told up to where it had it.
#[test]
fn after_a_hint_a_follower_is_not_sent_again_what_it_was_known_to_have() {
    passes(include_str!("schedules/sent-again-after-a-hint.toml"));
}

/// The simulator: another disk's answer to a pre-vote was taken for that of the doubted leader.
#[test]
fn a_leader_whose_number_another_disk_has_is_deposed_in_time() {
    passes(include_str!(
        "schedules/answer-of-another-disk-to-a-doubt.toml"
    ));
}

/// The simulator: a service made a snapshot in place of one that had decayed, and so dropped
/// entries that another disk lacked.
#[test]
fn no_decayed_snapshot_is_renewed_while_a_disk_lacks_entries() {
    passes(include_str!(
        "schedules/snapshot-while-a-disk-lacks-entries.toml"
    ));
}

/// The simulator: a disk lost entries that nobody else kept. The only other disk that held them was
/// that of a node which was behind: its leader sent it a snapshot in place of its log.
#[test]
fn what_a_disk_loses_another_one_keeps_that_needs_no_snapshot() {
    passes(include_str!(
        "schedules/laggard-keeps-what-a-disk-lacks.toml"
    ));
}

/// The simulator: a leader's snapshots decayed before its own service had opened the one that it
/// had installed. The service has no other copy, so that is no fault that a cluster has to stand.
#[test]
fn no_snapshot_decays_before_the_leaders_own_service_has_opened_it() {
    passes(include_str!(
        "schedules/snapshot-decays-before-it-is-opened.toml"
    ));
}
