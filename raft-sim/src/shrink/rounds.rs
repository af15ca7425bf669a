//! The smaller runs that are tried, and their order.

use super::ddmin::{LeftOut, minimize};
use super::search::Search;
use super::{nemesis, operations, places, settings, windows};
use crate::random::Random;
use crate::schedule::{Place, Schedule};
use core::ops::Range;

/// How many seeds each smaller run is tried with, round by round.
const SEEDS: [usize; 5] = [3, 8, 32, 128, 512];

/// A run with so few faults and operations is not worth more rounds once nothing can be left out.
const SMALL: usize = 20;

/// Before a small run is accepted as the smallest, smaller ones are tried with so many seeds.
const ENOUGH: usize = 128;

/// The per cent of all runs and of the time that the rounds may use. The rest is for details.
const FOR_ROUNDS: u32 = 80;

/// Parts into which the time of a run is divided.
const WINDOWS: u32 = 16;

/// One of the two lists of a schedule.
#[derive(Clone, Copy)]
enum List {
    Nemesis,
    Operations,
}

impl List {
    const BOTH: [List; 2] = [List::Operations, List::Nemesis];

    fn len(self, schedule: &Schedule) -> usize {
        match self {
            List::Nemesis => schedule.nemesis.len(),
            List::Operations => schedule.operations.len(),
        }
    }

    /// The schedule with only those items, by their numbers, for which `keeps` holds; `None` if
    /// that is all of them.
    fn only(self, schedule: &Schedule, mut keeps: impl FnMut(usize) -> bool) -> Option<Schedule> {
        let before = self.len(schedule);
        let mut smaller = schedule.clone();
        let mut at = 0;
        let mut next = || {
            at += 1;
            keeps(at - 1)
        };
        match self {
            List::Nemesis => smaller.nemesis.retain(|_| next()),
            List::Operations => smaller.operations.retain(|_| next()),
        }
        (self.len(&smaller) < before).then_some(smaller)
    }
}

/// Makes the run as small as possible.
pub(super) fn run(search: &mut Search<'_>) {
    search.allow(FOR_ROUNDS);
    for (round, seeds) in SEEDS.into_iter().enumerate() {
        loop {
            let before = weight(&search.best);
            let length = search.len();
            pass(search, seeds, round);
            // Once more with as many seeds only if a tenth was left out.
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

/// How large a schedule is, by what the rounds leave out.
#[derive(PartialEq)]
struct Weight {
    faults_and_operations: usize,
    servers: u32,
    millis: u128,
}

fn weight(schedule: &Schedule) -> Weight {
    Weight {
        faults_and_operations: schedule.len(),
        servers: schedule.settings.servers(),
        millis: schedule.time.as_millis(),
    }
}

/// Tries everything once.
fn pass(search: &mut Search<'_>, seeds: usize, round: usize) {
    fewer_servers(search, seeds);
    shorter(search, seeds);
    for list in List::BOTH {
        thin(search, list, seeds);
    }
    for list in List::BOTH {
        // Single items only where there are few, or in a late round.
        let floor = list.len(&search.best) >> (5 + 2 * round);
        fewer(search, list, seeds, floor);
    }
    while search
        .first(settings::rules(), seeds.min(8), settings::rule)
        .is_some()
    {}
    if search.len() > SMALL || round > 1 {
        some(search, seeds);
    }
}

fn fewer_servers(search: &mut Search<'_>, seeds: usize) {
    loop {
        let servers = search.best.settings.servers() as usize;
        // The spare servers first.
        let without =
            |schedule: &Schedule, at: usize| places::without(schedule, Place(servers - 1 - at));
        if search.first(servers, seeds, without).is_none() {
            break;
        }
    }
}

fn shorter(search: &mut Search<'_>, seeds: usize) {
    let length = windows::length(&search.best, WINDOWS);
    minimize(windows::count(&search.best, length), 1, |ranges| {
        let without =
            |schedule: &Schedule, at: usize| windows::without(schedule, ranges.get(at)?, length);
        Some(LeftOut {
            range: search.first(ranges.len(), seeds, without)?,
            items: windows::count(&search.best, length),
        })
    });
}

fn fewer(search: &mut Search<'_>, list: List, seeds: usize, floor: usize) {
    minimize(
        list.len(&search.best),
        floor,
        |ranges: &[Range<usize>]| {
            let without = |schedule: &Schedule, at: usize| {
                let range = ranges.get(at)?;
                list.only(schedule, |number| !range.contains(&number))
            };
            Some(LeftOut {
                range: search.first(ranges.len(), seeds, without)?,
                items: list.len(&search.best),
            })
        },
    );
}

/// Keeps every eighth, fourth or second item. That thins out what only has to be there all the
/// time.
fn thin(search: &mut Search<'_>, list: List, seeds: usize) {
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
    let few = |schedule: &Schedule| list.len(schedule) < 8;
    let only = |schedule: &Schedule, at: usize| {
        let (every, first) = EVERY.get(at)?;
        list.only(schedule, |number| number % every == *first)
    };
    while !few(&search.best) && search.first(EVERY.len(), seeds, only).is_some() {}
}

/// Keeps a random half, three quarters or seven eighths of all faults and operations.
fn some(search: &mut Search<'_>, seeds: usize) {
    let some = |schedule: &Schedule, at: usize| {
        let mut random = Random::new(at as u64, "some");
        let keep = [500, 750, 875][at % 3]; // Below its length.
        let fewer = List::Nemesis.only(schedule, |_| random.chance(keep));
        let kept = fewer.as_ref().unwrap_or(schedule);
        let both = List::Operations.only(kept, |_| random.chance(keep));
        both.or(fewer)
    };
    while search.first(8 * seeds, 2, some).is_some() {}
}

/// Makes what is left simpler, and easier to read.
fn details(search: &mut Search<'_>) {
    const SEEDS: usize = 16;
    const STEPS: [u64; 3] = [100_000_000, 10_000_000, 1_000_000];
    loop {
        let before = search.best.clone();
        fewer_servers(search, SEEDS);
        for list in List::BOTH {
            fewer(search, list, SEEDS, 1);
        }
        while search
            .first(settings::rules(), SEEDS, settings::rule)
            .is_some()
        {}
        search.first(1, SEEDS, |schedule, _| operations::one_client(schedule));
        search.first(1, SEEDS, |schedule, _| operations::fewer_clients(schedule));
        while search
            .first(settings::details(), SEEDS, settings::detail)
            .is_some()
        {}
        loop {
            let count = search.best.nemesis.len() * nemesis::WAYS;
            if search.first(count, SEEDS, nemesis::simpler).is_none() {
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
