//! TLS: each side shows a certificate that the cluster's own authority issued, and that names its
//! node.

use super::hello::Hello;
use super::socket::{Socket, Stream};
use crate::transport::TransportError;
use raft_proto::NodeId;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// The files, in PEM, by which nodes prove who they are.
///
/// Every node has a certificate, issued by the cluster's authority for both server and client use,
/// whose subject alternative names include `node-<id>.raft`, as `node-1.raft` for node 1. A peer is
/// believed to be that node and no other. Use an authority that issues nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// The authority's certificate, or several while one replaces another.
    pub authority: PathBuf,
    /// This node's certificate, followed by the intermediate certificates, if any.
    pub certificate: PathBuf,
    /// The private key of this node's certificate.
    pub key: PathBuf,
}

pub(super) type ClientStream = StreamOwned<ClientConnection, Socket>;
pub(super) type ServerStream = StreamOwned<ServerConnection, Socket>;

impl Stream for ClientStream {
    fn socket(&mut self) -> &mut Socket {
        &mut self.sock
    }
}

impl Stream for ServerStream {
    fn socket(&mut self) -> &mut Socket {
        &mut self.sock
    }
}

/// What connections are opened and accepted with from now on.
#[derive(Debug)]
pub(super) struct Tls {
    files: TlsOptions,
    loaded: RwLock<Loaded>,
}

/// The contents of the files, as they were read last.
#[derive(Clone, Debug)]
struct Loaded {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

fn invalid(path: &Path, reason: impl std::fmt::Display) -> TransportError {
    TransportError::Settings(format!("{}: {reason}", path.display()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let read: Vec<_> = read.map_err(|error| invalid(path, error))?;
    if read.is_empty() {
        return Err(invalid(path, "it holds no certificate"));
    }
    Ok(read)
}

fn node_name(node: NodeId) -> io::Result<ServerName<'static>> {
    let name = format!("node-{}.raft", node.0);
    ServerName::try_from(name).map_err(io::Error::other)
}

impl Tls {
    pub(super) fn new(files: &TlsOptions) -> Result<Tls, TransportError> {
        Ok(Tls {
            files: files.clone(),
            loaded: RwLock::new(Loaded::read(files)?),
        })
    }

    /// Reads the files again. If one of them is wrong, what was read before stays in use.
    pub(super) fn reload(&self) -> Result<(), TransportError> {
        let loaded = Loaded::read(&self.files)?;
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    fn loaded(&self) -> Loaded {
        // No code of others runs under the lock.
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        loaded.clone()
    }

    pub(super) fn client(&self, socket: Socket, peer: NodeId) -> io::Result<ClientStream> {
        let name = node_name(peer)?;
        let connection = ClientConnection::new(self.loaded().client, name);
        let connection = connection.map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, socket))
    }

    /// Reads the hello after the TLS handshake, and checks that the certificate names its sender.
    pub(super) fn server(&self, socket: Socket) -> io::Result<(ServerStream, Hello)> {
        let connection = ServerConnection::new(self.loaded().server).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        let hello = Hello::read(&mut stream)?;
        let shown = stream.conn.peer_certificates().and_then(<[_]>::first);
        let shown = shown.ok_or_else(|| io::Error::other("it showed no certificate"))?;
        let certificate = ParsedCertificate::try_from(shown).map_err(io::Error::other)?;
        let named = verify_server_name(&certificate, &node_name(hello.from)?);
        named.map_err(|error| {
            io::Error::other(format!("it is not {}, as it claims: {error}", hello.from))
        })?;
        Ok((stream, hello))
    }
}

impl Loaded {
    fn read(options: &TlsOptions) -> Result<Loaded, TransportError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&options.authority)? {
            let added = roots.add(certificate);
            added.map_err(|error| invalid(&options.authority, error))?;
        }
        let roots = Arc::new(roots);
        let chain = certificates(&options.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&options.key);
        let key = key.map_err(|error| invalid(&options.key, error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let settings = |error: rustls::Error| TransportError::Settings(error.to_string());
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(settings)?
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(|error| invalid(&options.certificate, error))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build();
        let verifier = verifier.map_err(|error| invalid(&options.authority, error))?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(settings)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| invalid(&options.certificate, error))?;
        // Connections last long, and nobody resumes a session. So the receiving end sends nothing
        // at all after the handshake.
        server.send_tls13_tickets = 0;
        Ok(Loaded {
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }
}
