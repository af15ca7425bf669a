//! What the fuzzers do with their bytes. Each body is a function of bytes that panics when a
//! promise is broken, so that `cargo test` of `raft-proto`, and for [`resp`] of
//! `raft-driver-thread`, can run them over the corpus that is kept here, without a fuzzer.
//!
//! From the repository's root, with `cargo install cargo-fuzz`:
//!
//! ```text
//! cargo fuzz run --sanitizer none wire -- -max_total_time=60
//! cargo fuzz run --sanitizer none step -- -max_total_time=60
//! cargo fuzz run --sanitizer none recording -- -max_total_time=60
//! cargo fuzz run --sanitizer none resp -- -max_total_time=60
//! ```

pub mod recording;
#[cfg(feature = "kv")]
pub mod resp;
pub mod step;
pub mod wire;
