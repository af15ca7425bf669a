//! The transfer and the installation of snapshots (section 7). What a node does with a snapshot of
//! its own service is in `compaction.rs`.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, missing_docs)]

mod support;

use raft_proto::*;
use std::cell::RefCell;
use std::time::Duration;
use support::*;

fn small_chunks(config: &mut Config) {
    config.trailing_entries = 0;
    config.snapshot_chunk_bytes = 4;
    // A transfer that a newer snapshot overtakes is followed by another one.
    config.max_transfer_log_bytes = 0;
}

/// n1 is about to send n3 its snapshot at 9. Only the first chunk is in the queue.
fn transfer(bytes: &[u8]) -> (Cluster, SnapshotId) {
    let mut cluster = n3_is_behind(small_chunks);
    let snapshot = cluster.compact(1, 9, bytes);
    cluster.take_packets();
    cluster.send_heartbeats(1);
    // n3 refuses the question, and then n1 sends the first chunk.
    loop {
        let packet = cluster.queue.remove(0);
        if is_chunk(&packet) {
            cluster.queue = vec![packet];
            break;
        }
        if is_between_n1_and_n3(&packet) {
            cluster.deliver_packet(packet);
        }
    }
    assert_eq!(
        cluster.peer(1, 3).state,
        PeerState::Snapshot {
            snapshot,
            offset: 0
        }
    );
    (cluster, snapshot)
}

fn is_between_n1_and_n3(packet: &Packet) -> bool {
    [packet.from, packet.to].iter().all(|id| *id != NodeId(2))
}

fn is_chunk(packet: &Packet) -> bool {
    packet.message.kind() == MessageKind::InstallSnapshot
}

/// From now on all messages arrive. Expects that n3 receives the snapshot and the entry after it.
fn expect_arrival(cluster: &mut Cluster, snapshot: SnapshotId, bytes: &[u8]) {
    for _ in 0..6 {
        cluster.send_heartbeats(1);
        cluster.deliver();
    }
    assert_eq!(cluster.restored(3), [snapshot.last.index]);
    assert_eq!(cluster.nodes[&NodeId(3)].snapshots[&snapshot], bytes);
    assert_eq!(cluster.raft(3).commit_index(), Index(10));
    assert_eq!(
        cluster.peer(1, 3).state,
        PeerState::Replicate { inflight: 0 }
    );
}

#[test]
fn a_snapshot_travels_in_chunks_of_the_configured_size() {
    let (mut cluster, snapshot) = transfer(b"ten bytes!");
    let mut chunks = Vec::new();
    while !cluster.queue.is_empty() {
        let packet = cluster.queue.remove(0);
        if let Message::InstallSnapshot(chunk) = &packet.message {
            chunks.push((chunk.offset, chunk.data.to_vec()));
        }
        cluster.deliver_packet(packet);
    }
    let expected = [
        (0, b"ten ".to_vec()),
        (4, b"byte".to_vec()),
        (8, b"s!".to_vec()),
    ];
    assert_eq!(chunks, expected);
    expect_arrival(&mut cluster, snapshot, b"ten bytes!");
    assert_eq!(cluster.applied(3), ["10"]);
}

#[test]
fn a_snapshot_that_fits_one_chunk_is_one_message() {
    let (mut cluster, snapshot) = transfer(b"four");
    let packet = cluster.queue.remove(0);
    cluster.deliver_packet(packet);
    let last = snapshot.last;
    let installed = snapshot_reply(1, last, SnapshotOutcome::Installed);
    assert_eq!(cluster.queue[0].message, installed);
    expect_arrival(&mut cluster, snapshot, b"four");
}

#[test]
fn an_empty_snapshot_is_installed_like_any_other() {
    let (mut cluster, snapshot) = transfer(b"");
    cluster.deliver();
    expect_arrival(&mut cluster, snapshot, b"");
}

#[test]
fn the_loss_of_any_one_chunk_or_answer_is_repaired() {
    for lost in 0..6 {
        let (mut cluster, snapshot) = transfer(b"ten bytes!");
        let mut at = 0;
        while !cluster.queue.is_empty() {
            let packet = cluster.queue.remove(0);
            if at != lost {
                cluster.deliver_packet(packet);
            }
            at += 1;
        }
        assert!(at > lost, "message {lost} was sent and lost");
        expect_arrival(&mut cluster, snapshot, b"ten bytes!");
    }
}

// The bug: a silent follower that needs a snapshot is sent all of it again on every tick.
#[test]
fn a_silent_follower_is_sent_a_chunk_once_and_then_only_heartbeats() {
    let (mut cluster, snapshot) = transfer(b"ten bytes!");
    cluster.take_packets();
    for _ in 0..100 {
        let actions = cluster.send_heartbeats(1);
        let reads = |action: &Action| matches!(action, Action::ReadSnapshot { .. });
        assert!(!actions.iter().any(reads));
        let mut sent = cluster.take_packets();
        sent.retain(|packet| packet.to == NodeId(3));
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].message, heartbeat(1, snapshot.last, 10));
    }
    expect_arrival(&mut cluster, snapshot, b"ten bytes!");
}

#[test]
fn a_follower_that_restarts_during_a_transfer_receives_the_snapshot_from_the_beginning() {
    let (mut cluster, snapshot) = transfer(b"ten bytes!");
    for _ in 0..3 {
        let packet = cluster.queue.remove(0);
        cluster.deliver_packet(packet);
    }
    assert_eq!(cluster.node(3).partial, b"ten byte");
    cluster.restart(3);
    expect_arrival(&mut cluster, snapshot, b"ten bytes!");
}

#[test]
fn a_new_leader_sends_its_own_snapshot_from_the_beginning() {
    let (mut cluster, _) = transfer(b"ten bytes!");
    for _ in 0..3 {
        let packet = cluster.queue.remove(0);
        cluster.deliver_packet(packet);
    }
    cluster.take_packets();
    let snapshot = cluster.compact(2, 10, b"another one");
    cluster.campaign(2);
    cluster.deliver();
    assert_eq!(cluster.raft(2).role(), RoleKind::Leader);
    for _ in 0..4 {
        cluster.send_heartbeats(2);
        cluster.deliver();
    }
    assert_eq!(cluster.restored(3), [Index(10)]);
    assert_eq!(
        cluster.nodes[&NodeId(3)].snapshots[&snapshot],
        b"another one"
    );
}

#[test]
fn a_leader_that_compacts_during_a_transfer_keeps_the_old_snapshot_until_the_transfer_ends() {
    let (mut cluster, old) = transfer(b"ten bytes!");
    cluster.compact(1, 10, b"newer");
    assert!(
        cluster.released(1).is_empty(),
        "the old snapshot is being sent"
    );
    while cluster.restored(3).is_empty() {
        let packet = cluster.queue.remove(0);
        cluster.deliver_packet(packet);
    }
    assert!(cluster.released(1).is_empty());
    cluster.deliver();
    assert_eq!(cluster.released(1), [old]);
    for _ in 0..4 {
        cluster.send_heartbeats(1);
        cluster.deliver();
    }
    assert_eq!(cluster.restored(3), [Index(9), Index(10)]);
    assert_eq!(cluster.raft(3).commit_index(), Index(10));
}

#[test]
fn an_old_snapshot_that_is_being_sent_is_released_when_the_leader_steps_down() {
    let (mut cluster, old) = transfer(b"ten bytes!");
    cluster.compact(1, 10, b"newer");
    assert!(cluster.released(1).is_empty());
    cluster.receive(1, 2, request_vote(7, EntryId::new(10, 1)));
    assert_eq!(cluster.released(1), [old]);
}

#[test]
fn an_old_snapshot_is_released_once_the_new_one_is_durable() {
    let mut cluster = n3_is_behind(small_chunks);
    let old = cluster.compact(1, 4, b"old");
    cluster.node(1).disk = Disk::Manual;
    cluster.compact(1, 8, b"new");
    assert!(
        cluster.released(1).is_empty(),
        "a restart would need the old snapshot"
    );
    cluster.sync(1, 1);
    assert_eq!(cluster.released(1), [old]);
}

#[test]
fn a_chunk_that_cannot_be_read_is_read_again_with_a_heartbeat() {
    let mut cluster = n3_is_behind(small_chunks);
    let bytes = b"four";
    let snapshot = cluster.compact(1, 9, bytes);
    cluster.take_packets();
    let peer = NodeId(3);
    let at = cluster.now;
    let raft = RefCell::new(cluster.raft(1).clone());
    let step = |at, input| raft.borrow_mut().step(Event { at, input });
    let reads = |actions: &[Action]| {
        let read = |action: &&Action| matches!(action, Action::ReadSnapshot { .. });
        actions.iter().filter(read).count()
    };
    let answer = |result| Input::SnapshotRead {
        peer,
        snapshot,
        offset: 0,
        result,
    };
    // A heartbeat reads the chunk again, or asks n3, whose answer shows that it needs a snapshot.
    let read_again = |now| {
        let actions = step(now, Input::Tick);
        let asks = sent(&actions).into_iter().find(|(to, _)| *to == peer);
        let Some((_, Message::AppendEntries(question))) = asks else {
            return reads(&actions);
        };
        let prev = question.prev_log.index.0;
        let (from, message) = (peer, refused(1, prev, EntryId::ZERO));
        reads(&actions)
            + reads(&step(
                now,
                Input::Receive {
                    from,
                    message,
                    incarnation: None,
                },
            ))
    };
    let mut now = at.after(HEARTBEAT);
    assert_eq!(read_again(now), 1);
    for failed in [SnapshotReadFailed::Failed, SnapshotReadFailed::Gone] {
        let actions = step(now, answer(Err(failed)));
        assert_eq!(
            (reads(&actions), sent(&actions).len()),
            (0, 0),
            "nothing is done at once: {failed}"
        );
        now = now.after(HEARTBEAT);
        assert_eq!(read_again(now), 1, "{failed}");
    }
    // No bytes, or more than the snapshot has, are a mistake of the driver.
    for found in [0_usize, 5] {
        let data = vec![b'x'; found].into();
        let actions = step(now, answer(Ok(data)));
        let (wanted, found) = (4, found as u64);
        assert_eq!(
            refusal(&actions),
            Some(Refusal::WrongLength { wanted, found })
        );
        now = now.after(HEARTBEAT);
        assert_eq!(read_again(now), 1);
    }
    let actions = step(now, answer(Ok(bytes.to_vec().into())));
    assert_eq!(sent(&actions).len(), 1);
    // The answer to a read that the core did not ask for is ignored.
    assert_eq!(step(now, answer(Ok(bytes.to_vec().into()))), []);
}

/// Steps a node whose disk is instant.
fn step(raft: &mut Raft, at: Time, input: Input) -> Vec<Action> {
    let mut actions = raft.step(Event { at, input });
    let writes = actions.iter().filter_map(|action| match action {
        Action::Persist(write) => Some(write.seq),
        _ => None,
    });
    if let Some(seq) = writes.last() {
        actions.extend(step(raft, at, Input::Persisted { seq }));
    }
    actions
}

// The bug: the answer to a read of an earlier transfer, whose chunks had another length, is refused
// as a defect of the driver.
#[test]
fn a_late_answer_to_a_read_of_another_length_is_no_mistake_of_the_driver() {
    for (earlier, later) in [(2, 3), (3, 2)] {
        let mut cluster = n3_is_behind(|config| {
            config.trailing_entries = 0;
            config.snapshot_chunk_bytes = earlier;
        });
        let snapshot = cluster.compact(1, 9, b"state");
        let mut at = cluster.now;
        let raft = &mut cluster.node(1).raft;
        let from = |node, message| Input::Receive {
            from: NodeId(node),
            message,
            incarnation: None,
        };
        // n3 lacks what the log begins with: a chunk is read for it, at once or when it has said so.
        let reads = |raft: &mut Raft, at, term| {
            let mut actions = step(raft, at, Input::Tick);
            let asked = sent(&actions)
                .into_iter()
                .find_map(|(to, message)| match message {
                    Message::AppendEntries(asked) if to == NodeId(3) => {
                        Some(asked.prev_log.index.0)
                    }
                    _ => None,
                });
            if let Some(prev) = asked {
                actions.extend(step(raft, at, from(3, refused(term, prev, EntryId::ZERO))));
            }
            actions.retain(|action| matches!(action, Action::ReadSnapshot { .. }));
            actions
        };
        let read = |offset, length| Action::ReadSnapshot {
            peer: NodeId(3),
            snapshot,
            offset,
            length,
        };
        at = at.after(HEARTBEAT);
        assert_eq!(reads(raft, at, 1), [read(0, earlier)]);
        // It is led by n2 for a moment, and then leads again, with other settings.
        step(raft, at, from(2, heartbeat(2, EntryId::new(9, 1), 9)));
        let mut config = Box::new(raft.config().clone());
        config.snapshot_chunk_bytes = later;
        let id = RequestId(1);
        step(raft, at, Input::Reconfigure { id, config });
        at = at.after(Duration::from_secs(10));
        step(raft, at, Input::Campaign { id });
        step(raft, at, from(2, vote(3, Vote::Granted)));
        assert_eq!(raft.role(), RoleKind::Leader);
        at = at.after(HEARTBEAT);
        assert_eq!(reads(raft, at, 3), [read(0, later)]);
        let answer = |length| Input::SnapshotRead {
            peer: NodeId(3),
            snapshot,
            offset: 0,
            result: Ok(b"state"[..length as usize].into()),
        };
        let actions = step(raft, at, answer(earlier));
        assert_eq!(refusal(&actions), None);
        let meta = raft.snapshot().unwrap().clone();
        let data = &b"state"[..earlier.min(later) as usize];
        assert_eq!(sent(&actions), [(NodeId(3), chunk(3, &meta, 0, data))]);
        // The answer to the read of this transfer comes too late.
        assert_eq!(step(raft, at, answer(later)), []);
    }
}

// Figure 13, 6: "If existing log entry has same index and term as snapshot's last included
// entry, retain log entries following it and reply."
#[test]
fn an_install_keeps_the_tail_that_agrees_with_the_snapshot() {
    let mut cluster = follower_in_term_1(Disk::Manual);
    let meta = snapshot_meta(EntryId::new(3, 1), b"abc");
    cluster.receive(1, 2, chunk(1, &meta, 0, b"abc"));
    let install = cluster.node(1).waiting[0].install.clone().unwrap();
    assert_eq!(install.log, InstalledLog::KeepsTail);
    assert_eq!(install.snapshot, meta);
    cluster.sync(1, 1);
    assert_eq!(cluster.log(1), ["4@1"]);
    assert_eq!(cluster.restored(1), [Index(3)]);
    cluster.restart(1);
    assert_eq!(cluster.log(1), ["4@1"]);
}

// Figure 13, 7: "Discard the entire log." The bug: an install keeps a tail that conflicts.
#[test]
fn an_install_drops_a_tail_that_conflicts_with_the_snapshot() {
    let mut cluster = follower_in_term_1(Disk::Manual);
    let meta = snapshot_meta(EntryId::new(3, 2), b"abx");
    cluster.receive(1, 2, chunk(2, &meta, 0, b"abx"));
    let install = cluster.node(1).waiting[1].install.clone().unwrap();
    assert_eq!(install.log, InstalledLog::IsDropped);
    cluster.sync(1, 2);
    assert!(cluster.log(1).is_empty());
    assert_eq!(cluster.raft(1).last_log(), EntryId::new(3, 2));
    cluster.restart(1);
    assert!(cluster.log(1).is_empty());
    assert_eq!(cluster.raft(1).last_log(), EntryId::new(3, 2));
}

#[test]
fn nothing_is_handed_out_between_an_install_and_its_restore() {
    let mut cluster = follower_in_term_1(Disk::Manual);
    let meta = snapshot_meta(EntryId::new(4, 1), b"abcd");
    cluster.receive(1, 2, chunk(1, &meta, 0, b"abcd"));
    cluster.receive(1, 2, append(1, EntryId::new(4, 1), &[(5, 1, "e")], 5));
    assert_eq!(cluster.applied(1), ["a", "b"]);
    cluster.sync(1, 2);
    assert_eq!(cluster.restored(1), [Index(4)]);
    assert_eq!(cluster.applied(1), ["e"]);
}

#[test]
fn a_snapshot_older_than_what_is_applied_is_acknowledged_and_not_restored() {
    let mut cluster = Cluster::new(3);
    let meta = snapshot_meta(EntryId::new(3, 1), b"abcdef");
    let log = [(1, 1, "a"), (2, 1, "b"), (3, 1, "c"), (4, 1, "d")];
    cluster.receive(1, 2, chunk(1, &meta, 0, b"abc"));
    // Before the transfer ends, appends bring more entries.
    cluster.receive(1, 2, append(1, EntryId::ZERO, &log, 4));
    cluster.take_packets();
    cluster.receive(1, 2, chunk(1, &meta, 3, b"def"));
    let installed = snapshot_reply(1, meta.id.last, SnapshotOutcome::Installed);
    assert_eq!(cluster.sent_by(1), [(2, installed)]);
    assert!(cluster.restored(1).is_empty());
    assert_eq!(cluster.applied(1), ["a", "b", "c", "d"]);
    assert_eq!(cluster.raft(1).last_log(), EntryId::new(4, 1));
}

#[test]
fn a_chunk_that_could_not_be_written_makes_the_transfer_begin_anew() {
    let mut cluster = Cluster::new(3);
    let meta = snapshot_meta(EntryId::new(3, 1), b"abcdef");
    let mut raft = cluster.raft(1).clone();
    let at = cluster.now;
    let from = NodeId(2);
    let mut step = |input| raft.step(Event { at, input });
    let receive = |message| Input::Receive {
        from,
        message,
        incarnation: None,
    };
    let written = |offset, result| Input::SnapshotWritten {
        snapshot: meta.id,
        offset,
        result,
    };
    step(receive(chunk(1, &meta, 0, b"abc")));
    assert_eq!(sent(&step(written(0, Ok(())))).len(), 1);
    step(receive(chunk(1, &meta, 3, b"def")));
    assert_eq!(step(written(3, Err(SnapshotWriteFailed))), []);
    // The report of a write that is not under way is ignored.
    assert_eq!(step(written(3, Ok(()))), []);
    let actions = step(receive(chunk(1, &meta, 3, b"def")));
    let wants = SnapshotOutcome::Wants { offset: 0 };
    assert_eq!(
        sent(&actions),
        [(from, snapshot_reply(1, meta.id.last, wants))]
    );
    cluster.take_packets();
}

#[test]
fn another_snapshot_discards_the_partial_file() {
    let mut cluster = Cluster::new(3);
    let old = snapshot_meta(EntryId::new(3, 1), b"abcdef");
    let new = snapshot_meta(EntryId::new(5, 1), b"uvwxyz");
    cluster.receive(1, 2, chunk(1, &old, 0, b"abc"));
    cluster.receive(1, 2, chunk(1, &new, 0, b"uvw"));
    assert_eq!(cluster.node(1).partial, b"uvw");
    cluster.take_packets();
    // The same snapshot from another leader, in a later term, begins anew as well.
    cluster.receive(1, 3, chunk(2, &new, 3, b"xyz"));
    let wants = SnapshotOutcome::Wants { offset: 0 };
    assert_eq!(
        cluster.sent_by(1),
        [(3, snapshot_reply(2, new.id.last, wants))]
    );
}
