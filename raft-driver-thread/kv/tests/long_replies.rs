//! Short requests with long replies: what waits for one client stays bounded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_kv::client::Client;
use raft_kv::state::Reply;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, LIMIT, call, until};

fn connect(cluster: &Cluster) -> TcpStream {
    let stream = TcpStream::connect(cluster.address(1)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// How many are connected.
fn clients(client: &mut Client) -> usize {
    let reply = call(client, "CLIENT LIST");
    let Reply::Bulk(list) = reply else {
        panic!("{reply:?}");
    };
    list.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn of_a_pipeline_no_more_runs_than_the_client_has_room_for() {
    let cluster = Cluster::single_with(|settings| {
        settings.client_output_buffer_limit = 1 << 20;
        settings.maxmemory_clients = 4 << 20;
    });
    let mut other = cluster.client(1);
    let name = "n".repeat(500);
    let pairs: String = (0..2000).map(|key| format!(" {name}{key} v")).collect();
    assert_eq!(call(&mut other, &format!("MSET{pairs}")), Reply::Ok);
    // Each reply has a megabyte, and the client reads none. So it is closed in the midst of them.
    for command in ["KEYS *\r\n", "SCAN 0 COUNT 5000\r\n"] {
        let mut stream = connect(&cluster);
        stream.write_all(b"PING\r\n").unwrap();
        stream.read_exact(&mut [0; 7]).unwrap();
        let pipeline = command.repeat(100) + "SET marker 1\r\nQUIT\r\n";
        stream.write_all(pipeline.as_bytes()).unwrap();
        until("the client is closed", || {
            std::thread::park_timeout(Duration::from_millis(20));
            (clients(&mut other) == 1).then_some(())
        });
        assert_eq!(call(&mut other, "GET marker"), Reply::Nil, "{command}");
    }
}

#[test]
fn the_replies_of_a_transaction_are_bounded_also_of_commands_over_no_key() {
    let cluster = Cluster::single_with(|_| {});
    let mut stream = connect(&cluster);
    let count = 8000;
    let requests = "MULTI\r\n".to_owned() + &"COMMAND\r\n".repeat(count) + "EXEC\r\nQUIT\r\n";
    stream.write_all(requests.as_bytes()).unwrap();
    let mut replies = Vec::new();
    stream.read_to_end(&mut replies).unwrap();
    let end = b"-ERR the replies before this one are too long: ask for less at once\r\n+OK\r\n";
    assert!(replies.ends_with(end), "{} bytes", replies.len());
}
