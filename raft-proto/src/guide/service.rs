//! How to write a state machine that is replicated.
//!
//! The core hands out the same commands in the same order on every node. What makes the nodes equal
//! is the service. It keeps four rules.
//!
//! | rule | what breaks without it |
//! |---|---|
//! | A command has the same effect on every node | the nodes' states differ, and nobody notices |
//! | A command that comes twice takes effect once | a client that tries again adds twice |
//! | A snapshot is the state after exactly one index | a restart skips commands, or applies them twice |
//! | The applied index moves with the state | the same |
//!
//! # Determinism
//!
//! [`Action::Apply`](crate::Action::Apply) gives a command to a function of two arguments: the
//! state and the command. It uses nothing else:
//!
//! * No clock. A time that matters is in the command: the proposer puts it there.
//! * No random numbers, no addresses, no order of a hash map that differs between processes.
//! * No files, no network, no environment. No floating point whose result differs by machine.
//! * No limit of this machine. "Out of memory" on one node only is a difference.
//! * An invalid command gets an answer that says so, on every node alike. A panic would stop all
//!   nodes, one after another, as each applies the same command.
//! * A release that applies a command in another way is another state machine. Raise the service's
//!   [`Level`](crate::Level), and apply in the new way only what was proposed when
//!   [`Raft::level`](crate::Raft::level) allowed it.
//!
//! Entries whose [`kind`](crate::Entry::kind) is not [`Command`](crate::EntryKind::Command) are not
//! for the service. It still reports [`Applied`](crate::Input::Applied) past them.
//!
//! # Exactly once
//!
//! A client that hears no answer does not know whether its command took effect. Raft cannot tell
//! it: the entry may be committed after the client has given up. So the client names its command by
//! its own id and a serial number, and the service remembers the last serial number of each client,
//! with the answer (thesis 6.3). A command that comes again is answered again, and not applied.
//!
//! ```
//! use raft_proto::*;
//! use std::collections::BTreeMap;
//!
//! /// A register for each client, and each client's last command.
//! #[derive(Clone, Debug, Default, PartialEq)]
//! struct Counter {
//!     count: u64,
//!     sessions: BTreeMap<u64, (u64, u64)>,
//! }
//!
//! impl Counter {
//!     /// The command: a client, its serial number, and what to add.
//!     fn command(client: u64, serial: u64, add: u64) -> bytes::Bytes {
//!         [client, serial, add].map(u64::to_le_bytes).concat().into()
//!     }
//!
//!     /// The answer, or `None` for a command that no client of this release makes.
//!     fn apply(&mut self, command: &[u8]) -> Option<u64> {
//!         let (parts, []) = command.as_chunks::<8>() else { return None };
//!         let [client, serial, add] = *parts else { return None };
//!         let [client, serial, add] = [client, serial, add].map(u64::from_le_bytes);
//!         let session = self.sessions.entry(client).or_default();
//!         if serial > session.0 {
//!             // Not `+`: an overflow panics in one build, and wraps in another.
//!             self.count = self.count.wrapping_add(add);
//!             *session = (serial, self.count);
//!         }
//!         Some(session.1)
//!     }
//! }
//!
//! let mut counter = Counter::default();
//! assert_eq!(counter.apply(&Counter::command(7, 1, 10)), Some(10));
//! assert_eq!(counter.apply(&Counter::command(8, 1, 5)), Some(15));
//! // The first client's answer was lost, and it tries again.
//! assert_eq!(counter.apply(&Counter::command(7, 1, 10)), Some(10));
//! assert_eq!(counter.count, 15);
//! assert_eq!(counter.apply(b"garbage"), None);
//! ```
//!
//! * The sessions belong to the state: they are in every snapshot.
//! * A session that ends must end on every node at the same command. A time limit needs a time that
//!   is in commands.
//! * One serial number for each client suffices if a client waits for one answer before it sends
//!   the next command. A client with many commands on their way needs its last answers kept, and
//!   says with each command up to which serial number it has heard.
//! * Commands that change nothing when repeated ("set x to 1") still need this if another client
//!   may write between the two.
//!
//! # Snapshots and the applied index
//!
//! A snapshot replaces all entries up to [`SnapshotId::last`](crate::SnapshotId::last). So it holds
//! the state after that entry, and nothing of a later one.
//!
//! * Take `last` and the state at the same moment, between two commands.
//! * A large state is copied on write, or written in pieces from a frozen view, while commands go
//!   on. `last` stays that of the moment at which the view was frozen.
//! * Its bytes carry a version of their own. A release reads the snapshots of the one before it.
//! * Equal states need not have equal bytes. The [`checksum`](crate::Checksum) is of these bytes.
//!   Snapshots of two nodes are never mixed.
//! * After [`Restore`](crate::Action::Restore) everything that was there before is gone: indexes,
//!   caches and sessions too.
//!
//! | the service keeps its state | [`Recovered::applied`](crate::Recovered::applied) | after a restart |
//! |---|---|---|
//! | in memory | `None` | it is loaded from the snapshot, and is given all later entries again |
//! | on disk, with the index in the same transaction | that index | it is given what follows that index |
//! | on disk, without the index | not possible | it could apply commands twice |
//!
//! A service on disk writes its state and the index of the last command in one transaction. Then a
//! crash leaves both or neither. That index must not be beyond the log: the core hands out only
//! entries that are on this node's disk, so it is not, as long as the log is not lost.
//!
//! # Reads
//!
//! A read from the state of one node may be old. [`Input::Read`](crate::Input::Read) makes it
//! linearizable without an entry in the log:
//!
//! 1. Give [`Read`](crate::Input::Read), on any member.
//! 2. The outcome names an index. Wait until the service has applied it.
//! 3. Read.
//!
//! With [`ReadMode::Lease`](crate::ReadMode::Lease) only the leader reads, and no message is sent.
//! It rests on clocks. A read that is refused must not be answered from the state.
//!
//! # Answers
//!
//! The node that proposed a command answers its client when it has applied it. The others compute
//! the same answer, and drop it. [`driver`](super::driver#clients-that-wait) lists what becomes of
//! the clients that wait.
//!
//! # How to test it
//!
//! The crate `raft-sim` has a test kit, `raft_sim::kit`, which does the first two of these, and
//! crashes, partitions and restarts besides:
//!
//! * Apply the same commands to two instances, one of which is replaced by its own snapshot now and
//!   then, and compare the states. `Eq` finds what a checksum of the bytes would not explain.
//! * Give each command twice.
//! * Give it arbitrary bytes.
