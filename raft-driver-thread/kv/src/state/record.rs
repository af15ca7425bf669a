//! The records of which snapshots and backups consist.
//!
//! A file is: 8 bytes that name its kind, one byte with the version of its layout, the records,
//! and a CRC-32 of all this (4 bytes, little-endian). A record is: one byte with the length of its
//! header, the header (postcard), and the content, whose lengths the header says. So a reader holds
//! only one record in memory, however large the file is.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read};

const VERSION: u8 = 1;
const MAGIC_LENGTH: usize = 8;
/// How much is read at once of a content whose length is only a claim.
const CHUNK_BYTES: usize = 1 << 20;

/// The kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Snapshot,
    Backup,
}

/// The header of a record. The order of the variants is part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Header {
    /// The first record: the state's time.
    Time(u64),
    /// The address of a server.
    ServerAddress {
        node: u64,
        /// The length of the address.
        clients: u64,
        /// The length of the release.
        release: u64,
    },
    /// A session. Its answers follow.
    Session { number: u64, used: u64, floor: u64 },
    /// An answer of the session before it. So many replies follow.
    Answer { sequence: u64, replies: u64 },
    /// A reply. If it holds others, they follow.
    Reply(ReplyHeader),
    /// A key and its value.
    Key {
        /// The length of the key.
        name: u64,
        /// The length of the value.
        value: u64,
        expiry: Option<u64>,
    },
    /// The last record: how many there were.
    End(Counts),
    /// An answer that was too long to be kept.
    Forgotten { sequence: u64 },
}

/// The kind of a reply, and the length of its content or the number of replies that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ReplyHeader {
    Ok,
    Simple(u64),
    Error(u64),
    Integer(i64),
    Bulk(u64),
    Nil,
    Array(u64),
    Map(u64),
}

/// How many records of these kinds a file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) addresses: u64,
    pub(super) sessions: u64,
    pub(super) answers: u64,
    pub(super) keys: u64,
}

impl FileKind {
    const ALL: [FileKind; 2] = [FileKind::Snapshot, FileKind::Backup];

    fn magic(self) -> &'static [u8; MAGIC_LENGTH] {
        match self {
            FileKind::Snapshot => b"raftkv-s",
            FileKind::Backup => b"raftkv-b",
        }
    }

    fn name(self) -> &'static str {
        match self {
            FileKind::Snapshot => "snapshot of raft-kv",
            FileKind::Backup => "backup of raft-kv",
        }
    }
}

/// Turns records into bytes, which its user takes piece by piece.
#[derive(Debug)]
pub(super) struct RecordEncoder {
    pending: Vec<u8>,
    sum: crc32fast::Hasher,
}

impl RecordEncoder {
    pub(super) fn new(kind: FileKind) -> RecordEncoder {
        let mut pending = kind.magic().to_vec();
        pending.push(VERSION);
        RecordEncoder {
            pending,
            sum: crc32fast::Hasher::new(),
        }
    }

    /// Adds a record. The header says the lengths of the parts of `content`.
    pub(super) fn put(&mut self, header: Header, content: &[&[u8]]) {
        let start = self.pending.len();
        let mut bytes = std::mem::take(&mut self.pending);
        bytes.push(0);
        bytes = match postcard::to_extend(&header, bytes) {
            Ok(bytes) => bytes,
            // No serializer in it fails, and a vector takes any length.
            Err(error) => unreachable!("a header can always be encoded: {error}"),
        };
        let length = bytes.len() - start - 1;
        if let Some(byte) = bytes.get_mut(start) {
            // It fits: a header is at most two tags and four numbers of up to ten bytes.
            *byte = length as u8;
        }
        for part in content {
            bytes.extend_from_slice(part);
        }
        self.pending = bytes;
    }

    /// How many bytes can be taken.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// The bytes since the last call.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.sum.update(&self.pending);
        std::mem::take(&mut self.pending)
    }

    /// The last bytes: those since the last call, and the checksum.
    pub(super) fn end(mut self) -> Vec<u8> {
        let mut last = self.take();
        last.extend_from_slice(&self.sum.finalize().to_le_bytes());
        last
    }
}

/// Reads records. All its errors but those of the reader are [`ErrorKind::InvalidData`].
pub(super) struct RecordDecoder<'a> {
    reader: &'a mut dyn Read,
    kind: FileKind,
    sum: crc32fast::Hasher,
}

impl<'a> RecordDecoder<'a> {
    pub(super) fn new(reader: &'a mut dyn Read, kind: FileKind) -> io::Result<RecordDecoder<'a>> {
        let mut decoder = RecordDecoder {
            reader,
            kind,
            sum: crc32fast::Hasher::new(),
        };
        let mut magic = [0; MAGIC_LENGTH];
        decoder.fill(&mut magic)?;
        if magic != *kind.magic() {
            let other = FileKind::ALL
                .into_iter()
                .find(|other| magic == *other.magic());
            let is = other.map_or("something else".into(), |other| {
                format!("a {}", other.name())
            });
            return Err(decoder.invalid(&format!("it is {is}")));
        }
        let version = decoder.byte()?;
        if version != VERSION {
            let what =
                format!("its layout has version {version}, and this release reads only {VERSION}");
            return Err(decoder.invalid(&what));
        }
        Ok(decoder)
    }

    /// The next header.
    pub(super) fn header(&mut self) -> io::Result<Header> {
        let mut buffer = [0; u8::MAX as usize];
        let length = usize::from(self.byte()?);
        let (bytes, _) = buffer.split_at_mut(length);
        self.fill(bytes)?;
        match postcard::take_from_bytes(bytes) {
            Ok((header, [])) => Ok(header),
            Ok(_) | Err(_) => Err(self.invalid("one of its records is unknown")),
        }
    }

    /// Content, whose length a header says. A false length takes little more memory than there are
    /// bytes.
    pub(super) fn bytes(&mut self, length: u64) -> io::Result<Bytes> {
        self.vec(length).map(Bytes::from)
    }

    /// Content that is text.
    pub(super) fn text(&mut self, length: u64) -> io::Result<String> {
        let bytes = self.vec(length)?;
        String::from_utf8(bytes).map_err(|_| self.invalid("one of its texts is not UTF-8"))
    }

    fn vec(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let Ok(length) = usize::try_from(length) else {
            return Err(self.invalid("one of its records is too long for this machine"));
        };
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let from = bytes.len();
            let chunk = CHUNK_BYTES.min(length - from);
            if from == 0 {
                bytes.reserve_exact(chunk);
            }
            bytes.resize(from + chunk, 0);
            let (_, new) = bytes.split_at_mut(from);
            self.fill(new)?;
        }
        bytes.shrink_to_fit();
        Ok(bytes)
    }

    /// Reads what follows the last record, and checks that no byte was changed.
    pub(super) fn end(mut self) -> io::Result<()> {
        let expected = self.sum.clone().finalize().to_le_bytes();
        let mut sum = [0; 4];
        self.fill(&mut sum)?;
        if sum != expected {
            return Err(self.invalid("its checksum is wrong"));
        }
        match self.fill(&mut [0]) {
            Ok(()) => Err(self.invalid("there are bytes after its end")),
            Err(error) if is_truncated(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn invalid(&self, what: &str) -> io::Error {
        let name = self.kind.name();
        io::Error::new(ErrorKind::InvalidData, format!("not a {name}: {what}"))
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.fill(&mut byte)?;
        Ok(byte[0])
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        match self.reader.read_exact(bytes) {
            Ok(()) => self.sum.update(bytes),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                let error = Truncated(self.kind.name());
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The bytes end too early.
#[derive(Debug, thiserror::Error)]
#[error("not a whole {0}: its end is missing")]
struct Truncated(&'static str);

fn is_truncated(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Truncated>())
}
