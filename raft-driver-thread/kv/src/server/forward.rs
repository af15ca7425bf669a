//! This server as a client of the others: one request at a time on each connection.

use crate::resp::{self, ReplyDecoder, ReplyLimits, Version};
use crate::settings::Settings;
use crate::state::Reply;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long it may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How many idle connections to each server are kept.
const MAX_IDLE: usize = 256;

/// Why another server did not reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    /// The request was not sent: nothing was done.
    #[error("cannot connect to {address}: {source}")]
    NotSent {
        /// The address.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The request was sent: it may have been executed.
    #[error("no reply from {address}: {source}")]
    NoReply {
        /// The address.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Another server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer<'a> {
    /// Its node id.
    pub(crate) node: u64,
    /// Where clients reach it.
    pub(crate) address: &'a str,
}

impl Peer<'_> {
    fn key(self) -> (u64, String) {
        (self.node, self.address.to_owned())
    }
}

/// Plain TCP, or TLS.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

type Connection = Box<dyn Duplex>;

/// Connections to the other servers' ports for clients.
pub(crate) struct Forwarder {
    password: Option<String>,
    tls: Option<TlsConnector>,
    idle: Mutex<BTreeMap<(u64, String), Vec<Connection>>>,
}

impl Forwarder {
    pub(crate) fn new(settings: &Settings, tls: Option<TlsConnector>) -> Forwarder {
        Forwarder {
            password: settings.password.clone(),
            tls,
            idle: Mutex::default(),
        }
    }

    /// Sends a request and waits for its reply.
    pub(crate) async fn request(
        &self,
        peer: Peer<'_>,
        arguments: &[Bytes],
        limit: Duration,
    ) -> Result<Reply, ForwardError> {
        let mut connection = match self.take(peer) {
            Some(connection) => connection,
            None => {
                let connected = timeout(CONNECT_TIMEOUT.min(limit), self.connect(peer)).await;
                let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                connected.map_err(|source| ForwardError::NotSent {
                    address: peer.address.into(),
                    source,
                })?
            }
        };
        let replied = timeout(limit, round_trip(&mut connection, arguments)).await;
        let replied = replied.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let reply = replied.map_err(|source| {
            // The idle connections are as old as this one, and hardly of use.
            self.idle().remove(&peer.key());
            ForwardError::NoReply {
                address: peer.address.into(),
                source,
            }
        })?;
        self.put_back(peer, connection);
        Ok(reply)
    }

    fn take(&self, peer: Peer<'_>) -> Option<Connection> {
        self.idle().get_mut(&peer.key())?.pop()
    }

    fn put_back(&self, peer: Peer<'_>, connection: Connection) {
        let mut idle = self.idle();
        let kept = idle.entry(peer.key()).or_default();
        if kept.len() < MAX_IDLE {
            kept.push(connection);
        }
    }

    fn idle(&self) -> MutexGuard<'_, BTreeMap<(u64, String), Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self, peer: Peer<'_>) -> io::Result<Connection> {
        let stream = TcpStream::connect(peer.address).await?;
        stream.set_nodelay(true)?;
        let mut connection: Connection = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = format!("node-{}.raft", peer.node);
                let name = rustls::pki_types::ServerName::try_from(name);
                let name = name.map_err(io::Error::other)?;
                Box::new(tls.connect(name, stream).await?)
            }
        };
        if let Some(password) = &self.password {
            let arguments = [Bytes::from("AUTH"), Bytes::from(password.clone())];
            let reply = round_trip(&mut connection, &arguments).await?;
            if reply != Reply::Ok {
                return Err(io::Error::other(format!("AUTH: {reply:?}")));
            }
        }
        Ok(connection)
    }
}

/// A request, and its reply.
async fn round_trip(connection: &mut Connection, arguments: &[Bytes]) -> io::Result<Reply> {
    let mut buffer = BytesMut::new();
    resp::encode_request(arguments, &mut buffer);
    connection.write_all(&buffer).await?;
    connection.flush().await?;
    buffer.clear();
    let mut decoder = ReplyDecoder::new(Version::Two, ReplyLimits::default());
    loop {
        if connection.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let reply = decoder.next(&mut buffer);
        if let Some(reply) = reply.map_err(|error| io::Error::other(error.to_string()))? {
            return Ok(reply);
        }
    }
}
