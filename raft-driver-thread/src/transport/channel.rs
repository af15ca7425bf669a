//! Nodes of one process, connected by queues; with the faults of a bad network, for tests.
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

use super::{Transport, TransportError};
use crate::inbox::Inbox;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use raft_proto::{Config, Membership, Message, NodeId};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a network does to the messages that it takes from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// How many of a thousand messages are lost.
    pub dropped_per_mille: u32,
    /// How many of a thousand arrive twice.
    pub duplicated_per_mille: u32,
    /// Each message is held for a time drawn from nothing to this: messages overtake each other.
    pub max_delay: Duration,
}

impl Faults {
    /// A network without faults.
    pub const NONE: Faults = Faults {
        dropped_per_mille: 0,
        duplicated_per_mille: 0,
        max_delay: Duration::ZERO,
    };

    /// The unreliable network of MIT's 6.5840: one in ten is lost, and each is held for up to 27
    /// ms.
    pub const fn unreliable() -> Faults {
        Faults {
            dropped_per_mille: 100,
            duplicated_per_mille: 20,
            max_delay: Duration::from_millis(27),
        }
    }
}

/// A network within a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Network {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Messages that are held; taken by the network's one thread.
    held: Option<Sender<Held>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    random: ChaCha8Rng,
    cut: BTreeSet<NodeId>,
    inboxes: BTreeMap<NodeId, Inbox>,
}

/// A message that arrives later.
#[derive(Debug)]
struct Held {
    due: Instant,
    inbox: Inbox,
    from: NodeId,
    message: Message,
}

impl Network {
    /// A network without faults, whose faults will be drawn from `seed`. (What they hit depends on the
    /// threads' timing all the same.)
    pub fn new(seed: u64) -> Network {
        let (held, late) = crossbeam_channel::unbounded();
        let builder = std::thread::Builder::new().name("raft-network".into());
        // Without the thread nothing can be held: such messages are lost, as a network may.
        let thread = builder.spawn(move || deliver_late(&late)).ok();
        Network {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    faults: Faults::NONE,
                    random: ChaCha8Rng::seed_from_u64(seed),
                    cut: BTreeSet::new(),
                    inboxes: BTreeMap::new(),
                }),
                held: Some(held),
                thread,
            }),
        }
    }

    /// The end of this node. A later one for the same id takes its place when it is started.
    pub fn transport(&self, node: NodeId) -> ChannelTransport {
        ChannelTransport {
            network: self.clone(),
            node,
            is_started: false,
        }
    }

    /// What becomes of messages from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.lock().faults = faults;
    }

    /// Disconnects a node from all others.
    pub fn cut(&self, node: NodeId) {
        self.shared.lock().cut.insert(node);
    }

    /// Connects it again.
    pub fn heal(&self, node: NodeId) {
        self.shared.lock().cut.remove(&node);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.held = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // It has nothing to say.
        }
    }
}

/// A node's end of a [`Network`].
#[derive(Debug)]
pub struct ChannelTransport {
    network: Network,
    node: NodeId,
    is_started: bool,
}

impl Transport for ChannelTransport {
    fn start(&mut self, config: &Config, inbox: Inbox) -> Result<(), TransportError> {
        if config.node_id != self.node {
            let (node, other) = (self.node, config.node_id);
            let what = format!("the end of {node} was given to {other}");
            return Err(TransportError::Settings(what));
        }
        self.network.shared.lock().inboxes.insert(self.node, inbox);
        self.is_started = true;
        Ok(())
    }

    fn members(&mut self, _membership: &Membership) {} // All of the process can be reached.

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

    fn flush(&mut self) {} // Nothing is gathered.

    fn stop(&mut self) {
        if std::mem::take(&mut self.is_started) {
            self.network.shared.lock().inboxes.remove(&self.node);
        }
    }
}

impl Drop for ChannelTransport {
    fn drop(&mut self) {
        self.stop();
    }
}

impl ChannelTransport {
    /// A node that has stopped, or has no room, loses it.
    fn deliver(&self, inbox: &Inbox, message: Message, delay: Duration) {
        if delay.is_zero() {
            let _ = inbox.try_deliver(self.node, message);
        } else if let Some(held) = &self.network.shared.held {
            let _ = held.send(Held {
                due: Instant::now() + delay,
                inbox: inbox.clone(),
                from: self.node,
                message,
            });
        }
    }
}

impl State {
    fn route(&self, from: NodeId, to: NodeId) -> Option<Inbox> {
        if self.cut.contains(&from) || self.cut.contains(&to) {
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

/// The network's thread: holds messages until they are due.
fn deliver_late(late: &Receiver<Held>) {
    let mut waiting: BTreeMap<(Instant, u64), Held> = BTreeMap::new();
    let mut number = 0;
    loop {
        let next = waiting.first_key_value().map(|((due, _), _)| *due);
        let received = match next {
            Some(due) => late.recv_deadline(due),
            None => late.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(held) => {
                number += 1;
                waiting.insert((held.due, number), held);
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some((_, held)) = waiting.pop_first() {
                    let _ = held.inbox.try_deliver(held.from, held.message);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
