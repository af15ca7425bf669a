//! The interface of MIT's lab: a channel of [`ApplyMsg`], for services that prefer to take
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
//! The channel holds [`CAPACITY`] messages. A service that reads slowly holds up nothing but its own
//! node's applies: the log grows, heartbeats and elections go on.
//!
//! Indexes of commands have gaps where entries are the protocol's own; with
//! [`leader_noop`](raft_proto::Config::leader_noop) off and no change of the members they have
//! none, as in the lab.

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

/// How many messages wait at most in the channel.
pub const CAPACITY: usize = 256;

/// What the service is told, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyMsg {
    /// Apply this command.
    Command {
        /// Its index and term.
        id: EntryId,
        /// What was given to [`Raft::start`] on some node.
        command: Vec<u8>,
    },
    /// Replace the state by this one: at a start if there is a snapshot, and when a leader sends one.
    Snapshot {
        /// The last entry that it covers.
        last: EntryId,
        /// What was given to [`Raft::snapshot`] on some node.
        data: Vec<u8>,
    },
}

/// A node under the lab's interface. Clones are handles to the same one; dropping the last kills
/// it.
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
    /// Dropped before the node is, which may be waiting for room in the channel.
    open: Arc<Mutex<Option<Sender<Infallible>>>>,
    node: Node<Channel>,
}

impl Raft {
    /// Starts a node, and gives the channel from which the service takes what it applies.
    /// [`Options::snapshots`] is not used: the service decides, with [`Raft::snapshot`].
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

    /// Begins agreement on a command, if this node leads: says where it will stand, should it ever
    /// be committed. Waits for the core's turn, not for agreement.
    ///
    /// # Errors
    ///
    /// [`RequestError::Refused`] if this node does not lead: the reason names who does.
    pub fn start(&self, command: impl Into<Bytes>) -> Result<EntryId, RequestError<ProposeError>> {
        self.node.propose(command).map(|(id, _)| id)
    }

    /// The current term, and whether this node believes that it leads.
    pub fn get_state(&self) -> (Term, bool) {
        let state = self.node.state();
        (state.term, state.role == RoleKind::Leader)
    }

    /// The service has this state after `last`, an entry that it has taken from the channel: the log
    /// up to there is not needed any more. Waits until the snapshot is on disk.
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

    /// Changes of role, leader and members from now on, and the end.
    pub fn subscribe(&self) -> Receiver<NodeEvent> {
        self.node.subscribe()
    }

    /// Stops the node at once, however many handles there are.
    pub fn kill(self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        *open = None;
        drop(open);
        self.node.kill();
    }
}

/// The state machine that applies by telling the channel.
#[derive(Debug)]
struct Channel {
    messages: Sender<ApplyMsg>,
    closed: Receiver<Infallible>,
}

impl Channel {
    /// Waits for room, as long as somebody holds the node. Without a reader nobody misses it.
    fn tell(&self, message: ApplyMsg) {
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
            self.tell(ApplyMsg::Command {
                id: command.id,
                command: command.payload.to_vec(),
            });
            answers.push(());
        }
    }

    fn snapshot(&mut self) {}

    fn write_snapshot((): (), _: &mut dyn Write) -> io::Result<()> {
        Err(io::Error::other("the service makes its own"))
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
        self.tell(ApplyMsg::Snapshot { last, data });
        Ok(())
    }
}
