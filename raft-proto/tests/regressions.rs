//! Defects once found in the core: schedules in which a transfer stalled, a healthy node was
//! accused, or a leader was not heard.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::wildcard_enum_match_arm)]

mod support;

use raft_proto::*;
use std::time::Duration;
use support::*;

/// Delivers the packets in the queue and those that follow, up to `most`, and lets `inspect` see
/// each before. Stops when `inspect` says so.
fn deliver_inspected(
    cluster: &mut Cluster,
    most: usize,
    mut inspect: impl FnMut(&Packet) -> Progress,
) {
    for _ in 0..most {
        if cluster.queue.is_empty() {
            return;
        }
        let packet = cluster.queue.remove(0);
        let progress = inspect(&packet);
        cluster.deliver_packet(packet);
        if progress == Progress::Stop {
            return;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Continue,
    Stop,
}

fn n3_misses(packet: &Packet) -> bool {
    packet.to != NodeId(3)
}

fn n3_is_cut_off(packet: &Packet) -> bool {
    packet.to != NodeId(3) && packet.from != NodeId(3)
}

// The bug: after a late copy of a `Wants` the leader ignores every honest answer to its chunk.
#[test]
fn a_late_copy_of_an_answer_does_not_stop_a_transfer() {
    let mut cluster = n3_is_behind(|config| {
        config.snapshot_chunk_bytes = 4;
        config.trailing_entries = 0;
    });
    cluster.compact(1, 9, &[7; 40]);
    cluster.send_heartbeats(1);
    let mut copy = None;
    let mut answers = 0;
    deliver_inspected(&mut cluster, 1000, |packet| {
        if let Message::InstallSnapshotReply(reply) = &packet.message {
            if reply.outcome == (SnapshotOutcome::Wants { offset: 4 }) {
                copy = Some(packet.clone());
            }
            answers += 1;
        }
        // After the fourth answer the chunk at 16 is on its way.
        if answers == 4 {
            Progress::Stop
        } else {
            Progress::Continue
        }
    });
    cluster.deliver_packet(copy.unwrap());
    for _ in 0..200 {
        deliver_inspected(&mut cluster, 1000, |_| Progress::Continue);
        cluster.send_heartbeats(1);
    }
    cluster.deliver();
    assert_eq!(
        cluster.raft(3).commit_index(),
        Index(10),
        "{:?}",
        cluster.raft(1).status().peers
    );
}

// The bug: the second copy of a refused vote is rejected, as if no correct peer sent it.
#[test]
fn a_copy_of_a_refused_vote_is_not_rejected() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.take_packets();
    // n3 campaigns twice, and nobody hears it.
    cluster.campaign(3);
    cluster.take_packets();
    cluster.campaign(3);
    cluster.take_packets();
    // n2 campaigns in a lower term. n3 refuses its vote, and the reply arrives twice.
    cluster.campaign(2);
    let mut requests = cluster.take_packets().into_iter();
    let request = requests.find(|packet| packet.to == NodeId(3)).unwrap();
    cluster.deliver_packet(request);
    let reply = cluster.take_packets().remove(0);
    cluster.deliver_packet(reply.clone());
    cluster.deliver_packet(reply);
    assert_eq!(cluster.complaints(2), []);
}

// The bug: the acknowledgements of a follower put off its heartbeats, though it hears nothing.
#[test]
fn a_follower_with_a_slow_disk_hears_its_leader() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, "first").unwrap();
    cluster.deliver();
    for id in 2..=3 {
        cluster.node(id).disk = Disk::Manual;
    }
    for at in 0..40 {
        cluster.propose(1, &at.to_string()).unwrap();
    }
    cluster.deliver();
    let term = cluster.raft(1).term();
    // Each write takes 90 ms, and has a sync of its own.
    for _ in 0..40 {
        cluster.wait(Duration::from_millis(90));
        for id in 2..=3 {
            if !cluster.node(id).waiting.is_empty() {
                cluster.sync(id, 1);
            }
        }
        cluster.deliver();
        for id in 1..=3 {
            let due = cluster.node(id).wake_at;
            if due <= cluster.now {
                cluster.tick(id);
            }
        }
        cluster.deliver();
        for id in 2..=3 {
            let now = cluster.now;
            assert_eq!(cluster.raft(id).term(), term, "n{id} campaigned at {now}");
        }
    }
}

// The bug: three copies of one old refusal are taken for a disk that lost its log.
#[test]
fn copies_of_an_old_refusal_are_not_lost_state() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    for at in 0..5 {
        cluster.propose(1, &at.to_string()).unwrap();
        cluster.deliver_if(n3_misses);
    }
    cluster.take_packets();
    cluster.campaign(2);
    cluster.deliver_if(n3_is_cut_off);
    assert_eq!(cluster.raft(2).role(), RoleKind::Leader);
    cluster.send_heartbeats(2);
    // n3 refuses the question at 5.
    let mut refusal = None;
    deliver_inspected(&mut cluster, 100, |packet| {
        if packet.from == NodeId(3)
            && let Message::AppendEntriesReply(reply) = &packet.message
            && matches!(reply.outcome, AppendOutcome::Rejected { .. })
        {
            refusal = Some(packet.clone());
        }
        Progress::Continue
    });
    let refusal = refusal.unwrap();
    assert_eq!(cluster.log(3), cluster.log(2));
    for _ in 0..3 {
        cluster.deliver_packet(refusal.clone());
    }
    assert_eq!(cluster.complaints(2), []);
}

// The bug: while the leader cannot read its snapshot, it sends the follower nothing.
#[test]
fn a_follower_hears_its_leader_while_the_snapshot_cannot_be_read() {
    let mut cluster = n3_is_behind(|config| config.trailing_entries = 0);
    let id = cluster.compact(1, 9, &[7; 40]);
    // Each read is answered with `Gone`.
    let bytes = cluster.node(1).snapshots.remove(&id).unwrap();
    let mut heard = 0;
    for _ in 0..20 {
        cluster.send_heartbeats(1);
        let to_n3 = cluster.queue.iter().filter(|packet| !n3_misses(packet));
        heard += to_n3.count();
        cluster.deliver();
    }
    cluster.node(1).snapshots.insert(id, bytes);
    assert!(
        heard >= 15,
        "n3 heard {heard} messages in 20 heartbeat intervals"
    );
}

/// n1 leads with the vote of n2 and has compacted its first entry. n3 has said nothing yet.
struct CompactedLeader {
    raft: Raft,
    now: Time,
}

impl CompactedLeader {
    fn new() -> CompactedLeader {
        let mut config = config(1, 3);
        config.trailing_entries = 0;
        let mut leader = CompactedLeader {
            raft: Raft::new(config, Recovered::default()).unwrap(),
            now: Time::ZERO,
        };
        leader.step(Input::Tick);
        leader.now = leader.now.after(Duration::from_millis(1000));
        leader.step(Input::Tick);
        let term = leader.raft.term().0;
        leader.receive_from_n2(vote(term, Vote::Granted));
        assert_eq!(leader.raft.role(), RoleKind::Leader);
        leader.propose();
        leader.receive_from_n2(accepted(term, 0));
        leader.receive_from_n2(accepted(term, 1));
        assert_eq!(leader.raft.handed_out_index(), Index(1));
        let snapshot = snapshot_meta(EntryId::new(1, term), b"abcd").id;
        leader.step(Input::Compact { snapshot });
        leader
    }

    /// Takes an input, and completes at once the writes that follow.
    fn step(&mut self, input: Input) -> Vec<Action> {
        let at = self.now;
        let mut actions = self.raft.step(Event { at, input });
        let mut later = Vec::new();
        for action in &actions {
            if let Action::Persist(write) = action {
                let input = Input::Persisted { seq: write.seq };
                later.extend(self.raft.step(Event { at, input }));
            }
        }
        actions.extend(later);
        actions
    }

    fn receive_from_n2(&mut self, message: Message) {
        let from = NodeId(2);
        self.step(Input::Receive {
            from,
            message,
            incarnation: None,
        });
    }

    fn propose(&mut self) {
        self.step(Input::Propose {
            id: RequestId(1),
            commands: bytes::Bytes::from_static(b"x").into(),
        });
    }

    /// How many messages n3 is sent in each of 20 heartbeat intervals, in which every read of the
    /// snapshot fails.
    fn messages_to_n3_while_reads_fail(&mut self, failure: SnapshotReadFailed) -> Vec<usize> {
        let mut messages = Vec::new();
        for _ in 0..20 {
            self.now = self.now.after(HEARTBEAT);
            let actions = self.step(Input::Tick);
            let to_n3 = |action: &&Action| matches!(action, Action::Send { to: NodeId(3), .. });
            messages.push(actions.iter().filter(to_n3).count());
            for action in actions {
                if let Action::ReadSnapshot {
                    peer,
                    snapshot,
                    offset,
                    ..
                } = action
                {
                    self.step(Input::SnapshotRead {
                        peer,
                        snapshot,
                        offset,
                        result: Err(failure),
                    });
                }
            }
        }
        messages
    }
}

// The bug: a leader whose reads of the snapshot fail sends the follower nothing.
#[test]
fn failed_reads_do_not_silence_the_leader() {
    let mut leader = CompactedLeader::new();
    leader.propose();
    let messages = leader.messages_to_n3_while_reads_fail(SnapshotReadFailed::Failed);
    assert!(
        messages.iter().all(|count| *count > 0),
        "messages to n3 in each heartbeat interval: {messages:?}"
    );
}

// The same bug, when the snapshot is gone and the follower needs an entry before the log's base.
#[test]
fn a_snapshot_that_is_gone_does_not_silence_the_leader() {
    let mut leader = CompactedLeader::new();
    let messages = leader.messages_to_n3_while_reads_fail(SnapshotReadFailed::Gone);
    assert!(
        messages.iter().skip(1).all(|count| *count > 0),
        "messages to n3 in each heartbeat interval: {messages:?}"
    );
}
