//! How much memory a key takes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use bytes::Bytes;
use raft_kv::state::{Command, Machine, Operation, Payload};

const KEYS: usize = 250_000;

/// The memory of this process that is not paged out, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() << 10
}

#[test]
fn a_key_of_16_bytes_with_a_value_of_100_takes_260_bytes_at_most() {
    let mut machine = Machine::new();
    let before = resident();
    for entry in 0..KEYS / 100 {
        let pair = |key: usize| {
            let name = format!("key:{:012}", entry * 100 + key);
            (Bytes::from(name), Bytes::from(vec![b'v'; 100]))
        };
        let payload = Payload {
            unix_millis: 1_700_000_000_000,
            operation: Operation::Commands {
                origin: None,
                commands: vec![Command::SetMany((0..100).map(pair).collect())],
            },
        };
        machine.apply_one(entry as u64 + 1, &payload.encode());
    }
    let written = (resident() - before) / KEYS;
    // A value that was read once does not take more from then on.
    for key in 0..KEYS {
        let name = Bytes::from(format!("key:{key:012}"));
        machine.query(&Command::Get(name));
    }
    let read = (resident() - before) / KEYS;
    println!("{written} bytes a key, {read} once all were read");
    assert_eq!(machine.key_count(), KEYS as u64);
    assert!(written <= 260 && read <= 260, "{written}, {read}");
}
