//! The interface of MIT's lab (6.5840, lab 3): a channel of [`ApplyMsg`], for services that take
//! commands from a queue in a thread of their own.
//!
//! | the lab | here |
//! |---|---|
//! | `Make(peers, me, persister, applyCh)` | [`Raft::make`] |
//! | `Start(command)` | [`Raft::start`] |
//! | `GetState()` | [`Raft::get_state`] |
//! | `Snapshot(index, bytes)` | [`Raft::snapshot`] |
//! | `Kill()` | [`Raft::kill`], or dropping it |
//!
//! The channel holds [`CAPACITY`] messages. A service that reads slowly delays only the applies of
//! its own node: the log grows, but heartbeats and elections go on.
//!
//! The indexes of commands have gaps where the protocol has entries of its own. With
//! [`leader_noop`](raft_proto::Config::leader_noop) off, and without changes of the members, there
//! are no gaps, as in the lab.

use crate::error::{RequestError, StartError};
use crate::node::Node;
use crate::observed::NodeEvent;
use crate::options::{Options, SnapshotPolicy};
use crate::state_machine::{Commands, StateMachine};
use crate::storage::{Storage, StorageError};
use crate::transport::Transport;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use raft_proto::{EntryId, Index, ProposeError, RoleKind, Term};
use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// How many messages the channel holds.
pub const CAPACITY: usize = 256;

/// A message to the service. They come in the order of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyMsg {
    /// Apply this command.
    Command {
        /// Its index and term.
        id: EntryId,
        /// The bytes that were given to [`Raft::start`] on some node.
        command: Vec<u8>,
    },
    /// Replace the state by this one. Comes first after a start if there is a snapshot, and
    /// whenever a leader's snapshot is installed.
    Snapshot {
        /// The last entry that it covers.
        last: EntryId,
        /// The bytes that were given to [`Raft::snapshot`] on some node.
        data: Vec<u8>,
    },
}

/// A node under the lab's interface. Clones are handles to the same node. Dropping the last handle
/// kills the node.
///
/// ```
/// use raft_driver_thread::lab::{ApplyMsg, Raft};
/// use raft_driver_thread::raft_proto::{ClusterId, Config, NodeId, Start};
/// use raft_driver_thread::storage::MemoryStorage;
/// use raft_driver_thread::{Options, transport::channel::Network};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::new(ClusterId(1), NodeId(1), Start::voters([NodeId(1)]), 1);
/// let transport = Network::new(1).transport(NodeId(1));
/// let (raft, messages) = Raft::make(Options::new(config), MemoryStorage::new(), transport)?;
/// while !raft.get_state().1 {
///     std::thread::yield_now(); // It elects itself.
/// }
/// let id = raft.start("command")?;
/// let command = b"command".to_vec();
/// assert_eq!(messages.recv()?, ApplyMsg::Command { id, command });
/// raft.kill();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Raft {
    /// Dropped before the node: the node's thread may wait for room in the channel.
    open: Arc<Mutex<Option<Sender<Infallible>>>>,
    node: Node<Channel>,
}

impl Raft {
    /// Starts a node, and returns the channel from which the service takes what it has to apply.
    /// [`Options::snapshots`] is ignored: the service makes its snapshots, with [`Raft::snapshot`].
    ///
    /// # Errors
    ///
    /// [`StartError`]: nothing runs then.
    pub fn make<S: Storage, T: Transport>(
        options: Options,
        storage: S,
        transport: T,
    ) -> Result<(Raft, Receiver<ApplyMsg>), StartError> {
        let (messages, receiver) = bounded(CAPACITY);
        let (open, closed) = bounded(0);
        let machine = Channel { messages, closed };
        let options = Options {
            snapshots: SnapshotPolicy::ON_REQUEST,
            ..options
        };
        let node = Node::start(options, storage, transport, machine)?;
        let open = Arc::new(Mutex::new(Some(open)));
        Ok((Raft { open, node }, receiver))
    }

    /// Proposes a command, if this node leads. Returns the index and term at which it will stand,
    /// if it is ever committed. Waits for the core's turn, but not for agreement.
    ///
    /// # Errors
    ///
    /// [`RequestError::Refused`] if this node does not lead: the reason names the leader, if the
    /// node knows one.
    pub fn start(&self, command: impl Into<Bytes>) -> Result<EntryId, RequestError<ProposeError>> {
        self.node.propose(command).map(|(id, _)| id)
    }

    /// The current term, and whether this node believes that it leads.
    pub fn get_state(&self) -> (Term, bool) {
        let state = self.node.state();
        (state.term, state.role == RoleKind::Leader)
    }

    /// Stores the service's state after `last`, an entry that it has taken from the channel. The
    /// log up to that entry is not needed any more. Waits until the snapshot is durable.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if it cannot be made durable; the log stays as it is.
    pub fn snapshot(&self, last: EntryId, data: &[u8]) -> Result<(), StorageError> {
        self.node.store_snapshot(last, &mut |writer| {
            writer.write_all(&last.index.0.to_le_bytes())?;
            writer.write_all(&last.term.0.to_le_bytes())?;
            writer.write_all(data)
        })
    }

    /// The node's events from now on: see [`Node::subscribe`].
    pub fn subscribe(&self) -> Receiver<NodeEvent> {
        self.node.subscribe()
    }

    /// Stops the node at once, also if there are other handles to it.
    pub fn kill(self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        *open = None;
        drop(open);
        self.node.kill();
    }
}

/// The state machine of the node: it sends everything to the channel.
#[derive(Debug)]
struct Channel {
    messages: Sender<ApplyMsg>,
    closed: Receiver<Infallible>,
}

impl Channel {
    /// Waits for room, as long as there is a handle to the node. Without a receiver the message is
    /// dropped.
    fn send(&self, message: ApplyMsg) {
        select! {
            send(self.messages, message) -> _ => {}
            recv(self.closed) -> _ => {}
        }
    }
}

impl StateMachine for Channel {
    type Answer = ();
    type Snapshot = ();

    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<()>) {
        for command in commands {
            self.send(ApplyMsg::Command {
                id: command.id,
                command: command.payload.to_vec(),
            });
            answers.push(());
        }
    }

    fn snapshot(&mut self) {}

    fn write_snapshot((): (), _: &mut dyn Write) -> io::Result<()> {
        Err(io::Error::other("the service makes its own snapshots"))
    }

    fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let (mut index, mut term) = ([0; 8], [0; 8]);
        reader.read_exact(&mut index)?;
        reader.read_exact(&mut term)?;
        let mut data = Vec::new();
        reader.read_to_end(&mut data)?;
        let last = EntryId {
            index: Index(u64::from_le_bytes(index)),
            term: Term(u64::from_le_bytes(term)),
        };
        self.send(ApplyMsg::Snapshot { last, data });
        Ok(())
    }
}
