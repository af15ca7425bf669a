//! What one client does to all keys does not keep others waiting.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_driver_thread::StateMachine;
use raft_kv::client::Access;
use raft_kv::state::{Command, Disposal, Machine, Operation, Payload, Reply};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

#[path = "support/cluster.rs"]
mod cluster;

#[path = "support/state.rs"]
mod state;

use cluster::{Cluster, call, until_ok};
use state::{b, snapshot};

/// How long another client waited for its reads while a command ran.
#[derive(Debug)]
struct Waits {
    command: Duration,
    longest: Duration,
    count: u32,
}

impl Waits {
    fn print(&self, name: &str) {
        let Waits {
            command,
            longest,
            count,
        } = self;
        println!("{name}: {command:?}; {count} reads beside it, the longest {longest:?}");
    }
}

/// Runs a command while another client reads.
fn while_reading(address: &str, command: &[&[u8]]) -> (Reply, Waits) {
    let access = Access {
        timeout: cluster::LIMIT,
        ..Access::new()
    };
    let mut reader = access.connect(address).unwrap();
    let (is_over, mut longest, mut count) = (AtomicBool::new(false), Duration::ZERO, 0);
    let (reply, command) = std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let mut client = access.connect(address).unwrap();
            let begun = Instant::now();
            let reply = client.call(command);
            is_over.store(true, Ordering::Release);
            (reply.unwrap(), begun.elapsed())
        });
        while !is_over.load(Ordering::Acquire) {
            let asked = Instant::now();
            let reply = call(&mut reader, "GET other");
            assert!(!matches!(reply, Reply::Error(_)), "{reply:?}");
            (longest, count) = (longest.max(asked.elapsed()), count + 1);
        }
        running.join().unwrap()
    });
    let waits = Waits {
        command,
        longest,
        count,
    };
    (reply, waits)
}

#[test]
fn other_clients_are_served_while_keys_or_a_long_scan_is_under_way() {
    // To compare these takes time by the product of their lengths.
    let pattern = [b"*", &[b'a'; 8 << 10][..], b"b*"].concat();
    let name = [b'a'; 64 << 10];
    let cluster = Cluster::new();
    for node in [cluster.leader(), cluster.follower()] {
        let mut client = cluster.client(node);
        for key in b"0123" {
            let name = [&name[..], &[*key]].concat();
            assert_eq!(client.call(&[b"SET", &name, b"1"]).unwrap(), Reply::Ok);
        }
        assert_eq!(call(&mut client, "SET other 1"), Reply::Ok);
        // A read that had to wait for the command would always take as long. On a busy machine
        // another may, now and then.
        let serves_others = |command: &[&[u8]], wanted: &Reply| {
            until_ok("others are served", || {
                let (reply, waits) = while_reading(cluster.address(node), command);
                assert_eq!(reply, *wanted);
                let is_soon = waits.longest < waits.command / 4;
                if is_soon {
                    Ok(())
                } else {
                    Err(format!("{waits:?}"))
                }
            });
        };
        let none = Reply::Array(Vec::new());
        serves_others(&[b"KEYS", &pattern], &none);
        let scan = [&b"SCAN"[..], b"0", b"COUNT", b"5000", b"MATCH", &pattern];
        serves_others(&scan, &Reply::Array(vec![Reply::text("0"), none]));
    }
}

#[test]
fn keys_in_a_pipeline_or_a_transaction_sees_the_writes_before_it_and_none_after_it() {
    let cluster = Cluster::new();
    let mut client = cluster.client(cluster.follower());
    let wanted = |names: &[&'static str]| {
        Reply::Array(names.iter().map(|name| cluster::bulk(name)).collect())
    };
    assert_eq!(call(&mut client, "SET a 1"), Reply::Ok);
    assert_eq!(call(&mut client, "KEYS *"), wanted(&["a"]));
    for line in ["MULTI", "GET a", "KEYS *", "DBSIZE"] {
        assert!(!matches!(call(&mut client, line), Reply::Error(_)));
    }
    let reads = Reply::Array(vec![cluster::bulk("1"), wanted(&["a"]), Reply::Integer(1)]);
    assert_eq!(call(&mut client, "EXEC"), reads);
    for line in ["MULTI", "DEL a", "KEYS *", "SET b 1"] {
        assert!(!matches!(call(&mut client, line), Reply::Error(_)));
    }
    let both = Reply::Array(vec![Reply::Integer(1), wanted(&[]), Reply::Ok]);
    assert_eq!(call(&mut client, "EXEC"), both);
    let pipeline = b"SET a 1\r\nDEL b\r\nKEYS *\r\nDEL a\r\nKEYS *\r\n";
    let answers = b"+OK\r\n:1\r\n*1\r\n$1\r\na\r\n:1\r\n*0\r\n";
    assert_eq!(cluster.pipeline(1, pipeline, answers.len()), answers);
}

/// Applies an operation as the entry at `index`.
fn apply(machine: &mut Machine, index: u64, operation: Operation) {
    let unix_millis = 1_700_000_000_000;
    let payload = Payload {
        unix_millis,
        operation,
    };
    machine.apply_one(index, &payload.encode());
}

fn commands(commands: Vec<Command>) -> Operation {
    let origin = None;
    Operation::Commands { origin, commands }
}

#[test]
fn what_a_flush_or_a_restore_removes_is_handed_over_instead_of_freed() {
    let (sender, removed) = mpsc::channel();
    let disposal = Disposal::new(move |removed| sender.send(removed).unwrap());
    let mut machine = Machine::new().with_disposal(disposal);
    let pairs = |count: u32| {
        (0..count)
            .map(|key| (b(&key.to_string()), b("1")))
            .collect()
    };
    let fill = |count| commands(vec![Command::SetMany(pairs(count))]);
    let taken = || -> Vec<u64> { removed.try_iter().map(|it| it.key_count()).collect() };
    apply(&mut machine, 1, fill(1000));
    let held = snapshot(&mut machine);
    apply(&mut machine, 2, commands(vec![Command::Flush]));
    assert_eq!((machine.key_count(), machine.used_bytes()), (0, 0));
    assert_eq!(taken(), [1000]);
    apply(&mut machine, 3, fill(10));
    machine.restore(&mut &*held).unwrap();
    assert_eq!((machine.key_count(), taken()), (1000, vec![10]));
    apply(&mut machine, 4, commands(vec![Command::Flush]));
    assert_eq!((machine.key_count(), taken()), (0, vec![1000]));
    assert_eq!(machine.digest(), {
        let mut fresh = Machine::new();
        apply(&mut fresh, 1, commands(vec![Command::Flush]));
        fresh.digest()
    });
}

#[test]
fn what_waits_to_be_freed_is_bounded() {
    let (sender, removed) = mpsc::channel();
    // Three keys count for 303 bytes each, with their names and values.
    let disposal = Disposal::within(1000, move |removed| sender.send(removed).unwrap());
    let mut machine = Machine::new().with_disposal(disposal);
    let mut index = 0;
    let mut flush = |keys: u32| {
        let pairs = (0..keys).map(|key| (b(&format!("{key:02}")), b("1")));
        let fill = commands(vec![Command::SetMany(pairs.collect())]);
        apply(&mut machine, index + 1, fill);
        apply(&mut machine, index + 2, commands(vec![Command::Flush]));
        index += 2;
        let taken: Vec<_> = removed.try_iter().collect();
        assert_eq!(machine.key_count(), 0);
        taken
    };
    // However large it is, one may wait; what does not fit beside it is freed by the flush.
    let first = flush(10);
    assert_eq!(
        first.iter().map(|it| it.key_count()).collect::<Vec<_>>(),
        [10]
    );
    assert!(flush(1).is_empty());
    drop(first);
    let (some, more) = (flush(2), flush(1));
    assert_eq!((some.len(), more.len()), (1, 1));
    assert!(flush(1).is_empty());
    drop(more);
    assert_eq!(flush(1).len(), 1);
    // Nothing is no work.
    drop(some);
    assert!(flush(0).is_empty());
}

/// Prints the waits: `cargo test --release -p raft-kv --test stalls -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, of a minute and a gigabyte"]
fn measure_the_longest_wait_beside_two_million_keys() {
    let cluster = Cluster::single();
    let address = cluster.address(1);
    let fill = || {
        let mut client = cluster.client(1);
        let value = "v".repeat(100);
        for batch in 0..2000 {
            let keys = (batch * 1000..(batch + 1) * 1000).map(|key| format!("key:{key:012}"));
            let pairs: Vec<String> = keys.flat_map(|key| [key, value.clone()]).collect();
            let words = [&b"MSET"[..]].into_iter();
            let words: Vec<&[u8]> = words.chain(pairs.iter().map(|it| it.as_bytes())).collect();
            assert_eq!(client.call(&words).unwrap(), Reply::Ok);
        }
    };
    fill();
    let all: [&[&[u8]]; 4] = [
        &[b"PING"],
        &[b"KEYS", b"*"],
        &[b"KEYS", b"*no such key*"],
        &[b"FLUSHALL"],
    ];
    for command in all {
        let (reply, waits) = while_reading(address, command);
        let parts = if let Reply::Array(parts) = &reply {
            parts.len()
        } else {
            0
        };
        let name = String::from_utf8_lossy(&command.concat()).into_owned();
        waits.print(&format!("{name}, {parts} keys"));
    }
    // What is freed beside the commands takes processor time from them.
    let (_, waits) = while_reading(address, &[b"SET", b"a", b"1"]);
    waits.print("SET after it");
}
