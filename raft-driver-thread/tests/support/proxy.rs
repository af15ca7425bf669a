//! A proxy in front of each node, which cuts, slows, breaks and forgets connections.

use raft_driver_thread::raft_proto::{Member, NodeId, Start};
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// The length of a hello, and where in it the sender's id is.
const HELLO: usize = 38;
const SENDER: std::ops::Range<usize> = 21..29;

/// One proxy a node. Their threads end with the test's process.
pub struct Proxies {
    addresses: BTreeMap<u64, String>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    targets: BTreeMap<u64, SocketAddr>,
    cut: BTreeSet<u64>,
    is_unreliable: bool,
    /// How many bytes a second each connection carries; 0: as many as come.
    bytes_per_second: u64,
    /// How often all connections were forgotten.
    forgotten: u64,
    random: u64,
    connections: Vec<Connection>,
}

/// One of the two connections of which a proxied one consists.
struct Connection {
    from: u64,
    to: u64,
    stream: TcpStream,
}

/// What is done to a piece of a stream.
struct Fault {
    delay: Duration,
    breaks_connection: bool,
}

impl Proxies {
    pub fn new(nodes: u64) -> Proxies {
        let state = Arc::new(Mutex::new(State::default()));
        let begin = |id| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            // What is written does not leave the sender before the link carries it.
            let socket = socket2::SockRef::from(&listener);
            socket.set_recv_buffer_size(1 << 16).unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let state = state.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = state.clone();
                    // A relay that fails is a broken connection, which nodes have to cope with.
                    std::thread::spawn(move || relay(&state, id, stream));
                }
            });
            (id, address)
        };
        Proxies {
            addresses: (1..=nodes).map(begin).collect(),
            state: state.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn bootstrap(&self) -> Start {
        let member = |(id, address): (&u64, &String)| {
            Member::voter(NodeId(*id)).with_context(address.clone())
        };
        Start::Bootstrap {
            members: self.addresses.iter().map(member).collect(),
        }
    }

    /// A transport for the node, behind its proxy.
    pub fn transport(&self, id: u64) -> TcpTransport {
        let mut options = TcpOptions::new(Security::PlaintextUnauthenticated);
        options.silence_timeout = Some(Duration::from_secs(1));
        let transport = TcpTransport::bind("127.0.0.1:0", options).unwrap();
        self.state().targets.insert(id, transport.local_address());
        transport
    }

    pub fn cut(&self, id: u64) {
        let mut state = self.state();
        state.cut.insert(id);
        state.connections.retain(|connection| {
            let is_cut = connection.from == id || connection.to == id;
            if is_cut {
                let _ = connection.stream.shutdown(Shutdown::Both);
            }
            !is_cut
        });
    }

    pub fn heal(&self, id: u64) {
        self.state().cut.remove(&id);
    }

    /// From now on nothing of what comes over the connections that stand is read or passed on, and
    /// neither end hears that they are dead. New connections work. So does a firewall that has
    /// forgotten its connections.
    pub fn forget_connections(&self) {
        self.state().forgotten += 1;
    }

    /// From now on each connection carries so many bytes a second.
    pub fn throttle(&self, bytes_per_second: u64) {
        self.state().bytes_per_second = bytes_per_second;
    }

    pub fn make_unreliable(&self) {
        self.state().is_unreliable = true;
    }
}

impl State {
    fn draw_fault(&mut self) -> Fault {
        if !self.is_unreliable {
            return Fault {
                delay: Duration::ZERO,
                breaks_connection: false,
            };
        }
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005);
        self.random = self.random.wrapping_add(1_442_695_040_888_963_407);
        let drawn = self.random >> 33;
        Fault {
            delay: Duration::from_millis(drawn % 20),
            breaks_connection: drawn.is_multiple_of(31),
        }
    }
}

/// Carries one connection to node `to`, until it ends.
fn relay(state: &Mutex<State>, to: u64, mut client: TcpStream) -> Option<()> {
    let mut hello = [0; HELLO];
    client.read_exact(&mut hello).ok()?;
    let from = u64::from_le_bytes(hello[SENDER].try_into().unwrap());
    let (mut server, forgotten) = {
        let mut state = state.lock().unwrap();
        if state.cut.contains(&from) || state.cut.contains(&to) {
            return None;
        }
        let server = TcpStream::connect(state.targets.get(&to)?).ok()?;
        for stream in [client.try_clone().ok()?, server.try_clone().ok()?] {
            state.connections.push(Connection { from, to, stream });
        }
        (server, state.forgotten)
    };
    server.set_nodelay(true).ok()?;
    server.write_all(&hello).ok()?;
    let (mut answers, mut answered) = (server.try_clone().ok()?, client.try_clone().ok()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut answered);
        let _ = answered.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = client.read(&mut buffer).unwrap_or(0);
        let (fault, takes) = {
            let mut state = state.lock().unwrap();
            if state.forgotten != forgotten {
                // The streams stay open, held by `connections`.
                return None;
            }
            let nanos = (read as u64 * 1_000_000_000).checked_div(state.bytes_per_second);
            (state.draw_fault(), nanos.map(Duration::from_nanos))
        };
        if read == 0 || fault.breaks_connection {
            let _ = server.shutdown(Shutdown::Both);
            let _ = client.shutdown(Shutdown::Both);
            return None;
        }
        std::thread::park_timeout(fault.delay + takes.unwrap_or_default());
        server.write_all(&buffer[..read]).ok()?;
    }
}
