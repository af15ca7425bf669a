//! Fills the database's journal with zeros, a little ahead of its end.
//!
//! A journal begins as a file of holes. A sync of what goes into a hole has to give it a place on the disk
//! first, which the file system logs, and waits for: it takes half as long again, and twice the processor,
//! as a sync of what goes where something is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// What is filled at a time.
const STEP: usize = 1 << 20;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Ahead {
    folder: PathBuf,
    /// The newest journal that another process began: it is not filled, as it has no holes.
    before: Option<u64>,
    journal: Option<Journal>,
    /// How much can be written until more is filled.
    left: u64,
}

#[derive(Debug)]
struct Journal {
    number: u64,
    file: File,
    /// Filled up to here.
    end: u64,
}

impl Ahead {
    /// Of the database in this folder, which is not open yet.
    pub(super) fn new(folder: PathBuf) -> Ahead {
        let mut ahead = Ahead {
            folder,
            before: None,
            journal: None,
            left: 0,
        };
        // A folder that is not there has no journals.
        ahead.before = ahead.newest().unwrap_or(None);
        ahead
    }

    /// About so many bytes are written next. Must be called by the thread that writes to the database,
    /// while it does not.
    pub(super) fn prepare(&mut self, bytes: u64) {
        if let Some(left) = self.left.checked_sub(bytes) {
            self.left = left;
            return;
        }
        self.left = STEP as u64;
        // Without it all is the same, only slower.
        if let Err(error) = self.fill() {
            tracing::debug!(%error, "the journal was not filled ahead");
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let newest = self.newest()?;
        let Some(number) = newest.filter(|_| newest > self.before) else {
            return Ok(());
        };
        match &mut self.journal {
            Some(journal) if journal.number == number => journal.fill(),
            _ => {
                let journal = self.journal.insert(Journal {
                    number,
                    file: OpenOptions::new()
                        .read(true)
                        .write(true)
                        .open(self.folder.join(format!("{number}.jnl")))?,
                    end: 0,
                });
                // Where what is to be written is counted too low there is still enough.
                journal.fill()?;
                journal.fill()
            }
        }
    }

    /// The number of the newest journal, which is the one that is written to.
    fn newest(&self) -> io::Result<Option<u64>> {
        let mut newest = None;
        for file in fs::read_dir(&self.folder)? {
            let name = file?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".jnl"));
            newest = newest.max(number.and_then(|number| number.parse().ok()));
        }
        Ok(newest)
    }
}

impl Journal {
    /// Fills one step more, and what of those before is still to be written at all. Whatever holds
    /// something is left alone, and zeros are what was read where zeros are written: nothing changes.
    fn fill(&mut self) -> io::Result<()> {
        let mut is_behind = true;
        while is_behind {
            let mut step = Vec::with_capacity(STEP);
            if !self.ends_in_a_hole() {
                self.file.seek(SeekFrom::Start(self.end))?;
                (&self.file).take(STEP as u64).read_to_end(&mut step)?;
            }
            // Behind the end of the file there is what is in its holes.
            step.resize(STEP, 0);
            let last = step.iter().rposition(|byte| *byte != 0);
            let from = last.map_or(0, |last| last + 1);
            let zeros = step.get(from..).unwrap_or_default();
            self.file.seek(SeekFrom::Start(self.end + from as u64))?;
            self.file.write_all(zeros)?;
            self.end += STEP as u64;
            is_behind = zeros.is_empty();
        }
        Ok(())
    }

    /// Whether the file system knows that there is nothing behind what was filled.
    #[cfg(target_os = "linux")]
    fn ends_in_a_hole(&self) -> bool {
        use rustix::{fs, io::Errno};
        fs::seek(&self.file, fs::SeekFrom::Data(self.end)) == Err(Errno::NXIO)
    }

    #[cfg(not(target_os = "linux"))]
    fn ends_in_a_hole(&self) -> bool {
        false
    }
}
