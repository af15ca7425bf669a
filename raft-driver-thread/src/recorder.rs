//! The flight recorder: writes every event that the core is given to a ring of files.
//!
//! The files are in the format of [`raft_proto::recording`]; `raft-sim replay` runs them. They are
//! written once per turn and never synced: they survive the end of the process, but not a power
//! failure. What the core's events do not tell stands in a text beside each (`timings`).

use crate::error::StartError;
use crate::timings::{HEADER, Timings};
use raft_proto::{Action, Event, NodeId, Raft, RequestId, Time, recording};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where a node records its events, and how much of them is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderOptions {
    /// The folder; made if it is missing. Several nodes may share it: the files are named by the
    /// node's number and their own, as in `n3-000000000017.raftrec`. Two groups of one node must
    /// not, as their names would be the same: a node does not start where another one with its
    /// number records ([`StartError::RecordingsInUse`]). Beside each stands a text that ends in
    /// `.rafttimes`: when commands were given to the node, and when syncs and applying began and
    /// ended; `raft-sim explain` reads it. Files of earlier starts count towards `max_files`; what
    /// is not named as a recording of this node is left alone.
    pub folder: PathBuf,
    /// When a file and the text beside it have this many bytes, a new one begins. Each begins with
    /// a checkpoint, which holds the part of the log that is in memory, and is not counted. Default
    /// 64 MiB.
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

/// Of the text beside a recording.
const TIMES: &str = "rafttimes";

/// How many digits the number in a name has.
const DIGITS: usize = 12;

#[derive(Debug)]
pub(crate) struct Recorder {
    options: RecorderOptions,
    node: NodeId,
    files: VecDeque<PathBuf>,
    next: u64,
    file: File,
    /// The bytes of events in the file, and of the text beside it.
    written: u64,
    /// What this turn has recorded.
    buffer: Vec<u8>,
    /// How much of the buffer is the checkpoint that the file begins with.
    checkpoint: u64,
    timings: Timings,
    times: File,
    /// What this turn adds to the times.
    lines: String,
}

impl Recorder {
    pub(crate) fn start(
        options: RecorderOptions,
        raft: &Raft,
        timings: Timings,
    ) -> Result<Recorder, StartError> {
        let (folder, node) = (options.folder.clone(), raft.id());
        Recorder::begin(options, raft, timings).map_err(|error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                return StartError::RecordingsInUse { folder, node };
            }
            let text = format!("{}: {error}", folder.display());
            StartError::Recorder(io::Error::new(error.kind(), text))
        })
    }

    /// Fails with `WouldBlock` if another recorder writes files of this name.
    fn begin(options: RecorderOptions, raft: &Raft, timings: Timings) -> io::Result<Recorder> {
        let node = raft.id();
        fs::create_dir_all(&options.folder)?;
        let mut numbers = Vec::new();
        for file in fs::read_dir(&options.folder)? {
            numbers.extend(number(&file?.path(), node));
        }
        numbers.sort_unstable();
        if let Some(last) = numbers.last() {
            lock(&File::open(path(&options, node, *last))?)?;
        }
        let next = numbers.last().map_or(1, |last| last + 1);
        let files = numbers.into_iter().map(|it| path(&options, node, it));
        let mut files: VecDeque<_> = files.collect();
        make_room(&mut files, &options)?;
        let path = path(&options, node, next);
        files.push_back(path.clone());
        let buffer = recording::begin(raft);
        Ok(Recorder {
            // First the file with the lock.
            file: create(&path)?,
            times: File::create(path.with_extension(TIMES))?,
            options,
            node,
            files,
            next: next + 1,
            written: 0,
            checkpoint: buffer.len() as u64,
            buffer,
            timings,
            lines: HEADER.to_owned(),
        })
    }

    pub(crate) fn event(&mut self, event: &Event) {
        recording::event_into(&mut self.buffer, event);
    }

    pub(crate) fn actions(&mut self, actions: &[Action]) {
        recording::outcome_into(&mut self.buffer, actions);
    }

    /// The oldest command of the proposal with this id was given to the node then.
    pub(crate) fn proposal(&mut self, id: RequestId, given: Time) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.lines, "proposal {} {}", id.0, given.0);
    }

    fn flush_times(&mut self) -> io::Result<()> {
        self.timings.take_into(&mut self.lines);
        if !self.lines.is_empty() {
            self.times.write_all(self.lines.as_bytes())?;
            self.written += self.lines.len() as u64;
            self.lines.clear();
        }
        Ok(())
    }

    /// The end of a turn: writes what it has recorded, and begins a new file if this one is full.
    pub(crate) fn flush(&mut self, raft: &Raft) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64 - std::mem::take(&mut self.checkpoint);
        self.buffer.clear();
        self.flush_times()?;
        if self.written < self.options.max_file_bytes {
            return Ok(());
        }
        let path = path(&self.options, self.node, self.next);
        self.file = create(&path)?;
        self.times = File::create(path.with_extension(TIMES))?;
        self.lines.push_str(HEADER);
        make_room(&mut self.files, &self.options)?;
        self.files.push_back(path);
        (self.next, self.written) = (self.next + 1, 0);
        self.buffer = recording::begin(raft);
        self.checkpoint = self.buffer.len() as u64;
        Ok(())
    }
}

/// Makes a file, and locks it for as long as it is open. Fails with `WouldBlock` if another
/// recorder has just made it.
fn create(path: &Path) -> io::Result<File> {
    let file = File::create_new(path).map_err(|error| {
        let was_made = error.kind() == io::ErrorKind::AlreadyExists;
        if was_made {
            io::ErrorKind::WouldBlock.into()
        } else {
            error
        }
    })?;
    lock(&file)?;
    Ok(file)
}

/// Fails with `WouldBlock` if a recorder holds the lock. Where files cannot be locked, nobody does.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(error @ TryLockError::WouldBlock) => Err(error.into()),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// Deletes the oldest files, until there may be one more.
fn make_room(files: &mut VecDeque<PathBuf>, options: &RecorderOptions) -> io::Result<()> {
    while files.len() >= options.max_files.max(1) {
        let Some(oldest) = files.pop_front() else {
            break;
        };
        for file in [oldest.with_extension(TIMES), oldest] {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                // Somebody else may have deleted it.
                Ok(()) | Err(_) => {}
            }
        }
    }
    Ok(())
}

impl Drop for Recorder {
    /// Writes also if a step has panicked: its event is the last one then.
    fn drop(&mut self) {
        // Nobody is left to be told of an error.
        let _ = self.file.write_all(&self.buffer);
        let _ = self.flush_times();
        self.timings.end();
    }
}

/// Sorted by name, the files of a node are sorted by age.
fn path(options: &RecorderOptions, node: NodeId, number: u64) -> PathBuf {
    let name = format!("{node}-{number:0DIGITS$}.{EXTENSION}");
    options.folder.join(name)
}

/// The number of a recording of this node; `None` for another file.
fn number(path: &Path, node: NodeId) -> Option<u64> {
    let is_recording = path.extension().is_some_and(|it| it == EXTENSION);
    let stem = path.file_stem().filter(|_| is_recording)?.to_str()?;
    let (of, number) = stem.split_once('-')?;
    // Only as it is written above.
    let digits = number.len() == DIGITS && number.bytes().all(|it| it.is_ascii_digit());
    number
        .parse()
        .ok()
        .filter(|_| digits && of == node.to_string())
}
