//! The flight recorder: writes every event that the core is given to a ring of files.
//!
//! The files are in the format of [`raft_proto::recording`]; `raft-sim replay` runs them. They are
//! written once per turn and never synced: they survive the end of the process, but not a power
//! failure.

use raft_proto::{Action, Event, Raft, recording};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

/// Where a node records its events, and how much of them is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderOptions {
    /// The folder; made if it is missing. Files of earlier starts count towards `max_files`.
    pub folder: PathBuf,
    /// When a file has reached this length, a new one begins. Each begins with a checkpoint, which
    /// holds the part of the log that is in memory. Default 64 MiB.
    pub max_file_bytes: u64,
    /// How many files are kept, at least 1; the oldest ones are deleted. Default 8.
    pub max_files: usize,
}

impl RecorderOptions {
    /// The defaults, with this folder.
    pub fn new(folder: impl Into<PathBuf>) -> RecorderOptions {
        RecorderOptions {
            folder: folder.into(),
            max_file_bytes: 64 << 20,
            max_files: 8,
        }
    }
}

const EXTENSION: &str = "raftrec";

#[derive(Debug)]
pub(crate) struct Recorder {
    options: RecorderOptions,
    files: VecDeque<PathBuf>,
    next: u64,
    file: File,
    written: u64,
    /// What this turn has recorded.
    buffer: Vec<u8>,
}

impl Recorder {
    pub(crate) fn start(options: RecorderOptions, raft: &Raft) -> io::Result<Recorder> {
        fs::create_dir_all(&options.folder)?;
        let mut files = Vec::new();
        for file in fs::read_dir(&options.folder)? {
            let path = file?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == EXTENSION)
            {
                files.push(path);
            }
        }
        files.sort();
        let last = files.last().and_then(|path| path.file_stem()?.to_str());
        let next = last.and_then(|stem| stem.parse::<u64>().ok());
        let next = next.map_or(1, |last| last + 1);
        let path = path(&options, next);
        let mut files = VecDeque::from(files);
        files.push_back(path.clone());
        Ok(Recorder {
            file: File::create(path)?,
            options,
            files,
            next: next + 1,
            written: 0,
            buffer: recording::begin(raft),
        })
    }

    pub(crate) fn event(&mut self, event: &Event) {
        recording::event_into(&mut self.buffer, event);
    }

    pub(crate) fn actions(&mut self, actions: &[Action]) {
        recording::outcome_into(&mut self.buffer, actions);
    }

    /// The end of a turn: writes what it has recorded, and begins a new file if this one is full.
    pub(crate) fn flush(&mut self, raft: &Raft) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written < self.options.max_file_bytes {
            return Ok(());
        }
        let path = path(&self.options, self.next);
        self.file = File::create(&path)?;
        self.files.push_back(path);
        (self.next, self.written) = (self.next + 1, 0);
        self.buffer = recording::begin(raft);
        while self.files.len() > self.options.max_files.max(1) {
            if let Some(oldest) = self.files.pop_front() {
                fs::remove_file(oldest)?;
            }
        }
        Ok(())
    }
}

impl Drop for Recorder {
    /// Writes also if a step has panicked: its event is the last one then.
    fn drop(&mut self) {
        let _ = self.file.write_all(&self.buffer); // Nobody is left to be told of an error.
    }
}

/// Sorted by name, the files are sorted by age.
fn path(options: &RecorderOptions, number: u64) -> PathBuf {
    options.folder.join(format!("{number:012}.{EXTENSION}"))
}
