//! Drives [`raft_proto`] with real threads, sockets, disks and wall time.
//!
//! Implement [`StateMachine`], choose a [`Storage`](storage::Storage) and a
//! [`Transport`](transport::Transport), and call [`Node::start`]. This crate holds no rule of Raft.
//! All rules are in the core: this crate gives it inputs, and performs its actions.
//!
//! # Example
//!
//! A replicated counter, on three nodes in one process:
//!
//! ```
//! use raft_driver_thread::raft_proto::{ClusterId, Config, NodeId, ReadMode, Start};
//! use raft_driver_thread::storage::MemoryStorage;
//! use raft_driver_thread::transport::channel::Network;
//! use raft_driver_thread::{Commands, Node, Options, RequestError, StateMachine, fresh_seed};
//! use std::{error::Error, io, time::Duration};
//!
//! #[derive(Default)]
//! struct Counter(u64);
//!
//! impl StateMachine for Counter {
//!     type Answer = u64;
//!     type Snapshot = u64;
//!     fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<u64>) {
//!         for command in commands {
//!             self.0 += command.payload.len() as u64; // "+++" adds three.
//!             answers.push(self.0);
//!         }
//!     }
//!     fn snapshot(&mut self) -> u64 {
//!         self.0
//!     }
//!     fn write_snapshot(count: u64, writer: &mut dyn io::Write) -> io::Result<()> {
//!         writer.write_all(&count.to_le_bytes())
//!     }
//!     fn restore(&mut self, reader: &mut dyn io::Read) -> io::Result<()> {
//!         let mut bytes = [0; 8];
//!         reader.read_exact(&mut bytes)?;
//!         self.0 = u64::from_le_bytes(bytes);
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn Error>> {
//! let network = Network::new(1);
//! let start = |id| {
//!     let members = Start::voters([NodeId(1), NodeId(2), NodeId(3)]);
//!     // The seed is another one at each start: election timeouts come from it.
//!     let config = Config::new(ClusterId(1), NodeId(id), members, fresh_seed());
//!     let transport = network.transport(NodeId(id));
//!     Node::start(Options::new(config), MemoryStorage::new(), transport, Counter::default())
//! };
//! let nodes = [start(1)?, start(2)?, start(3)?];
//!
//! // Only the leader takes a command: ask one node after another until one of them does.
//! let (leader, applied) = 'found: loop {
//!     for node in &nodes {
//!         match node.execute("+++", Duration::from_secs(60)) {
//!             Ok(applied) => break 'found (node, applied),
//!             // It was not applied and never will be: it can be tried again.
//!             Err(RequestError::Refused(_) | RequestError::NotApplied { .. }) => {}
//!             // It may still be applied: to try again could add six.
//!             Err(error) => return Err(error.into()),
//!         }
//!     }
//!     std::thread::sleep(Duration::from_millis(10));
//! };
//! assert_eq!(applied.answer, 3);
//!
//! // A linearizable read. A follower answers it, too, once it knows the leader.
//! // It may be repeated.
//! let read = || leader.read(ReadMode::Quorum, |counter| counter.0).wait().ok();
//! let count = std::iter::repeat_with(read).find_map(|count| count);
//! assert_eq!(count, Some(3));
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//!
//! | thread | does | waits for |
//! |---|---|---|
//! | `raft-core` | turns: receives, steps the core, performs its actions | tasks, messages, time |
//! | `raft-disk` | writes, as many as wait in one sync; reads old entries | the disk |
//! | `raft-apply` | the state machine | the user's code |
//! | `raft-chunks` | reads and writes chunks of snapshots that are sent and received | the disk, the rate ([`Options::snapshot_sending`]) |
//! | `raft-snapshot` | writes one snapshot, then ends | the disk |
//! | `raft-scrub` | reads what the disk holds, to find decay ([`Options::scrub`]) | the rate, the disk |
//! | `raft-compare` | compares the state with those of the others, to find the one that differs ([`Options::compare`]) | the pause, peers |
//! | the transport's own | connections | peers |
//!
//! A turn takes everything that waits. The disk's and the transport's threads, and those that drop
//! a [`Group`], take the core's turn themselves unless another thread takes one: to wake a thread
//! takes longer than most turns.
//!
//! A turn waits for nothing. What it has for other threads goes into queues whose content is
//! bounded by the core's own limits (uncommitted and unapplied bytes, a snapshot's bytes on their
//! way) and by [`Options::max_outstanding`]. The messages of peers wait for the core in a queue
//! that is bounded in bytes ([`Options::max_inbox_bytes`]).

mod apply_thread;
mod chunk_thread;
mod clock;
mod comparing;
mod disk_thread;
mod error;
mod group;
pub mod guide;
pub mod inbox;
pub mod lab;
mod mailbox;
mod mending;
pub mod metrics;
mod node;
mod observed;
mod offers;
#[cfg(all(feature = "disk", unix))]
mod open_files;
mod options;
mod recorder;
mod scrub_thread;
#[cfg(feature = "sessions")]
pub mod sessions;
mod shared;
mod shared_core;
mod snapshot_sending;
mod snapshot_thread;
mod state_machine;
pub mod storage;
mod tasks;
mod threads;
mod ticket;
mod timings;
pub mod transport;
mod turn;
mod waker;

pub use comparing::Comparison;
pub use error::{RequestError, StartError, StopReason, Unknown};
pub use group::Group;
pub use node::Node;
pub use observed::{NodeEvent, NodeState};
#[cfg(all(feature = "disk", unix))]
pub use open_files::{TooFewOpenFiles, raise_open_files};
pub use options::{
    CompareOptions, Options, ScrubOptions, SnapshotPolicy, SnapshotSending, fresh_incarnation,
    fresh_seed,
};
/// The core, whose types this crate's interface uses.
#[doc(inline)]
pub use raft_proto;
pub use recorder::RecorderOptions;
pub use state_machine::{Command, Commands, Digest, StateMachine};
pub use ticket::{Applied, Proposed, Ticket};
