//! Byte streams over TCP connections, with TLS or without.

use super::hello::Hello;
use super::options::{Security, TcpOptions};
use super::socket::{Socket, Stream};
#[cfg(feature = "tls")]
use super::tls::Tls;
use crate::transport::TransportError;
use raft_proto::wire::Receiver;
use raft_proto::{Config, NodeId};
use std::io;
use std::net::TcpStream;
use std::time::Duration;

/// The least [silence](TcpOptions::silence_timeout), unless an option says otherwise. TCP sends
/// again after 200 ms at the earliest: a single lost packet is no reason to close a connection.
const SILENCE_MIN: Duration = Duration::from_secs(1);

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
