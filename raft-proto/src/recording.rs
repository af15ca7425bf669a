//! Recordings: every event of a node, and a digest of the core's answer to each.
//!
//! A step depends on nothing but the state and the event. So a recording that begins with a
//! checkpoint is a replay of the node: everything that it did in production it does again, step by
//! step, on any machine. The format belongs to no driver.
//!
//! # Layout, version 1
//!
//! | part | field | encoding |
//! |---|---|---|
//! | file | magic | `RAFTREC` |
//! | | version | one byte: 1 |
//! | | frames | until the end of the file |
//! | frame | length of the body | 8 bytes, little-endian |
//! | | checksum of length and body | CRC-32, 4 bytes, little-endian |
//! | | body | [postcard](https://postcard.jamesmunns.com/wire-format) |
//!
//! The first frame is a [`Header`]. After it, an [`Event`] and the [`Outcome`] of its step take
//! turns, a frame each. An event is written before its step and an outcome after it: if a step does
//! not return, its event is the last.
//!
//! A file may end anywhere, because a process may. The bytes after the last whole frame are
//! [torn](RecordingError::Torn), which is no defect. A whole frame with a wrong checksum is one.
//!
//! ```
//! use raft_proto::recording::{self, Recording, Step};
//! use raft_proto::*;
//!
//! let config = Config::new(ClusterId(7), NodeId(1), Start::voters([NodeId(1)]), 42);
//! let mut raft = Raft::new(config, Recovered::default()).unwrap();
//! let mut file = recording::begin(&raft);
//! let event = Event { at: Time(5), input: Input::Tick };
//! recording::event_into(&mut file, &event);
//! let actions = raft.step(event);
//! recording::outcome_into(&mut file, &actions);
//!
//! let mut recording = Recording::open(&file)?;
//! let mut replayed = Raft::from_checkpoint(&recording.header().checkpoint).unwrap();
//! let Some(Step { event, outcome, .. }) = recording.step()? else { panic!() };
//! assert_eq!(outcome, Some(recording::outcome(&replayed.step(event))));
//! # Ok::<(), recording::RecordingError>(())
//! ```

use crate::action::Action;
use crate::checksum::Checksum;
use crate::config::Config;
use crate::event::Event;
use crate::raft::Raft;
use alloc::string::String;
use alloc::vec::Vec;
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 7] = b"RAFTREC";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 12;

/// The beginning of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of this crate that wrote it. Another version may answer otherwise.
    pub crate_version: String,
    /// The node's settings.
    pub config: Config,
    /// The state before the first event, for [`Raft::from_checkpoint`].
    pub checkpoint: Vec<u8>,
}

/// The answer of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Outcome {
    /// The number of actions.
    pub actions: u64,
    /// The CRC-32 over the postcard encodings of all of them, one after another.
    pub digest: u32,
}

/// A step that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The position of its event in the file.
    pub offset: u64,
    /// The input of the core.
    pub event: Event,
    /// The core's answer; absent if the recording ends before it.
    pub outcome: Option<Outcome>,
}

/// Why bytes are no recording, or cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// They do not begin as a recording does.
    #[error("this is no recording: it does not begin as one")]
    NotARecording,
    /// Another release wrote them.
    #[error("the recording has format version {found}, this release reads {VERSION}")]
    UnknownVersion {
        /// Their version.
        found: u8,
    },
    /// They end within a frame, as when a process was killed. The frames before are good.
    #[error("the recording ends in the middle of the frame at byte {offset}")]
    Torn {
        /// Where the frame begins.
        offset: u64,
    },
    /// A frame has changed since it was written.
    #[error("the frame at byte {offset} is damaged: nothing from there on can be trusted")]
    Damaged {
        /// Where the frame begins.
        offset: u64,
    },
}

/// The beginning of a recording of this node, from its present state on.
pub fn begin(raft: &Raft) -> Vec<u8> {
    let mut file = Vec::from(MAGIC);
    file.push(VERSION);
    let header = Header {
        crate_version: String::from(env!("CARGO_PKG_VERSION")),
        config: raft.config().clone(),
        checkpoint: raft.checkpoint(),
    };
    frame_into(&mut file, &header);
    file
}

/// Appends an event. Call it before the event is given to the core.
pub fn event_into(file: &mut Vec<u8>, event: &Event) {
    frame_into(file, event);
}

/// Appends the core's answer to the last event.
pub fn outcome_into(file: &mut Vec<u8>, actions: &[Action]) {
    frame_into(file, &outcome(actions));
}

/// The digest of these actions: the same on every machine.
pub fn outcome(actions: &[Action]) -> Outcome {
    let mut digest = Checksum::new();
    for action in actions {
        // This cannot fail: the flavor accepts all bytes, and all lengths in an action are known.
        let _ = postcard::serialize_with_flavor(action, Digesting(&mut digest));
    }
    Outcome {
        actions: actions.len() as u64,
        digest: digest.value(),
    }
}

fn frame_into(file: &mut Vec<u8>, value: &impl Serialize) {
    let begin = file.len();
    file.extend_from_slice(&[0; HEAD_BYTES]);
    // This cannot fail either: the flavor appends to a vector.
    let _ = postcard::serialize_with_flavor(value, Appending(file));
    let length = ((file.len() - begin - HEAD_BYTES) as u64).to_le_bytes();
    let checksum = checksum(&length, &file[begin + HEAD_BYTES..]);
    file[begin..begin + 8].copy_from_slice(&length);
    file[begin + 8..begin + HEAD_BYTES].copy_from_slice(&checksum);
}

fn checksum(length: &[u8; 8], body: &[u8]) -> [u8; 4] {
    let mut checksum = Checksum::new();
    checksum.update(length);
    checksum.update(body);
    checksum.value().to_le_bytes()
}

struct Appending<'a>(&'a mut Vec<u8>);

impl Flavor for Appending<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

struct Digesting<'a>(&'a mut Checksum);

impl Flavor for Digesting<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.update(&[byte]);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.update(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// A recording that is being read, from its beginning.
#[derive(Clone, Debug)]
pub struct Recording<'a> {
    header: Header,
    rest: &'a [u8],
    offset: u64,
}

impl<'a> Recording<'a> {
    /// Reads the beginning of a file.
    ///
    /// # Errors
    ///
    /// [`RecordingError`] if this release cannot read it.
    pub fn open(file: &'a [u8]) -> Result<Recording<'a>, RecordingError> {
        let rest = file.strip_prefix(MAGIC);
        let rest = rest.ok_or(RecordingError::NotARecording)?;
        let (version, rest) = rest.split_first().ok_or(RecordingError::NotARecording)?;
        if *version != VERSION {
            return Err(RecordingError::UnknownVersion { found: *version });
        }
        let mut cursor = Cursor {
            rest,
            offset: MAGIC.len() as u64 + 1,
        };
        let torn = RecordingError::Torn {
            offset: cursor.offset,
        };
        let header = cursor.next()?.ok_or(torn)?;
        Ok(Recording {
            header,
            rest: cursor.rest,
            offset: cursor.offset,
        })
    }

    /// Its beginning.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next step, or `None` at the end.
    ///
    /// # Errors
    ///
    /// [`RecordingError::Torn`] or [`RecordingError::Damaged`]; nothing can be read after it.
    pub fn step(&mut self) -> Result<Option<Step>, RecordingError> {
        let mut cursor = Cursor {
            rest: self.rest,
            offset: self.offset,
        };
        let offset = cursor.offset;
        let Some(event) = cursor.next()? else {
            return Ok(None);
        };
        let outcome = cursor.next()?;
        (self.rest, self.offset) = (cursor.rest, cursor.offset);
        Ok(Some(Step {
            offset,
            event,
            outcome,
        }))
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
    offset: u64,
}

impl Cursor<'_> {
    fn next<T: for<'a> Deserialize<'a>>(&mut self) -> Result<Option<T>, RecordingError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let offset = self.offset;
        let torn = RecordingError::Torn { offset };
        let damaged = RecordingError::Damaged { offset };
        let (length, rest) = self.rest.split_first_chunk::<8>().ok_or(torn)?;
        let (stored, rest) = rest.split_first_chunk::<4>().ok_or(torn)?;
        let size = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| torn)?;
        let (body, rest) = rest.split_at_checked(size).ok_or(torn)?;
        if checksum(length, body) != *stored {
            return Err(damaged);
        }
        let (value, left) = postcard::take_from_bytes(body).map_err(|_| damaged)?;
        if !left.is_empty() {
            return Err(damaged);
        }
        self.rest = rest;
        self.offset += (HEAD_BYTES + size) as u64;
        Ok(Some(value))
    }
}
