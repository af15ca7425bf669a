//! A replicated key/value store that any client of Redis can talk to; see
//! `raft_driver_thread::kv`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    raft_driver_thread::kv::cli::run(std::env::args_os())
}
