//! How to run a cluster: what to choose, what to watch, and what to do.
//!
//! # How many nodes
//!
//! | voters | may be down at once | note |
//! |---|---|---|
//! | 1 | 0 | no replication |
//! | 2 | 0 | worse than 1: each of both can stop the cluster |
//! | 3 | 1 | during an upgrade of one node, none other may fail |
//! | 5 | 2 | one may be upgraded while another fails |
//!
//! Put voters where they fail apart: other machines, other racks. An even number tolerates no more
//! than the odd one below it. Learners serve reads and copies in other places, and cost no vote
//! ([`Member::learner`](raft_proto::Member::learner)).
//!
//! A node that is in its founding and has an incarnation needs *all* founders once. From then on a
//! majority suffices.
//!
//! # Memory and disk
//!
//! | what | at most about |
//! |---|---|
//! | the log in memory | [`max_resident_bytes`](raft_proto::Config::max_resident_bytes) (16 MiB), and what is not applied yet |
//! | what waits for commits, on a leader | [`max_uncommitted_bytes`](raft_proto::Config::max_uncommitted_bytes) (64 MiB) |
//! | what waits for the state machine | on a leader [`max_backlog_bytes`](raft_proto::Config::max_backlog_bytes) (256 MiB); a follower has to take what its leader commits |
//! | messages from peers | [`Options::max_inbox_bytes`](crate::Options::max_inbox_bytes) (64 MiB) |
//! | messages to each peer | [`TcpOptions::max_queue_bytes`](crate::transport::tcp::TcpOptions::max_queue_bytes) (32 MiB) |
//! | requests of clients | [`Options::max_outstanding`](crate::Options::max_outstanding) (65,536) |
//! | the log on disk | what was written since the snapshot before ([`SnapshotPolicy`](crate::SnapshotPolicy), 64 MiB or the size of the snapshot), [`max_trailing_bytes`](raft_proto::Config::max_trailing_bytes) (16 MiB) or [`trailing_entries`](raft_proto::Config::trailing_entries), and while a snapshot is sent [`max_transfer_log_bytes`](raft_proto::Config::max_transfer_log_bytes), in segments of 32 MiB |
//! | snapshots on disk | the one in use, the next one, one that is received, and two that peers fetch in place of a state or a log of theirs ([`Offers`](raft_proto::mending::Offers)) |
//!
//! Leave room for five snapshots. A full disk stops the node
//! ([`StorageError::NoSpace`](crate::storage::StorageError::NoSpace)). It has lost nothing: make
//! room, and start it again.
//!
//! # Disks
//!
//! * A write is answered after a sync on a majority. A sync's time is the least latency of a write.
//!   Disks with a cache that survives a loss of power sync in microseconds, others in milliseconds.
//! * A disk that lies about syncs loses acknowledged writes when power fails. Nothing here finds
//!   out.
//! * A disk for the log of its own keeps other programs' writes out of its syncs.
//! * Network file systems: do not. The lock and the sync have to be those of a local disk.
//! * Never put back an old copy of a folder: not from a backup, and not with a virtual machine's
//!   snapshot. It has forgotten votes and entries, and its incarnation is the same. A leader that
//!   knows of a longer log says so ([`NodeEvent::LostState`](crate::NodeEvent::LostState)), but
//!   nobody notices a forgotten vote. Restore a *service* from a backup of the service, as a new
//!   cluster.
//!
//! # Timeouts
//!
//! | setting | default | choose |
//! |---|---|---|
//! | [`heartbeat_interval`](raft_proto::Config::heartbeat_interval) | 100 ms | above a round trip |
//! | [`election_timeout_min`](raft_proto::Config::election_timeout_min) | 500 ms | at least three heartbeats, better five to ten; above the longest pause of a process that is normal |
//! | [`election_timeout_max`](raft_proto::Config::election_timeout_max) | 1 s | above the longest sync that is normal: a leader whose disk stands still for so long gives up its leadership |
//! | [`silence_timeout`](crate::transport::tcp::TcpOptions::silence_timeout) | twice `election_timeout_max`, at least 1 s | the default, the same on all nodes |
//!
//! A crash of the leader's *process* closes its connections. With Pre-Vote and CheckQuorum on, as
//! by default, its followers then ask for votes at once; with leases, when the last promise has run
//! out ([`lease_promise`](raft_proto::Config::lease_promise)). A crash of its *machine*, or a
//! network that is cut, takes an election timeout.
//!
//! A node that has just started votes for nobody for `election_timeout_min`: also with leases off,
//! because it has forgotten what it promised before it stopped, and whom it heard. The leader's
//! lease may rest on that, and during a rolling restart that turns leases on the leader's setting
//! counts, not its own. So of three nodes, restart one at a time, and wait that long before the
//! next one: if the leader fails meanwhile, nobody is elected until the time has passed.
//!
//! # Clocks
//!
//! Without leases clocks need not be right, and need not agree. With
//! [`Lease::On`](raft_proto::Lease::On) they have to run at the right rate, also while the machine
//! sleeps. The driver reads `CLOCK_BOOTTIME` on Linux; elsewhere its clock may stand still during
//! sleep: do not use leases there on machines that sleep. A virtual machine that is paused and
//! resumed has to have its clock put right by the hypervisor.
//!
//! # Membership
//!
//! | to do | how |
//! |---|---|
//! | add a node | [`Member::staging`](raft_proto::Member::staging): it becomes a voter when it has caught up. Start it with [`Start::Join`](raft_proto::Start::Join) and `initial_addresses` |
//! | remove a node | [`NodeChange::Remove`](raft_proto::NodeChange::Remove), and stop it when it says that it was removed |
//! | replace a machine | add the new one, then remove the old one. Or both in one change |
//! | replace a lost disk | start the number with an empty folder, and name its incarnation by a change: first as a learner |
//! | move a node to another address | [`NodeChange::Update`](raft_proto::NodeChange::Update) of its context |
//! | stop a leader without a pause | [`Node::transfer_leadership`](crate::Node::transfer_leadership) first |
//!
//! Never empty a folder and start it under the same number without such a change.
//!
//! # A lost majority
//!
//! Without a majority nothing is committed. Nothing is lost either: bring back the disks of a
//! majority, and the cluster goes on.
//!
//! If they are lost for good, what only they had is lost. This crate has no call that lets a
//! minority go on in the same cluster: the lost half could come back. Found a new cluster with a
//! new [`ClusterId`](raft_proto::ClusterId) from the state of the survivor that has most, and never
//! start the old nodes again. `raft-kv recover --force-new-cluster` does that for its own data, and
//! is an example of it.
//!
//! # Replicas that differ
//!
//! With [`StateMachine::digest`](crate::StateMachine::digest), every node compares its state with
//! those of the others, every ten seconds ([`Options::compare`](crate::Options::compare)). What a
//! majority of the voters holds alike counts as right, whoever leads
//! ([`comparison`](raft_proto::comparison)). A node that holds something else serves no reads,
//! hands over leadership, and replaces its state by a snapshot of one of the majority. That takes
//! no one to help. But find out why it came to that: a state machine that is not deterministic will
//! do it again, and so will memory that fails.
//!
//! A copy of a state is no second witness. A node that was sent a snapshot, by a leader or in place
//! of its own state, counts together with the node whose work that snapshot is
//! ([`Comparison::copies`](crate::Comparison::copies)), and becomes a witness of its own once it
//! agrees with a majority, or all voters agree. So a leader whose state is wrong convicts nobody by
//! the snapshots that it sends.
//!
//! If no majority agrees, all run on, and say so. What to do:
//!
//! 1. *A node is down*: start it. One that lacks only entries applies them by itself, and decides.
//!    One that needs a snapshot gets a copy of the leader's state, and decides nothing.
//! 2. *All run, and it stays undecided*: as many states as nodes, or most of the nodes hold copies
//!    of one (the log line and `copies` name them). No node can tell which state is right. Look at
//!    them ([`Node::inspect`](crate::Node::inspect)), and decide. Transfer leadership to the node
//!    whose state is right. Remove each one whose state is not, and let it join anew with an empty
//!    folder; one at a time, so that a majority goes on. When all hold the same, each is a witness
//!    again. To remove a node is to decide against its state: nobody asks it any more.
//! 3. *After an upgrade from a release that stored no origins*, all nodes that start from a
//!    snapshot are of unknown origin until all voters have answered and agree, once. So start all
//!    of them.
//!
//! While a state is set aside, its node hands over leadership as often as it is elected. A priority
//! that brings leadership back to it costs an election each time: give another node a higher one.
//!
//! # Upgrades
//!
//! Node by node: transfer leadership away, stop, start the new release, and wait until it has
//! caught up (`raft_peer_lag_entries` at the leader). [`raft_proto::guide::compatibility`] says
//! until when the way back is open.
//!
//! # What each metric says
//!
//! [`metrics`](crate::metrics) has their types and units.
//!
//! | metric | what is normal | if not |
//! |---|---|---|
//! | `raft_is_leader` | the sum over all nodes is 1 | 0 for longer than a few election timeouts: no majority, or no network. 2 for a moment: the older leader does not know yet |
//! | `raft_term`, `raft_elections_total` | stand still | they rise: the leader is lost again and again. Look at syncs, pauses, the network; raise the election timeouts |
//! | `raft_commit_index` | rises with writes, alike on all nodes | stands while clients write: see the two rows above |
//! | `raft_apply_lag_entries` | near 0 | it grows: the state machine is too slow, or stuck |
//! | `raft_peer_lag_entries` | near 0 | it grows: that node is down, cut off, or slower than the writes. Near the length of the log: it will be sent a snapshot |
//! | `raft_uncommitted_bytes` | small | near `max_uncommitted_bytes`: commits are too slow, and proposals are refused |
//! | `raft_waiting_reads` | small | it grows: no majority confirms the leader |
//! | `raft_has_lease` | 1 on the leader, with leases on | 0: reads fail, or go by the quorum |
//! | `raft_sync_duration_seconds` | below a tenth of `election_timeout_min` | the disk is slow, or shared |
//! | `raft_sync_writes` | rises with load: more writes share a sync | 1 under load: writes come one at a time |
//! | `raft_rejected_messages_total` | 0 | a node with other settings or of another cluster, or a defect. The log names the reason |
//! | `raft_foreign_incarnations`, `raft_replaced` | 0 | a disk was emptied or swapped: see "replace a lost disk" |
//! | `raft_impaired` | 0 | the node has lost entries, and does not vote until its leader has sent them. Do not stop other nodes meanwhile |
//! | `raft_mended_entries_total` | 0 | the disk had lost entries, and peers have sent them. If it rises again, replace the disk |
//! | `raft_decayed_files` | 0 | the disk returns other bytes than were written. Replace it, one node at a time |
//! | `raft_diverged`, `raft_differing_replicas` | 0 | states differ: see "Replicas that differ" |
//! | `raft_same_state_index` | follows `raft_commit_index` | it stands: too few nodes answer, or the state machine offers no digest |
//! | `raft_snapshot_transfers` | 0 | a peer lacks what the log no longer holds, and is sent a snapshot. If it never ends, `trailing_entries` or `max_transfer_log_bytes` is too small |
//! | `raft_snapshot_sent_bytes_total` | stands still | it rises by [`SnapshotSending`](crate::SnapshotSending)'s rate: the rate decides how long a peer takes to come back |
//! | `raft_missing_founders` | 0 | a founder does not take part: start it, and see that all have the same list |
//!
//! # What the log says
//!
//! | line | what to do |
//! |---|---|
//! | `a message was rejected` | read its reason. Once, after a change of settings: the sender's. Again and again: a foreign node, or a defect |
//! | `an input was refused: a defect of the driver` | report it |
//! | `a follower lost what it had acknowledged` | remove that node, and let it join anew with an empty folder |
//! | `another storage speaks under a member's number` | stop it, or name its storage by a change |
//! | `another storage has this node's number` | stop this node |
//! | `the cluster has removed this node` | stop it |
//! | `the storage failed: the node stops` | look at the disk. What was acknowledged is safe. Start the node again |
//! | `the state machine failed: the node stops` | a defect of the service: it will be the same on other nodes |
//! | `nothing was reported for ten election timeouts` | the disk or the state machine is stuck: look at both; restart the node |
//! | `the stored snapshot is damaged`, `a snapshot has decayed` | nothing at once: a new one is made. Look at the disk |
//! | `the log is damaged` | it names file and offset. Start with `OnDamage::Mend` while the other nodes are well |
//! | `entries are lost: this node does not vote` | nothing while there is a leader |
//! | `the state of this node is not that of the majority` | nothing at once: it is replaced. See "Replicas that differ" |
//! | `the states of these nodes and of this one differ` | see "Replicas that differ" |
//! | `a write at the log's end was not complete: it is dropped` | nothing: a crash tore it, and it was never acknowledged |
//! | `a peer cannot be reached` | is it up, is its address right, does its certificate hold? |
//! | `a member's context is no address` | correct it by a change |
//! | `a member takes no message of this length` | raise that node's `max_append_bytes`, and restart it |
//! | `too many connections: one was closed` | something opens connections that is no member |
//! | `a peer speaks a newer version` | nothing: an upgrade is under way |
//!
//! # What to raise an alarm for
//!
//! No leader for ten election timeouts. Two of three voters behind or down. `safety_violations` in
//! [`Status`](raft_proto::Status) above 0: stop writing, keep the disks and the recordings. Any of
//! the gauges `raft_foreign_incarnations`, `raft_replaced`, `raft_impaired`, `raft_decayed_files`,
//! `raft_diverged`, `raft_differing_replicas` above 0. A disk more than 80 % full.
