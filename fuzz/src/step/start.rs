//! The node under test: its id, its settings, and what its storage holds at the start.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use raft_proto::*;
use std::time::Duration;

/// The id of the node under test.
pub(super) const NODE: NodeId = NodeId(1);

/// Settings with limits so small that a few steps reach them.
pub(super) fn config(u: &mut Unstructured<'_>) -> Result<Config> {
    let start = match u.int_in_range(0..=7u8)? {
        0 => Start::Join,
        1 => bootstrap(1),
        2 => bootstrap(2),
        3 | 4 => bootstrap(5),
        _ => bootstrap(3),
    };
    let mut config = Config::new(ClusterId(7), NODE, start, u64::from(u.arbitrary::<u8>()?));
    if u.ratio(1, 2)? {
        config.leader_noop = LeaderNoop::Off;
    }
    if u.ratio(1, 4)? {
        config.commit_notice_delay = Duration::from_millis(50);
    }
    if u.ratio(3, 4)? {
        config.max_entry_bytes = 8;
        config.max_append_bytes = u.int_in_range(24..=100)?;
        config.max_inflight_appends = u.int_in_range(1..=3)?;
        config.max_inflight_bytes = config.max_append_bytes * 2;
        config.max_uncommitted_bytes = u.int_in_range(24..=255)?;
        config.max_backlog_bytes = u.int_in_range(24..=600)?;
        config.max_unapplied_bytes = u.int_in_range(24..=100)?;
    }
    if u.ratio(1, 2)? {
        config.pre_vote = PreVoting::Off;
    }
    if u.ratio(1, 2)? {
        config.check_quorum = CheckQuorum::Off;
    } else if u.ratio(1, 2)? {
        config.lease = Lease::On {
            max_drift_ppm: u.int_in_range(0..=Config::MAX_DRIFT_PPM)?,
        };
    }
    if u.ratio(1, 4)? {
        config.max_resident_bytes = Some(u.int_in_range(0..=100)?);
    }
    config.max_waiting_reads = u.int_in_range(1..=4)?;
    config.max_promotion_lag = u.int_in_range(0..=4)?;
    config.snapshot_chunk_bytes = u.int_in_range(1..=20)?;
    config.level = Level::of_service(u.int_in_range(0..=2)?);
    config.trailing_entries = u.int_in_range(0..=3)?;
    Ok(config)
}

fn bootstrap(count: u64) -> Start {
    let voters = (1..=count).map(NodeId);
    Start::voters(voters)
}

/// What the storage holds at the start: mostly nothing, sometimes indexes and terms near their
/// greatest values.
pub(super) fn recovered(u: &mut Unstructured<'_>, config: &Config) -> Result<Recovered> {
    let (index, term) = match u.int_in_range(0..=7u8)? {
        0 => (Index::MAX.0 - 3, 5),
        1 => (Index::MAX.0, Term::MAX.0 - 1),
        2 => (10, Term::MAX.0),
        3 => (10, 5),
        _ => return Ok(Recovered::default()),
    };
    let voters = [NODE, NodeId(2), NodeId(3)];
    let (id, _) = snapshot_of(EntryId::new(index, term), 30);
    Ok(Recovered {
        identity: Some(Identity {
            cluster_id: config.cluster_id,
            group_id: config.group_id,
            node_id: config.node_id,
            bootstrap: Membership::new(voters),
            incarnation: None,
        }),
        hard_state: HardState {
            term: Term(term),
            voted_for: None,
        },
        snapshot: Some(SnapshotMeta {
            id,
            membership: Membership::new(voters),
        }),
        ..Recovered::default()
    })
}

/// The bytes of the snapshot at `last`, and its id.
pub(super) fn snapshot_of(last: EntryId, size: u8) -> (SnapshotId, Bytes) {
    let byte = |at: u8| (last.index.0 as u8).wrapping_mul(31).wrapping_add(at);
    let bytes: Vec<u8> = (0..size).map(byte).collect();
    let id = SnapshotId {
        last,
        size: u64::from(size),
        checksum: Checksum::of(&bytes),
    };
    (id, Bytes::from(bytes))
}
