//! TLS, as a client of servers.

use super::ClientError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

/// TLS to servers whose certificates were issued by one authority.
#[derive(Clone, Debug)]
pub struct ClientTls(Arc<ClientConfig>);

impl ClientTls {
    /// TLS with the authority whose certificate is in this file, in PEM.
    ///
    /// # Errors
    ///
    /// [`ClientError::Tls`] if the file cannot be used.
    pub fn new(authority: &Path) -> Result<ClientTls, ClientError> {
        let refuse = |reason: &dyn std::fmt::Display| {
            ClientError::Tls(format!("{}: {reason}", authority.display()))
        };
        let read = CertificateDer::pem_file_iter(authority).and_then(Iterator::collect);
        let read: Vec<_> = read.map_err(|error| refuse(&error))?;
        if read.is_empty() {
            return Err(refuse(&"it holds no certificate"));
        }
        let mut roots = RootCertStore::empty();
        for certificate in read {
            roots.add(certificate).map_err(|error| refuse(&error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refuse(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(ClientTls(Arc::new(config)))
    }

    /// TLS over a connection to a server, whose certificate has to name `host`.
    pub(super) fn connect(
        &self,
        tcp: TcpStream,
        host: &str,
    ) -> Result<StreamOwned<ClientConnection, TcpStream>, ClientError> {
        let wrong = |error: &dyn std::fmt::Display| ClientError::Tls(format!("{host}: {error}"));
        let name = ServerName::try_from(host.to_owned()).map_err(|error| wrong(&error))?;
        let connection = ClientConnection::new(self.0.clone(), name);
        let connection = connection.map_err(|error| wrong(&error))?;
        Ok(StreamOwned::new(connection, tcp))
    }
}
