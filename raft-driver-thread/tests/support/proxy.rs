//! A proxy in front of each node, which cuts, slows and tears connections.

use raft_driver_thread::raft_proto::{Member, NodeId, Start};
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// How long a hello is, and where in it the sender stands.
const HELLO: usize = 38;
const FROM: std::ops::Range<usize> = 21..29;

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
    drawn: u64,
    /// From, to, and an end of it.
    streams: Vec<(u64, u64, TcpStream)>,
}

impl Proxies {
    pub fn new(nodes: u64) -> Proxies {
        let state = Arc::new(Mutex::new(State::default()));
        let begin = |id| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let state = state.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = state.clone();
                    // An end of a connection that fails is what nodes have to live with.
                    std::thread::spawn(move || carry(&state, id, stream));
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

    /// A port for the node, behind its proxy.
    pub fn transport(&self, id: u64) -> TcpTransport {
        let options = TcpOptions::new(Security::PlaintextUnauthenticated);
        let transport = TcpTransport::bind("127.0.0.1:0", options).unwrap();
        self.state().targets.insert(id, transport.local_address());
        transport
    }

    pub fn cut(&self, id: u64) {
        let mut state = self.state();
        state.cut.insert(id);
        state.streams.retain(|(from, to, stream)| {
            let ends = *from == id || *to == id;
            if ends {
                let _ = stream.shutdown(Shutdown::Both);
            }
            !ends
        });
    }

    pub fn heal(&self, id: u64) {
        self.state().cut.remove(&id);
    }

    pub fn be_unreliable(&self) {
        self.state().is_unreliable = true;
    }
}

impl State {
    /// What happens to a piece: how late it is, and whether its connection is torn.
    fn fate(&mut self) -> (Duration, bool) {
        if !self.is_unreliable {
            return (Duration::ZERO, false);
        }
        self.drawn = self.drawn.wrapping_mul(6_364_136_223_846_793_005);
        self.drawn = self.drawn.wrapping_add(1_442_695_040_888_963_407);
        let drawn = self.drawn >> 33;
        (Duration::from_millis(drawn % 20), drawn.is_multiple_of(31))
    }
}

/// One connection to node `to`, until it ends.
fn carry(state: &Mutex<State>, to: u64, mut client: TcpStream) -> Option<()> {
    let mut hello = [0; HELLO];
    client.read_exact(&mut hello).ok()?;
    let from = u64::from_le_bytes(hello[FROM].try_into().unwrap());
    let mut server = {
        let mut state = state.lock().unwrap();
        if state.cut.contains(&from) || state.cut.contains(&to) {
            return None;
        }
        let server = TcpStream::connect(state.targets.get(&to)?).ok()?;
        state.streams.push((from, to, client.try_clone().ok()?));
        state.streams.push((from, to, server.try_clone().ok()?));
        server
    };
    server.set_nodelay(true).ok()?;
    server.write_all(&hello).ok()?;
    let mut back = (server.try_clone().ok()?, client.try_clone().ok()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut back.0, &mut back.1);
        let _ = back.1.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = client.read(&mut buffer).unwrap_or(0);
        let (late, torn) = state.lock().unwrap().fate();
        if read == 0 || torn {
            let _ = server.shutdown(Shutdown::Both);
            let _ = client.shutdown(Shutdown::Both);
            return None;
        }
        std::thread::park_timeout(late);
        server.write_all(&buffer[..read]).ok()?;
    }
}
