//! `load redis|etcd put|get CLIENTS CONNECTIONS SECONDS HOST:PORT[,HOST:PORT…]`
//!
//! A load generator. Each client sends one request after the other, with values of 256 bytes. The
//! clients share the connections, which are spread over all servers. Prints the requests per
//! second, and their median, 99th percentile and maximum latency in microseconds. The first second
//! is not counted.

mod etcd;
mod redis;

use std::error::Error;
use std::time::{Duration, Instant};

/// The length of values.
const VALUE: usize = 256;
/// How many keys are written.
const WRITTEN: u64 = 100_000;
/// How many keys are read; they are written before.
const READ: u64 = 1_000;
/// The time before requests are counted.
const WARM_UP: Duration = Duration::from_secs(1);

type Failed = Box<dyn Error>;

/// The kind of request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Put,
    Get,
}

/// One client of one server.
#[derive(Clone)]
enum Client {
    Redis(redis::Client),
    Etcd(etcd::Client),
}

impl Client {
    async fn put(&mut self, key: &str, value: &[u8]) -> Result<(), Failed> {
        match self {
            Client::Redis(client) => client.put(key, value).await,
            Client::Etcd(client) => client.put(key, value).await,
        }
    }

    /// Returns the length of the value.
    async fn get(&mut self, key: &str) -> Result<usize, Failed> {
        match self {
            Client::Redis(client) => client.get(key).await,
            Client::Etcd(client) => client.get(key).await,
        }
    }
}

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, operation, clients, connections, seconds, addresses] = arguments.as_slice() else {
        return Err(
            "load redis|etcd put|get CLIENTS CONNECTIONS SECONDS HOST:PORT[,HOST:PORT…]".into(),
        );
    };
    let operation = match operation.as_str() {
        "put" => Operation::Put,
        "get" => Operation::Get,
        _ => return Err("OPERATION is put or get".into()),
    };
    let addresses: Vec<&str> = addresses.split(',').collect();
    let time = Duration::from_secs_f64(seconds.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    runtime.block_on(tasks.run_until(async {
        let clients = connect(server, clients.parse()?, connections.parse()?, &addresses).await?;
        run(clients, operation, time).await
    }))
}

async fn connect(
    server: &str,
    clients: usize,
    connections: usize,
    addresses: &[&str],
) -> Result<Vec<Client>, Failed> {
    let mut opened = Vec::new();
    for address in addresses.iter().cycle().take(clients.min(connections)) {
        opened.push(match server {
            "redis" => Client::Redis(redis::Client::connect(address).await?),
            "etcd" => Client::Etcd(etcd::Client::connect(address).await?),
            _ => return Err("PROTOCOL is redis or etcd".into()),
        });
    }
    Ok(opened.into_iter().cycle().take(clients).collect())
}

async fn run(mut clients: Vec<Client>, operation: Operation, time: Duration) -> Result<(), Failed> {
    let first = clients.first_mut().ok_or("CLIENTS has to be 1 at least")?;
    if operation == Operation::Get {
        for number in 0..READ {
            first.put(&key(number), &[b'x'; VALUE]).await?;
        }
    }
    let begin = Instant::now() + WARM_UP;
    let end = begin + time;
    let started = clients.into_iter().enumerate();
    let started = started.map(|(number, client)| {
        tokio::task::spawn_local(load(client, number as u64, operation, begin, end))
    });
    let mut micros = Vec::new();
    for client in started.collect::<Vec<_>>() {
        micros.extend(client.await??);
    }
    micros.sort_unstable();
    let at = |percent: usize| micros.get((micros.len() * percent / 100).min(micros.len() - 1));
    let (Some(median), Some(high), Some(longest)) = (at(50), at(99), at(100)) else {
        return Err("no request ended in time".into());
    };
    let rate = micros.len() as f64 / time.as_secs_f64();
    println!("{rate:.0} {median} {high} {longest}");
    Ok(())
}

fn key(number: u64) -> String {
    format!("k{number:08}")
}

/// Sends requests, and returns the latency of each that ended within the time.
async fn load(
    mut client: Client,
    number: u64,
    operation: Operation,
    begin: Instant,
    end: Instant,
) -> Result<Vec<u32>, Failed> {
    let mut micros = Vec::new();
    let mut next = number * 7919;
    loop {
        next += 31;
        let sent = Instant::now();
        match operation {
            Operation::Put => client.put(&key(next % WRITTEN), &[b'x'; VALUE]).await?,
            Operation::Get if client.get(&key(next % READ)).await? == VALUE => {}
            Operation::Get => return Err("a value differs from the one that was written".into()),
        }
        let answered = Instant::now();
        if answered >= end {
            return Ok(micros);
        }
        if answered >= begin {
            micros.push(u32::try_from((answered - sent).as_micros())?);
        }
    }
}
