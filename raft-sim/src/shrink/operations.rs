//! Simpler operations of clients, and fewer clients.

use crate::schedule::{OperationKind, ReadKind, Schedule};
use raft_proto::Time;
use std::collections::BTreeSet;

/// The number of ways to make an operation simpler.
pub(super) const WAYS: usize = 3;

/// The schedule with one operation made simpler: number `which / WAYS`, in the way `which % WAYS`.
/// `None` if that changes nothing.
pub(super) fn simpler(schedule: &Schedule, which: usize) -> Option<Schedule> {
    let (at, way) = (which / WAYS, which % WAYS);
    let (_, operation) = schedule.operations.get(at)?;
    let ask = match (way, operation.kind) {
        (
            0,
            OperationKind::Append(key)
            | OperationKind::CompareAndSet(key)
            | OperationKind::Delete(key),
        ) => OperationKind::Set(key),
        (0, OperationKind::Get(key)) => OperationKind::Read {
            key,
            kind: ReadKind::Quorum,
        },
        (0, OperationKind::Batch(_)) => OperationKind::Set(0),
        (1, OperationKind::Batch(count)) if count > 1 => OperationKind::Batch(count / 2),
        (0, OperationKind::Call(number)) if number > 0 => OperationKind::Call(0),
        (1, OperationKind::Call(number)) if number > 1 => OperationKind::Call(number / 2),
        (2, OperationKind::Set(key)) if key > 0 => OperationKind::Set(0),
        (2, OperationKind::Read { key, kind }) if key > 0 => OperationKind::Read { key: 0, kind },
        (_, _) => return None,
    };
    let mut simpler = schedule.clone();
    simpler.operations.get_mut(at)?.1.kind = ask;
    Some(simpler)
}

/// The schedule without clients that have no operations. The others are renumbered.
pub(super) fn fewer_clients(schedule: &Schedule) -> Option<Schedule> {
    let clients = schedule.operations.iter();
    let clients: BTreeSet<u32> = clients.map(|(_, operation)| operation.client).collect();
    let count = u32::try_from(clients.len().max(1)).ok()?;
    if count == schedule.settings.clients.clients {
        return None;
    }
    let mut simpler = schedule.clone();
    simpler.settings.clients.clients = count;
    for (_, operation) in &mut simpler.operations {
        let place = clients.range(..operation.client).count();
        operation.client = u32::try_from(place).ok()?;
    }
    Some(simpler)
}

/// The schedule with all operations by one client.
pub(super) fn one_client(schedule: &Schedule) -> Option<Schedule> {
    if schedule.settings.clients.clients == 1 {
        return None;
    }
    let mut simpler = schedule.clone();
    simpler.settings.clients.clients = 1;
    for (_, operation) in &mut simpler.operations {
        operation.client = 0;
    }
    Some(simpler)
}

/// The schedule with all times rounded down to multiples of `step` nanoseconds.
pub(super) fn rounded(schedule: &Schedule, step: u64) -> Option<Schedule> {
    let round = |at: &mut Time| at.0 = at.0 / step * step;
    let mut simpler = schedule.clone();
    simpler.nemesis.iter_mut().for_each(|(at, _)| round(at));
    simpler.operations.iter_mut().for_each(|(at, _)| round(at));
    (simpler != *schedule).then_some(simpler)
}
