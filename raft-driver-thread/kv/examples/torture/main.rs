//! A torture test of `raft-kv`, in the manner of Jepsen. The servers are processes, with TCP and
//! disks. While clients read and write, a nemesis kills and pauses servers, cuts and slows their
//! links, fills their disks, and changes the membership. Then the history of the clients is
//! checked to be linearizable.
//!
//! `cargo run --release -p raft-kv --example torture -- --kills 200`
//!
//! With `--failover 50` it measures instead how soon writes are acknowledged again after the leader
//! was killed.
#![allow(missing_docs)]

mod client;
mod counts;
mod disk;
mod failover;
mod fault;
mod history;
mod model;
mod nemesis;
mod network;
mod report;
mod servers;
mod workload;

use clap::Parser;
use history::Tally;
use indicatif::{ProgressBar, ProgressStyle};
use model::Store;
use nemesis::Nemesis;
use network::Network;
use raft_sim::linearizability::{Operation, Verdict};
use raft_sim::random::Random;
use report::Report;
use servers::{Leases, Servers};
use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use workload::{Caller, Clients, Retry};

/// As the first argument: this process is a server, and the other arguments are those of `raft-kv`.
const SERVE: &str = "server";
/// After so many faults everything is healed, and the servers have to recover.
const FAULTS_UNTIL_RECOVERY: u64 = 15;
/// The longest pause between two faults, in milliseconds.
const MAX_PAUSE: u64 = 900;

/// Test raft-kv under faults, and check that the history of its clients is linearizable
#[derive(Parser)]
struct Arguments {
    /// How many times a server is killed; other faults happen in between
    #[arg(long, default_value_t = 200, value_name = "N")]
    kills: u64,
    /// How many servers found the cluster; others join and leave later
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(3..=5))]
    nodes: u64,
    /// How many clients there are
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=64))]
    clients: u64,
    /// The seed of all random choices; the timing of threads and processes does not depend on it
    /// [default: the time]
    #[arg(long)]
    seed: Option<u64>,
    /// The longest time that faults are injected, as in 10m; the check follows
    #[arg(long, default_value = "10m", value_parser = humantime::parse_duration, value_name = "TIME")]
    time_limit: Duration,
    /// Keep the servers' data directories and the history also if nothing is wrong
    #[arg(long)]
    keep: bool,
    /// Instead: kill the leader so many times, and measure how soon writes are acknowledged again
    #[arg(long, value_name = "N")]
    failover: Option<u64>,
    /// Without leases: reads go by the quorum, and a vote waits for no leader's lease
    #[arg(long)]
    no_leases: bool,
}

impl Arguments {
    fn leases(&self) -> Leases {
        if self.no_leases {
            Leases::Off
        } else {
            Leases::On
        }
    }
}

fn main() -> ExitCode {
    let mut given: Vec<OsString> = std::env::args_os().collect();
    if given.get(1).is_some_and(|first| first == SERVE) {
        given.remove(1);
        return serve(given);
    }
    let arguments = Arguments::parse();
    disk::enter_mount_namespace();
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
            Some(times) => failover::run(times, arguments.leases(), &stop),
        });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs a server. It ends together with the process that started it, also if that is killed.
fn serve(arguments: Vec<OsString>) -> ExitCode {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
            eprintln!("error: this server would outlive the test: {error}");
            return ExitCode::from(2);
        }
    }
    raft_kv::cli::run(arguments)
}

/// A temporary directory beside the build, or that of the system.
fn test_dir() -> io::Result<TempDir> {
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
    let dir = test_dir()?;
    println!("seed {seed}, in {}", dir.path().display());
    let network = Network::new(Random::new(seed, "network"));
    let servers = Servers::found(
        dir.path(),
        arguments.nodes,
        Some(network.clone()),
        arguments.leases(),
    )?;
    let mut nemesis = Nemesis::new(servers, network.clone(), Random::new(seed, "faults"));
    let tally = Arc::new(Tally::new());
    let begun = Instant::now();
    let RunResult {
        mut operations,
        wrong,
    } = run(arguments, seed, &mut nemesis, &tally, stop)?;
    let took = begun.elapsed();
    let wrong = match wrong {
        None => read_back(&mut nemesis, &tally, &mut operations)?,
        wrong => wrong,
    };
    let ids = nemesis.servers.ids();
    let disks = ids.iter().filter_map(|id| nemesis.servers.get(*id));
    let report = Report {
        counts: &nemesis.counts,
        tally: &tally,
        traffic: network.traffic(),
        can_fill: disks.into_iter().any(|server| server.disk.is_some()),
        keys: history::keys(&operations),
        took,
    };
    report.print();
    let history = dir.path().join("history.txt");
    history::write(&operations, &history)?;
    let verdict = history::check(operations);
    let is_fine = print_verdict(&verdict, wrong.as_deref());
    if !is_fine || arguments.keep {
        nemesis.servers.keep()?;
        let kept: PathBuf = dir.keep();
        println!("kept: {}, with the history in history.txt", kept.display());
    }
    Ok(if is_fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints the verdict, and returns whether nothing is wrong.
fn print_verdict(verdict: &Verdict<Store>, wrong: Option<&str>) -> bool {
    if let Some(wrong) = wrong {
        println!("FAILED: {wrong}");
    }
    match verdict {
        Verdict::Linearizable => {
            println!("verdict: linearizable; nothing that was acknowledged was lost")
        }
        Verdict::NotLinearizable(violation) => println!("VIOLATION: {violation}"),
        Verdict::Unknown(_) => {
            println!("verdict: no violation was found, but not everything was checked: {verdict}")
        }
    }
    wrong.is_none() && verdict.violation().is_none()
}

/// What the clients saw, and what went wrong, if something did.
struct RunResult {
    operations: Vec<Operation<Store>>,
    wrong: Option<String>,
}

/// Runs the clients and the nemesis.
fn run(
    arguments: &Arguments,
    seed: u64,
    nemesis: &mut Nemesis,
    tally: &Arc<Tally>,
    stop: &AtomicBool,
) -> Result<RunResult, Box<dyn Error>> {
    for id in nemesis.servers.ids() {
        nemesis.servers.start(id)?;
    }
    if let Some(wrong) = nemesis.recover()? {
        return Ok(RunResult {
            operations: Vec::new(),
            wrong: Some(wrong),
        });
    }
    let addresses = Arc::new(Mutex::new(nemesis.servers.client_addresses()));
    let clients = Clients::start(arguments.clients, seed, &addresses, tally);
    let end = Instant::now() + arguments.time_limit;
    let mut pauses = Random::new(seed, "pauses");
    let bar = progress(arguments.kills);
    let mut wrong = None;
    let mut injected = 0;
    while nemesis.counts.kills < arguments.kills && Instant::now() < end && wrong.is_none() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        wrong = nemesis.watch()?;
        nemesis.inject_any()?;
        injected += 1;
        if injected % FAULTS_UNTIL_RECOVERY == 0 && wrong.is_none() {
            wrong = nemesis.recover()?;
        }
        let mut known = addresses.lock().unwrap_or_else(PoisonError::into_inner);
        *known = nemesis.servers.client_addresses();
        drop(known);
        show(&bar, nemesis, tally);
        std::thread::sleep(Duration::from_millis(pauses.below(MAX_PAUSE)));
    }
    bar.finish_and_clear();
    if wrong.is_none() {
        wrong = nemesis.recover()?;
    }
    Ok(RunResult {
        operations: clients.stop()?,
        wrong,
    })
}

fn progress(kills: u64) -> ProgressBar {
    let bar = ProgressBar::new(kills);
    let style = "{bar:30} {pos}/{len} kills, {elapsed}, {msg}";
    // The template is constant, and right.
    let style = ProgressStyle::with_template(style);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn show(bar: &ProgressBar, nemesis: &Nemesis, tally: &Tally) {
    let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let (ok, unknown) = (of(&tally.ok), of(&tally.unknown));
    bar.set_message(format!(
        "{ok} operations with a known result, {unknown} unknown"
    ));
    bar.set_position(nemesis.counts.kills);
}

/// Reads every key once more at every server, as part of the history.
fn read_back(
    nemesis: &mut Nemesis,
    tally: &Arc<Tally>,
    operations: &mut Vec<Operation<Store>>,
) -> io::Result<Option<String>> {
    let mut keys: Vec<String> = operations.iter().map(|it| it.key.clone()).collect();
    keys.sort();
    keys.dedup();
    for id in nemesis.servers.ids() {
        let addresses = nemesis.servers.get(id).map(|server| server.clients);
        let addresses = Arc::new(Mutex::new(addresses.into_iter().collect()));
        let random = Random::new(id, "last reads");
        let caller = Caller::new(addresses, random, tally.clone(), Retry::Never);
        match workload::read_all(&keys, caller, tally) {
            Ok(reads) => operations.extend(reads),
            Err(wrong) => return Ok(Some(format!("server {id}: {wrong}"))),
        }
    }
    Ok(None)
}
