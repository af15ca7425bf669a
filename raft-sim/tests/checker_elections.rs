//! The votes for a leader, and the members in snapshots.
#![allow(clippy::unwrap_used)]

use raft_proto::{
    EntryId, Index, Install, InstalledLog, Membership, NodeId, SnapshotId, SnapshotMeta, Term,
    Write,
};
use raft_sim::checker::{SnapshotMembers, Violation, election_quorum};

#[test]
fn a_leader_needs_more_than_half_of_the_votes() {
    let four = Membership::new([1, 2, 3, 4].map(NodeId));
    let by = |most: u64| election_quorum::check(NodeId(1), Term(3), &four, |id| id.0 <= most);
    assert_eq!(by(3), Ok(()));
    let broken = by(2).unwrap_err();
    let text = "n1 leads in term 3, but at most n1 n2 voted for it";
    assert_eq!(broken.to_string(), text);
}

#[test]
fn a_snapshot_holds_the_members_as_of_its_last_entry() {
    let (old, new) = (
        Membership::new([1, 2, 3].map(NodeId)),
        Membership::new([1, 2, 4].map(NodeId)),
    );
    let mut members = SnapshotMembers::default();
    members.changed(NodeId(1), Index(5), &old);
    members.changed(NodeId(1), Index(9), &new);
    let compacted = |last, membership| members.compacted(NodeId(1), Index(last), membership);
    assert_eq!(compacted(8, &old), Ok(()));
    assert_eq!(compacted(9, &new), Ok(()));
    let broken = compacted(8, &new).unwrap_err();
    assert!(
        matches!(broken, Violation::SnapshotOfOtherMembers { since, .. } if since == Index(5)),
        "{broken}"
    );
    assert!(compacted(9, &old).is_err());
    // Snapshots from before the first known configuration are not checked.
    assert_eq!(compacted(4, &new), Ok(()));
    // A change that is overwritten does not count any more.
    let mut members = SnapshotMembers::default();
    members.changed(NodeId(1), Index(9), &new);
    members.changed(NodeId(1), Index(7), &old);
    assert_eq!(members.compacted(NodeId(1), Index(9), &old), Ok(()));
}

#[test]
fn an_installed_snapshot_drops_the_configurations_of_the_entries_that_it_drops() {
    let (old, new) = (
        Membership::new([1, 2, 3].map(NodeId)),
        Membership::new([1, 2, 4].map(NodeId)),
    );
    let id = SnapshotId {
        last: EntryId::new(6, 1),
        size: 1,
        checksum: 0,
    };
    for (log, as_of_ten) in [
        (InstalledLog::KeepsTail, &new),
        (InstalledLog::IsDropped, &old),
    ] {
        let mut members = SnapshotMembers::default();
        members.changed(NodeId(1), Index(2), &old);
        members.changed(NodeId(1), Index(9), &new);
        let snapshot = SnapshotMeta {
            id,
            membership: old.clone(),
        };
        let write = Write {
            install: Some(Box::new(Install { snapshot, log })),
            ..Write::default()
        };
        members.written(NodeId(1), &write).unwrap();
        assert_eq!(members.compacted(NodeId(1), Index(8), &old), Ok(()));
        assert_eq!(members.compacted(NodeId(1), Index(10), as_of_ten), Ok(()));
        assert!(members.compacted(NodeId(1), Index(8), &new).is_err());
        // After a restart, the configurations of the entries that stay are not known.
        members.stopped(NodeId(1));
        members.written(NodeId(1), &write).unwrap();
        let checked = members.compacted(NodeId(1), Index(10), &new).is_err();
        assert_eq!(checked, log == InstalledLog::IsDropped);
    }
}
