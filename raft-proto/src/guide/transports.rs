//! Settings for transports that lose, delay or reorder messages.
//!
//! No setting is needed for safety: messages may be lost, late, repeated and reordered. They decide
//! how soon something that is lost is sent again, and how much is sent twice for nothing.
//!
//! | transport | settings |
//! |---|---|
//! | a TCP or TLS connection to each peer, or one QUIC stream | the defaults. Give [`Unreachable`](crate::Input::Unreachable) when a connection breaks, in either direction: the next heartbeat then asks which entries arrived, and what is missing is sent again. The followers of a leader whose process has ended take turns, half a heartbeat interval apart, to ask for votes |
//! | several connections or streams to one peer, so that messages overtake each other | [`append_timeout`](crate::Config::append_timeout) above the time by which one may overtake another. An append that comes too early is rejected, and the leader waits for those before it, up to that time, before it sends it again. Keep [`InstallSnapshot`](crate::InstallSnapshot) on one stream, or its chunks are sent twice |
//! | datagrams | a frame has to fit one: [`max_append_bytes`](crate::Config::max_append_bytes), [`max_entry_bytes`](crate::Config::max_entry_bytes) and [`snapshot_chunk_bytes`](crate::Config::snapshot_chunk_bytes) below the datagram's length less a few hundred bytes (a chunk carries the members, with their contexts). [`max_inflight_bytes`](crate::Config::max_inflight_bytes) at about the bandwidth times the round trip: nothing else holds back the sender. `append_timeout` at two or three round trips and a disk sync |
//! | long distances | [`heartbeat_interval`](crate::Config::heartbeat_interval) above a round trip, [`election_timeout_min`](crate::Config::election_timeout_min) ten of them. `max_inflight_bytes` as with datagrams, and [`max_inflight_appends`](crate::Config::max_inflight_appends) the round trip over the time between proposals |
//! | a slow link, and long entries | a heartbeat behind an entry that takes longer than [`election_timeout_min`](crate::Config::election_timeout_min) comes too late. Write such a message in pieces, and let those overtake it that carry no payload; of [`AppendEntries`](crate::AppendEntries) only those whose `prev_log` is not after that of the long one. While more than 64 KiB are on their way, each heartbeat is sent twice: about the entry before them, and about the last one |
//! | a transport that queues | bound the queue, and drop what is oldest: a message that is late does not help, and it delays those behind it |
//!
//! A transport that answers slowly looks like a slow peer: the window of each peer begins small,
//! and grows while acknowledgements come within a part of the election timeout.
