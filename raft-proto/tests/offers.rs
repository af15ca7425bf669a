//! A snapshot that was offered to a peer is kept as long as it is fetched, and no longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_proto::mending::Offers;
use raft_proto::{EntryId, Index, Membership, NodeId, SnapshotId, SnapshotMeta, Time};

/// Of the state after this entry. It has 100 bytes.
fn snapshot(last: u64) -> SnapshotMeta {
    SnapshotMeta {
        id: SnapshotId::of(EntryId::new(last, 1), &[7; 100]),
        membership: Membership::new([NodeId(1), NodeId(2)]),
    }
}

fn id(last: u64) -> SnapshotId {
    snapshot(last).id
}

fn second(number: u64) -> Time {
    Time::ZERO.after(std::time::Duration::from_secs(number))
}

/// Offers the newest, and returns the last entry of what is offered.
fn offer(offers: &mut Offers, newest: u64, at_least: u64, at: u64) -> Option<u64> {
    let newest = snapshot(newest);
    let offered = offers.offer(Some(&newest), Index(at_least), second(at))?;
    Some(offered.id.last.index.0)
}

#[test]
fn what_is_fetched_stays_although_there_is_a_newer_one() {
    let mut offers = Offers::default();
    assert_eq!(offer(&mut offers, 5, 3, 0), Some(5));
    assert!(!offers.release(id(5), second(1)), "it is being fetched");
    // Each piece renews the time.
    for at in (50..500).step_by(50) {
        offers.asked(id(5), 60, second(at));
        assert_eq!(offers.expired(second(at + 59)), []);
    }
    assert_eq!(offers.next_deletion(), Some(second(450 + 60)));
    assert_eq!(offers.expired(second(510)), [id(5)]);
    assert_eq!(offers.expired(second(999)), [], "once");
    assert!(offers.release(id(5), second(999)));
}

#[test]
fn what_was_fetched_is_deleted_soon_unless_another_peer_fetches_it_too() {
    let mut offers = Offers::default();
    assert_eq!(offer(&mut offers, 5, 3, 0), Some(5));
    assert!(!offers.release(id(5), second(1)));
    offers.asked(id(5), 100, second(2));
    offers.asked(id(5), 40, second(3));
    assert_eq!(offers.expired(second(60)), [], "another one has begun");
    offers.asked(id(5), 100, second(61));
    assert_eq!(offers.expired(second(65)), []);
    assert_eq!(offers.expired(second(66)), [id(5)]);
}

#[test]
fn what_nobody_fetches_is_deleted_at_once() {
    let mut offers = Offers::default();
    assert!(offers.release(id(4), second(0)), "it was never offered");
    assert_eq!(offer(&mut offers, 5, 3, 0), Some(5));
    assert!(offers.release(id(5), second(60)), "nobody has asked");
    assert_eq!(offers.next_deletion(), None);
}

#[test]
fn what_the_node_needs_itself_is_never_named() {
    let mut offers = Offers::default();
    assert_eq!(offer(&mut offers, 5, 3, 0), Some(5));
    assert_eq!(offers.next_deletion(), None);
    assert_eq!(offers.expired(second(999)), []);
    // It takes no place, either.
    assert_eq!(offer(&mut offers, 6, 3, 999), Some(6));
    assert_eq!(offer(&mut offers, 7, 3, 999), Some(7));
}

#[test]
fn no_more_are_kept_than_some_and_the_others_are_offered_one_of_those() {
    let mut offers = Offers::default();
    assert_eq!(Offers::MOST, 2);
    assert_eq!(offer(&mut offers, 5, 3, 0), Some(5));
    assert_eq!(offer(&mut offers, 6, 3, 1), Some(6));
    assert_eq!(offer(&mut offers, 7, 3, 2), Some(6), "two are kept");
    assert_eq!(
        offer(&mut offers, 7, 7, 2),
        None,
        "neither reaches that far"
    );
    assert!(offers.release(id(7), second(3)), "it was not offered");
    // The first one was not asked for, and the node itself needs it no more.
    assert!(!offers.release(id(5), second(4)));
    assert_eq!(offers.expired(second(60)), [id(5)]);
    assert_eq!(offer(&mut offers, 8, 7, 60), Some(8));
}

#[test]
fn a_state_that_may_be_wrong_is_offered_to_nobody() {
    let mut offers = Offers::default();
    assert_eq!(offer(&mut offers, 5, 3, 0), Some(5));
    assert!(!offers.release(id(5), second(1)));
    assert_eq!(offer(&mut offers, 6, 3, 1), Some(6));
    offers.withdraw();
    assert_eq!(offers.expired(second(1)), [id(5)]);
    assert_eq!(offers.offer(None, Index(3), second(1)), None);
}

#[test]
fn what_was_withdrawn_is_never_offered_again_and_takes_no_place() {
    let mut offers = Offers::default();
    for last in [5, 6] {
        assert_eq!(offer(&mut offers, last, last, 0), Some(last));
        assert!(!offers.release(id(last), second(1)));
    }
    // Both may be wrong. The state was replaced before they were deleted.
    offers.withdraw();
    // One that was being fetched is not kept for its next piece either.
    offers.asked(id(6), 40, second(2));
    assert_eq!(offer(&mut offers, 9, 4, 2), Some(9));
    assert_eq!(
        offers.offer(None, Index(6), second(3)).map(|it| it.id),
        Some(id(9))
    );
    assert_eq!(offers.expired(second(4)), [id(5), id(6)]);
}
