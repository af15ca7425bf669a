//! Tortures `raft-kv`: servers as processes over TCP and disks are killed, paused, cut off, moved
//! and filled up while clients write; then what the clients saw is checked to be linearizable.
//!
//! `cargo run --release -p raft-kv --example torture -- --kills 200`
//!
//! `--failover 50` measures instead how soon writes are acknowledged again after the leader was
//! killed.
#![allow(missing_docs)]

mod client;
mod disk;
mod failover;
mod faults;
mod history;
mod model;
mod network;
mod report;
mod servers;
mod workload;

use clap::Parser;
use faults::Torturer;
use history::Tally;
use indicatif::{ProgressBar, ProgressStyle};
use model::Store;
use network::Network;
use raft_sim::linearizability::{Operation, Verdict};
use raft_sim::random::Random;
use report::Report;
use servers::Servers;
use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use workload::{Caller, Clients};

/// As the first argument: to be a server, with the rest as the arguments of `raft-kv`.
const SERVE: &str = "server";
/// Faults until all is healed and has to recover.
const UNTIL_RECOVERY: u64 = 15;
/// The longest pause between two faults, in milliseconds.
const PAUSE: u64 = 900;

/// Tortures raft-kv, and checks that what its clients saw is linearizable
#[derive(Parser)]
struct Arguments {
    /// How many times a server is killed; other faults come in between
    #[arg(long, default_value_t = 200, value_name = "N")]
    kills: u64,
    /// How many servers found the cluster; further ones join and leave
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(3..=5))]
    nodes: u64,
    /// How many clients there are
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=64))]
    clients: u64,
    /// What is drawn from; the threads' and processes' timing is not [default: of the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// When to end at the latest, as in 10m; then the check follows
    #[arg(long, default_value = "10m", value_parser = humantime::parse_duration, value_name = "TIME")]
    time_limit: Duration,
    /// Keep the servers' folders and the history, whatever came out
    #[arg(long)]
    keep: bool,
    /// Instead: kill the leader so many times, and measure when writes are acknowledged again
    #[arg(long, value_name = "N")]
    failover: Option<u64>,
}

fn main() -> ExitCode {
    let mut given: Vec<OsString> = std::env::args_os().collect();
    if given.get(1).is_some_and(|first| first == SERVE) {
        given.remove(1);
        return serve(given);
    }
    let arguments = Arguments::parse();
    disk::have_own_mounts();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let handler = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    let result = handler
        .map_err(Box::from)
        .and_then(|()| match arguments.failover {
            None => torture(&arguments, &stop),
            Some(times) => failover::run(times, &stop),
        });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// A server; it ends with the process that started it, however that ends.
fn serve(arguments: Vec<OsString>) -> ExitCode {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
            eprintln!("error: this server would outlive the torture: {error}");
            return ExitCode::from(2);
        }
    }
    raft_kv::cli::run(arguments)
}

/// A folder under the folder of all builds, or the system's for such things.
fn folder() -> io::Result<TempDir> {
    let itself = std::env::current_exe()?;
    // target/release/examples/torture
    let target = itself.ancestors().nth(3).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("torture-");
    builder.tempdir_in(target).or_else(|_| builder.tempdir())
}

fn torture(arguments: &Arguments, stop: &AtomicBool) -> Result<ExitCode, Box<dyn Error>> {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let seed = arguments.seed.unwrap_or(clock.as_millis() as u64);
    let folder = folder()?;
    println!("seed {seed}, in {}", folder.path().display());
    let network = Network::new(Random::new(seed, "network"));
    let servers = Servers::found(folder.path(), arguments.nodes, Some(network.clone()))?;
    let mut torturer = Torturer::new(servers, network.clone(), Random::new(seed, "faults"));
    let tally = Arc::new(Tally::new());
    let begun = Instant::now();
    let (mut operations, wrong) = run(arguments, seed, &mut torturer, &tally, stop)?;
    let took = begun.elapsed();
    let wrong = match wrong {
        None => read_back(&mut torturer, &tally, &mut operations)?,
        wrong => wrong,
    };
    let ids = torturer.servers.ids();
    let disks = ids.iter().filter_map(|id| torturer.servers.get(*id));
    let report = Report {
        counts: &torturer.counts,
        tally: &tally,
        passed_and_torn: network.passed_and_torn(),
        can_fill: disks.into_iter().any(|server| server.disk.is_some()),
        keys: history::keys(&operations),
        took,
    };
    report.print();
    let history = folder.path().join("history.txt");
    history::write(&operations, &history)?;
    let verdict = history::check(operations);
    let is_fine = say(&verdict, wrong.as_deref());
    if !is_fine || arguments.keep {
        torturer.servers.keep()?;
        let kept: PathBuf = folder.keep();
        println!("kept: {}, with the history in history.txt", kept.display());
    }
    Ok(if is_fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Says how it came out, and whether well.
fn say(verdict: &Verdict<Store>, wrong: Option<&str>) -> bool {
    if let Some(wrong) = wrong {
        println!("FAILED: {wrong}");
    }
    match verdict {
        Verdict::Linearizable => println!("verdict: linearizable; nothing acknowledged was lost"),
        Verdict::NotLinearizable(violation) => println!("VIOLATION: {violation}"),
        Verdict::Unknown(_) => println!("verdict: none found, but not all was checked: {verdict}"),
    }
    wrong.is_none() && verdict.violation().is_none()
}

/// What the clients saw, and what went wrong, if something did.
type Seen = (Vec<Operation<Store>>, Option<String>);

/// Lets clients and faults loose.
fn run(
    arguments: &Arguments,
    seed: u64,
    torturer: &mut Torturer,
    tally: &Arc<Tally>,
    stop: &AtomicBool,
) -> Result<Seen, Box<dyn Error>> {
    for id in torturer.servers.ids() {
        torturer.servers.start(id)?;
    }
    if let Some(wrong) = torturer.recover()? {
        return Ok((Vec::new(), Some(wrong)));
    }
    let addresses = Arc::new(Mutex::new(torturer.servers.client_addresses()));
    let clients = Clients::start(arguments.clients, seed, &addresses, tally);
    let end = Instant::now() + arguments.time_limit;
    let mut pauses = Random::new(seed, "pauses");
    let bar = progress(arguments.kills);
    let mut wrong = None;
    let mut struck = 0;
    while torturer.counts.kills < arguments.kills && Instant::now() < end && wrong.is_none() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        wrong = torturer.watch()?;
        torturer.strike()?;
        struck += 1;
        if struck % UNTIL_RECOVERY == 0 && wrong.is_none() {
            wrong = torturer.recover()?;
        }
        let mut known = addresses.lock().unwrap_or_else(PoisonError::into_inner);
        *known = torturer.servers.client_addresses();
        drop(known);
        show(&bar, torturer, tally);
        std::thread::sleep(Duration::from_millis(pauses.below(PAUSE)));
    }
    bar.finish_and_clear();
    if wrong.is_none() {
        wrong = torturer.recover()?;
    }
    Ok((clients.stop()?, wrong))
}

fn progress(kills: u64) -> ProgressBar {
    let bar = ProgressBar::new(kills);
    let style = "{bar:30} {pos}/{len} kills, {elapsed}, {msg}";
    // The template is right: it is always the same.
    let style = ProgressStyle::with_template(style);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn show(bar: &ProgressBar, torturer: &Torturer, tally: &Tally) {
    let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let (ok, unknown) = (of(&tally.ok), of(&tally.unknown));
    bar.set_message(format!("{ok} operations answered, {unknown} unknown"));
    bar.set_position(torturer.counts.kills);
}

/// Reads every key once more, over all servers, as part of the history.
fn read_back(
    torturer: &mut Torturer,
    tally: &Arc<Tally>,
    operations: &mut Vec<Operation<Store>>,
) -> io::Result<Option<String>> {
    let mut keys: Vec<String> = operations.iter().map(|it| it.key.clone()).collect();
    keys.sort();
    keys.dedup();
    for id in torturer.servers.ids() {
        let addresses = torturer.servers.get(id).map(|server| server.clients);
        let addresses = Arc::new(Mutex::new(addresses.into_iter().collect()));
        let random = Random::new(id, "last reads");
        let caller = Caller::new(addresses, random, tally.clone(), false);
        match workload::read_all(&keys, caller, tally) {
            Ok(reads) => operations.extend(reads),
            Err(wrong) => return Ok(Some(format!("server {id}: {wrong}"))),
        }
    }
    Ok(None)
}
