//! Writing to a blocking connection without waiting.

use std::net::TcpStream;

/// Whether this system can.
pub(super) const IS_POSSIBLE: bool = cfg!(target_os = "linux");

/// Writes what the system takes at once; how much that was. Of a failure the next one who writes
/// hears.
#[cfg(target_os = "linux")]
pub(super) fn send(connection: &TcpStream, bytes: &[u8]) -> usize {
    use rustix::net::{SendFlags, send};
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    send(connection, bytes, flags).unwrap_or(0)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn send(_: &TcpStream, _: &[u8]) -> usize {
    0
}
