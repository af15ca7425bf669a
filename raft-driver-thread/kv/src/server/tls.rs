//! TLS for clients, and when this server's certificate expires.

use super::error::ServerError;
use crate::settings::Tls;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;
use x509_parser::parse_x509_certificate;

fn refuse(path: &Path, reason: impl std::fmt::Display) -> ServerError {
    ServerError::Tls(format!("{}: {reason}", path.display()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServerError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let read: Vec<_> = read.map_err(|error| refuse(path, error))?;
    if read.is_empty() {
        return Err(refuse(path, "it holds no certificate"));
    }
    Ok(read)
}

/// What clients' connections are accepted with from now on. Clients show no certificate: they
/// authenticate by password.
#[derive(Debug)]
pub(super) struct Certificates {
    files: Tls,
    loaded: RwLock<Loaded>,
}

#[derive(Clone)]
struct Loaded {
    acceptor: TlsAcceptor,
    expires_at: i64,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Loaded");
        debug
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads the files.
    pub(super) fn load(files: &Tls) -> Result<Certificates, ServerError> {
        Ok(Certificates {
            files: files.clone(),
            loaded: RwLock::new(Loaded::read(files)?),
        })
    }

    /// Reads the files again. If one of them is wrong, what was read before stays in use.
    pub(super) fn reload(&self) -> Result<(), ServerError> {
        let loaded = Loaded::read(&self.files)?;
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    fn loaded(&self) -> Loaded {
        // No code of others runs under the lock.
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        loaded.clone()
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.loaded().acceptor
    }

    /// When this server's certificate expires, in seconds since 1970.
    pub(super) fn expires_at(&self) -> i64 {
        self.loaded().expires_at
    }
}

impl Loaded {
    fn read(files: &Tls) -> Result<Loaded, ServerError> {
        let path = &files.certificate;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(path)?;
        let own = chain
            .first()
            .ok_or_else(|| refuse(path, "it holds no certificate"))?;
        let parsed = parse_x509_certificate(own).map_err(|error| refuse(path, error))?;
        let expires_at = parsed.1.validity().not_after.timestamp();
        let key = PrivateKeyDer::from_pem_file(&files.key);
        let key = key.map_err(|error| refuse(&files.key, error))?;
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refuse(path, error))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| refuse(path, error))?;
        Ok(Loaded {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            expires_at,
        })
    }
}
