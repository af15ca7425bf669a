//! The bytes of a command that belongs to a session: the version of the layout, what is asked, and
//! the command of the state machine within.

use super::table::Origin;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The version of the layout.
const VERSION: u8 = 1;

/// What is asked of the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Operation {
    /// Open the session of this number, or use it if it is there. One that is made now refuses
    /// requests below `floor`: an earlier session of this number may have applied them.
    Open { number: u64, floor: u64 },
    /// Close it, and forget its answers.
    Close(u64),
    /// Apply the command that follows, once.
    Apply(Origin),
}

/// The bytes of an operation, and of the command within.
pub(super) fn encode(operation: Operation, command: &[u8]) -> Bytes {
    let mut bytes = match postcard::to_extend(&operation, vec![VERSION]) {
        Ok(bytes) => bytes,
        // No serializer in it fails, and a vector takes any length.
        Err(error) => unreachable!("an operation can always be encoded: {error}"),
    };
    bytes.extend_from_slice(command);
    Bytes::from(bytes)
}

/// The operation, and the command within; `None` if the bytes have another layout.
pub(super) fn decode(bytes: &[u8]) -> Option<(Operation, &[u8])> {
    match bytes.split_first()? {
        (&VERSION, rest) => postcard::take_from_bytes(rest).ok(),
        _ => None,
    }
}
