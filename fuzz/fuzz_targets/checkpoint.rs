//! See [`raft_fuzz::checkpoint`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_fuzz::checkpoint::run(data));
