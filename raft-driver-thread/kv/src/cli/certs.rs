//! `raft-kv certs`: certificates for one cluster.

use super::failure::Failure;
use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `raft-kv certs`.
#[derive(Debug, Args)]
pub(super) struct CertsArgs {
    /// The directory for all files; it is made if it does not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A server's node id, and the host names and addresses that clients connect to; may be
    /// repeated
    #[arg(long = "node", value_name = "ID=HOST,HOST", required = true, value_parser = node)]
    nodes: Vec<CertifiedNode>,
}

/// A server that a certificate is made for.
#[derive(Clone, Debug)]
struct CertifiedNode {
    id: u64,
    hosts: Vec<String>,
}

type Authority = Issuer<'static, KeyPair>;

pub(super) fn run(arguments: &CertsArgs) -> Result<(), Failure> {
    let out = &arguments.out;
    fs::create_dir_all(out).map_err(|error| Failure::io(out.display(), &error))?;
    for node in &arguments.nodes {
        for name in [
            format!("node-{}.pem", node.id),
            format!("node-{}.key", node.id),
        ] {
            let path = out.join(name);
            if path.exists() {
                return Err(exists(&path));
            }
        }
    }
    let (certificate, authority) = authority(out)?;
    for node in &arguments.nodes {
        issue(out, node, &certificate, &authority)?;
        println!("node-{}.pem, node-{}.key", node.id, node.id);
    }
    Ok(())
}

/// `1=host,host`.
fn node(text: &str) -> Result<CertifiedNode, String> {
    let parts = text.split_once('=');
    let (id, hosts) = parts.ok_or("it is given as id=host,host, as in 1=10.0.0.1,one.example")?;
    let id = id.parse().ok().filter(|id| *id > 0);
    let hosts: Vec<_> = hosts
        .split(',')
        .map(|host| host.trim().to_owned())
        .collect();
    if let Some(host) = hosts
        .iter()
        .find(|host| ServerName::try_from(host.as_str()).is_err())
    {
        return Err(format!(
            "{host:?} is not a host: give names or addresses, without a port"
        ));
    }
    Ok(CertifiedNode {
        id: id.ok_or("the id has to be a number from 1 on")?,
        hosts,
    })
}

/// The authority's certificate. Its name and use are the same each time, so that certificates
/// issued later belong to the same authority.
fn authority_params() -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(Vec::new()).map_err(wrong)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "raft-kv authority");
    // It may issue certificates of servers, not of further authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// The authority that exists in the directory, or a new one.
fn authority(out: &Path) -> Result<(CertificateDer<'static>, Authority), Failure> {
    let (certificate, key) = (out.join("authority.pem"), out.join("authority.key"));
    let params = authority_params()?;
    match (certificate.exists(), key.exists()) {
        (true, true) => {
            let read = CertificateDer::from_pem_file(&certificate);
            let read = read.map_err(|error| unusable(&certificate, &error))?;
            let pem = fs::read_to_string(&key);
            let pem = pem.map_err(|error| Failure::io(key.display(), &error))?;
            let pair = KeyPair::from_pem(&pem).map_err(|error| unusable(&key, &error))?;
            println!("authority.pem, authority.key: exist, used again");
            Ok((read, Issuer::new(params, pair)))
        }
        (false, false) => {
            let pair = KeyPair::generate().map_err(wrong)?;
            let signed = params.self_signed(&pair).map_err(wrong)?;
            write_new(&key, &pair.serialize_pem(), Secrecy::Secret)?;
            write_new(&certificate, &signed.pem(), Secrecy::Public)?;
            println!("authority.pem, authority.key: new");
            Ok((signed.der().clone(), Issuer::new(params, pair)))
        }
        (true, false) => Err(lacks(&certificate, &key)),
        (false, true) => Err(lacks(&key, &certificate)),
    }
}

fn issue(
    out: &Path,
    node: &CertifiedNode,
    authority: &CertificateDer<'static>,
    issuer: &Authority,
) -> Result<(), Failure> {
    let name = format!("node-{}.raft", node.id);
    let mut names = vec![name.clone()];
    names.extend(node.hosts.iter().cloned());
    let mut params = CertificateParams::new(names).map_err(wrong)?;
    params.distinguished_name.push(DnType::CommonName, &name);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let pair = KeyPair::generate().map_err(wrong)?;
    let signed = params.signed_by(&pair, issuer).map_err(wrong)?;
    verify(authority, signed.der(), &name)?;
    let (certificate, key) = (
        format!("node-{}.pem", node.id),
        format!("node-{}.key", node.id),
    );
    write_new(&out.join(key), &pair.serialize_pem(), Secrecy::Secret)?;
    write_new(&out.join(certificate), &signed.pem(), Secrecy::Public)
}

/// Checks that servers would accept the certificate: it was not issued by another authority, or
/// with another authority's key.
fn verify(
    authority: &CertificateDer<'static>,
    certificate: &CertificateDer<'_>,
    name: &str,
) -> Result<(), Failure> {
    let check = || {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(authority.clone())
            .map_err(|error| error.to_string())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = builder.build().map_err(|error| error.to_string())?;
        let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
        let now = UnixTime::now();
        use rustls::client::danger::ServerCertVerifier;
        let verified = verifier.verify_server_cert(certificate, &[], &name, &[], now);
        verified.map(|_| ()).map_err(|error| error.to_string())
    };
    check().map_err(|error| {
        Failure::new(format!(
            "authority.pem does not belong to authority.key ({error}): use the pair that `raft-kv \
             certs` made, or another --out for a new authority"
        ))
    })
}

/// Whether others may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Public,
    Secret,
}

fn write_new(path: &Path, text: &str, secrecy: Secrecy) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secrecy == Secrecy::Secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = secrecy; // New files are private to their owner.
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            exists(path)
        } else {
            Failure::io(path.display(), &error)
        }
    })
}

fn exists(path: &Path) -> Failure {
    let path = path.display();
    Failure::new(format!(
        "{path} exists already, and no file is replaced: move it away first"
    ))
}

fn lacks(there: &Path, missing: &Path) -> Failure {
    let (there, missing) = (there.display(), missing.display());
    Failure::new(format!(
        "{there} exists without {missing}: put both there, or use another --out"
    ))
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

fn wrong(error: rcgen::Error) -> Failure {
    Failure::new(format!("make certificates: {error}"))
}
