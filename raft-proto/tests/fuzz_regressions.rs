//! What the fuzzers found, one test each.
#![allow(clippy::unwrap_used)]

use raft_proto::*;

fn config() -> Config {
    let voters = vec![NodeId(1)];
    Config::new(ClusterId(7), NodeId(1), Start::Bootstrap { voters }, 0)
}

/// A storage with a snapshot that ends at `last`.
fn stored(config: &Config, last: EntryId) -> Recovered {
    let voters = match &config.start {
        Start::Bootstrap { voters } => voters.clone(),
        Start::Join => Vec::new(),
    };
    let membership = Membership::new(voters);
    Recovered {
        identity: Some(Identity {
            cluster_id: config.cluster_id,
            group_id: config.group_id,
            node_id: config.node_id,
            bootstrap: membership.clone(),
        }),
        hard_state: HardState {
            term: last.term,
            voted_for: None,
        },
        snapshot: Some(SnapshotMeta {
            id: SnapshotId {
                last,
                size: 0,
                checksum: Checksum::of(&[]),
            },
            membership,
        }),
        ..Recovered::default()
    }
}

fn at(seconds: u64, input: Input) -> Event {
    let at = Time(seconds * 1_000_000_000);
    Event { at, input }
}

#[test]
fn a_leader_with_a_full_log_appends_no_empty_entry() {
    let config = config();
    let full = stored(&config, EntryId::new(Index::MAX.0, 5));
    let mut raft = Raft::new(config, full).unwrap();
    raft.step(at(0, Input::Tick));
    raft.step(at(2, Input::Tick));
    raft.step(at(2, Input::Persisted { seq: Seq(1) }));
    assert_eq!(raft.role(), RoleKind::Leader);
    assert_eq!(raft.last_log().index, Index::MAX);
}
