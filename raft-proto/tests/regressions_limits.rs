//! Defects once found in the core: progress that must never stop, and memory, traffic and
//! backlogs that must stay bounded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::wildcard_enum_match_arm)]

mod support;

use raft_proto::*;
use std::time::Duration;
use support::*;

/// A command of 1 MiB.
fn large() -> String {
    "x".repeat(1 << 20)
}

fn n3_misses(packet: &Packet) -> bool {
    packet.to != NodeId(3)
}

// The bug: each small refusal makes the leader send a whole window of entries again.
#[test]
fn a_refusal_does_not_cost_a_window() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, "first").unwrap();
    cluster.deliver_if(|packet| packet.to != NodeId(3) && packet.from != NodeId(3));
    cluster.send_heartbeats(1);
    cluster.deliver();
    for _ in 0..8 {
        cluster.propose(1, &large()).unwrap();
    }
    cluster.take_packets();
    let term = cluster.raft(1).term().0;
    let mut bytes = 0;
    for _ in 0..100 {
        let prev = cluster.peer(1, 3).next_index.previous();
        cluster.receive(1, 3, refused(term, prev.0, EntryId::ZERO));
        for packet in cluster.take_packets() {
            if let Message::AppendEntries(append) = packet.message {
                bytes += append.entries.bytes();
            }
        }
    }
    assert!(
        bytes < 200 << 20,
        "{} MiB sent in answer to 100 refusals",
        bytes >> 20
    );
}

// The bug: a peer that never answers is sent the same entries again and again.
#[test]
fn a_dead_peer_is_sent_few_entries() {
    let mut cluster = Cluster::with(3, |config| config.leader_noop = LeaderNoop::On);
    cluster.campaign(1);
    cluster.deliver_if(n3_misses);
    for _ in 0..8 {
        cluster.propose(1, &large()).unwrap();
        cluster.deliver_if(n3_misses);
    }
    let mut bytes = 0;
    for _ in 0..10 {
        cluster.send_heartbeats(1);
        for packet in cluster.take_packets() {
            if packet.to == NodeId(3)
                && let Message::AppendEntries(append) = &packet.message
            {
                bytes += append.entries.bytes();
            } else if packet.to != NodeId(3) {
                cluster.deliver_packet(packet);
            }
        }
        cluster.deliver_if(n3_misses);
    }
    assert!(
        bytes < 1 << 20,
        "{} KiB sent to a dead peer in a second",
        bytes >> 10
    );
}

// The bug: an honest, late `Stale` answer to a chunk that was sent before a restart is rejected.
#[test]
fn a_late_stale_answer_to_a_chunk_is_not_rejected() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    let term = cluster.raft(1).term().0;
    // n1 led in an earlier term with a greater commitIndex, which a restart forgot.
    let stale = snapshot_reply(term, EntryId::new(5, 1), SnapshotOutcome::Stale);
    cluster.receive(1, 3, stale);
    assert_eq!(cluster.complaints(1), []);
}

// The bug: without a no-op, entries of earlier terms fill the limit of uncommitted bytes, and no
// command of the new term is taken that could commit them.
#[test]
fn a_leader_without_noop_can_always_begin() {
    let mut cluster = Cluster::with(3, |config| {
        config.max_entry_bytes = 84;
        config.max_uncommitted_bytes = 1000;
        config.max_append_bytes = 1000;
        config.max_inflight_bytes = 10000;
        config.max_unapplied_bytes = 1000;
    });
    cluster.elect(1);
    for at in 0..30 {
        cluster.propose(1, &format!("{at:080}")).unwrap();
        cluster.deliver();
    }
    assert_eq!(cluster.raft(1).commit_index(), Index(30));
    // Power fails everywhere. All entries are on disk.
    for id in 1..=3 {
        cluster.restart(id);
    }
    cluster.take_packets();
    cluster.elect(2);
    for _ in 0..10 {
        cluster.send_heartbeats(2);
        cluster.deliver();
    }
    let outcome = cluster.propose(2, "hello");
    assert!(outcome.is_ok(), "{outcome:?}");
}

// The bug: recovered entries above limits that were lowered meanwhile are never handed out.
#[test]
fn a_recovered_entry_above_the_limit_is_still_applied() {
    let mut cluster = Cluster::new(1);
    cluster.campaign(1);
    cluster.propose(1, &"x".repeat(1000)).unwrap();
    assert_eq!(cluster.applied(1).len(), 1);
    cluster.node(1).config.max_entry_bytes = 100;
    cluster.node(1).config.max_unapplied_bytes = 200;
    cluster.restart(1);
    cluster.campaign(1);
    cluster.propose(1, "y").unwrap();
    assert_eq!(cluster.raft(1).commit_index(), Index(2));
    assert_eq!(cluster.applied(1).len(), 2);
}

// The bug: each copy of one append withholds a reply of its own while the disk stalls.
#[test]
fn copies_of_an_append_do_not_pile_up() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.node(2).disk = Disk::Manual;
    cluster.propose(1, "a").unwrap();
    let mut packets = cluster.take_packets().into_iter();
    let append = packets.find(|packet| packet.to == NodeId(2)).unwrap();
    for _ in 0..10_000 {
        cluster.deliver_packet(append.clone());
    }
    let withheld = cluster.raft(2).status().withheld;
    assert!(withheld < 100, "{withheld} replies are withheld");
}

// The bug: with a disk whose sync takes longer than an election timeout, no election ever ends.
#[test]
fn a_slow_disk_does_not_prevent_every_election() {
    let mut cluster = Cluster::new(1);
    cluster.node(1).disk = Disk::Manual;
    let mut sync_began: Option<Time> = None;
    let mut most = 0;
    for _ in 0..3000 {
        cluster.wait(Duration::from_millis(10));
        let due = cluster.node(1).wake_at;
        if due <= cluster.now {
            cluster.tick(1);
        }
        let waiting = cluster.node(1).waiting.len();
        most = most.max(waiting);
        // One write is synced at a time, which takes 1.2 s.
        match sync_began {
            None if waiting > 0 => sync_began = Some(cluster.now),
            Some(at) if cluster.now.since(at) >= Duration::from_millis(1200) => {
                cluster.sync(1, 1);
                sync_began = None;
            }
            _ => {}
        }
        if cluster.raft(1).role() == RoleKind::Leader {
            return;
        }
    }
    panic!(
        "no leader in 30 s, term {}, at most {most} writes waited",
        cluster.raft(1).term()
    );
}

// The bug: a leader whose own disk stalls takes commands without a limit, since its followers
// commit them.
#[test]
fn a_leader_with_a_stalled_disk_takes_a_bounded_number_of_commands() {
    let mut cluster = Cluster::with(3, |config| config.max_uncommitted_bytes = 2 << 20);
    cluster.elect(1);
    cluster.node(1).disk = Disk::Manual;
    let mut accepted = 0u64;
    for _ in 0..100 {
        if cluster.propose(1, &large()).is_ok() {
            accepted += 1;
        }
        cluster.deliver();
    }
    assert!(
        accepted <= 40,
        "{accepted} MiB accepted; applied {}, writes under way {}",
        cluster.raft(1).applied_index(),
        cluster.raft(1).status().writes_under_way
    );
}

// After a compaction with a tail and a restart, the tail's first entry is the log's base.
#[test]
fn the_tail_that_recovery_kept_is_handed_out_without_a_gap() {
    let mut cluster = Cluster::with(3, |config| config.trailing_entries = 3);
    cluster.elect(1);
    for at in 0..10 {
        cluster.propose(1, &at.to_string()).unwrap();
        cluster.deliver();
    }
    for id in 1..=3 {
        cluster.compact(id, 8, b"s");
    }
    for id in 1..=3 {
        cluster.restart(id);
    }
    cluster.take_packets();
    cluster.elect(2);
    cluster.propose(2, "x").unwrap();
    cluster.deliver();
    for id in 1..=3 {
        assert_eq!(cluster.raft(id).commit_index(), Index(11));
    }
    assert_eq!(cluster.applied(1), cluster.applied(3));
}
