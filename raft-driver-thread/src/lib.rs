//! Drives [`raft_proto`] with real threads, sockets, disks and wall time.
//!
//! Implement [`StateMachine`], choose a [`Storage`](storage::Storage) and a
//! [`Transport`](transport::Transport), and call [`Node::start`]. No rule of Raft lives here: all
//! are in the core, which this crate feeds with what happened and whose actions it performs.
//!
//! # Threads
//!
//! | thread | does | waits for |
//! |---|---|---|
//! | core | turns: receive, step, perform, all that waits at once | orders, messages, the deadline |
//! | disk | all writes that wait in one sync; reads old entries | the disk |
//! | apply | the state machine | the user's code |
//! | chunks | pieces of snapshots that are sent and received | the disk |
//! | snapshot | writes one snapshot, then ends | the disk |
//! | the transport's own | connections | peers |
//!
//! Turns are also taken by the threads that bring something, the disk's and the transport's, if no other
//! thread is at it: to wake one takes longer than most turns.
//!
//! A turn waits for nobody: what it has for other threads goes into queues whose
//! content is bounded by the core's own limits (uncommitted and unapplied bytes, one chunk a
//! peer) and by [`Options::max_outstanding`]; what peers have for the core waits in a queue that is bounded in
//! bytes.

mod apply_thread;
mod chunk_thread;
mod disk_thread;
mod error;
mod group;
pub mod inbox;
pub mod lab;
mod mailbox;
pub mod metrics;
mod node;
mod observed;
mod options;
mod recorder;
mod shared_core;
mod snapshot_thread;
mod state_machine;
pub mod storage;
mod tasks;
mod threads;
mod ticket;
mod timer;
pub mod transport;
mod turn;
mod waker;

pub use error::{RequestError, StartError, StopReason, Unknown};
pub use group::Group;
pub use node::Node;
pub use observed::{NodeEvent, NodeState};
pub use options::{Options, SnapshotPolicy};
/// The core, whose types this crate's interface speaks in.
pub use raft_proto;
pub use recorder::RecorderOptions;
pub use state_machine::{Command, Commands, StateMachine};
pub use ticket::{Applied, Proposed, Ticket};
