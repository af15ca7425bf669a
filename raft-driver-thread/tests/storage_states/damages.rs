//! Damages of a folder: what a disk may make of what it was given.

use crate::crash::SECTOR;
use crate::disk::{Call, Image, Node};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

const PAGE: usize = 4096;

/// The files that have a name, with it.
fn files(image: &Image) -> Vec<(String, usize)> {
    let named = image.names.iter().filter_map(|(path, node)| match node {
        Node::File(file) => Some((path.display().to_string(), *file)),
        Node::Folder => None,
    });
    named.collect()
}

/// The earlier versions of each sector of each file.
fn versions(calls: &[Call], files: usize) -> Vec<(usize, usize, Vec<u8>)> {
    let mut current = Image::default();
    current.files.resize(files, Vec::new());
    let mut found = Vec::new();
    for call in calls {
        match call {
            Call::Length(file, length) => current.files[*file].resize(*length as usize, 0),
            Call::Write(file, offset, bytes) => {
                let offset = *offset as usize;
                for sector in offset / SECTOR..(offset + bytes.len()).div_ceil(SECTOR) {
                    let begin = sector * SECTOR;
                    let end = (begin + SECTOR).min(current.files[*file].len());
                    if begin < end {
                        found.push((*file, begin, current.files[*file][begin..end].to_vec()));
                    }
                }
                current.write(*file, offset as u64, bytes);
            }
            Call::Name(_) | Call::SyncFolder(_) | Call::Sync(_) | Call::FailedSync(_) => {}
        }
    }
    found
}

/// Gives damaged images to `each`, with what was done. `step`: one of so many single bytes.
pub(crate) fn damages(
    image: &Image,
    calls: &[Call],
    step: usize,
    rng: &mut ChaCha8Rng,
    each: &mut dyn FnMut(&str, Image),
) {
    let named = files(image);
    for (name, file) in &named {
        let length = image.files[*file].len();
        let mut damage = |what: &str, at: usize, change: &mut dyn FnMut(&mut Vec<u8>)| {
            let mut damaged = image.clone();
            change(&mut damaged.files[*file]);
            if damaged.files[*file] != image.files[*file] {
                each(&format!("{name}: {what} at {at}"), damaged);
            }
        };
        for at in (0..length).step_by(step) {
            let bit = rng.next_u64() % 8;
            damage("a bit flipped", at, &mut |bytes| bytes[at] ^= 1 << bit);
        }
        for size in [SECTOR, PAGE] {
            for at in (0..length).step_by(size) {
                let end = (at + size).min(length);
                damage("zeros", at, &mut |bytes| bytes[at..end].fill(0));
                let other = rng.next_u64() as usize % length / size * size;
                let span = size.min(length - at.max(other));
                damage("swapped", at, &mut |bytes| {
                    for byte in 0..span {
                        bytes.swap(at + byte, other + byte);
                    }
                });
                damage("misdirected", at, &mut |bytes| {
                    let moved = bytes[other..other + span].to_vec();
                    bytes[at..at + span].copy_from_slice(&moved);
                });
                damage("cut short", at, &mut |bytes| bytes.truncate(at));
            }
        }
        for (other_name, other) in &named {
            let other = &image.files[*other];
            let what = format!("the bytes of {other_name}");
            damage(&what, 0, &mut |bytes| bytes.clone_from(other));
            let at = rng.next_u64() as usize % length.max(1) / SECTOR * SECTOR;
            let at = at.min(other.len());
            let span = SECTOR.min(length.saturating_sub(at)).min(other.len() - at);
            damage(&format!("a sector of {other_name}"), at, &mut |bytes| {
                bytes[at..at + span].copy_from_slice(&other[at..at + span]);
            });
        }
        let mut missing = image.clone();
        missing.names.retain(|_, node| *node != Node::File(*file));
        each(&format!("{name}: missing"), missing);
    }
    for (file, begin, old) in versions(calls, image.files.len()) {
        let mut damaged = image.clone();
        let bytes = &mut damaged.files[file];
        if bytes.len() >= begin + old.len() && bytes[begin..begin + old.len()] != old {
            bytes[begin..begin + old.len()].copy_from_slice(&old);
            each(&format!("file {file}: a stale sector at {begin}"), damaged);
        }
    }
}
