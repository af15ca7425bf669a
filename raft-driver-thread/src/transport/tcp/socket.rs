//! A TCP connection, and the byte stream over it.

use super::direct;
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How many bytes that were not sent yet the system may hold. By itself it takes megabytes, and on
/// a slow link a heartbeat that is written then leaves seconds later.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 128 << 10;

/// A connection, encrypted or not.
pub(super) trait Stream: Read + Write + Send {
    /// The connection under it.
    fn socket(&mut self) -> &mut Socket;
}

/// A TCP connection whose handshake has to end by a deadline, however often a few bytes arrive.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    deadline: Option<Instant>,
}

impl Socket {
    /// A connection whose handshake begins now. The system gives it up when bytes stay
    /// unacknowledged for as long as `silence`. Without that, TCP would wait twice as long after
    /// each attempt, and the peer would stay unreachable for as long again as it was cut off.
    pub(super) fn new(tcp: TcpStream, limit: Duration, silence: Duration) -> io::Result<Socket> {
        tcp.set_nodelay(true)?;
        let seconds = silence.max(Duration::from_secs(1)); // It counts in whole ones.
        let keepalive = TcpKeepalive::new()
            .with_time(seconds)
            .with_interval(seconds);
        SockRef::from(&tcp).set_tcp_keepalive(&keepalive)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            SockRef::from(&tcp).set_tcp_user_timeout(Some(silence))?;
            SockRef::from(&tcp).set_tcp_notsent_lowat(UNSENT_BYTES)?;
        }
        tcp.set_write_timeout(Some(limit))?;
        Ok(Socket {
            tcp,
            deadline: Instant::now().checked_add(limit),
        })
    }

    /// The handshake is complete: from now on each read, and each write, has its own time.
    pub(super) fn end_handshake(&mut self, read: Duration, write: Duration) -> io::Result<()> {
        self.deadline = None;
        self.tcp.set_read_timeout(Some(read))?;
        self.tcp.set_write_timeout(Some(write))
    }

    pub(super) fn is_closed(&self) -> bool {
        direct::has_input(&self.tcp)
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let what = "the handshake took too long";
                return Err(io::Error::new(io::ErrorKind::TimedOut, what));
            }
            self.tcp.set_read_timeout(Some(left))?;
        }
        self.tcp.read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.tcp.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

impl Stream for Socket {
    fn socket(&mut self) -> &mut Socket {
        self
    }
}
