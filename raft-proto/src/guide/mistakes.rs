//! The ways to get the contract wrong, what each looks like, and how a driver finds out.
//!
//! # What safety rests on
//!
//! Three promises, which no library can check for the driver. Breaking one loses acknowledged
//! commands, perhaps much later and with nothing to see until then.
//!
//! | mistake | what comes of it |
//! |---|---|
//! | [`Persisted`](crate::Input::Persisted) is said when a write is in a page cache, not on stable storage | after a loss of power this node denies a vote or an entry that it gave: two leaders in a term, or a committed entry that is lost |
//! | writes take effect out of the order of `seq`, or in part | the same |
//! | a sync that failed is repeated and then called done | the same: the system may have dropped the bytes. Say [`PersistFailed`](crate::Input::PersistFailed), and begin anew |
//! | bytes reach [`Receive`](crate::Input::Receive) other than they were sent | anything. Check them (TLS, a checksum) |
//! | a storage is emptied under the same node id | the same as the first. With [`Config::incarnation`](crate::Config::incarnation) the cluster notices, and that node does not count |
//! | an old copy is put in the place of a storage | the same as the first. Its incarnation is the same, so only a leader that knows of a longer log notices ([`LostState`](crate::Action::LostState)) |
//! | two processes run with one storage | the same. Lock it |
//! | `at` is read before the input was received, or clocks run beyond [`Lease::On`](crate::Lease::On)'s bound, or stand still while the machine sleeps | reads under a lease are stale; nothing else |
//!
//! # What progress rests on
//!
//! These break nothing and stop something. The node says so:
//! [`Raft::waits_for`](crate::Raft::waits_for) (and
//! [`Status::waits_for`](crate::Status::waits_for)) names what it waits for and since when, and
//! [`Overdue`](crate::Action::Overdue) comes once after ten election timeouts.
//!
//! | forgotten | what it looks like | what tells |
//! |---|---|---|
//! | the first [`Tick`](crate::Input::Tick) | nothing happens at all | [`Awaited::FirstTick`](crate::Awaited::FirstTick) in `waits_for`: a node without an event can do no action |
//! | the tick of a [`WakeAt`](crate::Action::WakeAt) | no elections, no heartbeats; transfers and reads never end | [`Awaited::Tick`](crate::Awaited::Tick), once anything else happens |
//! | [`Persisted`](crate::Input::Persisted) | no votes, no acknowledgements, nothing is applied | [`Awaited::Persisted`](crate::Awaited::Persisted); with [`CheckQuorum::On`](crate::CheckQuorum::On) a leader gives up its leadership |
//! | [`Applied`](crate::Input::Applied) | entries come until [`max_unapplied_bytes`](crate::Config::max_unapplied_bytes), then no more | [`Awaited::Applied`](crate::Awaited::Applied) |
//! | [`SnapshotRead`](crate::Input::SnapshotRead), [`EntriesRead`](crate::Input::EntriesRead) | one follower stays behind | its [`PeerStatus`](crate::PeerStatus) does not change |
//! | [`SnapshotWritten`](crate::Input::SnapshotWritten) | this node stays behind | the leader sends the same chunk again and again |
//! | [`Compact`](crate::Input::Compact) | the log grows | [`Status::log_base`](crate::Status::log_base), the disk |
//!
//! # What becomes of a request
//!
//! Each request has an id, and each id exactly one outcome *of the core*. Whether the *command*
//! took effect is another question, which only the log answers:
//!
//! | outcome | what it means | what decides |
//! |---|---|---|
//! | [`Proposed`](crate::Action::Proposed) with a place | the commands stand in this leader's log, not more | [`Fate::of`](crate::Fate::of), with each entry that is applied and each snapshot that is restored |
//! | [`ChangeProposed`](crate::Action::ChangeProposed) with a place | the configuration stands in this leader's log, and is in force there | the same. [`MembershipChanged`](crate::Action::MembershipChanged) says when another one is in force; what was committed is in the entries applied |
//! | [`LeaderChanged`](crate::Action::LeaderChanged), [`RoleChanged`](crate::Action::RoleChanged) | *nothing* is known of what this node had proposed: its entries may be on other disks | go on waiting: the next leader commits or replaces them, and this node hears of it when it follows that leader |
//! | [`Faulted`](crate::Action::Faulted) | the same: what was sent was sent | the instance that follows, from the same storage; or the service, if it recognizes commands |
//! | a [`Restore`](crate::Action::Restore) jumps over the place | by its term: committed, lost, or unknown for ever | [`Fate::of`](crate::Fate::of) with the snapshot's last entry |
//! | a node that is cut off hears nothing | nothing | the driver's own time limit; then the outcome is unknown |
//!
//! A command whose outcome is unknown may be given again only if the service recognizes it: a
//! session with a serial number (thesis 6.3).
//!
//! # Files of snapshots
//!
//! The driver makes them, and the core says when one may go:
//!
//! | file | who deletes it |
//! |---|---|
//! | one that the core has taken by [`Compact`](crate::Input::Compact), or installed | [`ReleaseSnapshot`](crate::Action::ReleaseSnapshot) says when |
//! | one given by `Compact` that is not newer than the one in use | `ReleaseSnapshot`, at once: a stale compaction does no harm |
//! | one whose `Compact` was [`Refused`](crate::Action::Refused) | the driver, at once: the core has forgotten it. With [`NoConfiguration`](crate::Refusal::NoConfiguration) it may be given again later |
//! | a partial one | the driver, when the next one begins at offset 0 |
//! | all but the recovered one, at a restart | the driver |
