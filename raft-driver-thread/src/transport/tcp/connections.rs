//! The connections that other nodes opened.
//!
//! Any program that reaches the port can open connections, and so could take all places. Those that
//! have not introduced themselves as a member have a quarter of the places. When these are taken, a
//! further connection closes the oldest of the address that has most of them. A member introduces
//! itself within a round trip, so it is hardly ever closed, however many others come and stay.

use super::answers::Answer;
use super::hello::{Hello, Refusal, StreamKind};
use raft_proto::{Message, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many streams of the service's a member may have open. All members together have half of the
/// places at most.
const MAX_SERVICE_STREAMS: usize = 64;

#[derive(Debug)]
pub(super) struct Connections {
    max_connections: usize,
    max_strangers: usize,
    state: Mutex<State>,
}

/// A connection's number, unique within a transport. Later connections have greater ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionId(u64);

/// Whether a peer had a connection of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Earlier {
    None,
    Replaced,
}

#[derive(Debug, Default)]
struct State {
    is_stopped: bool,
    next_id: u64,
    open: BTreeMap<ConnectionId, Connection>,
    /// The newest connection of each peer.
    newest: BTreeMap<(NodeId, StreamKind), ConnectionId>,
    members: BTreeSet<NodeId>,
}

#[derive(Debug)]
struct Connection {
    tcp: TcpStream,
    address: IpAddr,
    /// What it said in its hello.
    peer: Option<(NodeId, StreamKind)>,
    answer: Arc<Answer>,
    /// It was closed, and its thread will end soon.
    is_closed: bool,
}

impl Connection {
    fn close(&mut self) {
        self.is_closed = true;
        let _ = self.tcp.shutdown(Shutdown::Both); // It may be closed already.
    }
}

impl Connections {
    pub(super) fn new(max_connections: usize) -> Connections {
        Connections {
            max_connections,
            max_strangers: (max_connections / 4).max(1),
            state: Mutex::new(State::default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The members, whose connections have places of their own.
    pub(super) fn set_members(&self, members: impl Iterator<Item = NodeId>) {
        self.lock().members = members.collect();
    }

    /// Adds a connection; `None` if too many are open.
    pub(super) fn add(&self, tcp: &TcpStream, address: IpAddr) -> io::Result<Option<ConnectionId>> {
        let mut state = self.lock();
        if state.strangers().count() >= self.max_strangers {
            state.close_oldest_stranger();
        }
        if state.open.len() >= self.max_connections {
            return Ok(None);
        }
        let id = ConnectionId(state.next_id);
        state.next_id += 1;
        let connection = Connection {
            tcp: tcp.try_clone()?,
            address,
            peer: None,
            answer: Arc::default(),
            is_closed: false,
        };
        state.open.insert(id, connection);
        Ok(Some(id))
    }

    /// Whether this node may have another stream of the service's.
    pub(super) fn check_service(&self, hello: &Hello) -> Result<(), Refusal> {
        let state = self.lock();
        let peers = state.open.values().filter_map(|open| open.peer);
        let senders = peers.filter(|(_, kind)| kind.is_dialogue());
        let senders: Vec<NodeId> = senders.map(|(node, _)| node).collect();
        let of_peer = senders.iter().filter(|node| **node == hello.from).count();
        // Raft's own connections must find places, too.
        let has_place = of_peer < MAX_SERVICE_STREAMS && senders.len() < self.max_connections / 2;
        if state.members.contains(&hello.from) && has_place {
            Ok(())
        } else {
            Err(Refusal::NoService)
        }
    }

    /// The handshake has told whose connection this is. It closes an older one of the same peer and
    /// kind, which the peer has given up. Streams of the service's are many.
    pub(super) fn set_peer(&self, id: ConnectionId, hello: &Hello) -> Earlier {
        let mut state = self.lock();
        let peer = (hello.from, hello.kind);
        if let Some(connection) = state.open.get_mut(&id) {
            connection.peer = Some(peer);
        }
        if hello.kind.is_dialogue() {
            return Earlier::None;
        }
        let older = state.newest.insert(peer, id);
        match older.and_then(|older| state.open.get_mut(&older)) {
            Some(connection) => {
                connection.close();
                Earlier::Replaced
            }
            None => Earlier::None,
        }
    }

    /// What this connection's reader has to answer.
    pub(super) fn answer_of(&self, id: ConnectionId) -> Arc<Answer> {
        let state = self.lock();
        state
            .open
            .get(&id)
            .map(|open| open.answer.clone())
            .unwrap_or_default()
    }

    /// Answers the node of this number that has connected last.
    pub(super) fn answer(&self, peer: NodeId, message: &Message) {
        let state = self.lock();
        let newest = state.newest.get(&(peer, StreamKind::Messages));
        if let Some(connection) = newest.and_then(|id| state.open.get(id)) {
            connection.answer.put(message.clone());
        }
    }

    /// It has ended. Returns the peer whose newest connection for messages it was.
    pub(super) fn remove(&self, id: ConnectionId) -> Option<NodeId> {
        let mut state = self.lock();
        state.open.remove(&id);
        let mut newest = state.newest.iter();
        let ended = newest.find_map(|(peer, newest)| (*newest == id).then_some(*peer))?;
        state.newest.remove(&ended);
        let (peer, kind) = ended;
        (kind == StreamKind::Messages).then_some(peer)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// Closes all connections; no more are to be accepted.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        state.open.values_mut().for_each(Connection::close);
    }
}

impl State {
    /// The connections that have not introduced themselves as a member, from the oldest on.
    fn strangers(&self) -> impl Iterator<Item = (ConnectionId, IpAddr)> {
        let is_member = |peer: &(NodeId, StreamKind)| self.members.contains(&peer.0);
        let of_strangers = self
            .open
            .iter()
            .filter(move |(_, open)| !open.is_closed && !open.peer.as_ref().is_some_and(is_member));
        of_strangers.map(|(id, open)| (*id, open.address))
    }

    /// Closes the oldest stranger of the address from which most of them came.
    fn close_oldest_stranger(&mut self) {
        let mut addresses: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for (_, address) in self.strangers() {
            *addresses.entry(address).or_default() += 1;
        }
        let busiest = addresses.iter().max_by_key(|(_, count)| **count);
        let busiest = busiest.map(|(address, _)| *address);
        let mut strangers = self.strangers();
        let oldest = strangers.find(|(_, address)| Some(*address) == busiest);
        drop(strangers);
        if let Some(connection) = oldest.and_then(|(id, _)| self.open.get_mut(&id)) {
            tracing::debug!(address = ?busiest, "too many strangers: the oldest was closed");
            connection.close();
        }
    }
}
