//! A member that is held back because of its limits (`limits.rs`) goes on once it can.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs
)]

mod support;

use raft_proto::*;
use support::*;

/// The longest command of all nodes: longer than what every node takes.
const LONGEST: u64 = 17 << 20;

fn long_commands(config: &mut Config) {
    config.max_entry_bytes = LONGEST;
    config.max_append_bytes = LONGEST + ENTRY_OVERHEAD;
    config.max_inflight_bytes = 4 * LONGEST;
    config.max_unapplied_bytes = 4 * LONGEST;
    config.trailing_entries = 0;
}

// n3 was down, and is sent a snapshot. Its answers to appends, which say what it takes, are lost at
// first. So the leader holds back what is longer than what every node takes.
#[test]
fn a_member_is_sent_the_longest_command_once_it_has_said_that_it_takes_it() {
    let mut cluster = Cluster::with(3, long_commands);
    cluster.campaign(1);
    cluster.deliver_if(|packet| packet.to != NodeId(3));
    cluster.propose(1, "a").unwrap();
    cluster.deliver_if(|packet| packet.to != NodeId(3));
    cluster.compact(1, 1, b"a");
    let says_limits = |packet: &Packet| {
        packet.from == NodeId(3) && packet.message.kind() == MessageKind::AppendEntriesReply
    };
    for _ in 0..20 {
        cluster.send_heartbeats(1);
        cluster.deliver_if(|packet| !says_limits(packet));
    }
    assert_eq!(cluster.peer(1, 3).match_index, Index(1));
    cluster.propose(1, &"x".repeat(LONGEST as usize)).unwrap();
    cluster.deliver_if(|packet| !says_limits(packet));
    assert_eq!(cluster.raft(1).commit_index(), Index(2));
    for _ in 0..100 {
        cluster.send_heartbeats(1);
        cluster.deliver();
    }
    assert_eq!(cluster.peer(1, 3).match_index, Index(2));
}

// The bug: the leader sends a peer that says that it takes nothing chunks of no bytes, and takes no
// command from anybody.
#[test]
fn a_peer_that_says_that_it_takes_nothing_is_not_believed() {
    let mut cluster = Cluster::with(3, |config| config.trailing_entries = 0);
    cluster.elect(1);
    for (max_entry_bytes, max_payload_bytes) in [(0, 0), (0, 100), (100, 0)] {
        let outcome = AppendOutcome::Accepted {
            match_index: Index(0),
            received: Index(0),
        };
        let reply = Message::AppendEntriesReply(AppendEntriesReply {
            term: cluster.raft(1).term(),
            outcome,
            round: 0,
            limits: Some(MessageLimits {
                max_entry_bytes,
                max_payload_bytes,
                level: Level::ZERO,
            }),
        });
        let actions = cluster.receive(1, 3, reply);
        assert_eq!(rejection(&actions), Some(Rejection::Inconsistent));
        cluster.propose(1, "a").unwrap();
        cluster.deliver_if(|packet| packet.to != NodeId(3));
    }
}
