//! A stored snapshot decays: its transfers end, the driver is told, and the next transfer is of the
//! next snapshot.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, missing_docs)]

mod support;

use raft_proto::*;
use support::links::*;
use support::*;

/// n1 leads, n2 follows, and n3 needs the snapshot at 9 of "ten bytes!", in chunks of four bytes.
fn n3_needs_a_snapshot() -> (Cluster, SnapshotId) {
    let mut cluster = n3_is_behind(|config| {
        config.trailing_entries = 0;
        config.snapshot_chunk_bytes = 4;
    });
    let snapshot = cluster.compact(1, 9, b"ten bytes!");
    cluster.take_packets();
    (cluster, snapshot)
}

fn damage(cluster: &mut Cluster, id: u64, snapshot: SnapshotId) {
    let bytes = cluster.node(id).snapshots.get_mut(&snapshot).unwrap();
    bytes[1] ^= 1;
}

/// Lets heartbeat intervals pass. Returns the chunks that n1 has sent.
fn heartbeats(cluster: &mut Cluster, count: usize) -> usize {
    let mut chunks = 0;
    for _ in 0..count {
        cluster.send_heartbeats(1);
        while !cluster.queue.is_empty() {
            let packet = cluster.queue.remove(0);
            chunks += usize::from(packet.message.kind() == MessageKind::InstallSnapshot);
            cluster.deliver_packet(packet);
        }
    }
    chunks
}

fn reports(cluster: &Cluster, id: u64) -> Vec<SnapshotId> {
    let actions = cluster.nodes[&NodeId(id)].other_actions.iter();
    let report = |action: &Action| match action {
        Action::SnapshotDamaged { snapshot } => Some(*snapshot),
        _ => None,
    };
    actions.filter_map(report).collect()
}

fn expect_n3_has_caught_up(cluster: &mut Cluster, bytes: &[u8]) {
    heartbeats(cluster, 4);
    let snapshot = cluster.raft(3).snapshot().unwrap().id;
    assert_eq!(cluster.node(3).snapshots[&snapshot], bytes);
    assert_eq!(cluster.raft(3).commit_index(), Index(10));
    assert_eq!(
        cluster.peer(1, 3).state,
        PeerState::Replicate { inflight: 0 }
    );
}

#[test]
fn a_snapshot_that_decayed_is_not_sent_again_and_the_driver_is_told_once() {
    let (mut cluster, snapshot) = n3_needs_a_snapshot();
    damage(&mut cluster, 1, snapshot);
    let chunks = heartbeats(&mut cluster, 100);
    assert!(chunks <= 3, "{chunks} chunks of a snapshot of three");
    assert_eq!(reports(&cluster, 1), [snapshot]);
    assert!(cluster.restored(3).is_empty());
    assert!(
        cluster.complaints(3).is_empty(),
        "the last chunk is not sent"
    );
    // n3 hears its leader all the same, and is sent the next snapshot.
    cluster.take_packets();
    cluster.send_heartbeats(1);
    assert!(cluster.sent_by(1).iter().any(|(to, _)| *to == 3));
    cluster.compact(1, 10, b"a newer one");
    expect_n3_has_caught_up(&mut cluster, b"a newer one");
}

#[test]
fn a_damaged_snapshot_that_is_made_anew_is_sent() {
    // With the same bytes, or with others: both end at the same entry.
    for bytes in [b"ten bytes!".as_slice(), b"others"] {
        let (mut cluster, snapshot) = n3_needs_a_snapshot();
        damage(&mut cluster, 1, snapshot);
        heartbeats(&mut cluster, 4);
        assert_eq!(reports(&cluster, 1), [snapshot]);
        cluster.compact(1, 9, bytes);
        // n3 may still hold damaged chunks of a snapshot with this id.
        heartbeats(&mut cluster, 20);
        expect_n3_has_caught_up(&mut cluster, bytes);
        let newest = cluster.raft(1).snapshot().unwrap().id;
        let released = cluster.released(1);
        assert!(!released.contains(&newest));
        assert_eq!(released.contains(&snapshot), newest != snapshot);
    }
}

#[test]
fn all_transfers_of_a_damaged_snapshot_end() {
    let mut cluster = Cluster::with(5, |config| {
        config.trailing_entries = 0;
        config.snapshot_chunk_bytes = 4;
    });
    cluster.elect(1);
    for at in 1..=10 {
        cluster.propose(1, &at.to_string()).unwrap();
        cluster.deliver_if(|packet| packet.to.0 < 4);
    }
    let snapshot = cluster.compact(1, 9, b"ten bytes!");
    damage(&mut cluster, 1, snapshot);
    let chunks = heartbeats(&mut cluster, 50);
    assert!(chunks <= 6, "{chunks} chunks");
    assert_eq!(reports(&cluster, 1), [snapshot]);
    cluster.compact(1, 10, b"a newer one");
    heartbeats(&mut cluster, 4);
    assert_eq!(cluster.raft(4).commit_index(), Index(10));
    assert_eq!(cluster.raft(5).commit_index(), Index(10));
}

#[test]
fn the_receiver_of_a_wrong_checksum_says_so() {
    let mut cluster = Cluster::new(3);
    let meta = snapshot_meta(EntryId::new(3, 1), b"abcdef");
    cluster.receive(1, 2, chunk(1, &meta, 0, b"abc"));
    cluster.take_packets();
    let actions = cluster.receive(1, 2, chunk(1, &meta, 3, b"deg"));
    assert!(matches!(
        rejection(&actions),
        Some(Rejection::WrongChecksum { .. })
    ));
    let damaged = snapshot_reply(1, meta.id.last, SnapshotOutcome::Damaged);
    assert_eq!(sent(&actions), [(NodeId(2), damaged)]);
    cluster.take_packets();
    cluster.receive(1, 2, chunk(1, &meta, 0, b"abc"));
    cluster.receive(1, 2, chunk(1, &meta, 3, b"def"));
    assert_eq!(cluster.restored(1), [Index(3)]);
}

#[test]
fn a_snapshot_damaged_on_its_way_is_sent_again() {
    let (mut cluster, _) = n3_needs_a_snapshot();
    cluster.send_heartbeats(1);
    let mut damaged = 0;
    while !cluster.queue.is_empty() {
        let mut packet = cluster.queue.remove(0);
        if let Message::InstallSnapshot(chunk) = &mut packet.message
            && chunk.offset == 8
        {
            chunk.data = b"s?".to_vec().into();
            damaged += 1;
        }
        cluster.deliver_packet(packet);
    }
    assert_eq!(damaged, 1);
    assert!(cluster.restored(3).is_empty());
    heartbeats(&mut cluster, 20);
    assert!(reports(&cluster, 1).is_empty(), "the own copy is sound");
    expect_n3_has_caught_up(&mut cluster, b"ten bytes!");
}

#[test]
fn a_receiver_that_always_says_damaged_is_sent_the_snapshot_ever_more_rarely() {
    let (mut cluster, snapshot) = n3_needs_a_snapshot();
    let last = snapshot.last;
    let mut transfers = 0;
    for _ in 0..2_000 {
        cluster.send_heartbeats(1);
        while !cluster.queue.is_empty() {
            let packet = cluster.queue.remove(0);
            let is_last = matches!(&packet.message, Message::InstallSnapshot(it) if it.offset == 8);
            if is_last {
                transfers += 1;
                let reply = snapshot_reply(1, last, SnapshotOutcome::Damaged);
                cluster.receive(1, 3, reply);
            } else {
                cluster.deliver_packet(packet);
            }
        }
    }
    assert!(
        (2..=12).contains(&transfers),
        "{transfers} transfers in 200 s"
    );
    assert!(reports(&cluster, 1).is_empty());
    // Its word alone condemns nothing: another follower is sent the snapshot.
    cluster.restart(2);
    assert_eq!(cluster.raft(1).snapshot().unwrap().id, snapshot);
}

#[test]
fn a_follower_behind_a_damaged_snapshot_does_not_campaign() {
    let network = Network {
        delay: (millis(1), millis(1)),
        loss: 0,
        bandwidth: None,
    };
    let mut timed = Timed::new(3, network, |config| {
        config.trailing_entries = 0;
        config.snapshot_chunk_bytes = 100;
    });
    timed.snapshot_every = Some((100, 1_000));
    let leader = timed.elect();
    let away = if leader == 3 { 2 } else { 3 };
    timed.cut_off = vec![away];
    timed.run_under_load(millis(700), 1, 10);
    timed.snapshot_every = None;
    assert!(timed.raft(leader).snapshot().is_some());
    for bytes in timed.node(leader).snapshots.values_mut() {
        bytes[5] ^= 1;
    }
    let term = timed.raft(leader).term();
    timed.cut_off.clear();
    timed.run(millis(10_000));
    assert_eq!(timed.raft(leader).term(), term);
    assert_eq!(timed.leader(), Some(leader));
    let is_report = |action: &Action| matches!(action, Action::SnapshotDamaged { .. });
    assert_eq!(timed.count(leader, is_report), 1);
    assert_eq!(timed.raft(away).leader(), Some(NodeId(leader)));
}
