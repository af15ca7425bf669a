//! A replicated key/value store that any client of Redis can talk to; see
//! the library `raft_kv`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    raft_kv::cli::run(std::env::args_os())
}
