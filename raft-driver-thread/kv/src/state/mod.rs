//! The replicated state: what commands mean, the keys, the sessions, the servers. Deterministic,
//! and without any I/O but that of snapshots.

mod backup;
pub mod command;
pub mod entry;
mod execute;
mod glob;
mod keys;
pub mod machine;
mod record;
pub mod reply;
mod sessions;
mod snapshot;
mod store;

pub use backup::{BackupEncoder, BackupSummary, read_backup, write_backup};
pub use command::{Command, Condition, Expiry, Set};
pub use entry::{Answer, Operation, Origin, Payload, ServerAddress};
pub use execute::MAX_APPENDED_BYTES;
pub use glob::Pattern;
pub use machine::MAX_ANSWER_BYTES;
pub use machine::{Machine, View};
pub use reply::Reply;
pub use sessions::{MAX_ANSWERS, MAX_SESSION_BYTES, MAX_SESSIONS, MAX_SESSIONS_BYTES};
pub use store::Store;
