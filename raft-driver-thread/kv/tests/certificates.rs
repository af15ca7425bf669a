//! Certificates are exchanged while the server runs.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_kv::client::{Access, ClientTls};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

#[path = "support/processes.rs"]
mod processes;

use processes::ports::free_ports;
use processes::{Running, done, get, set, until};

fn access(authority: &Path) -> Access {
    Access {
        tls: Some(ClientTls::new(authority).unwrap()),
        ..Access::new()
    }
}

/// The value of the metric that says when the certificate expires.
fn expiry(http: &str) -> Option<f64> {
    let mut stream = TcpStream::connect(http).ok()?;
    let request = "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    let is_expiry = |line: &&str| {
        line.starts_with("raft_kv_certificate_expiry_timestamp_seconds{") && line.contains("n1")
    };
    let line = page.lines().find(is_expiry)?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn certificates_are_read_again_at_a_hangup_and_wrong_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    done(path, "certs --out used --node 1=127.0.0.1");
    done(path, "certs --out other --node 1=127.0.0.1");
    let (ours, theirs) = (path.join("ours.pem"), path.join("other/authority.pem"));
    fs::copy(path.join("used/authority.pem"), &ours).unwrap();
    let ports = free_ports(2);
    let (peers, http) = (ports[0], format!("127.0.0.1:{}", ports[1]));
    done(
        path,
        &format!(
            "init --data 1 --id 1 --clients 127.0.0.1:0 --founder 1=127.0.0.1:{peers} \
             --http {http} --authority used/authority.pem --certificate used/node-1.pem \
             --key used/node-1.key --protected-mode off"
        ),
    );
    let server = Running::server(path, "start --data 1");
    let connects = |authority: &Path| {
        let mut client = access(authority).connect(server.address()).ok()?;
        client.call(&[b"PING"]).ok()?;
        Some(client)
    };
    let mut client = connects(&ours).unwrap();
    set(&mut client, "a", "1");
    assert!(connects(&theirs).is_none());
    let expires = until("the metric", || expiry(&http));
    let year = 365.25 * 24.0 * 3600.0;
    assert!(
        expires > 56.0 * year,
        "{expires} is before this was written"
    );

    fs::write(path.join("used/node-1.pem"), "no certificate").unwrap();
    server.signal("HUP");
    until("the log", || {
        let log = fs::read_to_string(path.join("log")).unwrap();
        log.contains("the certificates in use stay").then_some(())
    });
    assert!(connects(&ours).is_some());

    for file in ["authority.pem", "node-1.pem", "node-1.key"] {
        fs::copy(path.join("other").join(file), path.join("used").join(file)).unwrap();
    }
    server.signal("HUP");
    let mut later = until("a connection with the new certificate", || {
        connects(&theirs)
    });
    assert_eq!(get(&mut later, "a").as_deref(), Some("1"));
    assert!(connects(&ours).is_none());
    // A connection that was open stays.
    assert_eq!(get(&mut client, "a").as_deref(), Some("1"));
}
