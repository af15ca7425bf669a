//! The keys of the state as bytes, and back: for a new cluster, to which the sessions and addresses
//! mean nothing.

use super::keyspace::Key;
use super::payload::StoredKey;
use super::record::{Counts, FileKind, Header, RecordDecoder, RecordEncoder};
use super::snapshot::{out_of_order, put_key, read_key, read_time};
use super::view::View;
use bytes::Bytes;
use std::io::{self, Read, Write};

/// How many bytes are written at once.
const CHUNK_BYTES: usize = 1 << 16;

/// Encodes a backup chunk by chunk. However long that takes, the backup is of the view's moment.
#[derive(Debug)]
pub struct BackupEncoder {
    view: View,
    /// The last key that was encoded.
    last: Option<Key>,
    counts: Counts,
    /// `None` after the end.
    encoder: Option<RecordEncoder>,
}

impl BackupEncoder {
    /// A backup of the keys of a view.
    pub fn new(view: View) -> BackupEncoder {
        let mut encoder = RecordEncoder::new(FileKind::Backup);
        encoder.put(Header::Time(view.time), &[]);
        BackupEncoder {
            view,
            last: None,
            counts: Counts::default(),
            encoder: Some(encoder),
        }
    }

    /// The next chunk, of about `length` bytes (more, if a key and its value are longer), and
    /// never empty; `None` at the end. [`read_backup`] reads all chunks, joined in order.
    pub fn next_chunk(&mut self, length: usize) -> Option<Bytes> {
        let mut encoder = self.encoder.take()?;
        for (key, value) in self.view.keys_after(self.last.take()) {
            put_key(&mut encoder, key, value);
            self.counts.keys += 1;
            if encoder.pending_bytes() >= length {
                let chunk = encoder.take();
                self.last = Some(key.to_key());
                self.encoder = Some(encoder);
                return Some(Bytes::from(chunk));
            }
        }
        encoder.put(Header::End(self.counts), &[]);
        Some(Bytes::from(encoder.end()))
    }
}

/// Writes the keys of a view, with their values and expiries, chunk by chunk.
///
/// # Errors
///
/// Those of `writer`.
pub fn write_backup(view: View, writer: &mut dyn Write) -> io::Result<()> {
    let mut backup = BackupEncoder::new(view);
    while let Some(chunk) = backup.next_chunk(CHUNK_BYTES) {
        writer.write_all(&chunk)?;
    }
    Ok(())
}

/// The moment and the size of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupSummary {
    /// The state's time: milliseconds since 1970.
    pub time: u64,
    /// How many keys it holds.
    pub keys: u64,
}

/// Reads a backup: calls `each` with every key, and stops at the first error.
///
/// Only at the end is it known whether the backup is complete and unchanged. To load all keys or
/// none, read it twice, first with an `each` that does nothing.
///
/// # Errors
///
/// Those of `reader` and `each`; [`InvalidData`](io::ErrorKind::InvalidData) if the bytes are no
/// backup, are incomplete, were changed, or go on after its end.
pub fn read_backup(
    reader: &mut dyn Read,
    mut each: impl FnMut(StoredKey) -> io::Result<()>,
) -> io::Result<BackupSummary> {
    let mut decoder = RecordDecoder::new(reader, FileKind::Backup)?;
    let time = read_time(&mut decoder)?;
    let mut counts = Counts::default();
    let mut last = None;
    loop {
        match decoder.header()? {
            Header::Key {
                name,
                value,
                expiry,
            } => {
                let (key, value) =
                    read_key(&mut decoder, last.as_ref().map(Key::stored), name, value)?;
                let name = key.name().clone();
                each(StoredKey {
                    name,
                    value,
                    expiry,
                })?;
                counts.keys += 1;
                last = Some(key);
            }
            Header::End(said) if said == counts => break,
            Header::End(_) => return Err(decoder.invalid("some of its keys are missing")),
            Header::Time(_)
            | Header::ServerAddress { .. }
            | Header::Session { .. }
            | Header::Answer { .. }
            | Header::Forgotten { .. }
            | Header::Reply(_) => return Err(out_of_order(&decoder)),
        }
    }
    decoder.end()?;
    let keys = counts.keys;
    Ok(BackupSummary { time, keys })
}
