//! CLIENT LIST, CLIENT INFO and INFO have what client libraries and exporters read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_kv::client::{Access, Client};
use raft_kv::config::Secret;
use raft_kv::state::Reply;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, call, until, until_ok};

/// Those of Redis 7, in its order.
const FIELDS: [&str; 30] = [
    "id",
    "addr",
    "laddr",
    "fd",
    "name",
    "age",
    "idle",
    "flags",
    "db",
    "sub",
    "psub",
    "ssub",
    "multi",
    "qbuf",
    "qbuf-free",
    "argv-mem",
    "multi-mem",
    "rbs",
    "rbp",
    "obl",
    "oll",
    "omem",
    "tot-mem",
    "events",
    "cmd",
    "user",
    "redir",
    "resp",
    "lib-name",
    "lib-ver",
];

fn text(reply: Reply) -> String {
    let Reply::Bulk(bytes) = reply else {
        panic!("{reply:?}");
    };
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The fields of a line, which are all there, in order.
fn fields(line: &str) -> BTreeMap<&str, &str> {
    let pairs: Vec<_> = line
        .split(' ')
        .map(|field| field.split_once('=').unwrap())
        .collect();
    let names: Vec<&str> = pairs.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, FIELDS, "{line}");
    pairs.into_iter().collect()
}

/// The line of the client with this name, once it has all of these fields.
fn wait_for(client: &mut Client, name: &str, wanted: &[(&str, &str)]) {
    until_ok("the fields of a client", || {
        let list = text(call(client, "CLIENT LIST"));
        let lines = list.lines().map(fields);
        let found = lines.into_iter().find(|fields| fields["name"] == name);
        let has_all = |fields: &BTreeMap<&str, &str>| {
            wanted.iter().all(|(field, value)| fields[field] == *value)
        };
        if found.as_ref().is_some_and(has_all) {
            return Ok(());
        }
        Err(format!("{wanted:?} in {found:?}"))
    });
}

#[test]
fn client_list_and_client_info_have_the_fields_of_redis_7() {
    let cluster = Cluster::with(|settings| settings.admin_password = Some("own".into()));
    let begun = Instant::now();
    let mut stream = TcpStream::connect(cluster.address(1)).unwrap();
    let own = stream.local_addr().unwrap().to_string();
    let access = Access {
        admin_password: Some(Secret("own".into())),
        ..Access::new()
    };
    let mut client = access.connect(cluster.address(1)).unwrap();
    assert_eq!(call(&mut client, "CLIENT SETNAME asking"), Reply::Ok);
    let info = text(call(&mut client, "CLIENT INFO"));
    let line = fields(info.strip_suffix('\n').unwrap());
    for (field, value) in [
        ("name", "asking"),
        ("flags", "N"),
        ("db", "0"),
        ("multi", "-1"),
        ("cmd", "client|info"),
        ("user", "admin"),
        ("resp", "2"),
        ("lib-name", ""),
        ("laddr", cluster.address(1)),
        ("redir", "-1"),
        ("qbuf", "0"),
        ("sub", "0"),
    ] {
        assert_eq!(line[field], value, "{field} in {info}");
    }
    for field in ["idle", "age"] {
        let seconds: u64 = line[field].parse().unwrap();
        assert!(seconds <= begun.elapsed().as_secs(), "{field} in {info}");
    }
    assert!(line["fd"].parse::<u32>().unwrap() > 2, "{info}");
    // Another client, step by step.
    stream.write_all(b"CLIENT SETNAME other\r\n").unwrap();
    let set = [
        ("addr", own.as_str()),
        ("cmd", "client|setname"),
        ("user", "default"),
    ];
    wait_for(&mut client, "other", &set);
    let more = "CLIENT SETINFO LIB-NAME redis-py\r\nCLIENT SETINFO LIB-VER 5.0.1\r\nREADONLY\r\nHELLO 3\r\n";
    stream.write_all(more.as_bytes()).unwrap();
    let set = [
        ("lib-name", "redis-py"),
        ("lib-ver", "5.0.1"),
        ("resp", "3"),
        ("flags", "r"),
    ];
    wait_for(&mut client, "other", &set);
    stream
        .write_all(b"READWRITE\r\nMULTI\r\nSET a 1\r\nGET a\r\n")
        .unwrap();
    // 13 and 4 bytes of arguments, and 24 for each command.
    let set = [
        ("multi", "2"),
        ("multi-mem", "57"),
        ("flags", "x"),
        ("cmd", "get"),
    ];
    wait_for(&mut client, "other", &set);
    stream
        .write_all(b"RESET\r\nCLIENT SETNAME other\r\nSELECT 3\r\n")
        .unwrap();
    wait_for(
        &mut client,
        "other",
        &[("multi", "-1"), ("db", "3"), ("flags", "N"), ("resp", "2")],
    );
    // By number, and by type.
    let id = line["id"];
    let only = text(call(&mut client, &format!("CLIENT LIST ID {id} 999")));
    assert_eq!(
        (only.lines().count(), fields(only.trim_end())["id"]),
        (1, id)
    );
    assert_eq!(
        text(call(&mut client, "CLIENT LIST TYPE normal"))
            .lines()
            .count(),
        2
    );
    assert_eq!(text(call(&mut client, "CLIENT LIST TYPE pubsub")), "");
}

#[test]
fn info_and_config_have_what_redis_exporter_reads() {
    let cluster = Cluster::new();
    let mut client = cluster.client(1);
    assert_eq!(call(&mut client, "SET a 1"), Reply::Ok);
    // A node says what it has itself: a follower may apply the write later than the leader.
    let info = until_ok("keys", || {
        let info = text(call(&mut client, "INFO all"));
        let has_keys = info.contains("\ndb0:");
        if has_keys { Ok(info) } else { Err(info) }
    });
    let pairs: BTreeMap<_, _> = info
        .lines()
        .filter_map(|line| line.split_once(':'))
        .collect();
    for field in [
        "redis_version",
        "redis_mode",
        "os",
        "tcp_port",
        "process_id",
        "uptime_in_seconds",
        "role",
        "connected_slaves",
        "maxmemory_policy",
        "evicted_keys",
        "total_connections_received",
        "total_commands_processed",
        "rejected_connections",
        "loading",
        "aof_enabled",
        "maxmemory",
        "cluster_enabled",
        "blocked_clients",
        "maxclients",
        "connected_clients",
        "used_memory",
        "db0",
    ] {
        assert!(pairs.contains_key(field), "no {field} in {info}");
    }
    let number = |field: &str| pairs[field].parse::<f64>().unwrap();
    assert!(number("total_connections_received") >= 1.0);
    if cfg!(target_os = "linux") {
        assert!(number("used_memory_rss") > 1e6, "{info}");
        let used = || {
            let info = text(call(&mut cluster.client(1), "INFO cpu"));
            let of = |field: &str| {
                let line = info.lines().find(|line| line.starts_with(field)).unwrap();
                line.split_once(':').unwrap().1.parse::<f64>().unwrap()
            };
            of("used_cpu_user:") + of("used_cpu_sys:")
        };
        // The system may count in hundredths of a second: each call adds to the time.
        until("processor time", || (used() > 0.0).then_some(()));
    }
    let Reply::Array(config) = call(&mut client, "CONFIG GET *") else {
        panic!("no settings");
    };
    for name in ["maxclients", "databases", "maxmemory", "timeout"] {
        assert!(config.contains(&Reply::text(name)), "no {name}");
    }
}
