//! Who is connected, as CLIENT LIST and INFO tell.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A connection, as others see it.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) address: SocketAddr,
    pub(super) name: String,
    pub(super) library: String,
    pub(super) library_version: String,
    pub(super) protocol: u8,
    since: Instant,
}

/// All connections.
#[derive(Debug)]
pub(super) struct Clients {
    limit: usize,
    connected: Mutex<BTreeMap<u64, Client>>,
    last_id: AtomicU64,
    /// Commands taken since the start.
    pub(super) commands: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// A connection's place among all. Given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    clients: Arc<Clients>,
    pub(super) id: u64,
}

impl Clients {
    pub(super) fn new(limit: usize) -> Clients {
        Clients {
            limit,
            connected: Mutex::default(),
            last_id: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Client>> {
        self.connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection, unless there are too many.
    pub(super) fn enter(self: &Arc<Clients>, address: SocketAddr) -> Option<Place> {
        let mut connected = self.lock();
        if connected.len() >= self.limit {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Client {
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
        Some(Place {
            clients: self.clone(),
            id,
        })
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
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

impl Client {
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

impl Place {
    /// Changes what others see of this connection.
    pub(super) fn change(&self, change: impl FnOnce(&mut Client)) {
        if let Some(client) = self.clients.lock().get_mut(&self.id) {
            change(client);
        }
    }

    pub(super) fn get(&self) -> Option<Client> {
        self.clients.lock().get(&self.id).cloned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clients.lock().remove(&self.id);
    }
}
