//! Numbers as the bytes of commands and snapshots.

use bytes::Bytes;

/// Writes `value` in as few bytes as possible, seven bits in each.
pub(crate) fn put_number(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// Reads a number that [`put_number`] wrote, and moves `from` past it. `None` if the number ends
/// too early or is too long.
pub(crate) fn take_number(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A number as a command.
pub(crate) fn command(value: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(10);
    put_number(&mut bytes, value);
    Bytes::from(bytes)
}
