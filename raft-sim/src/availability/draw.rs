//! Which condition a seed draws.

use super::Condition;
use crate::random::Random;
use crate::request::{Faults, Request};
use crate::settings::Settings;

/// The conditions that seeds draw from.
const DRAWN: [Condition; 14] = [
    Condition::Failover,
    Condition::Load,
    Condition::SlowSyncs,
    Condition::Partial,
    Condition::OneWay,
    Condition::SlowCandidate,
    Condition::Priorities,
    Condition::BusyLeader,
    Condition::Transfers,
    Condition::CatchUp,
    Condition::DeafLeader,
    Condition::DecayedSnapshot,
    Condition::Limits,
    Condition::Removed,
];

/// How many of a thousand seeds have a condition at all.
const OFTEN: u64 = 400;

/// The condition of a run: the one that the request names, or one that its seed draws from a stream
/// of its own, so that all else stays as it was. A condition under which the cluster promises
/// nothing is left out.
pub fn draw(request: &Request, settings: &Settings) -> Condition {
    let mut random = Random::new(request.seed, "condition");
    let is_on = random.chance(OFTEN) && request.faults != Faults::None;
    let fitting: Vec<Condition> = DRAWN
        .into_iter()
        .filter(|condition| condition.fits(settings))
        .collect();
    let drawn = random.choose(&fitting).copied().filter(|_| is_on);
    let given = request.condition;
    let condition = given.or(drawn).unwrap_or_default();
    if condition.fits(settings) {
        condition
    } else {
        Condition::None
    }
}
