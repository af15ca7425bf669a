//! The operations of clients, drawn one by one.

use super::{Draft, whole_micros};
use crate::random::Random;
use crate::schedule::{ClientOperation, OperationKind, ReadKind};
use core::time::Duration;
use raft_proto::Time;

/// Bursts: many operations at the same moment, and then a pause as long as they would have taken.
struct Bursts {
    random: Random,
    /// How many of a thousand operations begin one.
    per_mille: u64,
    /// How many operations are left of the present one.
    left: u64,
    /// How much time it has saved.
    saved: Duration,
}

impl Bursts {
    fn new(mut random: Random) -> Bursts {
        let (has_bursts, often) = (random.chance(300), random.between(1, 20));
        Bursts {
            per_mille: if has_bursts { often } else { 0 },
            left: 0,
            saved: Duration::ZERO,
            random,
        }
    }

    /// The pause before the next operation, which would be `pause` without bursts.
    fn pause(&mut self, pause: Duration) -> Duration {
        if self.per_mille == 0 {
            return pause;
        }
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            self.saved += pause;
            return Duration::ZERO;
        }
        if self.random.chance(self.per_mille) {
            self.left = self.random.between(4, 40);
        }
        pause + core::mem::take(&mut self.saved)
    }
}

/// The operations of all clients until the faults end.
pub(super) struct Operations {
    random: Random,
    now: Time,
    ends: Time,
    /// Twice the mean pause between two operations.
    pause: Duration,
    bursts: Bursts,
    clients: u64,
    keys: u64,
    /// How many of a thousand operations are reads.
    reads: u64,
    has_lease: bool,
    /// The order in which appends took effect shows only in the next read, so that many concurrent
    /// appends are hard to check. Only some runs have them.
    has_appends: bool,
}

impl Operations {
    pub(super) fn new(draft: &Draft, mut random: Random) -> Operations {
        let drawn = random.between(5, 60);
        let rate = draft.request.rate.map_or(drawn, u64::from).max(1);
        Operations {
            now: Time::ZERO,
            ends: Time::from_epoch(draft.request.time),
            pause: Duration::from_nanos(2_000_000_000_u64.div_ceil(rate).max(2)),
            clients: draft.settings.clients.clients.into(),
            keys: random.between(1, 6),
            reads: random.between(100, 800),
            has_appends: random.chance(300),
            bursts: Bursts::new(Random::new(draft.request.seed, "bursts")),
            has_lease: draft.settings.core.lease_max_drift_ppm.is_some(),
            random,
        }
    }

    fn kind(&mut self) -> OperationKind {
        let random = &mut self.random;
        let key = random.below(self.keys);
        if random.chance(self.reads) {
            let kind = match random.below(6) {
                0 => ReadKind::Follower,
                1 => return OperationKind::Get(key),
                2..5 if self.has_lease => ReadKind::Lease,
                _ => ReadKind::Quorum,
            };
            return OperationKind::Read { key, kind };
        }
        match random.below(20) {
            0..12 => OperationKind::Set(key),
            12..16 => OperationKind::CompareAndSet(key),
            16 if self.has_appends => OperationKind::Append(key),
            18 => OperationKind::Delete(key),
            19 => OperationKind::Batch(random.between(2, 12) as u32), // at most 12
            _ => OperationKind::Set(key),
        }
    }
}

impl Iterator for Operations {
    type Item = (Time, ClientOperation);

    fn next(&mut self) -> Option<(Time, ClientOperation)> {
        // Fractions of microseconds add up, too: otherwise short pauses would vanish.
        let pause = self.random.duration(Duration::ZERO, self.pause);
        self.now = self.now.after(self.bursts.pause(pause));
        if self.now >= self.ends {
            return None;
        }
        let client = self.random.below(self.clients) as u32; // below a u32
        let kind = self.kind();
        Some((whole_micros(self.now), ClientOperation { client, kind }))
    }
}
