//! Fills the database's journal with zeros, a little ahead of its end.
//!
//! A journal begins as a file of holes. A sync of what goes into a hole has to give it a place on
//! the disk first, which the file system may have to log: it takes half as long again as a sync of
//! what goes where something is, and half as much again of the processor.
//!
//! Zeros are what holes read as, so filling them changes nothing. Nothing else is filled: what was
//! counted to be written must have ended before, and the file system must know nothing behind, or
//! it is read. And the journal must be one that this process began, in which the database writes at
//! places of its choice: one that was recovered goes on at the end of the file, which filling would
//! move. That one was cut where its last batch ends; only the other ends in a hole.

#[cfg(target_os = "linux")]
pub(super) use filling::Ahead;

#[cfg(target_os = "linux")]
mod filling {
    use crate::storage::disk::journal;
    use rustix::{fs, io::Errno};
    use std::fs::File;
    use std::io::{self, Read, Seek, SeekFrom, Write};
    use std::path::PathBuf;

    /// What is filled at a time.
    const STEP: u64 = 1 << 20;

    /// See the [module](super).
    #[derive(Debug)]
    pub(in super::super) struct Ahead {
        folder: PathBuf,
        /// The newest one: its number, and how to fill it, if it may be.
        journal: Option<(u64, Option<Journal>)>,
        /// How much can be written until more is filled.
        left: u64,
    }

    #[derive(Debug)]
    struct Journal {
        file: File,
        /// Filled up to here.
        end: u64,
        /// What is written ends before that, as it was counted.
        is_counted: bool,
    }

    impl Ahead {
        /// Of the database in this folder.
        pub(in super::super) fn new(folder: PathBuf) -> Ahead {
            Ahead {
                folder,
                journal: None,
                left: 0,
            }
        }

        /// At most about so many bytes are written next. Must be called by the one thread that
        /// writes to the database, while it does not.
        pub(in super::super) fn prepare(&mut self, bytes: u64) {
            if bytes > self.left {
                // Without it all is the same, only slower.
                self.left = self.fill().unwrap_or_else(|error| {
                    tracing::debug!(%error, "the journal was not filled ahead");
                    self.journal = None;
                    STEP // It is tried again then.
                });
            }
            if bytes > self.left
                && let Some((_, Some(journal))) = &mut self.journal
            {
                journal.is_counted = false;
            }
            self.left = self.left.saturating_sub(bytes);
        }

        /// How much can be written then.
        fn fill(&mut self) -> io::Result<u64> {
            let Some(number) = journal::newest(&self.folder)? else {
                return Ok(STEP);
            };
            if self
                .journal
                .as_ref()
                .is_none_or(|(known, _)| *known != number)
            {
                let found = Journal::open(journal::open(&self.folder, number)?)?;
                self.journal = Some((number, found));
            }
            match &mut self.journal {
                Some((_, Some(journal))) => journal.fill(self.left),
                Some((_, None)) | None => Ok(STEP),
            }
        }
    }

    impl Journal {
        /// `None` if it was recovered.
        fn open(file: File) -> io::Result<Option<Journal>> {
            let length = file.metadata()?.len();
            let journal = Journal {
                file,
                end: 0,
                is_counted: false,
            };
            let is_new = length > 0 && journal.is_hole_from(length - 1)?;
            Ok(is_new.then_some(journal))
        }

        /// Given how much was left; says how much is now.
        fn fill(&mut self, left: u64) -> io::Result<u64> {
            if self.is_counted && self.is_hole_from(self.end)? {
                self.write_zeros(self.end, STEP)?;
                self.end += STEP;
                return Ok(left + STEP);
            }
            self.is_counted = false;
            let left = loop {
                let mut step = Vec::new();
                self.file.seek(SeekFrom::Start(self.end))?;
                (&self.file).take(STEP).read_to_end(&mut step)?;
                let last = step.iter().rposition(|byte| *byte != 0);
                let written = last.map_or(0, |last| last as u64 + 1);
                self.write_zeros(self.end + written, STEP - written)?;
                self.end += STEP;
                if self.is_hole_from(self.end)? {
                    break STEP - written;
                }
            };
            self.write_zeros(self.end, STEP)?;
            self.end += STEP;
            self.is_counted = true;
            Ok(left + STEP)
        }

        fn write_zeros(&mut self, from: u64, count: u64) -> io::Result<()> {
            static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
            self.file.seek(SeekFrom::Start(from))?;
            let mut left = count;
            while left > 0 {
                let piece = left.min(ZEROS.len() as u64);
                // It is no longer than that.
                self.file.write_all(&ZEROS[..piece as usize])?;
                left -= piece;
            }
            Ok(())
        }

        /// Whether the file system knows that nothing was ever written there or behind.
        fn is_hole_from(&self, from: u64) -> io::Result<bool> {
            match fs::seek(&self.file, fs::SeekFrom::Data(from)) {
                Ok(_) => Ok(false),
                Err(Errno::NXIO) => Ok(true),
                Err(error) => Err(error.into()),
            }
        }
    }
}

/// Elsewhere it is not known where a file has holes.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(super) struct Ahead;

#[cfg(not(target_os = "linux"))]
impl Ahead {
    pub(super) fn new(_: std::path::PathBuf) -> Ahead {
        Ahead
    }

    #[expect(clippy::unused_self, reason = "elsewhere it does something")]
    pub(super) fn prepare(&mut self, _: u64) {}
}
