//! Every state that a power failure may leave is recovered from, and every damage is told.
//!
//! `cargo test --release -p raft-driver-thread --test storage_states -- --ignored --nocapture` goes
//! through hundreds of thousands of states, and prints how many.
#![cfg(all(feature = "disk", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod crash;
mod damages;
mod disk;
mod late;
mod lost_end;
mod mending;
mod pages;
mod scenario;

use crash::Crash;
use disk::{Call, Disk, Image};
use raft_driver_thread::raft_proto::Recovered;
use raft_driver_thread::storage::StorageError;
use raft_driver_thread::storage::disk::inspect_with;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scenario::{FOLDER, Life, empty_image, load};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// The problems that `inspect` finds; an error is one, too.
fn problems(image: &Image) -> Vec<String> {
    let disk = Disk::holding(image.clone());
    if !image.names.contains_key(&Path::new(FOLDER).join("FORMAT")) {
        return Vec::new(); // Nothing was begun.
    }
    let inspected = inspect_with(Arc::new(disk.clone()), Path::new(FOLDER), |_| (), |_, _| ());
    assert_eq!(disk.image(), *image, "inspect changed the folder");
    match inspected {
        Ok(found) => found.problems.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// In a line.
fn describe(state: &Recovered) -> String {
    let entries = state
        .entries
        .iter()
        .map(|it| format!("{}:{}", it.id(), it.payload().len()));
    let snapshot = state.snapshot.as_ref().map(|meta| meta.id.last);
    let entries: Vec<_> = entries.collect();
    format!(
        "{:?}, snapshot {snapshot:?}, {}",
        state.hard_state,
        entries.join(" ")
    )
}

#[derive(Debug, Default)]
struct Counts {
    lives: u64,
    writes: u64,
    calls: u64,
    states: u64,
    /// Of the states, those that were never seen before.
    distinct: u64,
    /// States left by a power failure while the storage was recovering from one.
    nested: u64,
}

/// Goes through the states of lives.
struct Enumeration {
    rng: ChaCha8Rng,
    random: usize,
    /// Of so many states, the life goes on from one.
    nests_every: u64,
    seen: HashSet<u64>,
    counts: Counts,
}

impl Enumeration {
    fn new(random: usize) -> Enumeration {
        Enumeration {
            rng: ChaCha8Rng::seed_from_u64(1),
            random,
            nests_every: 16,
            seen: HashSet::new(),
            counts: Counts::default(),
        }
    }

    /// Lives, of which each takes so many steps.
    fn run(&mut self, seed: u64, steps: u64) {
        let mut life = Life::new(Disk::holding(empty_image()), Recovered::default(), seed);
        life.start().unwrap();
        for _ in 0..steps {
            life.step().unwrap();
        }
        life.stop();
        self.counts.lives += 1;
        self.counts.writes += life.states.len() as u64 - 1;
        self.states_of(&life, &empty_image(), &[], &format!("seed {seed}"), true);
    }

    /// `earlier`: what may be recovered as well until the storage has recovered once.
    fn states_of(
        &mut self,
        life: &Life,
        begin: &Image,
        earlier: &[Recovered],
        name: &str,
        nests: bool,
    ) {
        let mut crash = Crash::starting_with(begin.clone());
        for (number, call) in life.disk.calls().iter().enumerate() {
            crash.call(call);
            let calls = number + 1;
            self.counts.calls += 1;
            let (acknowledged, given) = life.bounds(calls);
            let mut allowed = life.states[acknowledged..=given].to_vec();
            if calls < life.started_at {
                allowed.extend_from_slice(earlier);
            }
            let allowed = &allowed[..];
            let mut rng = self.rng.clone();
            crash.states(self.random, &mut rng, &mut |image| {
                let name = format!("{name}, {calls} calls");
                self.check(image, allowed, &name, nests);
            });
            self.rng = rng;
            // The process is killed here, and the system is not.
            let killed = crash.current().clone();
            self.check(
                killed,
                allowed,
                &format!("{name}, killed after {calls} calls"),
                false,
            );
        }
    }

    fn check(&mut self, image: Image, allowed: &[Recovered], name: &str, nests: bool) {
        self.counts.states += 1;
        if !self.seen.insert(image.digest()) {
            return;
        }
        self.counts.distinct += 1;
        let disk = Disk::holding(image.clone());
        let recovered = load(&disk).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            allowed.contains(&recovered),
            "{name}: recovered {}, and not one of {:?}",
            describe(&recovered),
            allowed.iter().map(describe).collect::<Vec<_>>()
        );
        assert_eq!(problems(&image), Vec::<String>::new(), "{name}");
        if nests && self.counts.distinct.is_multiple_of(self.nests_every) {
            self.nest(image, recovered, allowed, name);
        }
    }

    /// The life goes on from this state, and the power fails again.
    fn nest(&mut self, image: Image, recovered: Recovered, allowed: &[Recovered], name: &str) {
        let before = self.counts.distinct;
        let seed = self.counts.states;
        let mut life = Life::new(Disk::holding(image.clone()), recovered, seed);
        life.start().unwrap();
        life.step().unwrap();
        life.stop();
        let random = std::mem::replace(&mut self.random, 2);
        self.states_of(&life, &image, allowed, &format!("{name}, then"), false);
        self.random = random;
        self.counts.nested += self.counts.distinct - before;
    }
}

#[test]
fn a_power_failure_loses_nothing_that_was_acknowledged_and_invents_nothing() {
    let mut enumeration = Enumeration::new(1);
    enumeration.nests_every = 64;
    for seed in 0..3 {
        enumeration.run(seed, 9);
    }
    println!("{:?}", enumeration.counts);
    assert!(
        enumeration.counts.distinct > 1000,
        "{:?}",
        enumeration.counts
    );
}

#[test]
#[ignore = "takes minutes: hundreds of thousands of states"]
fn a_power_failure_loses_nothing_in_very_many_states() {
    let mut enumeration = Enumeration::new(24);
    let mut seed = 100;
    while enumeration.counts.distinct < 200_000 {
        enumeration.run(seed, 40);
        enumeration.seen.clear();
        seed += 1;
    }
    println!("{:?}", enumeration.counts);
}

/// A life whose sync number `failing` fails; `None` if it had not so many.
fn life_until_failure(seed: u64, failing: usize) -> Option<Life> {
    let disk = Disk::holding(empty_image());
    let mut life = Life::new(disk.clone(), Recovered::default(), seed);
    life.start().unwrap();
    disk.fail_sync_after(failing);
    for _ in 0..30 {
        let Err(error) = life.step() else { continue };
        assert!(matches!(error, StorageError::Io { .. }), "{error}");
        life.stop();
        return Some(life);
    }
    None
}

#[test]
fn after_a_sync_that_failed_nothing_counts_that_is_in_memory_only() {
    let mut failures = 0;
    for seed in 0..2 {
        for failing in 0.. {
            let Some(mut life) = life_until_failure(seed, failing) else {
                break;
            };
            failures += 1;
            let (acknowledged, given) = life.bounds(usize::MAX);
            let allowed = life.states[acknowledged..=given].to_vec();
            // The process starts anew, and finds what is in the page cache.
            let recovered = load(&life.disk).unwrap();
            let name = format!("seed {seed}, sync {failing}: {}", describe(&recovered));
            assert!(allowed.contains(&recovered), "{name}");
            // It took that for durable. Then the power fails.
            let mut crash = Crash::starting_with(empty_image());
            life.disk.calls().iter().for_each(|call| crash.call(call));
            let left = load(&Disk::holding(crash.durable().clone())).unwrap();
            assert_eq!(left, recovered, "{name}");
            life.stop();
        }
    }
    assert!(failures > 50, "{failures}");
}

#[derive(Debug, Default)]
struct DamageCounts {
    damages: u64,
    refused: u64,
    /// What was damaged is needed no more, or never was: everything was recovered.
    harmless: u64,
}

/// Damages the folder that a life leaves. Each is refused, and the folder stays as it is, or all
/// is recovered nevertheless.
fn damage(seed: u64, steps: u64, byte_step: usize, counts: &mut DamageCounts) {
    let mut life = Life::new(Disk::holding(empty_image()), Recovered::default(), seed);
    life.start().unwrap();
    for _ in 0..steps {
        life.step().unwrap();
    }
    life.stop();
    let image = life.disk.image();
    let calls = life.disk.calls();
    let expected = life.states.last().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    damages::damages(&image, &calls, byte_step, &mut rng, &mut |what, image| {
        counts.damages += 1;
        let disk = Disk::holding(image.clone());
        let found = problems(&image);
        match load(&disk) {
            Ok(recovered) => {
                assert!(
                    recovered == *expected,
                    "seed {seed}, {what}: served {recovered:?}"
                );
                assert_eq!(found, Vec::<String>::new(), "seed {seed}, {what}");
                counts.harmless += 1;
            }
            Err(StorageError::Damaged { .. } | StorageError::UnknownVersion { .. }) => {
                let is_format_gone = !image.names.contains_key(&Path::new(FOLDER).join("FORMAT"));
                assert!(
                    !found.is_empty() || is_format_gone,
                    "seed {seed}, {what}: not reported"
                );
                if !what.contains("snapshots") {
                    let before: Vec<_> = image.files.iter().collect();
                    let after = disk.image();
                    let after: Vec<_> = after.files.iter().take(before.len()).collect();
                    assert!(before == after, "seed {seed}, {what}: the folder changed");
                }
                counts.refused += 1;
            }
            Err(error) => panic!("seed {seed}, {what}: {error}"),
        }
    });
}

#[test]
fn no_damage_is_served() {
    let mut counts = DamageCounts::default();
    for seed in 0..2 {
        damage(seed, 9, 151, &mut counts);
    }
    println!("{counts:?}");
    assert!(counts.refused > 500, "{counts:?}");
}

#[test]
#[ignore = "takes minutes: hundreds of thousands of damages"]
fn no_damage_of_very_many_is_served() {
    let mut counts = DamageCounts::default();
    let mut seed = 100;
    while counts.damages < 400_000 {
        damage(seed, 40, 3, &mut counts);
        seed += 1;
    }
    println!("{counts:?}");
}

/// What the power left of a call: the second of its two writes, and not the first.
struct OnlyTheSecond {
    /// The state before that call.
    expected: Recovered,
    image: Image,
    file: usize,
    /// Where the second write begins.
    begin: usize,
}

/// `None` if the two writes share a sector.
fn only_the_second_of_two_writes(before: usize, first: usize) -> Option<OnlyTheSecond> {
    let disk = Disk::holding(empty_image());
    let mut life = Life::new(disk.clone(), Recovered::default(), 0);
    life.start().unwrap();
    life.append_payload(&[before]).unwrap();
    let expected = life.states.last().unwrap().clone();
    let mut image = disk.image();
    let calls = disk.call_count();
    life.append_payload(&[first, 100]).unwrap();
    life.stop();
    let Some(Call::Write(file, offset, bytes)) = disk.calls().get(calls).cloned() else {
        panic!("a call of write begins with a write");
    };
    let body = u32::from_le_bytes(bytes[16..20].try_into().unwrap());
    let second = 88 + body as usize;
    let begin = offset as usize + second;
    image.write(file, begin as u64, &bytes[second..]);
    let is_apart = begin.is_multiple_of(crash::SECTOR);
    is_apart.then_some(OnlyTheSecond {
        expected,
        image,
        file,
        begin,
    })
}

#[test]
fn what_lies_behind_a_torn_write_never_continues_the_log() {
    let mut tried = 0;
    // Every place within a sector, and every length around that of a state's record.
    for before in (0..512).step_by(8) {
        for first in (0..160).step_by(8) {
            let Some(torn) = only_the_second_of_two_writes(before, first) else {
                continue;
            };
            tried += 1;
            let disk = Disk::holding(torn.image.clone());
            assert!(load(&disk).unwrap() == torn.expected, "{before} {first}");
            // Of that start, too, the power left only what comes before the second write.
            let mut image = torn.image;
            for call in disk.calls() {
                if let Call::Write(file, offset, bytes) = call
                    && file == torn.file
                {
                    let length = (torn.begin - offset as usize).min(bytes.len());
                    image.write(file, offset, &bytes[..length]);
                }
            }
            let recovered = load(&Disk::holding(image)).unwrap();
            assert!(
                recovered == torn.expected,
                "{before} {first}: {}",
                describe(&recovered)
            );
        }
    }
    assert!(tried >= 20, "{tried}");
}
