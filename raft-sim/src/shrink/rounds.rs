//! What is tried, in which order.

use super::search::Search;
use super::{ddmin, deeds, operations, places, simpler, windows};
use crate::random::Random;
use crate::schedule::{Place, Schedule};
use core::ops::Range;

/// How many seeds each smaller run is tried with, round by round.
const SEEDS: [usize; 5] = [3, 8, 32, 128, 512];

/// Small enough that more rounds are not worth their time once nothing more goes.
const SMALL: usize = 20;

/// The seeds with which a small run has to be tried before it is left at that.
const ENOUGH: usize = 128;

/// Hundredths of runs and time that may be used before only details are looked at.
const FOR_ROUNDS: u32 = 80;

/// Parts into which the time of a run is divided.
const WINDOWS: u32 = 16;

/// Which of two lists.
#[derive(Clone, Copy)]
enum Part {
    Deeds,
    Operations,
}

impl Part {
    const BOTH: [Part; 2] = [Part::Operations, Part::Deeds];

    fn len(self, schedule: &Schedule) -> usize {
        match self {
            Part::Deeds => schedule.nemesis.len(),
            Part::Operations => schedule.operations.len(),
        }
    }

    /// Only those for which `keeps` holds, by their numbers; none if that is all.
    fn only(self, schedule: &Schedule, mut keeps: impl FnMut(usize) -> bool) -> Option<Schedule> {
        let before = self.len(schedule);
        let mut smaller = schedule.clone();
        let mut at = 0;
        let mut next = || {
            at += 1;
            keeps(at - 1)
        };
        match self {
            Part::Deeds => smaller.nemesis.retain(|_| next()),
            Part::Operations => smaller.operations.retain(|_| next()),
        }
        (self.len(&smaller) < before).then_some(smaller)
    }
}

/// Makes it as small as may be.
pub(super) fn run(search: &mut Search<'_>) {
    search.allow(FOR_ROUNDS);
    for (round, seeds) in SEEDS.into_iter().enumerate() {
        loop {
            let before = weight(&search.best);
            let length = search.len();
            pass(search, seeds, round);
            // Another time with as many seeds only if that was worth it.
            if search.is_over() || weight(&search.best) == before || search.len() * 10 > length * 9
            {
                break;
            }
        }
        if search.is_over() || (search.len() <= SMALL && seeds >= ENOUGH) {
            break;
        }
    }
    search.allow(100);
    details(search);
}

fn weight(schedule: &Schedule) -> (usize, u32, u128) {
    let millis = schedule.time.as_millis();
    (schedule.len(), schedule.settings.servers(), millis)
}

/// Everything once.
fn pass(search: &mut Search<'_>, seeds: usize, round: usize) {
    fewer_servers(search, seeds);
    shorter(search, seeds);
    for part in Part::BOTH {
        thin(search, part, seeds);
    }
    for part in Part::BOTH {
        // Single ones only where there are few, or the time for them.
        let floor = part.len(&search.best) >> (5 + 2 * round);
        fewer(search, part, seeds, floor);
    }
    while search
        .first(simpler::rules(), seeds.min(8), simpler::rule)
        .is_some()
    {}
    if search.len() > SMALL || round > 1 {
        some(search, seeds);
    }
}

fn fewer_servers(search: &mut Search<'_>, seeds: usize) {
    loop {
        let servers = search.best.settings.servers() as usize;
        // Spares first.
        let without =
            |schedule: &Schedule, at: usize| places::without(schedule, Place(servers - 1 - at));
        if search.first(servers, seeds, without).is_none() {
            break;
        }
    }
}

fn shorter(search: &mut Search<'_>, seeds: usize) {
    let length = windows::length(&search.best, WINDOWS);
    ddmin::minimize(windows::count(&search.best, length), 1, |ranges| {
        let without =
            |schedule: &Schedule, at: usize| windows::without(schedule, ranges.get(at)?, length);
        let which = search.first(ranges.len(), seeds, without)?;
        Some((which, windows::count(&search.best, length)))
    });
}

fn fewer(search: &mut Search<'_>, part: Part, seeds: usize, floor: usize) {
    ddmin::minimize(
        part.len(&search.best),
        floor,
        |ranges: &[Range<usize>]| {
            let without = |schedule: &Schedule, at: usize| {
                let range = ranges.get(at)?;
                part.only(schedule, |number| !range.contains(&number))
            };
            let which = search.first(ranges.len(), seeds, without)?;
            Some((which, part.len(&search.best)))
        },
    );
}

/// One of eight, of four, of two: what only has to be there all the time gets less.
fn thin(search: &mut Search<'_>, part: Part, seeds: usize) {
    const EVERY: [(usize, usize); 14] = [
        (8, 0),
        (8, 1),
        (8, 2),
        (8, 3),
        (8, 4),
        (8, 5),
        (8, 6),
        (8, 7),
        (4, 0),
        (4, 1),
        (4, 2),
        (4, 3),
        (2, 0),
        (2, 1),
    ];
    let few = |schedule: &Schedule| part.len(schedule) < 8;
    let only = |schedule: &Schedule, at: usize| {
        let (every, first) = EVERY.get(at)?;
        part.only(schedule, |number| number % every == *first)
    };
    while !few(&search.best) && search.first(EVERY.len(), seeds, only).is_some() {}
}

/// Any half, or three quarters, of all that happens.
fn some(search: &mut Search<'_>, seeds: usize) {
    let some = |schedule: &Schedule, at: usize| {
        let mut random = Random::new(at as u64, "some");
        let keep = [500, 750, 875][at % 3]; // Below its length.
        let deeds = Part::Deeds.only(schedule, |_| random.chance(keep));
        let kept = deeds.as_ref().unwrap_or(schedule);
        let both = Part::Operations.only(kept, |_| random.chance(keep));
        both.or(deeds)
    };
    while search.first(8 * seeds, 2, some).is_some() {}
}

/// What reads better, or is simpler.
fn details(search: &mut Search<'_>) {
    const SEEDS: usize = 16;
    const STEPS: [u64; 3] = [100_000_000, 10_000_000, 1_000_000];
    loop {
        let before = search.best.clone();
        fewer_servers(search, SEEDS);
        for part in Part::BOTH {
            fewer(search, part, SEEDS, 1);
        }
        while search
            .first(simpler::rules(), SEEDS, simpler::rule)
            .is_some()
        {}
        search.first(1, SEEDS, |schedule, _| operations::one_client(schedule));
        search.first(1, SEEDS, |schedule, _| operations::fewer_clients(schedule));
        while search
            .first(simpler::details(), SEEDS, simpler::detail)
            .is_some()
        {}
        loop {
            let count = search.best.nemesis.len() * deeds::WAYS;
            if search.first(count, SEEDS, deeds::simpler).is_none() {
                break;
            }
        }
        loop {
            let count = search.best.operations.len() * operations::WAYS;
            if search.first(count, SEEDS, operations::simpler).is_none() {
                break;
            }
        }
        search.first(STEPS.len(), SEEDS, |schedule, at| {
            operations::rounded(schedule, *STEPS.get(at)?)
        });
        if search.is_over() || before == search.best {
            break;
        }
    }
}
