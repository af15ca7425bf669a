//! The clients that are connected, as CLIENT LIST and INFO show them.

use super::stats::Counter;
use crate::resp::ClientFilter;
use crate::settings::ADMIN_USER;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A connected client.
#[derive(Clone, Debug)]
pub(super) struct ClientInfo {
    pub(super) id: u64,
    pub(super) socket: ClientSocket,
    pub(super) name: String,
    pub(super) library: String,
    pub(super) library_version: String,
    pub(super) protocol: u8,
    pub(super) activity: ClientActivity,
    since: Instant,
}

/// Where a client's connection ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientSocket {
    /// The client's address.
    pub(super) address: SocketAddr,
    /// This server's address, to which it has connected.
    pub(super) local: SocketAddr,
    /// The descriptor; -1 where there are none.
    pub(super) descriptor: i64,
}

/// What a client did last, and what waits for it. A connection tells it with each batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientActivity {
    pub(super) last: Instant,
    /// Its last command; `None` before the first.
    pub(super) command: Option<&'static str>,
    pub(super) user: User,
    /// The database that it chose, which need not exist.
    pub(super) database: i64,
    /// How many commands of a transaction are queued, and about how long their arguments are; `None`
    /// outside one.
    pub(super) queued: Option<(usize, usize)>,
    /// READONLY was sent.
    pub(super) reads_stale: bool,
    /// Bytes of requests that have arrived and were not taken yet.
    pub(super) unread: usize,
    /// Bytes of replies that were not written yet.
    pub(super) unwritten: usize,
}

impl ClientActivity {
    /// Of a client that has done nothing yet.
    fn none(user: User) -> ClientActivity {
        ClientActivity {
            last: Instant::now(),
            command: None,
            user,
            database: 0,
            queued: None,
            reads_stale: false,
            unread: 0,
            unwritten: 0,
        }
    }
}

/// As whom the client has authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    /// A client as any other, who need not have authenticated where there is no password.
    Default,
    /// Who may change the cluster.
    Admin,
}

impl User {
    fn name(self) -> &'static str {
        match self {
            User::Default => "default",
            User::Admin => ADMIN_USER,
        }
    }
}

/// All connected clients.
#[derive(Debug)]
pub(super) struct ClientRegistry {
    max_connections: usize,
    connected: Mutex<BTreeMap<u64, Arc<Mutex<ClientInfo>>>>,
    /// Clients that were let in. The last one's number is the total.
    pub(super) accepted: Counter,
    /// Commands that clients sent.
    pub(super) commands: Counter,
    /// Connections that were rejected, because there were too many.
    pub(super) rejected: Counter,
}

/// One of the connections that the registry allows. Given back when dropped.
#[derive(Debug)]
pub(super) struct ClientSlot {
    clients: Arc<ClientRegistry>,
    info: Arc<Mutex<ClientInfo>>,
    pub(super) id: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientRegistry {
    pub(super) fn new(max_connections: usize) -> ClientRegistry {
        ClientRegistry {
            max_connections,
            connected: Mutex::default(),
            accepted: Counter::default(),
            commands: Counter::default(),
            rejected: Counter::default(),
        }
    }

    /// A slot for a new connection of this user, unless there are too many.
    pub(super) fn enter(
        self: &Arc<ClientRegistry>,
        socket: ClientSocket,
        user: User,
    ) -> Option<ClientSlot> {
        let mut connected = lock(&self.connected);
        if connected.len() >= self.max_connections {
            self.rejected.add(1);
            return None;
        }
        let id = self.accepted.add(1);
        let info = Arc::new(Mutex::new(ClientInfo {
            id,
            socket,
            name: String::new(),
            library: String::new(),
            library_version: String::new(),
            protocol: 2,
            activity: ClientActivity::none(user),
            since: Instant::now(),
        }));
        connected.insert(id, info.clone());
        drop(connected);
        Some(ClientSlot {
            clients: self.clone(),
            info,
            id,
        })
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.connected).len()
    }

    /// How many clients may be connected.
    pub(super) fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// CLIENT LIST.
    pub(super) fn list(&self, filter: &ClientFilter) -> String {
        let connected = lock(&self.connected);
        let listed: Vec<_> = match filter {
            ClientFilter::All => connected.values().cloned().collect(),
            ClientFilter::Nobody => Vec::new(),
            ClientFilter::Ids(ids) => {
                let known = ids.iter().filter_map(|id| connected.get(id));
                known.cloned().collect()
            }
        };
        drop(connected);
        let mut lines = String::new();
        for client in listed {
            lines.push_str(&lock(&client).line());
        }
        lines
    }
}

impl ClientInfo {
    /// The line of CLIENT INFO: the fields of Redis, in its order. What has no meaning here has the
    /// value that Redis shows of a client that makes no use of it.
    pub(super) fn line(&self) -> String {
        let mut line = String::new();
        let (socket, activity) = (&self.socket, &self.activity);
        let (age, idle) = (self.since.elapsed(), activity.last.elapsed());
        let (multi, multi_bytes) = match activity.queued {
            Some((commands, bytes)) => (i64::try_from(commands).unwrap_or(i64::MAX), bytes),
            None => (-1, 0),
        };
        let (unread, unwritten) = (activity.unread, activity.unwritten);
        // Writing to a string does not fail.
        let _ = write!(
            line,
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub=0 psub=0 ssub=0 \
             multi={multi} qbuf={unread} qbuf-free=0 argv-mem=0 multi-mem={multi_bytes} rbs=1024 \
             rbp=0 obl=0 oll={} omem={unwritten} tot-mem={} events={} cmd={} user={} redir=-1 \
             resp={} lib-name={} lib-ver={}",
            self.id,
            socket.address,
            socket.local,
            socket.descriptor,
            self.name,
            age.as_secs(),
            idle.as_secs(),
            activity.flags(),
            activity.database,
            usize::from(unwritten > 0),
            unread + unwritten + multi_bytes,
            if unwritten > 0 { "rw" } else { "r" },
            activity.command.unwrap_or("NULL"),
            activity.user.name(),
            self.protocol,
            self.library,
            self.library_version,
        );
        line.push('\n');
        line
    }
}

impl ClientActivity {
    /// As Redis has them: `x` in a transaction, `r` reads what may be stale, `N` nothing of that.
    fn flags(&self) -> &'static str {
        match (self.queued, self.reads_stale) {
            (None, false) => "N",
            (None, true) => "r",
            (Some(_), false) => "x",
            (Some(_), true) => "xr",
        }
    }
}

impl ClientSlot {
    /// Changes what is shown of this client.
    pub(super) fn change(&self, change: impl FnOnce(&mut ClientInfo)) {
        change(&mut lock(&self.info));
    }

    pub(super) fn get(&self) -> ClientInfo {
        lock(&self.info).clone()
    }
}

impl Drop for ClientSlot {
    fn drop(&mut self) {
        lock(&self.clients.connected).remove(&self.id);
    }
}
