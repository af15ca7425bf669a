//! `raft-kv`: a replicated key/value store that speaks the protocol of Redis.
//!
//! It is a server on the public interface of [`raft_driver_thread`], which runs Raft on threads,
//! sockets and disks. What is left for this crate is what a service has to decide: what commands
//! mean, how clients talk to it, and how a request finds the leader.
//!
//! # The path of a SET
//!
//! 1. A client sends `SET k v` to any server. [`server`]'s `connection` reads the bytes, and
//!    [`resp::RequestDecoder`] cuts them into requests. The requests of a pipeline that have
//!    arrived together form one batch.
//! 2. [`resp::parse`] finds `set` in the [table of commands](resp::table), and parses its
//!    arguments into a [`Command`](state::Command). An error is answered here.
//! 3. `coalesce` joins the batches of several clients. While one joint batch is under way, the next
//!    one gathers.
//! 4. `group_commit` lets the joint batch wait a moment for clients that were active lately, so
//!    that one entry, one message and one sync serve them all.
//! 5. `session` gives it a number in a session of this server, an [`Origin`](state::Origin).
//!    If it must be proposed again, it still runs once.
//! 6. `router` brings it to the leader: to this server's own node, or by `RAFT FORWARD` to the
//!    server that leads, over the port for servers, and again to the next leader if leadership
//!    changes.
//! 7. The leader stamps it with the state's time, which makes it a [`Payload`](state::Payload), and
//!    proposes it to Raft. The entry is committed once a majority has it on stable storage.
//! 8. Every server applies it: [`Machine::apply_one`](state::Machine::apply_one) runs the commands
//!    on its [`Store`](state::Store). On the leader, the [`Answer`](state::Answer) goes back the
//!    same way.
//! 9. `connection` encodes the [`Reply`](state::Reply), and writes `+OK`.
//!
//! A GET takes the same path down to `coalesce`, and then needs no entry: `reads` asks Raft for a
//! linearizable read (ReadIndex, or the leader's lease) and queries the state of this server.
//!
//! # What is replicated
//!
//! The [`state`]: keys with values and expiries, the time that these are compared with, the
//! sessions with their answers, and the addresses where clients reach the servers. It is the same
//! on every server after the same entry. Time passes only by entries: the leader proposes it, and
//! keys expire on all servers at the same entry. Raft itself replicates which servers are members,
//! and which of them vote.
//!
//! # What is local
//!
//! The [`settings`], the [data directory](data_dir), the connections with their names, their
//! version of the protocol and their queues of MULTI, and all figures of INFO and `/metrics`.
//! Nothing of it may influence how an entry is applied. Of the settings, some must nevertheless
//! be the [same on all servers](status::AgreedSettings).
//!
//! # The rooms
//!
//! | module | holds |
//! |---|---|
//! | [`resp`] | the protocol of Redis: bytes to requests, requests to commands, replies to bytes |
//! | [`state`] | the replicated state machine, its snapshots and its backups |
//! | [`server`] | a running server: clients, batches, the way to the leader, reads, probes |
//! | [`client`] | a blocking client, for the command line and for tests |
//! | [`cli`] | the commands of `raft-kv` |
//! | [`config`] | settings as people give them: flags, files, the environment |
//! | [`settings`] | the settings of a server, checked, and its identity |
//! | [`data_dir`] | the directory that a server owns and locks |
//! | [`recovery`] | new clusters from a backup, or from a survivor of a lost cluster |
//! | [`status`] | what a server reports of itself and of its cluster |
//!
//! `resp` and `state` are pure: they know no sockets, no threads and no clock.

pub mod cli;
pub mod client;
pub mod config;
pub mod data_dir;
pub mod recovery;
pub mod resp;
pub mod server;
pub mod settings;
pub mod state;
pub mod status;
