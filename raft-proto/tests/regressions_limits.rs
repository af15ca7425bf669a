//! Defects once found in the core: what must always go on, and what must stay bounded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::wildcard_enum_match_arm)]

mod support;
use raft_proto::*;
use std::time::Duration;
use support::*;

/// one small refusal, a whole window in answer.
#[test]
fn a_refusal_does_not_cost_a_window() {
    let mut c = Cluster::new(3);
    c.elect(1);
    c.propose(1, "first").unwrap();
    c.deliver_if(|p| p.to != NodeId(3) && p.from != NodeId(3));
    c.send_heartbeats(1);
    c.deliver();
    for _ in 0..8 {
        c.propose(1, &"x".repeat(1 << 20)).unwrap();
    }
    c.take_packets();
    let term = c.raft(1).term();
    let mut bytes = 0;
    for _ in 0..100 {
        let next_index = c.peer(1, 3).next_index;
        let message = Message::AppendEntriesReply(AppendEntriesReply {
            round: 0,
            term,
            outcome: AppendOutcome::Rejected {
                prev_log_index: next_index.previous(),
                hint: EntryId::ZERO,
            },
        });
        c.deliver_packet(Packet {
            from: NodeId(3),
            to: NodeId(1),
            message,
        });
        for p in c.take_packets() {
            if let Message::AppendEntries(m) = p.message {
                bytes += m.entries.bytes();
            }
        }
    }
    assert!(
        bytes < 200 << 20,
        "{} MiB sent in answer to 100 refusals",
        bytes >> 20
    );
}

/// what a dead peer is sent.
#[test]
fn a_dead_peer_costs_little() {
    let mut c = Cluster::with(3, |config| {
        config.leader_noop = LeaderNoop::On;
    });
    c.campaign(1);
    c.deliver_if(|p| p.to != NodeId(3));
    for _ in 0..8 {
        c.propose(1, &"x".repeat(1 << 20)).unwrap();
        c.deliver_if(|p| p.to != NodeId(3));
    }
    let mut bytes = 0;
    for _ in 0..10 {
        c.send_heartbeats(1);
        for p in c.take_packets() {
            if p.to == NodeId(3)
                && let Message::AppendEntries(m) = &p.message
            {
                bytes += m.entries.bytes();
            } else if p.to != NodeId(3) {
                c.deliver_packet(p);
            }
        }
        c.deliver_if(|p| p.to != NodeId(3));
    }
    assert!(
        bytes < 1 << 20,
        "{} KiB sent to a dead peer in a second",
        bytes >> 10
    );
}

/// an honest, late `Stale` answer to a chunk sent before a restart.
#[test]
fn a_late_stale_answer_is_no_crime() {
    let mut c = Cluster::new(3);
    c.elect(1);
    let term = c.raft(1).term();
    // n1 led in an earlier term with a greater commitIndex, which a restart forgot.
    let message = Message::InstallSnapshotReply(InstallSnapshotReply {
        term,
        last: EntryId::new(5, 1),
        outcome: SnapshotOutcome::Stale,
    });
    c.deliver_packet(Packet {
        from: NodeId(3),
        to: NodeId(1),
        message,
    });
    assert!(c.complaints(1).is_empty(), "{:?}", c.complaints(1));
}

/// without a no-op, a full "uncommitted" budget left by an earlier term is a deadlock.
#[test]
fn a_leader_without_noop_can_always_begin() {
    let mut c = Cluster::with(3, |config| {
        config.max_entry_bytes = 84;
        config.max_uncommitted_bytes = 1000;
        config.max_append_bytes = 1000;
        config.max_inflight_bytes = 10000;
        config.max_unapplied_bytes = 1000;
    });
    c.elect(1);
    for at in 0..30 {
        c.propose(1, &format!("{at:080}")).unwrap();
        c.deliver();
    }
    assert_eq!(c.raft(1).commit_index(), Index(30));
    // Power failure of the whole cluster; everything is on disk.
    for id in 1..=3 {
        c.restart(id);
    }
    c.take_packets();
    c.elect(2);
    for _ in 0..10 {
        c.send_heartbeats(2);
        c.deliver();
    }
    let outcome = c.propose(2, "hello");
    assert!(outcome.is_ok(), "{outcome:?}");
}

/// recovered entries above the (lowered) limits are never handed out.
#[test]
fn a_recovered_entry_above_the_limit_is_still_applied() {
    let mut c = Cluster::new(1);
    c.campaign(1);
    c.propose(1, &"x".repeat(1000)).unwrap();
    assert_eq!(c.applied(1).len(), 1);
    c.node(1).config.max_entry_bytes = 100;
    c.node(1).config.max_unapplied_bytes = 200;
    c.restart(1);
    c.campaign(1);
    c.propose(1, "y").unwrap();
    assert_eq!(c.raft(1).commit_index(), Index(2));
    assert_eq!(c.applied(1).len(), 2);
}

/// copies of one append pile up withheld replies while the disk stalls.
#[test]
fn copies_of_an_append_do_not_pile_up() {
    let mut c = Cluster::new(3);
    c.elect(1);
    c.node(2).disk = Disk::Manual;
    c.propose(1, "a").unwrap();
    let p = c
        .take_packets()
        .into_iter()
        .find(|p| p.to == NodeId(2))
        .unwrap();
    for _ in 0..10_000 {
        c.deliver_packet(p.clone());
    }
    assert!(
        c.raft(2).status().withheld < 100,
        "{}",
        c.raft(2).status().withheld
    );
}

/// a disk whose sync takes longer than an election timeout.
#[test]
fn a_slow_disk_does_not_prevent_every_election() {
    let mut c = Cluster::new(1);
    c.node(1).disk = Disk::Manual;
    let mut pending_since: Option<Time> = None;
    let mut most = 0;
    for _ in 0..3000 {
        c.wait(Duration::from_millis(10));
        if c.nodes[&NodeId(1)].wake_at <= c.now {
            c.tick(1);
        }
        let waiting = c.node(1).waiting.len();
        most = most.max(waiting);
        // one sync at a time, 1.2 s each, of what waited when it began
        match pending_since {
            None if waiting > 0 => pending_since = Some(c.now),
            Some(at) if c.now.since(at) >= Duration::from_millis(1200) => {
                c.sync(1, 1);
                pending_since = None;
            }
            _ => {}
        }
        if c.raft(1).role() == RoleKind::Leader {
            return;
        }
    }
    panic!(
        "no leader in 30 s, term {}, most writes waiting {most}",
        c.raft(1).term()
    );
}

/// a leader whose own disk stalls takes in without limit what its followers commit.
#[test]
fn a_leader_with_a_stalled_disk_is_bounded() {
    let mut c = Cluster::with(3, |config| {
        config.max_uncommitted_bytes = 2 << 20;
    });
    c.elect(1);
    c.node(1).disk = Disk::Manual;
    let mut accepted = 0u64;
    for _ in 0..100 {
        if c.propose(1, &"x".repeat(1 << 20)).is_ok() {
            accepted += 1;
        }
        c.deliver();
    }
    assert!(
        accepted <= 40,
        "{accepted} MiB accepted; applied {}, writes under way {}",
        c.raft(1).applied_index(),
        c.raft(1).status().writes_under_way
    );
}

/// the same for a state machine that stalls.
#[test]
fn what_recovery_kept_is_handed_over_without_a_gap() {
    // Compaction with a tail, then restart: the first entry of the tail stands for the base.
    let mut c = Cluster::with(3, |config| {
        config.trailing_entries = 3;
    });
    c.elect(1);
    for at in 0..10 {
        c.propose(1, &at.to_string()).unwrap();
        c.deliver();
    }
    for id in 1..=3 {
        c.compact(id, 8, b"s");
    }
    for id in 1..=3 {
        c.restart(id);
    }
    c.take_packets();
    c.elect(2);
    c.propose(2, "x").unwrap();
    c.deliver();
    for id in 1..=3 {
        assert_eq!(c.raft(id).commit_index(), Index(11));
    }
    assert_eq!(c.applied(1), c.applied(3));
}
