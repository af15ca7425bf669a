//! The keys alone, for a cluster that is set up anew.

use super::keys::Key;
use super::machine::View;
use super::record::{Counts, Decoder, Encoder, Head, Kind};
use super::snapshot::{out_of_order, put_key, read_key, read_time};
use bytes::Bytes;
use std::io::{self, Read, Write};

/// How much is written at once.
const PIECE: usize = 1 << 16;

/// A backup that is taken piece by piece, however long that takes: it is of the moment at which
/// its view was.
#[derive(Debug)]
pub struct BackupEncoder {
    view: View,
    /// The key that was put last.
    last: Option<Key>,
    counts: Counts,
    /// `None` after the end.
    encoder: Option<Encoder>,
}

impl BackupEncoder {
    /// A backup of the keys of a view.
    pub fn new(view: View) -> BackupEncoder {
        let mut encoder = Encoder::new(Kind::Backup);
        encoder.put(Head::Time(view.time), &[]);
        BackupEncoder {
            view,
            last: None,
            counts: Counts::default(),
            encoder: Some(encoder),
        }
    }

    /// The next piece, of about `length` bytes (more, if a key and its value are longer), and
    /// never empty; `None` at the end. All of them in order are what [`read_backup`] reads.
    pub fn next_chunk(&mut self, length: usize) -> Option<Bytes> {
        let mut encoder = self.encoder.take()?;
        for (key, value) in self.view.keys.behind(self.last.take()) {
            put_key(&mut encoder, key, value);
            self.counts.keys += 1;
            if encoder.pending() >= length {
                let piece = encoder.take();
                self.last = Some(key.clone());
                self.encoder = Some(encoder);
                return Some(Bytes::from(piece));
            }
        }
        encoder.put(Head::End(self.counts), &[]);
        Some(Bytes::from(encoder.end()))
    }
}

/// Writes the keys of a view, their values and expiries, piece by piece.
///
/// # Errors
///
/// Those of `writer`.
pub fn write_backup(view: View, writer: &mut dyn Write) -> io::Result<()> {
    let mut backup = BackupEncoder::new(view);
    while let Some(piece) = backup.next_chunk(PIECE) {
        writer.write_all(&piece)?;
    }
    Ok(())
}

/// Of which moment a backup is, and of how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupSummary {
    /// The state's time: milliseconds since 1970.
    pub time: u64,
    /// How many keys there were.
    pub keys: u64,
}

/// Reads a backup: calls `each` with every key, its value and its expiry (milliseconds since
/// 1970), and stops at the first error.
///
/// Whether it is whole and unchanged is known only at the end. To load all or nothing, read it
/// twice, first with an `each` that does nothing.
///
/// # Errors
///
/// Those of `reader` and `each`; [`InvalidData`](io::ErrorKind::InvalidData) if it is no backup,
/// is not whole, was changed, or if something follows it.
pub fn read_backup(
    reader: &mut dyn Read,
    mut each: impl FnMut(Bytes, Bytes, Option<u64>) -> io::Result<()>,
) -> io::Result<BackupSummary> {
    let mut decoder = Decoder::new(reader, Kind::Backup)?;
    let time = read_time(&mut decoder)?;
    let mut counts = Counts::default();
    let mut last = None;
    loop {
        match decoder.head()? {
            Head::Key {
                name,
                value,
                expiry,
            } => {
                let (key, value) = read_key(&mut decoder, last.as_ref(), name, value)?;
                each(key.name().clone(), value, expiry)?;
                counts.keys += 1;
                last = Some(key);
            }
            Head::End(said) if said == counts => break,
            Head::End(_) => return Err(decoder.invalid("some of its keys are missing")),
            Head::Time(_)
            | Head::Server { .. }
            | Head::Session { .. }
            | Head::Answer { .. }
            | Head::Forgotten { .. }
            | Head::Reply(_) => return Err(out_of_order(&decoder)),
        }
    }
    decoder.end()?;
    let keys = counts.keys;
    Ok(BackupSummary { time, keys })
}
