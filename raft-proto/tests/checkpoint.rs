//! A node that is restored from a checkpoint goes on with the same actions, whenever it was taken.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use raft_proto::*;
use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use support::*;

// A model checker holds a node by value, compares it and moves it between threads.
const fn is_a_value<T: Clone + Debug + Eq + Hash + Send + Sync>() {}
const _: () = is_a_value::<Raft>();
const _: () = is_a_value::<Event>();
const _: () = is_a_value::<Action>();

/// The node that its checkpoint restores.
fn restored(raft: &Raft) -> Raft {
    let bytes = raft.checkpoint();
    let copy = Raft::from_checkpoint(&bytes).unwrap();
    assert_eq!(copy, *raft);
    assert_eq!(copy.checkpoint(), bytes);
    assert_eq!(copy.status(), raft.status());
    copy
}

/// Steps a node and its restored copy with the same input. Actions and states must be equal.
fn step_both(cluster: &mut Cluster, id: u64, input: Input) {
    let mut copy = restored(cluster.raft(id));
    let mut twin = cluster.raft(id).clone();
    let at = cluster.now;
    let event = Event { at, input };
    let expected = twin.step(event.clone());
    assert_eq!(copy.step(event.clone()), expected);
    assert_eq!(copy, twin);
    cluster.input(id, event.input);
}

// A schedule with slow disks, lost messages, changes of leader, compaction and a snapshot transfer.
// A checkpoint is taken before every single message.
#[test]
fn a_checkpoint_taken_at_any_time_goes_on_with_equal_actions() {
    let mut cluster = Cluster::with(3, |config| {
        config.trailing_entries = 1;
        config.snapshot_chunk_bytes = 4;
        config.max_inflight_appends = 2;
    });
    let mut seen = HashSet::new();
    for round in 0..160_u64 {
        for id in 1..=3 {
            if round == 0 {
                cluster.node(id).disk = Disk::Manual;
            }
            let count = cluster.node(id).waiting.len();
            if count > 0 && !(round + id).is_multiple_of(3) {
                let seq = cluster.node(id).waiting[0].seq;
                let mut copy = restored(cluster.raft(id));
                let mut twin = cluster.raft(id).clone();
                let event = Event {
                    at: cluster.now,
                    input: Input::Persisted { seq },
                };
                assert_eq!(copy.step(event.clone()), twin.step(event));
                cluster.sync(id, count);
            }
            seen.insert(cluster.raft(id).status().role);
        }
        for (at, packet) in cluster.take_packets().into_iter().enumerate() {
            let lost = (round as usize + at).is_multiple_of(7);
            let n3_is_cut_off =
                (20..80).contains(&round) && [packet.to, packet.from].contains(&NodeId(3));
            if !lost && !n3_is_cut_off {
                let Packet {
                    from, to, message, ..
                } = packet;
                step_both(
                    &mut cluster,
                    to.0,
                    Input::Receive {
                        from,
                        message,
                        incarnation: None,
                    },
                );
            }
        }
        let is_leader = |id: &u64| cluster.raft(*id).role() == RoleKind::Leader;
        if let Some(leader) = (1..=3).find(is_leader) {
            cluster.propose(leader, &round.to_string()).unwrap();
            let last = cluster.raft(leader).handed_out_index().0;
            if round % 10 == 9 && last > 0 {
                cluster.compact(leader, last, b"a snapshot of some length");
            }
        }
        cluster.wait(HEARTBEAT);
        for id in 1..=3 {
            if id < 3 || !(20..80).contains(&round) {
                step_both(&mut cluster, id, Input::Tick);
            }
        }
    }
    assert_eq!(seen.len(), 3, "every role was seen");
    assert!(cluster.raft(1).commit_index() > Index(5));
    assert_ne!(cluster.restored(3), [], "n3 received a snapshot");
}

#[test]
fn a_checkpoint_in_the_middle_of_a_snapshot_transfer_goes_on_on_both_sides() {
    let mut cluster = Cluster::with(3, |config| {
        config.trailing_entries = 0;
        config.snapshot_chunk_bytes = 2;
    });
    cluster.elect(1);
    for command in ["a", "b", "c"] {
        cluster.propose(1, command).unwrap();
        cluster.deliver_if(|packet| packet.to != NodeId(3));
    }
    cluster.compact(1, 3, b"eight by");
    let mut transferring = 0;
    for _ in 0..10 {
        cluster.send_heartbeats(1);
        while !cluster.queue.is_empty() {
            let Packet {
                from, to, message, ..
            } = cluster.queue.remove(0);
            let receives = |peer: &PeerStatus| matches!(peer.state, PeerState::Snapshot { .. });
            transferring += usize::from(cluster.raft(1).status().peers.iter().any(receives));
            step_both(
                &mut cluster,
                to.0,
                Input::Receive {
                    from,
                    message,
                    incarnation: None,
                },
            );
        }
    }
    assert!(transferring > 4);
    assert_eq!(cluster.raft(3).commit_index(), Index(3));
}

#[test]
fn a_checkpoint_keeps_the_fault_of_a_node() {
    let mut cluster = Cluster::new(1);
    cluster.node(1).disk = Disk::Manual;
    cluster.campaign(1);
    cluster.input(1, Input::PersistFailed { seq: Seq(1) });
    let fault = Some(Fault::WriteFailed { seq: Seq(1) });
    assert_eq!(restored(cluster.raft(1)).fault(), fault);
}

/// The checkpoint of a leader.
fn sample() -> Vec<u8> {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.raft(1).checkpoint()
}

#[test]
fn a_checkpoint_that_is_cut_off_is_refused() {
    let bytes = sample();
    for length in 0..bytes.len() {
        let error = Raft::from_checkpoint(&bytes[..length]).unwrap_err();
        let expected = if length < 5 {
            CheckpointError::CutOff
        } else {
            CheckpointError::Checksum
        };
        assert_eq!(error, expected, "{length} of {}", bytes.len());
    }
}

#[test]
fn a_checkpoint_with_any_bit_flipped_is_refused() {
    let bytes = sample();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let error = Raft::from_checkpoint(&damaged).unwrap_err();
            let expected = match at {
                0 => CheckpointError::Version { found: damaged[0] },
                _ => CheckpointError::Checksum,
            };
            assert_eq!(error, expected, "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_checkpoint_of_another_version_is_refused_with_that_version() {
    let mut bytes = sample();
    bytes[0] = 99;
    let error = Raft::from_checkpoint(&bytes).unwrap_err();
    assert_eq!(error, CheckpointError::Version { found: 99 });
    assert!(error.to_string().contains("99"));
}

#[test]
fn a_checkpoint_with_a_good_checksum_and_no_state_is_refused() {
    let mut bytes = vec![sample()[0], 0xff, 0xff, 0xff];
    let checksum = Checksum::of(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    let error = Raft::from_checkpoint(&bytes).unwrap_err();
    assert_eq!(error, CheckpointError::Undecodable);
}

#[test]
fn the_same_seed_gives_the_same_actions_and_another_seed_other_timeouts() {
    let first = |seed| {
        let mut config = config(1, 3);
        config.seed = seed;
        let mut raft = Raft::new(config, Recovered::default()).unwrap();
        let input = Input::Tick;
        raft.step(Event {
            at: Time::ZERO,
            input,
        })
    };
    assert_eq!(first(5), first(5));
    assert_ne!(first(5), first(6));
}

#[test]
fn an_event_older_than_the_last_is_treated_as_happening_at_the_time_of_the_last() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    let leader = cluster.raft(1).clone();
    let (mut early, mut now) = (leader.clone(), leader);
    let at = |at| Event {
        at,
        input: Input::Tick,
    };
    let expected = now.step(at(cluster.now));
    assert_eq!(early.step(at(Time::ZERO)), expected);
    assert_eq!(early, now);
}
