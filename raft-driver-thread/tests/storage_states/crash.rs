//! Every state that a power failure may leave after a number of calls.
//!
//! The disk holds what was synced. Of what was written since, each sector (of 512 bytes) may be
//! there or not, in any version that it had since; so may a new length, and each change of names
//! whose folder was not synced since.

use super::disk::{Call, Image, Naming, Node};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use std::collections::BTreeMap;

pub(crate) const SECTOR: usize = 512;
const PAGE: usize = 4096;

/// What is durable, and what may be.
#[derive(Default)]
pub(crate) struct Crash {
    durable: Image,
    /// Versions of sectors that were not synced: by file and number, oldest first.
    sectors: BTreeMap<(usize, usize), Vec<Vec<u8>>>,
    /// Lengths that were not synced.
    lengths: BTreeMap<usize, Vec<usize>>,
    names: Vec<Naming>,
    /// What a process sees.
    current: Image,
}

/// Which of the unsynced changes are there.
trait Choice {
    /// `Some(version)`, of so many, or `None` for the durable one.
    fn sector(&mut self, file: usize, sector: usize, versions: usize) -> Option<usize>;
    fn length(&mut self, lengths: usize) -> Option<usize>;
    fn name(&mut self) -> bool;
}

impl Crash {
    pub(crate) fn starting_with(image: Image) -> Crash {
        Crash {
            durable: image.clone(),
            current: image,
            ..Crash::default()
        }
    }

    fn sector_of(bytes: &[u8], sector: usize) -> Vec<u8> {
        let begin = (sector * SECTOR).min(bytes.len());
        let end = (begin + SECTOR).min(bytes.len());
        let mut found = bytes[begin..end].to_vec();
        found.resize(SECTOR, 0);
        found
    }

    fn file(&mut self, file: usize) {
        for image in [&mut self.durable, &mut self.current] {
            if image.files.len() <= file {
                image.files.resize(file + 1, Vec::new());
            }
        }
    }

    pub(crate) fn call(&mut self, call: &Call) {
        match call {
            Call::Name(naming) => {
                if let Naming::Link(_, Node::File(file)) = naming {
                    self.file(*file);
                }
                naming.apply(&mut self.current.names);
                self.names.push(naming.clone());
            }
            Call::SyncFolder(path) => {
                let (synced, left) = self.names.drain(..).partition(|it| it.folder() == path);
                self.names = left;
                let synced: Vec<Naming> = synced;
                for naming in synced {
                    naming.apply(&mut self.durable.names);
                }
            }
            Call::Length(file, length) => {
                self.file(*file);
                self.current.files[*file].resize(*length as usize, 0);
                // What was cut off reads as zeros, if the file grows again.
                let sectors = self.durable.files[*file].len().div_ceil(SECTOR);
                self.note(*file, *length as usize / SECTOR..sectors);
                self.lengths
                    .entry(*file)
                    .or_default()
                    .push(*length as usize);
            }
            Call::Write(file, offset, bytes) => {
                self.file(*file);
                self.write(*file, *offset as usize, bytes);
            }
            Call::Sync(file) => {
                self.file(*file);
                self.sync(*file);
                self.forget(*file);
            }
            Call::FailedSync(file) => {
                self.file(*file);
                self.forget(*file);
            }
        }
    }

    /// What waits to be written is written. After a sync that failed it is not all that differs.
    fn sync(&mut self, file: usize) {
        let bytes = &mut self.durable.files[file];
        if let Some(length) = self.lengths.get(&file).and_then(|lengths| lengths.last()) {
            bytes.resize(*length, 0);
        }
        for ((_, sector), versions) in self.sectors.range((file, 0)..(file + 1, 0)) {
            let begin = (sector * SECTOR).min(bytes.len());
            let end = (begin + SECTOR).min(bytes.len());
            if let Some(newest) = versions.last() {
                bytes[begin..end].copy_from_slice(&newest[..end - begin]);
            }
        }
    }

    /// Nothing of this file waits to be written any more.
    fn forget(&mut self, file: usize) {
        self.sectors.retain(|(of, _), _| *of != file);
        self.lengths.remove(&file);
    }

    fn write(&mut self, file: usize, offset: usize, bytes: &[u8]) {
        let before = self.current.files[file].len();
        self.current.write(file, offset as u64, bytes);
        let after = self.current.files[file].len();
        if after != before {
            self.lengths.entry(file).or_default().push(after);
        }
        self.note(
            file,
            offset / SECTOR..(offset + bytes.len()).div_ceil(SECTOR),
        );
    }

    /// Notes the versions that these sectors have now.
    fn note(&mut self, file: usize, sectors: std::ops::Range<usize>) {
        for sector in sectors {
            let version = Crash::sector_of(&self.current.files[file], sector);
            let durable = Crash::sector_of(&self.durable.files[file], sector);
            match self.sectors.get_mut(&(file, sector)) {
                Some(versions) if versions.last() != Some(&version) => versions.push(version),
                Some(_) => {}
                None if version == durable => {}
                None => {
                    self.sectors.insert((file, sector), vec![version]);
                }
            }
        }
    }

    /// The power fails, and nothing is left but what was synced.
    pub(crate) fn durable(&self) -> &Image {
        &self.durable
    }

    /// The process is killed: the page cache survives.
    pub(crate) fn current(&self) -> &Image {
        &self.current
    }

    fn build(&self, choice: &mut dyn Choice) -> Image {
        let mut image = self.durable.clone();
        for (file, lengths) in &self.lengths {
            if let Some(version) = choice.length(lengths.len()) {
                image.files[*file].resize(lengths[version], 0);
            }
        }
        for ((file, sector), versions) in &self.sectors {
            let Some(version) = choice.sector(*file, *sector, versions.len()) else {
                continue;
            };
            let bytes = &mut image.files[*file];
            let begin = (sector * SECTOR).min(bytes.len());
            let end = (begin + SECTOR).min(bytes.len());
            bytes[begin..end].copy_from_slice(&versions[version][..end - begin]);
        }
        for naming in &self.names {
            if choice.name() {
                naming.apply(&mut image.names);
            }
        }
        image
    }

    /// Gives states to `each`: with none and with all of the changes, with all but one and with
    /// only one sector, page or name; and `random` ones, of sectors and of pages.
    pub(crate) fn states(&self, random: usize, rng: &mut ChaCha8Rng, each: &mut dyn FnMut(Image)) {
        each(self.build(&mut All(true)));
        let count = self.sectors.len() + self.lengths.len() + self.names.len();
        if count == 0 {
            return;
        }
        each(self.build(&mut All(false)));
        let pages = self.sectors.keys();
        let pages: Vec<_> = pages
            .map(|(file, sector)| (*file, sector * SECTOR / PAGE))
            .collect();
        for is_there in [false, true] {
            let step = (self.sectors.len() / 24).max(1); // Enough of a long write.
            for (file, sector) in self.sectors.keys().step_by(step) {
                let (file, first, last) = (*file, *sector, *sector);
                each(self.build(&mut But {
                    is_there,
                    file,
                    first,
                    last,
                }));
            }
            for (file, page) in &pages {
                let first = page * PAGE / SECTOR;
                let last = first + PAGE / SECTOR - 1;
                each(self.build(&mut But {
                    is_there,
                    file: *file,
                    first,
                    last,
                }));
            }
            for at in 0..self.names.len() {
                each(self.build(&mut OneName { is_there, at }));
            }
        }
        for number in 0..random {
            let by_page = number % 2 == 0;
            let seed = rng.next_u64();
            each(self.build(&mut Random { by_page, seed, rng }));
        }
    }
}

/// All of it, or nothing.
struct All(bool);

impl Choice for All {
    fn sector(&mut self, _: usize, _: usize, versions: usize) -> Option<usize> {
        self.0.then(|| versions - 1)
    }

    fn length(&mut self, lengths: usize) -> Option<usize> {
        self.0.then(|| lengths - 1)
    }

    fn name(&mut self) -> bool {
        self.0
    }
}

/// These sectors are there and no other data, or the other way round.
struct But {
    is_there: bool,
    file: usize,
    first: usize,
    last: usize,
}

impl Choice for But {
    fn sector(&mut self, file: usize, sector: usize, versions: usize) -> Option<usize> {
        let is_meant = file == self.file && (self.first..=self.last).contains(&sector);
        (is_meant == self.is_there).then(|| versions - 1)
    }

    fn length(&mut self, lengths: usize) -> Option<usize> {
        Some(lengths - 1)
    }

    fn name(&mut self) -> bool {
        true
    }
}

/// This change of names is there and no other, or the other way round.
struct OneName {
    is_there: bool,
    at: usize,
}

impl Choice for OneName {
    fn sector(&mut self, _: usize, _: usize, versions: usize) -> Option<usize> {
        Some(versions - 1)
    }

    fn length(&mut self, lengths: usize) -> Option<usize> {
        Some(lengths - 1)
    }

    fn name(&mut self) -> bool {
        let is_meant = self.at == 0;
        self.at = self.at.wrapping_sub(1);
        is_meant == self.is_there
    }
}

/// Each sector, or each page, as the dice fall.
struct Random<'a> {
    by_page: bool,
    seed: u64,
    rng: &'a mut ChaCha8Rng,
}

impl Choice for Random<'_> {
    fn sector(&mut self, file: usize, sector: usize, versions: usize) -> Option<usize> {
        let drawn = if self.by_page {
            // The sectors of a page fare alike.
            let page = (file * 1000 + sector * SECTOR / PAGE) as u64;
            (self.seed ^ page).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
        } else {
            self.rng.next_u64()
        };
        (drawn as usize % (versions + 1)).checked_sub(1)
    }

    fn length(&mut self, lengths: usize) -> Option<usize> {
        (self.rng.next_u64() as usize % (lengths + 1)).checked_sub(1)
    }

    fn name(&mut self) -> bool {
        self.rng.next_u64().is_multiple_of(2)
    }
}
