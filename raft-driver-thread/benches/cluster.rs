//! Three nodes on loopback TCP with disks, every acknowledged write synced: proposals per second
//! and their latencies, compared with the latencies of a single `fdatasync` and of a loopback round
//! trip.
//!
//! `cargo bench -p raft-driver-thread --bench cluster [seconds]`
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::{Node, Proposed};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use support::{Counter, PAYLOAD, leader, nodes, resident};

struct Measured {
    /// Of all proposals, sorted.
    latencies: Vec<Duration>,
    per_second: f64,
}

impl Measured {
    fn percentile(&self, percent: usize) -> Duration {
        self.latencies[(self.latencies.len() - 1) * percent / 100]
    }
}

/// Keeps `window` proposals outstanding.
fn measure(node: &Node<Counter>, window: usize, time: Duration) -> Measured {
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
            let is_ended = |(_, ticket): &(_, Proposed<u64>)| ticket.is_ended();
            if !outstanding.front().is_some_and(is_ended) {
                break;
            }
        }
    }
    let per_second = latencies.len() as f64 / begin.elapsed().as_secs_f64();
    latencies.sort_unstable();
    Measured {
        latencies,
        per_second,
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Overwrites a preallocated file and syncs, one entry at a time.
fn single_sync(data_dir: &Path) -> Duration {
    let mut file = File::create(data_dir.join("raw")).unwrap();
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

/// One proposal at a time compared with a single sync and a round trip, in nine rounds of each in
/// turn.
fn compare(leader: &Node<Counter>, data_dir: &Path, time: Duration) {
    let (mut syncs, mut trips, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..9 {
        syncs.push(single_sync(data_dir));
        trips.push(round_trip());
        latencies.push(measure(leader, 1, time).percentile(50));
    }
    let (sync, trip, latency) = (median(syncs), median(trips), median(latencies));
    let ratio = latency.as_secs_f64() / (sync + trip).as_secs_f64();
    println!(
        "medians of nine rounds: one proposal at a time {} us, a single fdatasync {} us, \
         a round trip {} us; the first is {ratio:.2} times the sum of the others",
        latency.as_micros(),
        sync.as_micros(),
        trip.as_micros()
    );
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(5));
    let data_dir = support::data_dir("cluster");
    let nodes = nodes(&data_dir);
    let leader = leader(&nodes);
    println!("three nodes, loopback TCP, disks, synced; entries of {PAYLOAD} bytes");
    println!(
        "{:>12} {:>14} {:>10} {:>10}",
        "outstanding", "proposals/s", "p50 us", "p99 us"
    );
    for window in [1, 64, 1024] {
        let measured = measure(leader, window, time);
        let per_second = measured.per_second;
        let p50 = measured.percentile(50).as_micros();
        let p99 = measured.percentile(99).as_micros();
        println!("{window:>12} {per_second:>14.0} {p50:>10} {p99:>10}");
    }
    compare(leader, &data_dir, time / 5);
    println!("resident memory {} MiB", resident() >> 20);
    drop(nodes);
    fs::remove_dir_all(&data_dir).unwrap();
}
