//! Finds lines in a buffer that grows at its end, and looks at each byte once.

use std::ops::Range;

/// How far a buffer has been read.
#[derive(Clone, Debug, Default)]
pub(super) struct Scanner {
    /// Where the next header begins. Everything before it has been checked.
    pub(super) position: usize,
    /// Up to here there is no end of the header's line.
    searched: usize,
}

/// Why a header is not a line.
#[derive(Debug)]
pub(super) enum LineError {
    /// It has no end within the limit.
    TooLong,
    /// A carriage return without a line feed.
    NoLineFeed,
}

/// A line of the buffer.
#[derive(Debug)]
pub(super) struct Line {
    /// The line without its first byte, which says what kind of value it begins, and without
    /// its end.
    pub(super) text: Range<usize>,
    /// Where the next line begins.
    pub(super) next: usize,
}

impl Scanner {
    /// The line that begins at the scanner's position, which stays; `None` if the line's end has
    /// not arrived yet.
    pub(super) fn line(
        &mut self,
        buffer: &[u8],
        max_bytes: usize,
    ) -> Result<Option<Line>, LineError> {
        let start = self.position.saturating_add(1);
        let last = start.saturating_add(max_bytes);
        let from = self.searched.max(start);
        let found = buffer.get(from..).unwrap_or_default();
        let found = found.iter().position(|byte| *byte == b'\r');
        let end = from + found.unwrap_or(buffer.len().saturating_sub(from));
        if end > last {
            return Err(LineError::TooLong);
        }
        self.searched = end;
        if found.is_none() {
            return Ok(None);
        }
        match buffer.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some(Line {
                text: start..end,
                next: end + 2,
            })),
            Some(_) => Err(LineError::NoLineFeed),
        }
    }

    /// Moves on to where the next header begins.
    pub(super) fn move_to(&mut self, position: usize) {
        self.position = position;
        self.searched = position;
    }
}
