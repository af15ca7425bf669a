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

/// Whether the other end, which never says anything, has closed it: it is another process by now, and
/// what is written would be lost without a word.
#[cfg(target_os = "linux")]
pub(super) fn has_ended(connection: &TcpStream) -> bool {
    use rustix::io::Errno;
    use rustix::net::{RecvFlags, recv};
    let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
    // Anything but that there is nothing: the last word of TLS, the end, a failure.
    !matches!(
        recv(connection, &mut [0_u8; 1], flags),
        Err(Errno::WOULDBLOCK)
    )
}

#[cfg(not(target_os = "linux"))]
pub(super) fn has_ended(_: &TcpStream) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
pub(super) fn send(_: &TcpStream, _: &[u8]) -> usize {
    0
}
