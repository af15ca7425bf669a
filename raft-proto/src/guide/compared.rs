//! This library compared with others: what they have that this one has not, and the other way.
//!
//! The rows on other libraries follow their own documentation as it stood in 2026: the READMEs of
//! etcd/raft, raft-rs, hashicorp/raft and omnipaxos, and the features page of openraft. They
//! change; look there. [`other_libraries`](super::other_libraries) translates calls one by one.
//!
//! # The shortest answer
//!
//! | you | take |
//! |---|---|
//! | write in Go | etcd/raft for a core, hashicorp/raft for a whole node |
//! | want what has run in production for years | etcd/raft (Go), raft-rs (TiKV), openraft (databend), hashicorp/raft (Consul, Nomad, Vault) |
//! | write async Rust, and want a library that owns its tasks | openraft |
//! | have networks in which servers see different parts of the cluster, for long | omnipaxos. Here CheckQuorum and Pre-Vote deal with many such cases, and not by a proof |
//! | want a core without I/O, whose driver cannot break safety by acting out of order | this one |
//! | want to replay a failure of production step by step, on your own machine | this one |
//! | have a device without an operating system | this one |
//!
//! # What each of them is
//!
//! | library | what it is | who does I/O | a membership change |
//! |---|---|---|---|
//! | etcd/raft | a core with a `Ready` that the caller takes and performs, in Go | you | one server at a time, or joint; in force when it is applied |
//! | raft-rs | the same, in Rust | you | the same |
//! | openraft | a node as an async task, with traits for log, state machine and network | the library calls your traits | joint; in its newest form one entry, where it can prove that quorums intersect |
//! | hashicorp/raft | a node with goroutines, with transports and stores to choose from | the library | one server at a time |
//! | omnipaxos | a replicated log as a plain struct: Sequence Paxos and an election of its own, not Raft | storage by a trait, network by you | a stop sign ends the configuration, and the next one begins |
//! | `raft-proto` | a core: one event in, its actions out | you, or `raft-driver-thread` | one entry for one voter or for learners, else joint; in force when it is appended |
//!
//! # What they have that this one has not
//!
//! | | which library has it |
//! |---|---|
//! | years in production. This is version 0.1: interface, wire and disk formats may still change | all but omnipaxos, which calls itself in development |
//! | users to ask, issues to read, talks to watch | all |
//! | an async interface in Rust | openraft. Here it is a driver: `examples/tokio.rs` |
//! | transports and stores for many systems | hashicorp/raft, openraft's examples |
//! | a formal specification (TLA+) against which traces are validated | etcd/raft |
//! | Jepsen tests | openraft. Here it is a simulator, and a check of `raft-kv` for linearizability, both of this project |
//! | a service that removes dead servers by itself | hashicorp/raft (raft-autopilot) |
//! | a log that the core reads from your storage. Here the core holds the log in memory, or with [`max_resident_bytes`](crate::Config::max_resident_bytes) the last index of each term and the newest payloads | etcd/raft, raft-rs, openraft, omnipaxos |
//! | commits that need several zones (group commit) | raft-rs |
//! | a commit quorum that is smaller than a majority (flexible quorums) | omnipaxos |
//! | proposals that a follower forwards. Here the outcome names the leader, and the driver forwards | etcd/raft, raft-rs |
//! | snapshots that travel by a way of your own. Here they go in chunks through the core's messages | etcd/raft, raft-rs, openraft |
//! | types of your own for commands, and for node ids. Here they are bytes and `u64` | openraft; for commands omnipaxos |
//! | a state machine for many groups in one process. Here [`GroupId`](crate::GroupId) addresses groups, and nothing joins their heartbeats | etcd/raft and raft-rs leave it to you too; openraft has parts |
//!
//! # What this one has, and their documentation does not name
//!
//! | | where |
//! |---|---|
//! | The core itself withholds what has to wait for a disk: order of performing is the driver's choice. The others ask the driver to send after it has persisted (etcd/raft has an asynchronous mode in which the core attaches replies to writes) | [`Action`](crate::Action), `outbox.rs` |
//! | Time is an argument: no ticks in a fixed interval, and a node says when it wants to be woken | [`WakeAt`](crate::Action::WakeAt) |
//! | `no_std`, and a whole driver for such a device | `tests/no_std`, `examples/embedded.rs` |
//! | A recording of a node's events replays it, with every field of its state | [`recording`](crate::recording) |
//! | An identity of each disk in the membership: an emptied disk under an old number does not vote | [`Config::incarnation`](crate::Config::incarnation) |
//! | A node that has lost acknowledged entries takes part without a vote until it has them again | [`Recovered::impaired`](crate::Recovered::impaired), [`mending`](crate::mending) |
//! | What a driver has forgotten to report is named | [`Raft::waits_for`](crate::Raft::waits_for) |
//! | What all members read decides what may be written | [`Level`](crate::Level) |
//!
//! # Speed
//!
//! `raft-proto/benches/rivals` measures the cores of raft-rs, openraft, omnipaxos and others beside
//! this one, and the README has the table with the rows that this one loses. Whole servers are
//! compared with etcd in `raft-driver-thread/kv/benches`.
