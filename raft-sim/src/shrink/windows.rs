//! Shorter runs: a stretch of time is left out, with all that happens in it.

use crate::schedule::Schedule;
use core::ops::Range;
use core::time::Duration;
use raft_proto::Time;

/// The number of windows of this length.
pub(super) fn count(schedule: &Schedule, length: Duration) -> usize {
    let (time, length) = (schedule.time.as_nanos(), length.as_nanos().max(1));
    usize::try_from(time.div_ceil(length)).unwrap_or(usize::MAX)
}

/// The length, in whole milliseconds, that divides the run into about so many windows.
pub(super) fn length(schedule: &Schedule, windows: u32) -> Duration {
    let millis = schedule
        .time
        .as_millis()
        .div_ceil(u128::from(windows.max(1)));
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX).max(1))
}

/// The schedule without these windows. What comes after them comes earlier.
pub(super) fn without(
    schedule: &Schedule,
    windows: &Range<usize>,
    length: Duration,
) -> Option<Schedule> {
    let nanos = u64::try_from(length.as_nanos()).ok()?;
    let time = u64::try_from(schedule.time.as_nanos()).ok()?;
    let from = nanos.saturating_mul(windows.start as u64).min(time);
    let to = nanos.saturating_mul(windows.end as u64).min(time);
    let left = time - (to - from);
    if left == 0 {
        return None;
    }
    let moved = |at: &Time| match at.0 {
        at if at < from => Some(Time(at)),
        at if at < to => None,
        at => Some(Time(at - (to - from))),
    };
    let nemesis = schedule.nemesis.iter();
    let operations = schedule.operations.iter();
    Some(Schedule {
        time: Duration::from_nanos(left),
        nemesis: nemesis
            .filter_map(|(at, operation)| Some((moved(at)?, operation.clone())))
            .collect(),
        operations: operations
            .filter_map(|(at, operation)| Some((moved(at)?, *operation)))
            .collect(),
        seed: schedule.seed,
        mutant: schedule.mutant.clone(),
        failure: None,
        settings: schedule.settings.clone(),
    })
}
