//! Where the user `admin` has a password, nobody else changes the cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_kv::client::Access;
use raft_kv::config::Secret;
use raft_kv::resp::table;
use raft_kv::state::Reply;
use std::time::{Duration, Instant};

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, call};

const ADMIN: &str = "only mine";

/// Requests for every subcommand of RAFT.
fn requests() -> Vec<String> {
    let subcommands = table::find(b"raft").unwrap().subcommands.iter();
    let request = |name: &str| match name {
        "backup" => "RAFT BACKUP OPEN".to_owned(),
        "forward" => "RAFT FORWARD 5 1 x".to_owned(),
        "here" => "RAFT HERE 5 1 RAFT LEAVE 3".to_owned(),
        "join" => "RAFT JOIN 9 127.0.0.1:1".to_owned(),
        "leave" | "promote" => format!("RAFT {name} 3"),
        "load" => "RAFT LOAD x".to_owned(),
        "move" => "RAFT MOVE 3 127.0.0.1:1".to_owned(),
        name => format!("RAFT {name}"),
    };
    subcommands.map(|it| request(it.name)).collect()
}

fn error(reply: Reply) -> String {
    let Reply::Error(error) = reply else {
        panic!("{reply:?}");
    };
    error
}

fn cluster(change: impl Fn(&mut raft_kv::settings::Settings)) -> Cluster {
    Cluster::with(|settings| {
        settings.admin_password = Some(ADMIN.into());
        change(settings);
    })
}

#[test]
fn only_the_user_admin_may_send_what_changes_the_cluster() {
    let cluster = cluster(|_| {});
    let mut client = cluster.client(cluster.follower());
    assert_eq!(call(&mut client, "SET a 1"), Reply::Ok);
    for request in requests() {
        let reply = call(&mut client, &request);
        if request == "RAFT status" {
            assert!(matches!(reply, Reply::Bulk(_)), "{reply:?}");
            continue;
        }
        let error = error(reply);
        let name = request
            .to_lowercase()
            .split(' ')
            .take(2)
            .collect::<Vec<_>>()
            .join("|");
        assert!(
            error.starts_with("NOPERM User default has no permissions"),
            "{request}: {error}"
        );
        for part in [&*format!("'{name}'"), "AUTH admin", "admin-password"] {
            assert!(error.contains(part), "{request}: no {part} in {error}");
        }
    }
    assert_eq!(call(&mut client, "MULTI"), Reply::Ok);
    assert!(error(call(&mut client, "RAFT SNAPSHOT")).starts_with("NOPERM"));
    assert!(error(call(&mut client, "EXEC")).starts_with("EXECABORT"));
    client.call(&[b"AUTH", b"admin", ADMIN.as_bytes()]).unwrap();
    assert_eq!(call(&mut client, "RAFT SNAPSHOT"), Reply::Ok);
    // A server that does not lead forwards it.
    assert!(error(call(&mut client, "RAFT PROMOTE 9")).contains("no member"));
    assert_eq!(call(&mut client, "GET a"), cluster::bulk("1"));
    for back in ["RESET", "AUTH default any"] {
        client
            .call(&[b"HELLO", b"2", b"AUTH", b"admin", ADMIN.as_bytes()])
            .unwrap();
        assert_eq!(call(&mut client, "RAFT SNAPSHOT"), Reply::Ok);
        assert!(!matches!(call(&mut client, back), Reply::Error(_)));
        assert!(error(call(&mut client, "RAFT SNAPSHOT")).starts_with("NOPERM"));
    }
}

#[test]
fn the_password_of_clients_is_not_that_of_the_user_admin() {
    let cluster = cluster(|settings| settings.password = Some("everybody's".into()));
    let mut client = cluster.client(1);
    assert!(error(call(&mut client, "RAFT SNAPSHOT")).starts_with("NOAUTH"));
    let auth = |client: &mut raft_kv::client::Client, user: &[u8], password: &str| {
        let begun = Instant::now();
        let outcome = client.call(&[b"AUTH", user, password.as_bytes()]);
        (outcome.map_err(|error| error.to_string()), begun.elapsed())
    };
    for (user, password) in [
        ("admin", "everybody's"),
        ("default", ADMIN),
        ("root", ADMIN),
    ] {
        let (outcome, took) = auth(&mut client, user.as_bytes(), password);
        assert!(outcome.unwrap_err().contains("WRONGPASS"), "{user}");
        assert!(took >= Duration::from_millis(100), "{user}: {took:?}");
    }
    assert!(error(call(&mut client, "GET a")).starts_with("NOAUTH"));
    auth(&mut client, b"default", "everybody's").0.unwrap();
    assert!(error(call(&mut client, "RAFT SNAPSHOT")).starts_with("NOPERM"));
    // The user admin may also read and write.
    let access = Access {
        admin_password: Some(Secret(ADMIN.into())),
        ..Access::new()
    };
    let mut admin = access.connect(cluster.address(2)).unwrap();
    assert_eq!(call(&mut admin, "SET a 1"), Reply::Ok);
    assert_eq!(call(&mut admin, "RAFT SNAPSHOT"), Reply::Ok);
}

#[test]
fn without_a_password_of_its_own_there_is_no_user_admin_and_everybody_may() {
    let cluster = Cluster::new();
    let mut client = cluster.client(1);
    assert_eq!(call(&mut client, "RAFT SNAPSHOT"), Reply::Ok);
    assert!(error(call(&mut client, "AUTH admin any")).starts_with("WRONGPASS"));
}
