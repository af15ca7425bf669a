//! Which snapshots a node keeps because peers fetch them.
//!
//! A peer asks for a snapshot, and then for its bytes, piece by piece. Meanwhile the node may make
//! another one, and needs the first no more. If it deleted that one, the peer would begin anew with
//! the next, and never come to an end where snapshots are made faster than one is fetched. So what
//! was offered is kept until it was fetched, or nobody has asked for a piece of it for a while.
//!
//! A request says not which peer it is of. So what is bounded is the number of snapshots that are
//! kept ([`Offers::MOST`]), not of the peers that fetch them. When as many are kept, a peer is
//! offered one of those, if it will do, and else waits.

use crate::message::{SnapshotId, SnapshotMeta};
use crate::types::{Index, Time};
use alloc::vec::Vec;
use core::time::Duration;

/// The snapshots that were offered to peers. It has no clock of its own, and deletes nothing.
#[derive(Clone, Debug, Default)]
pub struct Offers {
    /// The oldest first.
    kept: Vec<Offer>,
}

#[derive(Clone, Debug)]
struct Offer {
    snapshot: SnapshotMeta,
    /// It is kept until then.
    until: Time,
    /// The node itself needs it no more.
    is_released: bool,
}

impl Offers {
    /// So many are kept at most.
    pub const MOST: usize = 2;
    /// How long one is kept after it was offered, or a piece of it was asked for: longer than a
    /// piece takes over a slow network, and than a peer waits before it tries again.
    pub const IDLE: Duration = Duration::from_secs(60);
    /// How long after its last piece was asked for: others may fetch it, too, and their next request
    /// renews the [longer](Offers::IDLE) time.
    pub const AFTER_LAST: Duration = Duration::from_secs(5);

    /// The snapshot that a peer is to fetch which wants one of the state after `at_least`, or later.
    /// `newest` is the node's own, if it may be given away. It is kept from now on.
    pub fn offer(
        &mut self,
        newest: Option<&SnapshotMeta>,
        at_least: Index,
        now: Time,
    ) -> Option<SnapshotMeta> {
        self.kept
            .retain(|offer| offer.is_released || offer.until > now);
        let reaches = |snapshot: &SnapshotMeta| snapshot.id.last.index >= at_least;
        if let Some(newest) = newest.filter(|newest| reaches(newest)) {
            // Those whose time is over, as they were withdrawn for example, are still to be deleted.
            let kept = self.kept.iter().filter(|offer| offer.until > now).count();
            let is_kept = self.kept.iter().any(|it| it.snapshot.id == newest.id);
            if !is_kept && kept < Self::MOST {
                self.kept.push(Offer {
                    snapshot: newest.clone(),
                    until: now.after(Self::IDLE),
                    is_released: false,
                });
            }
        }
        // The newest of those that are kept is the last.
        let mut kept = self.kept.iter_mut().rev();
        let offer = kept.find(|offer| offer.until > now && reaches(&offer.snapshot))?;
        offer.until = now.after(Self::IDLE);
        Some(offer.snapshot.clone())
    }

    /// Bytes of a snapshot up to `end` were asked for. One whose time is over, or that was
    /// [withdrawn](Offers::withdraw), is not kept for that.
    pub fn asked(&mut self, snapshot: SnapshotId, end: u64, now: Time) {
        let mut kept = self.kept.iter_mut();
        let offer = kept.find(|offer| offer.snapshot.id == snapshot && offer.until > now);
        let Some(offer) = offer else {
            return;
        };
        let is_last = end >= snapshot.size;
        let time = if is_last {
            Self::AFTER_LAST
        } else {
            Self::IDLE
        };
        offer.until = now.after(time);
    }

    /// The node itself needs the snapshot no more. Returns whether it is to be deleted at once; if
    /// not, [`expired`](Offers::expired) names it later.
    pub fn release(&mut self, snapshot: SnapshotId, now: Time) -> bool {
        let mut kept = self.kept.iter_mut();
        let offer = kept.find(|it| it.snapshot.id == snapshot && it.until > now);
        match offer {
            Some(offer) => {
                offer.is_released = true;
                false
            }
            None => {
                self.kept.retain(|it| it.snapshot.id != snapshot);
                true
            }
        }
    }

    /// The state that was offered may be wrong: nobody is offered it again, and what the node does
    /// not need is to be deleted.
    pub fn withdraw(&mut self) {
        self.kept.retain(|offer| offer.is_released);
        self.kept.iter_mut().for_each(|it| it.until = Time::ZERO);
    }

    /// The snapshots that nobody needs any more: they are to be deleted now.
    pub fn expired(&mut self, now: Time) -> Vec<SnapshotId> {
        let is_over = |offer: &Offer| offer.until <= now;
        let over = self.kept.iter().filter(|it| is_over(it) && it.is_released);
        let over = over.map(|offer| offer.snapshot.id).collect();
        self.kept.retain(|offer| !is_over(offer));
        over
    }

    /// When the next one is to be deleted, if no piece of it is asked for until then.
    pub fn next_deletion(&self) -> Option<Time> {
        let released = self.kept.iter().filter(|offer| offer.is_released);
        released.map(|offer| offer.until).min()
    }
}
