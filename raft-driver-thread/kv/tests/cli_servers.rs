//! The command line of raft-kv with running servers.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_kv::client::{Access, ClientTls};
use raft_kv::config::Secret;
use raft_kv::state::Reply;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[path = "support/processes.rs"]
mod processes;

use processes::ports::free_ports;
use processes::{
    Cluster, Running, client, done, done_at_last, get, leader, refused, set, status, statuses,
    until, until_ok,
};

#[test]
fn a_demo_that_is_started_again_goes_on_with_its_data_and_ports() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_ports(3)[0];
    let demo = Running::demo(folder.path(), &format!("demo --data d --port {port}"));
    let clients = demo.clients.clone();
    set(&mut demo.client(), "a", "1");
    demo.stop();
    let demo = Running::demo(folder.path(), "demo --data d");
    assert_eq!(demo.clients, clients);
    for address in &clients {
        assert_eq!(get(&mut client(address), "a").as_deref(), Some("1"));
    }
    refused(folder.path(), "demo --data d", "in use");
}

#[test]
fn a_demo_that_is_told_to_end_stops_its_servers_one_after_the_other() {
    // On a busy machine a server may lose another one, and log that, or not stop in time.
    until_ok("a demo that ends in order", run_and_end_a_demo);
}

fn run_and_end_a_demo() -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    // As if an earlier demo had used these ports.
    let ports = free_ports(6);
    let (clients, peers) = ports.split_at(3);
    let remembered = format!("cluster = 7\nclients = {clients:?}\npeers = {peers:?}\n");
    fs::write(folder.path().join("demo.toml"), remembered).unwrap();
    let log = folder.path().join("log");
    let demo = Running::demo(folder.path(), "demo --data .");
    // The servers have connected to each other by then.
    until("all are registered", || {
        let mut client = Access::new().connect(&demo.clients[0]).ok()?;
        let mut members = client.status().ok()?.members.into_iter();
        members.all(|member| member.clients.is_some()).then_some(())
    });
    let before = fs::read_to_string(&log).unwrap();
    let (code, said) = demo.stop_and_read();
    // Servers that disconnect from those that have stopped are no news.
    let after = fs::read_to_string(&log).unwrap();
    let expected = [1, 2, 3].map(|node| format!("node {node} has stopped"));
    if after == before && code == Some(0) && said.ends_with(&expected) {
        return Ok(());
    }
    Err(format!("it ended with {code:?}: {said:?}\n{after}"))
}

#[test]
fn status_shows_every_server_and_those_that_do_not_reply() {
    let mut cluster = Cluster::found("");
    let first = cluster.servers[0].address().to_owned();
    // Servers that have just been started are not called unreachable.
    let table = done(cluster.path(), &format!("status --server {first}"));
    assert!(!table.contains("unreachable"), "{table}");
    set(&mut cluster.servers[0].client(), "a", "1");
    until("all are known", || {
        let known = status(&cluster.servers[0])?.members;
        known
            .iter()
            .all(|member| member.clients.is_some())
            .then_some(())
    });
    let seen = statuses(cluster.path(), &first);
    assert_eq!(seen.len(), 3);
    for (seen, server) in seen.iter().zip(&cluster.servers) {
        assert_eq!(seen["clients"], server.address());
        assert_eq!(seen["status"]["cluster"], 77);
    }
    drop(cluster.servers.pop());
    // It may have been the leader.
    until("a leader among the others", || {
        let leads = |server| Some(status(server)?.role == "leader");
        let leads = |server| leads(server).unwrap_or(false);
        cluster.servers.iter().any(leads).then_some(())
    });
    let seen = statuses(cluster.path(), &first);
    assert!(seen[2]["status"].is_null());
    assert!(seen[2]["error"].as_str().unwrap().contains("refused"));
    let table = done(
        cluster.path(),
        &format!("status --server 127.0.0.1:1 --server {first}"),
    );
    for part in ["cluster 77", "leader", "unreachable", "node 3: connect to"] {
        assert!(table.contains(part), "{table}");
    }
}

#[test]
fn a_server_that_is_told_to_stop_hands_leadership_over_and_comes_back() {
    let mut cluster = Cluster::found("");
    set(&mut cluster.servers[0].client(), "a", "1");
    let first = leader(&cluster.servers);
    let at = first as usize - 1;
    assert_eq!(cluster.servers.remove(at).stop(), Some(0));
    let next = until("the next leader", || {
        let known = status(&cluster.servers[0])?.leader?;
        (known != first).then_some(known)
    });
    let again = Running::server(cluster.path(), &format!("start --data {first}"));
    assert_eq!(get(&mut again.client(), "a").as_deref(), Some("1"));
    let said = done_at_last(
        cluster.path(),
        &format!("transfer --to {first} --server {}", again.address()),
    );
    assert!(
        said.contains(&format!("node {first} leads")),
        "{said} after {next}"
    );
    done(
        cluster.path(),
        &format!("snapshot --server {}", again.address()),
    );
    until("a snapshot", || {
        (status(&again)?.snapshot_index > 0).then_some(())
    });
    refused(
        cluster.path(),
        &format!("inspect --data {first}"),
        "in use by a running server",
    );
    refused(
        cluster.path(),
        &format!("start --data {first}"),
        "in use by a running server",
    );
    assert_eq!(again.stop(), Some(0));
    let shown = done(cluster.path(), &format!("inspect --data {first}"));
    assert!(
        shown.contains("1 in the snapshot") && shown.contains("whole"),
        "{shown}"
    );
    let shown = done(cluster.path(), &format!("inspect --data {first} --json"));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["log"]["snapshot"]["keys"], 1);
    assert_eq!(shown["log"]["problems"].as_array().unwrap().len(), 0);
    assert!(shown["log"]["term"].as_u64().unwrap() >= 1);
}

#[test]
fn a_server_joins_and_another_leaves() {
    let cluster = Cluster::found("");
    let path = cluster.path();
    set(&mut cluster.servers[0].client(), "a", "1");
    let port = free_ports(1)[0];
    let server = cluster.servers[0].address();
    let join = format!(
        "join --data 4 --id 4 --clients 127.0.0.1:0 --peers 127.0.0.1:{port} --server {server}"
    );
    let other = join.replace("join", "join --election-timeout 2s");
    refused(path, &other, "the same on all servers");
    let fourth = Running::joined(path, &join);
    assert_eq!(get(&mut fourth.client(), "a").as_deref(), Some("1"));
    until("a vote", || {
        let members = status(&fourth)?.members;
        let me = members.into_iter().find(|member| member.node == 4)?;
        (me.role == "voter").then_some(())
    });
    let leave = |node: u64| format!("leave --id {node} --server {}", fourth.address());
    let said = done(path, &leave(2));
    assert!(said.contains("node 2 is no member"), "{said}");
    refused(path, &leave(2), "no member");
    until("it is gone", || {
        let members = status(&fourth)?.members;
        members.iter().all(|member| member.node != 2).then_some(())
    });
    set(&mut fourth.client(), "b", "2");
    assert_eq!(fourth.stop(), Some(0));
    // Later starts need no other arguments.
    let fourth = Running::server(path, "start --data 4");
    assert_eq!(get(&mut fourth.client(), "b").as_deref(), Some("2"));
}

#[test]
fn a_backup_is_restored_into_a_new_cluster() {
    let cluster = Cluster::found("");
    let path = cluster.path();
    let mut client = cluster.servers[0].client();
    for number in 0..200 {
        set(&mut client, &format!("key-{number}"), &"v".repeat(20_000));
    }
    client
        .call(&[b"SET", b"soon", b"gone", b"PX", b"1"])
        .unwrap();
    client
        .call(&[b"SET", b"late", b"here", b"EX", b"1000"])
        .unwrap();
    until("it expires", || {
        get(&mut client, "soon").is_none().then_some(())
    });
    let server = cluster.servers[1].address();
    let said = done(path, &format!("backup --file b --server {server}"));
    assert!(said.contains("201 keys"), "{said}");
    refused(
        path,
        &format!("backup --file b --server {server}"),
        "--replace",
    );
    done(
        path,
        &format!("backup --file b --replace --server {server}"),
    );
    let port = free_ports(1)[0];
    let restore = |data: &str, file: &str| {
        let settings = format!("--id 9 --clients 127.0.0.1:0 --peers 127.0.0.1:{port}");
        format!("restore --file {file} --data {data} {settings}")
    };
    let said = done(path, &restore("new", "b"));
    assert!(said.contains("201 keys"), "{said}");
    refused(path, &restore("new", "b"), "already");
    let bytes = fs::read(path.join("b")).unwrap();
    fs::write(path.join("cut"), &bytes[..bytes.len() - 1]).unwrap();
    refused(path, &restore("other", "cut"), "backup");
    assert!(!path.join("other").exists());
    let restored = Running::server(path, "start --data new");
    let mut client = restored.client();
    assert_eq!(get(&mut client, "key-199"), Some("v".repeat(20_000)));
    assert_eq!(get(&mut client, "late").as_deref(), Some("here"));
    let left = client.call(&[b"TTL", b"late"]).unwrap();
    assert!(matches!(left, Reply::Integer(1..=1000)), "{left:?}");
    assert_ne!(client.status().unwrap().cluster, 77);
    set(&mut client, "more", "1");
    join_another(path, &restored);
}

/// Another server can join the only server of a new cluster.
fn join_another(path: &Path, first: &Running) {
    let port = free_ports(1)[0];
    let peers = format!("--clients 127.0.0.1:0 --peers 127.0.0.1:{port}");
    let server = first.address();
    let joined = format!("join --data joined --id 10 {peers} --server {server}");
    let joined = Running::joined(path, &joined);
    assert_eq!(get(&mut joined.client(), "more").as_deref(), Some("1"));
}

#[test]
fn a_new_cluster_is_recovered_from_what_one_server_has() {
    let mut cluster = Cluster::found("");
    let path: PathBuf = cluster.path().to_owned();
    let mut client = cluster.servers[2].client();
    set(&mut client, "before", "1");
    // It has applied that: there is something to take a snapshot of.
    assert_eq!(get(&mut client, "before").as_deref(), Some("1"));
    let third = cluster.servers[2].address();
    done(&path, &format!("snapshot --server {third}"));
    until("a snapshot", || {
        (status(&cluster.servers[2])?.snapshot_index > 0).then_some(())
    });
    set(&mut client, "after", "2");
    assert_eq!(get(&mut client, "after").as_deref(), Some("2"));
    let recover = "recover --force-new-cluster --data 3 --into new";
    refused(&path, recover, "in use by a running server");
    // It ends with all that it has applied on its disk.
    cluster.servers.remove(2).stop();
    cluster.servers.clear();
    let said = done(&path, recover);
    for part in ["A NEW CLUSTER", "2 keys", "ARE LOST", "cluster 77"] {
        assert!(said.contains(part), "{said}");
    }
    refused(&path, recover, "already");
    let inspected = done(&path, "inspect --data new");
    assert!(inspected.contains("2 in the snapshot"), "{inspected}");
    let recovered = Running::server(&path, "start --data new");
    let mut client = recovered.client();
    assert_eq!(get(&mut client, "before").as_deref(), Some("1"));
    assert_eq!(get(&mut client, "after").as_deref(), Some("2"));
    let status = client.status().unwrap();
    assert_ne!(status.cluster, 77);
    assert_eq!((status.node, status.members.len()), (3, 1));
    set(&mut client, "more", "1");
    join_another(&path, &recovered);
    // The old data directory is unchanged.
    let old = done(&path, "inspect --data 3");
    assert!(
        old.contains("cluster     77") && old.contains("whole"),
        "{old}"
    );
}

#[test]
fn tls_and_a_password_keep_others_out() {
    let certificates = tempfile::tempdir().unwrap();
    let path = certificates.path().display();
    done(
        certificates.path(),
        "certs --out . --node 1=127.0.0.1 --node 2=a --node 3=b",
    );
    done(certificates.path(), "certs --out other --node 1=127.0.0.1");
    fs::write(certificates.path().join("password"), "sesame\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let founder = format!("--founder 1=127.0.0.1:{}", free_ports(1)[0]);
    let tls = format!(
        "--authority {path}/authority.pem --certificate {path}/node-1.pem --key {path}/node-1.key"
    );
    let secret = format!("--password-file {path}/password");
    let init = format!("init --data 1 --id 1 --clients 127.0.0.1:0 {founder} {tls} {secret}");
    done(folder.path(), &init);
    let server = Running::server(folder.path(), "start --data 1");
    let with = |authority: &Path, password: Option<&str>| Access {
        password: password.map(|text| Secret(text.to_owned())),
        tls: Some(ClientTls::new(authority).unwrap()),
        ..Access::new()
    };
    let ours = certificates.path().join("authority.pem");
    let mut client = with(&ours, Some("sesame"))
        .connect(server.address())
        .unwrap();
    set(&mut client, "a", "1");
    assert!(
        with(&ours, Some("wrong"))
            .connect(server.address())
            .is_err()
    );
    let silent = with(&ours, None).connect(server.address());
    assert!(silent.unwrap().call(&[b"GET", b"a"]).is_err());
    let theirs = certificates.path().join("other/authority.pem");
    assert!(
        with(&theirs, Some("sesame"))
            .connect(server.address())
            .is_err()
    );
    let name = format!("localhost:{}", server.address().rsplit_once(':').unwrap().1);
    assert!(with(&ours, Some("sesame")).connect(&name).is_err());
    let mut plain = Access::new();
    plain.timeout = Duration::from_secs(5);
    let said = plain
        .connect(server.address())
        .and_then(|mut client| client.status());
    assert!(said.is_err());
    let ask = format!(
        "status --server {} --authority {path}/authority.pem",
        server.address()
    );
    refused(folder.path(), &ask, "NOAUTH");
    let shown = done(folder.path(), &format!("{ask} {secret}"));
    assert!(shown.contains("leader"), "{shown}");
}

#[test]
fn status_says_when_the_address_of_a_founder_is_not_known_yet() {
    let folder = tempfile::tempdir().unwrap();
    let ports = free_ports(3);
    let founders: String = (1..)
        .zip(&ports)
        .map(|(node, port)| format!(" --founder {node}=127.0.0.1:{port}"))
        .collect();
    let init = format!("init --data 1 --id 1 --clients 127.0.0.1:0 {founders}");
    done(folder.path(), &init);
    let server = Running::server(folder.path(), "start --data 1");
    let status = format!("status --server {}", server.address());
    let table = done(folder.path(), &status);
    for part in [
        "unknown",
        "node 2: its address is not known yet",
        "no leader",
    ] {
        assert!(table.contains(part), "no {part:?} in {table}");
    }
    assert!(!table.contains("unreachable"), "{table}");
}
