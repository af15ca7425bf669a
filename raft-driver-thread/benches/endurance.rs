//! The resources of three nodes on loopback TCP with disks: the processor while they are idle, the
//! bytes of a heartbeat, and memory and disk while gigabytes are written.
//!
//! `cargo bench -p raft-driver-thread --bench endurance [gigabytes]`
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::wildcard_enum_match_arm)] // Two actions of many matter.

mod support;

use raft_driver_thread::Node;
use raft_driver_thread::raft_proto::wire::{self, Envelope};
use raft_driver_thread::raft_proto::{
    Action, ClusterId, Config, Event, Input, Message, NodeId, Raft, Recovered, Start, Time,
};
use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{Counter, PAYLOAD, leader, nodes, resident};

const OUTSTANDING: usize = 1024;

const NODE: NodeId = NodeId(1);
const PEER: NodeId = NodeId(2);

/// User and system time of this process so far.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    // Linux counts in hundredths of a second.
    let ticks: u64 = ticks.filter_map(|it| it.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn idle(nodes: &[Node<Counter>]) {
    let time = Duration::from_secs(10);
    let (begin, used) = (Instant::now(), cpu_time());
    while begin.elapsed() < time {
        std::thread::park_timeout(time - begin.elapsed().min(time));
    }
    let used = (cpu_time() - used).as_secs_f64() / begin.elapsed().as_secs_f64();
    let count = nodes.len();
    println!(
        "idle for {time:?}: {count} nodes together {:.2} % of a core",
        used * 100.0
    );
}

fn core(id: NodeId) -> Raft {
    let start = Start::voters((1..=3).map(NodeId));
    let config = Config::new(ClusterId(1), id, start, id.0);
    Raft::new(config, Recovered::default()).unwrap()
}

/// Gives a core an input; what it writes is durable at once. Returns the messages that it sends to
/// `peer`.
fn step(raft: &mut Raft, at: Time, input: Input, peer: NodeId) -> Vec<Message> {
    let mut inputs = VecDeque::from([input]);
    let mut sent = Vec::new();
    while let Some(input) = inputs.pop_front() {
        for action in raft.step(Event { at, input }) {
            match action {
                Action::Persist(write) => inputs.push_back(Input::Persisted { seq: write.seq }),
                Action::Send { to, message } if to == peer => sent.push(message),
                _ => {}
            }
        }
    }
    sent
}

/// The length of a heartbeat's frame.
fn heartbeat() {
    let (mut node, mut peer) = (core(NODE), core(PEER));
    let mut last_append = None;
    // The node elects itself with the help of its peer; what it sends last is a heartbeat.
    for tick in 1..=500 {
        let at = Time(tick * 10_000_000);
        let mut sent = VecDeque::from(step(&mut node, at, Input::Tick, PEER));
        while let Some(message) = sent.pop_front() {
            if matches!(message, Message::AppendEntries(_)) {
                last_append = Some(message.clone());
            }
            let from = NODE;
            for message in step(
                &mut peer,
                at,
                Input::Receive {
                    from,
                    message,
                    incarnation: None,
                },
                NODE,
            ) {
                let from = PEER;
                sent.extend(step(
                    &mut node,
                    at,
                    Input::Receive {
                        from,
                        message,
                        incarnation: None,
                    },
                    PEER,
                ));
            }
        }
    }
    let envelope = Envelope::new(node.config(), PEER);
    let frame = wire::encode(&envelope, &last_append.unwrap());
    println!("a heartbeat: a frame of {} bytes", frame.len());
}

/// The bytes that are allocated on the disk for the files of a directory.
fn bytes_in(dir: &Path) -> u64 {
    let Ok(inside) = fs::read_dir(dir) else {
        return 0; // Deleted meanwhile.
    };
    let sizes = inside.flatten().map(|file| match file.metadata() {
        Ok(data) if data.is_dir() => bytes_in(&file.path()),
        Ok(data) => {
            use std::os::unix::fs::MetadataExt;
            data.blocks() * 512
        }
        Err(_) => 0,
    });
    sizes.sum()
}

/// Writes so many gigabytes, and shows memory and disk ten times meanwhile.
fn endure(node: &Node<Counter>, data_dir: &Path, gigabytes: u64) {
    let payload = bytes::Bytes::from(vec![7; PAYLOAD]);
    let total = gigabytes << 30;
    let (mut written, mut show_at) = (0, 0);
    let mut outstanding = VecDeque::new();
    println!(
        "{:>12} {:>12} {:>12}",
        "written MiB", "memory MiB", "disks MiB"
    );
    while written < total {
        while outstanding.len() < OUTSTANDING {
            outstanding.push_back(node.submit(payload.clone()));
            written += PAYLOAD as u64;
        }
        outstanding.pop_front().map(|ticket| ticket.wait().unwrap());
        if written >= show_at {
            let disks = bytes_in(data_dir) >> 20;
            println!("{:>12} {:>12} {disks:>12}", written >> 20, resident() >> 20);
            show_at += total / 10;
        }
    }
}

fn main() {
    let gigabytes = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let data_dir = support::data_dir("endurance");
    heartbeat();
    let nodes = nodes(&data_dir);
    let leader = leader(&nodes);
    idle(&nodes);
    endure(leader, &data_dir, gigabytes.unwrap_or(1));
    drop(nodes);
    fs::remove_dir_all(&data_dir).unwrap();
}
