//! From the paper to the code, for those who know the paper or have done the MIT lab.
//!
//! "Figure" and "section" mean the extended version of *In Search of an Understandable Consensus
//! Algorithm*, "thesis" Ongaro's *Consensus: Bridging Theory and Practice*. The [crate's first
//! page](crate) has a table from each rule to its file. This page follows Figure 2 the other way,
//! and names what differs.
//!
//! # Figure 2, line by line
//!
//! | Figure 2 | here |
//! |---|---|
//! | currentTerm, votedFor | [`HardState`](crate::HardState); [`Raft::term`](crate::Raft::term), [`Raft::voted_for`](crate::Raft::voted_for) |
//! | log\[\] | [`Entries`](crate::Entries), cut by compaction at [`Raft::log_base`](crate::Raft::log_base) |
//! | "updated on stable storage before responding to RPCs" | [`Action::Persist`](crate::Action::Persist). What has to wait is withheld until [`Persisted`](crate::Input::Persisted) |
//! | commitIndex | [`Raft::commit_index`](crate::Raft::commit_index) |
//! | lastApplied | two: [`Raft::handed_out_index`](crate::Raft::handed_out_index), and [`Raft::applied_index`](crate::Raft::applied_index), which the driver reports |
//! | nextIndex\[\], matchIndex\[\] | [`PeerStatus`](crate::PeerStatus) in [`Raft::peers`](crate::Raft::peers) |
//! | AppendEntries | [`AppendEntries`](crate::AppendEntries): `prev_log` is prevLogIndex and prevLogTerm. leaderId is the sender |
//! | its reply: term, success | [`AppendEntriesReply`](crate::AppendEntriesReply): success says up to which index, failure says where the logs may agree |
//! | RequestVote | [`RequestVote`](crate::RequestVote): `last_log` is lastLogIndex and lastLogTerm. candidateId is the sender |
//! | InstallSnapshot (Figure 13) | [`InstallSnapshot`](crate::InstallSnapshot). `done` is left out: a chunk is the last one when it reaches the snapshot's size |
//! | RPCs | messages. A reply is a message of its own, and may be late, lost or repeated |
//! | "if election timeout elapses" | a [`Tick`](crate::Input::Tick) at or after [`WakeAt`](crate::Action::WakeAt) |
//! | "if command received from client" | [`Propose`](crate::Input::Propose), answered in the same step |
//! | "respond after entry applied to state machine" | the driver, when [`Apply`](crate::Action::Apply) hands it out: [`Fate`](crate::Fate) |
//! | "apply log\[lastApplied\]" | [`Apply`](crate::Action::Apply), many entries at a time |
//!
//! # What differs from Figure 2, always
//!
//! | here | why it is the same algorithm |
//! |---|---|
//! | A leader sends entries before they are on its own disk, and counts itself only when they are | thesis 10.2.1 |
//! | A follower's acknowledgement waits for its disk, and other messages go on meanwhile | "before responding" is kept for each response that rests on the write |
//! | A node hands out only what is committed *and* on its own disk | later than the paper allows, never earlier |
//! | A new leader's first append follows the end of its own log, and carries at most entries of its own term. What a follower lacks before that is sent once both logs agree | nextIndex is found before data is sent (section 5.3) |
//! | A follower that refuses an append names the last entry that may agree, a term at a time | the optimisation that section 5.3 describes |
//! | A request for a vote that is not answered is sent again within the election | "servers retry RPCs" (section 5.1); a voter answers a copy as it answered the first |
//! | A candidate that is asked by a better one of its term waits for an election timeout from then on | as if it could have granted its vote (section 5.2). It does so for one election timeout in all |
//! | Several appends may be in flight ([`max_inflight_appends`](crate::Config::max_inflight_appends)) | thesis 10.2.2: followers refuse what does not follow their log |
//! | A change of one voter, or of learners only, is one entry. Any other goes through a joint configuration, which the leader leaves by itself | thesis 4.1 for the first, section 6 for the second. A leader changes nothing before it has committed an entry of its own term |
//! | A higher term in a *reply* counts only if its sender is in a configuration that may be in force | a server that was removed is none of "all servers" (`rpc/mod.rs`). Terms of requests count as in Figure 2 |
//! | An entry below commitIndex is never overwritten: a message that asks for it is [`Rejected`](crate::Action::Rejected) | no correct leader sends it |
//!
//! # What differs by default, and how to turn it off
//!
//! | setting | default | what it adds to the paper | as in Figure 2 |
//! |---|---|---|---|
//! | [`leader_noop`](crate::Config::leader_noop) | `On` | an entry at the beginning of each term, which takes an index (section 8) | `Off`. A term that begins with an unfinished change of the membership still has one |
//! | [`pre_vote`](crate::Config::pre_vote) | `On` | a node asks before it raises its term (thesis 9.6) | `Off` |
//! | [`check_quorum`](crate::Config::check_quorum) | `On` | see below | `Off` |
//! | [`lease`](crate::Config::lease) | `Off` | reads without messages (thesis 6.4.1) | `Off` |
//! | [`incarnation`](crate::Config::incarnation) | `None` | a first entry that names the founders' disks | `None` |
//! | [`level`](crate::Config::level) | zero | entries that say what all members read | zero |
//! | [`max_inflight_appends`](crate::Config::max_inflight_appends) | 64 | pipelining | 1 |
//! | [`trailing_entries`](crate::Config::trailing_entries) | 1,024 | entries before a snapshot's end stay in the log, so that fewer snapshots are sent | 0 |
//! | [`max_transfer_log_bytes`](crate::Config::max_transfer_log_bytes) | 64 MiB | the log stays while a snapshot is sent | 0 |
//! | [`commit_notice_delay`](crate::Config::commit_notice_delay) | 0 | with 0, an idle follower is told of a commit at once, and not with the next heartbeat | as the interval of heartbeats |
//!
//! # What CheckQuorum changes
//!
//! | | [`On`](crate::CheckQuorum::On) | [`Off`](crate::CheckQuorum::Off) |
//! |---|---|---|
//! | a leader that no majority answers for `election_timeout_max` | steps down (thesis 6.2) | leads on |
//! | a leader whose disk makes no progress for `election_timeout_max` | hands over, or steps down | leads on |
//! | a voter that has heard a leader within `election_timeout_min` | ignores candidates: it neither votes nor takes their term (thesis 4.2.3), except for those that the leader itself named, and unless its transport has lost that leader | votes by the rules of Figure 2 |
//! | a node that restarts with a storage that was used | ignores candidates for `election_timeout_min` | votes at once |
//! | a removed server that campaigns | disturbs nobody who hears the leader | raises terms; with Pre-Vote on, only until a voter tells it that it was removed ([`Removed`](crate::Action::Removed)) |
//! | a leader that is heard and hears nobody | steps down | with Pre-Vote on, its followers replace it once entries wait for two election timeouts; with Pre-Vote off it leads on (thesis 6.2 says why that stops the cluster) |
//! | leases | may be on | are refused |
//!
//! It has to be the same on all nodes.
//!
//! # The MIT lab
//!
//! The lab counts commands only, from 1. So its settings leave out all entries of the core:
//!
//! ```
//! use raft_proto::*;
//! use std::collections::VecDeque;
//! use std::time::Duration;
//!
//! /// As Figure 2: one append at a time, nothing but commands in the log.
//! fn figure_2(id: NodeId, voters: [NodeId; 3]) -> Config {
//!     let mut config = Config::new(ClusterId(7), id, Start::voters(voters), 42);
//!     config.leader_noop = LeaderNoop::Off;
//!     config.pre_vote = PreVoting::Off;
//!     config.check_quorum = CheckQuorum::Off;
//!     config.max_inflight_appends = 1;
//!     config.trailing_entries = 0;
//!     config.max_transfer_log_bytes = 0;
//!     config.commit_notice_delay = config.heartbeat_interval;
//!     config
//! }
//!
//! let ids = [NodeId(1), NodeId(2), NodeId(3)];
//! let mut nodes = ids.map(|id| Raft::new(figure_2(id, ids), Recovered::default()).unwrap());
//! let mut inbox: VecDeque<(usize, Input)> = (0..3).map(|node| (node, Input::Tick)).collect();
//! let (mut now, mut wake_at) = (Time::ZERO, [Time::NEVER; 3]);
//! let mut applied = [const { Vec::new() }; 3];
//! while applied.iter().any(|log: &Vec<_>| log.len() < 2) {
//!     let Some((node, input)) = inbox.pop_front() else {
//!         let next = (0..3).min_by_key(|node| wake_at[*node]).unwrap();
//!         now = now.max(wake_at[next]);
//!         inbox.push_back((next, Input::Tick));
//!         continue;
//!     };
//!     for action in nodes[node].step(Event { at: now, input }) {
//!         match action {
//!             Action::Send { to, message } => {
//!                 let from = ids[node];
//!                 let receive = Input::Receive { from, incarnation: None, message };
//!                 inbox.push_back((to.0 as usize - 1, receive));
//!             }
//!             Action::Persist(write) => {
//!                 inbox.push_back((node, Input::Persisted { seq: write.seq }));
//!             }
//!             Action::Apply { entries } => {
//!                 applied[node].extend(entries.iter().map(|it| (it.index().0, it.kind())));
//!                 let index = entries.last_id().unwrap().index;
//!                 inbox.push_back((node, Input::Applied { index }));
//!             }
//!             Action::RoleChanged { role: RoleKind::Leader, .. } => {
//!                 let commands = Commands::from(["a", "b"].map(bytes::Bytes::from).to_vec());
//!                 inbox.push_back((node, Input::Propose { id: RequestId(1), commands }));
//!             }
//!             Action::WakeAt(time) => wake_at[node] = time,
//!             _ => {}
//!         }
//!     }
//! }
//! // The first index is 1, and nothing but commands was applied.
//! let expected = vec![(1, EntryKind::Command), (2, EntryKind::Command)];
//! assert_eq!(applied, [expected.clone(), expected.clone(), expected]);
//! ```
//!
//! | MIT 6.5840 Lab 3 | here |
//! |---|---|
//! | `Make(peers, me, persister, applyCh)` | [`Raft::new`](crate::Raft::new), then a [`Tick`](crate::Input::Tick) |
//! | `Start(command)` | [`Propose`](crate::Input::Propose) |
//! | `GetState()` | [`Raft::term`](crate::Raft::term), [`Raft::role`](crate::Raft::role) |
//! | `ApplyMsg` | [`Apply`](crate::Action::Apply), [`Restore`](crate::Action::Restore) |
//! | `Snapshot(index, bytes)` | [`Compact`](crate::Input::Compact), once the bytes are durable |
//! | `persist()`, `readPersist()` | [`Persist`](crate::Action::Persist), [`Recovered`](crate::Recovered) |
//! | `sendAppendEntries` and its kin | [`Send`](crate::Action::Send), [`Receive`](crate::Input::Receive) |
//! | `ticker()` | [`WakeAt`](crate::Action::WakeAt), [`Tick`](crate::Input::Tick) |
//! | `CondInstallSnapshot` (older years) | none: `Restore` comes in order with `Apply` |
//!
//! Two things that the lab leaves open:
//!
//! * Without the no-op, entries of earlier terms wait for the first command of the new term
//!   (section 5.4.2). [`Read`](crate::Input::Read) is refused with
//!   [`NoCommitInTerm`](crate::ReadError::NoCommitInTerm) after an election timeout of waiting.
//! * `Snapshot(index)` of the lab may be called for an entry that was sent to `applyCh`. So may
//!   `Compact`, for any index that was handed out.
//!
//! `raft_driver_thread::lab` has the lab's own names, with a channel of `ApplyMsg`, and
//! `raft-sim lab` runs the lab's scenarios on a virtual clock.
//!
//! # Where to find the hard parts
//!
//! | part of the paper | tests that show it |
//! |---|---|
//! | Figure 8 (5.4.2) | `tests/paper.rs`: `an_entry_of_an_earlier_term_is_not_committed_by_counting_replicas` |
//! | Figure 7 (5.3) | `tests/paper_log.rs`: `every_log_of_figure_7_is_repaired_in_at_most_one_round_trip_a_conflicting_term` |
//! | one vote a term, also over a restart (5.2) | `tests/paper.rs`: `a_restart_does_not_give_a_second_vote_in_the_same_term` |
//! | the last included entry as prevLog (7) | `tests/paper_log.rs`: `a_compacted_leader_goes_on_with_its_last_included_entry_as_prev_log` |
