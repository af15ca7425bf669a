//! A storage in one file, to which every write is appended: a frame for each
//! [`Write`](raft_proto::Write), in the order of seq.
//!
//! It never gets shorter. One that makes snapshots begins a new file with what
//! [`Recovered`](raft_proto::Recovered) holds after a compaction, and renames it over the old one.
//! It takes a damaged frame for the torn end of the last write, which was never reported. A storage
//! for production has to tell that from a frame that it did report and that the disk has lost
//! since: `raft-driver-thread` shows how, and `Recovered::impaired` is what it says then. It also
//! locks its files, so that two processes cannot run with one storage.

use super::frame;
use raft_proto::{Recovered, Write};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// An open log, positioned at its end.
pub(crate) struct FileLog {
    file: File,
    buffer: Vec<u8>,
}

/// What was found in a log.
pub(crate) struct Found {
    pub(crate) recovered: Recovered,
    /// How many bytes at its end were no whole write.
    pub(crate) torn: u64,
}

impl FileLog {
    /// Opens or creates the log at `path`, and applies its writes.
    pub(crate) fn open(path: &Path) -> io::Result<(FileLog, Found)> {
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (mut recovered, mut at) = (Recovered::default(), 0);
        while let Ok(Some(body)) = frame::first(&bytes[at..], u64::MAX) {
            let write: Write = postcard::from_bytes(body).map_err(io::Error::other)?;
            recovered.apply(&write);
            at += frame::HEADER + body.len();
        }
        // The core takes what is recovered for durable. A page cache is not, nor is the name of a
        // new file before its directory is synced.
        file.set_len(at as u64)?;
        file.sync_all()?;
        #[cfg(unix)]
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        file.seek(SeekFrom::Start(at as u64))?;
        let torn = (bytes.len() - at) as u64;
        let buffer = Vec::new();
        Ok((FileLog { file, buffer }, Found { recovered, torn }))
    }

    /// Puts the writes behind one another, and returns when they survive a loss of power.
    pub(crate) fn write(&mut self, writes: &[Write]) -> io::Result<()> {
        self.buffer.clear();
        for write in writes {
            let body = postcard::to_allocvec(write).map_err(io::Error::other)?;
            frame::append(&mut self.buffer, &body);
        }
        io::Write::write_all(&mut self.file, &self.buffer)?;
        self.file.sync_data()
    }
}
