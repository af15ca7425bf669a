//! The records that snapshots and backups consist of.
//!
//! A file is: 8 bytes that say what it is, one with the version of its layout, the records, and a
//! CRC-32 of all that (4 bytes, the lowest first). A record is: one byte with the length of its
//! head, the head (postcard), and the bytes whose lengths the head says. So nothing is ever held
//! but one record, however large the file is.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read};

const VERSION: u8 = 1;
const MAGIC_LENGTH: usize = 8;
/// How much is read at once of what others say is long.
const PIECE: usize = 1 << 20;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Snapshot,
    Backup,
}

/// What a record begins with. Numbers without a name are lengths of the bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Head {
    /// The first: the state's time.
    Time(u64),
    Server {
        node: u64,
        clients: u64,
        release: u64,
    },
    /// A session; its answers follow.
    Session { number: u64, used: u64, floor: u64 },
    /// An answer; so many replies follow.
    Answer { sequence: u64, replies: u64 },
    /// A reply; if it has parts, they follow.
    Reply(Shape),
    /// A key and its value.
    Key {
        name: u64,
        value: u64,
        expiry: Option<u64>,
    },
    /// The last: how many there were.
    End(Counts),
    /// An answer that was too long to be kept.
    Forgotten { sequence: u64 },
}

/// A reply without its parts, of which it says how many there are or how long they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Shape {
    Ok,
    Simple(u64),
    Error(u64),
    Integer(i64),
    Bulk(u64),
    Nil,
    Array(u64),
    Map(u64),
}

/// How many records of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) servers: u64,
    pub(super) sessions: u64,
    pub(super) answers: u64,
    pub(super) keys: u64,
}

impl Kind {
    const ALL: [Kind; 2] = [Kind::Snapshot, Kind::Backup];

    fn magic(self) -> &'static [u8; MAGIC_LENGTH] {
        match self {
            Kind::Snapshot => b"raftkv-s",
            Kind::Backup => b"raftkv-b",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Snapshot => "snapshot of raft-kv",
            Kind::Backup => "backup of raft-kv",
        }
    }
}

/// Turns records into bytes, which are taken from it from time to time.
#[derive(Debug)]
pub(super) struct Encoder {
    pending: Vec<u8>,
    sum: crc32fast::Hasher,
}

impl Encoder {
    pub(super) fn new(kind: Kind) -> Encoder {
        let mut pending = kind.magic().to_vec();
        pending.push(VERSION);
        Encoder {
            pending,
            sum: crc32fast::Hasher::new(),
        }
    }

    /// Adds a record; `tails` are the bytes whose lengths the head says.
    pub(super) fn put(&mut self, head: Head, tails: &[&[u8]]) {
        let at = self.pending.len();
        let mut bytes = std::mem::take(&mut self.pending);
        bytes.push(0);
        bytes = match postcard::to_extend(&head, bytes) {
            Ok(bytes) => bytes,
            // Nothing in it has a serializer that fails, and a vector takes all.
            Err(error) => unreachable!("a head can always be written: {error}"),
        };
        let length = bytes.len() - at - 1;
        if let Some(byte) = bytes.get_mut(at) {
            // Two tags and at most four numbers of at most ten bytes.
            *byte = length as u8;
        }
        for tail in tails {
            bytes.extend_from_slice(tail);
        }
        self.pending = bytes;
    }

    /// How much can be taken.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.sum.update(&self.pending);
        std::mem::take(&mut self.pending)
    }

    /// The last that there is to take.
    pub(super) fn end(mut self) -> Vec<u8> {
        let mut last = self.take();
        last.extend_from_slice(&self.sum.finalize().to_le_bytes());
        last
    }
}

/// Reads records. All its errors but those of the reader are [`ErrorKind::InvalidData`].
pub(super) struct Decoder<'a> {
    reader: &'a mut dyn Read,
    kind: Kind,
    sum: crc32fast::Hasher,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(reader: &'a mut dyn Read, kind: Kind) -> io::Result<Decoder<'a>> {
        let mut decoder = Decoder {
            reader,
            kind,
            sum: crc32fast::Hasher::new(),
        };
        let mut magic = [0; MAGIC_LENGTH];
        decoder.fill(&mut magic)?;
        if magic != *kind.magic() {
            let other = Kind::ALL.into_iter().find(|other| magic == *other.magic());
            let is = other.map_or("something else".into(), |other| {
                format!("a {}", other.name())
            });
            return Err(decoder.invalid(&format!("it is {is}")));
        }
        let version = decoder.byte()?;
        if version != VERSION {
            let what = format!("its layout is {version}, and this release knows {VERSION} only");
            return Err(decoder.invalid(&what));
        }
        Ok(decoder)
    }

    pub(super) fn head(&mut self) -> io::Result<Head> {
        let mut buffer = [0; u8::MAX as usize];
        let length = usize::from(self.byte()?);
        let (bytes, _) = buffer.split_at_mut(length);
        self.fill(bytes)?;
        match postcard::take_from_bytes(bytes) {
            Ok((head, [])) => Ok(head),
            Ok(_) | Err(_) => Err(self.invalid("one of its records is unknown")),
        }
    }

    /// Bytes whose length a head says. No more memory is taken than there are bytes, in about.
    pub(super) fn bytes(&mut self, length: u64) -> io::Result<Bytes> {
        self.vec(length).map(Bytes::from)
    }

    pub(super) fn text(&mut self, length: u64) -> io::Result<String> {
        let bytes = self.vec(length)?;
        String::from_utf8(bytes).map_err(|_| self.invalid("one of its texts is no UTF-8"))
    }

    fn vec(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let Ok(length) = usize::try_from(length) else {
            return Err(self.invalid("one of its records is too long for this machine"));
        };
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let from = bytes.len();
            let piece = PIECE.min(length - from);
            if from == 0 {
                bytes.reserve_exact(piece);
            }
            bytes.resize(from + piece, 0);
            let (_, new) = bytes.split_at_mut(from);
            self.fill(new)?;
        }
        bytes.shrink_to_fit();
        Ok(bytes)
    }

    /// Reads what is behind the last record, and makes sure that nothing was changed.
    pub(super) fn end(mut self) -> io::Result<()> {
        let expected = self.sum.clone().finalize().to_le_bytes();
        let mut sum = [0; 4];
        self.fill(&mut sum)?;
        if sum != expected {
            return Err(self.invalid("its checksum is wrong"));
        }
        match self.fill(&mut [0]) {
            Ok(()) => Err(self.invalid("there is something behind its end")),
            Err(error) if is_short(&error) => Ok(()),
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
                let error = Short(self.kind.name());
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
struct Short(&'static str);

fn is_short(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Short>())
}
