//! The files of the database's journal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// What is read at a time.
const STEP: u64 = 64 << 10;

/// The number of the newest journal in the database's folder: the one that is written to.
pub(super) fn newest(folder: &Path) -> io::Result<Option<u64>> {
    let mut newest = None;
    for file in fs::read_dir(folder)? {
        let name = file?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".jnl"));
        newest = newest.max(number.and_then(|number| number.parse().ok()));
    }
    Ok(newest)
}

/// To read and write where one likes.
pub(super) fn open(folder: &Path, number: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true);
    options.open(folder.join(format!("{number}.jnl")))
}

/// A journal whose last batch is incomplete now.
pub(super) struct Cut {
    file: File,
    length: u64,
    last: (u64, u8),
}

/// Cuts off the journal's last byte, and the zeros behind it.
///
/// A disk whose power failed may have stored some pages of a batch, and others not. The database drops a batch
/// that does not end, but not one that does and is wrong within: it refuses to open. Who cuts it makes it one
/// that does not end, which helps if it is the last one.
pub(super) fn cut_last_batch(folder: &Path) -> io::Result<Option<Cut>> {
    let Some(number) = newest(folder)? else {
        return Ok(None);
    };
    let mut file = open(folder, number)?;
    let length = file.metadata()?.len();
    let mut end = length;
    while end > 0 {
        let begin = end.saturating_sub(STEP);
        let mut step = Vec::new();
        file.seek(SeekFrom::Start(begin))?;
        (&file).take(end - begin).read_to_end(&mut step)?;
        let last = (begin..).zip(step).filter(|(_, byte)| *byte != 0).last();
        if let Some(last) = last {
            file.set_len(last.0)?;
            return Ok(Some(Cut { file, length, last }));
        }
        end = begin;
    }
    Ok(None)
}

impl Cut {
    /// As if it had not been.
    pub(super) fn undo(mut self) -> io::Result<()> {
        let (place, byte) = self.last;
        self.file.seek(SeekFrom::Start(place))?;
        self.file.write_all(&[byte])?;
        self.file.set_len(self.length)?;
        self.file.sync_all()
    }
}
