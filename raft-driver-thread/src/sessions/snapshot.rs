//! The sessions in a snapshot, before the state of the machine within.
//!
//! ```text
//! "sessions"  the version (4 bytes)  how many sessions (8)
//! of each session, by its number:  number (8)  used (8)  floor (8)  how many answers (8)
//!   of each answer, by its number:  number (8)  length (8; all ones: not kept)  the answer
//! ```
//!
//! Numbers are little-endian.

use super::table::{
    KeptAnswer, MAX_ANSWERS, MAX_SESSIONS, SessionState, SessionTable, TableSnapshot,
};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use xxhash_rust::xxh3::Xxh3;

const MAGIC: &[u8; 8] = b"sessions";
/// Of the layout, and of what digests are made of.
pub(super) const VERSION: u32 = 1;
/// In place of a length: the answer was too long to be kept.
const NOT_KEPT: u64 = u64::MAX;

/// An answer as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EncodedAnswer(Bytes);

impl EncodedAnswer {
    /// `None` if the answer's own serializer fails: then it is not kept.
    pub(super) fn encode(answer: &impl Serialize) -> Option<EncodedAnswer> {
        let bytes = postcard::to_allocvec(answer).ok()?;
        Some(EncodedAnswer(Bytes::from(bytes)))
    }

    pub(super) fn decode<A: DeserializeOwned>(&self) -> Option<A> {
        postcard::from_bytes(&self.0).ok()
    }
}

impl KeptAnswer for EncodedAnswer {
    fn bytes(&self) -> u64 {
        /// What an answer takes besides its content.
        const OVERHEAD: u64 = 64;
        OVERHEAD + self.0.len() as u64
    }

    fn digest(sequence: u64, answer: Option<&EncodedAnswer>) -> u128 {
        let mut hasher = Xxh3::new();
        hasher.update(&sequence.to_le_bytes());
        hasher.update(&[u8::from(answer.is_some())]);
        hasher.update(answer.map_or(&[], |answer| &answer.0[..]));
        hasher.digest128()
    }
}

/// The state of [`Sessions`](super::Sessions) at one moment.
#[derive(Debug)]
pub struct SessionsSnapshot<S> {
    sessions: TableSnapshot<EncodedAnswer>,
    machine: S,
}

impl<S> SessionsSnapshot<S> {
    pub(super) fn new(table: &SessionTable<EncodedAnswer>, machine: S) -> SessionsSnapshot<S> {
        SessionsSnapshot {
            sessions: table.snapshot(),
            machine,
        }
    }

    /// Writes the sessions, and returns what comes after them.
    pub(super) fn write_sessions(self, writer: &mut dyn Write) -> io::Result<S> {
        writer.write_all(MAGIC)?;
        writer.write_all(&VERSION.to_le_bytes())?;
        let sessions = self.sessions.iter();
        writer.write_all(&(sessions.len() as u64).to_le_bytes())?;
        for (number, session) in sessions {
            let count = session.answer_count() as u64;
            for number in [number, session.used(), session.floor(), count] {
                writer.write_all(&number.to_le_bytes())?;
            }
            for (sequence, answer) in session.answers() {
                let length = answer.map_or(NOT_KEPT, |answer| answer.0.len() as u64);
                writer.write_all(&sequence.to_le_bytes())?;
                writer.write_all(&length.to_le_bytes())?;
                writer.write_all(answer.map_or(&[], |answer| &answer.0[..]))?;
            }
        }
        Ok(self.machine)
    }
}

/// Reads what [`SessionsSnapshot::write_sessions`] wrote.
pub(super) fn read_sessions(reader: &mut dyn Read) -> io::Result<SessionTable<EncodedAnswer>> {
    let mut magic = [0; MAGIC.len()];
    let begins = match reader.read_exact(&mut magic) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
        read => read.map(|()| &magic == MAGIC)?,
    };
    if !begins {
        return Err(invalid("it begins without sessions"));
    }
    let mut version = [0; 4];
    reader.read_exact(&mut version)?;
    if u32::from_le_bytes(version) != VERSION {
        return Err(invalid("its sessions are of another version"));
    }
    let mut table = SessionTable::default();
    let count = read_number(reader)?;
    if count > MAX_SESSIONS as u64 {
        return Err(invalid("it has too many sessions"));
    }
    let mut last = None;
    for _ in 0..count {
        let number = read_number(reader)?;
        if last.is_some_and(|last| last >= number) {
            return Err(invalid("its sessions are out of order"));
        }
        last = Some(number);
        table.insert(number, read_session(reader)?);
    }
    Ok(table)
}

fn read_session(reader: &mut dyn Read) -> io::Result<SessionState<EncodedAnswer>> {
    let (used, floor) = (read_number(reader)?, read_number(reader)?);
    let mut session = SessionState::new(used, floor);
    let count = read_number(reader)?;
    if count > MAX_ANSWERS as u64 {
        return Err(invalid("a session has too many answers"));
    }
    let mut last = None;
    for _ in 0..count {
        let sequence = read_number(reader)?;
        if sequence < floor || last.is_some_and(|last| last >= sequence) {
            return Err(invalid("the answers of a session are out of order"));
        }
        last = Some(sequence);
        session.insert(sequence, read_answer(reader)?);
    }
    Ok(session)
}

fn read_answer(reader: &mut dyn Read) -> io::Result<Option<EncodedAnswer>> {
    let length = read_number(reader)?;
    if length == NOT_KEPT {
        return Ok(None);
    }
    // The length is only a claim, so no memory is reserved for it.
    let mut bytes = Vec::new();
    if reader.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(invalid("it ends within an answer"));
    }
    Ok(Some(EncodedAnswer(Bytes::from(bytes))))
}

fn read_number(reader: &mut dyn Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the snapshot is not of a state machine with sessions: {reason}"),
    )
}
