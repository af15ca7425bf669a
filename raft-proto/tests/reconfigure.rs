//! Settings that change while a node runs, and those that do not (`reconfigure.rs`).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs
)]

mod support;

use raft_proto::*;
use std::time::Duration;
use support::*;

fn reconfigure(
    cluster: &mut Cluster,
    id: u64,
    change: impl Fn(&mut Config),
) -> Result<(), ReconfigureError> {
    let mut config = cluster.raft(id).config().clone();
    change(&mut config);
    let config = Box::new(config);
    let request = RequestId(3);
    let actions = cluster.input(
        id,
        Input::Reconfigure {
            id: request,
            config,
        },
    );
    let outcome = actions.iter().find_map(|action| match action {
        Action::Reconfigured { id, outcome } if *id == request => Some(*outcome),
        _ => None,
    });
    outcome.unwrap()
}

fn inflight(cluster: &Cluster, id: u64) -> usize {
    match cluster.peer(1, id).state {
        PeerState::Replicate { inflight } => inflight,
        state => panic!("{state:?}"),
    }
}

#[test]
fn a_limit_that_is_raised_holds_from_the_next_step_on() {
    let mut cluster = leader(3, |config| config.max_inflight_appends = 1, &["a"]);
    cluster.send_heartbeats(1);
    cluster.deliver();
    for _ in 0..3 {
        cluster.propose(1, "b").unwrap();
    }
    assert_eq!(inflight(&cluster, 2), 1);
    reconfigure(&mut cluster, 1, |config| config.max_inflight_appends = 4).unwrap();
    cluster.propose(1, "c").unwrap();
    assert_eq!(inflight(&cluster, 2), 2);
}

#[test]
fn what_is_beyond_a_limit_that_is_lowered_drains() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    cluster.send_heartbeats(1);
    cluster.deliver();
    for _ in 0..5 {
        cluster.propose(1, "b").unwrap();
    }
    assert_eq!(inflight(&cluster, 2), 5);
    reconfigure(&mut cluster, 1, |config| config.max_inflight_appends = 2).unwrap();
    cluster.propose(1, "c").unwrap();
    assert_eq!(inflight(&cluster, 2), 5, "nothing is added");
    cluster.deliver();
    assert_eq!(cluster.applied(2).len(), 7);
    assert_eq!(cluster.applied(3).len(), 7);
}

// The leader's own limit counts at once, a voter's with its next reply.
#[test]
fn a_leader_takes_no_longer_commands_than_it_or_a_voter_takes_now() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    reconfigure(&mut cluster, 2, |config| config.max_entry_bytes = 5).unwrap();
    assert!(cluster.propose(1, "longer").is_ok(), "not heard yet");
    cluster.deliver();
    cluster.send_heartbeats(1);
    cluster.deliver();
    let (node, size, limit) = (NodeId(2), 6, 5);
    assert_eq!(
        cluster.propose(1, "longer"),
        Err(ProposeError::TooLargeFor { node, size, limit })
    );
    reconfigure(&mut cluster, 1, |config| config.max_entry_bytes = 4).unwrap();
    let limit = 4;
    assert_eq!(
        cluster.propose(1, "longer"),
        Err(ProposeError::TooLarge { size, limit })
    );
    // What the log holds already, every node still takes.
    assert_eq!(cluster.applied(2), ["a", "longer"]);
}

#[test]
fn payloads_leave_memory_when_the_limit_is_lowered() {
    let mut cluster = leader(3, |_| {}, &["a", "b"]);
    assert!(cluster.raft(1).status().resident_bytes > 0);
    reconfigure(&mut cluster, 1, |config| {
        config.max_resident_bytes = Some(0)
    })
    .unwrap();
    assert_eq!(cluster.raft(1).status().resident_bytes, 0);
}

// Heartbeats follow the new interval.
#[test]
fn a_leader_beats_in_the_interval_that_is_set() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    let interval = Duration::from_millis(20);
    reconfigure(&mut cluster, 1, |config| {
        config.heartbeat_interval = interval
    })
    .unwrap();
    cluster.send_heartbeats(1);
    cluster.deliver();
    let mut beats = 0;
    for _ in 0..10 {
        cluster.wait(interval);
        cluster.tick(1);
        beats += cluster.sent_by(1).len();
    }
    assert!(beats >= 18, "{beats}");
}

#[test]
fn what_leases_and_identity_rest_on_is_refused_by_name() {
    type Change = fn(&mut Config);
    let changes: [(Change, FixedSetting); 13] = [
        (|it| it.cluster_id = ClusterId(8), FixedSetting::ClusterId),
        (|it| it.group_id = GroupId(8), FixedSetting::ClusterId),
        (|it| it.node_id = NodeId(8), FixedSetting::NodeId),
        (|it| it.start = Start::Join, FixedSetting::Start),
        (
            |it| it.incarnation = Some(Incarnation(1)),
            FixedSetting::Incarnation,
        ),
        (|it| it.seed += 1, FixedSetting::Seed),
        (
            |it| it.election_timeout_min *= 2,
            FixedSetting::ElectionTimeoutMin,
        ),
        (
            |it| it.check_quorum = CheckQuorum::On,
            FixedSetting::CheckQuorum,
        ),
        (
            |it| it.lease = Lease::On { max_drift_ppm: 1 },
            FixedSetting::Lease,
        ),
        (
            |it| it.lease_promise = Some(Duration::from_millis(200)),
            FixedSetting::LeasePromise,
        ),
        (|it| it.pre_vote = PreVoting::On, FixedSetting::PreVote),
        (
            |it| it.leader_noop = LeaderNoop::On,
            FixedSetting::LeaderNoop,
        ),
        (
            |it| it.max_append_bytes = 64 << 20,
            FixedSetting::FrameBytes,
        ),
    ];
    let mut cluster = leader(3, |_| {}, &["a"]);
    for (change, setting) in changes {
        let before = cluster.raft(1).config().clone();
        let refused = Err(ReconfigureError::Fixed(setting));
        assert_eq!(reconfigure(&mut cluster, 1, change), refused);
        assert_eq!(*cluster.raft(1).config(), before);
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    let before = cluster.raft(1).config().clone();
    let zero = |config: &mut Config| config.heartbeat_interval = Duration::ZERO;
    let invalid = Err(ReconfigureError::Invalid);
    assert_eq!(reconfigure(&mut cluster, 1, zero), invalid);
    assert_eq!(*cluster.raft(1).config(), before);
}

// Appends may be shorter or longer as long as the frames, which the transport knows, are not.
#[test]
fn the_length_of_appends_changes_within_the_longest_frame() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    let longer = |config: &mut Config| config.max_append_bytes = 8 << 20;
    reconfigure(&mut cluster, 1, longer).unwrap();
    let raft = cluster.raft(1);
    assert_eq!(raft.config().max_append_bytes, 8 << 20);
    // A checkpoint carries it.
    let copy = Raft::from_checkpoint(&raft.checkpoint()).unwrap();
    assert_eq!(copy.config(), raft.config());
}
