//! Damaged folders that are opened with what is whole: what is kept is true, and what is lost is
//! said.

use crate::crash::Crash;
use crate::disk::{Disk, Image};
use crate::scenario::{Life, empty_image, load, load_with, open_with};
use crate::{damages, describe, problems};
use raft_driver_thread::raft_proto::mending::{Mending, MendingStep, serve};
use raft_driver_thread::raft_proto::{
    Entries, EntriesBuilder, EntryId, Index, NodeId, Recovered, Time,
};
use raft_driver_thread::storage::disk::OnDamage;
use raft_driver_thread::storage::{Storage, StorageError};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

#[derive(Debug, Default)]
struct Counts {
    damages: u64,
    /// Nothing of it can be told to be whole, or the identity, the term or the vote may be gone.
    refused: u64,
    /// All that was acknowledged is there.
    whole: u64,
    /// Some of it is lost, and the node is told so.
    impaired: u64,
    /// States that a power failure left of the mending.
    interrupted: u64,
    /// With peers: the log is exactly what it was.
    exact: u64,
    /// Of these, entries were fetched.
    fetched: u64,
}

fn last(state: &Recovered) -> EntryId {
    let snapshot = state.snapshot.as_ref().map(|meta| meta.id.last);
    let last = state.entries.last_id().max(snapshot);
    last.unwrap_or(EntryId::ZERO)
}

/// Whether all entries of `found` were entries of `state`.
fn is_part_of(found: &Recovered, state: &Recovered) -> bool {
    found.entries.iter().all(|entry| {
        let mut held = state.entries.iter();
        held.any(|it| it.id() == entry.id() && it.payload() == entry.payload())
    })
}

/// What was recovered is a state that the storage was in, and what it lacks is told.
fn judge(life: &Life, found: &Recovered, name: &str) {
    let expected = life.states.last().unwrap();
    let name = format!("{name}: {} of {}", describe(found), describe(expected));
    assert_eq!(found.hard_state, expected.hard_state, "{name}");
    assert_eq!(found.identity, expected.identity, "{name}");
    let mut states = life.states.iter();
    let was_held = states.any(|state| is_part_of(found, state));
    assert!(was_held, "{name}: never held");
    let had = |state: &Recovered| found.snapshot.is_none() || state.snapshot == found.snapshot;
    assert!(life.states.iter().any(had), "{name}: no such snapshot");
    match found.impaired {
        Some(lost) => {
            let promised = last(expected);
            assert!(
                lost.is_at_least_as_up_to_date_as(promised),
                "{name}: {lost}"
            );
        }
        None => {
            assert_eq!(last(found), last(expected), "{name}");
            assert!(is_part_of(found, expected), "{name}");
        }
    }
}

fn mend(disk: &Disk, life: &Life, name: &str) -> Option<Recovered> {
    match load_with(disk, OnDamage::Mend) {
        Ok(found) => {
            judge(life, &found, name);
            // From now on it is a folder like any other.
            let again = load(disk).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(again == found, "{name}: then {}", describe(&again));
            assert_eq!(problems(&disk.image()), Vec::<String>::new(), "{name}");
            Some(found)
        }
        Err(StorageError::Damaged { .. } | StorageError::UnknownVersion { .. }) => None,
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Mends with a peer that has these entries. Returns what is recovered then, and how many entries
/// were accepted; `None` if nobody can tell what was there.
pub(crate) fn mend_with(disk: &Disk, peer: &[Entries]) -> Option<(Recovered, usize)> {
    let mut storage = open_with(disk, OnDamage::Mend).ok()?;
    let missing = storage
        .incomplete()
        .map(|it| it.missing)
        .unwrap_or_default();
    let wanted = missing.len();
    let mut mending = Mending::new(missing, vec![NodeId(2)], Time::ZERO);
    let mut accepted = 0;
    while let MendingStep::Ask { peer: node, fetch } = mending.next_step(Time::ZERO) {
        let reply = serve(peer, &fetch);
        mending.replied(node, &fetch, reply, &mut |at, parts| {
            let is_right = storage.supply(at, parts);
            let entries = parts.iter().map(Entries::len).sum::<usize>();
            accepted += if is_right { entries } else { 0 };
            is_right
        });
    }
    let is_mended = mending.next_step(Time::ZERO) == MendingStep::Mended && wanted > 0;
    let recovered = storage.recover().unwrap();
    (is_mended || recovered.impaired.is_none()).then_some((recovered, accepted))
}

/// The same entries, but for a byte of each payload.
fn other(entries: &Entries) -> Entries {
    let mut other = EntriesBuilder::new();
    for entry in entries {
        let mut payload = entry.payload().to_vec();
        payload.pop();
        payload.push(99);
        other
            .push(entry.id(), entry.kind(), payload.into())
            .unwrap();
    }
    other.finish()
}

/// With a peer that has all entries, the log becomes what it was, if it is told what that is.
fn mend_exactly(image: &Image, life: &Life, name: &str, counts: &mut Counts) {
    let expected = life.states.last().unwrap();
    let peer = [expected.entries.clone()];
    let disk = Disk::holding(image.clone());
    let Some((found, accepted)) = mend_with(&disk, &peer) else {
        return;
    };
    let name = format!("{name}: {} of {}", describe(&found), describe(expected));
    assert_eq!(found.impaired, None, "{name}");
    assert_eq!(found.hard_state, expected.hard_state, "{name}");
    assert_eq!(found.identity, expected.identity, "{name}");
    let after = |state: &Recovered, floor: Index| -> Vec<_> {
        let entries = state.entries.iter().filter(|it| it.index() > floor);
        let entries = entries.map(|it| (it.id(), it.kind(), it.payload().to_vec()));
        entries.collect()
    };
    // What is older than the snapshot may be left out.
    let end = |state: &Recovered| {
        state
            .snapshot
            .as_ref()
            .map_or(Index(0), |it| it.id.last.index)
    };
    let floor = end(&found).max(end(expected).min(Index(u64::MAX)));
    assert_eq!(last(&found), last(expected), "{name}");
    assert!(after(&found, floor) == after(expected, floor), "{name}");
    let again = load(&disk).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(again == found, "{name}: then {}", describe(&again));
    assert_eq!(problems(&disk.image()), Vec::<String>::new(), "{name}");
    counts.exact += 1;
    if accepted > 0 {
        counts.fetched += 1;
        // Entries that are not those that were there are not taken.
        let disk = Disk::holding(image.clone());
        let wrong = mend_with(&disk, &[other(&expected.entries)]);
        assert!(wrong.is_none_or(|(_, accepted)| accepted == 0), "{name}");
        assert!(
            mend(&Disk::holding(image.clone()), life, &name).is_some(),
            "{name}"
        );
    }
}

/// The power fails while the folder is mended. It is mended at the next start.
fn interrupt(image: &Image, life: &Life, name: &str, counts: &mut Counts) {
    let disk = Disk::holding(image.clone());
    if load_with(&disk, OnDamage::Mend).is_err() {
        return;
    }
    let mut crash = Crash::starting_with(image.clone());
    let mut rng = ChaCha8Rng::seed_from_u64(counts.damages);
    for (number, call) in disk.calls().iter().enumerate() {
        crash.call(call);
        crash.states(1, &mut rng, &mut |image| {
            counts.interrupted += 1;
            let name = format!("{name}, mending interrupted after {} calls", number + 1);
            let mended = mend(&Disk::holding(image), life, &name);
            assert!(mended.is_some(), "{name}: refused");
        });
    }
}

fn damage(seed: u64, steps: u64, byte_step: usize, counts: &mut Counts) {
    let mut life = Life::new(Disk::holding(empty_image()), Recovered::default(), seed);
    life.start().unwrap();
    for _ in 0..steps {
        life.step().unwrap();
    }
    life.stop();
    let image = life.disk.image();
    let calls = life.disk.calls();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    damages::damages(&image, &calls, byte_step, &mut rng, &mut |what, image| {
        counts.damages += 1;
        let name = format!("seed {seed}, {what}");
        if counts.damages.is_multiple_of(97) {
            interrupt(&image, &life, &name, counts);
        }
        mend_exactly(&image, &life, &name, counts);
        match mend(&Disk::holding(image), &life, &name) {
            None => counts.refused += 1,
            Some(found) if found.impaired.is_some() => counts.impaired += 1,
            Some(_) => counts.whole += 1,
        }
    });
}

#[test]
fn what_is_kept_of_a_damaged_folder_is_true_and_what_is_lost_is_said() {
    let mut counts = Counts::default();
    for seed in 0..2 {
        damage(seed, 9, 151, &mut counts);
    }
    println!("{counts:?}");
    assert!(counts.impaired > 100, "{counts:?}");
    assert!(counts.whole > 100, "{counts:?}");
    assert!(counts.interrupted > 100, "{counts:?}");
    assert!(counts.fetched > 100, "{counts:?}");
}

#[test]
#[ignore = "takes minutes: very many damages"]
fn what_is_kept_is_true_after_very_many_damages() {
    let mut counts = Counts::default();
    let mut seed = 100;
    while counts.damages < 100_000 {
        damage(seed, 40, 7, &mut counts);
        seed += 1;
    }
    println!("{counts:?}");
}
