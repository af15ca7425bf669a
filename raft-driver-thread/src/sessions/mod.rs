//! Sessions: a command that is proposed several times runs once (thesis 6.3).
//!
//! Whoever proposes a command and gets no answer, as from a leader that is cut off or fails, does
//! not know whether it was applied. To propose it again may apply it twice. [`Sessions`] wraps a
//! [`StateMachine`](crate::StateMachine), and recognizes what it has applied already: "if it
//! receives a command whose serial number has already been executed, it responds immediately
//! without re-executing the request" (section 8).
//!
//! A client draws a number for its [`Session`], opens it, and numbers its commands by it. It may
//! then propose a [`Request`] as often as it likes, on any node:
//!
//! ```
//! # use raft_driver_thread::raft_proto::{ClusterId, Config, NodeId, Start};
//! # use raft_driver_thread::storage::MemoryStorage;
//! # use raft_driver_thread::transport::channel::Network;
//! # use raft_driver_thread::{Commands, Node, Options, StateMachine};
//! use raft_driver_thread::fresh_seed;
//! use raft_driver_thread::sessions::{Session, SessionAnswer, Sessions};
//! # use std::{error::Error, io, time::Duration};
//! # #[derive(Default)]
//! # struct Counter(u64);
//! # impl StateMachine for Counter {
//! #     type Answer = u64;
//! #     type Snapshot = u64;
//! #     fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<u64>) {
//! #         for command in commands {
//! #             self.0 += command.payload.len() as u64;
//! #             answers.push(self.0);
//! #         }
//! #     }
//! #     fn snapshot(&mut self) -> u64 {
//! #         self.0
//! #     }
//! #     fn write_snapshot(count: u64, writer: &mut dyn io::Write) -> io::Result<()> {
//! #         writer.write_all(&count.to_le_bytes())
//! #     }
//! #     fn restore(&mut self, reader: &mut dyn io::Read) -> io::Result<()> {
//! #         let mut bytes = [0; 8];
//! #         reader.read_exact(&mut bytes)?;
//! #         self.0 = u64::from_le_bytes(bytes);
//! #         Ok(())
//! #     }
//! # }
//! # fn main() -> Result<(), Box<dyn Error>> {
//! # let config = Config::new(ClusterId(1), NodeId(1), Start::voters([NodeId(1)]), fresh_seed());
//! # let transport = Network::new(1).transport(NodeId(1));
//! # let (options, storage) = (Options::new(config), MemoryStorage::new());
//! let node = Node::start(options, storage, transport, Sessions::new(Counter::default()))?;
//!
//! let session = Session::new(fresh_seed());
//! // Here there is one node; of several, each is asked in turn.
//! let ask = |command: &_| loop {
//!     match node.execute(Clone::clone(command), Duration::from_secs(10)) {
//!         Ok(applied) => return applied.answer,
//!         Err(_) => std::thread::sleep(Duration::from_millis(10)), // Whatever became of it.
//!     }
//! };
//! assert_eq!(ask(&session.open()), SessionAnswer::Opened);
//! let add_three = session.request(b"+++");
//! assert_eq!(ask(add_three.command()), SessionAnswer::Answer(3));
//! assert_eq!(ask(add_three.command()), SessionAnswer::Answer(3)); // It is not applied again.
//! # Ok(())
//! # }
//! ```
//!
//! # What is remembered
//!
//! For each session the answers of its requests, by their numbers, until the client says that it
//! needs them no more: each request names the lowest number that may still be repeated, and a
//! [`Session`] knows that from the requests that are not dropped. Memory is bounded: beyond
//! [`MAX_ANSWERS`] and [`MAX_SESSION_BYTES`] a session forgets the answers of its lowest numbers,
//! and beyond [`MAX_SESSIONS`] and [`MAX_SESSIONS_BYTES`] the session goes that was used least
//! recently. The limits are rules of the replicated state: nodes that disagreed about them would
//! diverge.
//!
//! So a client that is silent while 10,000 others open sessions loses its own
//! ([`SessionAnswer::NoSession`]). If it had proposed the request once only, nothing was done: it
//! opens a session, and makes another request of the same command. If it had proposed the request
//! before, it cannot know. A session that is opened again refuses the requests of before
//! ([`SessionAnswer::Forgotten`]).
//!
//! A request that stays open makes its session keep the answers of all later ones. Once these are
//! too many, the lowest numbers go, and with them a request that was never applied: it is
//! `Forgotten`, too, and never will be. So let no request wait while thousands of others pass it.
//!
//! # Answers
//!
//! Answers are kept as postcard encodes them, and these bytes are replicated state: their lengths
//! decide which are forgotten, and the digest is of them. So an answer is encoded alike on every
//! node: it holds no `HashMap`, and a release that encodes it in another way changes what commands
//! do, as [`NodeState::level`](crate::NodeState::level) is for. Postcard has to read what it wrote.
//! It cannot if serde's `untagged`, `flatten` or `skip_serializing_if` is on the type: then a
//! request that comes again is answered wrongly, or `Forgotten`.
//!
//! # From the first command on
//!
//! A state machine is wrapped before its cluster begins. Commands of before are
//! [`SessionAnswer::Malformed`] to [`Sessions`] and do nothing, and snapshots of before are
//! refused: a node that read its log again would hold another state than the others.
//!
//! # With a table of one's own
//!
//! [`SessionTable`] and [`RequestNumbers`] are the bookkeeping alone, of both sides, for a state
//! machine that encodes its commands, answers and snapshots in its own way. `raft-kv` uses them.

mod client;
mod command;
mod machine;
mod snapshot;
mod table;

pub use client::{Request, RequestNumber, RequestNumbers, Session};
pub use machine::{SessionAnswer, Sessions};
pub use snapshot::SessionsSnapshot;
pub use table::{
    KeptAnswer, MAX_ANSWERS, MAX_SESSION_BYTES, MAX_SESSIONS, MAX_SESSIONS_BYTES, Origin,
    RequestState, SessionState, SessionTable, TableSnapshot,
};
