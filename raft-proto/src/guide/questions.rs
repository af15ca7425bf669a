//! Questions that are asked often, each with a short answer and where the long one is.
//!
//! # Before you begin
//!
//! **How many nodes?** Three survive the loss of one, five of two. An even number survives no more
//! than the odd one below it, and needs a larger majority. Learners hold the data without a vote.
//!
//! **Do I need `raft-proto` or a driver?** If threads suit you, `raft-driver-thread` is a driver
//! with a storage and TCP: implement its `StateMachine`. If you have a runtime of your own, write
//! the loop: the examples have one for tokio, one for non-blocking sockets, and one without an
//! operating system.
//!
//! **Can one process run many groups?** Yes: one [`Raft`](crate::Raft) each, told apart by
//! [`group_id`](crate::Config::group_id), which every message carries. They share nothing, so that
//! your driver decides how they share threads, sockets and syncs.
//!
//! **Which time do I pass in?** One that never goes backwards while the process runs, and that
//! goes on while the machine sleeps if you use leases. The wall clock is never needed.
//!
//! # Writing
//!
//! **When is a command safe?** When it is committed, which a proposer sees as it is applied on its
//! own node. [`Proposed`](crate::Action::Proposed) says only where it stands in the leader's log.
//!
//! **My client got no answer. Was it done?** Nobody can know at once. Wait for what is applied at
//! its index, and ask [`Fate::of`](crate::Fate::of); or let the service recognise a command that
//! comes again ([exactly once](super::service#exactly-once)).
//!
//! **Do I have to wait for my own sync before I send?** No. The core withholds what must not leave
//! earlier, and a leader sends entries while its own disk still writes them (thesis 10.2.1).
//!
//! **Why does a new leader append an entry?** So that entries of earlier terms are committed
//! (section 5.4.2) and reads are possible (thesis 6.4). The indexes of your commands have gaps
//! there. [`leader_noop`](crate::Config::leader_noop) turns it off, and says what is lost.
//!
//! # Reading
//!
//! **May a follower answer reads?** By [`ReadMode`](crate::ReadMode): it asks the leader for an
//! index, and waits until it has applied up to it. What it answers without that may be stale.
//!
//! **Lease or quorum?** A lease saves the messages, and rests on clocks that run nearly at one
//! speed. Without trust in clocks, read by quorum: one round for all reads that wait.
//!
//! # When it does not go on
//!
//! **Nothing happens.** See [`Raft::waits_for`](crate::Raft::waits_for): a driver may have
//! forgotten a first [`Tick`](crate::Input::Tick), a [`Persisted`](crate::Input::Persisted) or an
//! [`Applied`](crate::Input::Applied). The page on [mistakes](super::mistakes) has a table.
//!
//! **There is no leader.** A leader is certain where a majority of the voters reach each other both
//! ways, with disks that sync in less than an election timeout. [`Status`](crate::Status) names the
//! role of a node, the leader that it knows, and what the disk and the service still owe. Where
//! [`incarnation`](crate::Config::incarnation) is set, founders that were never started keep a new
//! cluster from being founded.
//!
//! **A majority is lost for good.** Nothing can be committed, and no rule of Raft gets it back.
//! What remains is to continue by force from one server's log, which may lose what was
//! acknowledged.
//!
//! **A disk was lost.** An empty disk has forgotten what the old one promised, so it must never
//! vote in its place. With [`incarnation`](crate::Config::incarnation) the cluster sees to that:
//! start the empty disk under the same number, and take it in as a learner. Without it, remove the
//! member, wait until that is committed, and add the empty disk under a new number.
//!
//! **The term goes up and up.** Somebody asks for votes again and again: a removed node without
//! [`pre_vote`](crate::Config::pre_vote), timeouts shorter than a sync, or a network in which only
//! some hear the leader. Each message and each [`RoleChanged`](crate::Action::RoleChanged) is in a
//! [recording](crate::recording), and replays step by step.
