//! Asking another server, as a client of it: one request at a time on each connection.

use crate::resp::{self, ReplyDecoder, ReplyLimits, Version};
use crate::settings::Settings;
use crate::state::Reply;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(1);

/// How many idle connections are kept to each server.
const IDLE: usize = 256;

/// Why another server did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    /// It was not asked: nothing was done.
    #[error("{address} is not reached: {source}")]
    NotAsked {
        /// Where it should be.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// It was asked, and may have done it.
    #[error("{address} did not answer: {source}")]
    NoAnswer {
        /// Where it is.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Bytes both ways.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

type Link = Box<dyn Duplex>;

/// Connections to the other servers' ports for clients.
pub(crate) struct Forwarder {
    password: Option<String>,
    tls: Option<TlsConnector>,
    idle: Mutex<BTreeMap<(u64, String), Vec<Link>>>,
}

impl Forwarder {
    pub(crate) fn new(settings: &Settings, tls: Option<TlsConnector>) -> Forwarder {
        Forwarder {
            password: settings.password.clone(),
            tls,
            idle: Mutex::default(),
        }
    }

    /// Asks `node`, which is at `address`, and waits for its answer.
    pub(crate) async fn ask(
        &self,
        (node, address): (u64, &str),
        arguments: &[Bytes],
        limit: Duration,
    ) -> Result<Reply, ForwardError> {
        let mut link = match self.take(node, address) {
            Some(link) => link,
            None => {
                let connected = timeout(CONNECT.min(limit), self.connect(node, address)).await;
                let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                connected.map_err(|source| ForwardError::NotAsked {
                    address: address.into(),
                    source,
                })?
            }
        };
        let answer = timeout(limit, exchange(&mut link, arguments)).await;
        let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let reply = answer.map_err(|source| {
            self.forget(node, address);
            ForwardError::NoAnswer {
                address: address.into(),
                source,
            }
        })?;
        self.put_back(node, address, link);
        Ok(reply)
    }

    fn take(&self, node: u64, address: &str) -> Option<Link> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.get_mut(&(node, address.to_owned()))?.pop()
    }

    /// The other idle connections are as old: they will hardly be of use.
    fn forget(&self, node: u64, address: &str) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.remove(&(node, address.to_owned()));
    }

    fn put_back(&self, node: u64, address: &str, link: Link) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.entry((node, address.to_owned())).or_default();
        if kept.len() < IDLE {
            kept.push(link);
        }
    }

    async fn connect(&self, node: u64, address: &str) -> io::Result<Link> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut link: Link = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = format!("node-{node}.raft");
                let name = rustls::pki_types::ServerName::try_from(name);
                let name = name.map_err(io::Error::other)?;
                Box::new(tls.connect(name, stream).await?)
            }
        };
        if let Some(password) = &self.password {
            let arguments = [Bytes::from("AUTH"), Bytes::from(password.clone())];
            let reply = exchange(&mut link, &arguments).await?;
            if reply != Reply::Ok {
                return Err(io::Error::other(format!("AUTH: {reply:?}")));
            }
        }
        Ok(link)
    }
}

/// A request, and its reply.
async fn exchange(link: &mut Link, arguments: &[Bytes]) -> io::Result<Reply> {
    let mut buffer = BytesMut::new();
    resp::encode_request(arguments, &mut buffer);
    link.write_all(&buffer).await?;
    link.flush().await?;
    buffer.clear();
    let mut decoder = ReplyDecoder::new(Version::Two, ReplyLimits::default());
    loop {
        if link.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let reply = decoder.next(&mut buffer);
        if let Some(reply) = reply.map_err(|error| io::Error::other(error.to_string()))? {
            return Ok(reply);
        }
    }
}
