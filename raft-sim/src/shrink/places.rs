//! Fewer servers.

use crate::schedule::{LinkOperation, Links, NemesisOperation, Place, Schedule, Target};

/// The schedule without this server. Operations on it are left out, and the servers after it are
/// renumbered.
pub(super) fn without(schedule: &Schedule, gone: Place) -> Option<Schedule> {
    let settings = &schedule.settings;
    if settings.servers() < 2 || (settings.nodes < 2 && gone.0 == 0) {
        return None;
    }
    let mut smaller = schedule.clone();
    if gone.0 < settings.nodes as usize {
        smaller.settings.nodes -= 1;
    } else {
        smaller.settings.spares -= 1;
    }
    if gone.0 < smaller.settings.priorities.len() {
        smaller.settings.priorities.remove(gone.0);
    }
    if gone.0 < smaller.settings.drift_ppm.len() {
        smaller.settings.drift_ppm.remove(gone.0);
    }
    if gone.0 < smaller.settings.limits.len() {
        smaller.settings.limits.remove(gone.0);
    }
    if gone.0 < smaller.settings.releases.first.len() {
        smaller.settings.releases.first.remove(gone.0);
    }
    smaller.nemesis = core::mem::take(&mut smaller.nemesis)
        .into_iter()
        .filter_map(|(at, operation)| Some((at, without_place(operation, gone)?)))
        .collect();
    Some(smaller)
}

fn renumber(place: &mut Place, gone: Place) -> Option<()> {
    match place.0.cmp(&gone.0) {
        core::cmp::Ordering::Less => Some(()),
        core::cmp::Ordering::Equal => None,
        core::cmp::Ordering::Greater => {
            place.0 -= 1;
            Some(())
        }
    }
}

fn retarget(target: &mut Target, gone: Place) -> Option<()> {
    match target {
        Target::Node(place) => renumber(place, gone),
        Target::Leader => Some(()),
    }
}

/// The operation with renumbered servers; `None` if nothing is left of it.
fn without_place(mut operation: NemesisOperation, gone: Place) -> Option<NemesisOperation> {
    match &mut operation {
        NemesisOperation::AtLinks(operation) => without_link(operation, gone)?,
        NemesisOperation::AtMachine { of, .. } => retarget(of, gone)?,
        NemesisOperation::DamageAll { .. } => {}
        NemesisOperation::Update { of, .. } => renumber(of, gone)?,
        NemesisOperation::Transfer { to } => {
            if let Some(place) = to {
                renumber(place, gone)?;
            }
        }
        NemesisOperation::Change { roles, seen_by, .. } => {
            roles.retain_mut(|(place, _)| renumber(place, gone).is_some());
            (!roles.is_empty()).then_some(())?;
            if let Some(place) = seen_by {
                renumber(place, gone)?;
            }
        }
    }
    Some(operation)
}

fn without_link(operation: &mut LinkOperation, gone: Place) -> Option<()> {
    match operation {
        LinkOperation::Noise { .. } => Some(()),
        LinkOperation::Cut { links, .. } => match links {
            Links::Around(target) => retarget(target, gone),
            Links::Between(places) => {
                places.retain_mut(|place| renumber(place, gone).is_some());
                (!places.is_empty()).then_some(())
            }
            Links::One(from, to) | Links::AllBut(from, to) => {
                renumber(from, gone)?;
                renumber(to, gone)
            }
        },
        LinkOperation::Flaky { from, to, .. }
        | LinkOperation::SlowLink { from, to, .. }
        | LinkOperation::Unreachable { from, to, .. } => {
            renumber(from, gone)?;
            renumber(to, gone)
        }
    }
}
