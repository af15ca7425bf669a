//! The flow of snapshots: several chunks are on their way, the log that follows is kept meanwhile,
//! and a follower catches up although clients write on.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, missing_docs)]

mod support;

use raft_proto::*;
use support::links::*;

fn network() -> Network {
    Network {
        delay: (millis(5), millis(5)),
        loss: 0,
        bandwidth: None,
    }
}

/// Three nodes of which n1 leads and n3 was away for so long that it needs a snapshot of `size`
/// bytes. Each node makes one after `every` entries.
fn n3_needs_a_snapshot(every: u64, size: usize, change: impl Fn(&mut Config)) -> (Timed, u64, u64) {
    let mut timed = Timed::new(3, network(), |config| {
        config.trailing_entries = 10;
        config.snapshot_chunk_bytes = 1_000;
        change(config);
    });
    timed.snapshot_every = Some((every, size));
    let leader = timed.elect();
    let away = if leader == 3 { 2 } else { 3 };
    timed.cut_off = vec![away];
    while timed.raft(leader).snapshot().is_none() {
        timed.run_under_load(millis(50), 8, 10);
    }
    assert_eq!(timed.leader(), Some(leader));
    timed.cut_off.clear();
    (timed, leader, away)
}

fn is_replicating(timed: &Timed, leader: u64, id: u64) -> bool {
    matches!(timed.peer(leader, id).state, PeerState::Replicate { .. })
}

#[test]
fn a_follower_catches_up_although_clients_write_800_entries_during_each_transfer() {
    // 60 chunks, one in each round trip of 10 ms, would take 600 ms. 8 entries are committed in
    // each round trip, and a snapshot is made after 100.
    let (mut timed, leader, away) = n3_needs_a_snapshot(100, 60_000, |_| {});
    timed.node(away).chunk_write = millis(20);
    timed.run_under_load(millis(5_000), 8, 10);
    assert_eq!(timed.leader(), Some(leader));
    assert!(is_replicating(&timed, leader, away));
    assert!(
        timed.restores(away) <= 2,
        "{} snapshots",
        timed.restores(away)
    );
    let behind = timed
        .raft(leader)
        .last_log()
        .index
        .since(timed.peer(leader, away).match_index);
    assert!(behind <= 100, "{behind} entries behind");
    // The log is not kept for longer than it is needed.
    let kept = timed
        .raft(leader)
        .last_log()
        .index
        .since(timed.raft(leader).log_base().index);
    assert!(kept <= 300, "{kept} entries are kept");
}

#[test]
fn the_log_that_is_kept_for_a_transfer_is_bounded_by_its_bytes() {
    let (mut timed, leader, away) = n3_needs_a_snapshot(100, 60_000, |config| {
        config.max_transfer_log_bytes = 20_000;
    });
    timed.node(away).chunk_write = millis(1_000);
    timed.run_under_load(millis(5_000), 8, 10);
    let kept = timed.raft(leader).status().resident_bytes;
    assert!(kept <= 20_000 + 26 * 300, "{kept} bytes are kept");
}

#[test]
fn the_log_is_not_kept_for_a_follower_that_answers_no_more() {
    let (mut timed, leader, away) = n3_needs_a_snapshot(100, 60_000, |_| {});
    timed.node(away).chunk_write = millis(1_000);
    timed.run_under_load(millis(1_000), 8, 10);
    assert!(matches!(
        timed.peer(leader, away).state,
        PeerState::Snapshot { .. }
    ));
    timed.cut_off = vec![away];
    timed.run_under_load(millis(15_000), 8, 10);
    let kept = timed
        .raft(leader)
        .last_log()
        .index
        .since(timed.raft(leader).log_base().index);
    assert!(kept <= 300, "{kept} entries are kept");
}

#[test]
fn a_driver_may_spare_more_of_the_log_by_bytes() {
    let (timed, leader, _) = n3_needs_a_snapshot(200, 1_000, |config| {
        config.trailing_bytes = 26 * 100;
    });
    let raft = timed.raft(leader);
    let snapshot = raft.snapshot().unwrap().id.last.index;
    let spared = snapshot.since(raft.log_base().index);
    assert!((90..=110).contains(&spared), "{spared} entries are spared");
}

#[test]
fn a_limit_in_bytes_cuts_the_tail_that_stays_for_followers() {
    let spared = |most: Option<u64>| {
        let (timed, leader, _) = n3_needs_a_snapshot(200, 1_000, |config| {
            config.trailing_entries = 100;
            config.max_trailing_bytes = most;
        });
        let raft = timed.raft(leader);
        let snapshot = raft.snapshot().unwrap().id.last.index;
        snapshot.since(raft.log_base().index)
    };
    assert_eq!(spared(None), 100);
    let few = spared(Some(26 * 20));
    assert!((15..=20).contains(&few), "{few} entries are spared");
    assert_eq!(spared(Some(0)), 0);
}

#[test]
fn several_chunks_are_on_their_way_at_a_time() {
    // 200 chunks; one in each round trip of 10 ms would take two seconds.
    let (mut timed, leader, away) = n3_needs_a_snapshot(1_000, 200_000, |_| {});
    for _ in 0..80 {
        timed.run(millis(10));
        if timed.restores(away) > 0 {
            break;
        }
    }
    assert_eq!(timed.restores(away), 1, "within 800 ms");
    timed.run(millis(500));
    assert!(is_replicating(&timed, leader, away));
}

#[test]
fn chunks_that_get_lost_or_overtake_each_other_are_put_in_order() {
    for loss in [0, 100] {
        let (mut timed, leader, away) = n3_needs_a_snapshot(1_000, 100_000, |_| {});
        timed.network = Network {
            delay: (millis(1), millis(20)),
            loss,
            bandwidth: None,
        };
        let read_before = timed.node(leader).chunk_reads;
        timed.run(millis(60_000));
        assert_eq!(timed.restores(away), 1);
        assert!(is_replicating(&timed, leader, away));
        let reads = timed.node(leader).chunk_reads - read_before;
        assert!(reads <= 600, "{reads} reads of 100 chunks");
    }
}

// The bug: a chunk is sent again after a heartbeat interval, and the answer to its first copy ends
// the doubled pause, but tells no round trip. So each chunk goes twice, one at a time.
#[test]
fn a_round_trip_that_is_longer_than_a_heartbeat_interval_is_learned() {
    let (mut timed, leader, away) = n3_needs_a_snapshot(1_000, 100_000, |_| {});
    timed.network.delay = (millis(75), millis(75));
    let read_before = timed.node(leader).chunk_reads;
    timed.run(millis(4_000));
    assert_eq!(timed.restores(away), 1, "within 27 round trips");
    let reads = timed.node(leader).chunk_reads - read_before;
    assert!(reads <= 105, "{reads} reads of 100 chunks");
}

// The bug: a chunk that was dropped because it came too early is sent again only after a heartbeat
// interval.
#[test]
fn chunks_that_overtake_each_other_do_not_wait_for_a_heartbeat_interval() {
    let (mut timed, leader, away) = n3_needs_a_snapshot(1_000, 100_000, |_| {});
    timed.network.delay = (millis(1), millis(9));
    let read_before = timed.node(leader).chunk_reads;
    timed.run(millis(1_500));
    let reads = timed.node(leader).chunk_reads - read_before;
    assert_eq!(timed.restores(away), 1, "100 chunks; {reads} were read");
    assert!(reads <= 300, "{reads} reads of 100 chunks");
}

#[test]
fn a_last_chunk_that_is_long_unanswered_is_read_again_ever_more_rarely() {
    let (mut timed, leader, away) = n3_needs_a_snapshot(1_000, 900, |_| {});
    timed.node(away).chunk_write = millis(20_000);
    timed.run(millis(15_000));
    let reads = timed.node(leader).chunk_reads;
    assert!(
        reads <= 10,
        "{reads} reads of one chunk in 150 heartbeat intervals"
    );
    timed.run(millis(15_000));
    assert_eq!(timed.restores(away), 1);
    assert!(is_replicating(&timed, leader, away));
}

// A transport says of each try that it failed, but for the last one. Only a try of which nobody
// says anything is a reason to wait longer for the next.
#[test]
fn a_follower_that_comes_back_gets_its_snapshot_soon_however_often_it_could_not_be_reached() {
    let (mut timed, leader, away) = n3_needs_a_snapshot(1_000, 900, |_| {});
    while !matches!(timed.peer(leader, away).state, PeerState::Snapshot { .. }) {
        timed.run(millis(1));
    }
    timed.cut_off = vec![away];
    let peer = NodeId(away);
    for _ in 0..20 {
        timed.run(millis(150));
        timed.input(leader, Input::Unreachable { peer });
    }
    timed.run(millis(150));
    assert_eq!(timed.restores(away), 0);
    timed.cut_off.clear();
    timed.run(millis(1_000));
    assert_eq!(timed.leader(), Some(leader));
    assert_eq!(timed.restores(away), 1);
    assert!(is_replicating(&timed, leader, away));
}
