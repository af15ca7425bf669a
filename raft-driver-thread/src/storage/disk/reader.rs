//! Reads the records of one segment.

use super::files::FileHandle;
use super::record::{ALIGNMENT, Place, RECORD_HEADER, Record, RecordHeader};
use bytes::Bytes;
use std::io;

/// Reads a segment's file through a window. Payloads are slices of the windows.
pub(super) struct Reader<'a> {
    file: &'a dyn FileHandle,
    place: Place,
    length: u64,
    /// How many bytes are read at a time.
    step: u64,
    window: Bytes,
    begin: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a dyn FileHandle, place: Place, step: u64) -> io::Result<Reader<'a>> {
        Ok(Reader {
            file,
            place,
            length: file.length()?,
            step,
            window: Bytes::new(),
            begin: 0,
        })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The bytes from `offset` on, as many as are at hand: at least `least`, unless the file ends.
    fn bytes(&mut self, offset: u64, least: u64) -> io::Result<Bytes> {
        let end = self.begin + self.window.len() as u64;
        let wanted = offset.saturating_add(least).min(self.length);
        if offset < self.begin || wanted > end {
            let size = least.max(self.step).min(self.length.saturating_sub(offset));
            // A file is no longer than memory that is addressable: its records were made there.
            let mut window = vec![0; size as usize];
            let read = self.file.read_at(&mut window, offset)?;
            window.truncate(read);
            self.window = window.into();
            self.begin = offset;
        }
        let skipped = (offset - self.begin).min(self.window.len() as u64);
        Ok(self.window.slice(skipped as usize..))
    }

    /// The header of the record that begins here. `None` if it is not as it was written.
    pub(super) fn header(&mut self, offset: u64) -> io::Result<Option<RecordHeader>> {
        let bytes = self.bytes(offset, RECORD_HEADER as u64)?;
        Ok(RecordHeader::decode(&bytes, self.place, offset))
    }

    /// The record that begins here. `None` if it is not as it was written.
    pub(super) fn record(&mut self, offset: u64) -> io::Result<Option<Record>> {
        let Some(header) = self.header(offset)? else {
            return Ok(None);
        };
        let length = header.length();
        if offset
            .checked_add(length)
            .is_none_or(|end| end > self.length)
        {
            return Ok(None);
        }
        let bytes = self.bytes(offset, length)?;
        Ok(Record::decode(header, &bytes, self.place, offset))
    }

    /// The first header at `from` or later that is as it was written.
    pub(super) fn find(&mut self, from: u64) -> io::Result<Option<(u64, RecordHeader)>> {
        const PAGE: u64 = 4096;
        const ZEROS: [u8; PAGE as usize] = [0; PAGE as usize];
        let mut offset = from.next_multiple_of(ALIGNMENT);
        while offset < self.length {
            if self.bytes(offset, PAGE)?.starts_with(&ZEROS) {
                offset += PAGE;
                continue;
            }
            let end = offset + PAGE;
            while offset < end {
                if let Some(header) = self.header(offset)? {
                    return Ok(Some((offset, header)));
                }
                offset += ALIGNMENT;
            }
        }
        Ok(None)
    }
}
