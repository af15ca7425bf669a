//! A network of queues between the nodes of one process, with the faults of a bad network, for
//! tests.
//!
//! ```
//! use raft_driver_thread::raft_proto::NodeId;
//! use raft_driver_thread::transport::channel::{Faults, Network};
//!
//! let network = Network::new(42);
//! let one = network.transport(NodeId(1));
//! network.set_faults(Faults::unreliable());
//! network.cut(NodeId(1));
//! # drop(one);
//! ```

use super::{EntrySource, Fetcher, Transport, TransportError};
use crate::inbox::Inbox;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use raft_proto::mending::{Fetch, FetchReply, Request};
use raft_proto::wire::Received;
use raft_proto::{Config, Incarnation, Membership, Message, NodeId};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The faults of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// How many of a thousand messages are lost, on average.
    pub dropped_per_mille: u32,
    /// How many of a thousand messages arrive twice, on average.
    pub duplicated_per_mille: u32,
    /// Each message is delayed by a time that is drawn below this. So messages overtake each other.
    pub max_delay: Duration,
}

impl Faults {
    /// A network without faults.
    pub const NONE: Faults = Faults {
        dropped_per_mille: 0,
        duplicated_per_mille: 0,
        max_delay: Duration::ZERO,
    };

    /// The unreliable network of MIT's 6.5840: one message in ten is lost, and each is delayed by
    /// up to 27 ms. In addition, one in fifty arrives twice.
    pub const fn unreliable() -> Faults {
        Faults {
            dropped_per_mille: 100,
            duplicated_per_mille: 20,
            max_delay: Duration::from_millis(27),
        }
    }
}

/// A network within a process. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// For the network's thread, which delivers them later. `None` only while it is dropped.
    delayed: Option<Sender<Delayed>>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    faults: Faults,
    random: ChaCha8Rng,
    disconnected: BTreeSet<NodeId>,
    inboxes: BTreeMap<NodeId, Inbox>,
    sources: BTreeMap<NodeId, Arc<dyn EntrySource>>,
}

/// A message that arrives later.
#[derive(Debug)]
struct Delayed {
    due: Instant,
    inbox: Inbox,
    received: Received,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Network {
    /// A network without faults. Those that are [set](Network::set_faults) later are drawn from
    /// `seed`; which messages they hit depends also on the timing of the threads.
    pub fn new(seed: u64) -> Network {
        let (delayed, received) = crossbeam_channel::unbounded();
        let builder = std::thread::Builder::new().name("raft-network".into());
        // Without the thread, messages that should be delayed are lost, as a network may lose them.
        let thread = builder.spawn(move || deliver_delayed(&received)).ok();
        Network {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    faults: Faults::NONE,
                    random: ChaCha8Rng::seed_from_u64(seed),
                    disconnected: BTreeSet::new(),
                    inboxes: BTreeMap::new(),
                    sources: BTreeMap::new(),
                }),
                delayed: Some(delayed),
                thread,
            }),
        }
    }

    /// The transport of this node. When a later one for the same id is started, it replaces this
    /// one.
    pub fn transport(&self, node: NodeId) -> ChannelTransport {
        ChannelTransport {
            network: self.clone(),
            node,
            incarnation: None,
            is_started: false,
            source: None,
        }
    }

    /// Applies these faults to all messages that are sent from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.lock().faults = faults;
    }

    /// Disconnects a node from all others.
    pub fn cut(&self, node: NodeId) {
        self.shared.lock().disconnected.insert(node);
    }

    /// Connects a node again.
    pub fn heal(&self, node: NodeId) {
        self.shared.lock().disconnected.remove(&node);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Not under the lock: the source is of others, and may wait.
    fn ask(&self, node: NodeId, peer: NodeId, request: &Request) -> FetchReply {
        let state = self.lock();
        let is_cut = [node, peer]
            .iter()
            .any(|node| state.disconnected.contains(node));
        let source = state.sources.get(&peer).filter(|_| !is_cut).cloned();
        drop(state);
        source.map_or(FetchReply::Unreachable, |source| source.answer(request))
    }
}

/// Asks from one node.
struct ChannelFetcher {
    shared: Weak<Shared>,
    node: NodeId,
}

impl Fetcher for ChannelFetcher {
    fn fetch(&self, peer: NodeId, request: &Request) -> FetchReply {
        let shared = self.shared.upgrade();
        let reply = shared.map(|shared| shared.ask(self.node, peer, request));
        reply.unwrap_or(FetchReply::Unreachable)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.delayed = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // Its failure changes nothing.
        }
    }
}

/// The transport of one node, in a [`Network`].
pub struct ChannelTransport {
    network: Network,
    node: NodeId,
    incarnation: Option<Incarnation>,
    is_started: bool,
    source: Option<Arc<dyn EntrySource>>,
}

impl fmt::Debug for ChannelTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ChannelTransport");
        debug.field("node", &self.node).finish_non_exhaustive()
    }
}

impl Transport for ChannelTransport {
    fn start(&mut self, config: &Config, inbox: Inbox) -> Result<(), TransportError> {
        if config.node_id != self.node {
            let (node, other) = (self.node, config.node_id);
            let what = format!("the transport of {node} was given to {other}");
            return Err(TransportError::Settings(what));
        }
        let mut state = self.network.shared.lock();
        state.inboxes.insert(self.node, inbox);
        if let Some(source) = self.source.take() {
            state.sources.insert(self.node, source);
        }
        drop(state);
        self.incarnation = config.incarnation;
        self.is_started = true;
        Ok(())
    }

    fn set_members(&mut self, _membership: &Membership) {} // Every node of the process can be reached.

    fn send(&mut self, to: NodeId, message: Message) {
        let mut state = self.network.shared.lock();
        let Some(inbox) = state.route(self.node, to) else {
            return;
        };
        let copies = state.copies();
        let delays: Vec<Duration> = (0..copies).map(|_| state.delay()).collect();
        drop(state);
        for delay in delays {
            self.deliver(&inbox, message.clone(), delay);
        }
    }

    fn flush(&mut self) {} // Messages leave at once.

    fn serve_entries(&mut self, source: Arc<dyn EntrySource>) {
        self.source = Some(source);
    }

    fn fetch_entries(&mut self, peer: NodeId, fetch: &Fetch) -> FetchReply {
        let request = Request::Entries(*fetch);
        self.network.shared.ask(self.node, peer, &request)
    }

    fn fetcher(&self) -> Option<Arc<dyn Fetcher>> {
        Some(Arc::new(ChannelFetcher {
            shared: Arc::downgrade(&self.network.shared),
            node: self.node,
        }))
    }

    fn stop(&mut self) {
        if std::mem::take(&mut self.is_started) {
            let mut state = self.network.shared.lock();
            state.inboxes.remove(&self.node);
            let source = state.sources.remove(&self.node);
            drop(state);
            drop(source); // Of others: not under the lock.
        }
    }
}

impl Drop for ChannelTransport {
    fn drop(&mut self) {
        self.stop();
    }
}

impl ChannelTransport {
    /// A node that has stopped, or that has no room, loses the message.
    fn deliver(&self, inbox: &Inbox, message: Message, delay: Duration) {
        let received = Received {
            from: self.node,
            incarnation: self.incarnation,
            message,
            unknown_bytes: 0,
        };
        if delay.is_zero() {
            let _ = inbox.try_deliver(received);
        } else if let Some(delayed) = &self.network.shared.delayed {
            let _ = delayed.send(Delayed {
                due: Instant::now() + delay,
                inbox: inbox.clone(),
                received,
            });
        }
    }
}

impl State {
    fn route(&self, from: NodeId, to: NodeId) -> Option<Inbox> {
        if self.disconnected.contains(&from) || self.disconnected.contains(&to) {
            return None;
        }
        self.inboxes.get(&to).cloned()
    }

    fn copies(&mut self) -> u32 {
        if self.draws(self.faults.dropped_per_mille) {
            return 0;
        }
        1 + u32::from(self.draws(self.faults.duplicated_per_mille))
    }

    fn draws(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.random.next_u32() % 1000 < per_mille
    }

    fn delay(&mut self) -> Duration {
        match u64::try_from(self.faults.max_delay.as_nanos()) {
            Ok(0) | Err(_) => Duration::ZERO,
            Ok(most) => Duration::from_nanos(self.random.next_u64() % most),
        }
    }
}

/// The network's thread: keeps messages until they are due. It delivers all that are due before it
/// waits again, and takes all that came meanwhile: each wait may cost the thread its turn on a busy
/// processor, and messages would pile up, later and later, if there were one for each.
fn deliver_delayed(delayed: &Receiver<Delayed>) {
    // The number tells messages apart that are due at the same instant.
    let mut waiting: BTreeMap<(Instant, u64), Delayed> = BTreeMap::new();
    let mut number = 0;
    loop {
        let now = Instant::now();
        while let Some(first) = waiting.first_entry().filter(|it| it.key().0 <= now) {
            let due = first.remove();
            let _ = due.inbox.try_deliver(due.received);
        }
        let next = waiting.first_key_value().map(|((due, _), _)| *due);
        let received = match next {
            Some(due) => delayed.recv_deadline(due),
            None => delayed.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(first) => {
                for message in std::iter::once(first).chain(delayed.try_iter()) {
                    number += 1;
                    waiting.insert((message.due, number), message);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
