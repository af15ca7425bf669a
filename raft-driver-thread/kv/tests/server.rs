//! Three servers of raft-kv in this process, and clients of theirs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_kv::client::Access;
use raft_kv::config::Secret;
use raft_kv::state::Reply;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, LIMIT, bulk, call, until, until_ok};

#[test]
fn any_server_takes_writes_and_every_other_reads_them_at_once() {
    let cluster = Cluster::new();
    let mut clients: Vec<_> = (1..=3).map(|node| cluster.client(node)).collect();
    for round in 1..=10 {
        for writer in 0..3 {
            let count = Reply::Integer((round - 1) * 3 + writer as i64 + 1);
            assert_eq!(call(&mut clients[writer], "INCR n"), count);
            let Reply::Integer(count) = count else {
                unreachable!()
            };
            for reader in &mut clients {
                assert_eq!(call(reader, "GET n"), Reply::text(count.to_string()));
            }
        }
    }
}

#[test]
fn a_server_that_does_not_lead_transfers_leadership_and_names_the_new_leader() {
    // So long that a server which gets no processor time starts no election: leadership changes
    // only by the transfers.
    let cluster = Cluster::with(|settings| settings.election_timeout = Duration::from_secs(4));
    for _ in 0..10 {
        until_ok("the new leader is named", || {
            let before = cluster.leader();
            let mut client = cluster.client(before % 3 + 1);
            // The leader has heard from another voter by then, which can take over.
            assert_eq!(call(&mut client, "SET a 1"), Reply::Ok);
            let reply = call(&mut client, "RAFT TRANSFER");
            if let Reply::Integer(after) = reply {
                assert_ne!(after as u64, before);
                return Ok(());
            }
            // The reply of the former leader was late, or the next one did not take over in time.
            Err(format!("{reply:?}"))
        });
    }
}

#[test]
fn a_write_during_a_failover_waits_and_runs_once() {
    let mut cluster = Cluster::new();
    let leader = cluster.leader();
    let follower = cluster.follower();
    let mut client = cluster.client(follower);
    assert_eq!(call(&mut client, "INCR n"), Reply::Integer(1));
    cluster.kill(leader);
    assert_eq!(call(&mut client, "INCR n"), Reply::Integer(2));
    cluster.start(leader);
    assert_eq!(call(&mut cluster.client(leader), "GET n"), bulk("2"));
}

#[test]
fn nothing_is_lost_when_all_servers_are_killed_at_once() {
    let mut cluster = Cluster::new();
    let mut client = cluster.client(1);
    for n in 1..=20 {
        assert_eq!(call(&mut client, "INCR n"), Reply::Integer(n));
    }
    (1..=3).for_each(|node| cluster.kill(node));
    (1..=3).for_each(|node| cluster.start(node));
    assert_eq!(call(&mut cluster.client(2), "GET n"), bulk("20"));
}

#[test]
fn a_pipeline_is_answered_in_order_and_sees_its_own_writes() {
    let cluster = Cluster::new();
    for node in 1..=3 {
        let mut stream = TcpStream::connect(cluster.address(node)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let requests =
            "SET a 1\r\nGET a\r\nNONSENSE\r\nINCR a\r\nGET a\r\nPING\r\nDEL a\r\nGET a\r\n";
        stream.write_all(requests.as_bytes()).unwrap();
        let wanted = "+OK\r\n$1\r\n1\r\n-ERR unknown command 'NONSENSE', with args beginning with: \r\n\
                      :2\r\n$1\r\n2\r\n+PONG\r\n:1\r\n$-1\r\n";
        let mut answer = vec![0; wanted.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), wanted);
    }
}

#[test]
fn a_transaction_runs_as_a_whole_or_not_at_all() {
    let cluster = Cluster::new();
    let mut client = cluster.client(cluster.follower());
    assert_eq!(call(&mut client, "MULTI"), Reply::Ok);
    assert_eq!(call(&mut client, "INCR a"), Reply::Simple("QUEUED".into()));
    assert_eq!(call(&mut client, "GET a"), Reply::Simple("QUEUED".into()));
    let both = Reply::Array(vec![Reply::Integer(1), bulk("1")]);
    assert_eq!(call(&mut client, "EXEC"), both);
    assert_eq!(call(&mut client, "MULTI"), Reply::Ok);
    assert_eq!(call(&mut client, "INCR a"), Reply::Simple("QUEUED".into()));
    assert!(matches!(call(&mut client, "SET a"), Reply::Error(_)));
    let Reply::Error(error) = call(&mut client, "EXEC") else {
        panic!("a broken transaction was run");
    };
    assert!(error.starts_with("EXECABORT"), "{error}");
    assert_eq!(call(&mut client, "GET a"), bulk("1"));
}

#[test]
fn a_request_of_a_session_that_is_repeated_at_another_server_runs_once() {
    let cluster = Cluster::new();
    let (mut one, mut other) = (cluster.client(1), cluster.client(2));
    let Reply::Integer(session) = call(&mut one, "SESSION OPEN") else {
        panic!("no session");
    };
    let first = format!("ONCE {session} 1 INCR n");
    assert_eq!(call(&mut one, &first), Reply::Integer(1));
    assert_eq!(call(&mut other, &first), Reply::Integer(1));
    let second = format!("ONCE {session} 2 INCR n");
    assert_eq!(call(&mut other, &second), Reply::Integer(2));
    let Reply::Error(error) = call(&mut one, &first) else {
        panic!("an earlier request of the session was answered");
    };
    assert!(error.starts_with("FORGOTTEN"), "{error}");
    let Reply::Error(error) = call(&mut one, "ONCE 999999 1 INCR n") else {
        panic!("a session that does not exist ran a command");
    };
    assert!(error.starts_with("NOSESSION"), "{error}");
    assert_eq!(call(&mut one, "GET n"), bulk("2"));
}

#[test]
fn keys_expire_in_an_idle_cluster() {
    let cluster = Cluster::new();
    let mut client = cluster.client(cluster.follower());
    assert_eq!(call(&mut client, "SET a 1 PX 200"), Reply::Ok);
    call(&mut client, "GET a"); // Afterwards this server has the key, or it has expired already.
    // Only the time that the leader proposes removes the key from the state.
    until("the key to be removed", || {
        (client.status().unwrap().keys == 0).then_some(())
    });
}

#[test]
fn without_the_password_every_command_is_refused() {
    let password = "open sesame";
    let cluster = Cluster::with(|settings| settings.password = Some(password.into()));
    let mut access = Access::new();
    let refused = |reply: Reply, code: &str| {
        let Reply::Error(error) = reply else {
            panic!("{reply:?}");
        };
        assert!(error.starts_with(code), "{error}");
    };
    let mut client = access.connect(cluster.address(1)).unwrap();
    refused(call(&mut client, "GET a"), "NOAUTH");
    refused(call(&mut client, "RAFT STATUS"), "NOAUTH");
    refused(call(&mut client, "AUTH wrong"), "WRONGPASS");
    access.password = Some(Secret(password.into()));
    for node in 1..=3 {
        let mut client = access.connect(cluster.address(node)).unwrap();
        assert_eq!(call(&mut client, "SET a 1"), Reply::Ok);
    }
}

#[test]
fn a_client_that_breaks_the_protocol_does_not_disturb_others() {
    let cluster = Cluster::new();
    let mut client = cluster.client(1);
    assert_eq!(call(&mut client, "SET a 1"), Reply::Ok);
    for nonsense in [
        "*1000000000\r\n",
        "*1\r\n$99999999999\r\n",
        "*1\r\n:5\r\n",
        "\"a\r\n",
    ] {
        let mut stream = TcpStream::connect(cluster.address(1)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(nonsense.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap(); // To the end: the server closes the connection.
        assert!(
            answer.starts_with("-ERR Protocol error"),
            "{nonsense:?}: {answer:?}"
        );
        assert_eq!(call(&mut client, "GET a"), bulk("1"));
    }
}

#[test]
fn a_client_beyond_the_limit_is_refused() {
    let cluster = Cluster::with(|settings| settings.max_connections = 8);
    let mut held = Vec::new();
    let refused = loop {
        let mut stream = TcpStream::connect(cluster.address(1)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(b"PING\r\n").unwrap();
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).unwrap();
        if &answer != b"+PONG\r\n" {
            break answer;
        }
        held.push(stream);
        assert!(
            held.len() <= 8,
            "more clients were accepted than are allowed"
        );
    };
    assert_eq!(&refused, b"-ERR ma");
}

#[test]
fn a_stale_read_needs_no_majority() {
    let mut cluster = Cluster::with(|settings| {
        settings.request_timeout = Duration::from_millis(500);
    });
    let follower = cluster.follower();
    let mut client = cluster.client(follower);
    for (request, reply) in [("SET a 1", Reply::Ok), ("GET a", bulk("1"))] {
        until("a majority", || {
            (call(&mut client, request) == reply).then_some(())
        });
    }
    for node in 1..=3 {
        if node != follower {
            cluster.kill(node);
        }
    }
    assert_eq!(call(&mut client, "READONLY"), Reply::Ok);
    assert_eq!(call(&mut client, "GET a"), bulk("1"));
    assert_eq!(call(&mut client, "READWRITE"), Reply::Ok);
    // If it leads by now, its lease ends soon.
    until_ok("other reads to be refused", || {
        let reply = call(&mut client, "GET a");
        let is_refused = matches!(&reply, Reply::Error(it) if it.starts_with("CLUSTERDOWN"));
        if is_refused {
            Ok(())
        } else {
            Err(format!("{reply:?}"))
        }
    });
    assert_eq!(call(&mut client, "READONLY"), Reply::Ok);
    assert_eq!(call(&mut client, "GET a"), bulk("1"));
}

#[test]
fn a_read_does_not_wait_for_the_core_to_be_woken_by_something_else() {
    let cluster = Cluster::with(|settings| {
        settings.heartbeat_interval = Duration::from_millis(500);
        settings.election_timeout = Duration::from_secs(2);
    });
    let mut client = cluster.client(cluster.leader());
    assert_eq!(call(&mut client, "SET a 1"), Reply::Ok);
    // Other tasks wake it every 50 ms on average: such reads would always take 10 s. On a busy
    // machine others may take long now and then.
    until_ok("200 reads in less than 5 s", || {
        let begin = Instant::now();
        for _ in 0..200 {
            assert_eq!(call(&mut client, "GET a"), bulk("1"));
        }
        let took = begin.elapsed();
        let is_soon = took < Duration::from_secs(5);
        if is_soon {
            Ok(())
        } else {
            Err(format!("{took:?}"))
        }
    });
}

fn page(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_metrics_page_follows_the_conventions_of_prometheus() {
    let cluster = Cluster::with(|settings| settings.http = Some("127.0.0.1:0".into()));
    assert_eq!(call(&mut cluster.client(1), "SET a 1"), Reply::Ok);
    let server = cluster.servers[0].as_ref().unwrap();
    let lines = [
        "# TYPE raft_kv_connections gauge",
        "# TYPE raft_kv_commands_total counter",
        "raft_kv_rejected_connections_total{node=\"n1\"} 0",
        "# TYPE raft_sync_duration_seconds histogram",
        "# TYPE raft_sync_writes histogram",
    ];
    // A sync may be measured a moment after its write was answered.
    let page = until_ok("all metrics", || {
        let page = page(server.http_address().unwrap(), "/metrics");
        let missing = lines.iter().find(|line| !page.contains(**line));
        match missing {
            None => Ok(page),
            Some(line) => Err(format!("no {line:?} in {page}")),
        }
    });
    assert!(!page.contains(" summary"), "{page}");
}

#[test]
fn after_select_of_another_database_no_command_works_on_the_keys_of_this_one() {
    let cluster = Cluster::new();
    let mut client = cluster.client(1);
    assert_eq!(call(&mut client, "SET a 1"), Reply::Ok);
    let error = Reply::Error("ERR DB index is out of range".into());
    assert_eq!(call(&mut client, "SELECT 3"), error);
    for command in ["GET a", "SET a 2", "FLUSHDB", "ONCE 1 1 SET a 2"] {
        let refused = call(&mut client, command);
        assert!(matches!(&refused, Reply::Error(error) if error.contains("no database 3")));
    }
    assert_eq!(call(&mut client, "PING"), Reply::Simple("PONG".into()));
    assert_eq!(call(&mut client, "SELECT 0"), Reply::Ok);
    assert_eq!(call(&mut client, "GET a"), bulk("1"));
}

#[test]
fn a_transaction_queues_what_redis_queues_and_finds_errors_when_redis_finds_them() {
    let cluster = Cluster::new();
    let mut client = cluster.client(2);
    let queued = || Reply::Simple("QUEUED".into());
    assert_eq!(call(&mut client, "MULTI"), Reply::Ok);
    for command in [
        "PING",
        "SET a x EX nonsense",
        "ECHO e",
        "INCR n",
        "SELECT 0",
        "UNWATCH",
        "GET a",
    ] {
        assert_eq!(call(&mut client, command), queued(), "{command}");
    }
    let not_a_number = "ERR value is not an integer or out of range";
    let replies = Reply::Array(vec![
        Reply::Simple("PONG".into()),
        Reply::Error(not_a_number.into()),
        bulk("e"),
        Reply::Integer(1),
        Reply::Ok,
        Reply::Ok,
        Reply::Nil,
    ]);
    assert_eq!(call(&mut client, "EXEC"), replies);
    // What cannot be queued ends the transaction without running anything.
    for broken in ["NOSUCH x", "GET", "CLIENT FOO"] {
        assert_eq!(call(&mut client, "MULTI"), Reply::Ok);
        assert_eq!(call(&mut client, "INCR n"), queued());
        assert!(
            matches!(call(&mut client, broken), Reply::Error(_)),
            "{broken}"
        );
        let aborted = call(&mut client, "EXEC");
        assert!(matches!(&aborted, Reply::Error(error) if error.starts_with("EXECABORT")));
    }
    assert_eq!(call(&mut client, "MULTI"), Reply::Ok);
    let refused = call(&mut client, "EXEC x");
    assert!(matches!(&refused, Reply::Error(error) if error.starts_with("EXECABORT")));
    // That ended it.
    assert_eq!(call(&mut client, "GET n"), bulk("1"));
}
