//! Streams of the service's own between members, over the port and under the identity of Raft's:
//! for requests that one server forwards to another, for example. Strangers cannot take their
//! places.

use super::dial;
use super::hello::{Hello, StreamKind};
use super::socket::Stream;
use super::stream::StreamSettings;
#[cfg(feature = "tls")]
use crate::transport::TransportError;
use raft_proto::NodeId;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Serves the streams that other members open. See [`TcpTransport::serve_streams`].
///
/// [`TcpTransport::serve_streams`]: super::TcpTransport::serve_streams
pub trait StreamService: Send + Sync + 'static {
    /// Serves a stream that member `from` has opened, in a thread of its own, until it returns. The
    /// stream is closed then. Each read fails after [`PeerStream::set_timeout`], which is the
    /// transport's silence at first.
    fn serve(&self, from: NodeId, stream: PeerStream);
}

/// A stream between the services of two members.
pub struct PeerStream {
    stream: Box<dyn Stream>,
}

impl PeerStream {
    pub(super) fn new(stream: Box<dyn Stream>) -> PeerStream {
        PeerStream { stream }
    }

    /// How long each read, and each write, may take from now on.
    ///
    /// # Errors
    ///
    /// `limit` is zero, or the connection has failed.
    pub fn set_timeout(&mut self, limit: Duration) -> io::Result<()> {
        self.stream.socket().end_handshake(limit, limit)
    }

    /// Whether there is something to read, or the other end has closed the stream: for a stream on
    /// which the other end speaks only when asked. Where the system cannot tell, false.
    pub fn is_closed(&mut self) -> bool {
        self.stream.socket().is_closed()
    }
}

impl Read for PeerStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for PeerStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl fmt::Debug for PeerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerStream").finish_non_exhaustive()
    }
}

/// Opens streams to the services of other members. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Dialer {
    state: Arc<Mutex<Option<DialerState>>>,
}

#[derive(Clone, Debug)]
struct DialerState {
    hello: Hello,
    settings: Arc<StreamSettings>,
    addresses: BTreeMap<NodeId, String>,
}

impl Dialer {
    fn lock(&self) -> MutexGuard<'_, Option<DialerState>> {
        // No code of others runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn start(&self, hello: Hello, settings: Arc<StreamSettings>) {
        *self.lock() = Some(DialerState {
            hello,
            settings,
            addresses: BTreeMap::new(),
        });
    }

    pub(super) fn set_addresses(&self, addresses: &BTreeMap<NodeId, String>) {
        if let Some(state) = &mut *self.lock() {
            state.addresses.clone_from(addresses);
        }
    }

    pub(super) fn stop(&self) {
        *self.lock() = None;
    }

    /// Reads the files of [`TlsOptions`](super::TlsOptions) again: connections of all kinds that
    /// begin from now on use them. Those that are open stay as they are. Without TLS, and before the
    /// node has started, it does nothing.
    ///
    /// # Errors
    ///
    /// [`TransportError::Settings`] if one of the files cannot be used. Then the ones that were read
    /// before stay in use.
    #[cfg(feature = "tls")]
    pub fn reload_certificates(&self) -> Result<(), TransportError> {
        let state = self.lock().clone();
        state.map_or(Ok(()), |state| state.settings.reload())
    }

    /// Opens a stream to the service of member `to`. It waits for the network, and not longer than
    /// the transport's timeouts.
    ///
    /// # Errors
    ///
    /// The transport does not run, knows no such member, or does not reach it; or that one refuses.
    /// Nothing was sent to its service then.
    pub fn open(&self, to: NodeId) -> io::Result<PeerStream> {
        self.open_for(to, StreamKind::Service)
    }

    pub(super) fn open_for(&self, to: NodeId, kind: StreamKind) -> io::Result<PeerStream> {
        let state = self.lock().clone();
        let state = state.ok_or_else(|| io::Error::other("the transport does not run"))?;
        let address = state.addresses.get(&to).cloned().ok_or_else(|| {
            let what = format!("{to} is no member that this node knows");
            io::Error::new(io::ErrorKind::NotFound, what)
        })?;
        let hello = Hello {
            to,
            kind,
            ..state.hello
        };
        dial::dial(&state.settings, &hello, address, self).map(PeerStream::new)
    }
}

impl dial::Caller for Dialer {
    fn is_stopped(&self) -> bool {
        self.lock().is_none()
    }

    fn connected(&self, _: &TcpStream) -> io::Result<()> {
        Ok(())
    }
}
