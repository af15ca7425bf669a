//! A power failure leaves a mark, or parts of a write, of another time than the log, and a record
//! is lost besides: what was acknowledged is not forgotten, and nothing else takes its place.

use crate::disk::{Call, Disk, Image, Node};
use crate::mending::mend_with;
use crate::scenario::{FOLDER, empty_image, load_with, open};
use bytes::Bytes;
use raft_driver_thread::raft_proto::{
    ClusterId, Entries, EntriesBuilder, EntryId, EntryKind, GroupId, HardState, Identity, Index,
    Membership, NodeId, Term, Write,
};
use raft_driver_thread::storage::Storage;
use raft_driver_thread::storage::disk::{DiskOptions, DiskStorage, OnDamage};
use std::path::Path;
use std::sync::Arc;

fn entries(first: u64, last: u64, term: u64, length: usize) -> Entries {
    let mut entries = EntriesBuilder::new();
    for index in first..=last {
        let payload = Bytes::from(vec![term as u8; length]);
        let id = EntryId::new(index, term);
        entries.push(id, EntryKind::Command, payload).unwrap();
    }
    entries.finish()
}

fn append(entries: Entries) -> Write {
    let term = entries.last_id().unwrap_or_default().term;
    Write {
        hard_state: vote(term.0.max(1), None).hard_state,
        entries,
        ..Write::default()
    }
}

fn vote(term: u64, voted_for: Option<u64>) -> Write {
    Write {
        hard_state: Some(HardState {
            term: Term(term),
            voted_for: voted_for.map(NodeId),
        }),
        ..Write::default()
    }
}

/// The first write of a node: its identity, and these entries.
fn begin(entries: Entries) -> Write {
    Write {
        identity: Some(Box::new(Identity {
            cluster_id: ClusterId(7),
            group_id: GroupId(3),
            node_id: NodeId(1),
            bootstrap: Membership::new([NodeId(1), NodeId(2)]),
            incarnation: None,
        })),
        ..append(entries)
    }
}

/// Where a record is.
#[derive(Clone, Copy)]
struct Spot {
    file: usize,
    at: usize,
    length: usize,
}

/// Writes, in one call, and returns where the records are.
fn write(disk: &Disk, storage: &mut DiskStorage, writes: &[Write]) -> Vec<Spot> {
    let before = disk.call_count();
    storage.write(writes).unwrap();
    let Some(Call::Write(file, offset, bytes)) = disk.calls().get(before).cloned() else {
        panic!("a call of write begins with a write");
    };
    let mut at = 0;
    let spots = writes.iter().map(|_| {
        let body = u32::from_le_bytes(bytes[at + 16..at + 20].try_into().unwrap());
        let length = 88 + body as usize;
        at += length;
        let at = offset as usize + at - length;
        Spot { file, at, length }
    });
    spots.collect()
}

fn lose(image: &mut Image, spot: Spot) {
    image.files[spot.file][spot.at..spot.at + spot.length].fill(0);
}

/// Of the record, only the header is what was written.
fn lose_body(image: &mut Image, spot: Spot) {
    image.files[spot.file][spot.at + 88..spot.at + spot.length].fill(0);
}

fn mark(image: &Image) -> usize {
    match image.names.get(&Path::new(FOLDER).join("mark")) {
        Some(Node::File(file)) => *file,
        Some(Node::Folder) | None => panic!("no mark"),
    }
}

/// Three entries, and then these writes, one a call; the power fails, so that the mark is as old as
/// the first one. Returns the records of the others.
fn with_an_old_mark(writes: &[Write]) -> (Image, Vec<Spot>) {
    let disk = Disk::holding(empty_image());
    let mut storage = open(&disk).unwrap();
    storage.recover().unwrap();
    storage.write(&[begin(entries(1, 3, 1, 50))]).unwrap();
    let old = disk.image();
    let mut spots = Vec::new();
    for it in writes {
        spots.extend(write(&disk, &mut storage, std::slice::from_ref(it)));
    }
    let mut image = disk.image();
    let file = mark(&image);
    image.files[file] = old.files[mark(&old)].clone();
    (image, spots)
}

#[test]
fn entries_that_are_lost_before_a_vote_are_missed_although_no_mark_names_them() {
    let lost = EntryId::new(6, 1);
    for behind in [vote(1, Some(1)), vote(2, None)] {
        let (mut image, spots) = with_an_old_mark(&[append(entries(4, 6, 1, 50)), behind.clone()]);
        lose(&mut image, spots[0]);
        let found = load_with(&Disk::holding(image), OnDamage::Mend).unwrap();
        let impaired = found.impaired.expect("entries are lost");
        assert!(impaired.is_at_least_as_up_to_date_as(lost), "{impaired}");
        assert_eq!(Some(found.hard_state), behind.hard_state);
    }
}

#[test]
fn a_vote_that_is_lost_before_a_torn_write_is_kept_although_no_mark_names_it() {
    let voted = vote(9, Some(2));
    let behind = Write {
        entries: entries(4, 6, 9, 50),
        ..voted.clone()
    };
    let (mut image, spots) = with_an_old_mark(&[voted.clone(), behind]);
    lose(&mut image, spots[0]);
    lose_body(&mut image, spots[1]);
    let found = load_with(&Disk::holding(image), OnDamage::Mend).unwrap();
    assert_eq!(Some(found.hard_state), voted.hard_state);
}

#[test]
fn a_vote_whose_record_has_lost_its_entries_is_kept_although_no_mark_names_it() {
    let voted = Write {
        entries: entries(4, 6, 9, 50),
        ..vote(9, Some(2))
    };
    let (mut image, spots) = with_an_old_mark(&[voted.clone(), append(entries(7, 9, 9, 50))]);
    lose_body(&mut image, spots[0]);
    lose_body(&mut image, spots[1]);
    let found = load_with(&Disk::holding(image), OnDamage::Mend).unwrap();
    assert_eq!(Some(found.hard_state), voted.hard_state);
    let impaired = found.impaired.expect("entries are lost");
    assert!(impaired.is_at_least_as_up_to_date_as(EntryId::new(6, 9)));
}

/// With segments that are longer than what is overwritten with zeros behind a write.
fn open_long(disk: &Disk, on_damage: OnDamage) -> DiskStorage {
    let options = DiskOptions {
        segment_bytes: 6 << 20,
        incarnation: Some(5),
        on_damage,
    };
    DiskStorage::open_with(Arc::new(disk.clone()), Path::new(FOLDER), options).unwrap()
}

#[test]
fn what_a_torn_write_left_far_behind_does_not_continue_a_log_that_lost_its_end() {
    for lost_at in 0..2 {
        let disk = Disk::holding(empty_image());
        let mut storage = open_long(&disk, OnDamage::Refuse);
        storage.recover().unwrap();
        storage.write(&[begin(entries(1, 1, 1, 50))]).unwrap();
        let mut image = disk.image();
        // Of a long write only the end reaches the disk, and the node has promised nothing.
        let torn = [
            append(entries(2, 2, 6, 2 << 20)),
            append(entries(3, 3, 6, 50)),
            vote(6, None),
            vote(6, None),
            append(entries(4, 4, 6, 50)),
        ];
        let spots = write(&disk, &mut storage, &torn);
        drop(storage);
        let Spot { file, at, length } = spots[4];
        let end = disk.image().files[file][at..at + length].to_vec();
        image.write(file, at as u64, &end);
        // The leader of an earlier term goes on.
        let disk = Disk::holding(image);
        let mut storage = open_long(&disk, OnDamage::Refuse);
        storage.recover().unwrap();
        let mut spots = Vec::new();
        for index in 2..=3 {
            let next = append(entries(index, index, 5, 50));
            spots.extend(write(&disk, &mut storage, &[next]));
        }
        drop(storage);
        let mut image = disk.image();
        spots[lost_at..].iter().for_each(|it| lose(&mut image, *it));
        let storage = &mut open_long(&Disk::holding(image), OnDamage::Mend);
        if let Some(incomplete) = storage.incomplete() {
            assert_eq!(incomplete.missing.len(), 1);
            let all = entries(2, 3, 5, 50);
            let from = Index(2 + lost_at as u64);
            let parts: Vec<_> = all.iter().filter(|it| it.index() >= from).collect();
            let mut part = EntriesBuilder::new();
            for it in parts {
                part.push(it.id(), it.kind(), it.share_payload()).unwrap();
            }
            assert!(storage.supply(0, &[part.finish()]));
        }
        let found = storage.recover().unwrap();
        let last = found.entries.last_id().unwrap();
        assert_eq!(last, EntryId::new(3, 5), "{lost_at}");
        assert_eq!(found.hard_state.term, Term(5));
        assert_eq!(found.impaired, None);
    }
}

#[test]
fn after_a_mending_that_was_interrupted_no_older_description_counts() {
    let disk = Disk::holding(empty_image());
    let mut storage = open_long(&disk, OnDamage::Refuse);
    storage.recover().unwrap();
    storage.write(&[begin(Entries::EMPTY)]).unwrap();
    // The mark describes the first two, which are a stretch, and the others.
    let (stretch, old) = (entries(1, 2, 1, 40_000), entries(3, 6, 1, 50));
    let mut lost = write(&disk, &mut storage, &[append(stretch.clone())]);
    lost.extend(write(&disk, &mut storage, &[append(old.clone())]));
    drop(storage);
    let mut image = disk.image();
    lost.iter().for_each(|spot| lose(&mut image, *spot));
    // Nobody has the entries. The power fails before the mark of the new log is written.
    let disk = Disk::holding(image.clone());
    open_long(&disk, OnDamage::Mend).recover().unwrap();
    let mut mended = disk.image();
    let file = mark(&image);
    mended.files[file] = image.files[file].clone();
    let disk = Disk::holding(mended);
    let mut storage = open_long(&disk, OnDamage::Refuse);
    let found = storage.recover().unwrap();
    assert_eq!(found.impaired, Some(EntryId::new(6, 1)));
    // The next leader has other entries behind the first two, and these are lost, too.
    let new = entries(3, 4, 2, 50);
    let writes = [append(stretch), append(new.clone())];
    let lost = write(&disk, &mut storage, &writes)[1];
    drop(storage);
    let mut image = disk.image();
    lose(&mut image, lost);
    let found = mend_with(&Disk::holding(image.clone()), &[old]);
    assert!(found.is_none(), "what was replaced came back");
    let last = new.last_id();
    let (found, accepted) = mend_with(&Disk::holding(image), &[new]).unwrap();
    assert_eq!((found.entries.last_id(), accepted), (last, 2));
}
