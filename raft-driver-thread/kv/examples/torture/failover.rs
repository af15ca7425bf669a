//! How soon writes are acknowledged again after the leader was killed.

use crate::client::Connection;
use crate::servers::{Leases, Servers};
use indicatif::ProgressBar;
use redis_protocol::resp2::types::OwnedFrame;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The election timeout of the servers, which is the default.
const ELECTION_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a failover may take.
const BOUND: Duration = Duration::from_millis(1000);
/// How long a server may take to start, or a write to be acknowledged.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Kills the leader of three so many times.
pub(crate) fn run(
    times: u64,
    leases: Leases,
    stop: &AtomicBool,
) -> Result<ExitCode, Box<dyn Error>> {
    let folder = crate::test_dir()?;
    let mut servers = Servers::found(folder.path(), 3, None, leases)?;
    for id in servers.ids() {
        servers.start(id)?;
    }
    let writer = Writer::default();
    let addresses = servers.client_addresses();
    let measured = thread::scope(|scope| {
        scope.spawn(|| writer.write(&addresses));
        let measured = measure(&mut servers, &writer, times, stop);
        writer.stop.store(true, Ordering::Relaxed);
        measured
    })?;
    print(measured)
}

/// A client that writes without a pause, to any server that accepts the write.
#[derive(Default)]
struct Writer {
    acknowledged: AtomicU64,
    stop: AtomicBool,
}

impl Writer {
    fn write(&self, addresses: &[SocketAddr]) {
        let mut turn = addresses.iter().cycle();
        while !self.stop.load(Ordering::Relaxed)
            && let Some(address) = turn.next()
        {
            let Ok(mut connection) = Connection::open(*address, ELECTION_TIMEOUT) else {
                // A dead server refuses at once: try the next one, but without using up a core.
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            while !self.stop.load(Ordering::Relaxed) {
                let number = self.acknowledged.load(Ordering::Relaxed).to_string();
                let words: [&[u8]; 3] = [b"SET", b"failover", number.as_bytes()];
                match connection.request(&words, TIMEOUT) {
                    Ok(reply) if !matches!(reply, OwnedFrame::Error(_)) => {
                        self.acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(_) | Err(_) => break,
                }
            }
        }
    }

    /// Waits for one more acknowledgement.
    fn wait(&self) -> Result<(), String> {
        let (before, begun) = (self.acknowledged.load(Ordering::Relaxed), Instant::now());
        while self.acknowledged.load(Ordering::Relaxed) == before {
            if begun.elapsed() > TIMEOUT {
                return Err(format!("no write was acknowledged in {TIMEOUT:?}"));
            }
            thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }
}

/// The time from each kill to the next acknowledged write.
fn measure(
    servers: &mut Servers,
    writer: &Writer,
    times: u64,
    stop: &AtomicBool,
) -> Result<Vec<Duration>, String> {
    let failed = |error: std::io::Error| error.to_string();
    let bar = ProgressBar::new(times);
    let mut measured = Vec::new();
    while (measured.len() as u64) < times && !stop.load(Ordering::Relaxed) {
        let leader = wait_until_settled(servers)?;
        // A server that has just started votes for nobody for an election timeout. Beyond that, the
        // kills are not in step with the heartbeats.
        let beyond = Duration::from_millis(100 + measured.len() as u64 * 37 % 200);
        thread::sleep(ELECTION_TIMEOUT + beyond);
        writer.wait()?;
        let begun = Instant::now();
        servers.kill(leader).map_err(failed)?;
        writer.wait()?;
        measured.push(begun.elapsed());
        servers.start(leader).map_err(failed)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(measured)
}

/// Waits until all servers run and have nearly all entries of the leader, whose node id it returns.
fn wait_until_settled(servers: &Servers) -> Result<u64, String> {
    let begun = Instant::now();
    while begun.elapsed() < TIMEOUT {
        let statuses = servers.statuses();
        let leader = statuses.iter().find(|status| status.role == "leader");
        if let Some(leader) = leader.filter(|_| statuses.len() == servers.ids().len()) {
            let is_near = |applied: u64| applied + 1000 > leader.commit_index;
            let mut all = statuses.iter();
            if all.all(|it| it.leader == Some(leader.node) && is_near(it.applied_index)) {
                return Ok(leader.node);
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err(format!(
        "the servers did not catch up with a leader in {TIMEOUT:?}"
    ))
}

fn print(mut measured: Vec<Duration>) -> Result<ExitCode, Box<dyn Error>> {
    measured.sort();
    let at = |percent: usize| measured.get(measured.len() * percent / 100);
    let (Some(worst), Some(median), Some(p99)) = (measured.last(), at(50), at(99)) else {
        println!("the leader was not killed");
        return Ok(ExitCode::FAILURE);
    };
    let in_timeouts = |it: &Duration| it.as_secs_f64() / ELECTION_TIMEOUT.as_secs_f64();
    println!(
        "the leader killed {} times, election timeout {ELECTION_TIMEOUT:?}; until a write was acknowledged:",
        measured.len()
    );
    for (name, time) in [("median", median), ("p99", p99), ("worst", worst)] {
        let (millis, timeouts) = (time.as_millis(), in_timeouts(time));
        println!("  {name:7} {millis:5} ms  {timeouts:.2} election timeouts");
    }
    let late = measured.iter().filter(|it| **it > BOUND).count();
    println!("  {late} took more than {BOUND:?}");
    Ok(if late == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
