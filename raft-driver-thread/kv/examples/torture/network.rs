//! Proxies in front of the servers' ports, which cut, hold up, slow and tear what passes.

use raft_sim::random::Random;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long the hello of a server is, and where in it stands who it is.
const HELLO: usize = 38;
const FROM: std::ops::Range<usize> = 21..29;
/// At most this passes at once, so that delays and tears come in between.
const PIECE: usize = 16 << 10;

/// How a link is. A link is what one server sends another: the answers on the same connection are
/// only the welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Connections are torn and refused.
    Cut,
    /// Connections stay, nothing passes, and all of it comes late, once the link is whole again.
    Held,
    /// Each piece is late by so much.
    Slow(Duration),
    /// One piece in so many tears its connection in the middle.
    Flaky(u64),
}

/// Where a link begins that whoever may use: clients, and servers that forward to another one.
pub(crate) const ANYONE: u64 = 0;

/// The proxies of all servers. Their threads end with the process.
#[derive(Clone)]
pub(crate) struct Network {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Links are not as they were.
    changed: Condvar,
}

struct State {
    /// Links that are not whole: from, to.
    links: BTreeMap<(u64, u64), Link>,
    random: Random,
    /// The ends of connections, by link; those that are over are forgotten now and then.
    streams: Vec<(u64, u64, Arc<Ends>)>,
    /// Bytes that passed.
    passed: u64,
    /// Connections that were torn.
    torn: u64,
}

/// Both ends of a connection that passes a proxy.
struct Ends {
    streams: [TcpStream; 2],
    is_over: AtomicBool,
}

impl Ends {
    fn tear(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        for stream in &self.streams {
            // It may be over already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// What a proxy is in front of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// The port for the other servers: each says who it is.
    Peers,
    /// The port for clients.
    Clients,
}

impl Network {
    pub(crate) fn new(random: Random) -> Network {
        let state = State {
            links: BTreeMap::new(),
            random,
            streams: Vec::new(),
            passed: 0,
            torn: 0,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        Network { shared }
    }

    /// Puts a proxy in front of a port of server `to`; says where it listens.
    pub(crate) fn stand_before(
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
                // What fails here is a connection that fails, as they do.
                thread::spawn(move || carry(&shared, to, port, target, stream));
            }
        });
        Ok(address)
    }

    /// From now on the link is so; `None`: whole.
    pub(crate) fn set(&self, from: u64, to: u64, link: Option<Link>) {
        let mut state = self.shared.lock();
        match link {
            Some(link) => state.links.insert((from, to), link),
            None => state.links.remove(&(from, to)),
        };
        if link == Some(Link::Cut) {
            let mut torn = 0;
            state.streams.retain(|(begin, end, ends)| {
                let hit = (*begin, *end) == (from, to);
                if hit && !ends.is_over.load(Ordering::Relaxed) {
                    ends.tear();
                    torn += 1;
                }
                !hit
            });
            state.torn += torn;
        }
        self.shared.changed.notify_all();
    }

    /// All links are whole.
    pub(crate) fn heal(&self) {
        self.shared.lock().links.clear();
        self.shared.changed.notify_all();
    }

    /// How many bytes passed between servers, and how many connections were torn.
    pub(crate) fn passed_and_torn(&self) -> (u64, u64) {
        let state = self.shared.lock();
        (state.passed, state.torn)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked left nothing half done here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection over this link, if there is a way.
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
        let is_old = |ends: &Ends| ends.is_over.load(Ordering::Relaxed);
        state.streams.retain(|(_, _, ends)| !is_old(ends));
        state.streams.push((from, to, ends.clone()));
        Some(ends)
    }

    /// Lets a piece pass, as late as the link wants it; `false` if it tears the connection.
    fn passes(&self, from: u64, to: u64, length: usize) -> bool {
        let mut state = self.lock();
        loop {
            match state.links.get(&(from, to)).copied() {
                Some(Link::Cut) => return false,
                Some(Link::Held) => {
                    let woken = self.changed.wait(state);
                    state = woken.unwrap_or_else(PoisonError::into_inner);
                }
                Some(Link::Flaky(one_in)) if state.random.below(one_in) == 0 => {
                    state.torn += 1;
                    return false;
                }
                Some(Link::Slow(late)) => {
                    state.passed += length as u64;
                    drop(state);
                    thread::sleep(late);
                    return true;
                }
                Some(Link::Flaky(_)) | None => {
                    state.passed += length as u64;
                    return true;
                }
            }
        }
    }
}

/// Carries one connection to server `to`, until it ends.
fn carry(
    shared: &Shared,
    to: u64,
    port: Port,
    target: SocketAddr,
    mut client: TcpStream,
) -> Option<()> {
    let mut hello = [0; HELLO];
    let from = match port {
        Port::Clients => ANYONE,
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
    let mut piece = vec![0; PIECE];
    loop {
        let read = client.read(&mut piece).unwrap_or(0);
        let passes = read > 0 && shared.passes(from, to, read);
        // A torn connection has lost some of the piece, not all: half a message has arrived.
        let arrives = if passes { read } else { read / 2 };
        let written = server.write_all(&piece[..arrives]);
        if !passes || written.is_err() {
            ends.tear();
            return None;
        }
    }
}
