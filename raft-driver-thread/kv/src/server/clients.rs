//! The clients that are connected, as CLIENT LIST and INFO show them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A connected client.
#[derive(Clone, Debug)]
pub(super) struct ClientInfo {
    pub(super) id: u64,
    pub(super) address: SocketAddr,
    pub(super) name: String,
    pub(super) library: String,
    pub(super) library_version: String,
    pub(super) protocol: u8,
    since: Instant,
}

/// All connected clients.
#[derive(Debug)]
pub(super) struct ClientRegistry {
    max_connections: usize,
    connected: Mutex<BTreeMap<u64, ClientInfo>>,
    last_id: AtomicU64,
    /// Commands that clients sent since the start.
    pub(super) commands: AtomicU64,
    /// Connections that were rejected since the start, because there were too many.
    pub(super) rejected: AtomicU64,
}

/// One of the connections that the registry allows. Given back when dropped.
#[derive(Debug)]
pub(super) struct ClientSlot {
    clients: Arc<ClientRegistry>,
    pub(super) id: u64,
}

impl ClientRegistry {
    pub(super) fn new(max_connections: usize) -> ClientRegistry {
        ClientRegistry {
            max_connections,
            connected: Mutex::default(),
            last_id: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, ClientInfo>> {
        self.connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot for a new connection, unless there are too many.
    pub(super) fn enter(self: &Arc<ClientRegistry>, address: SocketAddr) -> Option<ClientSlot> {
        let mut connected = self.lock();
        if connected.len() >= self.max_connections {
            self.rejected.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let client = ClientInfo {
            id,
            address,
            name: String::new(),
            library: String::new(),
            library_version: String::new(),
            protocol: 2,
            since: Instant::now(),
        };
        connected.insert(id, client);
        drop(connected);
        Some(ClientSlot {
            clients: self.clone(),
            id,
        })
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// How many clients may be connected.
    pub(super) fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// CLIENT LIST.
    pub(super) fn list(&self) -> String {
        let mut lines = String::new();
        for client in self.lock().values() {
            lines.push_str(&client.line());
        }
        lines
    }
}

impl ClientInfo {
    /// The line of CLIENT INFO.
    pub(super) fn line(&self) -> String {
        let mut line = String::new();
        let age = self.since.elapsed().as_secs();
        // Writing to a string does not fail.
        let _ = writeln!(
            line,
            "id={} addr={} name={} age={age} resp={} lib-name={} lib-ver={}",
            self.id, self.address, self.name, self.protocol, self.library, self.library_version,
        );
        line
    }
}

impl ClientSlot {
    /// Changes what is shown of this client.
    pub(super) fn change(&self, change: impl FnOnce(&mut ClientInfo)) {
        if let Some(client) = self.clients.lock().get_mut(&self.id) {
            change(client);
        }
    }

    pub(super) fn get(&self) -> Option<ClientInfo> {
        self.clients.lock().get(&self.id).cloned()
    }
}

impl Drop for ClientSlot {
    fn drop(&mut self) {
        self.clients.lock().remove(&self.id);
    }
}
