//! Any bytes as a folder: those of its files as they are, or changes of a valid one. Opening it
//! does not panic, and a folder that is refused is not changed by a byte. `inspect` accepts exactly
//! what a start accepts, and changes nothing. What is mended is a folder like any other.

use super::files::{Image, Memory};
use super::{FOLDER, Writer, log, open};
use arbitrary::{Result, Unstructured};
use raft_driver_thread::storage::disk::{OnDamage, inspect_with};
use raft_driver_thread::storage::{Storage, StorageError};
use raft_proto::Recovered;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files of a folder, with names that it knows and others.
const NAMES: [&str; 9] = [
    "FORMAT",
    "mark",
    "log/0000000000000001.log",
    "log/0000000000000002.log",
    "log/spare",
    "log/other",
    "snapshots/1-1-0-00000000.snapshot",
    "snapshots/receiving.partial",
    "other",
];

/// Opens what the bytes make of a folder.
pub fn run(data: &[u8]) {
    let Ok(image) = folder(&mut Unstructured::new(data)) else {
        return;
    };
    check(&image);
}

fn folder(u: &mut Unstructured<'_>) -> Result<Image> {
    let path = |name: &str| Path::new(FOLDER).join(name);
    let root = PathBuf::from("/");
    if u.ratio(1, 8)? {
        let folders = [root, FOLDER.into(), path("log"), path("snapshots")];
        let mut image: Image = folders.into_iter().map(|it| (it, None)).collect();
        for name in NAMES {
            if u.ratio(1, 2)? {
                let length = u.arbitrary_len::<u8>()?;
                image.insert(path(name), Some(u.bytes(length)?.to_vec()));
            }
        }
        return Ok(image);
    }
    let files = Memory::holding(&[(root, None)].into());
    let length = usize::from(u.arbitrary::<u8>()?);
    let length = length.min(u.len());
    let choices = u.bytes(length)?;
    let _ = log::live(&mut Unstructured::new(choices), &files, &mut Writer::new());
    let mut image = files.image();
    for _ in 0..u.int_in_range(0..=6_u8)? {
        change(u, &mut image)?;
    }
    Ok(image)
}

/// Damages one of the files.
fn change(u: &mut Unstructured<'_>, image: &mut Image) -> Result<()> {
    const SECTOR: usize = 512;
    let files: Vec<PathBuf> = image
        .iter()
        .filter_map(|(path, content)| content.as_ref().map(|_| path.clone()))
        .collect();
    let path = u.choose(&files)?.clone();
    let Some(Some(bytes)) = image.get_mut(&path) else {
        return Ok(());
    };
    let place = |u: &mut Unstructured<'_>, length: usize| -> Result<usize> {
        // Most of a file that is preallocated is empty.
        let near = u.ratio(3, 4)?;
        let most = if near { length.min(6 * SECTOR) } else { length };
        Ok(u.arbitrary::<u32>()? as usize % most.max(1))
    };
    let at = place(u, bytes.len())?;
    match u.int_in_range(0..=6_u8)? {
        0 => bytes.truncate(at),
        1 => {
            image.remove(&path);
        }
        2 => {
            let sector = at / SECTOR * SECTOR;
            let end = (sector + SECTOR).min(bytes.len());
            bytes[sector..end].fill(0);
        }
        3 => {
            let (one, other) = (
                at / SECTOR * SECTOR,
                place(u, bytes.len())? / SECTOR * SECTOR,
            );
            if one.max(other) + SECTOR <= bytes.len() {
                let copy = bytes[one..one + SECTOR].to_vec();
                bytes[other..other + SECTOR].copy_from_slice(&copy);
            }
        }
        4 => {
            let content = bytes.clone();
            let name = u.choose(&NAMES)?;
            image.insert(Path::new(FOLDER).join(name), Some(content));
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = u.arbitrary()?;
            }
        }
    }
    Ok(())
}

/// But for the lock, which is made by opening.
fn without_lock(mut image: Image) -> Image {
    image.remove(&Path::new(FOLDER).join("LOCK"));
    image
}

/// What a start recovers, with the snapshot read to its end.
fn load(files: &Memory, on_damage: OnDamage) -> std::result::Result<Recovered, StorageError> {
    let mut storage = open(files, on_damage)?;
    if let Some(meta) = storage_snapshot(&files.image(), on_damage) {
        let mut reader = storage.snapshots().open(meta)?;
        let read = io::copy(&mut reader, &mut io::sink());
        read.map_err(|error| StorageError::io("read a snapshot", error))?;
    }
    storage.recover()
}

/// The snapshot that a start with this folder would load.
fn storage_snapshot(image: &Image, on_damage: OnDamage) -> Option<raft_proto::SnapshotId> {
    if on_damage == OnDamage::Mend {
        return None; // It is looked at by opening.
    }
    let files = Arc::new(Memory::holding(image));
    let found = inspect_with(files, Path::new(FOLDER), |_| (), |_, _| ());
    found.ok()?.snapshot.map(|meta| meta.id)
}

fn check(image: &Image) {
    let has_format = image.contains_key(&Path::new(FOLDER).join("FORMAT"));
    let files = Memory::holding(image);
    let inspected = inspect_with(
        Arc::new(files.clone()),
        Path::new(FOLDER),
        |_| (),
        |_, _| (),
    );
    assert_eq!(files.image(), *image, "inspect changed the folder");
    let is_accepted = inspected.is_ok_and(|found| found.problems.is_empty());
    // Opening alone changes nothing.
    if let Ok(storage) = open(&files, OnDamage::Refuse) {
        drop(storage);
    }
    if has_format {
        let after = without_lock(files.image());
        assert_eq!(
            after,
            without_lock(image.clone()),
            "opening changed the folder"
        );
        let files = Memory::holding(image);
        let loaded = load(&files, OnDamage::Refuse);
        assert_eq!(
            is_accepted,
            loaded.is_ok(),
            "inspect says one thing, a start another: {:?}",
            loaded.err()
        );
    }
    let files = Memory::holding(image);
    if load(&files, OnDamage::Mend).is_ok() {
        let again = load(&files, OnDamage::Refuse);
        assert!(
            again.is_ok(),
            "what was mended is refused: {:?}",
            again.err()
        );
    }
}
