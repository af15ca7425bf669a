//! TLS for clients.

use super::error::ServerError;
use crate::settings::Tls;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

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

/// TLS for clients. They show no certificate: they authenticate by password.
pub(super) fn load(tls: &Tls) -> Result<TlsAcceptor, ServerError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| refuse(&tls.key, error))?;
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(&tls.certificate, error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| refuse(&tls.certificate, error))?;
    Ok(TlsAcceptor::from(Arc::new(server)))
}
