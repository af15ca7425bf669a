//! The bodies of the fuzz targets. Each is a function of bytes that panics when a promise is
//! broken, so that `cargo test` can run it without a fuzzer over the inputs in `fuzz/corpus`: the
//! tests of `raft-proto` run all bodies but `resp`, which those of `raft-kv` run, and `cluster`,
//! which those of `raft-sim` run.
//!
//! From the repository's root, after `cargo install cargo-fuzz`:
//!
//! ```text
//! cargo fuzz run --sanitizer none wire -- -max_total_time=60
//! cargo fuzz run --sanitizer none step -- -max_total_time=60
//! cargo fuzz run --sanitizer none recording -- -max_total_time=60
//! cargo fuzz run --sanitizer none hostile -- -max_total_time=60
//! cargo fuzz run --sanitizer none --features sim cluster -- -max_total_time=60
//! cargo fuzz run --sanitizer none --features kv resp -- -max_total_time=60
//! ```

#[cfg(feature = "sim")]
pub mod cluster;
pub mod hostile;
pub mod recording;
#[cfg(feature = "kv")]
pub mod resp;
pub mod step;
pub mod wire;
