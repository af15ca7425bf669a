//! See [`raft_fuzz::cluster`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raft_fuzz::cluster::run(data));
