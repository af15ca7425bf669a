//! Two releases of the program in one cluster, as during a rolling upgrade.
//!
//! A server of the older release is at level 0, and one of the newer at level 1
//! ([`raft_proto::Level`], its service's part). Both run the present core. The newer one is what a
//! later release may be:
//!
//! - Its frames have a field behind the last one that the present core knows, and now and then it
//!   sends a message of a kind that it does not know. [`raft_proto::wire`] says that both are
//!   tolerated.
//! - Once level 1 is in force, its commands have another layout, which the older service does not
//!   read. A service that is handed such a command is a failure.

use bytes::Bytes;
use raft_proto::Message;
use raft_proto::wire::{self, Envelope};
use serde::{Deserialize, Serialize};

/// Which releases the servers run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Releases {
    /// The level of each server's first release, 0 or 1, in the order of their ids; 0 for those left
    /// out. Empty: there is one release.
    pub first: Vec<u32>,
    /// Of a thousand restarts, so many are with the other release, if the operator may change it.
    pub changes: u32,
}

impl Releases {
    /// The level of the newer release.
    pub const NEWER: u32 = 1;

    /// Whether there is one release only.
    pub fn are_equal(&self) -> bool {
        self.first.is_empty()
    }

    /// The level of the first release in this place.
    pub fn first_in(&self, place: usize) -> u32 {
        self.first.get(place).copied().unwrap_or(0)
    }
}

/// The first byte of a command in the newer layout. No command in the older one begins with it.
const NEWER_LAYOUT: u8 = 0xff;

/// The payload in the newer layout.
pub fn in_newer_layout(payload: &[u8]) -> Bytes {
    [&[NEWER_LAYOUT], payload].concat().into()
}

/// Whether this payload has the newer layout.
pub fn is_in_newer_layout(payload: &[u8]) -> bool {
    payload.first() == Some(&NEWER_LAYOUT)
}

/// The payload in the older layout.
pub(crate) fn in_older_layout(payload: &[u8]) -> &[u8] {
    match payload.split_first() {
        Some((&NEWER_LAYOUT, rest)) => rest,
        Some(_) | None => payload,
    }
}

/// The field that the newer release adds to each message.
const NEWER_FIELD: [u8; 3] = [0x81, 0x07, 0xff];

/// How many bytes of each of its messages the present core does not know.
pub(crate) const NEWER_FIELD_BYTES: u64 = NEWER_FIELD.len() as u64;

/// The kind of message that only the newer release knows.
const NEWER_KIND: u8 = 0x2a;

/// The frame of a message as the newer release writes it.
pub(crate) fn newer_frame(envelope: &Envelope, message: &Message) -> Bytes {
    let mut frame = Vec::new();
    wire::encode_header_into(&mut frame, envelope, message);
    frame.extend_from_slice(&NEWER_FIELD);
    for payload in wire::payloads(message) {
        frame.extend_from_slice(payload);
    }
    frame.into()
}

/// The same with a kind that only the newer release knows: an envelope, and what it can make
/// nothing of.
pub(crate) fn frame_of_newer_kind(envelope: &Envelope, message: &Message) -> Bytes {
    let frame = wire::encode(envelope, message);
    let mut bytes = frame.to_vec();
    // The kind stands behind the envelope, whose length is that of the frame without the rest.
    if let Some(kind) = envelope_bytes(&frame).and_then(|at| bytes.get_mut(at)) {
        *kind = NEWER_KIND;
    }
    bytes.into()
}

/// How long the envelope at the beginning of a frame is: the shortest beginning that decodes.
fn envelope_bytes(frame: &[u8]) -> Option<usize> {
    (1..frame.len()).find(|end| wire::decode_envelope(&frame[..*end]).is_ok())
}
