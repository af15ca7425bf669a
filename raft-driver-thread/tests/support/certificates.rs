//! Certificates for the nodes of a test.

use raft_driver_thread::transport::tcp::{Security, TcpOptions, TlsOptions};
use std::fs;
use std::path::Path;

/// Certificates of one authority, for these nodes.
pub fn certificates(folder: &Path, nodes: &[u64]) {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    fs::write(folder.join("authority.pem"), certificate.pem()).unwrap();
    let issuer = rcgen::Issuer::new(authority, key);
    for node in nodes {
        let names = vec![format!("node-{node}.raft")];
        let params = rcgen::CertificateParams::new(names).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        fs::write(folder.join(format!("{node}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{node}.key")), key.serialize_pem()).unwrap();
    }
}

/// The options of a node that has one of them.
pub fn tls(folder: &Path, node: u64) -> TcpOptions {
    TcpOptions::new(Security::Tls(TlsOptions {
        authority: folder.join("authority.pem"),
        certificate: folder.join(format!("{node}.pem")),
        key: folder.join(format!("{node}.key")),
    }))
}
