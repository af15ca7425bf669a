//! See [`raft_fuzz::step`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_fuzz::step::run(data));
