//! The trace of a run: one line for every fact, and one digest over all lines.
//!
//! The lines are those of [`raft_proto::trace`] with the virtual time before them, and the facts of
//! the world around the cores: lost messages, crashes, cut links. They are made whether or not
//! anybody reads them, because their digest is how two runs are compared.

use core::fmt;
use raft_proto::Time;
use sha2::{Digest, Sha256};
use std::io::{self, Write};

/// Takes the lines of a run.
pub struct Trace {
    /// Lines that are not yet hashed and written.
    chunk: Vec<u8>,
    /// The chunk before, for the last lines of a failure.
    previous: Vec<u8>,
    digest: Sha256,
    /// The bytes of the text before the chunk.
    flushed: u64,
    lines: u64,
    /// In place of all text: a digest of the times of all facts.
    times: Option<u64>,
    output: Option<Box<dyn Write + Send>>,
    error: Option<io::Error>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace of {} lines", self.lines)
    }
}

impl Trace {
    /// How many bytes are collected before they are hashed and written.
    const CHUNK: usize = 1 << 16;

    /// A trace that is hashed, and written to `output` if there is one.
    pub fn new(output: Option<Box<dyn Write + Send>>) -> Trace {
        Trace {
            chunk: Vec::with_capacity(Self::CHUNK + 1024),
            previous: Vec::with_capacity(Self::CHUNK + 1024),
            digest: Sha256::new(),
            flushed: 0,
            lines: 0,
            times: None,
            output,
            error: None,
        }
    }

    /// A trace without text, for searches through many runs: most of the cost of a run is text that
    /// nobody reads. Its digest is over the times of all facts. Any difference between two runs
    /// changes the times of all that follows, as every delay is drawn from the same streams.
    pub fn of_times() -> Trace {
        Trace {
            times: Some(0),
            chunk: Vec::new(),
            previous: Vec::new(),
            ..Trace::new(None)
        }
    }

    /// Adds a line.
    pub fn line(&mut self, at: Time, line: impl fmt::Display) {
        if let Some(times) = &mut self.times {
            // An odd factor mixes low bits into high ones; the rotation brings them back.
            *times = (times.rotate_left(23) ^ at.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.lines += 1;
            return;
        }
        // Writing to a vector cannot fail.
        let _ = writeln!(self.chunk, "{at} {line}");
        self.lines += 1;
        if self.chunk.len() >= Self::CHUNK {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.digest.update(&self.chunk);
        self.flushed += self.chunk.len() as u64;
        if let Some(output) = &mut self.output
            && let Err(error) = output.write_all(&self.chunk)
        {
            // The run goes on: its result does not depend on its output.
            self.error = Some(error);
            self.output = None;
        }
        core::mem::swap(&mut self.chunk, &mut self.previous);
        self.chunk.clear();
    }

    /// How many bytes of text there were: where the next line begins.
    pub fn text_len(&self) -> u64 {
        self.flushed + self.chunk.len() as u64
    }

    /// How many lines there were.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The last lines, at most `count`.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let recent = [&self.previous[..], &self.chunk[..]].concat();
        let text = String::from_utf8_lossy(&recent);
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.len().saturating_sub(count);
        // Chunks end with whole lines, so each of these is one.
        lines[first..].iter().map(|line| (*line).into()).collect()
    }

    /// Writes the rest. Returns the first 16 hexadecimal digits of the SHA-256 over all lines, each
    /// with its newline; without text, the digest of the times.
    ///
    /// # Errors
    ///
    /// The first error of the output.
    pub fn finish(&mut self) -> (String, io::Result<()>) {
        if let Some(times) = self.times {
            return (format!("{times:016x}"), Ok(()));
        }
        self.flush();
        let written = match (self.error.take(), &mut self.output) {
            (Some(error), _) => Err(error),
            (None, Some(output)) => output.flush(),
            (None, None) => Ok(()),
        };
        let digest = self.digest.clone().finalize();
        let short = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
        (short.collect(), written)
    }
}
