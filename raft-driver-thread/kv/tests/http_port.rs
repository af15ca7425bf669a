//! What strangers at the port for /healthz and /metrics must not do to a server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, LIMIT};

/// The most connections that the port serves at a time.
const PLACES: usize = 64;

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream
}

fn cluster() -> (Cluster, SocketAddr) {
    let cluster = Cluster::with(|settings| settings.http = Some("127.0.0.1:0".into()));
    let address = cluster.servers[0].as_ref().unwrap().http_address().unwrap();
    (cluster, address)
}

fn is_healthy(address: SocketAddr) -> bool {
    let mut stream = connect(address);
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n")
}

/// Whether the server has closed the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0; 64]);
    read.map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| true)
}

#[test]
fn silent_connections_take_no_more_than_their_places_and_keep_no_probe_out() {
    let (_cluster, address) = cluster();
    let mut silent = Vec::new();
    for _ in 0..4 * PLACES {
        silent.push(connect(address));
        if silent.len() % PLACES == 0 {
            assert!(is_healthy(address));
        }
    }
    assert!(is_healthy(address));
    // The oldest are closed before a later one is served.
    let closed = |stream: &mut TcpStream| {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).is_ok() || is_closed(stream)
    };
    assert!(silent[..3 * PLACES].iter_mut().all(closed));
}

#[test]
fn a_client_that_trickles_its_request_is_closed_though_it_never_falls_silent() {
    let (_cluster, address) = cluster();
    let mut slow = connect(address);
    slow.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    // Each read waits for as long as there is something to wait for: no answer ever comes.
    slow.set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut header = 0_u64;
    let closed = loop {
        header += 1;
        assert!(header < 10 * LIMIT.as_secs(), "it was never closed");
        let line = format!("X-{header}: 1\r\n");
        if slow.write_all(line.as_bytes()).is_err() {
            break true;
        }
        match slow.read(&mut [0; 1024]) {
            Ok(0) => break true,
            Ok(_) => break false, // An answer, to a request that has no end yet.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break true,
        }
    };
    assert!(closed);
}

#[test]
fn a_request_that_is_too_long_is_refused_before_it_ends() {
    let (_cluster, address) = cluster();
    let mut long = connect(address);
    let _ = long.write_all(b"GET /");
    let piece = [b'a'; 4096];
    let mut sent = 0;
    // It may be refused, and closed, at any time.
    while sent < 1 << 20 && long.write_all(&piece).is_ok() {
        sent += piece.len();
    }
    let mut answer = Vec::new();
    let _ = long.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.contains(" 4"), "{answer}");
    assert!(is_healthy(address));
}
