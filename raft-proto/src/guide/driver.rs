//! The contract of a driver, as a checklist.
//!
//! A driver is the part around [`Raft`](crate::Raft) that has a clock, a disk, a network and a
//! service. [`Input`](crate::Input), [`Action`](crate::Action) and [`Write`](crate::Write) say what
//! each call means. This page says what a driver has to do, in the order of its life.
//! [`mistakes`](super::mistakes) says what each omission looks like.
//!
//! Four programs follow it:
//!
//! | program | runtime | storage | transport |
//! |---|---|---|---|
//! | `raft-proto/examples/tokio.rs` | tokio, one task for the core | a file, synced by a thread of its own | TCP, a task for each connection |
//! | `raft-proto/examples/poll.rs` | one thread for each node, `mio` | a file, synced between two waits | TCP, non-blocking sockets |
//! | `raft-proto/examples/embedded.rs` | none: `core` and `alloc` | two areas of flash memory, with snapshots | datagrams that get lost |
//! | the crate `raft-driver-thread` | threads | segments with checksums, mended from peers | TCP with TLS |
//!
//! ```sh
//! cargo run -p raft-proto --example tokio
//! ```
//!
//! # Start
//!
//! 1. Lock the storage. Two processes with one storage vote twice.
//! 2. Read what it holds, and apply its writes in their order
//!    ([`Recovered::apply`](crate::Recovered::apply)). Stop at the first write that is not whole:
//!    it was torn by a crash, and was never reported.
//! 3. Cut off what was torn, and sync. The core takes [`Recovered`](crate::Recovered) for durable,
//!    and what was read may have come from a page cache.
//! 4. Load the service from the recovered snapshot. No action does that:
//!    [`Restore`](crate::Action::Restore) is for snapshots that are received later. Without a
//!    snapshot, the service begins empty. A service that keeps its state on disk loads the snapshot
//!    only if its own state is older. Delete all other snapshots.
//! 5. If the service keeps its own state on disk, set
//!    [`Recovered::applied`](crate::Recovered::applied). If not, leave it `None`: the entries after
//!    the snapshot are handed out again.
//! 6. Draw a fresh [`seed`](crate::Config::seed). Nodes with one seed draw different timeouts,
//!    since the node's id is mixed in.
//! 7. Call [`Raft::new`](crate::Raft::new). A [`StartError`](crate::StartError) says what to
//!    change.
//! 8. Give the first event, a [`Tick`](crate::Input::Tick).
//!
//! # The loop
//!
//! 1. Wait for an input: a message, a request, the end of earlier work, or the time that
//!    [`WakeAt`](crate::Action::WakeAt) named.
//! 2. Read the clock *after* the input was received.
//! 3. Call [`Raft::step`](crate::Raft::step).
//! 4. Perform the actions.
//!
//! There is one deadline. The newest `WakeAt` replaces the one before, and a step without one
//! leaves it as it is. A tick ends it. If the step of that tick names none, there is nothing to
//! wait for. So forget the deadline before the step of a tick, or a node without deadlines is given
//! ticks without end.
//!
//! | action | order |
//! |---|---|
//! | [`Persist`](crate::Action::Persist) | by seq, each whole or not at all |
//! | [`Apply`](crate::Action::Apply), [`Restore`](crate::Action::Restore) | as they came out |
//! | [`WriteSnapshot`](crate::Action::WriteSnapshot) | as they came out |
//! | everything else | any, and in parallel |
//!
//! `Send` need not wait for `Persist`. What has to wait for the disk comes out of the step that is
//! given [`Persisted`](crate::Input::Persisted):
//!
//! ```
//! use raft_proto::*;
//!
//! let start = Start::voters([NodeId(1), NodeId(2), NodeId(3)]);
//! let mut config = Config::new(ClusterId(7), NodeId(1), start, 42);
//! config.pre_vote = PreVoting::Off;
//! let mut raft = Raft::new(config.clone(), Recovered::default())?;
//! let mut step = |at, input| raft.step(Event { at, input });
//!
//! let actions = step(Time::ZERO, Input::Tick);
//! let [Action::WakeAt(timeout)] = actions[..] else { panic!("{actions:?}") };
//!
//! // Its election timeout has elapsed: it votes for itself, and asks nobody yet.
//! let actions = step(timeout, Input::Tick);
//! let is_sent = |action: &Action| matches!(action, Action::Send { .. });
//! let persisted = actions.iter().find_map(|action| match action {
//!     Action::Persist(write) => Some(write.clone()),
//!     _ => None,
//! });
//! let write = persisted.expect("a candidate stores its term and its vote");
//! assert!(!actions.iter().any(is_sent));
//!
//! // Its vote is on its disk: the requests for votes leave.
//! let actions = step(timeout, Input::Persisted { seq: write.seq });
//! assert_eq!(actions.iter().filter(|action| is_sent(action)).count(), 2);
//!
//! // What a restart finds. The clock may begin anew, and so does the number of the writes.
//! let mut recovered = Recovered::default();
//! recovered.apply(&write);
//! config.seed = 43;
//! let mut restarted = Raft::new(config, recovered)?;
//! restarted.step(Event { at: Time::ZERO, input: Input::Tick });
//! assert_eq!((restarted.term(), restarted.voted_for()), (Term(1), Some(NodeId(1))));
//! # Ok::<(), StartError>(())
//! ```
//!
//! # Durability
//!
//! * Say [`Persisted`](crate::Input::Persisted) when a loss of power cannot undo the write any
//!   more. A write in a page cache is not there yet.
//! * Writes that wait may share one sync. Then report the last of them: a report is cumulative.
//! * A write that is not reported holds back only what rests on it. Heartbeats and their answers go
//!   on, so a slow disk does not look like a dead node.
//! * If a write or a sync fails, say [`PersistFailed`](crate::Input::PersistFailed). The instance
//!   ends with [`Faulted`](crate::Action::Faulted). Read the storage again, and begin a new
//!   instance. Never repeat a failed sync on the same file.
//! * How a [`Write`](crate::Write) becomes bytes is the driver's own affair. It implements serde's
//!   traits, and the examples store it with `postcard`. That encoding may change with a release of
//!   this crate: put a version before it.
//! * A new file is durable when its directory is synced, too.
//! * A whole write that the storage had reported, and finds damaged at a start, is not a torn end.
//!   To cut it off would take back an acknowledgement. Say so by
//!   [`Recovered::lose_after`](crate::Recovered::lose_after). To tell the two apart, a storage
//!   marks up to where it has reported. The files of the examples do not.
//! * An emptied storage is another storage, also under the same node id. Set
//!   [`Config::incarnation`](crate::Config::incarnation), and the cluster notices.
//!
//! # Crash and restart
//!
//! * A crash needs no preparation. Drop everything, and go back to the start.
//! * Stop the old instance's disk work before the new instance opens the storage. A thread may
//!   still be in a sync. (`examples/tokio.rs` waits for it.)
//! * The new instance counts its writes from 1 again. Give it no report of an earlier one.
//! * It may use another epoch for its clock: no time is stored.
//! * Messages to and from the earlier instance may still arrive. They are late, and late messages
//!   are harmless.
//! * With [`CheckQuorum::On`](crate::CheckQuorum::On) a node that used its storage before ignores
//!   candidates for [`election_timeout_min`](crate::Config::election_timeout_min) after its start.
//!
//! # Messages
//!
//! * [`wire`](crate::wire) makes a frame of a message. The transport keeps frames apart.
//!   [`Receiver`](crate::wire::Receiver) refuses frames of other clusters and for other nodes.
//! * Bytes have to arrive as they were sent. The checksum of TCP is weak: use TLS, or a checksum of
//!   your own, as the examples do.
//! * Who sent a message is the transport's word. The sender in an envelope is a claim. TLS can
//!   prove it.
//! * Give [`Unreachable`](crate::Input::Unreachable) when a connection breaks, and for each message
//!   that could not be sent. Its step sends nothing, so this makes no loop.
//! * [`transports`](super::transports) has the settings.
//!
//! # Snapshots and their files
//!
//! 1. When the log has grown, the service makes a snapshot of its state after the last entry that
//!    it has applied. That entry's id, the snapshot's length and its checksum are its
//!    [`SnapshotId`](crate::SnapshotId).
//! 2. The driver syncs its bytes, under a name made of the id. Only then it gives
//!    [`Compact`](crate::Input::Compact).
//! 3. The core answers with a [`Write`](crate::Write) whose `compact` names the snapshot. From that
//!    write on, a restart recovers it. The meta in the write has the members: store it.
//! 4. [`ReleaseSnapshot`](crate::Action::ReleaseSnapshot) says when the one before may go.
//!
//! A follower that is too far behind is sent the snapshot. The leader's driver answers
//! [`ReadSnapshot`](crate::Action::ReadSnapshot) with exactly the bytes asked for. The follower's
//! driver writes the chunks into a partial file, and answers each one. After the last answer comes
//! a [`Write`](crate::Write) with an `install`: the file is whole and verified. Sync the file, and
//! then make it the snapshot that a restart recovers. After `Persisted` comes
//! [`Restore`](crate::Action::Restore).
//!
//! [`mistakes`](super::mistakes) has a table of who deletes which file. `examples/embedded.rs` is a
//! whole driver with snapshots.
//!
//! # Queues
//!
//! | queue | what bounds it | may it lose? |
//! |---|---|---|
//! | writes to the disk | on a leader [`max_uncommitted_bytes`](crate::Config::max_uncommitted_bytes), on a follower the leader's [`max_inflight_bytes`](crate::Config::max_inflight_bytes) | never |
//! | entries to apply | [`max_unapplied_bytes`](crate::Config::max_unapplied_bytes) | never |
//! | chunks to write | the leader's `max_inflight_bytes` | never, but the write may fail |
//! | reports: `Persisted`, `Applied`, answers to reads | the work they report; `Persisted` and `Applied` are cumulative, so the newest is enough | never |
//! | messages to a peer | the driver | yes: drop the oldest |
//! | messages of peers | the driver, or the back-pressure of the connection | yes |
//! | requests of clients | the driver; the core refuses with [`TooManyUncommitted`](crate::ProposeError::TooManyUncommitted) and [`TooManyUnapplied`](crate::ProposeError::TooManyUnapplied) | refuse, and say so |
//!
//! Two bounded queues in a circle can stop each other: the core waits for room to the disk, and the
//! disk for room to the core. Give `Persisted` a place of its own that the newest report
//! overwrites, as `examples/tokio.rs` does.
//!
//! # Clocks
//!
//! * [`Event::at`](crate::Event::at) comes from a monotonic clock. Wall-clock time may jump.
//! * Each node has its own epoch. Times of two nodes are never compared.
//! * Without leases, a clock that runs wrong costs elections and delays, and no safety.
//! * With [`Lease::On`](crate::Lease::On), the clock has to keep its rate within `max_drift_ppm`,
//!   also while the machine sleeps. On Linux that is `CLOCK_BOOTTIME`. `std::time::Instant` stands
//!   still during sleep there.
//!
//! # Clients that wait
//!
//! A [`Proposed`](crate::Action::Proposed) with a place is not a commit. Keep the client and its
//! [`EntryId`](crate::EntryId) until [`Fate::of`](crate::Fate::of) decides.
//!
//! | event | what becomes of the clients that wait |
//! |---|---|
//! | `Proposed` with an error | answer at once: nothing was done. [`NotLeader`](crate::ProposeError::NotLeader) names the leader |
//! | `Apply` | ask `Fate::of` with its entries: `Committed` gets the service's answer, `Lost` may be proposed again |
//! | `Restore` | ask `Fate::of` with the snapshot's last entry: `Committed` has no answer here, and `Unknown` stays unknown |
//! | `LeaderChanged`, `RoleChanged` | they go on waiting: the next leader commits or overwrites the entry |
//! | `Faulted`, a crash | unknown |
//! | the client's own time limit | unknown |
//!
//! A client whose outcome is unknown may repeat a command only if the service recognizes it:
//! [`service`](super::service) shows how.
//!
//! # Before it goes into production
//!
//! * Match [`Action`](crate::Action) without a wildcard, so that a new kind breaks the build.
//! * Raise an alarm for [`Refused`](crate::Action::Refused) (a defect of the driver),
//!   [`Rejected`](crate::Action::Rejected), [`LostState`](crate::Action::LostState),
//!   [`ForeignIncarnation`](crate::Action::ForeignIncarnation),
//!   [`Overdue`](crate::Action::Overdue) and [`SnapshotDamaged`](crate::Action::SnapshotDamaged).
//! * Cut the power in a test: truncate the storage to anything not shorter than what was reported,
//!   and start again. `examples/embedded.rs` does that once.
//! * Record the events of a node ([`recording`](crate::recording)). A failure is then replayed.
