//! The connections that other nodes opened.

use super::hello::{Hello, StreamKind};
use raft_proto::NodeId;
use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct Connections {
    max_connections: usize,
    state: Mutex<State>,
}

/// A connection's number, unique within a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionId(u64);

#[derive(Debug, Default)]
struct State {
    is_stopped: bool,
    next_id: u64,
    open: BTreeMap<ConnectionId, TcpStream>,
    /// The newest connection of each peer.
    newest: BTreeMap<(NodeId, StreamKind), ConnectionId>,
}

impl Connections {
    pub(super) fn new(max_connections: usize) -> Connections {
        Connections {
            max_connections,
            state: Mutex::new(State::default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection; `None` if too many are open.
    pub(super) fn add(&self, tcp: &TcpStream) -> io::Result<Option<ConnectionId>> {
        let mut state = self.lock();
        if state.open.len() >= self.max_connections {
            return Ok(None);
        }
        let id = ConnectionId(state.next_id);
        state.next_id += 1;
        state.open.insert(id, tcp.try_clone()?);
        Ok(Some(id))
    }

    /// The handshake has told whose connection this is. It closes an older one of the same peer and
    /// kind, which the peer has given up.
    pub(super) fn set_peer(&self, id: ConnectionId, hello: &Hello) {
        let mut state = self.lock();
        let older = state.newest.insert((hello.from, hello.kind), id);
        if let Some(connection) = older.and_then(|older| state.open.get(&older)) {
            let _ = connection.shutdown(Shutdown::Both); // It may be closed already.
        }
    }

    pub(super) fn remove(&self, id: ConnectionId) {
        let mut state = self.lock();
        state.open.remove(&id);
        state.newest.retain(|_, newest| *newest != id);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// Closes all connections; no more are to be accepted.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        for connection in state.open.values() {
            let _ = connection.shutdown(Shutdown::Both); // It may be closed already.
        }
    }
}
