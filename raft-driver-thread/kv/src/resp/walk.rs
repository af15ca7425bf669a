//! Going over bytes that are still coming in, without looking at any of them twice.

use std::ops::Range;

/// A place in a buffer that grows at its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walk {
    /// Where the next header begins: all before it is known to be good.
    pub(crate) at: usize,
    /// Up to here the header's line has no end.
    searched: usize,
}

/// Why a line is none.
#[derive(Debug)]
pub(crate) enum LineError {
    /// It has no end within the limit.
    TooLong,
    /// A carriage return without a line feed.
    NoLineFeed,
}

/// A line: where its text is, without the first byte, which says what kind it is; and where the
/// next one begins.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) text: Range<usize>,
    pub(crate) next: usize,
}

impl Walk {
    /// The line that begins here; `None` if its end has not come yet. Stays here.
    pub(crate) fn line(
        &mut self,
        buffer: &[u8],
        max_bytes: usize,
    ) -> Result<Option<Line>, LineError> {
        let start = self.at.saturating_add(1);
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

    /// Goes on to where something else begins.
    pub(crate) fn go_to(&mut self, at: usize) {
        self.at = at;
        self.searched = at;
    }
}
