//! The bodies of the fuzz targets. Each is a function of bytes that panics when a promise is
//! broken, so that `cargo test` can run it without a fuzzer over the inputs in `fuzz/corpus`: the
//! tests of `raft-proto` run all bodies but `resp`, which those of `raft-kv` run, `cluster`,
//! which those of `raft-sim` run, and `storage` and `log`, which those of `raft-driver-thread` run.
//!
//! From the repository's root, after `cargo install cargo-fuzz`:
//!
//! ```text
//! cargo fuzz run --sanitizer none wire -- -max_total_time=60
//! cargo fuzz run --sanitizer none step -- -max_total_time=60
//! cargo fuzz run --sanitizer none recording -- -max_total_time=60
//! cargo fuzz run --sanitizer none hostile -- -max_total_time=60
//! cargo fuzz run --sanitizer none recover -- -max_total_time=60
//! cargo fuzz run --sanitizer none checkpoint -- -max_total_time=60
//! cargo fuzz run --sanitizer none fetch -- -max_total_time=60
//! cargo fuzz run --sanitizer none --features disk storage -- -max_total_time=60
//! cargo fuzz run --sanitizer none --features disk log -- -max_total_time=60
//! cargo fuzz run --sanitizer none --features sim cluster -- -max_total_time=60
//! cargo fuzz run --sanitizer none --features kv resp -- -max_total_time=60
//! ```

pub mod checkpoint;
#[cfg(feature = "sim")]
pub mod cluster;
#[cfg(feature = "disk")]
pub mod disk;
pub mod fetch;
pub mod hostile;
pub mod recording;
pub mod recover;
#[cfg(feature = "kv")]
pub mod resp;
pub mod step;
pub mod wire;
