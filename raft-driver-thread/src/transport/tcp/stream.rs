//! Byte streams over TCP connections, with TLS or without.

use super::direct;
use super::hello::Hello;
use super::options::{Security, TcpOptions};
#[cfg(feature = "tls")]
use super::tls::Tls;
use crate::transport::TransportError;
use raft_proto::wire::Receiver;
use raft_proto::{Config, NodeId};
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The least [silence](TcpOptions::silence_timeout), unless an option says otherwise. TCP sends
/// again after 200 ms at the earliest: a single lost packet is no reason to close a connection.
const SILENCE_MIN: Duration = Duration::from_secs(1);

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

/// What all threads of a transport share: its options, and the keys that were loaded for them.
#[derive(Debug)]
pub(super) struct StreamSettings {
    pub(super) options: TcpOptions,
    /// After how long a silence a connection is closed.
    pub(super) silence: Duration,
    /// How long it may take until a peer answers the first packet of a connection. Waiting longer
    /// would be waiting for TCP's next attempt, which a new connection makes at once.
    pub(super) connect_timeout: Duration,
    pub(super) receiver: Receiver,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl StreamSettings {
    pub(super) fn new(
        options: TcpOptions,
        config: &Config,
    ) -> Result<StreamSettings, TransportError> {
        #[cfg(feature = "tls")]
        let tls = match &options.security {
            Security::PlaintextUnauthenticated => None,
            Security::Tls(tls) => Some(Tls::new(tls)?),
        };
        let election_timeout = config.election_timeout_max;
        let silence = (options.silence_timeout)
            .unwrap_or(election_timeout.saturating_mul(2).max(SILENCE_MIN));
        if silence < Duration::from_millis(3) || options.handshake_timeout.is_zero() {
            let what = "silence_timeout has to be at least 3 ms, and handshake_timeout more than 0";
            return Err(TransportError::Settings(what.into()));
        }
        Ok(StreamSettings {
            connect_timeout: election_timeout
                .max(SILENCE_MIN / 2)
                .min(options.handshake_timeout),
            silence,
            receiver: Receiver::new(config),
            options,
            #[cfg(feature = "tls")]
            tls,
        })
    }

    /// Reads the keys again, for connections that begin from now on.
    #[cfg(feature = "tls")]
    pub(super) fn reload(&self) -> Result<(), TransportError> {
        self.tls.as_ref().map_or(Ok(()), Tls::reload)
    }

    pub(super) fn is_plaintext(&self) -> bool {
        matches!(self.options.security, Security::PlaintextUnauthenticated)
    }

    /// The stream of a connection that this node opened. With TLS the other end has to prove that
    /// it is `peer`.
    pub(super) fn client(&self, tcp: TcpStream, peer: NodeId) -> io::Result<Box<dyn Stream>> {
        let socket = Socket::new(tcp, self.options.handshake_timeout, self.silence)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Ok(Box::new(tls.client(socket, peer)?));
        }
        let _ = peer; // Without TLS nobody can tell.
        Ok(Box::new(socket))
    }

    /// The stream of a connection that another node opened, and the hello that it begins with.
    pub(super) fn server(&self, tcp: TcpStream) -> io::Result<(Box<dyn Stream>, Hello)> {
        let mut socket = Socket::new(tcp, self.options.handshake_timeout, self.silence)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let (stream, hello) = tls.server(socket)?;
            return Ok((Box::new(stream), hello));
        }
        let hello = Hello::read(&mut socket)?;
        Ok((Box::new(socket), hello))
    }
}
