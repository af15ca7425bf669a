//! Defects once found in the core: schedules that stalled, accused or silenced somebody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::wildcard_enum_match_arm)]

mod support;
use raft_proto::*;
use std::time::Duration;
use support::*;

/// chunk_wanted ignores every honest answer after a duplicated, late `Wants`.
#[test]
fn a_late_copy_of_an_answer_does_not_stop_a_transfer() {
    let mut c = Cluster::with(3, |config| {
        config.snapshot_chunk_bytes = 4;
        config.trailing_entries = 0;
    });
    c.elect(1);
    for at in 0..10 {
        c.propose(1, &at.to_string()).unwrap();
        c.deliver_if(|p| p.to != NodeId(3));
    }
    c.compact(1, 9, &[7; 40]);
    c.send_heartbeats(1);
    // Deliver step by step; keep a copy of the Wants{4}.
    let mut copy = None;
    let mut wants = 0;
    for _ in 0..1000 {
        if c.queue.is_empty() {
            break;
        }
        let p = c.queue.remove(0);
        if let Message::InstallSnapshotReply(r) = &p.message {
            if r.outcome == (SnapshotOutcome::Wants { offset: 4 }) {
                copy = Some(p.clone());
            }
            wants += 1;
        }
        c.deliver_packet(p.clone());
        if wants == 4 {
            break; // chunk at 16 is now on its way
        }
    }
    let stale = copy.unwrap();
    // The late copy arrives while chunk 16..20 is on its way.
    c.deliver_packet(stale);
    for round in 0..200 {
        for _ in 0..1000 {
            if c.queue.is_empty() {
                break;
            }
            let p = c.queue.remove(0);
            c.deliver_packet(p);
        }
        c.send_heartbeats(1);
        let _ = round;
    }
    c.deliver();
    assert_eq!(
        c.raft(3).commit_index(),
        Index(10),
        "{:?}",
        c.raft(1).status().peers
    );
}

/// duplicate of a refused vote is Rejected.
#[test]
fn a_copy_of_a_refused_vote_is_no_crime() {
    let mut c = Cluster::new(3);
    c.elect(1); // term 1
    c.take_packets();
    // n3 campaigns alone twice.
    c.campaign(3);
    c.take_packets();
    c.campaign(3);
    c.take_packets();
    // n2 campaigns in a lower term; n3 refuses; the refusal is duplicated.
    c.campaign(2);
    let asks = c.take_packets();
    let ask = asks.into_iter().find(|p| p.to == NodeId(3)).unwrap();
    c.deliver_packet(ask);
    let refusal = c.take_packets().remove(0);
    c.deliver_packet(refusal.clone());
    c.deliver_packet(refusal);
    assert!(c.complaints(2).is_empty(), "{:?}", c.complaints(2));
}

/// acknowledgements put off heartbeats though the follower hears nothing.
#[test]
fn a_follower_with_a_slow_disk_hears_its_leader() {
    let mut c = Cluster::new(3);
    c.elect(1);
    c.propose(1, "first").unwrap();
    c.deliver();
    for id in 2..=3 {
        c.node(id).disk = Disk::Manual;
    }
    for at in 0..40 {
        c.propose(1, &at.to_string()).unwrap();
    }
    c.deliver();
    let term = c.raft(1).term();
    // Each write takes 90 ms; one sync a write.
    for _ in 0..40 {
        c.wait(Duration::from_millis(90));
        for id in 2..=3 {
            if !c.node(id).waiting.is_empty() {
                c.sync(id, 1);
            }
        }
        c.deliver();
        for id in 1..=3 {
            let due = c.nodes[&NodeId(id)].wake_at <= c.now;
            if due {
                c.tick(id);
            }
        }
        c.deliver();
        assert_eq!(c.raft(2).term(), term, "n2 campaigned at {}", c.now);
        assert_eq!(c.raft(3).term(), term, "n3 campaigned at {}", c.now);
    }
}

/// copies of one old refusal accuse a healthy follower.
#[test]
fn copies_of_an_old_refusal_are_not_lost_state() {
    let mut c = Cluster::new(3);
    c.elect(1);
    for at in 0..5 {
        c.propose(1, &at.to_string()).unwrap();
        c.deliver_if(|p| p.to != NodeId(3));
    }
    c.take_packets();
    c.campaign(2);
    c.deliver_if(|p| p.to != NodeId(3) && p.from != NodeId(3));
    assert_eq!(c.raft(2).role(), RoleKind::Leader);
    c.send_heartbeats(2);
    // n3 refuses the probe at 5.
    let mut refusal = None;
    for _ in 0..100 {
        if c.queue.is_empty() {
            break;
        }
        let p = c.queue.remove(0);
        if p.from == NodeId(3)
            && let Message::AppendEntriesReply(r) = &p.message
            && matches!(r.outcome, AppendOutcome::Rejected { .. })
        {
            refusal = Some(p.clone());
        }
        c.deliver_packet(p);
    }
    let refusal = refusal.unwrap();
    assert_eq!(c.log(3), c.log(2));
    for _ in 0..3 {
        c.deliver_packet(refusal.clone());
    }
    assert!(c.complaints(2).is_empty(), "{:?}", c.complaints(2));
}

/// while the leader cannot read its snapshot, the follower hears nothing.
#[test]
fn a_follower_is_spoken_to_while_the_snapshot_cannot_be_read() {
    let mut c = Cluster::with(3, |config| {
        config.trailing_entries = 0;
    });
    c.elect(1);
    for at in 0..10 {
        c.propose(1, &at.to_string()).unwrap();
        c.deliver_if(|p| p.to != NodeId(3));
    }
    let id = c.compact(1, 9, &[7; 40]);
    // the file is not readable for a while ("Gone" stands for either failure here)
    let bytes = c.node(1).snapshots.remove(&id).unwrap();
    let mut heard = 0;
    for _ in 0..20 {
        c.send_heartbeats(1);
        let to3 = c.queue.iter().filter(|p| p.to == NodeId(3)).count();
        heard += to3;
        c.deliver();
    }
    c.node(1).snapshots.insert(id, bytes);
    assert!(
        heard >= 15,
        "n3 heard {heard} messages in 20 heartbeat intervals"
    );
}

/// the same with `Failed`.
#[test]
fn failed_reads_do_not_silence_the_leader() {
    let mut config = config(1, 3);
    config.trailing_entries = 0;
    let mut raft = Raft::new(config, Recovered::default()).unwrap();
    let mut now = Time::ZERO;
    let go = |raft: &mut Raft, now: &mut Time, input: Input| -> Vec<Action> {
        let mut out = raft.step(Event { at: *now, input });
        let mut more = Vec::new();
        for a in &out {
            if let Action::Persist(w) = a {
                more.extend(raft.step(Event {
                    at: *now,
                    input: Input::Persisted { seq: w.seq },
                }));
            }
        }
        out.extend(more);
        out
    };
    go(&mut raft, &mut now, Input::Tick);
    now = now.after(Duration::from_millis(1000));
    go(&mut raft, &mut now, Input::Tick);
    let term = raft.term();
    let r = |m| Input::Receive {
        from: NodeId(2),
        message: m,
    };
    go(
        &mut raft,
        &mut now,
        r(Message::RequestVoteReply(RequestVoteReply {
            term,
            vote: Vote::Granted,
        })),
    );
    assert_eq!(raft.role(), RoleKind::Leader);
    go(
        &mut raft,
        &mut now,
        Input::Propose {
            id: RequestId(1),
            commands: bytes::Bytes::from_static(b"x").into(),
        },
    );
    go(
        &mut raft,
        &mut now,
        r(Message::AppendEntriesReply(AppendEntriesReply {
            round: 0,
            term,
            outcome: AppendOutcome::Accepted {
                match_index: Index(0),
                received: Index(0),
            },
        })),
    );
    go(
        &mut raft,
        &mut now,
        r(Message::AppendEntriesReply(AppendEntriesReply {
            round: 0,
            term,
            outcome: AppendOutcome::Accepted {
                match_index: Index(1),
                received: Index(1),
            },
        })),
    );
    assert_eq!(raft.handed_out_index(), Index(1));
    let snapshot = SnapshotId {
        last: EntryId::new(1, term.0),
        size: 4,
        checksum: Checksum::of(b"abcd"),
    };
    go(&mut raft, &mut now, Input::Compact { snapshot });
    go(
        &mut raft,
        &mut now,
        Input::Propose {
            id: RequestId(2),
            commands: bytes::Bytes::from_static(b"x").into(),
        },
    );
    let mut sent = Vec::new();
    for _ in 0..20 {
        now = now.after(HEARTBEAT);
        let out = go(&mut raft, &mut now, Input::Tick);
        let mut n = 0;
        for a in out {
            match a {
                Action::Send { to: NodeId(3), .. } => n += 1,
                Action::ReadSnapshot {
                    peer,
                    snapshot,
                    offset,
                    ..
                } => {
                    go(
                        &mut raft,
                        &mut now,
                        Input::SnapshotRead {
                            peer,
                            snapshot,
                            offset,
                            result: Err(SnapshotReadFailed::Failed),
                        },
                    );
                }
                _ => {}
            }
        }
        sent.push(n);
    }
    assert!(
        sent.iter().all(|n| *n > 0),
        "messages to n3 in each heartbeat interval: {sent:?}"
    );
}

/// the same with `Gone`, for a follower before the base.
#[test]
fn a_snapshot_that_is_gone_does_not_silence_the_leader() {
    let mut config = config(1, 3);
    config.trailing_entries = 0;
    let mut raft = Raft::new(config, Recovered::default()).unwrap();
    let mut now = Time::ZERO;
    let go = |raft: &mut Raft, now: &mut Time, input: Input| -> Vec<Action> {
        let mut out = raft.step(Event { at: *now, input });
        let mut more = Vec::new();
        for a in &out {
            if let Action::Persist(w) = a {
                more.extend(raft.step(Event {
                    at: *now,
                    input: Input::Persisted { seq: w.seq },
                }));
            }
        }
        out.extend(more);
        out
    };
    go(&mut raft, &mut now, Input::Tick);
    now = now.after(Duration::from_millis(1000));
    go(&mut raft, &mut now, Input::Tick);
    let term = raft.term();
    let r = |m| Input::Receive {
        from: NodeId(2),
        message: m,
    };
    go(
        &mut raft,
        &mut now,
        r(Message::RequestVoteReply(RequestVoteReply {
            term,
            vote: Vote::Granted,
        })),
    );
    go(
        &mut raft,
        &mut now,
        Input::Propose {
            id: RequestId(1),
            commands: bytes::Bytes::from_static(b"x").into(),
        },
    );
    go(
        &mut raft,
        &mut now,
        r(Message::AppendEntriesReply(AppendEntriesReply {
            round: 0,
            term,
            outcome: AppendOutcome::Accepted {
                match_index: Index(0),
                received: Index(0),
            },
        })),
    );
    go(
        &mut raft,
        &mut now,
        r(Message::AppendEntriesReply(AppendEntriesReply {
            round: 0,
            term,
            outcome: AppendOutcome::Accepted {
                match_index: Index(1),
                received: Index(1),
            },
        })),
    );
    let snapshot = SnapshotId {
        last: EntryId::new(1, term.0),
        size: 4,
        checksum: Checksum::of(b"abcd"),
    };
    go(&mut raft, &mut now, Input::Compact { snapshot });
    let mut sent = Vec::new();
    for _ in 0..20 {
        now = now.after(HEARTBEAT);
        let out = go(&mut raft, &mut now, Input::Tick);
        let mut n = 0;
        for a in out {
            match a {
                Action::Send { to: NodeId(3), .. } => n += 1,
                Action::ReadSnapshot {
                    peer,
                    snapshot,
                    offset,
                    ..
                } => {
                    go(
                        &mut raft,
                        &mut now,
                        Input::SnapshotRead {
                            peer,
                            snapshot,
                            offset,
                            result: Err(SnapshotReadFailed::Gone),
                        },
                    );
                }
                _ => {}
            }
        }
        sent.push(n);
    }
    assert!(
        sent.iter().skip(1).all(|n| *n > 0),
        "messages to n3 in each heartbeat interval: {sent:?}"
    );
}
