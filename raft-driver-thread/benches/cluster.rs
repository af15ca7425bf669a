//! Three nodes on loopback TCP with disks, every acknowledged write synced: proposals a second and
//! their latencies, beside those of a lone `fdatasync` and of a loopback round trip.
//!
//! `cargo bench -p raft-driver-thread --bench cluster [seconds]`
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::Node;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use support::{Counter, PAYLOAD, leader, nodes, resident};

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

/// One outstanding beside a lone sync and a round trip, in nine rounds by turns.
fn compare(leader: &Node<Counter>, folder: &Path, time: Duration) {
    let (mut syncs, mut trips, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..9 {
        syncs.push(lone_sync(folder));
        trips.push(round_trip());
        latencies.push(median(measure(leader, 1, time).0));
    }
    let (sync, trip, latency) = (median(syncs), median(trips), median(latencies));
    let ratio = latency.as_secs_f64() / (sync + trip).as_secs_f64();
    println!(
        "medians of nine rounds: one outstanding {} us, a lone fdatasync {} us, a round trip {} us: {ratio:.2} of their sum",
        latency.as_micros(),
        sync.as_micros(),
        trip.as_micros()
    );
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
    for window in [1, 64, 1024] {
        let (latencies, rate) = measure(leader, window, time);
        let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_micros();
        let (p50, p99) = (at(50), at(99));
        println!("{window:>12} {rate:>14.0} {p50:>10} {p99:>10}");
    }
    compare(leader, &folder, time / 5);
    println!("resident memory {} MiB", resident() >> 20);
    drop(nodes);
    fs::remove_dir_all(&folder).unwrap();
}
