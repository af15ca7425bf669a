//! What strangers, clients that do not read, and wrong clocks must not do to a server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_kv::client::ClientError;
use raft_kv::state::Reply;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, LIMIT, call, until, until_ok};

/// A connection on which nothing waits for longer than the limit.
fn connect(cluster: &Cluster, node: u64) -> TcpStream {
    let stream = TcpStream::connect(cluster.address(node)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Reads until the server closes the connection.
fn read_to_end(mut stream: TcpStream) -> usize {
    let (mut buffer, mut count) = (vec![0; 1 << 16], 0);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return count,
            Ok(read) => count += read,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
                return count;
            }
        }
    }
}

#[test]
fn silent_clients_at_the_leader_do_not_stop_writes_through_followers() {
    let cluster = Cluster::with(|settings| settings.max_connections = 8);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    // All the places that the leader has for clients.
    let mut held = Vec::new();
    loop {
        let mut stream = connect(&cluster, leader);
        let _ = stream.write_all(b"PING\r\n"); // It may be closed already.
        let mut answer = [0; 7];
        let is_refused = stream.read_exact(&mut answer).is_err() || &answer != b"+PONG\r\n";
        if is_refused && held.len() >= 7 {
            break;
        }
        held.push(stream);
    }
    let mut client = cluster.client(follower);
    assert_eq!(call(&mut client, "SET a 1"), Reply::Ok);
    assert_eq!(call(&mut client, "GET a"), Reply::Bulk("1".into()));
    assert!(call(&mut client, "RAFT TRANSFER") != Reply::Nil);
}

#[test]
fn a_pipeline_larger_than_all_buffers_is_answered_though_the_client_reads_only_afterwards() {
    let cluster = Cluster::new();
    let value = "v".repeat(1024);
    let mut client = cluster.client(1);
    // Neither the requests nor the replies fit into what the system buffers.
    let key = "k".repeat(400);
    assert_eq!(call(&mut client, &format!("SET {key} {value}")), Reply::Ok);
    let mut stream = connect(&cluster, 1);
    let count = 60_000;
    let request = format!("*2\r\n$3\r\nGET\r\n$400\r\n{key}\r\n").repeat(1000);
    for _ in 0..count / 1000 {
        stream.write_all(request.as_bytes()).unwrap();
    }
    let reply = format!("$1024\r\n{value}\r\n").into_bytes();
    let mut read = vec![0; reply.len()];
    for number in 0..count {
        stream.read_exact(&mut read).unwrap();
        assert!(read == reply, "reply {number}");
    }
}

#[test]
fn a_client_that_never_reads_is_closed_alone_once_too_much_waits_for_it() {
    let cluster = Cluster::with(|settings| {
        settings.client_output_buffer_limit = 1 << 20;
        settings.maxmemory_clients = 4 << 20;
    });
    let mut other = cluster.client(1);
    let value = "v".repeat(1 << 19);
    assert_eq!(call(&mut other, &format!("SET a {value}")), Reply::Ok);
    let mut stream = connect(&cluster, 1);
    let request = b"GET a\r\n".repeat(100);
    // The server reads on for a while, then no more, and at last closes the connection.
    while stream.write_all(&request).is_ok() {
        assert_eq!(call(&mut other, "SET b 1"), Reply::Ok);
    }
    assert_eq!(call(&mut other, "GET b"), Reply::Bulk("1".into()));
    // The socket is closed a little before the connection's buffers are given back.
    until_ok("nothing waits for a client", || {
        let info = call(&mut other, "INFO memory");
        let Reply::Bulk(info) = info else {
            panic!("{info:?}");
        };
        let info = String::from_utf8(info.to_vec()).unwrap();
        let is_none = info.contains("mem_clients_normal:0\r\n");
        if is_none { Ok(()) } else { Err(info) }
    });
}

/// The most memory that this process has taken, in bytes.
#[cfg(target_os = "linux")]
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() << 10
}

#[test]
#[cfg(target_os = "linux")]
fn long_values_are_sent_from_where_they_are_stored() {
    const VALUE: usize = 1 << 20;
    let cluster = Cluster::new();
    let mut client = cluster.client(1);
    let value = vec![b'v'; VALUE];
    for key in 0..8 {
        let set = [&b"SET"[..], &[b'a' + key], &value];
        assert_eq!(client.call(&set).unwrap(), Reply::Ok);
    }
    let mut stream = connect(&cluster, 1);
    let names = " a b c d e f g h".repeat(128);
    let before = peak_memory();
    stream
        .write_all(format!("MGET{names}\r\nQUIT\r\n").as_bytes())
        .unwrap();
    let count = read_to_end(stream);
    assert!(count > 1024 * VALUE, "{count} bytes");
    // The system counts pages for each thread, and adds them up now and then: right after memory was
    // given back, the greatest sum may be a little below the one before.
    let taken = peak_memory().saturating_sub(before);
    assert!(
        taken < 512 << 20,
        "{taken} bytes of memory for a reply of 1 GiB"
    );
}

#[test]
fn a_client_that_gives_no_password_or_says_nothing_is_closed() {
    let cluster = Cluster::with(|settings| settings.password = Some("open sesame".into()));
    let stream = connect(&cluster, 1);
    assert_eq!(read_to_end(stream), 0);
    let cluster =
        Cluster::with(|settings| settings.client_timeout = Some(Duration::from_millis(200)));
    // On a busy machine a client may be closed before it has sent its request.
    until("a client is answered, and closed once it is idle", || {
        let mut stream = connect(&cluster, 1);
        let _ = stream.write_all(b"PING\r\n");
        (read_to_end(stream) == 7).then_some(())
    });
}

#[test]
fn beyond_max_memory_only_commands_that_take_none_run_and_all_servers_agree() {
    // Each server decides by what the entry says, not by its own setting.
    let next = std::sync::atomic::AtomicU64::new(1);
    let cluster = Cluster::led_by_1(|settings| {
        let node = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        settings.max_memory = Some(100_000 * node);
    });
    let mut client = cluster.client(1);
    let value = "v".repeat(10_000);
    let full = "OOM command not allowed when used memory > 'maxmemory'.";
    let mut count = 0;
    while call(&mut client, &format!("SET key:{count} {value}")) == Reply::Ok {
        count += 1;
        assert!(count < 40, "there is no limit");
    }
    for command in [
        "SET a 1",
        "INCR n",
        "APPEND key:0 x",
        "MSET a 1 b 2",
        "GETSET a 1",
    ] {
        assert_eq!(
            call(&mut client, command),
            Reply::Error(full.into()),
            "{command}"
        );
    }
    for node in 1..=3 {
        let mut client = cluster.client(node);
        assert_eq!(call(&mut client, "DBSIZE"), Reply::Integer(count));
    }
    assert_eq!(call(&mut client, "EXPIRE key:0 100"), Reply::Integer(1));
    let names: Vec<_> = (0..count).map(|key| format!("key:{key}")).collect();
    let deleted = call(&mut client, &format!("DEL {}", names.join(" ")));
    assert_eq!(deleted, Reply::Integer(count));
    assert_eq!(call(&mut client, "SET a 1"), Reply::Ok);
}

#[test]
fn append_keeps_to_the_longest_value() {
    let cluster = Cluster::with(|settings| settings.max_value_bytes = 100);
    let mut client = cluster.client(2);
    let half = "h".repeat(60);
    assert_eq!(
        call(&mut client, &format!("APPEND a {half}")),
        Reply::Integer(60)
    );
    let refused = call(&mut client, &format!("APPEND a {half}"));
    let what = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    assert_eq!(refused, Reply::Error(what.into()));
    assert_eq!(call(&mut client, "STRLEN a"), Reply::Integer(60));
}

#[test]
fn a_server_that_joins_at_another_members_address_is_refused() {
    let cluster = Cluster::new();
    let peers = cluster.settings[1].peers.clone();
    let reply = call(&mut cluster.client(1), &format!("RAFT JOIN 9 {peers}"));
    let Reply::Error(error) = reply else {
        panic!("{reply:?}");
    };
    assert!(error.contains("is the address of n2"), "{error}");
}

#[test]
fn only_servers_forward_and_only_over_their_own_port() {
    let cluster = Cluster::new();
    let mut client = cluster.client(1);
    let words: [&[u8]; 5] = [b"RAFT", b"FORWARD", b"5", b"1", b"\x01\x00"];
    let refused = client.call(&words);
    let Err(ClientError::Refused { what, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(what.contains("port for servers"), "{what}");
}

#[test]
fn a_key_that_expired_while_no_server_ran_is_not_served_again() {
    let mut cluster = Cluster::new();
    let mut client = cluster.client(1);
    assert_eq!(call(&mut client, "SET forever 1 PX 1000000"), Reply::Ok);
    let is_saved = |cluster: &Cluster| {
        let folders = cluster.settings.iter().map(|settings| &settings.data);
        folders
            .into_iter()
            .all(|data| data.join("clock.toml").exists())
    };
    until("all have saved the time", || {
        is_saved(&cluster).then_some(())
    });
    assert_eq!(call(&mut client, "SET a 1 PX 4000"), Reply::Ok);
    (1..=3).for_each(|node| cluster.kill(node));
    // Longer than the key lives, and than the server that leads next may be behind in time.
    std::thread::sleep(Duration::from_millis(7000));
    (1..=3).for_each(|node| cluster.start(node));
    for node in [2, 1, 3] {
        assert_eq!(
            call(&mut cluster.client(node), "GET a"),
            Reply::Nil,
            "server {node}"
        );
    }
    assert_eq!(
        call(&mut cluster.client(2), "GET forever"),
        Reply::Bulk("1".into())
    );
}
