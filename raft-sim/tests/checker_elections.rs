//! Who voted for a leader, and which members snapshots hold.
#![allow(clippy::unwrap_used)]

use raft_proto::{
    EntryId, Index, Install, InstalledLog, Membership, NodeId, SnapshotId, SnapshotMeta, Term,
    Write,
};
use raft_sim::checker::{SnapshotMembers, Violation, election_quorum};

#[test]
fn a_leader_that_half_of_the_voters_voted_for_is_none() {
    let four = Membership::new([1, 2, 3, 4].map(NodeId));
    let by = |most: u64| election_quorum::check(NodeId(1), Term(3), &four, |id| id.0 <= most);
    assert_eq!(by(3), Ok(()));
    let broken = by(2).unwrap_err();
    let text = "n1 leads in term 3, but only n1 n2 can have voted for it";
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
    // Before the first that is known nothing is judged.
    assert_eq!(compacted(4, &new), Ok(()));
    // A change that is overwritten is out of force.
    let mut members = SnapshotMembers::default();
    members.changed(NodeId(1), Index(9), &new);
    members.changed(NodeId(1), Index(7), &old);
    assert_eq!(members.compacted(NodeId(1), Index(9), &old), Ok(()));
}

#[test]
fn an_installed_snapshot_drops_the_members_of_what_it_drops_and_no_others() {
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
    }
}
