//! The replicated state machine: what commands mean, the keys, the sessions, the addresses of the
//! servers.
//!
//! The log holds [`Payload`]s. [`Machine::apply_one`] applies one after the other, in the order of
//! the log, and the same payloads give the same state and the same [`Answer`]s on every server.
//! Nothing here reads a clock or draws a random number: time passes only as payloads say it, and
//! what must be random is drawn before it is proposed. The only I/O is that of snapshots and
//! backups.
//!
//! `digest` is by what servers find out whether they hold the same.
//!
//! `machine` stands above `store` and `sessions`. `store` holds the keys and when they expire,
//! `keyspace` holds them in the order of a scan, `execute` runs commands on them, and `query` those
//! that only read. `removed` is what a flush leaves to be freed. `view` is the state at one moment,
//! which `snapshot` writes completely and `backup` without the sessions and the addresses, both in
//! the records of `record`.

mod address;
mod backup;
mod clock;
mod command;
mod digest;
mod execute;
mod expiries;
mod glob;
mod keyspace;
mod level;
mod limits;
mod lookup;
mod machine;
mod payload;
mod query;
mod record;
mod removed;
mod reply;
mod reply_budget;
mod sessions;
mod snapshot;
mod store;
mod totals;
mod view;

pub use address::ServerAddress;
pub use backup::{BackupEncoder, BackupSummary, read_backup, write_backup};
pub use clock::StateClock;
pub use command::{Command, Condition, Expiry, Set, SetReply, TimeUnit, ValueType};
pub use glob::Pattern;
pub use level::RELEASE_LEVEL;
pub use limits::{Limits, MAX_APPENDED_BYTES};
pub use lookup::{Found, Lookup};
pub use machine::Machine;
pub use payload::{Answer, Operation, Payload, StoredKey};
pub use raft_driver_thread::sessions::Origin;
pub use removed::{Disposal, Removed};
pub use reply::Reply;
pub use reply_budget::MAX_ANSWER_BYTES;
pub(crate) use reply_budget::{ReplyBudget, too_long};
pub use sessions::{MAX_ANSWERS, MAX_SESSION_BYTES, MAX_SESSIONS, MAX_SESSIONS_BYTES};
pub use store::Store;
pub use view::View;
