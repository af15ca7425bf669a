//! Simpler nemesis operations: shorter, or on fewer servers and links.

use crate::schedule::{
    LinkOperation, Links, MachineOperation, NemesisOperation, ReplacementDisk, Schedule, Target,
};
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
        NemesisOperation::AtLinks(operation) => fewer_at_links(operation, part)?,
        NemesisOperation::AtMachine { operation, .. } => fewer_at_machine(operation, part)?,
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
        NemesisOperation::DamageAll { lost, .. } => *lost /= 2,
        NemesisOperation::Transfer { to } => *to = None,
        NemesisOperation::Update { .. } => return None,
    }
    Some(())
}

fn fewer_at_links(operation: &mut LinkOperation, part: usize) -> Option<()> {
    match operation {
        LinkOperation::Noise {
            loss,
            duplicate,
            late,
            corrupt,
            ..
        } => *[loss, duplicate, late, corrupt].into_iter().nth(part)? = 0,
        LinkOperation::Cut { links, .. } => match links {
            Links::Between(places) => {
                (part < places.len() && places.len() > 1).then_some(())?;
                places.remove(part);
            }
            // A cut around the machine is easier to read.
            Links::AllBut(from, _) => *links = Links::Around(Target::Node(*from)),
            Links::Around(_) | Links::One(..) => return None,
        },
        LinkOperation::Unreachable { times, .. } => *times = (*times / 2).max(1),
        LinkOperation::Flaky { .. } | LinkOperation::SlowLink { .. } => return None,
    }
    Some(())
}

fn fewer_at_machine(operation: &mut MachineOperation, part: usize) -> Option<()> {
    match operation {
        MachineOperation::Reconfigure { value, .. } => {
            let digit = 10_u64.pow(value.checked_ilog10().unwrap_or(0));
            *value = *value / digit * digit;
        }
        MachineOperation::FlakyDisk { failed, gone, .. } => {
            *[failed, gone].into_iter().nth(part)? = 0;
        }
        // A node with a new identity is easier to follow than one that has forgotten.
        MachineOperation::Replace { with, .. } => *with = ReplacementDisk::NewNode,
        MachineOperation::Crash { .. }
        | MachineOperation::Kill { .. }
        | MachineOperation::Pause { .. }
        | MachineOperation::SlowNode { .. }
        | MachineOperation::SlowDisk { .. }
        | MachineOperation::FailWrite { .. }
        | MachineOperation::FailRead { .. }
        | MachineOperation::Rot
        | MachineOperation::Damage { .. }
        | MachineOperation::Backup
        | MachineOperation::Jump { .. }
        | MachineOperation::Freeze { .. }
        | MachineOperation::Campaign
        | MachineOperation::StepDown
        | MachineOperation::Strike { .. }
        | MachineOperation::Snapshot
        | MachineOperation::Compact { .. }
        | MachineOperation::SlowRead { .. }
        | MachineOperation::SlowService { .. }
        | MachineOperation::Decay { .. } => return None,
    }
    Some(())
}

/// How long the operation lasts.
fn lasts(operation: &mut NemesisOperation) -> Option<&mut Duration> {
    match operation {
        NemesisOperation::AtLinks(operation) => Some(operation.lasts()),
        NemesisOperation::AtMachine { operation, .. } => operation.lasts(),
        NemesisOperation::DamageAll { time, .. } => Some(time),
        NemesisOperation::Transfer { .. }
        | NemesisOperation::Change { .. }
        | NemesisOperation::Update { .. } => None,
    }
}

/// How long the operation delays, or how far a clock jumps.
fn takes(operation: &mut NemesisOperation) -> Option<&mut Duration> {
    match operation {
        NemesisOperation::AtLinks(operation) => operation.delays(),
        NemesisOperation::AtMachine { operation, .. } => operation.delays(),
        NemesisOperation::DamageAll { .. }
        | NemesisOperation::Transfer { .. }
        | NemesisOperation::Change { .. }
        | NemesisOperation::Update { .. } => None,
    }
}
