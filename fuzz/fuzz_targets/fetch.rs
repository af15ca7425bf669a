//! See [`raft_fuzz::fetch`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_fuzz::fetch::run(data));
