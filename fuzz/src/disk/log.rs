//! A storage is given any writes that a core may give it, and holds what they amount to: while it
//! runs, and after each restart.

use super::files::Memory;
use super::{Writer, open};
use arbitrary::{Result, Unstructured};
use raft_driver_thread::storage::Storage;
use raft_driver_thread::storage::disk::{DiskStorage, OnDamage};
use raft_proto::*;

/// Lets the bytes choose the writes.
pub fn run(data: &[u8]) {
    let files = Memory::holding(&[("/".into(), None)].into());
    let _ = live(&mut Unstructured::new(data), &files, &mut Writer::new());
}

fn start(files: &Memory, model: &Recovered) -> DiskStorage {
    let mut storage = match open(files, OnDamage::Refuse) {
        Ok(storage) => storage,
        Err(error) => panic!("{error}"),
    };
    match storage.recover() {
        Ok(found) => assert_eq!(found, *model),
        Err(error) => panic!("{error}"),
    }
    storage
}

/// Writes, reads and starts again until the bytes end.
pub(super) fn live(u: &mut Unstructured<'_>, files: &Memory, writer: &mut Writer) -> Result<()> {
    let mut storage = start(files, &writer.model);
    while !u.is_empty() {
        match u.int_in_range(0..=9_u8)? {
            0 => {
                drop(storage);
                storage = start(files, &writer.model);
            }
            1 => read(u, &mut storage, &writer.model)?,
            _ => {
                let mut writes = Vec::new();
                for _ in 0..u.int_in_range(1..=3_u8)? {
                    writes.push(writer.write(u, &storage)?);
                    if writes.last().is_some_and(|write| write.install.is_some()) {
                        break; // One is received at a time.
                    }
                }
                if let Err(error) = storage.write(&writes) {
                    panic!("{error}");
                }
            }
        }
    }
    drop(storage);
    start(files, &writer.model);
    Ok(())
}

fn read(u: &mut Unstructured<'_>, storage: &mut DiskStorage, model: &Recovered) -> Result<()> {
    let (Some(first), Some(last)) = (model.entries.first_index(), model.entries.last_id()) else {
        return Ok(());
    };
    let from = Index(u.int_in_range(first.0..=last.index.0)?);
    let to = Index(u.int_in_range(from.0..=last.index.0)?);
    let wanted = model.entries.part(from, to);
    let Some(begin) = wanted.iter().next().map(|it| it.id()) else {
        return Ok(());
    };
    let found = match storage.read_entries(begin, EntryId { index: to, ..last }, u64::MAX) {
        Ok(found) => found,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(found, Some(wanted));
    Ok(())
}
