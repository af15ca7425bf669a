//! What INFO counts is what Redis counts. The numbers here are those that Redis 7.0.15 gave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_kv::client::Client;
use raft_kv::state::Reply;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, LIMIT, call, until};

/// The fields of a section, or of several.
fn info(client: &mut Client, sections: &str) -> BTreeMap<String, String> {
    let Reply::Bulk(text) = call(client, &format!("INFO {sections}")) else {
        panic!("no text");
    };
    let text = String::from_utf8(text.to_vec()).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn number(fields: &BTreeMap<String, String>, name: &str) -> u64 {
    let value = fields
        .get(name)
        .unwrap_or_else(|| panic!("no {name} in {fields:?}"));
    value.parse().unwrap()
}

fn hits_and_misses(client: &mut Client) -> (u64, u64) {
    let stats = info(client, "stats");
    (
        number(&stats, "keyspace_hits"),
        number(&stats, "keyspace_misses"),
    )
}

/// The numbers of calls, of rejected and of failed ones, and whether it took any time.
fn calls(client: &mut Client, name: &str) -> Option<(u64, u64, u64, bool)> {
    let stats = info(client, "commandstats");
    let line = stats.get(&format!("cmdstat_{name}"))?;
    let fields = line.split(',').map(|field| field.split_once('=').unwrap());
    let fields: Vec<_> = fields.collect();
    let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    let wanted = [
        "calls",
        "usec",
        "usec_per_call",
        "rejected_calls",
        "failed_calls",
    ];
    assert_eq!(names, wanted);
    let number = |at: usize| fields[at].1.parse::<u64>().unwrap();
    let (calls, usec) = (number(0), number(1));
    let each = format!("{:.2}", usec as f64 / calls.max(1) as f64);
    assert_eq!(fields[2].1, each);
    Some((calls, number(3), number(4), usec > 0))
}

#[test]
fn keyspace_hits_and_misses_are_those_of_redis_at_the_server_that_was_asked() {
    let cluster = Cluster::new();
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let mut client = cluster.client(follower);
    for (command, hits, misses) in [
        ("SET a 1", 0, 0),
        ("GET a", 1, 0),
        ("GET b", 0, 1),
        ("MGET a b c", 1, 2),
        ("EXISTS a b a", 2, 1),
        ("STRLEN a", 1, 0),
        ("STRLEN b", 0, 1),
        ("TYPE a", 1, 0),
        ("TYPE b", 0, 1),
        ("TTL a", 1, 0),
        ("TTL b", 0, 1),
        ("PTTL a", 1, 0),
        ("SET a 2 GET", 1, 0),
        ("SET n 2 GET", 0, 1),
        ("GETSET a 3", 1, 0),
        ("GETSET m 3", 0, 1),
        ("GETDEL m", 1, 0),
        ("GETDEL zz", 0, 1),
        ("SET q 1 NX", 0, 0),
        ("INCR a", 0, 0),
        ("APPEND a 1", 0, 0),
        ("EXPIRE a 100", 0, 0),
        ("PERSIST a", 0, 0),
        ("KEYS *", 0, 0),
        ("SCAN 0", 0, 0),
        ("DEL a", 0, 0),
        ("SET a x NX GET", 0, 1),
        ("INCR a", 0, 0),
        ("READONLY", 0, 0),
        ("GET never", 0, 1),
    ] {
        let before = hits_and_misses(&mut client);
        let reply = call(&mut client, command);
        let after = hits_and_misses(&mut client);
        let found = (after.0 - before.0, after.1 - before.1);
        assert_eq!(found, (hits, misses), "{command}: {reply:?}");
    }
    // Within a transaction, too.
    let before = hits_and_misses(&mut client);
    for command in ["MULTI", "GET q", "SET q 2", "GET b", "EXEC"] {
        assert!(!matches!(call(&mut client, command), Reply::Error(_)));
    }
    let after = hits_and_misses(&mut client);
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));
    assert_eq!(hits_and_misses(&mut cluster.client(leader)), (0, 0));
}

#[test]
fn commandstats_has_the_calls_of_redis_with_those_that_were_rejected_and_that_failed() {
    let cluster = Cluster::single_with(|settings| settings.max_memory = Some(1));
    let mut client = cluster.client(1);
    for command in [
        "SET a 1", // Memory is taken before anything is refused for it.
        "SET a",
        "SET a 1 EX abc",
        "SET a 1",
        "NOPE",
        "CLIENT NOPE",
        "CLIENT LIST",
        "MULTI",
        "DEL b",
        "INCR",
        "EXEC",
        "MULTI",
        "GET a",
        "PING",
        "GET b",
        "EXEC",
        "TTL a x",
        "CONFIG SET a b",
    ] {
        call(&mut client, command);
    }
    for (name, calls_rejected_failed) in [
        ("set", Some((2, 2, 1))),
        ("get", Some((2, 0, 0))),
        ("incr", Some((0, 1, 0))),
        ("multi", Some((2, 0, 0))),
        ("exec", Some((2, 0, 1))),
        ("del", None),
        ("client|list", Some((1, 0, 0))),
        ("ping", Some((1, 0, 0))),
        ("ttl", Some((0, 1, 0))),
    ] {
        let found = calls(&mut client, name);
        let found = found.map(|(calls, rejected, failed, _)| (calls, rejected, failed));
        assert_eq!(found, calls_rejected_failed, "{name}");
    }
    assert_eq!(calls(&mut client, "get").map(|it| it.3), Some(true));
    // It is shown if it is asked for.
    assert!(!info(&mut client, "").contains_key("cmdstat_set"));
    assert!(!info(&mut client, "default").contains_key("cmdstat_set"));
    assert!(info(&mut client, "all").contains_key("cmdstat_set"));
}

fn page(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[test]
fn what_expires_and_the_most_memory_are_told_and_config_resetstat_leaves_metrics_as_they_are() {
    let cluster = Cluster::single_with(|settings| settings.http = Some("127.0.0.1:0".into()));
    let mut client = cluster.client(1);
    let value = "v".repeat(100_000);
    for command in [
        "SET soon 1 PX 1",
        &format!("SET long {value}"),
        "GET long",
        "GET no",
    ] {
        assert!(!matches!(call(&mut client, command), Reply::Error(_)));
    }
    until("a key to expire", || {
        let stats = info(&mut client, "stats");
        (number(&stats, "expired_keys") == 1).then_some(())
    });
    assert_eq!(call(&mut client, "DEL long"), Reply::Integer(1));
    let memory = info(&mut client, "memory");
    assert!(number(&memory, "used_memory") < 100_000);
    assert!((100_000..101_500).contains(&number(&memory, "used_memory_peak")));

    assert_eq!(call(&mut client, "CONFIG RESETSTAT"), Reply::Ok);
    let stats = info(&mut client, "stats");
    for (name, value) in [
        ("expired_keys", 0),
        ("evicted_keys", 0),
        ("keyspace_hits", 0),
        ("keyspace_misses", 0),
        ("rejected_connections", 0),
        ("total_connections_received", 0),
        // This one.
        ("total_commands_processed", 1),
    ] {
        assert_eq!(number(&stats, name), value, "{name}");
    }
    assert_eq!(calls(&mut client, "get"), None);
    let peak = number(&info(&mut client, "memory"), "used_memory_peak");
    assert!(peak > 100_000);
    let address = cluster.servers[0].as_ref().unwrap().http_address().unwrap();
    let page = page(address);
    for line in [
        "raft_kv_expired_keys_total{node=\"n1\"} 1",
        "raft_kv_keyspace_hits_total{node=\"n1\"} 1",
        "raft_kv_keyspace_misses_total{node=\"n1\"} 1",
        "raft_kv_command_calls_total{node=\"n1\",command=\"get\"} 2",
    ] {
        assert!(page.contains(line), "no {line} in {page}");
    }
}
