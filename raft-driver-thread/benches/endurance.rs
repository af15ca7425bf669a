//! What three nodes on loopback TCP with disks cost when nothing is to be done, how long a heartbeat
//! is, and what they hold of memory and disk while gigabytes go through them.
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

/// User and system time of this process.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    // Linux counts in hundredths of a second.
    let ticks: u64 = ticks.filter_map(|it| it.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn idle(nodes: &[Node<Counter>]) {
    let time = Duration::from_secs(10);
    let (begin, used) = (Instant::now(), cpu());
    while begin.elapsed() < time {
        std::thread::park_timeout(time - begin.elapsed().min(time));
    }
    let used = (cpu() - used).as_secs_f64() / begin.elapsed().as_secs_f64();
    let count = nodes.len();
    println!(
        "idle for {time:?}: {count} nodes together {:.2} % of a core",
        used * 100.0
    );
}

/// The heartbeat of a leader of three, as it is sent: with its addresses, and without them.
fn heartbeat() {
    let start = Start::voters((1..=3).map(NodeId));
    let config = Config::new(ClusterId(1), NodeId(1), start, 1);
    let mut raft = Raft::new(config.clone(), Recovered::default()).unwrap();
    let mut inputs = VecDeque::from([Input::Tick]);
    let mut longest = None;
    let mut at = Time::ZERO;
    let peer = NodeId(2);
    let mut other = {
        let start = Start::voters((1..=3).map(NodeId));
        let config = Config::new(ClusterId(1), peer, start, 2);
        Raft::new(config, Recovered::default()).unwrap()
    };
    // The first elects itself with the second's help; what is sent last then is a heartbeat.
    while at < Time(5_000_000_000) {
        at = Time(at.0 + 10_000_000);
        inputs.push_back(Input::Tick);
        while let Some(input) = inputs.pop_front() {
            for action in raft.step(Event { at, input }) {
                match action {
                    Action::Persist(write) => inputs.push_back(Input::Persisted { seq: write.seq }),
                    Action::Send { to, message } if to == peer => {
                        if matches!(message, Message::AppendEntries(_)) {
                            longest = Some(message.clone());
                        }
                        let from = NodeId(1);
                        answer(
                            &mut other,
                            Input::Receive { from, message },
                            at,
                            &mut inputs,
                        );
                    }
                    _ => {}
                }
            }
        }
    }
    let message = longest.unwrap();
    let envelope = Envelope::new(&config, peer);
    let framed = wire::encode(&envelope, &message).len();
    println!("a heartbeat: a frame of {framed} bytes");
}

/// Gives the other node an input, and the first node its answers.
fn answer(other: &mut Raft, input: Input, at: Time, inputs: &mut VecDeque<Input>) {
    let mut own = VecDeque::from([input]);
    while let Some(input) = own.pop_front() {
        for action in other.step(Event { at, input }) {
            match action {
                Action::Persist(write) => own.push_back(Input::Persisted { seq: write.seq }),
                Action::Send {
                    to: NodeId(1),
                    message,
                } => {
                    let from = NodeId(2);
                    inputs.push_back(Input::Receive { from, message });
                }
                _ => {}
            }
        }
    }
}

fn bytes_in(folder: &Path) -> u64 {
    let Ok(inside) = fs::read_dir(folder) else {
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

fn endure(node: &Node<Counter>, folder: &Path, gigabytes: u64) {
    let payload = bytes::Bytes::from(vec![7; PAYLOAD]);
    let total = gigabytes << 30;
    let (mut written, mut shown) = (0, 0);
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
        if written >= shown {
            let disks = bytes_in(folder) >> 20;
            println!("{:>12} {:>12} {disks:>12}", written >> 20, resident() >> 20);
            shown += total / 10;
        }
    }
}

fn main() {
    let gigabytes = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = target.join(format!("endurance-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    heartbeat();
    let nodes = nodes(&folder);
    let leader = leader(&nodes);
    idle(&nodes);
    endure(leader, &folder, gigabytes.unwrap_or(1));
    drop(nodes);
    fs::remove_dir_all(&folder).unwrap();
}
