//! Writing to a blocking connection without waiting.

use std::net::TcpStream;

/// Whether this operating system allows it.
pub(super) const IS_SUPPORTED: bool = cfg!(target_os = "linux");

/// Writes what the system takes at once, and returns how many bytes that was. It reports no
/// failure: the next blocking write does.
#[cfg(target_os = "linux")]
pub(super) fn write(connection: &TcpStream, bytes: &[u8]) -> usize {
    use rustix::net::{SendFlags, send};
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    send(connection, bytes, flags).unwrap_or(0)
}

/// Whether the other end, which hardly ever sends anything, has closed the connection or has
/// answered. If it has closed it, its process has ended, and what is written would be lost without
/// an error.
#[cfg(target_os = "linux")]
pub(super) fn has_input(connection: &TcpStream) -> bool {
    use rustix::io::Errno;
    use rustix::net::{RecvFlags, recv};
    let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
    // Anything but "nothing to read": TLS's closing message, the end, a failure.
    !matches!(
        recv(connection, &mut [0_u8; 1], flags),
        Err(Errno::WOULDBLOCK)
    )
}

#[cfg(not(target_os = "linux"))]
pub(super) fn has_input(_: &TcpStream) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
pub(super) fn write(_: &TcpStream, _: &[u8]) -> usize {
    0
}
