//! Simpler deeds: shorter ones, and ones that befall fewer.

use crate::schedule::{Deed, Links, Schedule};
use core::time::Duration;

/// How many ways there are to make one deed simpler.
pub(super) const WAYS: usize = 7;

/// Times below this one are not halved.
const SHORT: Duration = Duration::from_millis(20);

/// With one of the deeds made simpler in one of [`WAYS`].
pub(super) fn simpler(schedule: &Schedule, which: usize) -> Option<Schedule> {
    let (at, way) = (which / WAYS, which % WAYS);
    let (_, deed) = schedule.deeds.get(at)?;
    let deed = simplified(deed, way)?;
    let mut simpler = schedule.clone();
    simpler.deeds.get_mut(at)?.1 = deed;
    Some(simpler)
}

fn simplified(deed: &Deed, way: usize) -> Option<Deed> {
    let mut simpler = deed.clone();
    match way {
        0 => halve(lasts(&mut simpler)?),
        1 => halve(takes(&mut simpler)?),
        part => fewer(&mut simpler, part - 2)?,
    }
    (simpler != *deed).then_some(simpler)
}

/// About half of it, as a number that reads well.
fn halve(time: &mut Duration) {
    if *time < SHORT {
        return;
    }
    let millis = u64::try_from(time.as_millis() / 2).unwrap_or(u64::MAX);
    let digit = 10_u64.pow(millis.checked_ilog10().unwrap_or(0));
    *time = Duration::from_millis(millis / digit * digit);
}

/// One part of it less.
fn fewer(deed: &mut Deed, part: usize) -> Option<()> {
    match deed {
        Deed::Noise {
            loss,
            duplicate,
            late,
            corrupt,
            ..
        } => {
            let rates = [loss, duplicate, late, corrupt];
            *rates.into_iter().nth(part)? = 0;
        }
        Deed::Change {
            wishes,
            is_forced,
            is_for_next,
        } => match part < wishes.len() && wishes.len() > 1 {
            true => drop(wishes.remove(part)),
            false if *is_forced => *is_forced = false,
            false => *is_for_next = false,
        },
        Deed::Cut {
            links: Links::Between(places),
            ..
        } => {
            (part < places.len() && places.len() > 1).then_some(())?;
            places.remove(part);
        }
        Deed::Transfer { to } => *to = None,
        Deed::Cut {
            links: Links::Around(_) | Links::One(..),
            ..
        }
        | Deed::Flaky { .. }
        | Deed::SlowLink { .. }
        | Deed::Crash { .. }
        | Deed::Kill { .. }
        | Deed::Pause { .. }
        | Deed::SlowNode { .. }
        | Deed::SlowDisk { .. }
        | Deed::FailWrite { .. }
        | Deed::FailRead { .. }
        | Deed::Rot { .. }
        | Deed::Replace { .. }
        | Deed::Jump { .. }
        | Deed::Freeze { .. }
        | Deed::Snapshot { .. } => return None,
    }
    Some(())
}

/// How long it lasts.
fn lasts(deed: &mut Deed) -> Option<&mut Duration> {
    match deed {
        Deed::Noise { time, .. }
        | Deed::Cut { time, .. }
        | Deed::Flaky { time, .. }
        | Deed::SlowLink { time, .. }
        | Deed::Crash { time, .. }
        | Deed::Kill { time, .. }
        | Deed::Pause { time, .. }
        | Deed::SlowNode { time, .. }
        | Deed::SlowDisk { time, .. }
        | Deed::FailWrite { time, .. }
        | Deed::FailRead { time, .. }
        | Deed::Replace { time, .. }
        | Deed::Freeze { time, .. } => Some(time),
        Deed::Rot { .. }
        | Deed::Jump { .. }
        | Deed::Transfer { .. }
        | Deed::Change { .. }
        | Deed::Snapshot { .. } => None,
    }
}

/// By how much it delays, or how far it goes.
fn takes(deed: &mut Deed) -> Option<&mut Duration> {
    match deed {
        Deed::Noise { by, .. }
        | Deed::SlowLink { by, .. }
        | Deed::SlowNode { by, .. }
        | Deed::SlowDisk { by, .. }
        | Deed::Jump { by, .. } => Some(by),
        Deed::Cut { .. }
        | Deed::Flaky { .. }
        | Deed::Crash { .. }
        | Deed::Kill { .. }
        | Deed::Pause { .. }
        | Deed::FailWrite { .. }
        | Deed::FailRead { .. }
        | Deed::Rot { .. }
        | Deed::Replace { .. }
        | Deed::Freeze { .. }
        | Deed::Transfer { .. }
        | Deed::Change { .. }
        | Deed::Snapshot { .. } => None,
    }
}
