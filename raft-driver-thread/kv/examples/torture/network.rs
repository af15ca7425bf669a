//! Proxies in front of the servers' ports. They cut, hold up, slow and tear the connections.

use raft_sim::random::Random;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The length of a server's hello.
const HELLO: usize = 38;
/// The place of the sender's node id in it.
const FROM: std::ops::Range<usize> = 21..29;
/// How many bytes pass at once at most, so that delays and tears come in between.
const CHUNK: usize = 16 << 10;

/// The fault of a link. A link carries the messages of one server to another; the only reply on
/// such a connection is that to the hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Connections are closed and refused.
    Cut,
    /// Connections stay open and nothing passes. Once the link is healed, everything arrives late.
    Held,
    /// Each chunk is late by so much.
    Slow(Duration),
    /// One chunk in so many is cut in the middle, and its connection closed.
    Flaky(u64),
}

/// The sender of all links to a port for clients: clients, and servers that forward.
pub(crate) const ANY_CLIENT: u64 = 0;

/// The proxies of all servers. Their threads end with the process.
#[derive(Clone)]
pub(crate) struct Network {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// A fault was set or healed.
    changed: Condvar,
}

struct State {
    /// The faults of links: from, to.
    links: BTreeMap<(u64, u64), Link>,
    random: Random,
    /// All connections. Those that are over are removed when another one is made.
    connections: Vec<Connection>,
    traffic: Traffic,
}

/// What has passed the proxies.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) bytes: u64,
    /// Connections that were torn.
    pub(crate) torn: u64,
}

/// A connection that passes a proxy.
struct Connection {
    from: u64,
    to: u64,
    ends: Arc<Ends>,
}

/// Both ends of a connection.
struct Ends {
    streams: [TcpStream; 2],
    is_over: AtomicBool,
}

impl Ends {
    fn tear(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        for stream in &self.streams {
            // If this fails, it is over already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// The port that a proxy is in front of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// The port for the other servers, which begin with a hello.
    Peers,
    /// The port for clients.
    Clients,
}

impl Network {
    pub(crate) fn new(random: Random) -> Network {
        let state = State {
            links: BTreeMap::new(),
            random,
            connections: Vec::new(),
            traffic: Traffic::default(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        Network { shared }
    }

    /// Puts a proxy in front of a port of server `to`, and returns its address.
    pub(crate) fn put_proxy(
        &self,
        to: u64,
        port: Port,
        target: SocketAddr,
    ) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = self.shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                // An error here is a failed connection, as any network has them.
                thread::spawn(move || forward(&shared, to, port, target, stream));
            }
        });
        Ok(address)
    }

    /// Sets the fault of a link; `None` heals it.
    pub(crate) fn set(&self, from: u64, to: u64, link: Option<Link>) {
        let mut state = self.shared.lock();
        match link {
            Some(link) => state.links.insert((from, to), link),
            None => state.links.remove(&(from, to)),
        };
        if link == Some(Link::Cut) {
            let mut torn = 0;
            state.connections.retain(|it| {
                let is_cut = (it.from, it.to) == (from, to);
                if is_cut && !it.ends.is_over.load(Ordering::Relaxed) {
                    it.ends.tear();
                    torn += 1;
                }
                !is_cut
            });
            state.traffic.torn += torn;
        }
        self.shared.changed.notify_all();
    }

    /// Heals all links.
    pub(crate) fn heal(&self) {
        self.shared.lock().links.clear();
        self.shared.changed.notify_all();
    }

    pub(crate) fn traffic(&self) -> Traffic {
        self.shared.lock().traffic
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No change under the lock is left half done by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a connection over this link, unless the link is cut.
    fn connect(
        &self,
        from: u64,
        to: u64,
        target: SocketAddr,
        client: &TcpStream,
    ) -> Option<Arc<Ends>> {
        let is_cut = |state: &State| state.links.get(&(from, to)) == Some(&Link::Cut);
        if is_cut(&self.lock()) {
            return None;
        }
        let server = TcpStream::connect(target).ok()?;
        server.set_nodelay(true).ok()?;
        client.set_nodelay(true).ok()?;
        let ends = Arc::new(Ends {
            streams: [client.try_clone().ok()?, server],
            is_over: AtomicBool::new(false),
        });
        let mut state = self.lock();
        if is_cut(&state) {
            return None;
        }
        let is_over = |ends: &Ends| ends.is_over.load(Ordering::Relaxed);
        state.connections.retain(|it| !is_over(&it.ends));
        let connection = Connection {
            from,
            to,
            ends: ends.clone(),
        };
        state.connections.push(connection);
        Some(ends)
    }

    /// Waits until a chunk may pass. Returns `false` if the connection is to be torn instead.
    fn let_pass(&self, from: u64, to: u64, length: usize) -> bool {
        let mut state = self.lock();
        loop {
            match state.links.get(&(from, to)).copied() {
                Some(Link::Cut) => return false,
                Some(Link::Held) => {
                    let woken = self.changed.wait(state);
                    state = woken.unwrap_or_else(PoisonError::into_inner);
                }
                Some(Link::Flaky(one_in)) if state.random.below(one_in) == 0 => {
                    state.traffic.torn += 1;
                    return false;
                }
                Some(Link::Slow(late)) => {
                    state.traffic.bytes += length as u64;
                    drop(state);
                    thread::sleep(late);
                    return true;
                }
                Some(Link::Flaky(_)) | None => {
                    state.traffic.bytes += length as u64;
                    return true;
                }
            }
        }
    }
}

/// Forwards one connection to server `to`, until it ends.
fn forward(
    shared: &Shared,
    to: u64,
    port: Port,
    target: SocketAddr,
    mut client: TcpStream,
) -> Option<()> {
    let mut hello = [0; HELLO];
    let from = match port {
        Port::Clients => ANY_CLIENT,
        Port::Peers => {
            client.read_exact(&mut hello).ok()?;
            u64::from_le_bytes(hello[FROM].try_into().ok()?)
        }
    };
    let ends = shared.connect(from, to, target, &client)?;
    let mut server = ends.streams[1].try_clone().ok()?;
    if port == Port::Peers {
        server.write_all(&hello).ok()?;
    }
    let back = ends.clone();
    thread::spawn(move || {
        let [client, server] = &back.streams;
        let _ = io::copy(&mut &*server, &mut &*client);
        back.tear();
    });
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = client.read(&mut chunk).unwrap_or(0);
        let passes = read > 0 && shared.let_pass(from, to, read);
        // A torn connection loses only a part of the chunk: half a message has arrived.
        let arrives = if passes { read } else { read / 2 };
        let written = server.write_all(&chunk[..arrives]);
        if !passes || written.is_err() {
            ends.tear();
            return None;
        }
    }
}
