//! Byte streams over TCP connections, with TLS or without.

use super::hello::Hello;
use super::options::{Security, TcpOptions};
#[cfg(feature = "tls")]
use super::tls::Tls;
use crate::transport::TransportError;
use raft_proto::NodeId;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// A connection, encrypted or not.
pub(super) trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// What all threads of a transport share: its options, and the keys that were loaded for them.
#[derive(Debug)]
pub(super) struct StreamSettings {
    pub(super) options: TcpOptions,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl StreamSettings {
    pub(super) fn new(options: TcpOptions) -> Result<StreamSettings, TransportError> {
        #[cfg(feature = "tls")]
        let tls = match &options.security {
            Security::PlaintextUnauthenticated => None,
            Security::Tls(tls) => Some(Tls::new(tls)?),
        };
        Ok(StreamSettings {
            options,
            #[cfg(feature = "tls")]
            tls,
        })
    }

    pub(super) fn is_plaintext(&self) -> bool {
        matches!(self.options.security, Security::PlaintextUnauthenticated)
    }

    /// The stream of a connection that this node opened. With TLS the other end has to prove that
    /// it is `peer`.
    pub(super) fn client(&self, tcp: TcpStream, peer: NodeId) -> io::Result<Box<dyn Stream>> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Ok(Box::new(tls.client(tcp, peer)?));
        }
        let _ = peer; // Without TLS nobody can tell.
        Ok(Box::new(tcp))
    }

    /// The stream of a connection that another node opened, and the hello that it begins with.
    pub(super) fn server(&self, mut tcp: TcpStream) -> io::Result<(Box<dyn Stream>, Hello)> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let (stream, hello) = tls.server(tcp)?;
            return Ok((Box::new(stream), hello));
        }
        let hello = Hello::read(&mut tcp)?;
        Ok((Box::new(tcp), hello))
    }
}
