//! See [`raft_fuzz::recover`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_fuzz::recover::run(data));
