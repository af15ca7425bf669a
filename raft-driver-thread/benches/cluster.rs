//! Three nodes on loopback TCP with disks, every acknowledged write synced: proposals a second and
//! their latencies, beside those of a lone `fdatasync` and of a loopback round trip.
//!
//! `cargo bench -p raft-driver-thread --bench cluster [seconds]`
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use raft_driver_thread::raft_proto::{ClusterId, Config, Member, NodeId, RoleKind, Start};
use raft_driver_thread::storage::disk::DiskStorage;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use raft_driver_thread::{Commands, Node, Options, StateMachine};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

const PAYLOAD: usize = 256;

/// Counts commands: the cost of a service is not what is measured.
#[derive(Default)]
struct Counter(u64);

impl StateMachine for Counter {
    type Answer = u64;
    type Snapshot = u64;

    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<u64>) {
        for _ in commands {
            self.0 += 1;
            answers.push(self.0);
        }
    }

    fn snapshot(&mut self) -> u64 {
        self.0
    }

    fn write_snapshot(count: u64, writer: &mut dyn Write) -> io::Result<()> {
        writer.write_all(&count.to_le_bytes())
    }

    fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        reader.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

fn nodes(folder: &Path) -> Vec<Node<Counter>> {
    let ids = 1..=3;
    let plain = || TcpOptions::new(Security::PlaintextUnauthenticated);
    let transports: Vec<_> = ids
        .clone()
        .map(|_| TcpTransport::bind("127.0.0.1:0", plain()).unwrap())
        .collect();
    let members: Vec<Member> = (1..)
        .zip(&transports)
        .map(|(id, transport)| {
            Member::voter(NodeId(id)).with_context(transport.local_address().to_string())
        })
        .collect();
    let nodes = ids.zip(transports).map(|(id, transport)| {
        let start = Start::Bootstrap {
            members: members.clone(),
        };
        let config = Config::new(ClusterId(1), NodeId(id), start, id);
        let storage = DiskStorage::open(folder.join(id.to_string())).unwrap();
        let options = Options::new(config);
        Node::start(options, storage, transport, Counter::default()).unwrap()
    });
    nodes.collect()
}

fn leader(nodes: &[Node<Counter>]) -> &Node<Counter> {
    loop {
        let leads = |node: &&Node<Counter>| node.state().role == RoleKind::Leader;
        if let Some(node) = nodes.iter().find(leads) {
            // What it applies it leads with.
            if node
                .execute(vec![0; PAYLOAD], Duration::from_secs(1))
                .is_ok()
            {
                return node;
            }
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Keeps `window` proposals outstanding; the latencies of all, sorted, and the rate.
fn measure(node: &Node<Counter>, window: usize, time: Duration) -> (Vec<Duration>, f64) {
    let payload = bytes::Bytes::from(vec![7; PAYLOAD]);
    let mut outstanding = VecDeque::new();
    let mut latencies = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < time {
        while outstanding.len() < window {
            outstanding.push_back((Instant::now(), node.submit(payload.clone())));
        }
        while let Some((since, ticket)) = outstanding.pop_front() {
            ticket.wait().unwrap();
            latencies.push(since.elapsed());
            let ended = |(_, ticket): &(_, raft_driver_thread::Proposed<u64>)| ticket.is_ended();
            if !outstanding.front().is_some_and(ended) {
                break;
            }
        }
    }
    let rate = latencies.len() as f64 / begin.elapsed().as_secs_f64();
    latencies.sort_unstable();
    (latencies, rate)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Overwrites a preallocated file and syncs, one entry at a time.
fn lone_sync(folder: &Path) -> Duration {
    let mut file = File::create(folder.join("raw")).unwrap();
    file.write_all(&vec![0; 1 << 20]).unwrap();
    file.sync_all().unwrap();
    file.rewind().unwrap();
    let sync = |_| {
        let begin = Instant::now();
        file.write_all(&[7; PAYLOAD]).unwrap();
        file.sync_data().unwrap();
        begin.elapsed()
    };
    median((0..1000).map(sync).collect())
}

fn round_trip() -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut bytes = [0; PAYLOAD];
        while stream.read_exact(&mut bytes).is_ok() {
            stream.write_all(&bytes).unwrap();
        }
    });
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut bytes = [0; PAYLOAD];
    let trip = |_| {
        let begin = Instant::now();
        stream.write_all(&bytes).unwrap();
        stream.read_exact(&mut bytes).unwrap();
        begin.elapsed()
    };
    let times = (0..5000).map(trip).collect();
    drop(stream);
    echo.join().unwrap();
    median(times)
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(5));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = target.join(format!("cluster-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let nodes = nodes(&folder);
    let leader = leader(&nodes);
    println!("three nodes, loopback TCP, disks, synced; entries of {PAYLOAD} bytes");
    println!(
        "{:>12} {:>14} {:>10} {:>10}",
        "outstanding", "proposals/s", "p50 us", "p99 us"
    );
    let mut ratios = Vec::new();
    for window in [1, 64, 1024] {
        let raw = (lone_sync(&folder), round_trip());
        let (latencies, rate) = measure(leader, window, time);
        let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
        let (p50, p99) = (at(50), at(99));
        println!(
            "{window:>12} {rate:>14.0} {:>10} {:>10}",
            p50.as_micros(),
            p99.as_micros()
        );
        ratios.push((p50, raw));
    }
    let (p50, (sync, trip)) = ratios[0];
    let ratio = p50.as_secs_f64() / (sync + trip).as_secs_f64();
    println!(
        "a lone fdatasync {} us, a round trip {} us: one outstanding takes {ratio:.2} of their sum",
        sync.as_micros(),
        trip.as_micros()
    );
    println!("resident memory {} MiB", resident() >> 20);
    drop(nodes);
    fs::remove_dir_all(&folder).unwrap();
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
