//! The power fails, and the disk loses the end of the log, too: that is told from a write that was
//! torn as far back as the mark was synced.

use crate::crash::Crash;
use crate::disk::{Disk, Image, Node};
use crate::scenario::{FOLDER, empty_image};
use bytes::Bytes;
use raft_driver_thread::raft_proto::{
    EntriesBuilder, EntryId, EntryKind, HardState, Index, Recovered, Seq, Term, Write,
};
use raft_driver_thread::storage::disk::{DiskOptions, DiskStorage};
use raft_driver_thread::storage::{Storage, StorageError};
use std::path::Path;
use std::sync::Arc;

/// The mark is synced after so many batches.
const SYNCED_AFTER: u64 = 256;
const BATCHES: u64 = 600;

fn open(disk: &Disk) -> Result<DiskStorage, StorageError> {
    let options = DiskOptions {
        segment_bytes: 1 << 20, // All is in one segment.
        ..DiskOptions::default()
    };
    DiskStorage::open_with(Arc::new(disk.clone()), Path::new(FOLDER), options)
}

fn payload(index: u64) -> Vec<u8> {
    index.to_le_bytes().repeat(5)
}

/// What a power failure leaves after so many batches of an entry each, all acknowledged.
fn after_a_power_failure() -> Image {
    let disk = Disk::holding(empty_image());
    let mut storage = open(&disk).unwrap();
    storage.recover().unwrap();
    for index in 1..=BATCHES {
        let mut entries = EntriesBuilder::new();
        let (id, bytes) = (EntryId::new(index, 1), Bytes::from(payload(index)));
        entries.push(id, EntryKind::Command, bytes).unwrap();
        let write = Write {
            seq: Seq(index),
            hard_state: Some(HardState {
                term: Term(1),
                voted_for: None,
            }),
            entries: entries.finish(),
            ..Write::default()
        };
        storage.write(&[write]).unwrap();
    }
    let mut crash = Crash::starting_with(empty_image());
    disk.calls().iter().for_each(|call| crash.call(call));
    crash.durable().clone()
}

/// The disk returns zeros from this entry on.
fn lose_from(image: &mut Image, index: u64) {
    let path = Path::new(FOLDER).join("log/0000000000000001.log");
    let Some(Node::File(file)) = image.names.get(&path) else {
        panic!("no segment");
    };
    let bytes = &mut image.files[*file];
    let wanted = payload(index);
    let found = bytes.windows(wanted.len()).position(|it| *it == wanted);
    bytes[found.unwrap()..].fill(0);
}

fn load(image: &Image) -> Result<Recovered, StorageError> {
    open(&Disk::holding(image.clone()))?.recover()
}

#[test]
fn what_is_lost_up_to_the_mark_is_damage_although_the_power_failed() {
    let image = after_a_power_failure();
    let whole = load(&image).unwrap();
    assert_eq!(whole.entries.last_id().unwrap().index, Index(BATCHES));
    // The last sync of the mark covers two thirds of all.
    for index in [2, SYNCED_AFTER, 2 * SYNCED_AFTER - 2] {
        let mut image = image.clone();
        lose_from(&mut image, index);
        let found = load(&image);
        assert!(
            matches!(found, Err(StorageError::Damaged { .. })),
            "{index}"
        );
    }
    // This is the limit of what can be told with one sync for a batch.
    let mut image = image.clone();
    lose_from(&mut image, 2 * SYNCED_AFTER + 2);
    let found = load(&image).unwrap();
    assert_eq!(
        found.entries.last_id().unwrap().index,
        Index(2 * SYNCED_AFTER + 1)
    );
}
