//! Simpler nemesis operations: shorter, or on fewer servers and links.

use crate::schedule::{Links, NemesisOperation, ReplacementDisk, Schedule, Target};
use core::time::Duration;

/// The number of ways to make an operation simpler.
pub(super) const WAYS: usize = 7;

/// Times below this one are not halved.
const SHORT: Duration = Duration::from_millis(20);

/// The schedule with one nemesis operation made simpler: number `which / WAYS`, in the way
/// `which % WAYS`. `None` if that changes nothing.
pub(super) fn simpler(schedule: &Schedule, which: usize) -> Option<Schedule> {
    let (at, way) = (which / WAYS, which % WAYS);
    let (_, operation) = schedule.nemesis.get(at)?;
    let operation = simplified(operation, way)?;
    let mut simpler = schedule.clone();
    simpler.nemesis.get_mut(at)?.1 = operation;
    Some(simpler)
}

fn simplified(operation: &NemesisOperation, way: usize) -> Option<NemesisOperation> {
    let mut simpler = operation.clone();
    match way {
        0 => halve(lasts(&mut simpler)?),
        1 => halve(takes(&mut simpler)?),
        part => fewer(&mut simpler, part - 2)?,
    }
    (simpler != *operation).then_some(simpler)
}

/// Makes it about half, as a number that reads well.
fn halve(time: &mut Duration) {
    if *time < SHORT {
        return;
    }
    let millis = u64::try_from(time.as_millis() / 2).unwrap_or(u64::MAX);
    let digit = 10_u64.pow(millis.checked_ilog10().unwrap_or(0));
    *time = Duration::from_millis(millis / digit * digit);
}

/// Takes one part of the operation away.
fn fewer(operation: &mut NemesisOperation, part: usize) -> Option<()> {
    match operation {
        NemesisOperation::Noise {
            loss,
            duplicate,
            late,
            corrupt,
            ..
        } => *[loss, duplicate, late, corrupt].into_iter().nth(part)? = 0,
        NemesisOperation::Change {
            roles,
            is_forced,
            is_for_next,
            seen_by,
        } => {
            if part < roles.len() && roles.len() > 1 {
                roles.remove(part);
            } else if !core::mem::take(is_forced) && seen_by.take().is_none() {
                *is_for_next = false;
            }
        }
        NemesisOperation::Cut {
            links: Links::Between(places),
            ..
        } => {
            (part < places.len() && places.len() > 1).then_some(())?;
            places.remove(part);
        }
        NemesisOperation::DamageAll { lost, .. } => *lost /= 2,
        NemesisOperation::Reconfigure { value, .. } => {
            let digit = 10_u64.pow(value.checked_ilog10().unwrap_or(0));
            *value = *value / digit * digit;
        }
        NemesisOperation::Transfer { to } => *to = None,
        NemesisOperation::Unreachable { times, .. } => *times = (*times / 2).max(1),
        NemesisOperation::FlakyDisk { failed, gone, .. } => {
            *[failed, gone].into_iter().nth(part)? = 0;
        }
        // A cut around the machine is easier to read.
        NemesisOperation::Cut { links, .. } if let Links::AllBut(from, _) = *links => {
            *links = Links::Around(Target::Node(from));
        }
        // A node with a new identity is easier to follow than one that has forgotten.
        NemesisOperation::Replace { with, .. } => *with = ReplacementDisk::NewNode,
        NemesisOperation::Cut {
            links: Links::Around(_) | Links::One(..) | Links::AllBut(..),
            ..
        }
        | NemesisOperation::Flaky { .. }
        | NemesisOperation::SlowLink { .. }
        | NemesisOperation::Crash { .. }
        | NemesisOperation::Kill { .. }
        | NemesisOperation::Pause { .. }
        | NemesisOperation::SlowNode { .. }
        | NemesisOperation::SlowDisk { .. }
        | NemesisOperation::FailWrite { .. }
        | NemesisOperation::FailRead { .. }
        | NemesisOperation::Rot { .. }
        | NemesisOperation::Damage { .. }
        | NemesisOperation::Backup { .. }
        | NemesisOperation::Jump { .. }
        | NemesisOperation::Freeze { .. }
        | NemesisOperation::Campaign { .. }
        | NemesisOperation::StepDown { .. }
        | NemesisOperation::Update { .. }
        | NemesisOperation::Snapshot { .. }
        | NemesisOperation::Compact { .. }
        | NemesisOperation::SlowRead { .. }
        | NemesisOperation::SlowService { .. }
        | NemesisOperation::Decay { .. } => return None,
    }
    Some(())
}

/// How long the operation lasts.
fn lasts(operation: &mut NemesisOperation) -> Option<&mut Duration> {
    match operation {
        NemesisOperation::Noise { time, .. }
        | NemesisOperation::Cut { time, .. }
        | NemesisOperation::Flaky { time, .. }
        | NemesisOperation::SlowLink { time, .. }
        | NemesisOperation::Crash { time, .. }
        | NemesisOperation::Kill { time, .. }
        | NemesisOperation::Pause { time, .. }
        | NemesisOperation::SlowNode { time, .. }
        | NemesisOperation::SlowDisk { time, .. }
        | NemesisOperation::FailWrite { time, .. }
        | NemesisOperation::FailRead { time, .. }
        | NemesisOperation::Replace { time, .. }
        | NemesisOperation::Freeze { time, .. }
        | NemesisOperation::Compact { time, .. }
        | NemesisOperation::Unreachable { time, .. }
        | NemesisOperation::SlowRead { time, .. }
        | NemesisOperation::FlakyDisk { time, .. }
        | NemesisOperation::SlowService { time, .. }
        | NemesisOperation::Damage { time, .. }
        | NemesisOperation::DamageAll { time, .. }
        | NemesisOperation::Decay { time, .. } => Some(time),
        NemesisOperation::Rot { .. }
        | NemesisOperation::Backup { .. }
        | NemesisOperation::Jump { .. }
        | NemesisOperation::Transfer { .. }
        | NemesisOperation::Change { .. }
        | NemesisOperation::Campaign { .. }
        | NemesisOperation::StepDown { .. }
        | NemesisOperation::Reconfigure { .. }
        | NemesisOperation::Update { .. }
        | NemesisOperation::Snapshot { .. } => None,
    }
}

/// How long the operation delays, or how far a clock jumps.
fn takes(operation: &mut NemesisOperation) -> Option<&mut Duration> {
    match operation {
        NemesisOperation::Noise { by, .. }
        | NemesisOperation::SlowLink { by, .. }
        | NemesisOperation::SlowNode { by, .. }
        | NemesisOperation::SlowDisk { by, .. }
        | NemesisOperation::SlowRead { by, .. }
        | NemesisOperation::SlowService { by, .. }
        | NemesisOperation::Jump { by, .. } => Some(by),
        NemesisOperation::Cut { .. }
        | NemesisOperation::Flaky { .. }
        | NemesisOperation::Crash { .. }
        | NemesisOperation::Kill { .. }
        | NemesisOperation::Pause { .. }
        | NemesisOperation::FailWrite { .. }
        | NemesisOperation::FailRead { .. }
        | NemesisOperation::Rot { .. }
        | NemesisOperation::Damage { .. }
        | NemesisOperation::DamageAll { .. }
        | NemesisOperation::Replace { .. }
        | NemesisOperation::Backup { .. }
        | NemesisOperation::Compact { .. }
        | NemesisOperation::Unreachable { .. }
        | NemesisOperation::FlakyDisk { .. }
        | NemesisOperation::Decay { .. }
        | NemesisOperation::Freeze { .. }
        | NemesisOperation::Transfer { .. }
        | NemesisOperation::Change { .. }
        | NemesisOperation::Campaign { .. }
        | NemesisOperation::StepDown { .. }
        | NemesisOperation::Reconfigure { .. }
        | NemesisOperation::Update { .. }
        | NemesisOperation::Snapshot { .. } => None,
    }
}
