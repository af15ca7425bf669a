//! The fingerprint and the link of each state, in the order of their numbers: 16 bytes a state.

use super::append::Append;
use super::error::{SavedError, at, damaged};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// Pairs of numbers in a file.
#[derive(Debug)]
pub(in super::super) struct Records(Append);

const LENGTH: u64 = 16;

impl Records {
    /// Opens a file that holds so many.
    pub(super) fn open(path: PathBuf, count: u64) -> Result<Records, SavedError> {
        Ok(Records(Append::open(path, count.saturating_mul(LENGTH))?))
    }

    pub(in super::super) fn push(&mut self, print: u64, link: u64) -> Result<(), SavedError> {
        let mut record = [0; LENGTH as usize];
        let (first, second) = record.split_at_mut(8);
        first.copy_from_slice(&print.to_le_bytes());
        second.copy_from_slice(&link.to_le_bytes());
        self.0.push(&record)
    }

    /// The record of this number. Slow: for a path, after the search.
    pub(in super::super) fn get(&mut self, number: u64) -> Result<(u64, u64), SavedError> {
        self.flush()?;
        let path = self.0.path();
        let mut file = File::open(path).map_err(at(path))?;
        file.seek(SeekFrom::Start(number * LENGTH))
            .map_err(at(path))?;
        read(&mut file).map_err(at(path))
    }

    /// Calls this with each state's fingerprint, in order.
    pub(in super::super) fn for_each(
        &mut self,
        count: u64,
        mut each: impl FnMut(u64),
    ) -> Result<(), SavedError> {
        let path = self.0.path();
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(at(path))?);
        for _ in 0..count {
            each(read(&mut reader).map_err(at(path))?.0);
        }
        Ok(())
    }

    /// Two of these fingerprints are the same.
    pub(in super::super) fn damaged(&self) -> SavedError {
        damaged(self.0.path())
    }

    pub(super) fn flush(&mut self) -> Result<(), SavedError> {
        self.0.flush().map(drop)
    }
}

fn read(reader: &mut impl Read) -> std::io::Result<(u64, u64)> {
    let mut number = || {
        let mut bytes = [0; 8];
        reader.read_exact(&mut bytes)?;
        Ok::<u64, std::io::Error>(u64::from_le_bytes(bytes))
    };
    Ok((number()?, number()?))
}
